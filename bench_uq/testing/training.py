"""What the networks of a method promise: they are built whole, train, learn, and are restored from their state."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from bench_uq.api.layers import Network
from bench_uq.api.networks import network
from bench_uq.testing import Note, NotReached, Target, require
from bench_uq.testing.method_trials import HELD_OUT, MethodTrial, same, trials


@functools.lru_cache(maxsize=2)  # draws are those of the networks trained here
def subjects(target: Target) -> Sequence[MethodTrial]:
    """Return the method on its tasks."""
    return trials(target)


def check_suits(trial: MethodTrial) -> None:
    """It says of a task whether there is such a method for it."""
    suits = trial.method.suits(trial.task)
    require(suits is True, f"suits returns {suits!r}, not True or False")


def check_build(trial: MethodTrial) -> None:
    """A network maps inputs (B, ...) in [0, 1] to finite outputs (B, P), small and larger images alike."""
    for size in dict.fromkeys((trial.task.input_shape, larger(trial.task.input_shape))):
        one = trial.like(dataclasses.replace(trial.task, input_shape=size))
        if one.suited:
            require(not (fault := one.fault()), fault)


def larger(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the size of larger images."""
    return (shape[0], 28, 28) if len(shape) == 3 else shape


def check_optimiser(trial: MethodTrial) -> None:
    """The optimiser holds every trainable parameter."""
    net = trial.needed()
    held = {
        id(values)
        for group in trial.method.optimiser(net).param_groups
        for values in group["params"]
    }
    left = [name for name, values in trainable(net) if id(values) not in held]
    require(not left, f"the optimiser lacks {', '.join(left)}")


def trainable(net: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return the parameters that are to be trained, by name."""
    return [(name, values) for name, values in net.named_parameters() if values.requires_grad]


def check_loss(trial: MethodTrial) -> None:
    """The loss is one finite number."""
    loss = trial.loss(trial.needed(), *trial.batch())
    require(
        loss.shape == (),
        f"the loss is of shape {tuple(loss.shape)}: return the mean over the batch",
    )
    require(bool(loss.isfinite()), f"the loss of an untrained network is {loss.item()}")


def check_gradients(trial: MethodTrial) -> None:
    """Every trainable parameter has a finite gradient, on black and white inputs too."""
    net = trial.needed()
    loss = trial.needed_loss(net, *trial.batch())
    gradients = torch.autograd.grad(
        loss, [values for _, values in trainable(net)], allow_unused=True
    )
    found = dict(zip((name for name, _ in trainable(net)), gradients, strict=True))
    unused = [name for name, gradient in found.items() if gradient is None]
    require(
        not unused,
        f"the loss does not depend on {', '.join(unused)}: freeze it or keep it in a buffer",
    )
    bad = [
        name
        for name, gradient in found.items()
        if gradient is not None and not gradient.isfinite().all()
    ]
    require(not bad, f"gradients are not finite in {', '.join(bad)}")
    require(
        any(gradient is not None and gradient.any() for gradient in gradients),
        "all gradients are 0",
    )


def check_loss_alone(trial: MethodTrial) -> None:
    """The loss by itself writes no gradient into a parameter, and leaves the inputs alone."""
    net, (inputs, targets) = trial.needed(), trial.batch()
    before = inputs.clone()
    trial.needed_loss(net, inputs, targets)
    written = [name for name, values in net.named_parameters() if values.grad is not None]
    require(
        not written,
        f"the loss wrote .grad of {', '.join(written)}: use torch.autograd.grad, not backward",
    )
    require(
        inputs.equal(before) and not inputs.requires_grad,
        "the loss changed its inputs: work on inputs.detach()",
    )


def check_trains(trial: MethodTrial) -> None:
    """A training runs through: loss, optimiser, observe after each epoch, finish at the end."""
    if trial.shape_fault:
        raise NotReached("'draws' fails")
    if isinstance(trial.training, Exception):
        raise trial.training


def check_state(trial: MethodTrial) -> None:
    """After training the state has the names, shapes and types that it had after build: build allocates all."""
    require(not (fault := restructured(trial)), f"after training {fault}: allocate it in build")


def restructured(trial: MethodTrial) -> str:
    """Return how training changed the structure of the state, empty where it did not."""
    before, after = (described(net) for net in (trial.needed(), trial.trained))
    for name in (*before, *after):
        if before.get(name) != after.get(name):
            return f"{name!r} is {after.get(name, 'not there')}, after build {before.get(name, 'not there')}"
    return ""


def described(net: nn.Module) -> dict[str, str]:
    """Return shape and type of everything in a state."""
    return {
        name: f"{tuple(value.shape)} {value.dtype}"
        if isinstance(value, Tensor)
        else f"a {type(value).__name__}"
        for name, value in net.state_dict().items()
    }


def check_restores(trial: MethodTrial) -> None:
    """A strict load of the stored state into a fresh build restores the draws exactly."""
    net, (inputs, _) = trial.comparable, trial.batch()
    if restructured(trial):
        raise NotReached("'state' fails")
    stored = save({name: value.detach().contiguous() for name, value in net.state_dict().items()})
    other = trial.like(trial.task)
    fresh = other.needed(seed=1)
    fresh.load_state_dict(load(stored), strict=True)
    require(
        same(other.draws(fresh.eval(), inputs), trial.draws(net, inputs)),
        "a restored network draws otherwise: what draws depend on belongs into parameters and buffers",
    )


def check_learns(trial: MethodTrial) -> None:
    """After a few epochs the predictions for new digits are far better than guessing."""
    if trial.optional:
        return
    inputs, targets = (
        torch.from_numpy(array[:HELD_OUT]) for array in dataclasses.astuple(trial.examples)
    )
    draws = torch.cat([trial.draws(net, inputs) for net in trial.members])
    if not draws.isfinite().all():
        raise NotReached("'finite' fails")
    probs = trial.task.likelihood.normalise(draws).exp().mean(0)  # (B, C)
    accuracy = (probs.argmax(-1) == targets).float().mean().item()
    nll = -probs.gather(-1, targets[:, None]).log().mean().item()
    words = f"accuracy {accuracy:.2f} and NLL {nll:.2f} nats after 4 epochs, guessing has 0.10 and {math.log(10):.2f}"
    require(accuracy > 0.3 and nll < math.log(10), words)


def check_architecture(trial: MethodTrial) -> None:
    """It builds the task's network from its layers, so that methods do not differ in architecture."""
    net, (inputs, _) = trial.needed(), trial.batch()
    plain = widths(network(trial.task), inputs)
    found = [widths(module, inputs) for module in net.modules() if isinstance(module, Network)]
    if found != [plain] * max(1, len(found)):
        raise Note("differs in architecture from the task's network: see bench_uq.api.network")


def widths(net: Network, inputs: Tensor) -> list[tuple[int, ...]]:
    """Return the output shapes of a network's stages."""
    with torch.no_grad():
        return [tuple(outputs.shape[1:]) for outputs in passed(net, inputs)]


def passed(net: Network, inputs: Tensor) -> Iterator[Tensor]:
    """Yield what comes out of each stage."""
    for stage in net.eval().stages:
        inputs = stage(inputs)
        yield inputs
