"""Networks of torchvision and timm, built from the layers of a method."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from bench_uq.api.architecture_names import PACKAGES, Architecture, read
from bench_uq.api.errors import BadValue, UsageError, one_line
from bench_uq.api.exchange import carry, exchange, require_calls, set_module
from bench_uq.api.layers import Layers, Network
from bench_uq.api.task import Task
from bench_uq.api.weights import weights_in

#: The number of channels that torchvision's networks see.
CHANNELS = 3


def architecture(name: str) -> Callable[[Task, Layers], Network]:
    """Function that builds an architecture of another package for a task."""
    package, plain, options = read(name)
    made = {"torchvision": of_torchvision, "timm": of_timm}[package]

    def build(task: Task, layers: Layers) -> Network:
        if len(task.input_shape) != 3:
            raise UsageError(f"{name} is for images, not for inputs of {task.input_shape}")
        outputs = task.likelihood.parameters
        model = made(plain, outputs)
        if options.weights:
            load(f"{package}:{plain}", model, Path(options.weights))
        return assembled(f"{package}:{plain}", task, layers, model, options)

    return build


def of_torchvision(name: str, outputs: int) -> nn.Module:
    """A classifier of torchvision, which takes three channels."""
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise not_there("torchvision", name, known)
    with warnings.catch_warnings():
        # Some tell of starts that a later version will have.
        warnings.simplefilter("ignore", FutureWarning)
        return torchvision.models.get_model(name, weights=None, num_classes=outputs)


def of_timm(name: str, outputs: int) -> nn.Module:
    """A classifier of timm, an extra; nothing is downloaded."""
    try:
        import timm
    except ImportError:
        raise UsageError("networks of timm need it: pip install 'bench-uq[timm]'") from None
    known = timm.list_models()
    if name not in known:
        raise not_there("timm", name, known)
    return timm.create_model(name, pretrained=False, num_classes=outputs)


def not_there(package: str, name: str, known: Sequence[str]) -> UsageError:
    """Error for an unknown architecture, with the nearest of the many names."""
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.4)
    hint = f"near it: {', '.join(near)}" if near else f"{len(known):,} are known"
    return UsageError(f"unknown network {name!r} of {package} ({hint})")


def assembled(
    name: str, task: Task, layers: Layers, model: nn.Module, options: Architecture
) -> Network:
    """The model as stages: images as it takes them, its features, and its last dense layer."""
    # Networks with outputs beside the last give a tuple in training.
    if getattr(model, "aux_logits", False):
        raise UsageError(f"{name} has outputs beside its last; take another network")
    place, last = last_dense(name, model)
    if last.out_features != task.likelihood.parameters:
        raise UsageError(f"{name} does not end in its last dense layer, {place}; take another one")

    # Methods have stages of their own before the last layer, so it stands apart from the rest.
    set_module(model, place, nn.Identity())
    exchanged = list[nn.Module]()
    if not options.frozen:
        exchanged = exchange(name, model, layers, started=bool(options.weights))
    features = Features(model, frozen=options.frozen)
    require_calls(name, task, nn.Sequential(Resized(options.size), features), exchanged)

    head = layers.linear(last.in_features, last.out_features)
    # Without weights of a file, a method starts its layers as it does in every network.
    if options.weights:
        carry(last, head)
    return Network(task, [Resized(options.size), features, layers.before_last(), head])


class Resized(nn.Module):
    """Images (B, C, H, W) as (B, 3, size, size); grey is repeated, and a size of 0 changes none.

    It is a layer of the network, so that attacks act on the pixels of the dataset.
    """

    random = False

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Images of three channels, resized bilinearly."""
        if self.size:
            side = (self.size, self.size)
            images = nn.functional.interpolate(images, side, mode="bilinear", antialias=False)
        if images.shape[1] == 1:
            # Views alone: nothing is copied.
            images = images.expand(-1, CHANNELS, -1, -1)
        return images


