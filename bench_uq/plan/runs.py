"""Suite to planned runs: each run and evaluation with its identity and key."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench_uq.api.architecture_names import is_architecture, shown_network, weights_of
from bench_uq.api.names import plain_name
from bench_uq.plan.fingerprints import SHORT, Contents, digest
from bench_uq.plan.plugins import Plugins, Spec
from bench_uq.plan.resolve import (
    Data,
    asked_of,
    chain_of,
    choose,
    compared_with,
    needed_references,
    references_of,
)
from bench_uq.plan.sources import hash_of_trees
from bench_uq.plan.suite import Suite
from bench_uq.predict import PREDICTION_VERSION
from bench_uq.store import HELD_OUT, MEMBERS, SCHEMA, Evaluation, PlannedRun
from bench_uq.store.files import sha256
from bench_uq.train import TRAINING_VERSION
from bench_uq.train.settings import RECIPE, Settings
from bench_uq.train.splits import sizes

#: Settings that training depends on; the others count for predictions alone.
TRAINING_SETTINGS = ("epochs", "batch", "validation", "train_images", "threads", "precision")


def make_plan(
    suite: Suite,
    plugins: Plugins,
    contents: Contents,
    notice: Callable[[str], None] = lambda text: None,
) -> list[PlannedRun]:
    """Plan all runs of a suite, seed by seed; data are loaded for their content, nothing is
    written.

    ``notice`` is told which conditions are left out, and why, and of remarks on the data.
    """
    methods, datasets = choose(suite, plugins, contents, notice)
    asked = asked_of(suite, plugins)
    references = references_of(suite, plugins)
    # Those that are not run are named only where none is.
    references = needed_references(asked, references) or references
    names = {method.name for method in asked}
    plan = list[PlannedRun]()

    for seed, data in itertools.product(suite.seeds, datasets):
        # A surrogate is trained to be attacked, and evaluated only if the suite lists it as a
        # method.
        bare = dataclasses.replace(data, conditions=[])
        surrogates, common = {}, suite.untuned or suite
        for name, spec in data.surrogates.items():
            chain = chain_of(spec, common, plugins)
            surrogates[name] = make_chain(chain, bare, seed, common, contents)

        truths = dict[str, str]()
        for method in methods:
            chain = chain_of(method, suite, plugins)
            base, settings = None, suite.settings_of(chain[-1].plain)
            if len(chain) > 1:
                base = make_chain(chain[1:], bare, seed, suite, contents)
            run = make_run(method, data, seed, settings, contents, surrogates, base)
            run = with_beside(run, chain, data, contents)
            if references:
                reference, other = compared_with(method, references)
                # The references are the first of the methods, as far as one is compared with them.
                truth = truths.get(reference.name, "")
                if not other:
                    truth = truths.setdefault(reference.name, run.name)
                run = dataclasses.replace(
                    run, reference=truth, other_model=other, to_compare=method.name not in names
                )
            run = with_likeness(run, chain, data, suite.settings, contents)
            name = suite.called.get(method.name, method.name)
            plan.append(dataclasses.replace(run, method=name))

    for name, remarks in contents.remarks.items():
        for remark in remarks:
            notice(f"{name}: {remark}")
    return plan


def make_chain(
    chain: Sequence[Spec], data: Data, seed: int, suite: Suite, contents: Contents
) -> PlannedRun:
    """Plan the training of a method, and of its base if it has one; nothing is shown to it."""
    base = None
    if len(chain) > 1:
        base = make_chain(chain[1:], data, seed, suite, contents)
    # The recipe is that of the networks which are trained.
    settings = suite.settings_of(chain[-1].plain)
    return make_run(chain[0], data, seed, settings, contents, base=base)


def with_likeness(
    run: PlannedRun, chain: Sequence[Spec], data: Data, shared: Settings, contents: Contents
) -> PlannedRun:
    """A planned run with the facts that decide whether others may be compared with it."""
    own = Settings(**run.settings)
    differing = {}
    for name, value in dataclasses.asdict(shared).items():
        if getattr(own, name) != value:
            differing[name] = value
    trained_on, held_out = sizes(contents.of(data.spec, "train", run.seed).size, own)

    code = {
        **{f"method {one.plain}": one.source_hash[:SHORT] for one in chain},
        "training version": str(TRAINING_VERSION),
        "prediction version": str(PREDICTION_VERSION),
    }
    if run.network.endswith(".py"):
        source = run.identity["network_source"]
        code[f"network {run.identity['network']}"] = source[:SHORT]

    # Where the test split is not shown, as in a study that tunes, it is not even read.
    splits = ("train",) if own.evaluate_on == "validation" else ("train", "test")
    content = {"": version(data.spec, contents, splits)}
    for spec, _ in data.conditions:
        if spec.kind == "condition":
            code[f"condition {spec.plain}"] = spec.source_hash[:SHORT]
        else:
            content[spec.name] = version(spec, contents, ("test",))
    for spec in data.surrogates.values():
        code[f"method {spec.plain}"] = spec.source_hash[:SHORT]

    return dataclasses.replace(
        run, shared=differing, trained_on=trained_on, held_out=held_out, data=content, code=code
    )


def with_beside(
    run: PlannedRun, chain: Sequence[Spec], data: Data, contents: Contents
) -> PlannedRun:
    """Plan predictions beside those of conditions: for held-out examples, and of each member.

    Not where no held-out examples are left, nor in a study that tunes, which is itself evaluated on
    them.
    """
    settings, content = Settings(**run.settings), contents.of(data.spec, "train", run.seed)
    _, count = sizes(content.size, settings)
    if any(spec.value.fits_held_out for spec in chain):
        count //= 2
    if settings.evaluate_on == "validation" or not count:
        return run

    facts = {
        "schema": SCHEMA,
        "count": count,
        "sources": [content.hash],
        "block": settings.block,
        "prediction_version": PREDICTION_VERSION,
    }
    found = [beside(HELD_OUT, {**facts, "draws": settings.draws})]
    if chain[0].value.members > 1:
        tested = contents.of(data.spec, "test", run.seed).hash
        asked = {**facts, "tested": [tested, settings.test_images]}
        found.append(dataclasses.replace(beside(MEMBERS, asked), count=settings.test_images))
    return dataclasses.replace(run, shown=(*run.shown, *found))


def beside(kind: str, facts: Mapping[str, Any]) -> Evaluation:
    """Plan an evaluation without scores of its own; ``facts`` determine its predictions."""
    key = digest({**facts, "kind": kind})
    return Evaluation(kind, kind, None, file_name(kind, None, key), kind, 0, key)


def version(dataset: Spec, contents: Contents, splits: Sequence[str]) -> str:
    """Short hash of the content of some splits of a dataset, the same for all seeds."""
    # Seeds may have folds of their own; the first fold stands for the data behind all of them.
    return digest([contents.of(dataset, split, 0).hash for split in splits])[:SHORT]


def make_run(
    method: Spec,
    data: Data,
    seed: int,
    settings: Settings,
    contents: Contents,
    surrogates: Mapping[str, PlannedRun] = MappingProxyType({}),
    base: PlannedRun | None = None,
) -> PlannedRun:
    """Plan one run with all its evaluations; ``surrogates`` are the runs that these attack.

    ``base`` is the run whose networks it starts from.
    """
    dataset, task = data.spec, data.task
    identity = {
        "schema": SCHEMA,
        "method": method.identity,
        "method_source": method.source_hash,
        "dataset": dataset.identity,
        "content": contents.of(dataset, "train", seed).hash,
        # The network has an entry of its own, by name and source instead of by path.
        "task": repr(dataclasses.replace(task, network="")),
        **network_identity(task.network),
        "training_version": TRAINING_VERSION,
        "seed": seed,
        **{name: getattr(settings, name) for name in TRAINING_SETTINGS},
        **recipe_identity(settings),
    }
    # Not an entry of None for all others: their keys would change.
    if base:
        identity["base"] = base.key
    key = digest(identity)

    shown = [evaluation(dataset, None, None, settings, seed, contents)]
    for spec, levels in data.conditions:
        attacked = None
        if spec.kind == "condition":
            attacked = surrogates.get(spec.value.surrogate())
        for level in levels or (None,):
            shown.append(evaluation(dataset, spec, level, settings, seed, contents, attacked))

    return PlannedRun(
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
        base=base,
    )


def recipe_identity(settings: Settings) -> dict[str, Any]:
    """The settings of the recipe that differ from their defaults."""
    # A default is left out, so that the keys of runs made before there were recipes stay the same.
    plain, found = Settings(), {}
    for name in RECIPE:
        value = getattr(settings, name)
        if value != getattr(plain, name):
            found[name] = value
    return found


def network_identity(name: str) -> dict[str, str | None]:
    """Identity of a network: its name, and for a user's file, or weights, what is in it."""
    if is_architecture(name):
        return {"network": shown_network(name), "network_source": architecture_source(name)}
    if not name.endswith(".py"):
        return {"network": name, "network_source": None}
    file = Path(name)
    return {"network": file.stem, "network_source": hash_of_trees([file])}


