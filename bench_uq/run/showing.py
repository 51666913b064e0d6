"""Predict each missing condition of a run and store the predictions."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Sequence

import torch

from bench_uq import store
from bench_uq.api.task import Examples, Predictions
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import Run, Shown
from bench_uq.predict.predict import Change, Trained, predict, predict_changed
from bench_uq.run.job import Job, hash_of_network, is_trained
from bench_uq.run.record import recorded
from bench_uq.run.training import arithmetic_of, restored, splits_of, train_missing
from bench_uq.store.environment import peak_memory
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK, Settings

#: Seconds between two looks at a run that another process is training.
PATIENCE = 0.5


class NoSurrogate(Exception):
    """The run whose networks are to be attacked has none."""


def attacked(job: Job, run: Run, plugins: Plugins) -> Trained:
    """Return the trained networks of the run that a condition attacks; trains it where no process has or does."""
    own, folder = (
        dataclasses.replace(job, run=run, force=False),
        store.run_folder(job.folder, run.name),
    )
    splits = splits_of(own, plugins)
    while not is_trained(folder):
        with folder.locked() as mine:
            if mine:
                if (record := folder.record()).get("status") != "diverged":  # it would again
                    with (
                        recorded(folder, job.files),
                        arithmetic_of(own),
                        warnings.catch_warnings(action="default"),
                    ):
                        train_missing(own, folder, plugins, splits, lambda share: None)
                    record = folder.record()
                if record.get("status") != "ok":
                    raise NoSurrogate(f"{run.name} {record.get('status')}: {record.get('reason')}")
                memory = peak_memory(torch.device(job.device))  # of this process: of both networks
                folder.update(
                    status="interrupted",
                    reason="trained to be attacked, not shown",
                    peak_memory=memory,
                )
        if not mine:
            time.sleep(PATIENCE)
    return restored(own, folder, plugins, splits[0])


def show(
    trained: Trained,
    todo: Sequence[Shown],
    job: Job,
    plugins: Plugins,
    held_out: Examples,
    report: Callable[[float], None],
) -> list[str]:
    """Store the predictions for each condition and level that is missing; levels of one condition go together.

    Returns why some could not be made: the run whose networks they attack has none.
    """
    settings, device = Settings(**job.run.settings), torch.device(job.device)
    folder = store.run_folder(job.folder, job.run.name)
    dataset = plugins.spec("dataset", job.run.dataset_full).value
    own = (
        held_out
        if settings.evaluate_on == "validation"
        else load(dataset, "test", job.root, job.run.seed)
    )
    data = Resident(own, device, BLOCK)
    seconds = dict(folder.record().get("predict_seconds", {}))
    lacking, done = list[str](), 0
    for full in dict.fromkeys(shown.full for shown in todo):
        group = [shown for shown in todo if shown.full == full]
        done += len(group)
        seen, surrogate = trained, group[0].surrogate
        if surrogate:
            try:
                seen = attacked(
                    job, surrogate, plugins
                )  # its training is no time of this run's predictions
            except NoSurrogate as error:
                lacking.append(f"{group[0].condition} has nothing to attack: {error}")
                continue
            folder.forget(
                shown.file for shown in group
            )  # what an older network was attacked for is not this one's
            attacked_now = hash_of_network(store.run_folder(job.folder, surrogate.name))
            hashes = dict.fromkeys((shown.file for shown in group), attacked_now)
            folder.update(surrogates=folder.record().get("surrogates", {}) | hashes)
        start = time.perf_counter()
        for shown, predictions in zip(
            group, predictions_of(trained, seen, group, data, job, plugins), strict=True
        ):
            folder.save_predictions(shown.file, predictions)
        elapsed = (time.perf_counter() - start) / len(group)
        seconds |= {shown.file: elapsed for shown in group}
        folder.update(predict_seconds=seconds)
        report(done / len(todo))
    return lacking


def predictions_of(
    trained: Trained,
    seen: Trained,
    group: Sequence[Shown],
    data: Resident,
    job: Job,
    plugins: Plugins,
) -> list[Predictions]:
    """Return the predictions for one condition at several levels; ``seen`` are the networks that are attacked."""
    settings, first = Settings(**job.run.settings), group[0]
    if first.kind in ("unseen", "shifted"):
        other = load(plugins.spec("dataset", first.full).value, "test", job.root, job.run.seed)
        data = Resident(other, data.inputs.device, BLOCK)
    count = min(first.count or len(data), len(data))
    if first.kind != "condition":
        return [predict(trained, data, count, settings.draws, labelled=first.kind != "unseen")]
    spec = plugins.spec("condition", first.full)
    levels = [shown.level for shown in group if shown.level is not None]
    return predict_changed(
        trained, Change(spec.value, spec.identity, levels, seen), data, count, settings.draws
    )
