"""Sides of a comparison, made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
import pytest

from bench_uq.check.results import CELL, Run, Side

MakeSide = Callable[..., Side]


@pytest.fixture(scope="session")
def make_side() -> MakeSide:
    """Return a function that makes a side of values by cell, one a seed from 0.

    A cell is a metric, on clean data of ``map`` on ``digits``, or (metric, condition, level), or these and a method.
    """

    def make(
        values: Mapping[Any, Iterable[float]],
        *,
        runs: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
        device: str = "",
        examples: int = 400,
        seeds: Iterable[int] = range(100),
    ) -> Side:
        rows, names = list[list[Any]](), set[tuple[str, str, int]]()
        shown = set[tuple[Any, ...]]()
        for cell, numbers in values.items():
            metric, condition, level, method = (
                (cell,) if isinstance(cell, str) else tuple(cell)
            ) + (None,) * (4 - (1 if isinstance(cell, str) else len(cell)))
            for seed, value in zip(seeds, numbers, strict=False):
                place = ["digits", method or "map", condition or "clean", level]
                rows.append([*place, metric, seed, value])
                shown.add((*place, "examples", seed, float(examples)))
                names.add(("digits", method or "map", seed))
        scores = pd.DataFrame([*rows, *map(list, shown)], columns=[*CELL, "seed", "value"])
        scores = scores.astype({"level": "float64", "value": "float64", "seed": "int64"})
        facts = {"environment": "here" if device else "", "command": "bench-uq run --suite quick"}
        made = {key: Run(f"{key[1]}-digits-s{key[2]}", **facts) for key in names}
        for (method, seed), changes in (runs or {}).items():
            key = ("digits", method, seed)
            if changes.get("status") == "absent":
                made.pop(key, None)
            else:
                made[key] = Run(f"{method}-digits-s{seed}", **{**facts, **changes})
        left = {key for key, run in made.items() if run.status == "ok"}
        keep = [
            key in left
            for key in zip(scores["dataset"], scores["method"], scores["seed"], strict=True)
        ]
        environments = {"here": {"id": "here", "device": device}} if device else {}
        return Side("by hand", scores[keep].reset_index(drop=True), made, environments)

    return make