def architecture_source(name: str) -> str | None:
    """What else decides a network of another package: its weights, and the version of timm."""
    # A hash alone would not tell two versions apart that build other layers for the same weights.
    parts = list[str]()
    # That of torchvision is part of the environment.
    if name.startswith("timm:"):
        parts.append(f"timm {importlib.metadata.version('timm')}")
    if weights := weights_of(name):
        parts.append(hash_at(weights, weights.stat().st_mtime_ns))
    return " ".join(parts) or None


@functools.cache
def hash_at(path: Path, changed: int) -> str:
    """Hash of a file that was last changed at a time; many runs share one of hundreds of MB."""
    del changed
    return sha256(path)


def evaluation(
    dataset: Spec,
    seen: Spec | None,
    level: float | None,
    settings: Settings,
    seed: int,
    contents: Contents,
    surrogate: PlannedRun | None = None,
) -> Evaluation:
    """Plan the evaluation of a condition or of other data; of clean data if ``seen`` is None."""
    kind, name, full, identity = "clean", "clean", "clean", "clean"
    if seen is not None:
        kind, name, full, identity = kind_of(seen, dataset), seen.name, seen.full, seen.identity

    data, size, source = dataset, 0, None
    if seen is not None:
        source = seen.source_hash
    if seen is not None and seen.kind == "dataset":
        data = seen
    elif seen is not None:
        size = getattr(settings, seen.value.size)

    # Examples are held out of the training split alone; other data have none to hold out.
    split = "test"
    if data is dataset and settings.evaluate_on == "validation":
        split = "train"
    count = smaller(size, settings.test_images)

    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "condition": identity,
        "kind": kind,
        "level": level,
        "count": count,
        "sources": [source, contents.of(data, split, seed).hash],
        "draws": settings.draws,
        "block": settings.block,
        "evaluate_on": settings.evaluate_on,
        "prediction_version": PREDICTION_VERSION,
    }
    # Not an entry of None for all others: their keys would change.
    if surrogate:
        facts["surrogate"] = surrogate.key
    key = digest(facts)

    return Evaluation(
        condition=name,
        kind=kind,
        level=level,
        file=file_name(name, level, key),
        full=full,
        count=count,
        key=key,
        surrogate=surrogate,
    )


def kind_of(seen: Spec, dataset: Spec) -> str:
    """Kind of an evaluation other than of clean data, for networks of a dataset."""
    if seen.kind == "condition":
        return "condition"
    if dataset.plain in seen.value.shift_of:
        return "shifted"
    return "unseen"


def smaller(one: int, other: int) -> int:
    """The smaller of two sizes; 0 means all."""
    return min(one or other, other or one)


def file_name(condition: str, level: float | None, key: str) -> str:
    """Name of the file of predictions, which a person can recognise."""
    # Names of the user's own conditions may hold any character.
    parts = [re.sub(r"[^a-z0-9._-]", "-", plain_name(condition))]
    if level is not None:
        parts.append(f"{level:g}")
    return "-".join([*parts, key[:8]]) + ".npz"
