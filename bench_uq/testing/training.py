"""Requirements of a method's networks: build, train, learn, and restore from the stored state."""

from __future__ import annotations

import dataclasses
import math

import torch
from safetensors.torch import load
from torch import Tensor, nn

from bench_uq.api.layers import Network
from bench_uq.api.networks import network
from bench_uq.testing.contract import Note, NotReached, require
from bench_uq.testing.method_trials import HELD_OUT, SETTINGS, MethodTrial, subjects
from bench_uq.testing.tensors import described, same
from bench_uq.train.state import stored

__all__ = ["subjects"]


def check_suits(trial: MethodTrial) -> None:
    """suits(task) returns True or False."""
    suits = trial.method.suits(trial.task)
    require(suits is True, f"suits returns {suits!r}, not True or False")


def check_build(trial: MethodTrial) -> None:
    """A network maps small and larger inputs (B, ...) in [0, 1] to finite outputs (B, P)."""
    # A method must not depend on one size of images.
    shape = trial.task.input_shape
    larger = (shape[0], 28, 28) if len(shape) == 3 else shape
    for size in dict.fromkeys((shape, larger)):
        one = trial.like(dataclasses.replace(trial.task, input_shape=size))
        if one.suited:
            fault = one.fault()
            require(not fault, fault)


def check_optimiser(trial: MethodTrial) -> None:
    """The optimiser holds every trainable parameter."""
    if trial.below:
        # Its base is trained, and has checks of its own.
        return
    net, held = trial.needed(), set[int]()
    for group in trial.method.optimiser(net).param_groups:
        held |= set(map(id, group["params"]))
    # By identity, because == compares tensors element by element.
    left = [name for name, values in trainable(net).items() if id(values) not in held]
    require(not left, f"the optimiser lacks {', '.join(left)}")


def trainable(net: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable parameters by name."""
    return {name: values for name, values in net.named_parameters() if values.requires_grad}


def check_loss(trial: MethodTrial) -> None:
    """The loss is one finite number."""
    if trial.below:
        # Its base is trained, and has checks of its own.
        return
    loss = trial.loss(trial.needed(), *trial.batch())
    shape = tuple(loss.shape)
    require(shape == (), f"the loss is of shape {shape}: return the mean over the batch")
    require(loss.isfinite(), f"the loss of an untrained network is {loss.item()}")


def check_gradients(trial: MethodTrial) -> None:
    """Every trainable parameter has a finite gradient, also for black and white inputs."""
    if trial.below:
        # Its base is trained, and has checks of its own.
        return
    net = trial.needed()
    loss, parameters = trial.needed_loss(net, *trial.batch()), trainable(net)
    # Unlike backward it leaves no .grad behind, which check_loss_alone looks for.
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)

    unused, bad, zero = list[str](), list[str](), True
    for name, gradient in zip(parameters, gradients, strict=True):
        if gradient is None:
            unused.append(name)
            continue
        if not gradient.isfinite().all():
            bad.append(name)
        zero = zero and not gradient.any()

    advice = "freeze it or keep it in a buffer"
    require(not unused, f"the loss does not depend on {', '.join(unused)}: {advice}")
    require(not bad, f"gradients are not finite in {', '.join(bad)}")
    require(not zero, "all gradients are 0")


def check_loss_alone(trial: MethodTrial) -> None:
    """The loss writes no gradient into a parameter, and leaves the inputs alone."""
    if trial.below:
        # Its base is trained, and has checks of its own.
        return
    net, (inputs, targets) = trial.needed(), trial.batch()
    before = inputs.clone()
    trial.needed_loss(net, inputs, targets)

    written = [name for name, values in net.named_parameters() if values.grad is not None]
    advice = "use torch.autograd.grad, not backward"
    require(not written, f"the loss wrote .grad of {', '.join(written)}: {advice}")
    untouched = inputs.equal(before) and not inputs.requires_grad
    require(untouched, "the loss changed its inputs: work on inputs.detach()")


def check_trains(trial: MethodTrial) -> None:
    """Training runs through: loss, optimiser, observe after each epoch, finish at the end."""
    if trial.shape_fault:
        raise NotReached("'draws' fails")
    if isinstance(trial.training, Exception):
        raise trial.training


def check_state(trial: MethodTrial) -> None:
    """Training keeps the names, shapes and types of the state: build allocates everything."""
    fault = restructured(trial)
    require(not fault, f"after training {fault}: allocate it in build")


def restructured(trial: MethodTrial) -> str:
    """How training changed the structure of the state; empty if it did not."""
    before, after = structure(trial.needed()), structure(trial.trained)
    for name in (*before, *after):
        was, is_now = before.get(name, "absent"), after.get(name, "absent")
        if was != is_now:
            return f"{name!r} is {is_now}, after build {was}"
    return ""


def structure(net: nn.Module) -> dict[str, str]:
    """Shape and type of everything in a state."""
    found = {}
    for name, value in net.state_dict().items():
        known = isinstance(value, Tensor)
        found[name] = described(value) if known else f"a {type(value).__name__}"
    return found


def check_restores(trial: MethodTrial) -> None:
    """Loading the stored state into a fresh network restores the draws exactly."""
    net, (inputs, _) = trial.comparable, trial.batch()
    if restructured(trial):
        raise NotReached("'state' fails")

    # By way of bytes, as the engine stores it.
    content = stored(net)
    other = trial.like(trial.task)
    # Another seed, so that values which are not stored differ.
    fresh = other.needed(seed=1)
    fresh.load_state_dict(load(content), strict=True)
    restored = same(other.draws(fresh.eval(), inputs), trial.draws(net, inputs))
    advice = "keep everything that draws depend on in parameters and buffers"
    require(restored, f"a restored network draws otherwise: {advice}")


def check_learns(trial: MethodTrial) -> None:
    """After a few epochs the predictions for new digits are far better than guessing."""
    # Real targets have no accuracy.
    if trial.optional:
        return
    inputs = torch.from_numpy(trial.examples.inputs[:HELD_OUT])
    targets = torch.from_numpy(trial.examples.targets[:HELD_OUT])
    draws = torch.cat([trial.draws(net, inputs) for net in trial.members])
    if not draws.isfinite().all():
        raise NotReached("'finite' fails")

    probs = trial.task.likelihood.normalise(draws).exp().mean(0)  # (B, C)
    accuracy = (probs.argmax(-1) == targets).float().mean().item()
    nll = -probs.gather(-1, targets[:, None]).log().mean().item()
    learned = f"accuracy {accuracy:.2f} and NLL {nll:.2f} nats after {SETTINGS.epochs} epochs"
    guessing = f"guessing has 0.10 and {math.log(10):.2f}"
    # Thresholds far from any sound method's values, so that no seed decides.
    require(accuracy > 0.3 and nll < math.log(10), f"{learned}, {guessing}")


def check_architecture(trial: MethodTrial) -> None:
    """The task's network is built from the method's layers: methods share one architecture."""
    net, (inputs, _) = trial.needed(), trial.batch()
    plain = widths(network(trial.task), inputs)
    found = [widths(module, inputs) for module in net.modules() if isinstance(module, Network)]
    if found != [plain] * max(1, len(found)):
        raise Note("differs in architecture from the task's network: see bench_uq.api.network")


def widths(net: Network, inputs: Tensor) -> list[tuple[int, ...]]:
    """Output shapes of a network's stages."""
    found = []
    with torch.no_grad():
        for stage in net.eval().stages:
            inputs = stage(inputs)
            found.append(tuple(inputs.shape[1:]))
    return found
