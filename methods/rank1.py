"""Rank-1 Bayesian networks: shared weights, and a random factor for each input and output."""

import functools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Layers, Task, layers_of, network, stochastic_passes
from bench_uq.methods._decay import minus_log_prior
from bench_uq.methods._gaussian import normal_kl
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._variational import Variational


class Factors(nn.Module):
    """A mixture of Gaussians over the factors of one axis, N(mean_k, exp(log_variance_k)).

    The prior is N(1, std^2). Unlike in the authors' code, where the means start as random signs,
    they start as draws from the prior, so that the components differ.
    """

    def __init__(self, components: int, size: int, *, std: float, start: float) -> None:
        super().__init__()
        self.std = std
        self.mean = nn.Parameter(1 + std * torch.randn(components, size))
        self.log_variance = nn.Parameter(torch.full((components, size), start))

    def forward(self, count: int) -> Tensor:
        """Draw factors for each row, (count, size); the rows are split evenly over components."""
        components, size = self.mean.shape
        # The same in all layers, so that a row has one component throughout the network.
        rows = torch.arange(count, device=self.mean.device) * components // count
        # Products with zeros and ones, whose gradient is faster than that of an index.
        chosen = nn.functional.one_hot(rows, components).to(self.mean.dtype)
        mean, std = chosen @ self.mean, chosen @ (0.5 * self.log_variance).exp()
        return mean + std * torch.randn(count, size, dtype=mean.dtype, device=mean.device)

    def kl(self) -> Tensor:
        """Mean KL of the components to the prior, in nats: a bound on that of the mixture."""
        squares = (self.mean - 1).square().sum()
        return normal_kl(squares, self.log_variance, self.std) / len(self.mean)


class Rank1Linear(nn.Linear):
    """A dense layer of weights s_i W_ij r_j: (B, in) -> (B, out)."""

    def __init__(self, inputs: int, outputs: int, *, factors: Any) -> None:
        super().__init__(inputs, outputs)
        self.inner, self.outer = factors(inputs), factors(outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs under fresh factors for each example."""
        rows = len(inputs)
        outputs = nn.functional.linear(inputs * self.inner(rows), self.weight)
        return torch.addcmul(self.bias, outputs, self.outer(rows))


class Rank1Conv2d(nn.Conv2d):
    """A convolution with a factor for each channel: (B, in, H, W) -> (B, out, H', W')."""

    def __init__(self, inputs: int, outputs: int, *args: Any, factors: Any, **options: Any) -> None:
        super().__init__(inputs, outputs, *args, **options)
        self.inner, self.outer = factors(inputs), factors(outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs under fresh factors for each example."""
        rows = len(inputs)
        scaled = inputs * self.inner(rows)[..., None, None]
        outputs = self._conv_forward(scaled, self.weight, None)

        outer = self.outer(rows)[..., None, None]
        if self.bias is None:
            return outputs * outer
        return torch.addcmul(self.bias[:, None, None], outputs, outer)


@dataclass(frozen=True)
class Rank1(Variational):
    """A network whose weights W are multiplied by a random matrix s r^T of rank 1.

    W and the biases are learned as numbers. Unlike in the authors' code, the components share the
    biases too.
    """

    reference: ClassVar[str] = "Dusenberry et al. 2020, https://arxiv.org/abs/2005.07186"
    title: ClassVar[str] = "Rank-1 BNN"
    order: ClassVar[int] = 15
    weight_prior: ClassVar[str] = "N(0, prior_std^2)"
    weight_start: ClassVar[str] = ""
    search: ClassVar = {
        "factor_std": {"low": 0.03, "high": 1.0, "scale": "log"},
        "prior_std": {"low": 0.1, "high": 10.0, "scale": "log"},
    }

    components: int = 4  # of the mixture
    factor_std: float = 0.1  # of the prior N(1, factor_std^2) of a factor
    prior_std: PriorStd = 1.0  # of the shared weights and biases
    start_log_variance: float = -9.0  # of a factor
    variance_rate: float = 0.0  # Adam's rate for the log-variances; 0: three times that of the rest
    kl_weight: float = 1.0
    kl_warmup: float = 0.0

    # No field: factors have no cap.
    max_std = math.inf

    @property
    def posterior(self) -> str:
        """The prior of the shared weights and of the factors, which no other method has."""
        return f"{super().posterior} of shared weights, N(1, {self.factor_std}^2) of factors"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.components < 1:
            raise ValueError(f"components must be at least 1, not {self.components}")
        if not 1e-6 <= self.factor_std <= 1e6:
            raise ValueError(f"factor_std must be in [1e-6, 1e6], not {self.factor_std}")

    def build(self, task: Task) -> nn.Module:
        """Build the network with factors."""
        start = self.start_log_variance
        factors = functools.partial(Factors, self.components, std=self.factor_std, start=start)
        linear = functools.partial(Rank1Linear, factors=factors)
        conv = functools.partial(Rank1Conv2d, factors=factors)
        return network(task, Layers(linear=linear, conv=conv))

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Mean NLL of the components + kl_weight * KL / size - log prior of all else / size."""
        shown = torch.cat([inputs] * self.components), torch.cat([targets] * self.components)
        bound = super().loss(net, *shown, size, progress)

        prior: Tensor | float = 0.0
        for layer in layers_of(net):
            if not isinstance(layer, Factors):
                shared = layer.parameters(recurse=False)
                prior = prior + minus_log_prior(shared, self.prior_std)
        return bound + prior / size

    def optimiser(self, net: nn.Module) -> torch.optim.Optimizer:
        """Adam, with a rate of its own for the log-variances."""
        variances, others = list[Tensor](), list[Tensor]()
        for name, values in net.named_parameters():
            group = variances if name.endswith("log_variance") else others
            group.append(values)

        rate = self.variance_rate
        groups = [
            {"params": others, "lr": 1e-3},
            {"params": variances, "lr": rate or 3e-3, "own_rate": rate > 0},
        ]
        return torch.optim.Adam(groups, fused=True)

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """``count`` passes (S, B, P), over the components in turn."""
        found = []
        for done in range(0, count, self.components):
            copies = torch.cat([inputs] * self.components)
            draws = stochastic_passes(net, copies, 1).reshape(self.components, len(inputs), -1)
            # Of the last turn some at random.
            found.append(draws[torch.randperm(self.components)[: count - done]])
        return torch.cat(found)
