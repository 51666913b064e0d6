"""Estimate how long a run will take: time a few steps and blocks, and count an attack's passes.

The work of a method after its training is timed after few epochs.
"""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from bench_uq import store
from bench_uq.api.task import Examples, Task
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Trained, predict_block
from bench_uq.run.job import Job, base_changed, missing
from bench_uq.run.training import arithmetic_of, batches_of, methods_of, splits_of, task_of
from bench_uq.store import Evaluation, PlannedRun
from bench_uq.train.loop import build, finished, gradients_of, train_epoch
from bench_uq.train.posthoc import build_all
from bench_uq.train.recipe import begin
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK, Settings

#: Steps that are timed.
STEPS = 5

#: Epochs after which the work after training is timed: with more of them a method may do more.
FEW, MORE = 5, 10
#: Seconds of that work below which it is not asked whether it grows with the epochs.
SHORT = 1.0

#: A pass with a gradient in the inputs takes as long as this many passes without.
TRACED = 3.0


def estimate(job: Job) -> float:
    """Seconds that a run would take on this machine, alone."""
    run, settings, plugins = job.run, job.settings, Plugins(job.files)
    dataset = plugins.spec("dataset", run.dataset_full).value
    splits = splits_of(job, plugins)
    examples, _ = splits
    task = task_of(job, plugins, examples)

    with arithmetic_of(job):
        sample, step = timed_step(job, run, task, examples, plugins)
        seconds = 0.0
        trained, todo = to_do(job)
        if not trained:
            # Of a method with a base, the time is that of the networks below.
            epochs = settings.epochs * methods_of(run, plugins)[-1].members
            seconds = epochs * math.ceil(len(examples) / settings.batch) * step
            seconds += timed_finish(sample, batches_of(job, plugins, splits), settings.epochs)

        # Time grows with the examples, so one block stands for all.
        block = Resident(examples[:BLOCK], torch.device(job.device), BLOCK)
        inputs, targets = block.take(slice(0, BLOCK))
        size = len(load(dataset, "test", job.root, run.seed))
        passes = timed(sample, inputs)

        for evaluation in todo:
            count = min(evaluation.count or size, size)
            seconds += count / len(inputs) * passes(settings.draws)

        # Prediction is counted above; an attack also asks for passes of its own.
        for levels in by_condition(todo):
            seen, first = passes, levels[0]
            if first.surrogate:
                attacked, _ = timed_step(job, first.surrogate, task, examples, plugins)
                seen = timed(attacked, inputs)

            attack = 0.0
            asked = passes_of(plugins, levels, task, inputs[:4], targets[:4])
            for (draws, traced), often in asked.items():
                attack += often * seen(draws) * (TRACED if traced else 1)
            seconds += min(first.count or size, size) / len(inputs) * attack

    return seconds


def work_of(job: Job) -> tuple[object, ...]:
    """The work of a run, whatever its seed: runs of equal work take equally long."""
    run, settings = job.run, sorted(job.run.settings.items())
    trained, left = to_do(job)
    todo = [(one.kind, one.full, one.level) for one in left]
    return (run.dataset_full, run.method_full, run.network, *settings, trained, *todo)


def to_do(job: Job) -> tuple[bool, Sequence[Evaluation]]:
    """Whether the stored network of a run stays, and the evaluations that are left."""
    folder = job.run_folder(keep=True)
    trained = folder.holds(store.NETWORK) and not job.force and not base_changed(folder, job)
    # Another network is shown everything anew.
    return trained, missing(folder, job) if trained else job.run.shown


def timed_step(
    job: Job, run: PlannedRun, task: Task, examples: Examples, plugins: Plugins
) -> tuple[Trained, float]:
    """Networks of a run after a few steps, and the seconds of a step."""
    settings, device = Settings(**run.settings), torch.device(job.device)
    chain = methods_of(run, plugins)
    method = chain[-1]
    net = build(method, task, device)
    sample = Resident(examples[: settings.batch * STEPS], device, settings.batch)
    optimiser, shuffling = method.optimiser(net), torch.Generator()
    begin(optimiser, settings)
    gradients = gradients_of(method, net, len(sample), settings)

    # The first epoch warms up: it allocates memory and chooses kernels.
    train_epoch(gradients, optimiser, sample, shuffling, (0, 1), settings)
    start = time.perf_counter()
    train_epoch(gradients, optimiser, sample, shuffling, (0, 1), settings)
    seconds = (time.perf_counter() - start) / math.ceil(len(sample) / settings.batch)

    # Members take equally long, so one network stands for all of them.
    nets = nn.ModuleList([net.eval()] * method.members)
    if len(chain) > 1:
        # Not fitted, which takes a moment beside the networks below.
        nets = build_all(chain, task, device).eval()
    return Trained(chain[0], task, nets, run.seed), seconds


def timed_finish(trained: Trained, data: tuple[Resident, Resident], epochs: int) -> float:
    """Seconds of a method's work on all its networks after their training.

    Some methods do more after more epochs, such as a transition of a chain for each. The growth
    over a few epochs is taken to go on to ``epochs``. The same work of a base is not counted.
    """
    method = trained.method

    def seconds(count: int) -> float:
        net = copy.deepcopy(trained.nets[0])
        for epoch in range(count):
            method.observe(net, (epoch + 1) / count)
        start = time.perf_counter()
        # Finishing may fail on a network of few steps: the time until it fails counts.
        with suppress(ArithmeticError):
            finished(method, net, data, trained.seed, 0)
        return time.perf_counter() - start

    few = seconds(min(FEW, epochs))
    if few < SHORT or epochs <= FEW:
        return method.members * few

    each = max(0.0, seconds(MORE) - few) / (MORE - FEW)
    return method.members * (few + (epochs - FEW) * each)


def timed(trained: Trained, inputs: Tensor) -> Callable[[int], float]:
    """Function from a number of draws to the seconds of a block; each number is timed once."""
    known = dict[int, float]()

    def seconds(draws: int) -> float:
        if draws not in known:
            start = time.perf_counter()
            predict_block(trained, inputs, None, draws, 0)
            known[draws] = time.perf_counter() - start
        return known[draws]

    return seconds


def by_condition(todo: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """Levels of each attack or shift."""
    groups = dict[str, list[Evaluation]]()
    for evaluation in todo:
        if evaluation.kind == "condition":
            groups.setdefault(evaluation.full, []).append(evaluation)
    return list(groups.values())


def passes_of(
    plugins: Plugins, levels: list[Evaluation], task: Task, inputs: Tensor, targets: Tensor
) -> Counter[tuple[int, bool]]:
    """Passes that a condition asks for, by number of draws and whether a gradient is needed.

    They are counted on a linear model in place of the networks, for one batch at all levels.
    """
    weights = torch.randn(inputs[0].numel(), task.likelihood.parameters, device=inputs.device)
    asked = Counter[tuple[int, bool]]()

    def log_probs(images: Tensor, draws: int) -> Iterator[Tensor]:
        asked[draws, images.requires_grad and torch.is_grad_enabled()] += 1
        yield task.likelihood.normalise(images.flatten(1) @ weights).expand(draws, -1, -1)

    condition = plugins.spec("condition", levels[0].full).value
    values = [evaluation.level for evaluation in levels if evaluation.level is not None]
    # All levels in one call, as in a run: one gradient may serve several.
    condition.changed(log_probs, inputs, targets, values, torch.Generator())
    return asked
