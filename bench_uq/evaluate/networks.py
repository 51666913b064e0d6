"""Trained models of others as networks that bench-uq predicts with and attacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from bench_uq.api.errors import BadValue, one_line
from bench_uq.api.method import Method
from bench_uq.api.task import Task
from bench_uq.evaluate.choice import Outputs
from bench_uq.run.imported.values import TOLERANCE

#: Examples by which a model's outputs are looked at.
PROBE = 16


@dataclass(frozen=True)
class Foreign(Method):
    """A model that was trained elsewhere: its network knows how to draw."""

    reference = ""

    def build(self, task: Task) -> nn.Module:
        """Nothing is built: the model is there."""
        raise TypeError("a model that was trained elsewhere is not built")

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """At most ``count`` draws (S, B, C)."""
        assert isinstance(net, Given | Called)
        return net.draws(inputs, count)


@dataclass(frozen=True)
class Reading:
    """How a model's outputs become log-probabilities."""

    outputs: Outputs = "auto"
    output: str | int | None = None  # the part of a tuple or dict
    binary: bool = False

    def tensor(self, found: Any) -> Tensor:
        """The one tensor among the outputs of a model."""
        if self.output is not None and not isinstance(found, Tensor):
            found = part_of(found, self.output)

        if isinstance(found, np.ndarray):
            found = torch.from_numpy(found)
        if isinstance(found, Tensor):
            return found

        raise BadValue(
            f"the model returns a {named(found)}, not one tensor of class scores: say which part "
            "they are (output='logits' of a dict, output=0 of a tuple)"
        )

    def columns(self, found: Tensor, kind: Outputs) -> Tensor:
        """Log-probabilities (..., B, C) of logits or probabilities, in single precision."""
        found = found.float()
        if self.binary:
            found = found.squeeze(-1)
            if kind == "probs":
                return torch.stack((1 - found, found), -1).clamp_min(TINY).log()
            return torch.stack((logsigmoid(-found), logsigmoid(found)), -1)

        if kind == "probs":
            return found.clamp_min(TINY).log()
        return found.log_softmax(-1)

    def settled(self, found: Tensor, kind: Outputs) -> Tensor:
        """Log-probabilities of outputs whose kind was seen from the first examples."""
        # One number per example may lie in [0, 1] by chance.
        if self.binary and kind == "probs" and self.outputs == "auto":
            outside = (found < 0) | (found > 1 + TOLERANCE)
            if bool(outside.any()):
                raise BadValue(
                    f"the model's numbers for the first {PROBE} examples lie in [0, 1] and others "
                    "do not: say outputs='logits' or outputs='probs'"
                )
        return self.columns(found, kind)

    def kind(self, found: Tensor) -> Outputs:
        """The kind of the numbers, as they were called or as they look."""
        if self.outputs != "auto":
            return self.outputs

        within = bool(((found >= 0) & (found <= 1 + TOLERANCE)).all())
        if self.binary:
            return "probs" if within else "logits"
        sums = (found.float().sum(-1) - 1).abs() <= TOLERANCE
        return "probs" if within and bool(sums.all()) else "logits"


def part_of(found: Any, output: str | int) -> Any:
    """A part of what a model returns: an entry of a tuple or a dict, or an attribute."""
    try:
        return found[output]
    except (KeyError, IndexError, TypeError) as error:
        if isinstance(output, str) and hasattr(found, output):
            return getattr(found, output)
        raise BadValue(f"the model returns a {named(found)}, without {output!r}") from error


def named(found: Any) -> str:
    """Type of what a model returns, and the names of its parts where it has some."""
    parts = list(found) if isinstance(found, Mapping) else list(getattr(found, "__dict__", ()))
    named = f" with {', '.join(map(repr, parts))}" if parts else ""
    return type(found).__name__ + named


#: A probability of 0 in single precision, whose logarithm must be finite.
TINY = float(np.finfo(np.float32).tiny)


