"""Predictions to score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench_uq.api.task import Predictions

Draw = Callable[..., Predictions]


@pytest.fixture
def classified() -> Draw:
    """Return a function that makes the stored predictions of ``draws`` random softmax draws, labels
    drawn from them.
    """

    def make(
        count: int = 500, classes: int = 4, draws: int = 5, seed: int = 0, sharpness: float = 2.0
    ) -> Predictions:
        generator = np.random.default_rng(seed)
        logits = sharpness * generator.normal(size=(draws, count, classes))
        each = np.exp(logits - logits.max(axis=-1, keepdims=True))
        each /= each.sum(axis=-1, keepdims=True)

        probs = each.mean(axis=0)
        targets = (
            (generator.random((count, 1)) > probs.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
        )

        arrays = {
            "probs": probs,
            "draw_entropy": -(each * np.log(each)).sum(axis=-1).mean(axis=0),
            "log_density": np.log(probs[np.arange(count), targets]),
        }
        stored = {name: array.astype(np.float32) for name, array in arrays.items()}
        return Predictions({**stored, "targets": targets, "inputs": np.zeros((1, 2), np.float32)})

    return make
