"""Results for the tests of the report: synthetic ones, some by hand, and a story in which much goes wrong."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench_uq.report import write
from bench_uq.score.results import Results, read

synthetic = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "synthetic.py"))
)
Rows = list[dict[str, Any]]


@pytest.fixture(scope="session")
def make_results() -> Callable[..., Path]:
    """Return the function that writes synthetic results."""
    return synthetic.write_results


@pytest.fixture
def hand_made(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes results given by hand: method, seed, what is measured, its name, and values."""

    def write_by_hand(
        scores: Rows = (), curves: Rows = (), runs: Rows = (), folder: str = "hand"
    ) -> Path:
        given = {(run["method"], run["seed"]): run for run in runs}
        keys = {(row["method"], row["seed"]) for row in [*scores, *curves, *runs]}
        planned = {key: synthetic.plan_run("digits", *key) for key in keys}
        tables = {"runs.csv": [planned[key] | given.get(key, {}) for key in keys]}
        for name, rows in (("scores.csv", scores), ("curves.csv.gz", curves)):
            tables[name] = [
                {**planned[row["method"], row["seed"]], "condition": "clean", **row} for row in rows
            ]
        (tmp_path / folder).mkdir()
        for name, rows in tables.items():
            synthetic.write_table(tmp_path / folder / name, rows)
        conditions = {row["condition"] for row in tables["scores.csv"]}
        synthetic.write_about(tmp_path / folder, {method for method, _ in keys}, conditions)
        return tmp_path / folder

    return write_by_hand


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results in which much went wrong: a failed and a missing run, an unconverged one, a hostile name."""
    runs = {
        ("mnf", 1): {
            "status": "failed",
            "reason": "RuntimeError: out of | <memory>",
            "converged": "",
        },
        ("dropout", 0): {"status": "missing", "reason": "", "converged": ""},
        ("mean-field", 2): {"converged": False},
        **{
            ("sgld", seed): {"status": "diverged", "reason": synthetic.HOSTILE, "converged": ""}
            for seed in range(3)
        },
    }
    methods = ("map", "dropout", "ensemble", "mean-field", "mnf", "sgld", synthetic.HOSTILE)
    folder = tmp_path_factory.mktemp("results") / "story"
    attacks = ("fgsm", f"pgd[{synthetic.HOSTILE}]", "rotate")
    return synthetic.write_results(
        folder, methods, range(3), attacks=attacks, regression=("boston",), runs=runs
    )


@pytest.fixture(scope="session")
def told(story: Path) -> Results:
    """Return these results, read."""
    return read(story)


@pytest.fixture(scope="session")
def report(story: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """Return the folder of the report of these results, and the files that were said to be written."""
    target = tmp_path_factory.mktemp("reports") / "story"
    return target, write(story, target)
