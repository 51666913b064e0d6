"""What the engine makes of examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench_uq.api import Categorical, Examples, Gaussian, Task
from bench_uq.api.errors import UsageError
from bench_uq.train.resident import Resident
from bench_uq.train.splits import fitted

RNG = np.random.default_rng(0)
LABELS = np.arange(50) % 3


def test_scales_come_from_the_training_examples() -> None:
    """A task without mean and std gets those of the training inputs, a channel each, in [0, 1]."""
    images = RNG.integers(0, 256, (50, 3, 4, 4), dtype=np.uint8)
    task = fitted(Task((3, 4, 4), Categorical(3)), Examples(images, LABELS))
    assert task.mean == pytest.approx((images / 255).mean((0, 2, 3)))
    assert task.std == pytest.approx((images / 255).std((0, 2, 3)))


def test_features_are_scaled_one_by_one() -> None:
    """Features of a table are scaled each by itself; one that never varies is only shifted."""
    table = RNG.normal(5, 2, (50, 2)).astype(np.float32)
    table[:, 1] = 7
    task = fitted(Task((2,), Categorical(3)), Examples(table, LABELS))
    assert task.mean == pytest.approx((table[:, 0].mean(), 7.0))
    assert task.std == pytest.approx((table[:, 0].std(), 1.0))


def test_real_targets_are_scaled() -> None:
    """A Gaussian without mean and std gets those of the training targets, and keeps what it has."""
    targets = RNG.normal(100, 5, 50).astype(np.float32)
    examples = Examples(RNG.normal(size=(50, 2)).astype(np.float32), targets)
    assert fitted(Task((2,), Gaussian()), examples).likelihood == Gaussian(
        pytest.approx(targets.mean(dtype=float)), pytest.approx(targets.std(dtype=float))
    )
    assert fitted(Task((2,), Gaussian(1.0, 2.0)), examples).likelihood == Gaussian(1.0, 2.0)


def test_what_a_task_says_stays() -> None:
    """Scales that a task names are not touched."""
    task = Task((2,), Categorical(3), (0.5, 0.5), (0.2, 0.2))
    assert fitted(task, Examples(RNG.normal(size=(50, 2)).astype(np.float32), LABELS)) == task


def test_targets_that_never_vary_are_refused() -> None:
    """Nothing can be learned from targets that are all the same."""
    with pytest.raises(UsageError, match=r"all targets are 3\.0"):
        fitted(
            Task((2,), Gaussian()),
            Examples(np.zeros((5, 2), np.float32), np.full(5, 3, np.float32)),
        )


def test_no_batch_of_one() -> None:
    """A last batch of one example joins the batch before; all are seen once."""
    examples = Examples(np.arange(9, dtype=np.float32)[:, None], np.zeros(9, np.int64))
    batches = [
        inputs
        for inputs, _ in Resident(examples, torch.device("cpu"), 4).shuffled(torch.Generator())
    ]
    assert [len(batch) for batch in batches] == [4, 5]
    assert sorted(torch.cat(batches).flatten().tolist()) == list(range(9))
