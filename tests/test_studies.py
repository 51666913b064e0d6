"""Formulas of studies whose numbers the documentation shows."""

from __future__ import annotations

import numpy as np
import pytest

from studies.tuning import expected_best


def test_expected_best_by_hand() -> None:
    """Of 1 and 2, one draw is 1.5 on average; the lower of two is 1 unless both are 2."""
    assert expected_best([2.0, 1.0], 1) == 1.5
    assert expected_best([2.0, 1.0], 2) == 0.75 * 1 + 0.25 * 2
    assert expected_best([0.5, 0.5, 0.5], 8) == pytest.approx(0.5)


def test_expected_best_of_simulated_draws() -> None:
    """The formula gives the mean of the lowest of four draws with replacement."""
    random = np.random.default_rng(0)
    values = random.random(7)
    lowest = random.choice(values, (100_000, 4)).min(1)
    assert expected_best(values.tolist(), 4) == pytest.approx(lowest.mean(), abs=0.002)
