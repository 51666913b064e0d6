"""How long a run will take: a few steps and blocks are timed, the passes of attacks counted, the rest is arithmetic."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from bench_uq import store
from bench_uq.api.task import Examples, Task
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import Run, Shown
from bench_uq.predict.predict import Trained, predict_block
from bench_uq.run.job import Job, missing
from bench_uq.run.training import arithmetic_of
from bench_uq.train.loop import build, train_epoch
from bench_uq.train.resident import Resident, fitted, training_splits
from bench_uq.train.settings import BLOCK, Settings

STEPS = 5

#: A pass that is walked back in the inputs takes as long as so many that are not.
TRACED = 3.0


def estimate(job: Job) -> float:
    """Return seconds that a run would take on this machine, alone."""
    run, settings, plugins = job.run, Settings(**job.run.settings), Plugins(job.files)
    dataset = plugins.spec("dataset", run.dataset_full).value
    examples, _ = training_splits(load(dataset, "train", job.root, run.seed), settings, run.seed)
    task = dataclasses.replace(fitted(dataset.task(job.root), examples), network=run.network)
    with arithmetic_of(job):
        method = plugins.spec("method", run.method_full).value
        trained, step = timed_step(job, run, task, examples, plugins)
        at_hand = store.run_folder(job.folder, run.name).holds(store.NETWORK)
        epochs = 0 if at_hand else settings.epochs * method.members
        seconds = epochs * math.ceil(len(examples) / settings.batch) * step
        inputs, targets = Resident(examples[:BLOCK], torch.device(job.device), BLOCK).take(
            slice(0, BLOCK)
        )
        size = len(load(dataset, "test", job.root, run.seed))
        passes = timed(trained, inputs)
        for shown in missing(job):
            count = min(shown.count or size, size)
            seconds += count / len(inputs) * passes(settings.draws)
        for levels in by_condition(missing(job)):
            seen, count = passes, min(levels[0].count or size, size)
            if levels[0].surrogate:
                seen = timed(
                    timed_step(job, levels[0].surrogate, task, examples, plugins)[0], inputs
                )
            asked = passes_of(plugins, levels, task, inputs[:4], targets[:4])
            attack = sum(
                often * seen(draws) * (TRACED if traced else 1)
                for (draws, traced), often in asked.items()
            )
            seconds += count / len(inputs) * attack
    return seconds


def timed_step(
    job: Job, run: Run, task: Task, examples: Examples, plugins: Plugins
) -> tuple[Trained, float]:
    """Return the hardly trained networks of a run, and the seconds of a step."""
    settings, device = Settings(**run.settings), torch.device(job.device)
    method = plugins.spec("method", run.method_full).value
    net = build(method, task, device)
    sample = Resident(examples[: settings.batch * STEPS], device, settings.batch)
    optimiser, shuffling = method.optimiser(net), torch.Generator()
    train_epoch(method, net, optimiser, sample, shuffling, (0, 1), settings.precision)  # warm up
    start = time.perf_counter()
    train_epoch(method, net, optimiser, sample, shuffling, (0, 1), settings.precision)
    seconds = (time.perf_counter() - start) / math.ceil(len(sample) / settings.batch)
    nets = nn.ModuleList([net.eval()] * method.members)
    return Trained(method, task, nets, run.seed), seconds


def timed(trained: Trained, inputs: Tensor) -> Callable[[int], float]:
    """Return a function that gives the seconds of a block with so many draws, each number timed once."""
    known = dict[int, float]()

    def seconds(draws: int) -> float:
        if draws not in known:
            start = time.perf_counter()
            predict_block(trained, inputs, None, draws, 0)
            known[draws] = time.perf_counter() - start
        return known[draws]

    return seconds


def by_condition(missing: list[Shown]) -> list[list[Shown]]:
    """Return the levels of each condition that is no data of its own."""
    groups = dict[str, list[Shown]]()
    for shown in missing:
        if shown.kind == "condition":
            groups.setdefault(shown.full, []).append(shown)
    return list(groups.values())


def passes_of(
    plugins: Plugins, shown: list[Shown], task: Task, inputs: Tensor, targets: Tensor
) -> Counter[tuple[int, bool]]:
    """Return how often a condition asks for so many draws, traced or not, for a batch at all of its levels.

    It is shown a linear model in place of the networks: who asks is not known, only what is asked.
    """
    weights = torch.randn(inputs[0].numel(), task.likelihood.parameters, device=inputs.device)
    asked = Counter[tuple[int, bool]]()

    def log_probs(images: Tensor, draws: int) -> Iterator[Tensor]:
        asked[draws, images.requires_grad and torch.is_grad_enabled()] += 1
        yield task.likelihood.normalise(images.flatten(1) @ weights).expand(draws, -1, -1)

    condition = plugins.spec("condition", shown[0].full).value
    levels = [one.level for one in shown if one.level is not None]
    condition.changed(log_probs, inputs, targets, levels, torch.Generator())
    return asked
