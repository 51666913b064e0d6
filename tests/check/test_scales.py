"""Scales: a change means the same wherever it stands, and larger is worse or more uncertain."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bench_uq.check.scales import SCALES, scale_of
from bench_uq.plan.plugins import Plugins

N = np.array([500.0])
CARDS = Plugins().metrics()


def test_odds_by_hand() -> None:
    """An accuracy of 0.9 has odds of 1 to 9 of an error, 0.8 of 1 to 4: a factor of 9/4."""
    odds = SCALES["odds"]
    change = odds.of(np.array([0.8]), N) - odds.of(np.array([0.9]), N)
    assert odds.change(float(change[0])) == pytest.approx(9 / 4)
    assert odds.margin(0.25) == pytest.approx(math.log(1.25))


def test_what_is_perfect_counts_as_half_an_error() -> None:
    """All of 500 right is read as 499.5 right, none as 0.5; an ECE of 0 as 1/1000."""
    assert SCALES["odds"].of(np.array([1.0]), N) == pytest.approx(math.log(0.5 / 499.5))
    assert SCALES["odds"].of(np.array([0.0]), N) == pytest.approx(math.log(499.5 / 0.5))
    assert SCALES["log"].of(np.array([0.0]), N) == pytest.approx(math.log(1 / 1000))
    assert SCALES["plain"].of(np.array([-3.0]), N) == -3


def test_plain_changes_are_differences() -> None:
    """Nats of a density stay nats, in changes and in margins."""
    assert SCALES["plain"].change(-0.2) == -0.2
    assert SCALES["plain"].margin(0.1) == 0.1


def test_larger_is_worse_on_every_scale() -> None:
    """Of every metric with a better side, a worse score lies higher on its scale."""
    for metric in CARDS.values():
        scale = SCALES[scale_of(metric, real_targets=False)]
        low, high = (float(scale.of(np.array([value]), N)[0]) for value in (0.3, 0.6))
        assert (high > low) == (metric.direction != "higher"), metric.id


def test_scales_of_metrics() -> None:
    """Shares of which more is better by odds, a density's NLL plainly, the rest by logs."""
    assert scale_of(CARDS["nll"], real_targets=True) == "plain"
    assert scale_of(CARDS["nll"], real_targets=False) == "log"
    assert scale_of(CARDS["rmse"], real_targets=True) == "log"
    for name in ("accuracy", "auroc_entropy"):
        assert scale_of(CARDS[name], real_targets=False) == "odds"
    own = replace(CARDS["accuracy"], scale="plain")
    assert scale_of(own, real_targets=False) == "plain"
