"""The only optimiser loop."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bench_uq.api.layers import kl, task_of
from bench_uq.api.method import Method
from bench_uq.api.task import Task
from bench_uq.train.precision import mixed, tensor_cores
from bench_uq.train.resident import Resident
from bench_uq.train.seeds import seed_of
from bench_uq.train.settings import Settings
from bench_uq.train.state import Checkpoints, put_back, state_of

#: Nats per example over the last fifth of the training; what changes less changes no prediction to speak of.
MATERIAL_FALL = 0.05

#: Training examples on which the NLL of a training curve is measured.
CURVE_EXAMPLES = 500


class Diverged(Exception):
    """The training loss is no longer a finite number."""


@dataclass(frozen=True)
class Epoch:
    """One row of training.csv; loss and NLL in nats per example."""

    member: int
    epoch: int
    loss: float  # mean over the epoch's steps
    nll: float  # of one draw on the first training examples, after the epoch
    kl: float  # KL / N after the epoch, one sample; 0 without variational layers
    seconds: float


def build(method: Method, task: Task, device: torch.device) -> nn.Module:
    """Return an untrained network on the device."""
    net = method.build(task)
    net.task = task  # type: ignore[assignment]  # a Task is neither tensor nor module
    return net.to(device)


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
    """Return the trained members and their curves; ``data`` are the training and the held-out examples.

    With ``checkpoints`` it goes on from the one that is there, and ends with the same bits as if never interrupted.
    """
    state = checkpoints.load() if checkpoints else None
    if state and state["device"] != data[0].inputs.device.type:
        state = None  # its random states are of another kind of device
    history = [Epoch(**row) for row in state["history"]] if state else []
    nets = nn.ModuleList(
        build(method, task, data[0].inputs.device) for _ in (state["finished"] if state else ())
    )
    for net, values in zip(nets, state["finished"] if state else (), strict=True):
        net.eval().load_state_dict(values)
    for member in range(len(nets), method.members):
        net = begun(method, task, data[0].inputs.device, seed, member)
        torch.manual_seed(seed_of(seed, "train", member))
        shuffling = torch.Generator().manual_seed(seed_of(seed, "shuffle", member))
        optimiser = method.optimiser(net)
        done = sum(row.member == member for row in history)
        if done:
            put_back(state, net, optimiser, shuffling)
        for epoch in range(done, settings.epochs):
            start = time.perf_counter()
            with tensor_cores(tf32=settings.precision == "tf32"):
                loss = train_epoch(
                    method,
                    net,
                    optimiser,
                    data[0],
                    shuffling,
                    (epoch, settings.epochs),
                    settings.precision,
                )
            row = observed(method, net, data[0], loss, member, (epoch + 1, settings.epochs))
            history.append(dataclasses.replace(row, seconds=time.perf_counter() - start))
            report((member + (epoch + 1) / settings.epochs) / method.members)
            if checkpoints and checkpoints.due:
                checkpoints.save(state_of(nets, net, optimiser, shuffling, history))
        nets.append(finished(method, net, data, seed, member))
    return nets, history


def begun(method: Method, task: Task, device: torch.device, seed: int, member: int) -> nn.Module:
    """Return a network as it starts, by the seed of its run and its number in it."""
    torch.manual_seed(seed_of(seed, "build", member))
    return build(method, task, device)


def observed(
    method: Method,
    net: nn.Module,
    data: Resident,
    loss: float,
    member: int,
    epochs: tuple[int, int],
) -> Epoch:
    """Return the row of an epoch that has ended, without its seconds; raise Diverged where a loss is no number.

    ``epochs`` are those done, this one included, and to do.
    """
    if not math.isfinite(loss):
        raise Diverged(f"the training loss is {loss} in epoch {epochs[0]}")
    method.observe(net, epochs[0] / epochs[1])
    row = Epoch(member, epochs[0], loss, *curve(method, net, data), 0.0)
    if not math.isfinite(row.kl):
        raise Diverged(f"the KL is {row.kl} in epoch {epochs[0]}")
    return row


def finished(
    method: Method, net: nn.Module, data: tuple[Resident, Resident], seed: int, member: int
) -> nn.Module:
    """Return a trained network in evaluation, adjusted as the method likes."""
    torch.manual_seed(seed_of(seed, "finish", member))
    method.finish(net.eval(), *data)
    return net.eval()


def train_epoch(
    method: Method,
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    data: Resident,
    shuffling: torch.Generator,
    epochs: tuple[int, int],
    precision: str = "float32",
) -> float:
    """Take one step a batch and return the mean loss; ``epochs`` are the epochs done and to do."""
    net.train()
    total = torch.zeros((), device=data.inputs.device)
    done, steps = 0, math.ceil(len(data) / data.batch)
    for step, (inputs, targets) in enumerate(data.shuffled(shuffling)):
        optimiser.zero_grad(set_to_none=True)
        with mixed(precision, data.inputs.device):
            loss = method.loss(
                net, inputs, targets, len(data), (epochs[0] + step / steps) / epochs[1]
            )
        loss.backward()
        optimiser.step()
        total += loss.detach() * len(inputs)  # no .item(): a step never waits for the device
        done += len(inputs)
    return total.item() / done


def curve(method: Method, net: nn.Module, data: Resident) -> tuple[float, float]:
    """Return the NLL of one draw on the first training examples, and KL / N."""
    net.eval()
    with torch.no_grad():
        inputs, targets = data.take(slice(0, CURVE_EXAMPLES))
        nll = -task_of(net).likelihood.log_prob(method.draws(net, inputs, 1)[0], targets).mean()
        return nll.item(), float(kl(net)) / len(data)


def converged(history: Sequence[Epoch]) -> bool:
    """Return whether no member's loss or KL / N still falls at its end.

    It falls where it loses more than 1 % an epoch, or more than MATERIAL_FALL nats over the last fifth of the training:
    on a small dataset an epoch is a few steps, in which even a KL far from its end loses less than 1 %.
    """
    for member in {row.member for row in history}:
        rows = [row for row in history if row.member == member]
        for values in ([row.loss for row in rows], [row.kl for row in rows]):
            if fall(values) > 0.01 or nats_lost(values) > MATERIAL_FALL:
                return False
    return True


def ending(values: Sequence[float]) -> np.ndarray:
    """Return the last fifth of a series, at least three values."""
    return np.array(values[-max(3, math.ceil(len(values) / 5)) :])


def slope(values: np.ndarray) -> float:
    """Return the least-squares slope of a series over its index."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def fall(values: Sequence[float]) -> float:
    """Return by which share an epoch a series falls at its end: the slope of its logarithm over the last fifth.

    Under three epochs nothing can be said, which counts as falling; a series that is not positive does not fall.
    """
    last = ending(values)
    if len(last) < 3:
        return math.inf
    return 0.0 if (last <= 0).any() else -slope(np.log(last))


def nats_lost(values: Sequence[float]) -> float:
    """Return by how much a series falls over its last fifth, by its slope there."""
    last = ending(values)
    return -slope(last) * (len(last) - 1) if len(last) >= 3 else math.inf
