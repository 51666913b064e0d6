"""Train the networks of one run, or copy them from another suite, and store them."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import load_file
from torch import nn

from bench_uq import store
from bench_uq.api.method import Method
from bench_uq.api.task import Examples, Task
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Trained
from bench_uq.run.checkpoints import Checkpoints
from bench_uq.run.job import Job, base_changed, bases, hash_of_network, is_trained
from bench_uq.run.record import begun, recorded
from bench_uq.store import PlannedRun, Record, RunFolder, StoredFile
from bench_uq.store.environment import environment, peak_memory
from bench_uq.train.epoch import Diverged, Epoch
from bench_uq.train.loop import train
from bench_uq.train.posthoc import build_all, fit
from bench_uq.train.precision import tensor_cores
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK
from bench_uq.train.splits import fitted, halves, training_splits
from bench_uq.train.state import stored

#: Training examples that are stored for figures, if they are points in a plane.
KEPT_POINTS = 200

#: Fields of a record that belong to the training.
OF_TRAINING = (
    *("train_seconds", "base_seconds", "base", "diagnosis", "measured", "parameters"),
    *("environment", "git", "together", "peak_memory"),
)


#: Seconds between two looks at a run that another process trains.
PATIENCE = 0.5


class NotTrained(Exception):
    """A run whose networks another one needs has none."""


class ChangedState(Exception):
    """The state of a trained network does not fit a network that the method builds anew."""


def train_missing(
    job: Job,
    folder: RunFolder,
    plugins: Plugins,
    splits: tuple[Examples, Examples],
    report: Callable[[float], None],
) -> None:
    """Train a run's networks, or copy them from another suite, unless they are stored.

    The caller holds the run's lock.
    """
    checkpoints = Checkpoints(folder, job.checkpoint_every)
    if is_trained(folder, repair=True) and not job.force and not base_changed(folder, job):
        folder.update(**begun(job.run))
    else:
        clear(job, folder)
        reuse = None
        if job.force:
            checkpoints.remove()
        else:
            reuse = store.elsewhere(job.folder, job.run.name, job.run.key)

        if reuse:
            copy_training(reuse, folder)
        # Also after a copy: it may have started from other networks, as trainings on a GPU are.
        if not reuse or base_changed(folder, job):
            make = train_and_store if job.run.base is None else fit_and_store
            make(job, folder, plugins, splits, report, checkpoints)

    if are_points(splits[0]) and not folder.holds(store.POINTS, repair=True):
        folder.add_file(store.POINTS, points_csv(splits[0]))
    # Also one that is left if a process ended between storing the network and this line.
    checkpoints.remove()


def clear(job: Job, folder: RunFolder) -> None:
    """Remove an earlier network, and all that was made with it, from the record."""
    # The network too, so that nobody attacks the old one while the new one is trained.
    gone = {store.NETWORK, store.TRAINING}
    gone |= {name for name in folder.record().files if name.endswith(".npz")}

    folder.forget(
        gone,
        **begun(job.run),
        environment=environment(torch.device(job.device)),
        git=job.git,
        kind=None,  # of published predictions, which go
        together=None,
        predict_seconds={},
        surrogates={},
        peak_memory=0,
    )


def splits_of(job: Job, plugins: Plugins) -> tuple[Examples, Examples]:
    """Training and held-out examples of a run."""
    dataset = plugins.spec("dataset", job.run.dataset_full).value
    examples = load(dataset, "train", job.root, job.run.seed)
    return training_splits(examples, job.settings, job.run.seed)


def task_of(job: Job, plugins: Plugins, training: Examples) -> Task:
    """Task of a run, with its network and the scales of its training examples."""
    dataset = plugins.spec("dataset", job.run.dataset_full).value
    return dataclasses.replace(fitted(dataset.task(job.root), training), network=job.run.network)


def fits_held_out(run: PlannedRun, plugins: Plugins) -> bool:
    """Whether a method, or one that it starts from, fits something to held-out examples."""
    return any(method.fits_held_out for method in methods_of(run, plugins))


def batches_of(
    job: Job, plugins: Plugins, splits: tuple[Examples, Examples]
) -> tuple[Resident, Resident]:
    """Training examples on the device, and the held-out ones that the method may look at."""
    training, held_out = splits
    if fits_held_out(job.run, plugins):
        held_out, _ = halves(held_out)
    device = torch.device(job.device)
    return Resident(training, device, job.settings.batch), Resident(held_out, device, BLOCK)


def calibrating(job: Job, plugins: Plugins, splits: tuple[Examples, Examples]) -> Examples:
    """Held-out examples that nothing of the run was fitted to."""
    _, held_out = splits
    return halves(held_out)[1] if fits_held_out(job.run, plugins) else held_out


def train_and_store(
    job: Job,
    folder: RunFolder,
    plugins: Plugins,
    splits: tuple[Examples, Examples],
    report: Callable[[float], None],
    checkpoints: Checkpoints,
) -> None:
    """Train a run's networks, from their checkpoint if there is one, and store them."""
    method: Method = plugins.spec("method", job.run.method_full).value
    task, settings = task_of(job, plugins, splits[0]), job.settings
    data = batches_of(job, plugins, splits)

    start = time.perf_counter()
    nets, history = train(
        method, task, data, settings, job.run.seed, report=report, checkpoints=checkpoints
    )

    # A resumed training counts its epochs from before the interruption too.
    seconds = max(time.perf_counter() - start, sum(row.seconds for row in history))
    store_trained(folder, nets, history, seconds, **told_by(method, nets))


