"""Packed-Ensembles: narrow networks side by side, as groups of the layers of one network."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench_uq.api import Method, Network, Task, UsageError, network, task_of
from bench_uq.methods._members import Apart, conv_like, in_units, picked, replace_layers


class GroupedLinear(nn.Module):
    """A dense layer in G groups, each from its part of the features: (B, in) -> (B, out)."""

    random = False

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        # As torch's layers start, by the inputs of a group.
        bound = (groups / inputs) ** 0.5
        shape = (groups, inputs // groups, outputs // groups)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(groups, 1, shape[2]).uniform_(-bound, bound))

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of all groups side by side."""
        parts = inputs.unflatten(1, (len(self.weight), -1)).transpose(0, 1)
        return torch.baddbmm(self.bias, parts, self.weight).transpose(0, 1).flatten(1)


class Members(Network):
    """A network whose last stage puts out a block of rows for each of its members."""

    def __init__(self, net: Network, members: int) -> None:
        super().__init__(net.task, net.stages[1:])
        self.members = members

    def apart(self, inputs: Tensor) -> Tensor:
        """Outputs of all members before the units of the likelihood, (M, B, P)."""
        outputs: Tensor = self.stages(inputs)
        return outputs.unflatten(0, (self.members, len(inputs)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Likelihood parameters (B, P), each row's by one of the members, which share the rows."""
        rows = torch.arange(len(inputs), device=inputs.device)
        outputs = self.apart(inputs)[rows * self.members // len(inputs), rows]
        return self.task.likelihood.scale(outputs)


@dataclass(frozen=True)
class Packed(Method):
    """Narrow networks that are trained and predict as groups of one network."""

    reference: ClassVar[str] = "Laurent et al. 2023, https://arxiv.org/abs/2210.09184"
    title: ClassVar[str] = "Packed ensemble"
    order: ClassVar[int] = 21
    search: ClassVar = {"alpha": {"low": 1.0, "high": 4.0}}

    estimators: int = 4
    alpha: float = 1.0  # width of all members together, as a multiple of the network's
    gamma: int = 1  # groups within a member, except in its first and last layer

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.estimators < 1:
            raise ValueError(f"estimators must be at least 1, not {self.estimators}")
        if not 0 < self.alpha <= 100:
            raise ValueError(f"alpha must be in (0, 100], not {self.alpha}")
        if self.gamma < 1:
            raise ValueError(f"gamma must be at least 1, not {self.gamma}")

    def build(self, task: Task) -> nn.Module:
        """Build the plain network and replace its layers by grouped ones."""
        net = network(task)
        layers = [layer for layer in net.stages[1:].modules() if has_values(layer)]
        first, last = layers[0], layers[-1]
        if first is last or not isinstance(last, nn.Linear):
            raise UsageError("packed needs a network of several layers, the last of them dense")

        replacements, before = dict[nn.Module, nn.Module](), 0
        shared = dict[nn.Parameter, nn.Parameter]()
        for layer in layers:
            grouped = self.grouped(layer, before, layer is first, layer is last)
            for name, values in layer.named_parameters(recurse=False):
                # Layers that share values still do.
                setattr(grouped, name, shared.setdefault(values, getattr(grouped, name)))

            replacements[layer] = grouped
            if isinstance(layer, nn.Linear | nn.Conv2d):
                before = len(layer.weight)

        replacements[last] = nn.Sequential(replacements[last], Apart(self.estimators))
        replace_layers(net, replacements)
        return Members(net, self.estimators)

    def width(self, plain: int) -> int:
        """Width of all members, in place of a width of the network, rounded up to whole groups."""
        groups = self.estimators * self.gamma
        return groups * math.ceil(plain * self.alpha / groups)

    def grouped(self, layer: nn.Module, before: int, first: bool, last: bool) -> nn.Module:
        """The grouped layer in place of one; ``before`` is the width of the layer before it."""
        if isinstance(layer, _BatchNorm):
            # Statistics and scales are of single channels, so members keep their own.
            options = (layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
            return type(layer)(self.width(layer.num_features), *options)

        if isinstance(layer, nn.Conv2d) and layer.groups == 1:
            outputs = self.width(layer.out_channels)
            if first:
                # All members see the same inputs, so that groups would only repeat them.
                return conv_like(layer, layer.in_channels, outputs, 1)
            groups = self.estimators * self.gamma
            return conv_like(layer, self.width(layer.in_channels), outputs, groups)

        if isinstance(layer, nn.Linear) and layer.bias is not None:
            if first:
                return nn.Linear(layer.in_features, self.width(layer.out_features))
            if layer.in_features % before == 0:
                return self.grouped_dense(layer, before, last)
        raise UsageError(f"packed cannot split a layer {type(layer).__name__} into groups")

    def grouped_dense(self, layer: nn.Linear, before: int, last: bool) -> nn.Module:
        """The grouped layer in place of a dense one that is not the first."""
        # A channel of the layer before may have become several features.
        inputs = layer.in_features // before * self.width(before)
        if last:
            return GroupedLinear(inputs, self.estimators * layer.out_features, self.estimators)
        groups = self.estimators * self.gamma
        return GroupedLinear(inputs, self.width(layer.out_features), groups)

    def loss(self, net: Any, inputs: Tensor, targets: Tensor, size: int, progress: float) -> Tensor:
        """Mean NLL over the examples and the members, each of which sees all examples."""
        likelihood = task_of(net).likelihood
        # Unlike the authors' sum over members, the mean keeps the loss in nats per example.
        return -likelihood.log_prob(likelihood.scale(net.apart(inputs)), targets).mean()

    def draws(self, net: Any, inputs: Tensor, count: int) -> Tensor:
        """One draw of each member, or of ``count`` members at random, from one pass."""
        return in_units(net, net.apart(inputs)[picked(self.estimators, count)])


def has_values(layer: nn.Module) -> bool:
    """Whether a layer has parameters or buffers of its own."""
    own = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
    return bool(own)
