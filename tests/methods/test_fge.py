"""Fast geometric ensembling: an ordinary first part, and triangles after it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from bench_uq.api import Categorical, Task
from bench_uq.methods.fge import FGE
from bench_uq.testing.method_trials import digits
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings

IMAGES = Task((1, 8, 8), Categorical(10), mean=(0.3,), std=(0.4,), network="lenet")
HIGH, LOW = 0.4, 0.1


def paper(t: float) -> float:
    """Rate at the share ``t`` of a cycle in the paper, which begins at the high rate."""
    if t <= 0.5:
        return (1 - 2 * t) * HIGH + 2 * t * LOW
    return (2 - 2 * t) * LOW + (2 * t - 1) * HIGH


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_rates(schedule: Any) -> None:
    """The rate falls as a cosine to the low one, then goes through the paper's triangles, half a
    cycle later, whatever the schedule of the recipe.
    """
    method = FGE(cycles=3, start=0.4, high=HIGH, low=LOW)
    settings = Settings(epochs=10, batch=32, learning_rate=0.01, schedule=schedule)
    found = list[float]()
    handle = register_optimizer_step_post_hook(
        lambda optimiser, *_: found.append(optimiser.param_groups[0]["lr"])
    )
    # Four steps an epoch: 16 before the cycles, each of which has two epochs.
    data = Resident(digits()[:128], torch.device("cpu"), 32)
    try:
        train(method, IMAGES, (data, data), settings, 0)
    finally:
        handle.remove()

    expected = []
    for step in range(4, 16):
        expected.append(LOW + (1 - LOW) * (1 + math.cos(math.pi * step / 16)) / 2)
    for step in range(24):
        expected.append(paper((step / 8 + 0.5) % 1))

    assert found[:4] == [0.01] * 4
    assert found[4:] == pytest.approx([0.01 * share for share in expected])


def test_copies_are_taken_at_the_minima() -> None:
    """The ends of cycles are where the rate is lowest after the first part."""
    method = FGE(cycles=3, start=0.4, high=HIGH, low=LOW)
    for end in method.ends(10):
        assert method.share(end - 1e-6, 10) == pytest.approx(LOW, abs=1e-4)
        assert method.share(end - 1, 10) == pytest.approx(HIGH)


@pytest.mark.parametrize(
    ("cycles", "start", "epochs", "ends"),
    [
        (6, 0.8, 60, [50, 52, 54, 56, 58, 60]),
        (6, 0.8, 12, [11, 12]),
        (6, 0.8, 4, [4]),
        (3, 0.0, 7, [3, 5, 7]),
        (6, 0.99, 10, [10]),
        (2, 0.5, 1, [1]),
    ],
)
def test_ends(cycles: int, start: float, epochs: int, ends: list[int]) -> None:
    """Cycles share the epochs after the first part, of which at least one is left to them."""
    assert FGE(cycles=cycles, start=start).ends(epochs) == ends


@pytest.mark.parametrize("epochs", range(1, 40))
def test_the_last_copy_is_the_trained_network(epochs: int) -> None:
    """Whatever the numbers of cycles and epochs, the last cycle ends with the training."""
    for cycles in (1, 3, 7, 11):
        for start in (0.0, 0.33, 0.8):
            ends = FGE(cycles=cycles, start=start).ends(epochs)
            assert ends[-1] == epochs
            assert len(ends) <= cycles


def test_the_cycles_have_an_epoch_at_least() -> None:
    """However late they start, the cycles have the last epoch."""
    late = FGE(start=0.99)
    assert [late.first(epochs) for epochs in (1, 10)] == [0, 9]
    assert late.share(9.5, 10) == pytest.approx(late.high)


@pytest.mark.parametrize(
    "option",
    [{"cycles": 0}, {"start": 1.0}, {"high": 0.0}, {"low": 0.0}, {"low": 0.6}, {"prior_std": 0.0}],
)
def test_options(option: dict) -> None:
    """Options without meaning are refused by their names."""
    with pytest.raises(ValueError, match=next(iter(option))):
        FGE(**option)
