"""Several members in one network: a block of the rows of a batch goes through each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench_uq.api import Network, task_of


class Apart(nn.Module):
    """Outputs of all members side by side, (B, M * P), as a block of rows each, (M * B, P)."""

    random = False

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = members

    def forward(self, outputs: Tensor) -> Tensor:
        """Outputs of the first member for all examples, then those of the second, ..."""
        return outputs.unflatten(1, (self.members, -1)).transpose(0, 1).flatten(0, 1)


def of_rows(values: Tensor, inputs: Tensor) -> Tensor:
    """Values of each row's member: values (M, F) and rows (N, F, ...) -> (N, F, 1, ...).

    The first rows are the first member's; the blocks differ in size by one row at most.
    """
    members, rows = len(values), len(inputs)
    if rows % members == 0:
        repeated = values.repeat_interleave(rows // members, dim=0)
    else:
        repeated = values[torch.arange(rows, device=values.device) * members // rows]
    return repeated.reshape(*repeated.shape, *(1,) * (inputs.dim() - 2))


def shared_batch_loss(net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean NLL in nats of a batch that the members share: each example goes through one of them."""
    # By chance, so that no member depends on the order in a batch.
    order = torch.rand(len(inputs), device=inputs.device).argsort()
    log_prob = task_of(net).likelihood.log_prob(net(inputs[order]), targets[order])
    return -log_prob.mean()


def in_units(net: nn.Module, outputs: Tensor) -> Tensor:
    """Turn outputs of the last stage into normalised likelihood parameters, of the same shape."""
    likelihood = task_of(net).likelihood
    return likelihood.normalise(likelihood.scale(outputs))


def picked(stored: int, count: int) -> list[int]:
    """All of the stored networks, or ``count`` of them at random if that is fewer."""
    return torch.randperm(stored)[:count].tolist() if count < stored else list(range(stored))


def member_draws(net: Network, inputs: Tensor, count: int, members: int) -> Tensor:
    """One draw of each member, or of ``count`` of them at random, (S, B, P), as one batch.

    A layer with values (M, ...) for each member names them in ``per_member``. The stages before the
    first such layer run once.
    """
    chosen = picked(members, count)
    first = 0
    while first < len(net.stages) and not any(per_member(net.stages[first])):
        first += 1

    shared = net.stages[:first](inputs)
    rows = torch.cat([shared] * len(chosen))
    rest = net.stages[first:]
    # Layers count the members by their values.
    values = {name: values[chosen] for name, values in per_member(rest)}
    outputs = functional_call(rest, values, (rows,))
    return in_units(net, outputs.unflatten(0, (len(chosen), len(inputs))))


def per_member(layers: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and values (M, ...) of all that members have of their own."""
    for path, layer in layers.named_modules():
        for name in getattr(layer, "per_member", ()):
            values: Any = getattr(layer, name)
            if values is not None:
                yield f"{path}.{name}".lstrip("."), values


def conv_like(layer: nn.Conv2d, inputs: int, outputs: int, groups: int) -> nn.Conv2d:
    """An untrained convolution of the geometry of another, between other numbers of channels."""
    geometry: dict[str, Any] = {
        "kernel_size": layer.kernel_size,
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "bias": layer.bias is not None,
        "padding_mode": layer.padding_mode,
    }
    return nn.Conv2d(inputs, outputs, groups=groups, **geometry)


def replace_layers(net: nn.Module, replacements: dict[nn.Module, nn.Module]) -> None:
    """Put other layers in the places of some, everywhere in a network."""
    for module in list(net.modules()):
        # Unlike named_children, which leaves out a layer's second name.
        for name, child in list(module._modules.items()):
            if child in replacements:
                setattr(module, name, replacements[child])
