"""Predictions of models trained anywhere, stored as runs beside bench-uq's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.api.names import plain_name
from bench_uq.api.task import Predictions
from bench_uq.plan.fingerprints import digest
from bench_uq.run.foreign import refuse_loss
from bench_uq.run.imported.values import Outputs
from bench_uq.store import SCHEMA, Evaluation, PlannedRun, RunFolder, Source, StoredFile
from bench_uq.store.about import About

#: ``kind`` in the record of such a run.
KIND = "imported"

#: Version of how a file of predictions becomes stored arrays. Raise it by hand whenever the same
#: file gives other arrays; golden tests (tests/golden) fail where the arrays changed and it did
#: not.
IMPORT_VERSION = 2


@dataclass(frozen=True)
class Import:
    """A file of predictions and the condition that they were made under."""

    outputs: Outputs
    condition: str  # canonical name
    full: str
    kind: str  # "clean", "condition", "unseen" or "held-out"
    level: float | None

    def evaluation(self) -> Evaluation:
        """The evaluation as a plan lists it; other bytes give another file name."""
        # Here, because plans load torch, which reading and checking files do without.
        from bench_uq.plan.runs import file_name

        identity = {
            "schema": SCHEMA,
            "condition": self.full,
            "kind": self.kind,
            "level": self.level,
            "source": self.outputs.sha256,
            "import_version": IMPORT_VERSION,
        }
        key = digest(identity)
        file = file_name(self.condition, self.level, key)
        return Evaluation(self.condition, self.kind, self.level, file, self.full, 0, key)

    def source(self) -> Source:
        """The file as the record names it."""
        draws, examples = self.outputs.draws.shape[:2]
        return Source(self.outputs.path.name, self.outputs.sha256, draws, examples)


def make_run(
    method: str, dataset: tuple[str, str], seed: int, shown: Sequence[Evaluation]
) -> PlannedRun:
    """Plan the run of a model trained elsewhere.

    Its folder depends on names and seed alone, so that several calls add to one run.
    """
    name, full = dataset
    identity = {"schema": SCHEMA, "kind": KIND, "method": method, "dataset": name, "seed": seed}
    key = digest(identity)

    return PlannedRun(
        name=f"{method}-{plain_name(name)}-s{seed}-{key[:8]}",
        method=method,
        method_full=method,
        dataset=name,
        dataset_full=full,
        seed=seed,
        identity=identity,
        key=key,
        shown=tuple(shown),
    )


def refuse_taken(method: str, runs: Mapping[str, PlannedRun]) -> None:
    """Refuse the name of a method that bench-uq ran itself."""
    for planned in runs.values():
        # An imported run has the name that make_run gives; any other is of bench-uq's own training.
        own = make_run(planned.method, (planned.dataset, ""), planned.seed, ())
        if plain_name(planned.method) == method and planned.name != own.name:
            raise UsageError(
                f"{method!r} is a method that bench-uq ran itself ({planned.name}): "
                "choose another --name"
            )


def add(
    folder: Path,
    run: PlannedRun,
    imports: Sequence[Import],
    made: Mapping[str, Any],
    about: About | None = None,
) -> list[tuple[Import, Predictions, bool]]:
    """Store the new evaluations of a run and add them to the plan.

    Return the predictions, and whether they were stored before. ``made`` are facts of this machine
    for the record.
    """
    # Here, because it loads torch too.
    from bench_uq.run.record import facts

    refuse_loss(folder, [run])
    found = []
    with writing(folder, run) as target:
        before, files = target.record(), dict[str, StoredFile]()
        for one in imports:
            mixture, file = one.outputs.mixture(), one.evaluation().file
            stored = before.status == "ok" and target.holds(file)
            if not stored:
                files |= target.write_predictions(file, mixture)
            found.append((one, mixture, stored))

        sources = {one.evaluation().file: one.source() for one in imports}
        if files or not sources.keys() <= before.sources.keys():
            target.update(
                **facts(run),
                kind=KIND,
                status="ok",
                reason=None,
                sources={**before.sources, **sources},
                files={**before.files, **files},
                **made,
            )

        planned = merged(store.read_plan(folder).runs.get(run.place), run)
        store.merge_plan(folder, [planned], about=about)
        # Only when the plan names the new files, so that it never names one that is gone.
        drop_replaced(target, {evaluation.file for evaluation in planned.shown})

    return found


@contextmanager
def writing(folder: Path, run: PlannedRun) -> Iterator[RunFolder]:
    """Hold the lock of a run's folder."""
    target = store.run_folder(folder, run.name)
    with target.locked() as mine:
        if not mine:
            raise UsageError(
                f"{target.path} is being written by another process: try again when it is done"
            )
        yield target


def merged(before: PlannedRun | None, run: PlannedRun) -> PlannedRun:
    """A run with its earlier evaluations; those of the same condition and level are replaced."""
    evaluations = (*before.shown, *run.shown) if before else run.shown
    latest = {one.place: one for one in evaluations}

    def place(one: Evaluation) -> tuple[bool, str, float]:
        return one.kind != "clean", one.condition, one.level or 0

    return dataclasses.replace(run, shown=tuple(sorted(latest.values(), key=place)))


def drop_replaced(target: RunFolder, wanted: set[str]) -> None:
    """Delete predictions that newer ones replace."""
    record = target.record()
    gone = record.files.keys() - wanted
    if not gone:
        return

    sources = {name: one for name, one in record.sources.items() if name in wanted}
    # The record forgets a file before it is deleted.
    target.forget(gone, sources=sources)
    for name in gone:
        (target.path / name).unlink(missing_ok=True)


def few(one: Import) -> str:
    """Warning if there is one example, or one class among the labels; otherwise empty."""
    targets = one.outputs.targets
    told = ""
    if one.outputs.draws.shape[1] == 1:
        told = "one example"
    elif targets is not None and targets.dtype.kind == "i" and (targets == targets[0]).all():
        told = f"all labels are {targets[0]}"
    if not told:
        return ""

    reason = "scores that need right and wrong predictions may have no value"
    return f"{one.outputs.path}: {told}: no score says anything of others, and {reason}"


def zeros(one: Import, predictions: Predictions) -> str:
    """Warning if a label has probability 0, which makes the NLL infinite; otherwise empty."""
    if "log_density" not in predictions:
        return ""
    impossible = predictions["log_density"] == -float("inf")
    if not impossible.any():
        return ""

    first = one.outputs.place(0, int(impossible.argmax()))
    count = f"{int(impossible.sum())} of {len(impossible)} labels have probability 0"
    where = f"{one.outputs.path}: {count}, the first in {first}"
    return f"{where}: the NLL is infinite"
