"""Resolve the names in a suite to plugins and networks that fit each other."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench_uq.api.architecture_names import shown_network, weights_of, with_weights
from bench_uq.api.architectures import require_weights
from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import plain_name
from bench_uq.api.networks import check_network, chosen
from bench_uq.api.task import Task
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins, Spec
from bench_uq.plan.suite import Suite

Levels = tuple[float, ...]

#: How many times as wide a range as that of the training inputs is another scale.
OTHER_PIXELS, OTHER_FEATURES = 2, 10

#: Called with a line for the user.
Notice = Callable[[str], None]


@dataclass(frozen=True)
class Data:
    """A dataset of a suite, the task of its networks, and the conditions beside clean data.

    ``surrogates`` are the methods whose networks transfer attacks are computed on, by the name that
    the condition gives.
    """

    spec: Spec
    task: Task
    conditions: list[tuple[Spec, Levels]] = field(default_factory=list)
    surrogates: Mapping[str, Spec] = field(default_factory=dict)


def choose(
    suite: Suite, plugins: Plugins, contents: Contents, notice: Notice
) -> tuple[list[Spec], list[Data]]:
    """Resolve the methods and the datasets of a suite, and check all of it.

    ``notice`` is told of conditions of the whole suite that do not suit a dataset, which is then
    not shown them, and of limits that leave out classes.
    """
    methods = asked_of(suite, plugins)
    references = needed_references(methods, references_of(suite, plugins))
    # First, so that the others are soon compared; also where --methods leaves them out.
    first = {one.name for one in references}
    methods = [*references, *(one for one in methods if one.name not in first)]
    datasets = [named(plugins, suite, "dataset", text) for text in suite.datasets]
    # Results go by the canonical name, in which options at their defaults are left out.
    refuse_repeated("methods", methods)
    refuse_repeated("datasets", datasets)
    check_tables(suite, plugins)

    # The user hears of missing files of a dataset before those of out-of-distribution data.
    for spec in datasets:
        contents.of(spec, "train", suite.seeds[0])

    found = []
    for spec in datasets:
        task = task_of(spec, suite, contents)
        conditions = conditions_of(suite, spec, plugins, contents, notice)
        # Networks that all methods are shown the attack on are the same for all, whatever a study
        # chose for one of them.
        surrogates = surrogates_of(conditions, suite.untuned or suite, plugins)
        trained = list[Spec]()
        for method in (*methods, *surrogates.values()):
            trained += chain_of(method, suite, plugins)
        check_methods(trained, spec, task)
        check_decay(trained, suite)
        tell_of_limits(suite, spec, conditions, contents, notice)
        remark_on_data(suite, spec, [one for one, _ in conditions], contents)
        found.append(Data(spec, task, conditions, surrogates))

    return methods, found


def named(plugins: Plugins, suite: Suite, kind: str, text: str) -> Spec:
    """Plugin of a name in a suite, with the options that the suite sets for it."""
    return plugins.spec(kind, text, suite.options.get(plain_name(text)))


def asked_of(suite: Suite, plugins: Plugins) -> list[Spec]:
    """The methods that a suite, or --methods, asks for by name."""
    return [named(plugins, suite, "method", text) for text in suite.methods]


def references_of(suite: Suite, plugins: Plugins) -> list[Spec]:
    """The references of a suite, each of a posterior of its own."""
    found = list[Spec]()
    for text in suite.references:
        one = named(plugins, suite, "method", text)
        if not one.value.posterior:
            raise UsageError(f"reference {one.name!r} has no prior, and so no posterior")
        if one.value.replicas < 2:
            raise UsageError(
                f"reference {one.name!r} gives {one.value.replicas} estimate of the posterior: at "
                "least 2 chains are needed, which show how much of a distance is noise"
            )
        for other in found:
            if other.value.posterior == one.value.posterior:
                raise UsageError(
                    f"references {other.name!r} and {one.name!r} are of one posterior, "
                    f"{one.value.posterior}: a method would have two"
                )
        found.append(one)
    return found


def needed_references(methods: Sequence[Spec], references: Sequence[Spec]) -> list[Spec]:
    """The references that some method is compared with; others would be sampled for nothing."""
    posteriors = {method.value.posterior for method in methods}
    return [one for one in references if one.value.posterior in posteriors]


def compared_with(method: Spec, references: Sequence[Spec]) -> tuple[Spec, str]:
    """The reference of a method's posterior.

    Of another posterior than all of them it is the first, with the reason why both are not
    compared.
    """
    ours = method.value.posterior
    for reference in references:
        if reference.value.posterior == ours:
            return reference, ""

    theirs = " or ".join(reference.value.posterior for reference in references)
    return references[0], f"other model: {f'prior {ours}' if ours else 'no prior'}, not {theirs}"


def surrogates_of(
    conditions: list[tuple[Spec, Levels]], suite: Suite, plugins: Plugins
) -> dict[str, Spec]:
    """Methods whose networks are attacked in place of the networks that are judged."""
    names = {spec.value.surrogate() for spec, _ in conditions if spec.kind == "condition"}
    return {name: named(plugins, suite, "method", name) for name in sorted(names - {""})}


def base_of(method: Spec, suite: Suite, plugins: Plugins) -> Spec | None:
    """The method whose trained networks a method starts from; None for one that trains its own."""
    text = method.value.base
    return named(plugins, suite, "method", text) if text else None


def chain_of(method: Spec, suite: Suite, plugins: Plugins) -> list[Spec]:
    """A method, its base, the base of that, and so on."""
    chain = [method]
    while base := base_of(chain[-1], suite, plugins):
        if base.name in [one.name for one in chain]:
            raise UsageError(f"method {method.name!r} is its own base")
        chain.append(base)
    return chain


def check_decay(methods: list[Spec], suite: Suite) -> None:
    """Refuse weight decay for methods whose loss has a prior over the weights."""
    for method in methods:
        prior, decay = method.value.weight_prior, suite.settings_of(method.plain).weight_decay
        if prior and decay:
            instead = f"set it for other methods alone, as --set NAME.weight_decay={decay:g}"
            raise UsageError(
                f"weight_decay={decay:g} and method {method.name!r}: its loss has the prior "
                f"{prior} over the weights; {instead}"
            )


def check_methods(methods: list[Spec], dataset: Spec, task: Task) -> None:
    """Refuse methods that are not defined for a task."""
    for method in methods:
        if not method.value.suits(task):
            raise UsageError(
                f"method {method.name!r} does not suit the task of {dataset.name} with the network "
                f"{shown_network(task.network)}"
            )
        # A method with a base has its networks.
        if weights_of(task.network) and not method.value.base:
            with torch.random.fork_rng(devices=[]):
                require_weights(method.name, method.value.build(task), task)


def task_of(dataset: Spec, suite: Suite, contents: Contents) -> Task:
    """Task of a dataset with its network, after a trial of the network."""
    task: Task = dataset.value.task(contents.root)
    name = suite.network or chosen(task)
    if name.endswith(".py"):
        # Runs have processes of their own, which may work in another folder.
        name = str(Path(os.path.expanduser(name)).absolute())
    elif weights := weights_of(name):
        name = with_weights(name, Path(os.path.expanduser(weights)).absolute())

    task = dataclasses.replace(task, network=name)
    # Before any training: a network that does not fit would fail in every run.
    check_network(task)
    return task


def refuse_repeated(kind: str, specs: list[Spec]) -> None:
    """Refuse two plugins with one name in results."""
    seen: dict[str, Spec] = {}
    for spec in specs:
        other = seen.setdefault(spec.name, spec)
        if other is spec:
            continue
        alike = ""
        if spec.full != other.full:
            alike = f": {other.full} and {spec.full} have one name in results"
        raise UsageError(f"{kind}: {spec.name} is given twice{alike}")


def check_tables(suite: Suite, plugins: Plugins) -> None:
    """Refuse settings and options of unknown plugins; known ones need not take part in the run."""
    # They need not take part: --methods may leave out some of a suite's methods.
    for name, settings in suite.method_settings.items():
        if name not in plugins.names("method"):
            raise unknown("method in settings", name, plugins.names("method"))
        check_own_options(name, settings, plugins)

    kinds = {}
    for kind in ("condition", "dataset", "method"):
        kinds.update(dict.fromkeys(plugins.names(kind), kind))
    for name, options in suite.options.items():
        if name not in kinds:
            raise unknown("method in options", name, kinds)
        plugins.spec(kinds[name], name, options)

    for name in suite.dataset_conditions:
        if name not in plugins.names("dataset"):
            raise unknown("dataset in conditions", name, plugins.names("dataset"))


def check_own_options(method: str, settings: Mapping[str, Any], plugins: Plugins) -> None:
    """Refuse a setting of one method that has an option of the same name."""
    options = {field.name for field in dataclasses.fields(plugins.spec("method", method).value)}
    for key in sorted(options & settings.keys()):
        raise UsageError(
            f"{method}.{key} may be the option of {method} or the setting of the suite: write "
            f"{method}[{key}={settings[key]}] for the option, or set {key} for all methods"
        )


def conditions_of(
    suite: Suite, dataset: Spec, plugins: Plugins, contents: Contents, notice: Notice
) -> list[tuple[Spec, Levels]]:
    """Conditions of a dataset beside ``clean``, with their levels."""
    asked = suite.dataset_conditions.get(dataset.plain, {})
    found: list[tuple[Spec, Levels]] = []

    for text, levels in suite.conditions_of(dataset.plain).items():
        if plain_name(text) in plugins.names("condition"):
            spec = named(plugins, suite, "condition", text)
            if not levels:
                raise UsageError(f"condition {text!r} needs levels")
            check_levels(spec, levels)

            # Asked for by name it is an error; asked for all datasets it is left out of this one
            # (docs/decisions/009-conditions-that-do-not-suit.md).
            if reason := unsuited(spec, dataset, suite.seeds[0], contents):
                if text in asked:
                    raise UsageError(reason)
                notice(reason)
                continue

        elif plain_name(text) in plugins.names("dataset"):
            spec = named(plugins, suite, "dataset", text)
            if levels:
                raise UsageError(
                    f"out-of-distribution data {text!r} have no levels: write {text} = []"
                )
            check_unseen(dataset, spec, suite.seeds[0], contents)

        else:
            known = [*plugins.names("condition"), *plugins.names("dataset")]
            raise unknown("condition", text, known, "; --plugin FILE brings one of your own")

        found.append((spec, levels))

    refuse_repeated("conditions", [spec for spec, _ in found])
    return found


def check_levels(condition: Spec, levels: Levels) -> None:
    """Refuse levels without meaning for a condition, before anything is trained."""
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
    notice: Notice,
) -> None:
    """Tell of limits that leave out whole classes, as in data that are sorted by class."""
    if suite.settings.evaluate_on == "validation":
        # These examples are held out at random.
        return

    limits = {spec.value.size for spec, _ in conditions if spec.kind == "condition"}
    for name in sorted(limits | {"test_images"}):
        count = getattr(suite.settings, name)
        if 0 < count < contents.of(dataset, "test", suite.seeds[0]).enough:
            first = f"the first {count} test examples of {dataset.name}"
            notice(f"{name}={count}: {first} do not hold all of its classes")


def remark_on_data(suite: Suite, dataset: Spec, conditions: list[Spec], contents: Contents) -> None:
    """Remark on test examples of one class, and on data of another scale than the training's."""
    seed, shown = suite.seeds[0], [spec for spec in conditions if spec.kind == "dataset"]
    if suite.settings.evaluate_on == "test":
        shown = [dataset, *shown]
        if contents.of(dataset, "test", seed).enough == 1:
            contents.remark(dataset, "all test examples are of one class")

    low, high = contents.of(dataset, "train", seed).range
    # Features have units of their own; pixels are in [0, 1].
    images = len(dataset.value.task(contents.root).input_shape) > 1
    most = OTHER_PIXELS if images else OTHER_FEATURES
    for spec in shown:
        least, largest = contents.of(spec, "test", seed).range
        ours, theirs = high - low, largest - least
        if min(ours, theirs) > 0 and max(ours / theirs, theirs / ours) > most:
            training = f"those of the training data of {dataset.name} in {low:.3g} to {high:.3g}"
            found = f"the test inputs lie in {least:.3g} to {largest:.3g}, {training}"
            contents.remark(spec, f"{found}: their scale alone may tell them apart")


def unsuited(condition: Spec, dataset: Spec, seed: int, contents: Contents) -> str:
    """Reason why a condition cannot be shown to networks of a dataset; empty if it can."""
    if not condition.value.suits(dataset.value.task(contents.root)):
        return f"{condition.name} does not suit the task of {dataset.name}: not shown"
    if not contents.of(dataset, "test", seed).unit:
        return (
            f"{condition.name} keeps inputs in [0, 1], those of {dataset.name} are not: not shown"
        )
    return ""


def check_unseen(dataset: Spec, unseen: Spec, seed: int, contents: Contents) -> None:
    """Refuse out-of-distribution data of another shape than the network was trained on."""
    # The user hears of missing files before those of shapes.
    contents.of(unseen, "test", seed)
    ours = dataset.value.task(contents.root).input_shape
    theirs = unseen.value.task(contents.root).input_shape

    if ours != theirs:
        raise UsageError(
            f"{unseen.name} {theirs} cannot be shown to a network trained on {dataset.name} {ours}"
        )