def fit_and_store(
    job: Job,
    folder: RunFolder,
    plugins: Plugins,
    splits: tuple[Examples, Examples],
    report: Callable[[float], None],
    checkpoints: Checkpoints,
) -> None:
    """Fit a method to the networks of its base, which are trained first if need be."""
    del checkpoints
    assert job.run.base is not None
    task, device = task_of(job, plugins, splits[0]), torch.device(job.device)
    # A base that the method cannot stand on is refused before it is trained.
    build_all(methods_of(job.run, plugins), task, device)

    below, values = trained_networks(job, job.run.base, plugins, splits)
    report(0.5)
    data = batches_of(job, plugins, splits)

    start = time.perf_counter()
    nets = fit(methods_of(job.run, plugins), task, data, values, job.run.seed)
    seconds = time.perf_counter() - start

    facts = {
        "base": hash_of_network(below),
        "base_seconds": (below.train_seconds or 0.0) + (below.base_seconds or 0.0),
    }
    method = methods_of(job.run, plugins)[0]
    store_trained(folder, nets, [], seconds, **told_by(method, nets), **facts)


def methods_of(run: PlannedRun, plugins: Plugins) -> list[Method]:
    """The method of a run, its base, the base of that, and so on."""
    return [plugins.spec("method", one.method_full).value for one in (run, *bases(run))]


def trained_networks(
    job: Job, run: PlannedRun, plugins: Plugins, splits: tuple[Examples, Examples]
) -> tuple[Record, dict[str, torch.Tensor]]:
    """Record and state of the networks of another run that a job needs, of one training."""
    while True:
        folder = trained_folder(job, run, plugins, splits)
        # Another process may have replaced the networks since the record was read.
        with suppress(store.Damaged, OSError):
            record = folder.record()
            # Bytes first and hash after: what is loaded is then what the record names.
            content = store.parts(folder.path / store.NETWORK, record.files[store.NETWORK])
            return record, load_tensors(b"".join(content))


def trained_folder(
    job: Job, run: PlannedRun, plugins: Plugins, splits: tuple[Examples, Examples]
) -> RunFolder:
    """Folder of another run that a job needs, with its networks.

    They are trained here unless another process has trained them or is doing so.
    """
    own = dataclasses.replace(job, run=run, force=False)
    folder = own.run_folder()

    # Asked again after each wait: the other process may have died without a network.
    while not is_trained(folder) or base_changed(folder, own):
        with folder.locked() as mine:
            if mine:
                train_for_others(own, folder, plugins, splits)
        if not mine:
            time.sleep(PATIENCE)
    return folder


def train_for_others(
    job: Job, folder: RunFolder, plugins: Plugins, splits: tuple[Examples, Examples]
) -> None:
    """Train a run that another one needs, under its lock; raise NotTrained if that fails."""
    # A training that diverged would diverge again.
    if folder.record().status != "diverged":
        quiet = warnings.catch_warnings(action="default")
        # The training records itself as a run of its own.
        with recorded(folder, job.files), arithmetic_of(job), quiet:
            train_missing(job, folder, plugins, splits, lambda share: None)

    record = folder.record()
    if record.status != "ok":
        raise NotTrained(f"{record.run} {record.status}: {record.reason}")

    # The memory is that of this process, with the networks of both runs.
    memory = peak_memory(torch.device(job.device))
    reason = "trained for other runs, not shown"
    folder.update(status="interrupted", reason=reason, peak_memory=memory)


