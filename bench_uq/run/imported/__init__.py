"""Predictions that were made anywhere, stored as a run beside bench-uq's own."""

from __future__ import annotations

import re
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
from bench_uq.plan.runs import SCHEMA, Run, Shown, plan_entry
from bench_uq.run.imported.values import Outputs
from bench_uq.run.record import facts

#: The ``kind`` in the record of such a run.
KIND = "imported"

#: Version of how a file of predictions becomes stored arrays. Raise it by hand whenever the same
#: file gives other arrays; golden tests (tests/golden) fail where the arrays changed and it did not.
IMPORT_VERSION = 1


@dataclass(frozen=True)
class Import:
    """A file of predictions and what the model was shown for it."""

    outputs: Outputs
    condition: str  # canonical name
    full: str
    kind: str  # "clean", "condition" or "unseen"
    level: float | None

    def shown(self) -> Shown:
        """Return it as a plan lists it; a file with other bytes is another one."""
        identity = {
            "schema": SCHEMA,
            "condition": self.full,
            "kind": self.kind,
            "level": self.level,
            "source": self.outputs.sha256,
            "import_version": IMPORT_VERSION,
        }
        key = digest(identity)
        name = re.sub(r"[^a-z0-9._-]", "-", plain_name(self.condition))
        file = (
            "-".join([name, *([] if self.level is None else [f"{self.level:g}"]), key[:8]]) + ".npz"
        )
        return Shown(self.condition, self.full, self.kind, self.level, 0, file, key)


def make_run(method: str, dataset: tuple[str, str], seed: int, shown: Sequence[Shown]) -> Run:
    """Return the run of a model trained elsewhere; its folder depends on names and seed alone, so that calls add up."""
    name, full = dataset
    identity = {"schema": SCHEMA, "kind": KIND, "method": method, "dataset": name, "seed": seed}
    key = digest(identity)
    folder = f"{method}-{plain_name(name)}-s{seed}-{key[:8]}"
    return Run(folder, method, method, name, full, seed, "", {}, identity, key, tuple(shown))


def refuse_taken(method: str, plan: Mapping[str, Any]) -> None:
    """Refuse the name of a method that bench-uq ran itself."""
    for entry in plan.values():
        own = make_run(entry["method"], (entry["dataset"], ""), entry["seed"], ())
        if plain_name(entry["method"]) == method and entry["run"] != own.name:
            raise UsageError(
                f"{method!r} is a method that bench-uq ran itself ({entry['run']}): choose another --name"
            )


def add(
    folder: Path, run: Run, imports: Sequence[Import], made: Mapping[str, Any]
) -> list[tuple[Import, Predictions, bool]]:
    """Store what is new of a run and lay it into the plan; return the predictions and which were stored before.

    ``made`` is what the record says of where this happens.
    """
    mixtures = [(one.shown().file, one.outputs.mixture()) for one in imports]
    with writing(folder, run) as target:
        before = target.record() if target.path.is_dir() else {}
        done = [before.get("status") == "ok" and target.holds(file) for file, _ in mixtures]
        for (file, predictions), stored in zip(mixtures, done, strict=True):
            if not stored:
                target.save_predictions(file, predictions)
        if not all(done) or not {file for file, _ in mixtures} <= before.get("sources", {}).keys():
            target.update(**recorded(before, run, imports), **made)
        entry = merged(store.read_plan(folder)["runs"], run)
        store.merge_plan(folder, {f"{run.method}|{run.dataset}|{run.seed}": entry})
        drop_replaced(target, {shown["file"] for shown in entry["shown"]})
    return [
        (one, mixture, stored)
        for one, (_, mixture), stored in zip(imports, mixtures, done, strict=True)
    ]


@contextmanager
def writing(folder: Path, run: Run) -> Iterator[store.RunFolder]:
    """Hold the lock of a run's folder."""
    target = store.run_folder(folder, run.name)
    with target.locked() as mine:
        if not mine:
            raise UsageError(
                f"{target.path} is being written by another process: try again when it is done"
            )
        yield target


def merged(plan: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Return the plan's entry of a run: what it showed before, the same condition and level replaced."""
    entry = plan_entry(run)
    before = plan.get(f"{run.method}|{run.dataset}|{run.seed}", {}).get("shown", [])
    shown = {(one["condition"], one["level"]): one for one in [*before, *entry["shown"]]}
    order = sorted(
        shown.values(),
        key=lambda one: (one["kind"] != "clean", one["condition"], one["level"] or 0),
    )
    return {**entry, "shown": order}


def recorded(record: Mapping[str, Any], run: Run, imports: Sequence[Import]) -> dict[str, Any]:
    """Return what the record says of the run: names, what it was made from, and nothing of a training unknown here."""
    sources = {
        one.shown().file: {
            "name": one.outputs.path.name,
            "sha256": one.outputs.sha256,
            "draws": one.outputs.draws.shape[0],
            "examples": one.outputs.draws.shape[1],
        }
        for one in imports
    }
    return {
        **facts(run),
        "kind": KIND,
        "status": "ok",
        "reason": None,
        "sources": record.get("sources", {}) | sources,
    }


def drop_replaced(target: store.RunFolder, wanted: set[str]) -> None:
    """Delete the predictions that newer ones stand for."""
    record = target.record()
    gone = set(record["files"]) - wanted
    if gone:
        target.forget(gone)
        sources = record.get("sources", {})
        target.update(sources={name: one for name, one in sources.items() if name in wanted})
        for name in gone:
            (target.path / name).unlink(missing_ok=True)


def zeros(one: Import, predictions: Predictions) -> str:
    """Return a warning where a target has probability 0, which makes the NLL infinite; empty otherwise."""
    impossible = (
        predictions["log_density"] == -float("inf") if "log_density" in predictions else None
    )
    if impossible is None or not impossible.any():
        return ""
    first = one.outputs.place(0, int(impossible.argmax()))
    return (
        f"{one.outputs.path}: {int(impossible.sum())} of {len(impossible)} labels have probability 0, the first in "
        f"{first}: the NLL is infinite, tables show a dash"
    )
