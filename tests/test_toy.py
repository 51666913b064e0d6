"""The toy suite: bands are narrow at the examples and wide away from them."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench_uq.plan.plugins import Plugins
from bench_uq.store.examples import read_examples

METHODS = ("ensemble", "mean-field", "mnf")
EPOCHS = 1000


def bench(*arguments: str, cwd: Path) -> None:
    """Run bench-uq in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "bench_uq", *arguments], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which a shorter toy suite was run and reported."""
    folder = tmp_path_factory.mktemp("toy")
    small = ("--seeds", "0", "--set", f"epochs={EPOCHS}", "--set", "draws=20", "--device", "cpu")
    bench("run", "--suite", "toy", "--methods", ",".join(METHODS), *small, cwd=folder)
    bench("report", "--suite", "toy", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def curves(folder: Path) -> pd.DataFrame:
    """Return the derived curves."""
    return pd.read_csv(folder / "results" / "toy" / "curves.csv.gz")


def curve(
    curves: pd.DataFrame, method: str, name: str, condition: str = "clean"
) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve of a method."""
    rows = curves[
        (curves.method == method) & (curves.curve == name) & (curves.condition == condition)
    ]
    return rows.x.to_numpy(), rows.y.to_numpy()


@pytest.mark.parametrize("method", METHODS)
def test_bands_widen_away_from_the_examples(curves: pd.DataFrame, method: str) -> None:
    """The predictive standard deviation is larger at |x| = 6 than at |x| = 2."""
    x, std = curve(curves, method, "regression_std")
    far, near = (std[np.abs(np.abs(x) - at) < 0.3].mean() for at in (6, 2))
    assert far > 1.1 * near
    assert near > 3  # the noise

    _, mean = curve(curves, method, "regression_mean")
    within = np.abs(x) <= 4
    assert (
        np.sqrt(np.mean((mean - x**3)[within] ** 2)) < 12
    )  # the cubic itself has a root mean square of 24


@pytest.mark.parametrize("method", METHODS)
def test_the_examples_trained_on_are_told(curves: pd.DataFrame, method: str) -> None:
    """The curves hold the 20 examples that a run was trained on, inputs in their own units."""
    examples = Plugins().spec("dataset", "cubic").value.load("train", Path(), 0)
    x, y = curve(curves, method, "regression_target", "train")
    assert len(x) == 20

    # One of the 21 drawn is held out; curves are stored with six digits.
    nearest = np.abs(examples.inputs - x).argmin(axis=0)
    assert len(set(nearest)) == 20
    np.testing.assert_allclose(x, examples.inputs[nearest, 0], rtol=1e-5)
    np.testing.assert_allclose(y, examples.targets[nearest], rtol=1e-5)


def test_training_curves_of_many_epochs_are_thinned(folder: Path, curves: pd.DataFrame) -> None:
    """Of a thousand epochs two hundred are drawn, the first and last among them, each as it was."""
    (run,) = (folder / "results" / "toy" / "runs").glob("ensemble-*")
    with (run / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    epochs, loss = curve(curves, "ensemble", "training_loss", "train")
    assert (len(epochs), epochs[0], epochs[-1]) == (200, 1, EPOCHS)
    for epoch, value in zip(epochs, loss, strict=True):
        members = [float(row["loss"]) for row in rows if int(row["epoch"]) == epoch]
        assert len(members) == 5
        assert value == pytest.approx(np.mean(members), rel=1e-5)


def test_the_report_shows_the_bands(folder: Path) -> None:
    """The figure is there in both forms, and few inputs are kept as examples."""
    for suffix in ("pdf", "png"):
        assert (
            folder / "reports" / "toy" / "figures" / f"cubic-bands.{suffix}"
        ).stat().st_size > 5000
    shown = read_examples(folder / "results" / "toy" / "examples.npz")
    assert {len(one.inputs) for one in shown} == {8}