class Given(nn.Module):
    """A network of others, with the normalisation that it expects of pixels in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        reading: Reading,
        scales: tuple[Tensor, Tensor] | None,
        *,
        random: bool,
    ) -> None:
        super().__init__()
        self.net, self.reading, self.random = net, reading, random
        self.kind: Outputs = reading.outputs
        self.squashed = False
        # A network in double or half precision takes no other inputs.
        weights = [one.dtype for one in net.parameters() if one.is_floating_point()]
        self.precision = weights[0] if len(set(weights)) == 1 else torch.float32

        # Buffers, so that they move to the device together with the network.
        mean, std = scales or (torch.zeros(1), torch.ones(1))
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.scaled = scales is not None

    def raw(self, inputs: Tensor) -> Tensor:
        """The tensor that the network returns for inputs in [0, 1]."""
        if self.scaled:
            inputs = (inputs - self.mean) / self.std
        found = self.reading.tensor(self.net(inputs.to(self.precision)))
        require_gradient(found, inputs, "model")
        return found

    def draws(self, inputs: Tensor, count: int) -> Tensor:
        """Log-probabilities (S, B, C): a pass per draw, or one if nothing in it is random."""
        passes = []
        for _ in range(count if self.random else 1):
            passes.append(self.reading.settled(self.raw(inputs), self.kind))
        return torch.stack(passes)


class Called(nn.Module):
    """A function (inputs, draws) -> (S, B, C) of others."""

    def __init__(self, function: Callable[[Tensor, int], Any], reading: Reading) -> None:
        super().__init__()
        self.function, self.reading = function, reading
        self.kind: Outputs = reading.outputs
        self.squashed = False

    def raw(self, inputs: Tensor, count: int = 2) -> Tensor:
        """The tensor that the function returns."""
        found = self.reading.tensor(self.function(inputs, count))
        require_gradient(found, inputs, "function")
        return found.to(inputs.device)

    def draws(self, inputs: Tensor, count: int) -> Tensor:
        """Log-probabilities (S, B, C)."""
        return self.reading.settled(self.raw(inputs, count), self.kind)


def require_gradient(found: Tensor, inputs: Tensor, name: str) -> None:
    """Require outputs with a gradient in the inputs where an attack asks for one."""
    if inputs.requires_grad and torch.is_grad_enabled() and not found.requires_grad:
        raise BadValue(
            f"the {name}'s outputs have no gradient in its inputs, which attacks follow: compute "
            "them by torch, without no_grad, detach(), numpy(), argmax and one_hot"
        )


def networks(
    models: Sequence[Any],
    reading: Reading,
    scales: tuple[Tensor, Tensor] | None,
    *,
    mc_dropout: bool,
) -> nn.ModuleList:
    """Wrap each model; all of them are networks, or there is one function."""
    found = list[nn.Module]()
    for model in models:
        if isinstance(model, nn.Module):
            found.append(Given(model, reading, scales, random=mc_dropout))
            continue

        if not callable(model) or len(models) > 1:
            raise BadValue(
                f"a {type(model).__name__} is no model: give an nn.Module, a list of them, or one "
                "function (inputs, draws) -> (S, B, C)"
            )
        if scales is not None or mc_dropout:
            raise BadValue("mean, std and mc_dropout are of networks: a function has its own")
        found.append(Called(model, reading))

    return nn.ModuleList(found)


@contextmanager
def lent(nets: nn.ModuleList, device: torch.device, *, mc_dropout: bool) -> Iterator[list[str]]:
    """Hold the networks on a device in evaluation, and give them back as they were.

    With ``mc_dropout`` dropout layers stay on, and all others, such as batch norm, still.
    """
    before = [(layer, layer.training) for layer in nets.modules()]
    places = {name: weights.device for name, weights in nets.named_parameters()}
    notes = list[str]()
    inner = [net.net for net in nets if isinstance(net, Given)]
    trained = [net for net in inner if net.training]

    try:
        still(nets.to(device))
        if not all(net.training for net in trained):
            notes.append("The model was in training mode; it was evaluated in evaluation mode.")
        if mc_dropout:
            switch_on(nets)
        yield notes
    finally:
        for layer, training in before:
            layer.training = training
        moved = {name: place for name, place in places.items() if place != device}
        if moved:
            nets.to(next(iter(moved.values())))


def still(nets: nn.ModuleList) -> None:
    """Put networks into evaluation mode; an exported program is in the mode of its export."""
    for net in nets:
        try:
            net.eval()
        except NotImplementedError:
            # torch.export forbids it in its modules, whatever their mode.
            continue


def switch_on(nets: nn.ModuleList) -> None:
    """Put all dropout layers into training mode."""
    layers = [one for one in nets.modules() if isinstance(one, nn.modules.dropout._DropoutNd)]
    if not layers:
        raise BadValue(
            "mc_dropout=True, but the model has no dropout layer (nn.Dropout and its like; a call "
            "of F.dropout cannot be switched on)"
        )
    for layer in layers:
        layer.train()


def probe(net: nn.Module, inputs: Tensor) -> int:
    """Try a model on a few examples, settle the kind of its outputs, and count the classes."""
    assert isinstance(net, Given | Called)
    try:
        with torch.no_grad():
            found = net.raw(inputs)
    except BadValue:
        raise
    except Exception as error:
        # A model of others may raise anything.
        shape = tuple(inputs.shape)
        raise BadValue(
            f"the model fails on inputs of shape {shape}: {one_line(error)}{advice(net, shape)}"
        ) from error

    leading = 1 if isinstance(net, Given) else 2
    check_shape(net.reading, found, inputs, leading)
    if not torch.isfinite(found).all():
        raise BadValue("the model's outputs are not finite: NaN or infinity")
    net.kind = net.reading.kind(found)
    # Of so many numbers hardly one of logits.
    within = bool(((found >= 0) & (found <= 1)).all())
    net.squashed = net.kind == "logits" and within and net.reading.outputs == "auto"
    check_kind(net.reading, found)
    if isinstance(net, Given) and not net.random:
        check_steady(net, inputs, found)
    return 2 if net.reading.binary else int(found.shape[-1])


def advice(net: Given | Called, shape: tuple[int, ...]) -> str:
    """Advice on inputs that a model fails on."""
    if isinstance(net, Called):
        return " (a function takes inputs and a number of draws, and returns (S, B, C))"
    if len(shape) == 4 and shape[-1] in (1, 3, 4) and shape[1] not in (1, 3, 4):
        return " (are the channels last? torch has them first: np.moveaxis(images, -1, 1))"
    if len(shape) == 3:
        return " (are these images without channels? images[:, None] has one)"
    return ""


def check_kind(reading: Reading, found: Tensor) -> None:
    """Refuse outputs that are not those which the caller says they are."""
    looks = dataclasses.replace(reading, outputs="auto").kind(found)
    if reading.outputs == "probs" and looks == "logits":
        raise BadValue(
            "outputs='probs', but the model's numbers are no probabilities of classes: if they are "
            "logits, leave outputs out"
        )
    # The logits of two classes as one number may lie in [0, 1] by chance.
    if reading.outputs == "logits" and looks == "probs" and not reading.binary:
        raise BadValue(
            "outputs='logits', but every row of the model's numbers is non-negative and sums to 1: "
            "these are probabilities, which a second softmax would flatten; leave outputs out"
        )


def check_steady(net: Given, inputs: Tensor, found: Tensor) -> None:
    """Refuse a network that gives other outputs the second time: its noise would be no draws."""
    with torch.no_grad():
        again = net.raw(inputs)
    # Some operations on a GPU sum in another order each time.
    if not torch.allclose(found.float(), again.float(), rtol=1e-2, atol=1e-2):
        raise BadValue(
            "the model gives other outputs each time, also in evaluation mode, as F.dropout does "
            "without training=self.training: mend that, or give a function (inputs, draws) -> "
            "(S, B, C) whose draws these are"
        )


def check_shape(reading: Reading, found: Tensor, inputs: Tensor, leading: int) -> None:
    """Require (B, C) of a network and (S, B, C) of a function, without C for two classes."""
    axes, wanted = ("S", "B")[-leading:], leading
    shape = tuple(found.shape)
    whole = len(shape) >= wanted and shape[leading - 1] == len(inputs)
    single = whole and (len(shape) == wanted or (len(shape) == wanted + 1 and shape[-1] == 1))
    if not found.is_floating_point() and single:
        raise BadValue(
            f"the model returns whole numbers {shape}, such as predicted classes: give the scores "
            "of the classes that they were chosen by"
        )
    if found.is_complex():
        raise BadValue("the model returns complex numbers, not class scores")
    if single and not reading.binary:
        raise BadValue(
            f"the model returns one number per example, {shape}: give binary=True if it is the "
            "logit or the probability of class 1"
        )
    if reading.binary and whole and not single:
        raise BadValue(
            f"the model returns {shape}: leave binary out where every class has a column"
        )

    if not single and not (whole and len(shape) == wanted + 1):
        expected = ", ".join([*axes, "C"])
        raise BadValue(
            f"the model returns {shape} for {len(inputs)} examples, not ({expected}): class scores"
        )
