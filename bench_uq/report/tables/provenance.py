"""How the runs of a dataset were made, in the words that stand beneath every table of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pandas as pd

from bench_uq.score.banners import warnings
from bench_uq.score.labels import counted
from bench_uq.score.results import Results
from bench_uq.train.settings import RECIPE

#: How captions say the settings of a recipe.
RECIPES = {
    "learning_rate": "learning rate {}",
    "schedule": "{} schedule",
    "warmup": "warm-up {}",
    "weight_decay": "weight decay {}",
    "clip": "gradients clipped at {}",
}


def run_counts(results: Results) -> str:
    """Say how many methods, datasets and runs a suite has."""
    methods = counted(len(results.methods), "method")
    datasets = counted(len(results.datasets), "dataset")
    finished = int((results.runs["status"] == "ok").sum())
    runs = counted(len(results.runs), "run")
    return f"{methods} on {datasets}; {finished:,} of {runs} finished."


def provenance(results: Results) -> list[str]:
    """Settings and sizes of the runs on one dataset, and warnings about them."""
    runs = results.runs[(results.runs["status"] == "ok") & (results.runs["left_out"] == "")]
    draws = _whole(runs["draws"])
    if draws:
        # A plugin may give fewer draws than it was asked for, such as one per network.
        draws = f"at most {draws}"
    facts = {
        "network": ", ".join(sorted(set(runs["network"]) - {""})),
        "epochs": _by_method(results, runs, _numbers("epochs")),
        "options and recipe": _by_method(results, runs, tuning),
        "recipe": _by_method(results, runs, recipe),
        "prior over the weights": _priors(results),
        "start of the weights": _starts(results),
        "training examples": _by_method(results, runs, _numbers("trained_on")),
        "test examples": _by_method(results, runs, _numbers("tested_on")),
        "draws": draws,
    }

    sentences = warnings(results)
    said = "; ".join(f"{name}: {value}" for name, value in facts.items() if value)
    if said:
        # The method capitalize() would put device names into small letters.
        sentences.insert(0, f"{said[0].upper()}{said[1:]}.")
    return [*sentences, *reference(results)]


def reference(results: Results) -> list[str]:
    """Sentences on the reference of a suite, if it has one, and on who is not compared with it."""
    named = results.runs[results.runs["reference"] != ""]
    own = named[named["run"] == named["reference"]]
    if own.empty:
        return []

    measured = dict[str, list[float]]()
    for text in own["measured"]:
        for name, values in json.loads(text or "{}").items():
            measured.setdefault(name, []).extend(values)
    facts = []
    for name, values in measured.items():
        ends = dict.fromkeys(f"{end:.3g}" for end in (min(values), max(values)))
        facts.append(f"{name} {'–'.join(ends)}")

    methods = ", ".join(map(results.label, sorted(set(own["method"]))))
    words = f" ({', '.join(facts)})" if facts else ""
    said = [f"Reference: {methods}{words}."]
    reasons = dict[str, list[str]]()
    for method in results.methods:
        for reason in sorted(set(named.loc[named["method"] == method, "lacking"]) - {""}):
            reasons.setdefault(reason, []).append(results.label(method))
    for reason, without in reasons.items():
        said.append(f"Not compared with the reference: {', '.join(without)} ({reason}).")
    return said


def sizes(results: Results) -> str:
    """Say how many training and test examples the runs on each dataset had; empty if unknown."""
    parts = []
    for dataset in results.datasets:
        own = results.on(dataset)
        runs = own.runs[own.runs["status"] == "ok"]
        trained = _by_method(own, runs, _numbers("trained_on"))
        tested = _by_method(own, runs, _numbers("tested_on"))
        if trained or tested:
            of = f"{results.label(dataset)} " if len(results.datasets) > 1 else ""
            parts.append(f"{of}{trained or 'unknown'} and {tested or 'unknown'}")
    return f"Training and test examples: {'; '.join(parts)}." if parts else ""


def _numbers(name: str) -> Callable[[pd.DataFrame], str]:
    """The span of a column of whole numbers."""
    return lambda runs: _whole(runs[name])


def recipe(runs: pd.DataFrame) -> str:
    """The settings of the recipe, those at their defaults left out; empty for all defaults.

    Of a number that differs between runs, as where each seed was tuned, the smallest and the
    largest.
    """
    parts = []
    for name in RECIPE:
        known = set(runs[name].dropna())
        values = sorted(known - {0, "", "constant"})
        if values and not isinstance(values[0], str):
            ends = dict.fromkeys([min(known), values[-1]])
            values = [" to ".join(f"{value:g}" for value in ends)]
        parts += [RECIPES[name].format(value) for value in values]
    return ", ".join(parts)


def tuning(runs: pd.DataFrame) -> str:
    """How options and recipe were chosen; empty if nobody wrote it down."""
    found = set[str]()
    for facts in runs["facts"]:
        found.add(json.loads(facts or "{}").get("tuning", ""))
    return "; ".join(sorted(found - {""}))


def _priors(results: Results) -> str:
    """The methods with a prior over the weights in their loss, if others have none."""
    known = results.about.priors
    having = [results.label(method) for method in results.methods if known.get(method)]
    lacking = [method for method in results.methods if known.get(method) is False]
    return ", ".join(having) if having and lacking else ""


def _starts(results: Results) -> str:
    """How the weights of methods start, if that differs."""
    known = results.about.starts
    groups: dict[str, list[str]] = {}
    for method in results.methods:
        if method in known:
            groups.setdefault(known[method] or "torch's layers", []).append(results.label(method))

    if len(groups) < 2:
        return ""
    return ", ".join(f"{start} ({', '.join(methods)})" for start, methods in groups.items())


def _by_method(results: Results, runs: pd.DataFrame, say: Callable[[pd.DataFrame], str]) -> str:
    """A setting; if methods differ in it, each value with its methods, the commonest last."""
    groups: dict[str, list[str]] = {}
    for method in results.methods:
        value = say(runs[runs["method"] == method])
        if value:
            groups.setdefault(value, []).append(results.label(method))

    if len(groups) < 2:
        return next(iter(groups), "")

    *few, most = sorted(groups, key=lambda value: len(groups[value]))
    said = [f"{value} ({', '.join(groups[value])})" for value in few]
    return ", ".join([*said, f"{most} (others)"])


def _whole(values: pd.Series) -> str:
    """The span of a column of whole numbers, empty without any."""
    # A hole makes pandas store whole numbers as floats.
    return span(values.dropna().astype(int).tolist())


def span(numbers: Sequence[int]) -> str:
    """The smallest and the largest of some numbers, empty without any."""
    if not numbers:
        return ""
    if min(numbers) == max(numbers):
        return f"{min(numbers):,}"
    return f"{min(numbers):,}–{max(numbers):,}"


def devices(results: Results) -> list[str]:
    """A sentence on the devices of the runs, each with its version of torch if it used one.

    Times depend on them; scores hardly do, so that other captions do without.
    """
    runs = results.runs[results.runs["status"] == "ok"]
    found = set()
    for name in set(runs["environment"]):
        facts = results.environments.get(name, {})
        parts = []
        if facts.get("processor"):
            parts.append(str(facts["processor"]))
        if facts.get("torch"):
            parts.append(f"torch {facts['torch']}")
        if parts:
            found.add(" with ".join(parts))
    return [f"Device: {', '.join(sorted(found))}."] if found else []
