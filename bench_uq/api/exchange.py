"""Exchange of the layers of a model for those of a method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench_uq.api.errors import UsageError
from bench_uq.api.layers import Layers
from bench_uq.api.task import Task


def exchange(name: str, model: nn.Module, layers: Layers, *, started: bool) -> list[nn.Module]:
    """Put a method's layers in place of dense layers and convolutions, with their own start.

    If the weights were ``started``, they start from these. The new layers are returned.
    """
    found = list[nn.Module]()
    for place, part in list(model.named_modules()):
        made: nn.Module | None = None
        if isinstance(part, nn.Linear) and layers.linear is not nn.Linear:
            require_plain(name, place, part, nn.Linear)
            made = layers.linear(part.in_features, part.out_features)
        elif isinstance(part, nn.Conv2d) and layers.conv is not nn.Conv2d:
            require_plain(name, place, part, nn.Conv2d)
            made = convolution(name, place, part, layers)
        if made is not None:
            if started:
                carry(part, made)
            set_module(model, place, made)
            found.append(made)
    return found


def require_plain(name: str, place: str, part: nn.Module, kind: type[nn.Module]) -> None:
    """Refuse a layer that computes something else than torch's own of its kind."""
    if type(part) is not kind:
        raise UsageError(
            f"{name} has a {type(part).__name__} ({place}), which this method has no layer for; "
            "take another network"
        )


def require_calls(
    name: str, task: Task, features: nn.Module, exchanged: Sequence[nn.Module]
) -> None:
    """Refuse a model that takes the weights of a layer and never calls it: noise would be lost."""
    if not exchanged:
        return
    called = set[nn.Module]()
    hooks = [one.register_forward_hook(lambda one, *_: called.add(one)) for one in exchanged]
    training = features.training
    # Noise is drawn; the caller's random state must not move.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        features.eval()(torch.zeros(2, *task.input_shape))
    features.train(training)

    for hook in hooks:
        hook.remove()
    if len(called) < len(set(exchanged)):
        raise UsageError(
            f"{name} uses the weights of layers without calling them, as some attention does, so "
            "that this method cannot exchange them; take another network"
        )


def convolution(name: str, place: str, part: nn.Conv2d, layers: Layers) -> nn.Module:
    """A method's convolution for one of torch, which must be square and of one group."""
    kernel, stride, padding = part.kernel_size, part.stride, part.padding
    square = not isinstance(padding, str) and all(
        len(set(pair)) == 1 for pair in (kernel, stride, padding)
    )
    plain = part.groups == 1 and set(part.dilation) == {1} and part.padding_mode == "zeros"

    if not (square and plain):
        raise UsageError(
            f"{name} has a convolution in groups, dilated or not square ({place}), which this "
            "method has no layer for; take another network"
        )

    given: dict[str, Any] = {"stride": stride[0], "padding": int(padding[0])}
    return layers.conv(
        *(part.in_channels, part.out_channels, kernel[0]), **given, bias=part.bias is not None
    )


def carry(old: nn.Module, new: nn.Module) -> None:
    """Start a layer of a method at the weights of the layer in whose place it stands."""
    with torch.no_grad():
        for name in ("weight", "bias"):
            theirs, ours = getattr(old, name, None), getattr(new, name, None)
            if isinstance(theirs, Tensor) and isinstance(ours, nn.Parameter):
                ours.copy_(theirs)


def set_module(model: nn.Module, place: str, part: nn.Module) -> None:
    """Put a layer at a place such as ``layer1.0.conv1``."""
    parent, _, name = place.rpartition(".")
    setattr(model.get_submodule(parent), name, part)
