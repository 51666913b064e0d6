"""Mixture density networks: a mixture of Gaussians for each example."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Gaussian, Method, Task, network, task_of
from bench_uq.methods._decay import minus_log_prior
from bench_uq.methods._heads import DenseHead, draws_of, head_of, numbers_of, with_head
from bench_uq.methods._priors import PriorStd, check_prior


class MixtureHead(DenseHead):
    """K weights, means and log-variances per example; a draw is one component."""

    def __init__(self, inputs: int, components: int) -> None:
        super().__init__(inputs, 3 * components)
        # Apart from the start, or all components would stay one: at the quantiles of N(0, 1), of
        # which standardised targets are roughly a sample.
        levels = (torch.arange(components) + 0.5) / components
        with torch.no_grad():
            self.dense.bias.unflatten(0, (components, 3))[:, 1] += torch.special.ndtri(levels)

    def split(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Log-weights (B, K), and (mean, log-variance) of each component, (B, K, 2)."""
        parts = numbers.unflatten(-1, (-1, 3))
        return parts[..., 0].log_softmax(-1), parts[..., 1:]

    def drawn(self, numbers: Tensor, count: int) -> Tensor:
        """Components (S, B, 2) at S even steps through the weights, from a random start.

        A component of weight w is drawn S w times, rounded up or down, so that few draws already
        hold the mixture. Their order is random.
        """
        log_weights, components = self.split(numbers)
        ends = log_weights.exp().cumsum(-1)

        start = torch.rand(len(numbers), 1, dtype=ends.dtype, device=ends.device)
        steps = torch.arange(count, dtype=ends.dtype, device=ends.device)
        # Below the last end, which rounding may leave under 1.
        places = (start + steps) / count * ends[:, -1:]
        chosen = torch.searchsorted(ends, places, right=True).clamp_max(ends.shape[-1] - 1)

        order = torch.rand_like(places).argsort(-1)
        index = chosen.gather(-1, order).unsqueeze(-1).expand(-1, -1, 2)  # (B, S, 2)
        return components.gather(1, index).transpose(0, 1)


@dataclass(frozen=True)
class MDN(Method):
    """K Gaussians per example, for targets of several modes; with one it is ``map``.

    The draws are the components, so the predictive mixture is the network's own, its weights
    rounded to multiples of 1 / S. The spread between draws is then that of the modes: noise, and
    nothing that more data would remove. Gradients through draws follow means and variances, and
    hold the weights fixed.
    """

    reference: ClassVar[str] = "Bishop 1994, https://publications.aston.ac.uk/id/eprint/373/"
    title: ClassVar[str] = "MDN"
    order: ClassVar[int] = 24
    weight_prior: ClassVar[str] = "N(0, prior_std^2)"
    search: ClassVar = {
        "components": {"values": [2, 3, 5, 10]},
        "prior_std": {"low": 0.1, "high": 10.0, "scale": "log"},
    }

    components: int = 5
    prior_std: PriorStd = 1.0

    @property
    def posterior(self) -> str:
        """The prior, under a likelihood of several Gaussians unless there is one."""
        prior = f"N(0, {self.prior_std}^2)"
        return prior if self.components == 1 else f"{prior}, {self.components} Gaussians an example"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prior(self.prior_std)
        if self.components < 1:
            raise ValueError(f"components must be at least 1, not {self.components}")

    def suits(self, task: Task) -> bool:
        """Whether targets are real."""
        return isinstance(task.likelihood, Gaussian)

    def build(self, task: Task) -> nn.Module:
        """Build the network with components as its outputs."""
        return with_head(network(task), lambda inputs: MixtureHead(inputs, self.components))

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """NLL of the mixture (Bishop 1994) - log prior / size, without its constant."""
        head, likelihood = head_of(net), task_of(net).likelihood
        assert isinstance(head, MixtureHead)
        log_weights, components = head.split(numbers_of(net, inputs))

        log_probs = likelihood.log_prob(likelihood.scale(components), targets.unsqueeze(-1))
        nll: Tensor = -(log_weights + log_probs).logsumexp(-1).mean()
        return nll + minus_log_prior(net.parameters(), self.prior_std) / size

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """Components in proportion to their weights."""
        return draws_of(net, inputs, count)
