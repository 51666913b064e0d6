"""Results to report: synthetic ones, some by hand, and a story in which much goes wrong."""

from __future__ import annotations

import itertools
import math
import os
import runpy
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from matplotlib.figure import Figure

from bench_uq.report import write
from bench_uq.report.figures import kinds
from bench_uq.report.figures._style import styled
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read
from bench_uq.score.trials import Trial

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
def tried() -> Callable[..., tuple[Trial, ...]]:
    """Return a function that makes trials of methods on digits, in one study or several.

    Of the first method, the fourth and so on, the default is chosen, of the others trial 3. Trial 2
    of most has diverged. All trials are named as their method.
    """

    def trials(methods: Iterable[str], studies: int = 1, count: int = 6) -> tuple[Trial, ...]:
        found = []
        for place, method in enumerate(methods):
            for study, number in itertools.product(range(studies), range(count)):
                chosen = study == 0 and number == (3 if place % 3 else 0)
                random = np.random.default_rng(zlib.crc32(f"{method} {study} {number}".encode()))
                one = Trial(study, "digits", method, number, method, {}, 3, 0.1, 7.5, chosen)
                found.append(one if chosen and not number else other(one, random))
        return tuple(found)

    return trials


def other(trial: Trial, random: np.random.Generator) -> Trial:
    """A trial with settings, or a default that was not chosen."""
    nll = float(0.2 * np.exp(random.normal(0, 0.8)))
    if trial.chosen:
        nll = 0.09
    if trial.number == 0:
        return replace(trial, nll=0.3)
    if trial.number == 2 and trial.method[0] > "a":
        nll = math.inf

    settings = {
        "learning_rate": f"{10 ** random.uniform(-3, -1.5):.3g}",
        "weight_decay": f"{10 ** random.uniform(-5, -1):.3g}",
        "prior_std_of_the_last_layer": f"{random.uniform(0.1, 0.6):.3g}",
        "schedule": str(random.choice(["constant", "cosine"])),
    }
    return replace(trial, settings=settings, nll=nll)


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
    """Return the folder of the report of these results, and the files said to be written.

    It is made once, by the first of the processes that share the tests.
    """
    common = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent
    target, said = common / "reports" / "story", common / "reports" / "written"

    with FileLock(common / "report.lock"):
        if not said.is_file():
            files = write(story, target)
            said.write_text("\n".join(map(str, files)))
    return target, list(map(Path, said.read_text().splitlines()))
