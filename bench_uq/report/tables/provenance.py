"""How the runs of a dataset were made, in the words that stand beneath every table of them."""

from __future__ import annotations

import pandas as pd

from bench_uq.score.labels import counted
from bench_uq.score.results import Results

#: Settings that the runs of one method should share.
SETTINGS = ("network", "epochs", "draws")


def run_counts(results: Results) -> str:
    """Say how many methods, datasets and runs a suite has."""
    methods = counted(len(results.methods), "method")
    datasets = counted(len(results.datasets), "dataset")
    finished = int((results.runs["status"] == "ok").sum())
    runs = counted(len(results.runs), "run")
    return f"{methods} on {datasets}; {finished:,} of {runs} finished."


def provenance(results: Results) -> list[str]:
    """Settings and devices of the finished runs on one dataset, and methods whose seeds differ."""
    runs = results.runs[results.runs["status"] == "ok"]
    draws = _span(runs["draws"])
    facts = {
        "network": ", ".join(sorted(set(runs["network"]) - {""})),
        "epochs": _by_method(results, runs, "epochs"),
        "draws": f"at most {draws}" if draws else "",
        "device": ", ".join(_devices(results, runs)),
    }

    said = "; ".join(f"{name}: {value}" for name, value in facts.items() if value)
    sentences = [f"{said[0].upper()}{said[1:]}."] if said else []
    return sentences + _mixed(runs)


def _by_method(results: Results, runs: pd.DataFrame, name: str) -> str:
    """A setting; if methods differ in it, each value with its methods, the commonest last."""
    groups: dict[str, list[str]] = {}
    for method in results.methods:
        span = _span(runs.loc[runs["method"] == method, name])
        if span:
            groups.setdefault(span, []).append(method)
    if len(groups) < 2:
        return next(iter(groups), "")

    *few, most = sorted(groups, key=lambda span: len(groups[span]))
    said = [f"{span} ({', '.join(groups[span])})" for span in few]
    return ", ".join([*said, f"{most} (others)"])


def _span(values: pd.Series) -> str:
    """The smallest and the largest of whole numbers, empty without any."""
    known = values.dropna()
    if known.empty:
        return ""
    low, high = int(known.min()), int(known.max())
    return str(low) if low == high else f"{low}–{high}"


def _devices(results: Results, runs: pd.DataFrame) -> list[str]:
    """The devices of runs, each with its version of torch if it used one."""
    found = set()
    for name in set(runs["environment"]):
        facts = results.environments.get(name, {})
        torch = f"torch {facts['torch']}" if facts.get("torch") else ""
        parts = [str(facts.get("processor") or ""), torch]
        found.add(" with ".join(filter(None, parts)))
    return sorted(found - {""})


def _mixed(runs: pd.DataFrame) -> list[str]:
    """A sentence for each method whose seeds were run with different settings."""
    sentences = []
    for method, own in runs.groupby("method", observed=True):
        differing = [name for name in SETTINGS if own[name].nunique(dropna=False) > 1]
        if differing:
            names = " and ".join(differing)
            sentences.append(f"Mixed settings: the seeds of {method} differ in {names}.")
    return sentences
