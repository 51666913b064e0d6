"""Deep ensemble equivalent: curves over the members of an ensemble, and what lies on them."""

from __future__ import annotations

import csv
import gzip
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from bench_uq.api.task import Predictions
from bench_uq.metrics.proper_scores import calibrated_nll, nll
from bench_uq.score import equivalent, members
from bench_uq.score.summaries import Curve
from tests.cli.commands import done


def predicted(count: int = 3, examples: int = 60, classes: int = 4) -> Predictions:
    """Random predictions of several members for test and held-out examples."""
    generator = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {"draws": np.ones(count, int)}
    for prefix in ("", "held_out_"):
        probs = generator.dirichlet(np.ones(classes), (count, examples))
        targets = generator.integers(0, classes, examples)
        arrays[f"{prefix}probs"] = probs
        arrays[f"{prefix}targets"] = targets
        arrays[f"{prefix}log_density"] = np.log(probs[:, np.arange(examples), targets])
    return Predictions(arrays)


def test_curves_are_means_over_all_subsets() -> None:
    """Each point is the mean NLL of the averaged probabilities of all subsets of that size."""
    shown = predicted()
    found = {name: (x, y) for name, x, y in members.curves(shown)}
    assert found.keys() == {"members_nll", "members_calibrated_nll"}

    for place, size in enumerate((1, 2, 3)):
        plain, calibrated = [], []
        for subset in itertools.combinations(range(3), size):
            both = []
            for prefix in ("", "held_out_"):
                probs = shown[f"{prefix}probs"][list(subset)].mean(axis=0)
                targets = shown[f"{prefix}targets"]
                density = np.log(probs[np.arange(60), targets])
                arrays = {"probs": probs, "targets": targets, "log_density": density}
                both.append(Predictions(arrays))
            plain.append(nll(both[0]))
            calibrated.append(calibrated_nll(*both))
        for name, values in (("members_nll", plain), ("members_calibrated_nll", calibrated)):
            x, y = found[name]
            assert x[place] == size
            assert y[place] == pytest.approx(np.mean(values), rel=1e-6)  # T is found to 1e-8


def test_subsets_are_all_or_some() -> None:
    """Few are all taken; of many there are twenty, each without a repeated member."""
    assert sorted(map(tuple, members.subsets(4, 2))) == list(itertools.combinations(range(4), 2))
    some = [tuple(sorted(one)) for one in members.subsets(20, 10)]
    assert len(some) == members.MOST
    assert all(len(set(one)) == 10 for one in some)
    again = [tuple(sorted(one)) for one in members.subsets(20, 10)]
    assert some == again


def test_members_that_draw_have_no_curve() -> None:
    """Of several draws a member nothing but their number is stored."""
    assert members.curves(Predictions({"draws": np.array([2, 2])})) == []


CURVE = Curve(np.arange(1.0, 6), np.array([1.0, 0.6, 0.6, 0.5, 0.4]), 3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.1, -math.inf),
        (1.0, 1.0),
        (0.8, 1.5),
        (0.6, 2.0),
        (0.55, 3.5),
        (0.5, 4.0),
        (0.42, 4.8),
        (0.4, 5.0),
        (0.39, math.inf),
    ],
)
def test_the_curve_by_hand(value: float, expected: float) -> None:
    """The first crossing, on the line between two points, or beyond an end."""
    assert equivalent.networks(CURVE, value) == pytest.approx(expected)


def test_seeds_beyond_the_ends() -> None:
    """They count as the ends, and are counted."""
    found = equivalent.over_seeds(CURVE, np.array([0.8, 1.2, 0.3]))
    assert found.values == (1.5, 1.0, 5.0)
    assert (found.below, found.above) == (1, 1)
    assert found.mean == pytest.approx(2.5)
    assert math.isnan(found.sd)
    inside = equivalent.over_seeds(CURVE, np.array([0.8, 0.6]))
    assert inside.sd == pytest.approx(math.sqrt(0.125))


def test_end_to_end(tmp_path: Path) -> None:
    """A small ensemble and map, from training to the report; its curve ends at its own NLL."""
    arguments = ("--datasets", "digits", "--methods", "map,ensemble[members=3],dropout[members=2]")
    few = ("--seeds", "0", "--set", "epochs=2", "--set", "attack_images=20", "--device", "cpu")
    done(tmp_path, "run", *arguments, *few)

    results = tmp_path / "results/quick"
    with gzip.open(results / "curves.csv.gz", "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["curve"].startswith("members_")]
    assert {row["method"] for row in rows} == {"ensemble[members=3]"}
    assert {row["condition"] for row in rows} == {"clean"}
    with (results / "scores.csv").open() as file:
        scored = {}
        for row in csv.DictReader(file):
            if row["condition"] == "clean" and row["method"] == "ensemble[members=3]":
                scored[row["metric"]] = float(row["value"] or "nan")
    for metric in ("nll", "calibrated_nll"):
        last = [row for row in rows if row["curve"] == f"members_{metric}" and row["x"] == "3.0"]
        assert float(last[0]["y"]) == pytest.approx(scored[metric], rel=1e-5)

    done(tmp_path, "report", "--formats", "markdown,latex,html,png")
    summary = (tmp_path / "reports/quick/summary.md").read_text()
    assert "### Deep ensemble equivalent" in summary
    assert "deep ensemble equivalent" in (tmp_path / "reports/quick/index.html").read_text()
    assert (tmp_path / "reports/quick/tables/digits-equivalent.tex").is_file()
    assert (tmp_path / "reports/quick/figures/digits-equivalent.png").stat().st_size > 5000
