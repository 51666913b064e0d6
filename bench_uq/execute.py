"""One run in its own process: train what is not yet trained, show it what it was not yet shown, record everything."""

from __future__ import annotations

import csv
import dataclasses
import io
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import nn

from bench_uq import store
from bench_uq.checkpoint import Checkpoints
from bench_uq.config import Settings
from bench_uq.contracts import Examples, Method, Predictions, Task
from bench_uq.data import Resident, fitted, load, training_splits
from bench_uq.environment import environment, peak_memory
from bench_uq.errors import Interrupted, UsageError, one_line
from bench_uq.halving import is_out_of_memory
from bench_uq.plan import Run, Shown
from bench_uq.plugins import Plugins
from bench_uq.precision import tensor_cores
from bench_uq.predict import BLOCK, Change, Trained, predict, predict_changed
from bench_uq.train import Diverged, Epoch, build, converged, train

#: Seconds between two looks at a run that another process is training.
PATIENCE = 0.5

#: Why a run is interrupted of which nothing was heard any more.
UNFINISHED = "the process ended before the run did"

#: Examples trained on that are stored for figures, where they are points in a plane.
KEPT_POINTS = 200


class ChangedState(Exception):
    """A method's state after training does not fit a network that it builds anew."""


class NoSurrogate(Exception):
    """The run whose networks are to be attacked has none."""


@dataclass(frozen=True)
class Job:
    """Everything a process needs to do a run; plain data."""

    run: Run
    folder: Path  # results/<suite>
    root: Path  # of the data
    files: tuple[Path, ...]  # plugin files
    device: str
    git: str | None
    force: bool = False
    checkpoint_every: float = 60.0  # seconds


def missing(job: Job, *, repair: bool = False) -> list[Shown]:
    """Return what a run has not yet been shown; damaged predictions are missing, with ``repair`` set aside."""
    return missing_in(
        store.RecordedFolder(store.run_folder(job.folder, job.run.name).path), job, repair=repair
    )


def missing_in(folder: store.RunFolder, job: Job, *, repair: bool = False) -> list[Shown]:
    """Return what a run has not yet been shown, by its folder."""
    attacked = folder.record().get("surrogates", {})
    return [
        shown
        for shown in job.run.shown
        if not folder.holds(shown.file, repair=repair)
        or is_stale(job, shown, attacked.get(shown.file))
    ]


def is_stale(job: Job, shown: Shown, attacked: str | None) -> bool:
    """Return whether the surrogate has another network by now than the one that was attacked, by its hash."""
    network = (
        hash_of_network(store.run_folder(job.folder, shown.surrogate.name))
        if shown.surrogate
        else None
    )
    return network is not None and network != attacked


def hash_of_network(folder: store.RunFolder) -> str | None:
    """Return the recorded hash of a run's network, None where there is none."""
    entry = folder.record().get("files", {}).get(store.NETWORK)
    return entry["sha256"] if entry else None


def is_trained(folder: store.RunFolder, *, repair: bool = False) -> bool:
    """Return whether a run's network and training curves are stored."""
    return folder.holds(store.NETWORK, repair=repair) & folder.holds(store.TRAINING, repair=repair)


def complete(job: Job) -> bool:
    """Return whether a run is stored with all that is asked of it."""
    folder = store.RecordedFolder(store.run_folder(job.folder, job.run.name).path)
    record = folder.record()
    if record.get("key") != job.run.key or record.get("status") != "ok":
        return False
    kept = store.POINTS not in record["files"] or folder.holds(store.POINTS)
    return kept and not missing_in(folder, job) and is_trained(folder)


