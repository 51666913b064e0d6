"""Planned runs whose code is no longer the present one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

from bench_uq import store
from bench_uq.api.names import plain_name
from bench_uq.plan.plugins import PACKAGES, plugin_name
from bench_uq.plan.sources import hash_of_installed, hash_of_trees
from bench_uq.predict import PREDICTION_VERSION
from bench_uq.train import TRAINING_VERSION

#: Dataset, method, seed.
RunKey = tuple[str, str, int]
VERSIONS = {
    "training version": str(TRAINING_VERSION),
    "prediction version": str(PREDICTION_VERSION),
}


def stale(folder: Path, plugins: Collection[Path] = ()) -> dict[RunKey, tuple[str, ...]]:
    """The code that has changed since each planned run, by run; unchanged runs are left out.

    ``plugins`` are files of the user, in place of those that the runs were made with.
    """
    # Read as it stands: a damaged plan is set aside by those who are about to write it.
    path = folder / store.PLAN
    try:
        plan = store.Plan.from_json(store.load_json(path))
    except (store.Damaged, OSError):
        return {}

    files = dict(plan.files)
    for file in plugins:
        files[plugin_name(file)] = str(file)

    @cache
    def present(part: str) -> str:
        return _present(part, files)

    found = {}
    for run in plan.runs.values():
        changed = []
        for part, was in run.code.items():
            now = present(part)
            if now and not now.startswith(was):
                changed.append(part)
        if changed:
            found[run.dataset, run.method, run.seed] = tuple(changed)
    return found


def concerned(changed: Collection[str], condition: str) -> list[str]:
    """The changed code that scores under a condition depend on."""
    kept = []
    for part in changed:
        kind, _, name = part.partition(" ")
        if kind != "condition" or name == plain_name(condition):
            kept.append(part)
    return kept


def _present(part: str, files: Mapping[str, str]) -> str:
    """Hash or version of a piece of code as it is now; empty if it cannot be found."""
    if part in VERSIONS:
        return VERSIONS[part]

    kind, _, name = part.partition(" ")
    own = files.get(part) if kind == "network" else files.get(name)
    # A plan may come from another machine, where files lie elsewhere.
    if own is not None:
        return hash_of_trees([Path(own)]) if Path(own).is_file() else ""
    return hash_of_installed(name, PACKAGES[kind]) if kind in PACKAGES else ""
