"""Suite -> runs: what is to be trained and shown, each with its identity and hash."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_uq.architectures import check_network, chosen
from bench_uq.config import Settings, Suite
from bench_uq.contents import Contents, digest
from bench_uq.contracts import Task
from bench_uq.errors import UsageError, unknown
from bench_uq.plugins import Plugins, Spec, hash_files

#: Raised when the meaning of stored files changes.
SCHEMA = 1

ENGINE = Path(__file__).parent
TRAINING_SOURCES = (
    "architectures.py",
    "contracts.py",
    "data.py",
    "likelihoods.py",
    "networks.py",
    "seeds.py",
    "train.py",
)
PREDICTION_SOURCES = ("contracts.py", "data.py", "likelihoods.py", "networks.py", "seeds.py", "predict.py")


@dataclass(frozen=True)
class Shown:
    """One condition at one level, as it is stored of one run."""

    condition: str  # canonical name; "clean", an attack, a shift or an unseen dataset
    full: str  # every option spelled out
    kind: str  # "clean", "condition" or "unseen"
    level: float | None
    count: int  # examples, 0 for all
    file: str
    key: str  # hash of all that determines the predictions, the network aside


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
    suite: Suite, plugins: Plugins, contents: Contents, notice: Callable[[str], None] = lambda text: None
) -> list[Run]:
    """Return all runs of a suite, seed by seed; loads the data to tell their contents apart, writes nothing.

    ``notice`` is told of conditions of the whole suite that do not suit a dataset, which is not shown them, and of
    that leave classes out.
    """
    methods = [plugins.spec("method", text, suite.options.get(plain_name(text))) for text in suite.methods]
    datasets = [plugins.spec("dataset", text, suite.options.get(plain_name(text))) for text in suite.datasets]
    for kind, specs in (("methods", methods), ("datasets", datasets)):
        refuse_repeated(kind, specs)
    check_tables(suite, methods, datasets, plugins)
    for spec in datasets:  # files that are missing are told of before those of unseen data
        contents.of(spec, "train", suite.seeds[0])
    tasks = {spec.name: task_of(spec, suite, contents) for spec in datasets}
    for method in methods:
        for name, task in tasks.items():
            if not method.value.suits(task):
                raise UsageError(f"method {method.name!r} does not suit the task of {name}")
    conditions = {spec.name: conditions_of(suite, spec, plugins, contents, notice) for spec in datasets}
    for spec in datasets:
        tell_of_limits(suite, spec, conditions[spec.name], contents, notice)
    return [
        make_run(
            method,
            (dataset, tasks[dataset.name]),
            seed,
            suite.settings_of(method.plain),
            conditions[dataset.name],
            contents,
        )
        for seed in suite.seeds
        for dataset in datasets
        for method in methods
    ]


def smaller(one: int, other: int) -> int:
    """Return the smaller of two sizes of which 0 means all."""
    return min(one or other, other or one)


def plain_name(text: str) -> str:
    """Return the name in front of the brackets."""
    return text.partition("[")[0].strip()


def task_of(dataset: Spec, suite: Suite, contents: Contents) -> Task:
    """Return the task of a dataset with its network, which is tried out."""
    task: Task = dataset.value.task(contents.root)
    name = suite.network or chosen(task)
    task = dataclasses.replace(task, network=str(Path(name).absolute()) if name.endswith(".py") else name)
    check_network(task)
    return task


def refuse_repeated(kind: str, specs: list[Spec]) -> None:
    """Refuse two plugins that results would not tell apart."""
    for index, spec in enumerate(specs):
        if spec.name in [other.name for other in specs[:index]]:
            raise UsageError(f"{kind}: {spec.name} is given twice")


def check_tables(suite: Suite, methods: list[Spec], datasets: list[Spec], plugins: Plugins) -> None:
    """Refuse settings and options of plugins that do not exist; those of plugins left out of this run are fine."""
    for name in suite.method_settings:
        if name not in plugins.names("method"):
            raise unknown("method in settings", name, plugins.names("method"))
    kinds = {name: kind for kind in ("condition", "dataset", "method") for name in plugins.names(kind)}
    for name, options in suite.options.items():
        if name not in kinds:
            raise unknown("method in options", name, kinds)
        plugins.spec(kinds[name], name, options)
    for name in suite.dataset_conditions:
        if name not in plugins.names("dataset"):
            raise unknown("dataset in conditions", name, plugins.names("dataset"))


def conditions_of(
    suite: Suite, dataset: Spec, plugins: Plugins, contents: Contents, notice: Callable[[str], None]
) -> list[tuple[Spec, tuple[float, ...]]]:
    """Return the conditions of a dataset beside ``clean``, with their levels; unseen data must fit its task."""
    asked = suite.dataset_conditions.get(dataset.plain, {})
    found: list[tuple[Spec, tuple[float, ...]]] = []
    for text, levels in suite.conditions_of(dataset.plain).items():
        if plain_name(text) in plugins.names("condition"):
            spec = plugins.spec("condition", text, suite.options.get(plain_name(text)))
            if not levels:
                raise UsageError(f"condition {text!r} needs levels")
            if reason := unsuited(spec, dataset, suite.seeds[0], contents):
                if text in asked:
                    raise UsageError(reason)
                notice(reason)
                continue
        elif plain_name(text) in plugins.names("dataset"):
            spec = plugins.spec("dataset", text, suite.options.get(plain_name(text)))
            if levels:
                raise UsageError(f"unseen data {text!r} have no levels")
            check_unseen(dataset, spec, suite.seeds[0], contents)
        else:
            raise unknown("condition", text, [*plugins.names("condition"), *plugins.names("dataset")])
        found.append((spec, levels))
    refuse_repeated("conditions", [spec for spec, _ in found])
    return found


def tell_of_limits(
    suite: Suite,
    dataset: Spec,
    conditions: list[tuple[Spec, tuple[float, ...]]],
    contents: Contents,
    notice: Callable[[str], None],
) -> None:
    """Tell of limits on the test examples that leave out whole classes: some data are sorted by class."""
    if suite.settings.evaluate_on == "validation":
        return  # held out at random
    used = {"test_images", *(spec.value.size for spec, _ in conditions if spec.kind == "condition")}
    for name in sorted(used):
        count = getattr(suite.settings, name)
        if 0 < count < contents.of(dataset, "test", suite.seeds[0]).enough:
            notice(f"{name}={count}: the first {count} test examples of {dataset.name} do not hold all of its classes")


def unsuited(condition: Spec, dataset: Spec, seed: int, contents: Contents) -> str:
    """Return why a condition cannot be shown to networks of a dataset, empty where it can."""
    if not condition.value.suits(dataset.value.task(contents.root)):
        return f"{condition.name} does not suit the task of {dataset.name}: not shown"
    if not contents.of(dataset, "test", seed).unit:
        return f"{condition.name} keeps inputs in [0, 1], those of {dataset.name} are not: not shown"
    return ""


def check_unseen(dataset: Spec, unseen: Spec, seed: int, contents: Contents) -> None:
    """Refuse unseen data of another shape than the network was trained on."""
    contents.of(unseen, "test", seed)  # files that are missing are told of first
    ours, theirs = (spec.value.task(contents.root).input_shape for spec in (dataset, unseen))
    if ours != theirs:
        raise UsageError(f"{unseen.name} {theirs} cannot be shown to a network trained on {dataset.name} {ours}")


def make_run(
    method: Spec,
    data: tuple[Spec, Task],
    seed: int,
    settings: Settings,
    conditions: list[tuple[Spec, tuple[float, ...]]],
    contents: Contents,
) -> Run:
    """Return one run with everything it will be shown."""
    dataset, task = data
    identity = {
        "schema": SCHEMA,
        "method": method.identity,
        "method_source": method.source_hash,
        "dataset": dataset.identity,
        "content": contents.of(dataset, "train", seed).hash,
        **network_identity(task.network),
        "engine_source": hash_files(ENGINE / name for name in TRAINING_SOURCES),
        "seed": seed,
        **{name: getattr(settings, name) for name in ("epochs", "batch", "validation", "train_images", "threads")},
    }
    key = digest(identity)
    shown = [make_shown(dataset, None, None, settings, seed, contents)]
    for spec, levels in conditions:
        shown += [make_shown(dataset, spec, level, settings, seed, contents) for level in levels or (None,)]
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
        "network_source": hashlib.sha256(file.read_bytes()).hexdigest() if file else None,
    }


def make_shown(
    dataset: Spec, seen: Spec | None, level: float | None, settings: Settings, seed: int, contents: Contents
) -> Shown:
    """Return a condition or unseen data, or clean data where ``seen`` is None, as shown, with its key and file name."""
    kind = "clean" if seen is None else "unseen" if seen.kind == "dataset" else "condition"
    data = seen if seen is not None and kind == "unseen" else dataset
    split = "train" if kind != "unseen" and settings.evaluate_on == "validation" else "test"
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
            "evaluate_on": settings.evaluate_on,
            "engine_source": hash_files(ENGINE / name for name in PREDICTION_SOURCES),
        }
    )
    parts = [re.sub(r"[^a-z0-9._-]", "-", plain_name(name)), *([] if level is None else [f"{level:g}"])]
    return Shown(name, full, kind, level, count, "-".join([*parts, key[:8]]) + ".npz", key)


def plan_entry(run: Run) -> dict[str, Any]:
    """Return what the stored plan keeps of a run: all that scoring needs to know."""
    names = ("condition", "kind", "level", "file")
    shown = [{name: getattr(one, name) for name in names} for one in run.shown]
    return {"run": run.name, "method": run.method, "dataset": run.dataset, "seed": run.seed, "shown": shown}
