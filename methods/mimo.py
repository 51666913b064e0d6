"""MIMO: one network that takes several inputs at once and has an output for each."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Method, Network, Task, UsageError, network, task_of
from bench_uq.methods._members import Apart, conv_like, in_units, picked, replace_layers


class SideBySide(nn.Module):
    """A block of rows for each head, (M * B, C, ...), as channels side by side, (B, M * C, ...)."""

    random = False

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, inputs: Tensor) -> Tensor:
        """The inputs of all heads as channels or features of one."""
        return torch.cat(inputs.chunk(self.heads), dim=1)


class Heads(Network):
    """A network of several inputs and outputs: each row goes in, and comes out, at one head."""

    def __init__(self, net: Network, heads: int) -> None:
        super().__init__(net.task, net.stages[1:])
        self.heads = heads

    def forward(self, inputs: Tensor) -> Tensor:
        """Likelihood parameters (N, P) of rows (N, ...), of which each head has a block."""
        rows = len(inputs)
        if missing := -rows % self.heads:
            inputs = inputs[torch.arange(rows + missing, device=inputs.device) % rows]
        return super().forward(inputs)[:rows]


@dataclass(frozen=True)
class MIMO(Method):
    """One network trained on several examples at once, which at prediction are the same."""

    reference: ClassVar[str] = "Havasi et al. 2021, https://arxiv.org/abs/2010.06610"
    title: ClassVar[str] = "MIMO"
    order: ClassVar[int] = 22
    search: ClassVar = {"input_repetition": {"low": 0.0, "high": 0.9}}

    heads: int = 3
    # Share of a batch in which all heads see the same example, as they do at prediction.
    input_repetition: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads < 1:
            raise ValueError(f"heads must be at least 1, not {self.heads}")
        if not 0 <= self.input_repetition <= 1:
            raise ValueError(f"input_repetition must be in [0, 1], not {self.input_repetition}")

    def build(self, task: Task) -> nn.Module:
        """Build the network with more inputs of its first layer and outputs of its last."""
        net = network(task)
        layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        first, last = layers[0], layers[-1]
        if first is last or not isinstance(last, nn.Linear):
            raise UsageError("mimo needs a network of several layers, the last of them dense")

        if isinstance(first, nn.Linear):
            wide: nn.Module = nn.Linear(self.heads * first.in_features, first.out_features)
        else:
            wide = conv_like(first, self.heads * first.in_channels, first.out_channels, 1)
        ends = nn.Linear(last.in_features, self.heads * last.out_features)

        joined = nn.Sequential(SideBySide(self.heads), wide)
        split = nn.Sequential(ends, Apart(self.heads))
        replace_layers(net, {first: joined, last: split})
        return Heads(net, self.heads)

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Mean NLL over examples and heads, of which each sees the batch in an order of its own."""
        order = self.orders(inputs).flatten()
        log_prob = task_of(net).likelihood.log_prob(net(inputs[order]), targets[order])
        # Unlike the paper's sum over heads, the mean keeps the loss in nats per example.
        return -log_prob.mean()

    def orders(self, inputs: Tensor) -> Tensor:
        """Which examples of a batch the heads see together, (M, B)."""
        count = len(inputs)
        shuffled = round(count * (1 - self.input_repetition))
        common = torch.rand(count, device=inputs.device).argsort()
        own = torch.rand(self.heads, shuffled, device=inputs.device).argsort(1)
        return torch.cat((common[own], common[shuffled:].expand(self.heads, -1)), dim=1)

    def draws(self, net: Any, inputs: Tensor, count: int) -> Tensor:
        """One draw of each head, or of ``count`` heads at random, from one pass."""
        outputs = net.stages(torch.cat([inputs] * self.heads))
        apart = outputs.unflatten(0, (self.heads, len(inputs)))
        return in_units(net, apart[picked(self.heads, count)])
