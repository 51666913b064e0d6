"""Which runs are alike: those that are not are neither averaged nor compared."""

# A fact that nobody wrote down is no difference: older results and predictions made elsewhere
# lack many of them.

from __future__ import annotations

import itertools
import json
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench_uq.api.names import plain_name
from bench_uq.store.records import FOR_EACH_SEED
from bench_uq.train.settings import OF_METHODS, RECIPE

#: Settings that runs must share to be alike; threads and blocks change digits alone.
SETTINGS = (
    *("network", "epochs", "draws", "batch", "precision", "validation", "train_images"),
    *("evaluate_on", "test_images", "attack_images", "shift_images", *RECIPE),
)
#: Settings of which 0 stands for all examples.
LIMITS = {"train_images", "test_images", "attack_images", "shift_images"}
#: Facts of one seed: the folds of a dataset differ, and runs of one seed must not.
OF_SEEDS = ("labels", "examples of ")
#: How facts about code begin.
CODE = ("code", "network ", "training version", "prediction version")
#: The columns of runs.csv that decide which runs are alike.
FACTS = ("run", *SETTINGS, "shared", "data", "labels", "predictions", "facts")
#: How the reason begins for which a copy of another run is left out.
COPY = "the same predictions as seed"

Facts = dict[str, str]


@dataclass(frozen=True)
class Difference:
    """A fact in which the methods on a dataset differ, and who has which value of it.

    ``apart`` are the methods without the commonest value; all, if no value is the commonest.
    """

    fact: str
    values: Mapping[str, tuple[str, ...]]
    apart: frozenset[str]

    def __str__(self) -> str:
        parts = [f"{value} ({', '.join(methods)})" for value, methods in self.values.items()]
        return f"{self.fact}: {', '.join(parts)}"


def facts_of(run: Mapping[Any, Any]) -> Facts:
    """The known facts of a run that decide about likeness, a row of runs.csv."""
    facts = {name: _text(run.get(name)) for name in (*SETTINGS, "data", "labels")}
    for name in facts.keys() & LIMITS:
        if facts[name] == "0":
            facts[name] = "all"
    # Predictions made elsewhere have no settings; their number of draws is that of a file.
    if not facts["epochs"]:
        facts["draws"] = ""
    facts |= _loaded(run.get("facts"))
    return {name: value for name, value in facts.items() if value}


def shared_facts(run: Mapping[Any, Any]) -> Facts:
    """The facts that runs of other methods must share: settings as the suite has them for all."""
    facts = facts_of({**run, **_of_suite(run)})
    facts.pop("code", None)
    # What a suite sets for one method is part of that method; if nobody noted it, any may be.
    if not _text(run.get("shared")):
        for name in ("epochs", "draws", "batch", *RECIPE):
            facts.pop(name, None)
    return facts


def _of_suite(run: Mapping[Any, Any]) -> Facts:
    """The settings that a suite has for all methods, where the run has others."""
    given = _loaded(run.get("shared"))
    return {name: given[name] for name in given.keys() & {*SETTINGS}}


def _averaged_facts(run: Mapping[Any, Any]) -> Facts:
    """The facts that seeds of one method must share."""
    facts = facts_of(run)
    # What was chosen for each seed apart may differ, as the folds of a dataset do.
    if facts.get("tuning", "").startswith(FOR_EACH_SEED):
        of_suite = _of_suite(run)
        chosen = {name: of_suite[name] for name in of_suite.keys() & {*OF_METHODS}}
        facts = facts_of({**run, **chosen})
    return {name: one for name, one in facts.items() if not _of_seed(name)}


