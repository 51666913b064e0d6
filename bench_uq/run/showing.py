"""Predict each missing evaluation of a run and store the predictions."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import torch

from bench_uq.api.task import Examples, Predictions
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.members import predict_members
from bench_uq.predict.predict import Change, Trained, predict, predict_changed
from bench_uq.run.job import Job, folder_of, hash_of_network
from bench_uq.run.training import (
    NotTrained,
    calibrating,
    restored,
    splits_of,
    trained_folder,
)
from bench_uq.store import HELD_OUT, MEMBERS, Evaluation, PlannedRun, RunFolder, StoredFile
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK


def show(
    trained: Trained,
    todo: Sequence[Evaluation],
    job: Job,
    folder: RunFolder,
    plugins: Plugins,
    splits: tuple[Examples, Examples],
    report: Callable[[float], None],
) -> list[str]:
    """Store predictions for every missing evaluation, all levels of a condition together.

    Return the reasons why some could not be made: the run that they attack has no networks.
    """
    own = splits[1]
    if job.settings.evaluate_on == "test":
        dataset = plugins.spec("dataset", job.run.dataset_full).value
        own = load(dataset, "test", job.root, job.run.seed)
    device = torch.device(job.device)
    data = Resident(own, device, BLOCK)
    held_out = Resident(calibrating(job, plugins, splits), device, BLOCK)

    lacking, done = list[str](), 0
    # All levels at once, because one gradient of an attack can serve several.
    for full in dict.fromkeys(evaluation.full for evaluation in todo):
        group = [evaluation for evaluation in todo if evaluation.full == full]
        try:
            store_group(trained, group, job, folder, plugins, (data, held_out))
        except NotTrained as error:
            lacking.append(f"{group[0].condition} has nothing to attack: {error}")

        done += len(group)
        report(done / len(todo))

    return lacking


def store_group(
    trained: Trained,
    group: Sequence[Evaluation],
    job: Job,
    folder: RunFolder,
    plugins: Plugins,
    data: tuple[Resident, Resident],
) -> None:
    """Predict one condition at several levels; the record is written once for all of them.

    ``data`` are the examples to show and those that are held out.
    """
    seen, surrogate = trained, group[0].surrogate
    names = [evaluation.file for evaluation in group]
    attacked_now = None
    if surrogate:
        # Its training does not count as prediction time of this run.
        seen = attacked(trained, job, surrogate, plugins)
        attacked_now = hash_of_network(folder_of(surrogate.name, job, folder).record())
        # Predictions under an attack on an older network are no longer this run's.
        folder.forget(names)

    start = time.perf_counter()
    files = dict[str, StoredFile]()
    found = predictions_of(trained, seen, group, data, job, plugins)
    for name, predictions in zip(names, found, strict=True):
        files |= folder.write_predictions(name, predictions)
    # Levels are computed together, so each has an equal share of the time.
    seconds = (time.perf_counter() - start) / len(group)

    record = folder.record()
    changes = {
        "files": {**record.files, **files},
        "predict_seconds": {**record.predict_seconds, **dict.fromkeys(names, seconds)},
    }
    if surrogate:
        changes["surrogates"] = {**record.surrogates, **dict.fromkeys(names, attacked_now)}
    folder.update(**changes)


def predictions_of(
    trained: Trained,
    seen: Trained,
    group: Sequence[Evaluation],
    both: tuple[Resident, Resident],
    job: Job,
    plugins: Plugins,
) -> list[Predictions]:
    """Predict one condition at several levels; ``seen`` are the networks that are attacked."""
    first, draws, data = group[0], job.settings.draws, both[0]
    if first.kind == MEMBERS:
        return [predict_members(trained, both, first.count)]
    if first.kind == HELD_OUT:
        data = both[1]
    elif first.kind in ("unseen", "shifted"):
        other = plugins.spec("dataset", first.full).value
        examples = load(other, "test", job.root, job.run.seed)
        data = Resident(examples, data.inputs.device, BLOCK)

    # A count of 0 stands for all examples.
    count = min(first.count or len(data), len(data))
    if first.kind != "condition":
        return [predict(trained, data, count, draws, labelled=first.kind != "unseen")]

    spec = plugins.spec("condition", first.full)
    levels = [evaluation.level for evaluation in group if evaluation.level is not None]
    change = Change(spec.value, spec.identity, levels, seen)
    return predict_changed(trained, change, data, count, draws)


def attacked(trained: Trained, job: Job, run: PlannedRun, plugins: Plugins) -> Trained:
    """Trained networks of the run that a condition attacks, perhaps those of the job itself."""
    if run.name == job.run.name:
        return trained

    splits = splits_of(job, plugins)
    folder = trained_folder(job, run, plugins, splits)
    return restored(dataclasses.replace(job, run=run), folder, plugins, splits[0])
