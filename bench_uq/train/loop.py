"""The only optimiser loop."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bench_uq.api.layers import kl, task_of
from bench_uq.api.method import Method
from bench_uq.api.task import Task
from bench_uq.train.epoch import Diverged, Epoch
from bench_uq.train.frozen import Frozen
from bench_uq.train.gradients import Gradients
from bench_uq.train.precision import tensor_cores
from bench_uq.train.recipe import begin, step
from bench_uq.train.recorded import device_of, gradients_on
from bench_uq.train.resident import Resident
from bench_uq.train.seeds import seed_of
from bench_uq.train.settings import Settings
from bench_uq.train.state import Checkpoints, put_back, state_of

#: Training examples on which the NLL of a training curve is measured.
CURVE_EXAMPLES = 500


def train(
    method: Method,
    task: Task,
    data: tuple[Resident, Resident],
    settings: Settings,
    seed: int,
    *,
    report: Callable[[float], None] = lambda progress: None,
    checkpoints: Checkpoints | None = None,
) -> tuple[nn.ModuleList, list[Epoch]]:
    """Train all members of a run; ``data`` are the training and the held-out examples.

    With ``checkpoints`` the training continues from the stored one, and ends with the same bits as
    if it had never been interrupted.
    """
    device = data[0].inputs.device
    state = stored_state(checkpoints, device)
    history = [Epoch(**row) for row in state["history"]] if state else []
    nets, frozen = nn.ModuleList(), Frozen([data], settings)

    for values in state["finished"] if state else ():
        net = build(method, task, device)
        # A finished member is no longer trained, only predicted with.
        net.eval().load_state_dict(values)
        nets.append(net)

    for member in range(len(nets), method.members):
        net = begun(method, task, device, seed, member)
        # A member's noise does not depend on the members before it, nor on its own initial values.
        torch.manual_seed(seed_of(seed, "train", member))
        shuffling = torch.Generator().manual_seed(seed_of(seed, "shuffle", member))
        optimiser = method.optimiser(net)
        begin(optimiser, settings)
        gradients = gradients_of(method, net, len(data[0]), settings)

        done = sum(row.member == member for row in history)
        if done:
            put_back(state, net, optimiser, shuffling)

        with frozen.shown(method, [[net]]) as [shown]:
            for epoch in range(done, settings.epochs):
                start = time.perf_counter()
                progress = (epoch, settings.epochs)
                work = partial(
                    train_epoch, gradients, optimiser, shown[0], shuffling, progress, settings
                )
                with tensor_cores(tf32=settings.precision == "tf32"):
                    loss = gradients.epoch(work, optimiser, [shuffling])
                row = observed(method, net, shown[0], loss, member, (epoch + 1, settings.epochs))
                history.append(dataclasses.replace(row, seconds=time.perf_counter() - start))

                report((member + (epoch + 1) / settings.epochs) / method.members)
                if checkpoints and checkpoints.due:
                    checkpoints.save(state_of(nets, net, optimiser, shuffling, history))

            nets.append(finished(method, net, shown, seed, member))

    return nets, history


def stored_state(checkpoints: Checkpoints | None, device: torch.device) -> Any:
    """State to continue from; None without one that was made on this kind of device."""
    state = checkpoints.load() if checkpoints else None
    # Random states of a GPU mean nothing on a CPU.
    if state and state["device"] != device.type:
        return None
    return state


def build(method: Method, task: Task, device: torch.device) -> nn.Module:
    """Build an untrained network on the device."""
    net = method.build(task)
    # The engine sets the task, so that a plugin cannot forget it.
    net.task = task  # type: ignore[assignment]  # a Task is neither tensor nor module
    return net.to(device)


def begun(method: Method, task: Task, device: torch.device, seed: int, member: int) -> nn.Module:
    """Build a network with the initial values of its run's seed and its number in the run."""
    torch.manual_seed(seed_of(seed, "build", member))
    return build(method, task, device)


def gradients_of(method: Method, net: nn.Module, size: int, settings: Settings) -> Gradients:
    """Gradients of a method's loss; ``size`` is the number of training examples."""

    def loss(inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
        return method.loss(net, inputs, targets, size, progress)

    return gradients_on(device_of(net), loss, net, settings.precision)


def train_epoch(
    gradients: Gradients,
    optimiser: torch.optim.Optimizer,
    data: Resident,
    shuffling: torch.Generator,
    epochs: tuple[int, int],
    settings: Settings,
) -> float:
    """Take one step per batch and return the mean loss; ``epochs`` are those done and to do."""
    gradients.net.train()
    # The sum stays on the device, so that no step waits for it.
    total = torch.zeros((), device=data.inputs.device)
    done, steps = 0, math.ceil(len(data) / data.batch)

    for number, (inputs, targets) in enumerate(data.shuffled(shuffling)):
        progress = (epochs[0] + number / steps) / epochs[1]
        loss = gradients(inputs, targets, progress)
        step(optimiser, settings, progress, 1 / (steps * epochs[1]))

        total += loss * len(inputs)
        done += len(inputs)

    return total.item() / done


def observed(
    method: Method,
    net: nn.Module,
    data: Resident,
    loss: float,
    member: int,
    epochs: tuple[int, int],
) -> Epoch:
    """Row of an epoch that has ended, without its seconds; raise Diverged if a loss is not finite.

    ``epochs`` are the epochs done, this one included, and to do.
    """
    if not math.isfinite(loss):
        raise Diverged(f"the training loss is {loss} in epoch {epochs[0]}")

    method.observe(net, epochs[0] / epochs[1])
    row = Epoch(member, epochs[0], loss, *curve(method, net, data), 0.0)

    if not math.isfinite(row.kl):
        raise Diverged(f"the KL is {row.kl} in epoch {epochs[0]}")
    return row


def curve(method: Method, net: nn.Module, data: Resident) -> tuple[float, float]:
    """NLL of one draw on the first training examples, and KL / N, both in nats per example."""
    net.eval()
    # One draw is noisy, but costs the same for every method and shows where a training stands.
    with torch.no_grad():
        inputs, targets = data.take(slice(0, CURVE_EXAMPLES))
        outputs = method.draws(net, inputs, 1)[0]
        nll = -task_of(net).likelihood.log_prob(outputs, targets).mean()
        return nll.item(), float(kl(net)) / len(data)


def finished(
    method: Method, net: nn.Module, data: tuple[Resident, Resident], seed: int, member: int
) -> nn.Module:
    """Let the method adjust a trained network, which then stays in evaluation."""
    torch.manual_seed(seed_of(seed, "finish", member))
    method.finish(net.eval(), *data)
    return net.eval()
