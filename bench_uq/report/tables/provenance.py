"""How the runs of a dataset were made, in words that stand beneath every table of them."""

from __future__ import annotations

import pandas as pd

from bench_uq.score.analysis import Analysis

#: Settings that the runs of one method should share.
SETTINGS = ("network", "epochs", "draws")


def evidence(analysis: Analysis) -> tuple[str, ...]:
    """Say with what settings and on what the finished runs on one dataset were made, and where seeds differ in them."""
    runs = analysis.results.runs[analysis.results.runs["status"] == "ok"]
    facts = {
        "network": ", ".join(sorted(set(runs["network"]) - {""})),
        "epochs": _by_method(analysis, runs, "epochs"),
        "draws": (f"at most {_span(runs['draws'])}" if runs["draws"].notna().any() else ""),
        "device": ", ".join(_devices(analysis, runs)),
    }
    said = "; ".join(f"{name}: {value}" for name, value in facts.items() if value)
    return (*([f"{said[0].upper()}{said[1:]}."] if said else []), *_mixed(runs))


def _by_method(analysis: Analysis, runs: pd.DataFrame, name: str) -> str:
    """Return a setting; where methods differ in it, each value with its methods, the commonest for all others."""
    spans = {method: _span(runs.loc[runs["method"] == method, name]) for method in analysis.methods}
    groups: dict[str, list[str]] = {}
    for method, span in spans.items():
        if span:
            groups.setdefault(span, []).append(method)
    if len(groups) < 2:
        return next(iter(groups), "")
    *few, most = sorted(groups, key=lambda span: len(groups[span]))
    return ", ".join([*(f"{span} ({', '.join(groups[span])})" for span in few), f"{most} (others)"])


def _span(values: pd.Series) -> str:
    """Return the smallest and the largest of some whole numbers, empty without any."""
    known = values.dropna()
    if known.empty:
        return ""
    low, high = int(known.min()), int(known.max())
    return str(low) if low == high else f"{low}–{high}"


def _devices(analysis: Analysis, runs: pd.DataFrame) -> list[str]:
    """Return the devices of some runs, each with its version of torch where it used one."""
    found = set()
    for name in sorted(set(runs["environment"])):
        facts = analysis.results.environments.get(name, {})
        parts = [
            str(facts.get("processor") or ""),
            f"torch {facts['torch']}" if facts.get("torch") else "",
        ]
        found.add(" with ".join(filter(None, parts)))
    return sorted(found - {""})


def _mixed(runs: pd.DataFrame) -> list[str]:
    """Return a sentence for each method whose seeds were run with different settings."""
    sentences = []
    for method, own in runs.groupby("method", observed=True):
        differing = [name for name in SETTINGS if own[name].nunique(dropna=False) > 1]
        if differing:
            sentences.append(
                f"Mixed settings: the seeds of {method} differ in {' and '.join(differing)}."
            )
    return sentences
