"""Suite -> runs: what is to be trained and shown, each with its identity and hash."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench_uq.api.names import plain_name
from bench_uq.plan.fingerprints import Contents, digest
from bench_uq.plan.plugins import Plugins, Spec
from bench_uq.plan.resolve import Data, choose
from bench_uq.plan.sources import hash_of_trees
from bench_uq.plan.suite import Suite
from bench_uq.predict import PREDICTION_VERSION
from bench_uq.store import SCHEMA
from bench_uq.train import TRAINING_VERSION
from bench_uq.train.settings import Settings

__all__ = ["SCHEMA", "Run", "Shown", "make_plan", "plan_entry"]

TRAINING_SETTINGS = ("epochs", "batch", "validation", "train_images", "threads", "precision")


@dataclass(frozen=True)
class Shown:
    """One condition at one level, as it is stored of one run."""

    condition: str  # canonical name; "clean", an attack, a shift or an unseen dataset
    full: str  # every option spelled out
    kind: str  # "clean", "condition", "unseen" or "shifted": labelled data in files of their own
    level: float | None
    count: int  # examples, 0 for all
    file: str
    key: str  # hash of all that determines the predictions, the network aside
    surrogate: Run | None = None  # whose networks are attacked, where it is not this run


@dataclass(frozen=True)
class Run:
    """One method, dataset and seed: trained once, then shown every condition. Plain data, fit to be sent anywhere."""

    name: str  # of its folder
    method: str
    method_full: str
    dataset: str
    dataset_full: str
    seed: int
    network: str  # its name, or its file
    settings: Mapping[str, Any]
    identity: Mapping[str, Any]
    key: str  # hash of the identity
    shown: tuple[Shown, ...]


def make_plan(
    suite: Suite,
    plugins: Plugins,
    contents: Contents,
    notice: Callable[[str], None] = lambda text: None,
) -> list[Run]:
    """Return all runs of a suite, seed by seed; loads the data to tell their contents apart, writes nothing.

    ``notice`` is told what of the suite is left out, and why.
    """
    methods, datasets = choose(suite, plugins, contents, notice)
    plan = []
    for seed in suite.seeds:
        for data in datasets:
            bare = dataclasses.replace(data, conditions=[])
            surrogates = {
                name: make_run(spec, bare, seed, suite.settings_of(spec.plain), contents)
                for name, spec in data.surrogates.items()
            }
            plan += [
                make_run(method, data, seed, suite.settings_of(method.plain), contents, surrogates)
                for method in methods
            ]
    return plan


def smaller(one: int, other: int) -> int:
    """Return the smaller of two sizes of which 0 means all."""
    return min(one or other, other or one)


def make_run(
    method: Spec,
    data: Data,
    seed: int,
    settings: Settings,
    contents: Contents,
    surrogates: Mapping[str, Run] = MappingProxyType({}),
) -> Run:
    """Return one run with everything it will be shown; ``surrogates`` are the runs that its conditions need."""
    dataset, task = data.spec, data.task
    identity = {
        "schema": SCHEMA,
        "method": method.identity,
        "method_source": method.source_hash,
        "dataset": dataset.identity,
        "content": contents.of(dataset, "train", seed).hash,
        "task": repr(dataclasses.replace(task, network="")),
        **network_identity(task.network),
        "training_version": TRAINING_VERSION,
        "seed": seed,
        **{name: getattr(settings, name) for name in TRAINING_SETTINGS},
    }
    key = digest(identity)
    shown = [make_shown(dataset, None, None, settings, seed, contents)]
    for spec, levels in data.conditions:
        attacked = surrogates.get(spec.value.surrogate()) if spec.kind == "condition" else None
        shown += [
            make_shown(dataset, spec, level, settings, seed, contents, attacked)
            for level in levels or (None,)
        ]
    return Run(
        name=f"{method.plain}-{dataset.plain}-s{seed}-{key[:8]}",
        method=method.name,
        method_full=method.full,
        dataset=dataset.name,
        dataset_full=dataset.full,
        seed=seed,
        network=task.network,
        settings=dataclasses.asdict(settings),
        identity=identity,
        key=key,
        shown=tuple(shown),
    )


def network_identity(name: str) -> dict[str, str | None]:
    """Return how a network counts: by name, a user's by its file's content too."""
    file = Path(name) if name.endswith(".py") else None
    return {
        "network": file.stem if file else name,
        "network_source": hash_of_trees([file]) if file else None,
    }


def make_shown(
    dataset: Spec,
    seen: Spec | None,
    level: float | None,
    settings: Settings,
    seed: int,
    contents: Contents,
    surrogate: Run | None = None,
) -> Shown:
    """Return a condition or unseen data, or clean data where ``seen`` is None, as shown, with its key and file name."""
    kind = (
        "clean"
        if seen is None
        else "condition"
        if seen.kind == "condition"
        else kind_of(seen, dataset)
    )
    data = seen if seen is not None and seen.kind == "dataset" else dataset
    split = "train" if data is dataset and settings.evaluate_on == "validation" else "test"
    size = getattr(settings, seen.value.size) if seen is not None and kind == "condition" else 0
    count = smaller(size, settings.test_images)
    name, full, identity = ("clean",) * 3 if seen is None else (seen.name, seen.full, seen.identity)
    key = digest(
        {
            "schema": SCHEMA,
            "condition": identity,
            "kind": kind,
            "level": level,
            "count": count,
            "sources": [seen.source_hash if seen else None, contents.of(data, split, seed).hash],
            "draws": settings.draws,
            "block": settings.block,
            "evaluate_on": settings.evaluate_on,
            "prediction_version": PREDICTION_VERSION,
            **({"surrogate": surrogate.key} if surrogate else {}),
        }
    )
    parts = [
        re.sub(r"[^a-z0-9._-]", "-", plain_name(name)),
        *([] if level is None else [f"{level:g}"]),
    ]
    return Shown(
        name, full, kind, level, count, "-".join([*parts, key[:8]]) + ".npz", key, surrogate
    )


def kind_of(seen: Spec, dataset: Spec) -> str:
    """Return what data are to networks of a dataset: its own examples, shifted, or unseen ones."""
    return "shifted" if dataset.plain in seen.value.shift_of else "unseen"


def plan_entry(run: Run) -> dict[str, Any]:
    """Return what the stored plan keeps of a run: all that scoring needs to know."""
    names = ("condition", "kind", "level", "file")
    shown = [{name: getattr(one, name) for name in names} for one in run.shown]
    return {
        "run": run.name,
        "method": run.method,
        "dataset": run.dataset,
        "seed": run.seed,
        "shown": shown,
    }
