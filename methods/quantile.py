"""Quantile regression: a network that puts out quantiles, and no density."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from bench_uq.api import Gaussian, Method, Task, network, task_of
from bench_uq.methods._heads import DenseHead, draws_of, numbers_of, with_head

#: Least distance of two quantiles, in standard deviations of the targets.
LEAST_GAP = 1e-4


class QuantileHead(DenseHead):
    """Quantiles of each example in ascending order; a draw is a narrow Gaussian at one of them."""

    def numbers(self, hidden: Tensor) -> Tensor:
        """Quantiles of standardised targets, (B, Q): a centre, and gaps above 0 to either side."""
        outputs = self.dense(hidden)
        steps = (softplus(outputs[..., 1:]) + LEAST_GAP).cumsum(-1)
        below = torch.cat((torch.zeros_like(outputs[..., :1]), steps), -1)
        return below + outputs[..., :1] - below.mean(-1, keepdim=True)

    def drawn(self, numbers: Tensor, count: int) -> Tensor:
        """All quantiles, or ``count`` of them at even steps from a random start, (S, B, 2).

        The standard deviation is half of the mean distance to both neighbours.
        """
        gaps = numbers.diff(dim=-1)
        wide = torch.cat((gaps[..., :1], (gaps[..., 1:] + gaps[..., :-1]) / 2, gaps[..., -1:]), -1)
        # Quantiles far from 0 are rounded, and their distances with them.
        log_variance = 2 * (wide / 2).clamp_min(LEAST_GAP / 2).log()
        gaussians = torch.stack((numbers, log_variance), -1).transpose(0, 1)
        levels = len(gaussians)
        if count >= levels:
            return gaussians

        start = torch.rand(1, len(numbers), device=numbers.device)
        steps = torch.arange(count, device=numbers.device).unsqueeze(-1)
        chosen = ((start + steps) * levels / count).long().clamp_max(levels - 1)
        return gaussians.gather(0, chosen.unsqueeze(-1).expand(-1, -1, 2))


def pinball(quantiles: Tensor, targets: Tensor) -> Tensor:
    """Twice the pinball loss, mean over the Q levels (2 k + 1) / 2 Q: (B, Q), (B,) -> (B,).

    As Q grows it tends to the CRPS (Koenker & Bassett 1978; Gneiting & Ranjan 2011).
    """
    count = quantiles.shape[-1]
    levels = (torch.arange(count, device=quantiles.device) + 0.5) / count
    excess = targets.unsqueeze(-1) - quantiles
    return 2 * torch.maximum(levels * excess, (levels - 1) * excess).mean(-1)


@dataclass(frozen=True)
class Quantile(Method):
    """Quantiles that cannot cross, by the pinball loss; their density is only filled in.

    The loss says nothing of a density between or beyond the quantiles. As draws need one, each
    quantile becomes a Gaussian that holds 1 / Q of the probability, with half the distance to its
    neighbours as its standard deviation. Quantiles, their calibration, PICP and CRPS are then the
    method's own up to that width. The NLL rests on the Gaussians, most of all beyond the outermost
    quantiles: do not compare methods by it. The spread between draws is noise, and nothing that
    more data would remove.

    It is not defined where the noise is known.
    """

    reference: ClassVar[str] = "Koenker & Bassett 1978, https://doi.org/10.2307/1913643"
    title: ClassVar[str] = "Quantile regression"
    order: ClassVar[int] = 25
    search: ClassVar = {"levels": {"values": [10, 20, 40]}}

    levels: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.levels <= 1000:
            raise ValueError(f"levels must be in [2, 1000], not {self.levels}")

    def suits(self, task: Task) -> bool:
        """Whether targets are real and their noise is to be learned."""
        return isinstance(task.likelihood, Gaussian) and math.isnan(task.likelihood.noise)

    def build(self, task: Task) -> nn.Module:
        """Build the network with quantiles as its outputs."""
        return with_head(network(task), lambda inputs: QuantileHead(inputs, self.levels))

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Mean pinball loss, in standard deviations of the targets and not in nats."""
        likelihood = task_of(net).likelihood
        assert isinstance(likelihood, Gaussian)
        standardised = (targets - likelihood.mean) / likelihood.std
        return pinball(numbers_of(net, inputs), standardised).mean()

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """Gaussians at the quantiles."""
        return draws_of(net, inputs, count)
