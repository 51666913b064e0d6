"""Several networks trained as one batch: the seeds of a method and the members of its ensembles.

A small network leaves most of a GPU idle, and many of them side by side take little longer than
one. The method does not know: its loss is run under ``torch.func.vmap`` over stacked parameters,
and each network is a view of its slice. Networks that do not compose raise NotTogether, and are
then trained one by one (train/loop.py). See docs/decisions/016-networks-together.md.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bench_uq.api.method import Method
from bench_uq.api.task import Task
from bench_uq.train.epoch import Diverged, Epoch
from bench_uq.train.frozen import Frozen
from bench_uq.train.gradients import Gradients
from bench_uq.train.loop import begun, finished, observed, stored_state
from bench_uq.train.precision import tensor_cores
from bench_uq.train.recipe import begin, step
from bench_uq.train.recorded import gradients_on
from bench_uq.train.resident import Resident, as_floats, joined_last
from bench_uq.train.seeds import seed_of
from bench_uq.train.settings import Settings
from bench_uq.train.state import Checkpoints, put_back_together, state_together

#: Optimisers that treat every number alone, so that each slice of a stack of parameters is trained
#: as it would be by itself.
ELEMENTWISE = (
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.SGD,
)

#: Outcome of one run: its members and their curves, or why it has none.
Outcome = tuple[nn.ModuleList, list[Epoch]] | Diverged


class NotTogether(Exception):
    """The networks of a method cannot be trained as one batch, and why."""


class Loss(nn.Module):
    """A method's loss as a module, so that the values of the network can be handed in."""

    def __init__(self, method: Method, net: nn.Module, size: int) -> None:
        super().__init__()
        self.method, self.net, self.size = method, net, size

    def forward(self, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
        """Training loss of one network in nats per example."""
        return self.method.loss(self.net, inputs, targets, self.size, progress)


def train_together(
    method: Method,
    tasks: Sequence[Task],
    data: Sequence[tuple[Resident, Resident]],
    settings: Settings,
    seeds: Sequence[int],
    *,
    report: Callable[[float], None] = lambda progress: None,
    checkpoints: Checkpoints | None = None,
) -> list[Outcome]:
    """Train several runs as one batch; ``tasks``, ``data`` and ``seeds`` hold one entry per run.

    Each network starts from the same values, and sees the same batches, as it would alone. Its
    noise has the same law but comes from another stream. A network whose loss is no longer finite
    costs its run alone. With ``checkpoints``, of the same runs, the training continues from the
    stored one.
    """
    check(tasks, data)
    places = list(itertools.product(range(len(seeds)), range(method.members)))
    device = data[0][0].inputs.device
    nets = [begun(method, tasks[run], device, seeds[run], member) for run, member in places]

    own = [nets[start : start + method.members] for start in range(0, len(nets), method.members)]
    with Frozen(data, settings).shown(method, own) as shown:
        return trained(method, nets, places, shown, settings, seeds, report, checkpoints)


def trained(
    method: Method,
    nets: Sequence[nn.Module],
    places: Sequence[tuple[int, int]],
    data: Sequence[tuple[Resident, Resident]],
    settings: Settings,
    seeds: Sequence[int],
    report: Callable[[float], None],
    checkpoints: Checkpoints | None,
) -> list[Outcome]:
    """Train networks as one batch; ``places`` hold the run and the member of each."""
    device = data[0][0].inputs.device
    stacked = stack(nets)
    optimiser = method.optimiser(stacked)
    begin(optimiser, settings)
    if type(optimiser) not in ELEMENTWISE:
        raise NotTogether(f"{type(optimiser).__name__} may not treat every number alone")

    loss = of_all(Loss(method, stacked.train(), len(data[0][0])))
    gradients = gradients_on(device, loss, stacked, settings.precision, several=True)
    batches = Batched([data[run][0] for run, _ in places])
    shuffling = []
    for run, member in places:
        seed = seed_of(seeds[run], "shuffle", member)
        shuffling.append(torch.Generator().manual_seed(seed))

    # One stream for all networks: vmap draws the noise of all of them at once.
    torch.manual_seed(seed_of(seeds[0], "together", *seeds))
    history: list[list[Epoch]] = [[] for _ in seeds]
    lost, done = dict[int, Diverged](), 0

    state = stored_state(checkpoints, device)
    if state:
        put_back_together(state, nets, optimiser, shuffling)
        history = [as_rows(rows) for rows in state["history"]]
        lost = {run: Diverged(reason) for run, reason in state["lost"].items()}
        done = state["epochs"]

    for epoch in range(done, settings.epochs):
        start = time.perf_counter()
        progress = (epoch, settings.epochs)
        work = partial(train_epoch, gradients, optimiser, batches, shuffling, progress, settings)
        with tensor_cores(tf32=settings.precision == "tf32"):
            means = gradients.epoch(work, optimiser, shuffling)
        # Each network's share of the time that all take.
        share = (time.perf_counter() - start) / len(places)

        progress = (epoch + 1, settings.epochs)
        for (run, member), net, mean in zip(places, nets, means, strict=True):
            if run in lost:
                continue
            try:
                row = observed(method, net, data[run][0], mean, member, progress)
                history[run].append(dataclasses.replace(row, seconds=share))
            except Diverged as error:
                lost[run] = error

        if len(lost) == len(seeds):
            break
        report((epoch + 1) / settings.epochs)
        if checkpoints and checkpoints.due:
            state = state_together(nets, optimiser, shuffling, epoch + 1)
            state["history"] = [list(map(dataclasses.asdict, rows)) for rows in history]
            state["lost"] = {run: str(error) for run, error in lost.items()}
            checkpoints.save(state)

    outcomes: list[Outcome] = []
    for run, seed in enumerate(seeds):
        if run in lost:
            outcomes.append(lost[run])
            continue

        members = nn.ModuleList()
        for (other, member), net in zip(places, nets, strict=True):
            if other == run:
                members.append(finished(method, net, data[run], seed, member))
        # The curves of a run stand member by member, as if trained one after the other.
        outcomes.append((members, sorted(history[run], key=lambda row: row.member)))

    return outcomes


def as_rows(rows: Sequence[Mapping[str, Any]]) -> list[Epoch]:
    """Rows of training curves as they were before they were stored."""
    return [Epoch(**row) for row in rows]


def check(tasks: Sequence[Task], data: Sequence[tuple[Resident, Resident]]) -> None:
    """Refuse runs that differ in likelihood, shape of inputs or number of examples."""
    if len({len(train) for train, _ in data}) > 1:
        raise NotTogether("the runs have different numbers of training examples")

    # The scales of the inputs are buffers of each network, and may differ.
    alike = {dataclasses.replace(task, mean=(), std=()) for task in tasks}
    if len(alike) > 1:
        raise NotTogether(
            "the runs have different tasks: their targets are scaled by their training examples"
        )


def stack(nets: Sequence[nn.Module]) -> nn.Module:
    """Stack the parameters and buffers of networks in one network; each becomes a view of it."""
    stacked = copy.deepcopy(nets[0])

    for kind in ("named_parameters", "named_buffers"):
        # A layer that shares values would be stacked twice and drift apart.
        names = [name for name, _ in getattr(nets[0], kind)(remove_duplicate=False)]
        if len(names) > len(list(getattr(nets[0], kind)())):
            raise NotTogether("some of its layers share values")

        for name in names:
            path, _, own = name.rpartition(".")
            values = [getattr(net.get_submodule(path), own) for net in nets]
            joined = torch.stack([one.detach() for one in values])

            if kind == "named_parameters":
                parameter = nn.Parameter(joined, values[0].requires_grad)
                setattr(stacked.get_submodule(path), own, parameter)
                for one, part in zip(values, joined, strict=True):
                    one.data = part
            else:
                setattr(stacked.get_submodule(path), own, joined)
                for net, part in zip(nets, joined, strict=True):
                    setattr(net.get_submodule(path), own, part)

    return stacked


def of_all(loss: Loss) -> Callable[[Tensor, Tensor, float], Tensor]:
    """Function from inputs (M, B, ...), targets (M, B) and progress to all M losses, (M,)."""
    values = (dict(loss.named_parameters()), dict(loss.named_buffers()))

    def one(values: Any, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
        return functional_call(loss, values, (inputs, targets, progress))

    # Different noise in each network, as each would have alone.
    every = vmap(one, in_dims=(0, 0, 0, None), randomness="different")

    def losses(inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
        try:
            return every(values, inputs, targets, progress)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            # Torch's error for an operation that has no batching rule.
            raise NotTogether(str(error)) from error

    return losses


class Batched:
    """Training examples of several networks; those of one run are held once, at an offset."""

    def __init__(self, data: Sequence[Resident]) -> None:
        # Members of a run share one array; by identity, because equal arrays would cost a
        # comparison.
        different = list({id(one): one for one in data}.values())
        self.size, self.batch = len(data[0]), data[0].batch

        offsets = {id(one): index * self.size for index, one in enumerate(different)}
        self.offsets = torch.tensor([offsets[id(one)] for one in data]).unsqueeze(1)

        self.inputs, self.targets = different[0].inputs, different[0].targets
        if len(different) > 1:
            self.inputs = torch.cat([one.inputs for one in different])
            self.targets = torch.cat([one.targets for one in different])

    def shuffled(self, generators: Sequence[torch.Generator]) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs (M, B, ...) and targets (M, B), each network's in the order of its generator."""
        orders = [torch.randperm(self.size, generator=generator) for generator in generators]
        order = (torch.stack(orders) + self.offsets).to(self.inputs.device)

        for index in joined_last(order.split(self.batch, dim=1), dim=1):
            yield as_floats(self.inputs[index]), self.targets[index]


def train_epoch(
    gradients: Gradients,
    optimiser: torch.optim.Optimizer,
    batches: Batched,
    shuffling: Sequence[torch.Generator],
    epochs: tuple[int, int],
    settings: Settings,
) -> list[float]:
    """Take one step per batch with all networks; return the mean loss of each.

    ``epochs`` are the epochs done and to do.
    """
    total: Tensor | float = 0.0
    steps = math.ceil(batches.size / batches.batch)

    for number, (inputs, targets) in enumerate(batches.shuffled(shuffling)):
        progress = (epochs[0] + number / steps) / epochs[1]
        losses = gradients(inputs, targets, progress)
        length = 1 / (steps * epochs[1])
        step(optimiser, settings, progress, length, networks=len(inputs))
        total = total + losses * inputs.shape[1]

    assert isinstance(total, Tensor)
    return [value / batches.size for value in total.tolist()]