def told_by(method: Method, nets: nn.ModuleList) -> dict[str, Any]:
    """Words of a method on its trained networks: a diagnosis, and its measurements of each.

    Raise Diverged if it says that they are no result.
    """
    if failure := in_one_line(map(method.failure, nets)):
        raise Diverged(failure)

    measured = dict[str, list[float]]()
    for net in nets:
        for name, value in method.measured(net).items():
            # JSON has no numbers that are not finite: they are left out.
            if math.isfinite(value):
                measured.setdefault(name, []).append(value)
    return {"diagnosis": in_one_line(map(method.diagnosis, nets)), "measured": measured}


def in_one_line(texts: Iterable[str]) -> str:
    """Different texts in one line; empty if all are."""
    return "; ".join(dict.fromkeys(filter(None, texts)))


def store_trained(
    folder: RunFolder,
    nets: nn.ModuleList,
    history: Sequence[Epoch],
    seconds: float,
    **facts: Any,
) -> None:
    """Store a run's networks and training curves, and facts about them."""
    curves = folder.write_file(store.TRAINING, training_csv(history))
    network = folder.write_file(store.NETWORK, stored(nets))

    # Both files are named at once: a network without its curves would count as not trained.
    folder.update(
        files={**folder.record().files, **curves, **network},
        train_seconds=seconds,
        parameters=sum(weights.numel() for weights in nets.parameters()),
        **facts,
    )


def training_csv(history: Sequence[Epoch]) -> bytes:
    """Training curves as CSV."""
    # By hand: pandas takes a quarter of a second to import, in every process that trains.
    buffer = io.StringIO()
    columns = [field.name for field in dataclasses.fields(Epoch)]
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in history)
    return buffer.getvalue().encode()


def are_points(examples: Examples) -> bool:
    """Whether examples are points in a plane: one feature and a real target."""
    inputs, targets = examples.inputs, examples.targets
    return inputs.shape[1:] == (1,) and inputs.dtype == targets.dtype == np.float32


def points_csv(examples: Examples) -> bytes:
    """The first examples as CSV."""
    inputs = examples.inputs[:KEPT_POINTS, 0].tolist()
    targets = examples.targets[:KEPT_POINTS].tolist()
    # repr keeps every digit of a float.
    lines = [f"{x!r},{y!r}\n" for x, y in zip(inputs, targets, strict=True)]
    return "".join(["input,target\n", *lines]).encode()


def copy_training(source: RunFolder, folder: RunFolder) -> None:
    """Copy the trained network of the same run from another suite."""
    files = dict[str, StoredFile]()
    for name in (store.TRAINING, store.NETWORK):
        files |= folder.write_file(name, (source.path / name).read_bytes())

    record = source.record()
    facts = {name: getattr(record, name) for name in OF_TRAINING}
    folder.update(files={**folder.record().files, **files}, **facts)


def restored(job: Job, folder: RunFolder, plugins: Plugins, training: Examples) -> Trained:
    """Build a run's networks anew and load every stored value strictly."""
    chain = methods_of(job.run, plugins)
    task, device = task_of(job, plugins, training), torch.device(job.device)
    nets = build_all(chain, task, device)

    values = load_file(folder.path / store.NETWORK, device=str(device))
    try:
        # Strict: a value that is missing would stay random, and nobody would notice.
        nets.load_state_dict(values, strict=True)
    except RuntimeError as error:
        raise ChangedState(
            "after training the state has other names or shapes than after build: allocate in build"
        ) from error

    return Trained(chain[0], task, nets.eval(), job.run.seed, job.settings.block)


@contextmanager
def arithmetic_of(job: Job) -> Iterator[None]:
    """Compute with the threads of a run on a CPU, and in full float32 on a GPU.

    The threads are part of the run's key. Plugins of another run in this process may have changed
    them.
    """
    before, dtype = torch.get_num_threads(), torch.get_default_dtype()
    # A plugin may have changed it for all of this process.
    torch.set_default_dtype(torch.float32)
    if job.device == "cpu":
        torch.set_num_threads(job.settings.threads)

    try:
        # Training and attacks need gradients, also where a plugin has switched them off.
        with tensor_cores(tf32=False), torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(before)
        torch.set_default_dtype(dtype)
