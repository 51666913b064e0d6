"""Results to report: synthetic ones, some by hand, and a story in which much goes wrong."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib.figure import Figure

from bench_uq.report import write
from bench_uq.report.figures import kinds
from bench_uq.report.figures._style import styled
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
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
    """Return a function that writes rows of scores, curves and runs as results."""

    def write_by_hand(scores: Rows = (), curves: Rows = (), runs: Rows = ()) -> Path:
        folder = tmp_path / f"hand{len(list(tmp_path.glob('hand*'))) or ''}"
        given = {(run["method"], run["seed"]): run for run in runs}
        keys = {(row["method"], row["seed"]) for row in [*scores, *curves, *runs]}
        planned = {key: synthetic.plan_run("digits", *key) for key in keys}
        tables = {"runs.csv": [planned[key] | given.get(key, {}) for key in keys]}
        for name, rows in (("scores.csv", scores), ("curves.csv.gz", curves)):
            tables[name] = [
                {**planned[row["method"], row["seed"]], "condition": "clean", **row} for row in rows
            ]

        folder.mkdir()
        for name, rows in tables.items():
            synthetic.write_table(folder / name, rows)
        conditions = {row["condition"] for row in tables["scores.csv"]}
        synthetic.write_about(folder, {method for method, _ in keys}, conditions)
        return folder

    return write_by_hand


@pytest.fixture
def by_hand(hand_made: Callable[..., Path]) -> Callable[..., Results]:
    """Return a function that gives results on digits.

    Scores are a value, or one for each seed, by method, metric and, if not clean, condition and
    level; curves are values by x, by method, seed and name, and, if not clean, condition and level.
    """

    def results(
        scores: Mapping[tuple[Any, ...], Any] | None = None,
        curves: Mapping[tuple[Any, ...], Mapping[float, Any]] | None = None,
        runs: Rows = (),
    ) -> Results:
        score_rows, curve_rows = [], []
        for (method, metric, *place), values in (scores or {}).items():
            row = {"method": method, "metric": metric, **where(place)}
            each = values if isinstance(values, list) else [values]
            score_rows += [row | {"seed": seed, "value": value} for seed, value in enumerate(each)]

        for (method, seed, name, *place), points in (curves or {}).items():
            row = {"method": method, "seed": seed, "curve": name, **where(place)}
            curve_rows += [row | {"x": x, "y": y} for x, y in points.items()]
        return read(hand_made(score_rows, curve_rows, runs)).on("digits")

    return results


def where(place: list[Any]) -> dict[str, Any]:
    """Name the condition and the level of a place, which is else clean."""
    return dict(zip(("condition", "level"), (*place, *("clean", "")[len(place) :]), strict=True))


@pytest.fixture(scope="session")
def drawn() -> Callable[[str, Results], dict[str, Figure]]:
    """Return the function that draws the figures of a kind, laid out as they are printed."""
    modules = {kind.name: kind.module for kind in kinds()}

    def figures(kind: str, results: Results) -> dict[str, Figure]:
        with styled():
            made = modules[kind].draw(analyse(results), looks(results))
            for figure in made.values():
                figure.draw_without_rendering()
        return made

    return figures


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results in which runs failed, are missing or had not converged; one name is hostile."""
    runs = {
        ("mnf", 1): {
            "status": "failed",
            "reason": "RuntimeError: out of | <memory>",
            "converged": "",
        },
        ("dropout", 0): {"status": "missing", "reason": "", "converged": ""},
        ("mean-field", 2): {"diagnosis": "chains did not mix"},
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
    """Return the folder of the report of these results, and the files said to be written."""
    target = tmp_path_factory.mktemp("reports") / "story"
    return target, write(story, target)
