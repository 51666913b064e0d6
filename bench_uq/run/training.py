"""Train the networks of one run, or take them over from another suite, and store them."""

from __future__ import annotations

import csv
import dataclasses
import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import nn

from bench_uq import store
from bench_uq.api.method import Method
from bench_uq.api.task import Examples, Task
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import Run
from bench_uq.predict.predict import Trained
from bench_uq.run.checkpoints import Checkpoints
from bench_uq.run.job import Job, is_trained
from bench_uq.run.record import UNFINISHED, facts
from bench_uq.store.environment import environment
from bench_uq.train.convergence import converged
from bench_uq.train.epoch import Epoch
from bench_uq.train.loop import build, train
from bench_uq.train.precision import tensor_cores
from bench_uq.train.resident import Resident, fitted, training_splits
from bench_uq.train.settings import BLOCK, Settings

#: Examples trained on that are stored for figures, where they are points in a plane.
KEPT_POINTS = 200


class ChangedState(Exception):
    """A method's state after training does not fit a network that it builds anew."""


def train_missing(
    job: Job,
    folder: store.RunFolder,
    plugins: Plugins,
    splits: tuple[Examples, Examples],
    report: Callable[[float], None],
) -> None:
    """Train a run's networks, or take them over from another suite, where they are not stored; under its lock."""
    run, settings, device = job.run, Settings(**job.run.settings), torch.device(job.device)
    folder.update(**facts(run), status="interrupted", reason=UNFINISHED)
    checkpoints = Checkpoints(folder, job.checkpoint_every)
    if job.force or not is_trained(folder, repair=True):
        clear(job, folder)
        reuse = None if job.force else store.elsewhere(job.folder, run.name, run.key)
        if reuse:
            copy_training(reuse, folder)
        else:
            method: Method = plugins.spec("method", run.method_full).value
            data = (Resident(splits[0], device, settings.batch), Resident(splits[1], device, BLOCK))
            if job.force:
                checkpoints.remove()
            train_and_store(
                method, task_of(job, plugins, splits[0]), data, run, folder, report, checkpoints
            )
    checkpoints.remove()  # also one that was left where a process ended between storing and this
    if are_points(splits[0]) and not folder.holds(store.POINTS, repair=True):
        folder.add_file(store.POINTS, points_csv(splits[0]))


def clear(job: Job, folder: store.RunFolder) -> None:
    """Take what was made with networks from before out of the record of a run that is to be trained."""
    # The network too, so that nobody attacks the old one while the new one is trained.
    gone = (store.NETWORK, store.TRAINING)
    folder.forget(
        name for name in folder.record().get("files", {}) if name.endswith(".npz") or name in gone
    )
    facts_of_training = {
        "environment": environment(torch.device(job.device)),
        "git": job.git,
        "together": None,
    }
    folder.update(**facts_of_training, predict_seconds={}, surrogates={}, peak_memory=0)


def splits_of(job: Job, plugins: Plugins) -> tuple[Examples, Examples]:
    """Return the examples to train on and those held out."""
    dataset = plugins.spec("dataset", job.run.dataset_full).value
    settings = Settings(**job.run.settings)
    return training_splits(load(dataset, "train", job.root, job.run.seed), settings, job.run.seed)


def task_of(job: Job, plugins: Plugins, training: Examples) -> Task:
    """Return the task of a run, with the scales of its training examples and its network."""
    dataset = plugins.spec("dataset", job.run.dataset_full).value
    return dataclasses.replace(fitted(dataset.task(job.root), training), network=job.run.network)


def train_and_store(
    method: Method,
    task: Any,
    data: tuple[Resident, Resident],
    run: Run,
    folder: store.RunFolder,
    report: Callable[[float], None],
    checkpoints: Checkpoints,
) -> None:
    """Train a run's networks, from their checkpoint where there is one, and store them with their curves."""
    start = time.perf_counter()
    nets, history = train(
        method,
        task,
        data,
        Settings(**run.settings),
        run.seed,
        report=report,
        checkpoints=checkpoints,
    )
    # An interrupted training counts the epochs from before too.
    seconds = max(time.perf_counter() - start, sum(row.seconds for row in history))
    store_trained(folder, nets, history, seconds)


def store_trained(
    folder: store.RunFolder,
    nets: nn.ModuleList,
    history: Sequence[Epoch],
    seconds: float,
    **facts: Any,
) -> None:
    """Store a run's networks and curves."""
    folder.add_file(store.TRAINING, training_csv(history))
    state = {name: value.detach().cpu().contiguous() for name, value in nets.state_dict().items()}
    folder.add_file(
        store.NETWORK,
        save(state),
        train_seconds=seconds,
        converged=converged(history),
        parameters=sum(weights.numel() for weights in nets.parameters()),
        **facts,
    )


def training_csv(history: Sequence[Epoch]) -> bytes:
    """Return the training curves as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(
        buffer, [field.name for field in dataclasses.fields(Epoch)], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in history)
    return buffer.getvalue().encode()


def are_points(examples: Examples) -> bool:
    """Return whether examples are points in a plane: one feature and a real target."""
    return examples.inputs.shape[1:] == (1,) and {
        examples.inputs.dtype,
        examples.targets.dtype,
    } == {np.dtype("f4")}


def points_csv(examples: Examples) -> bytes:
    """Return the first examples as CSV."""
    points = zip(
        examples.inputs[:KEPT_POINTS, 0].tolist(),
        examples.targets[:KEPT_POINTS].tolist(),
        strict=True,
    )
    return "".join(["input,target\n", *(f"{x!r},{y!r}\n" for x, y in points)]).encode()


def copy_training(source: store.RunFolder, folder: store.RunFolder) -> None:
    """Take over the trained network of the same run in another suite."""
    record = source.record()
    for name in (store.TRAINING, store.NETWORK):
        folder.add_file(name, (source.path / name).read_bytes())
    names = ("train_seconds", "converged", "parameters", "environment", "git", "peak_memory")
    folder.update(**{name: record.get(name) for name in names})


def restored(job: Job, folder: store.RunFolder, plugins: Plugins, training: Examples) -> Trained:
    """Return a run's stored networks: built anew, every value loaded strictly."""
    method: Method = plugins.spec("method", job.run.method_full).value
    task, device = task_of(job, plugins, training), torch.device(job.device)
    nets = nn.ModuleList(build(method, task, device) for _ in range(method.members))
    try:
        nets.load_state_dict(
            load_file(folder.path / store.NETWORK, device=str(device)), strict=True
        )
    except RuntimeError as error:
        raise ChangedState(
            "after training the state has other names or shapes than after build: allocate in build"
        ) from error
    block = Settings(**job.run.settings).block
    return Trained(method, task, nets.eval(), job.run.seed, block)


@contextmanager
def arithmetic_of(job: Job) -> Iterator[None]:
    """Compute on a CPU with the threads of a run, which its key holds, and on a GPU in full float32.

    Whatever the plugins of another run in this process have set.
    """
    before, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    if job.device == "cpu":
        torch.set_num_threads(Settings(**job.run.settings).threads)
    try:
        with tensor_cores(tf32=False), torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(before)
        torch.set_default_dtype(dtype)
