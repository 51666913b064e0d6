"""What a suite chooses: its methods, datasets, networks and conditions, checked to be there and to suit each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import plain_name
from bench_uq.api.networks import check_network, chosen
from bench_uq.api.task import Task
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins, Spec
from bench_uq.plan.suite import Suite

Levels = tuple[float, ...]


@dataclass(frozen=True)
class Data:
    """A dataset of a suite with the task of its networks, and what these are shown beside clean data."""

    spec: Spec
    task: Task
    conditions: list[tuple[Spec, Levels]] = field(default_factory=list)
    surrogates: Mapping[str, Spec] = field(
        default_factory=dict
    )  # methods that conditions attack, as these name them


def choose(
    suite: Suite, plugins: Plugins, contents: Contents, notice: Callable[[str], None]
) -> tuple[list[Spec], list[Data]]:
    """Return the methods and the data of a suite.

    ``notice`` is told of conditions of the whole suite that do not suit a dataset, which is not shown them, and of
    limits that leave classes out.
    """
    methods = [
        plugins.spec("method", text, suite.options.get(plain_name(text))) for text in suite.methods
    ]
    datasets = [
        plugins.spec("dataset", text, suite.options.get(plain_name(text)))
        for text in suite.datasets
    ]
    for kind, specs in (("methods", methods), ("datasets", datasets)):
        refuse_repeated(kind, specs)
    check_tables(suite, plugins)
    for spec in datasets:  # files that are missing are told of before those of unseen data
        contents.of(spec, "train", suite.seeds[0])
    found = []
    for spec in datasets:
        task = task_of(spec, suite, contents)
        conditions = conditions_of(suite, spec, plugins, contents, notice)
        surrogates = surrogates_of(conditions, suite, plugins)
        check_methods([*methods, *surrogates.values()], spec, task)
        tell_of_limits(suite, spec, conditions, contents, notice)
        found.append(Data(spec, task, conditions, surrogates))
    return methods, found


def surrogates_of(
    conditions: list[tuple[Spec, Levels]], suite: Suite, plugins: Plugins
) -> dict[str, Spec]:
    """Return the methods whose networks conditions attack instead of those that they are judged by."""
    named = {spec.value.surrogate() for spec, _ in conditions if spec.kind == "condition"} - {""}
    return {
        name: plugins.spec("method", name, suite.options.get(plain_name(name)))
        for name in sorted(named)
    }


def check_methods(methods: list[Spec], dataset: Spec, task: Task) -> None:
    """Refuse methods that there are not for a task."""
    for method in methods:
        if not method.value.suits(task):
            raise UsageError(f"method {method.name!r} does not suit the task of {dataset.name}")


def task_of(dataset: Spec, suite: Suite, contents: Contents) -> Task:
    """Return the task of a dataset with its network, which is tried out."""
    task: Task = dataset.value.task(contents.root)
    name = suite.network or chosen(task)
    task = dataclasses.replace(
        task, network=str(Path(name).absolute()) if name.endswith(".py") else name
    )
    check_network(task)
    return task


def refuse_repeated(kind: str, specs: list[Spec]) -> None:
    """Refuse two plugins that results would not tell apart."""
    for index, spec in enumerate(specs):
        for other in specs[:index]:
            if spec.name == other.name:
                alike = (
                    ""
                    if spec.full == other.full
                    else f": {other.full} and {spec.full} have one name in results"
                )
                raise UsageError(f"{kind}: {spec.name} is given twice{alike}")


def check_tables(suite: Suite, plugins: Plugins) -> None:
    """Refuse settings and options of plugins that do not exist; those of plugins left out of this run are fine."""
    for name in suite.method_settings:
        if name not in plugins.names("method"):
            raise unknown("method in settings", name, plugins.names("method"))
    kinds = {
        name: kind for kind in ("condition", "dataset", "method") for name in plugins.names(kind)
    }
    for name, options in suite.options.items():
        if name not in kinds:
            raise unknown("method in options", name, kinds)
        plugins.spec(kinds[name], name, options)
    for name in suite.dataset_conditions:
        if name not in plugins.names("dataset"):
            raise unknown("dataset in conditions", name, plugins.names("dataset"))


def conditions_of(
    suite: Suite, dataset: Spec, plugins: Plugins, contents: Contents, notice: Callable[[str], None]
) -> list[tuple[Spec, Levels]]:
    """Return the conditions of a dataset beside ``clean``, with their levels; unseen data must fit its task."""
    asked = suite.dataset_conditions.get(dataset.plain, {})
    found: list[tuple[Spec, Levels]] = []
    for text, levels in suite.conditions_of(dataset.plain).items():
        if plain_name(text) in plugins.names("condition"):
            spec = plugins.spec("condition", text, suite.options.get(plain_name(text)))
            if not levels:
                raise UsageError(f"condition {text!r} needs levels")
            check_levels(spec, levels)
            if reason := unsuited(spec, dataset, suite.seeds[0], contents):
                if text in asked:
                    raise UsageError(reason)
                notice(reason)
                continue
        elif plain_name(text) in plugins.names("dataset"):
            spec = plugins.spec("dataset", text, suite.options.get(plain_name(text)))
            if levels:
                raise UsageError(f"unseen data {text!r} have no levels: write {text} = []")
            check_unseen(dataset, spec, suite.seeds[0], contents)
        else:
            known = [*plugins.names("condition"), *plugins.names("dataset")]
            raise unknown("condition", text, known, "; --plugin FILE brings one of your own")
        found.append((spec, levels))
    refuse_repeated("conditions", [spec for spec, _ in found])
    return found


def check_levels(condition: Spec, levels: Levels) -> None:
    """Refuse levels that a condition has no meaning for, before anything is trained."""
    for level in levels:
        try:
            condition.value.check_level(level)
        except ValueError as error:
            raise UsageError(f"levels of {condition.name}: {error}") from error


def tell_of_limits(
    suite: Suite,
    dataset: Spec,
    conditions: list[tuple[Spec, Levels]],
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
            notice(
                f"{name}={count}: the first {count} test examples of {dataset.name} do not hold all of its classes"
            )


def unsuited(condition: Spec, dataset: Spec, seed: int, contents: Contents) -> str:
    """Return why a condition cannot be shown to networks of a dataset, empty where it can."""
    if not condition.value.suits(dataset.value.task(contents.root)):
        return f"{condition.name} does not suit the task of {dataset.name}: not shown"
    if not contents.of(dataset, "test", seed).unit:
        return (
            f"{condition.name} keeps inputs in [0, 1], those of {dataset.name} are not: not shown"
        )
    return ""


def check_unseen(dataset: Spec, unseen: Spec, seed: int, contents: Contents) -> None:
    """Refuse unseen data of another shape than the network was trained on."""
    contents.of(unseen, "test", seed)  # files that are missing are told of first
    ours, theirs = (spec.value.task(contents.root).input_shape for spec in (dataset, unseen))
    if ours != theirs:
        raise UsageError(
            f"{unseen.name} {theirs} cannot be shown to a network trained on {dataset.name} {ours}"
        )