def execute(job: Job, report: Callable[[float], None]) -> dict[str, Any] | None:
    """Do a run and return its record, also one that could not be stored; None where another process is at it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, interrupt)
    # Whole paths: a plugin may change the working folder.
    files = tuple(file.absolute() for file in job.files)
    job = dataclasses.replace(
        job, folder=job.folder.absolute(), root=job.root.absolute(), files=files
    )
    folder = store.run_folder(job.folder, job.run.name)

    def reported(share: float) -> None:
        store.leave_if_forked()
        report(share)

    try:
        with folder.locked() as mine:
            if not mine:
                return None
            if complete(job) and not job.force:
                return {**folder.record(), "stored": True}  # another process was faster
            store.discard_partial(folder.path, besides=["scored.json"])
            with recorded(folder, job.files) as ending:
                ending.lacking += work(job, folder, reported)
            return {**folder.record(), **ending.unstored}
    except (
        OSError,
        UsageError,
    ) as error:  # it has not begun: a folder cannot be made, or a record not be changed
        told(folder, error)
        return {"status": "failed", "reason": printable(one_line(error))}


def interrupt(signum: int, frame: Any) -> None:
    """Turn a signal into an exception, so that what is stored stays whole and the record says why."""
    del signum, frame
    raise Interrupted


@dataclass
class Ending:
    """How the work on a run ended, where its record does not say."""

    lacking: list[str] = field(
        default_factory=list
    )  # what could not be done, through no fault of the run
    unstored: dict[str, Any] = field(
        default_factory=dict
    )  # what the record could not take, for want of room


@contextmanager
def recorded(folder: store.RunFolder, plugins: Sequence[Path]) -> Iterator[Ending]:
    """Write down how the work ended, and where in a file of the user; nothing but an interruption leaves."""
    ending = Ending()
    try:
        yield ending
        folder.update(status="ok", reason="; ".join(ending.lacking) or None, traceback=None)
        return
    except Interrupted:
        with suppress(OSError):  # the record says so already, in other words
            folder.update(status="interrupted", reason="told to stop")
        raise
    except Diverged as error:
        facts = {"status": "diverged", "reason": str(error)}
    except (
        BaseException
    ) as error:  # also SystemExit and KeyboardInterrupt: a plugin's own, as SIGINT is ignored
        status = "oom" if is_out_of_memory(error) else "failed"
        reason = printable(one_line(error) + place(error, plugins))
        facts = {"status": status, "reason": reason, "traceback": printable(traceback.format_exc())}
        if isinstance(error, store.CannotWrite):
            told(folder, error)
    try:
        folder.update(**facts)
    except OSError as error:
        ending.unstored = facts
        if "cannot write" not in facts["reason"]:
            told(folder, error)


def told(folder: store.RunFolder, error: Exception) -> None:
    """Say on stderr why a run could not be stored: where there is no room left, no file says so."""
    store.say(f"{folder.path.name}: {' '.join(str(error).split())}")


def printable(text: str) -> str:
    """Return a text that can be written as UTF-8: file names may hold bytes that are none."""
    return text.encode("utf-8", "backslashreplace").decode()


def place(error: BaseException, plugins: Sequence[Path]) -> str:
    """Return the last line of a user's own file that an error passed, empty without one."""
    own = {str(path.absolute()) for path in plugins}
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if str(Path(frame.filename).absolute()) in own
    ]
    return (
        f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name})"
        if frames
        else ""
    )


def work(job: Job, folder: store.RunFolder, report: Callable[[float], None]) -> list[str]:
    """Train and predict what is missing; return why some of it still is."""
    plugins = Plugins(job.files, lazy=True)
    splits = splits_of(job, plugins)
    with arithmetic_of(job):
        train_missing(job, folder, plugins, splits, lambda share: report(0.8 * share))
        todo = missing(job, repair=True)
        trained = restored(job, folder, plugins, splits[0])
        lacking = show(
            trained, todo, job, plugins, splits[1], lambda share: report(0.8 + 0.2 * share)
        )
    memory = peak_memory(torch.device(job.device))
    folder.update(peak_memory=max(memory, folder.record().get("peak_memory") or 0))
    return lacking


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


def facts(run: Run) -> dict[str, Any]:
    """Return what the record says of a run before it starts."""
    names = ("method", "method_full", "dataset", "dataset_full", "seed", "key")
    return {
        "schema": store.SCHEMA,
        "run": run.name,
        "identity": dict(run.identity),
        "settings": dict(run.settings),
        **{name: getattr(run, name) for name in names},
    }


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
    return Trained(method, task, nets.eval(), job.run.seed)


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
