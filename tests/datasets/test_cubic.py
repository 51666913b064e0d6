"""The cubic: what its examples are drawn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench_uq.plan.plugins import Plugins
from bench_uq.plan.suite import read_suite
from bench_uq.train.splits import training_splits

CUBIC = Plugins().spec("dataset", "cubic").value
FOLDS = range(100)


def drawn(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and targets of many folds, (folds, N)."""
    examples = [CUBIC.load(split, Path(), fold) for fold in FOLDS]
    return np.array([one.inputs[:, 0] for one in examples], float), np.array(
        [one.targets for one in examples], float
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_noise(split: str) -> None:
    """Targets are the cube of the input with independent noise N(0, 9)."""
    x, y = drawn(split)
    noise = y - x * x * x
    assert stats.kstest(noise.ravel() / 3, "norm").pvalue > 0.01
    correlation = np.corrcoef(noise[:-1, :20].ravel(), noise[1:, :20].ravel())[
        0, 1
    ]  # with that of the next fold
    assert abs(correlation) < 4 / np.sqrt(99 * 20)


def test_training_inputs_are_uniform_on_their_range() -> None:
    """Training inputs are uniform on [-4, 4], others in each fold."""
    x, _ = drawn("train")
    assert stats.kstest(x.ravel(), stats.uniform(-4, 8).cdf).pvalue > 0.01
    assert len(np.unique(x)) == x.size


def test_tested_on_an_even_grid() -> None:
    """The test inputs of every fold are one even grid over [-6, 6], beyond the training inputs."""
    x, y = drawn("test")
    assert (x == x[0]).all()
    assert (x[0, 0], x[0, -1]) == (-6, 6)
    np.testing.assert_allclose(np.diff(x[0]), 12 / (x.shape[1] - 1), rtol=1e-4)
    assert len(np.unique(y[:, 0])) == len(FOLDS)


def test_the_suite_trains_on_twenty() -> None:
    """As many examples are trained on as in the paper, and the noise is known to be 3."""
    suite = read_suite("toy")
    for method in suite.methods:
        trained_on, held_out = training_splits(
            CUBIC.load("train", Path(), 0), suite.settings_of(method), 0
        )
        assert (len(trained_on), len(held_out)) == (20, 1)
    assert CUBIC.task(Path()).likelihood.noise == 3
