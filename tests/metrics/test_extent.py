"""How many examples there were, and how many a condition left as they were."""

from __future__ import annotations

import numpy as np

from bench_uq.api.task import Predictions
from bench_uq.metrics.extent import examples, unmoved
from bench_uq.plan.plugins import Plugins

CARDS = Plugins().metrics()


def at(distance) -> Predictions:
    """Return predictions for inputs that were moved so far."""
    distance = np.asarray(distance, np.float32)
    return Predictions(
        {"probs": np.full((len(distance), 2), 0.5, np.float32), "distance": distance}
    )


def test_unmoved_by_hand():
    """One of four is where it was; the smallest float32 is a move."""
    assert unmoved(at([0, 0.3, 1e-45, 0.1])) == 0.25
    assert unmoved(at([0, 0])) == 1.0
    assert unmoved(at([0.5])) == 0.0


def test_unmoved_of_no_number_is_none():
    """A distance that is no number is not taken for a move."""
    assert np.isnan(unmoved(at([0, np.nan])))


def test_unmoved_needs_distances(classified):
    """Clean and unseen data, and results of older versions, have no such number."""
    assert CARDS["unmoved"].applies(at([0.0]), None)
    assert not CARDS["unmoved"].applies(classified(), classified())
    assert CARDS["unmoved"].direction == "none"


def test_examples_are_counted(classified):
    """The number of examples is that of predictions."""
    assert examples(classified(count=7)) == 7.0
