"""Planned runs whose code is no longer the present one."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from bench_uq import store
from bench_uq.api.names import plain_name
from bench_uq.plan.plugins import PACKAGES, plugin_name
from bench_uq.plan.sources import hash_of_installed, hash_of_trees
from bench_uq.predict import PREDICTION_VERSION
from bench_uq.store import derived
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
    made, files = published(folder), dict[str, str]()
    plan = plan_of(folder)
    if plan:
        files = dict(plan.files)
        made = {(run.dataset, run.method, run.seed): run.code for run in plan.runs.values()}
    for file in plugins:
        files[plugin_name(file)] = str(file)

    @cache
    def present(part: str) -> str:
        return _present(part, files)

    found = {}
    for key, code in made.items():
        changed = []
        for part, was in code.items():
            now = present(part)
            if now and not now.startswith(was):
                changed.append(part)
        if changed:
            found[key] = tuple(changed)
    return found


def plan_of(folder: Path) -> store.Plan | None:
    """The plan of a suite's folder, if it has one that can be read."""
    # Read as it stands: a damaged plan is set aside by those who are about to write it.
    with suppress(store.Damaged, OSError):
        return store.Plan.from_json(store.load_json(folder / store.PLAN))
    return None


def plugin_files(folder: Path) -> list[Path]:
    """The files of the user's plugins that a suite was planned with."""
    plan = plan_of(folder)
    return [Path(file) for file in plan.files.values()] if plan else []


def published(folder: Path) -> dict[RunKey, Mapping[str, str]]:
    """The code of each run by runs.csv, for results that came without their plan."""
    path = derived.runs_file(folder)
    if (folder / store.PLAN).exists() or not path.exists():
        return {}

    runs, found = derived.table(path), dict[RunKey, Mapping[str, str]]()
    for run in runs[runs["status"] == "ok"].to_dict("records"):
        facts = json.loads(run["facts"] or "{}")
        code = {}
        for name, source in facts.items():
            if name == "code":
                code[f"method {plain_name(run['method'])}"] = source
            elif name.startswith("code of "):
                code[name.replace("code of", "condition")] = source
            elif name in VERSIONS or name.partition(" ")[0] in PACKAGES:
                code[name] = source
        found[run["dataset"], run["method"], run["seed"]] = code
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
