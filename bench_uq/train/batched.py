"""Several networks trained as one batch dimension: the seeds of a method and the members of its ensembles.

On a GPU a small network leaves most of the device idle; many of them side by side take little longer than one. The
method does not know: its loss is run under ``torch.func.vmap`` over parameters that are stacked, and each network is a
view of its slice. What does not compose is told by NotTogether, and trained one network at a time by train.py.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bench_uq.api.method import Method
from bench_uq.api.task import Task
from bench_uq.train.loop import Diverged, Epoch, begun, finished, observed
from bench_uq.train.precision import mixed, tensor_cores
from bench_uq.train.resident import Resident
from bench_uq.train.seeds import seed_of
from bench_uq.train.settings import Settings

#: Optimisers that treat every number alone, so that a stack of parameters is trained as each of them would be.
ELEMENTWISE = (
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.SGD,
)

#: What a run comes to: its members and their curves, or why it has none.
Outcome = tuple[nn.ModuleList, list[Epoch]] | Diverged


class NotTogether(Exception):
    """The networks of a method cannot be trained as one; says why."""


class Loss(nn.Module):
    """A method's loss of a network as a module, so that the network's values can be handed in."""

    def __init__(self, method: Method, net: nn.Module, size: int) -> None:
        super().__init__()
        self.method, self.net, self.size = method, net, size

    def forward(self, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
        """Return the training loss of one network."""
        return self.method.loss(self.net, inputs, targets, self.size, progress)


def train_together(
    method: Method,
    tasks: Sequence[Task],
    data: Sequence[tuple[Resident, Resident]],
    settings: Settings,
    seeds: Sequence[int],
    *,
    report: Callable[[float], None] = lambda progress: None,
) -> list[Outcome]:
    """Return what each run comes to; ``tasks``, ``data`` (for training and held out) and ``seeds`` are those of runs.

    Each network starts from the values, and sees the batches, that it would alone; noise is of the same law but another
    stream. One whose loss is no longer finite costs its run alone.
    """
    check(tasks, data)
    places = [(run, member) for run in range(len(seeds)) for member in range(method.members)]
    device = data[0][0].inputs.device
    nets = [begun(method, tasks[run], device, seeds[run], member) for run, member in places]
    stacked = stack(nets)
    optimiser = method.optimiser(stacked)
    if type(optimiser) not in ELEMENTWISE:
        raise NotTogether(f"{type(optimiser).__name__} may not treat every number alone")
    loss = of_all(Loss(method, stacked.train(), len(data[0][0])))
    batches = Batched([data[run][0] for run, _ in places])
    shuffling = [
        torch.Generator().manual_seed(seed_of(seeds[run], "shuffle", member))
        for run, member in places
    ]
    torch.manual_seed(seed_of(seeds[0], "together", *seeds))
    history: list[list[Epoch]] = [[] for _ in seeds]
    lost = dict[int, Diverged]()
    for epoch in range(settings.epochs):
        start = time.perf_counter()
        with tensor_cores(tf32=settings.precision == "tf32"):
            means = train_epoch(
                loss, optimiser, batches, shuffling, (epoch, settings.epochs), settings.precision
            )
        share = (time.perf_counter() - start) / len(
            places
        )  # a network's share of the time that all take
        for (run, member), net, mean in zip(places, nets, means, strict=True):
            if run not in lost:
                try:
                    row = observed(
                        method, net, data[run][0], mean, member, (epoch + 1, settings.epochs)
                    )
                    history[run].append(dataclasses.replace(row, seconds=share))
                except Diverged as error:
                    lost[run] = error
        if len(lost) == len(seeds):
            break
        report((epoch + 1) / settings.epochs)
    outcomes: list[Outcome] = []
    for run, seed in enumerate(seeds):
        if run in lost:
            outcomes.append(lost[run])
            continue
        own = [
            (net, member) for net, (other, member) in zip(nets, places, strict=True) if other == run
        ]
        members = nn.ModuleList(
            finished(method, net, data[run], seed, member) for net, member in own
        )
        outcomes.append(
            (members, sorted(history[run], key=lambda row: row.member))
        )  # as one after the other
    return outcomes


def check(tasks: Sequence[Task], data: Sequence[tuple[Resident, Resident]]) -> None:
    """Refuse runs whose networks have not the same likelihood, shape of inputs and number of examples."""
    if len({len(train) for train, _ in data}) > 1:
        raise NotTogether("the runs have different numbers of training examples")
    if any(
        dataclasses.replace(task, mean=(), std=()) != dataclasses.replace(tasks[0], mean=(), std=())
        for task in tasks
    ):
        raise NotTogether(
            "the runs have different tasks: their targets are scaled by their training examples"
        )


def stack(nets: Sequence[nn.Module]) -> nn.Module:
    """Return one network whose parameters and buffers are those of all, stacked; the networks become views of it."""
    stacked = copy.deepcopy(nets[0])
    for kind in ("named_parameters", "named_buffers"):
        names = [name for name, _ in getattr(nets[0], kind)(remove_duplicate=False)]
        if len(names) > len(list(getattr(nets[0], kind)())):
            raise NotTogether("some of its layers share values")
        for name in names:
            path, _, own = name.rpartition(".")
            values = [getattr(net.get_submodule(path), own) for net in nets]
            joined = torch.stack([one.detach() for one in values])
            if kind == "named_parameters":
                setattr(
                    stacked.get_submodule(path), own, nn.Parameter(joined, values[0].requires_grad)
                )
                for one, part in zip(values, joined, strict=True):
                    one.data = part
            else:
                setattr(stacked.get_submodule(path), own, joined)
                for net, part in zip(nets, joined, strict=True):
                    setattr(net.get_submodule(path), own, part)
    return stacked


def of_all(loss: Loss) -> Callable[[Tensor, Tensor, float], Tensor]:
    """Return a function that gives the losses of all networks, (M,), from inputs (M, B, ...), targets and progress."""
    values = (dict(loss.named_parameters()), dict(loss.named_buffers()))

    def one(values: Any, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
        return functional_call(loss, values, (inputs, targets, progress))

    every = vmap(one, in_dims=(0, 0, 0, None), randomness="different")

    def losses(inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
        try:
            return every(values, inputs, targets, progress)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # torch says so of what has no rule for a batch of networks
            raise NotTogether(str(error)) from error

    return losses


class Batched:
    """The training examples of several networks, told apart by an offset: those of one run are held once."""

    def __init__(self, data: Sequence[Resident]) -> None:
        different = list({id(one): one for one in data}.values())
        self.size, self.batch = len(data[0]), data[0].batch
        offsets = {id(one): index * self.size for index, one in enumerate(different)}
        self.offsets = torch.tensor([offsets[id(one)] for one in data]).unsqueeze(1)
        self.inputs, self.targets = different[0].inputs, different[0].targets
        if len(different) > 1:
            self.inputs = torch.cat([one.inputs for one in different])
            self.targets = torch.cat([one.targets for one in different])

    def shuffled(self, generators: Sequence[torch.Generator]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs (M, B, ...) and targets (M, B), each network's in the order of its own generator."""
        order = torch.stack(
            [torch.randperm(self.size, generator=generator) for generator in generators]
        )
        parts = list((order + self.offsets).to(self.inputs.device).split(self.batch, dim=1))
        if len(parts) > 1 and parts[-1].shape[1] == 1:  # as Resident.shuffled
            parts[-2:] = [torch.cat(parts[-2:], dim=1)]
        for index in parts:
            inputs = self.inputs[index]
            yield (
                inputs.float().div_(255) if inputs.dtype == torch.uint8 else inputs,
                self.targets[index],
            )


def train_epoch(
    loss: Callable[[Tensor, Tensor, float], Tensor],
    optimiser: torch.optim.Optimizer,
    batches: Batched,
    shuffling: Sequence[torch.Generator],
    epochs: tuple[int, int],
    precision: str = "float32",
) -> list[float]:
    """Take one step a batch with all networks and return their mean losses; ``epochs`` are those done and to do."""
    total: Tensor | float = 0.0
    steps = math.ceil(batches.size / batches.batch)
    for step, (inputs, targets) in enumerate(batches.shuffled(shuffling)):
        optimiser.zero_grad(set_to_none=True)
        with mixed(precision, inputs.device):
            losses = loss(inputs, targets, (epochs[0] + step / steps) / epochs[1])
        losses.sum().backward()
        optimiser.step()
        total = total + losses.detach() * inputs.shape[1]
    assert isinstance(total, Tensor)
    return [value / batches.size for value in total.tolist()]
