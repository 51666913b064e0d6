"""Results to compare, made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
import pytest

from bench_uq.check.results import CELL, Run, SuiteResults

MakeResults = Callable[..., SuiteResults]


@pytest.fixture(scope="session")
def make_results() -> MakeResults:
    """A function that makes results from values by cell, one per seed from 0.

    A cell is a metric, on clean data of ``map`` on ``digits``, or (metric, condition, level), or
    these and a method.
    """

    def make(
        values: Mapping[Any, Iterable[float]],
        *,
        runs: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
        device: str = "",
        examples: int = 400,
        seeds: Iterable[int] = range(100),
    ) -> SuiteResults:
        facts = {"environment": "here" if device else "", "command": "bench-uq run --suite quick"}
        rows: dict[tuple[Any, ...], float] = {}
        made = {}
        for cell, numbers in values.items():
            parts = (cell,) if isinstance(cell, str) else tuple(cell)
            metric, condition, level, method = (*parts, None, None, None)[:4]
            for seed, value in zip(seeds, numbers, strict=False):
                place = ("digits", method or "map", condition or "clean", level)
                rows[*place, metric, seed] = value
                rows[*place, "examples", seed] = float(examples)
                made["digits", place[1], seed] = Run(f"{place[1]}-digits-s{seed}", **facts)

        for (method, seed), changes in (runs or {}).items():
            made["digits", method, seed] = Run(f"{method}-digits-s{seed}", **{**facts, **changes})
        made = {key: run for key, run in made.items() if run.status != "absent"}

        finished = {key for key, run in made.items() if run.status == "ok"}
        kept = [(*key, value) for key, value in rows.items() if (*key[:2], key[5]) in finished]
        scores = pd.DataFrame(kept, columns=[*CELL, "seed", "value"])
        scores = scores.astype({"level": "float64", "value": "float64", "seed": "int64"})
        environments = {"here": {"id": "here", "device": device}} if device else {}
        return SuiteResults("by hand", scores, made, environments)

    return make