def contrast(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The facts in which two runs of one method and seed differ, but for code, with both values."""
    # To see what a change of the code does is why one compares them.
    before, after = facts_of(one), facts_of(other)
    found = {}
    for name in before.keys() & after.keys():
        if before[name] != after[name] and not name.startswith(CODE):
            found[name] = before[name], after[name]
    return dict(sorted(found.items()))


def at_other_budget(one: Mapping[Any, Any], other: Mapping[Any, Any], budget: float) -> bool:
    """Whether another run of a method and seed has ``budget`` times the epochs, and all else."""
    ours, theirs = facts_of(one), facts_of(other)
    epochs, there = float(ours.pop("epochs", "nan")), float(theirs.pop("epochs", "nan"))
    # Epochs are whole: half of one epoch is one, which says nothing.
    return epochs != there and abs(there - epochs * budget) <= 0.5 and ours == theirs


def at_defaults(
    tuned: Mapping[Any, Any], other: Mapping[Any, Any], settings: Collection[str]
) -> bool:
    """Whether a run differs from a tuned one of its seed in nothing but these settings."""
    ours, theirs = facts_of(tuned), facts_of(other)
    for name in (ours.keys() & theirs.keys()) - {"tuning", *settings}:
        if ours[name] != theirs[name]:
            return False
    return True


def changed(method: str, command: str) -> list[str]:
    """Settings and options of a method that the command of a run asked for beside the suite's."""
    try:
        words = shlex.split(command)
    except ValueError:
        # A quote that is not closed: nothing that bench-uq wrote.
        words = command.split()

    found = list[str]()
    if "--network" in words:
        found.append("network")

    for before, word in itertools.pairwise(words):
        name = word.partition("=")[0].strip()
        plugin, _, own = name.rpartition(".")
        if before != "--set" or plugin not in ("", plain_name(method)):
            continue
        if plugin and own in OF_METHODS:
            name = own
        if plugin or name in SETTINGS:
            found.append(name)
    return found


def concerns(fact: str, condition: str) -> bool:
    """Whether a fact is of scores under a condition; most are of all."""
    _, of, place = fact.partition(" of ")
    return not of or place == condition


def left_out(runs: pd.DataFrame) -> dict[str, str]:
    """Finished runs that no mean may hold, and why: other facts than most seeds, or copies."""
    found: dict[str, str] = {}
    finished = runs[runs["status"] == "ok"]
    for _, here in finished.groupby("dataset", observed=True):
        everywhere = Counter[tuple[str, str]]()
        rows = here.sort_values("seed").to_dict("records")
        by_method: dict[str, list[tuple[Mapping[Any, Any], Facts]]] = {}
        for run in rows:
            facts = _averaged_facts(run)
            everywhere.update(facts.items())
            by_method.setdefault(run["method"], []).append((run, facts))

        for own in by_method.values():
            found |= _mixed(own, everywhere)
            found |= _copies([run for run, _ in own if run["run"] not in found])
    return found


def marked(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs with the reason why they are ``left_out`` of all means, empty for most."""
    out = left_out(runs)
    return runs.assign(left_out=[out.get(name, "") for name in runs["run"]])


def differences(runs: pd.DataFrame) -> list[Difference]:
    """The facts in which methods on one dataset differ; ``runs`` are those that means hold."""
    values: dict[str, dict[str, dict[str, None]]] = {}
    for run in runs[runs["status"] == "ok"].sort_values("seed").to_dict("records"):
        for name, value in shared_facts(run).items():
            place = f"{name} at seed {run['seed']}" if _of_seed(name) else name
            methods = values.setdefault(place, {}).setdefault(value, {})
            methods[run["method"]] = None

    found = dict[str, Difference]()
    for place, by_value in values.items():
        if len(by_value) < 2:
            continue
        sizes = sorted(map(len, by_value.values()))
        apart = set[str]()
        for methods in by_value.values():
            if len(methods) < sizes[-1] or sizes[-2] == sizes[-1]:
                apart |= methods.keys()
        who = {value: tuple(methods) for value, methods in by_value.items()}
        one = Difference(place, who, frozenset(apart))
        # One seed is enough to show that the labels differ.
        same = place.partition(" at seed ")[0], one.apart
        found.setdefault(str(same), one)
    return list(found.values())


def _mixed(
    own: Iterable[tuple[Mapping[Any, Any], Facts]], everywhere: Mapping[tuple[str, str], int]
) -> dict[str, str]:
    """Runs of one method that differ from most of its seeds; if it is a draw, from all methods."""
    counts: dict[str, Counter[str]] = {}
    for _, facts in own:
        for name, value in facts.items():
            counts.setdefault(name, Counter())[value] += 1

    usual = {}
    for name, values in counts.items():
        # Of equal counts the first wins, which is that of the lowest seed.
        usual[name] = max(values, key=lambda value: (values[value], everywhere[name, value]))

    found = {}
    for run, facts in own:
        others = []
        for name, value in facts.items():
            if value != usual[name]:
                others.append(f"{name} {value} instead of {usual[name]}")
        if others:
            found[str(run["run"])] = ", ".join(others)
    return found


def _copies(own: Iterable[Mapping[Any, Any]]) -> dict[str, str]:
    """Runs of one method that predict the same as an earlier seed, to the bit."""
    first: dict[str, int] = {}
    found = {}
    for run in own:
        seen = first.setdefault(_text(run.get("predictions")) or run["run"], run["seed"])
        if seen != run["seed"]:
            found[str(run["run"])] = f"{COPY} {seen}"
    return found


def _of_seed(name: str) -> bool:
    """Whether a fact may differ from seed to seed."""
    return name.startswith(OF_SEEDS)


def _text(value: Any) -> str:
    """A fact as text, empty if it is unknown."""
    if value is None or value != value:
        return ""
    # Columns of whole numbers are read as floats, because they may have holes.
    if isinstance(value, int | float):
        return f"{value:.12g}"
    return str(value)


def _loaded(text: Any) -> Facts:
    """Facts that stand in one column as JSON."""
    try:
        found = json.loads(_text(text) or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): _text(value) for name, value in found.items()}
