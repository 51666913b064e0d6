"""BatchEnsemble: members that share their weights up to factors of rank one."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench_uq.api import Layers, Method, Task, network, task_of
from bench_uq.methods._members import member_draws, of_rows, shared_batch_loss


class FastWeights(nn.Module):
    """Factors of each member for a layer's inputs and outputs, beside the weights that all share.

    Member i has the weights W * (s_i r_i^T), W (out, in), without ever holding them: r_i multiplies
    the inputs and s_i the outputs (Wen et al. 2020, section 3). Its biases are its own.
    """

    random = False
    per_member = ("r", "s", "bias")
    bias: Any

    def __init__(self, *sizes: Any, estimators: int, spread: float, **geometry: Any) -> None:
        super().__init__(*sizes, **geometry)
        self.r = nn.Parameter(1 + spread * torch.randn(estimators, sizes[0]))
        self.s = nn.Parameter(1 + spread * torch.randn(estimators, sizes[1]))
        if self.bias is not None:
            self.bias = nn.Parameter(self.bias.detach().repeat(estimators, 1))

    def with_factors(self, shared: Tensor) -> Tensor:
        """Outputs of the shared weights (N, out, ...) times s, plus biases."""
        factors = of_rows(self.s, shared)
        if self.bias is None:
            return shared * factors
        return torch.addcmul(of_rows(self.bias, shared), shared, factors)


class BatchLinear(FastWeights, nn.Linear):
    """A dense layer: blocks of rows of all members, (N, in) -> (N, out)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of each row's member."""
        shared = nn.functional.linear(inputs * of_rows(self.r, inputs), self.weight)
        return self.with_factors(shared)


class BatchConv2d(FastWeights, nn.Conv2d):
    """A convolution: blocks of rows of all members, (N, in, H, W) -> (N, out, H', W')."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of each row's member."""
        shared = self._conv_forward(inputs * of_rows(self.r, inputs), self.weight, None)
        return self.with_factors(shared)


@dataclass(frozen=True)
class BatchEnsemble(Method):
    """Members in one network that differ by factors of inputs and outputs in each layer."""

    reference: ClassVar[str] = "Wen et al. 2020, https://arxiv.org/abs/2002.06715"
    title: ClassVar[str] = "BatchEnsemble"
    order: ClassVar[int] = 20
    search: ClassVar = {"spread": {"low": 0.05, "high": 1.0, "scale": "log"}}

    estimators: int = 4
    spread: float = 0.5  # standard deviation of the factors at the start, around 1
    # The members share each batch, as in the paper: a step costs about that of one network. Or each
    # of them sees all of it, at the cost of as many networks.
    batches: Literal["shared", "repeated"] = "shared"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.estimators < 1:
            raise ValueError(f"estimators must be at least 1, not {self.estimators}")
        if not 0 < self.spread <= 10:
            raise ValueError(f"spread must be in (0, 10], not {self.spread}")

    def build(self, task: Task) -> nn.Module:
        """Build the network with shared weights and factors."""
        options: dict[str, Any] = {"estimators": self.estimators, "spread": self.spread}
        linear = functools.partial(BatchLinear, **options)
        conv = functools.partial(BatchConv2d, **options)
        return network(task, Layers(linear=linear, conv=conv))

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Mean NLL of the batch over its examples, or over examples and members."""
        if self.batches == "shared":
            return shared_batch_loss(net, inputs, targets)

        outputs = net(torch.cat([inputs] * self.estimators))
        repeated = targets.repeat(self.estimators)
        return -task_of(net).likelihood.log_prob(outputs, repeated).mean()

    def draws(self, net: Any, inputs: Tensor, count: int) -> Tensor:
        """One draw of each member, or of ``count`` members at random."""
        return member_draws(net, inputs, count, self.estimators)