class Features(nn.Module):
    """A model without its last dense layer; frozen, nothing in it is trained.

    Values of a frozen model are buffers, so that a method counts and changes the last layer alone,
    and its batch normalisation keeps the statistics that it came with.
    """

    random = False

    def __init__(self, model: nn.Module, *, frozen: bool) -> None:
        super().__init__()
        self.model, self.frozen = model, frozen
        for part in model.modules():
            # Known not to draw noise once it is trained; a layer of a method says so itself.
            if type(part).__module__.partition(".")[0] in PACKAGES:
                part.random = False  # type: ignore[assignment]
            if frozen:
                as_buffers(part)
            if frozen and hasattr(part, "reset_running_stats"):
                # Methods that average weights start these statistics anew (swa, swag).
                part.reset_running_stats = keep  # type: ignore[assignment]
        if frozen:
            model.eval()

    def train(self, mode: bool = True) -> Features:
        """Training mode, but never of a frozen model."""
        # In training, batch normalisation would mix the examples of a batch.
        super().train(mode and not self.frozen)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, D)."""
        found = cast(Tensor, self.model(images))
        return found.flatten(1)


class FixedLinear(nn.Linear):
    """A dense layer of a frozen model, which is none that a method puts a posterior on."""

    random = False


class FixedConv2d(nn.Conv2d):
    """A convolution of a frozen model."""

    random = False


#: Torch's own layers, as they are called in a frozen model.
FIXED = {nn.Linear: FixedLinear, nn.Conv2d: FixedConv2d}


def keep() -> None:
    """Leave the statistics of a frozen layer as they are."""


def as_buffers(part: nn.Module) -> None:
    """Turn the parameters of a layer into buffers of the same names, and name it a fixed one."""
    # Methods that look for torch's layers, to train or to perturb them, pass over these.
    part.__class__ = FIXED.get(type(part), type(part))
    for name, value in list(part.named_parameters(recurse=False)):
        delattr(part, name)
        part.register_buffer(name, value.detach())


def last_dense(name: str, model: nn.Module) -> tuple[str, nn.Linear]:
    """Place and layer of the last dense layer, which gives the outputs."""
    dense = [(place, part) for place, part in model.named_modules() if isinstance(part, nn.Linear)]
    if not dense:
        raise UsageError(f"{name} ends in no dense layer, which methods need; take another network")
    return dense[-1]


def load(name: str, model: nn.Module, file: Path) -> None:
    """Load a state dict; a last layer for other classes is left at its start."""
    found, own = weights_in(file), model.state_dict()
    head, _ = last_dense(name, model)

    fitting = dict[str, Tensor]()
    for name, value in found.items():
        of_head = name.rpartition(".")[0] == head
        if not of_head or (name in own and value.shape == own[name].shape):
            fitting[name] = value
    try:
        left = model.load_state_dict(fitting, strict=False)
    except RuntimeError as error:
        raise BadValue(f"{file} does not fit the network: {one_line(error)}") from error

    missing = [name for name in left.missing_keys if name.rpartition(".")[0] != head]
    for told, names in (("lacks", missing), ("has besides", left.unexpected_keys)):
        if names:
            raise BadValue(f"{file} does not fit the network: it {told} {names[0]}")


def require_weights(method: str, net: nn.Module, task: Task) -> None:
    """Refuse a method that builds layers of its own in place of those whose weights were loaded."""
    package, plain, options = read(task.network)
    if not options.weights:
        return

    known = [value for value in net.state_dict().values() if value.dim() > 1]
    lost = 0
    for value in weights_in(Path(options.weights)).values():
        kept = any(one.shape == value.shape and torch.equal(one, value) for one in known)
        lost += value.dim() > 1 and not kept
    # The last layer may be the method's own.
    if lost > 1:
        raise UsageError(
            f"method {method!r} builds layers of its own, so that the weights of "
            f"{package}:{plain} would be lost: leave them out"
        )
