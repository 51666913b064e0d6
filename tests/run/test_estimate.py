"""An estimate counts what attacks ask of a network, whoever they are."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from bench_uq.api.likelihoods import Categorical
from bench_uq.api.task import Task
from bench_uq.plan.plugins import Plugins
from bench_uq.run.estimate import passes_of
from bench_uq.store import Evaluation


@pytest.mark.parametrize(
    ("name", "levels", "expected"),
    [
        ("fgsm", [0, 0.1, 0.2], {(10, True): 2}),
        ("fgsm[label=predicted,draws=1]", [0.1], {(1, True): 1, (1, False): 1}),
        ("pgd[steps=3,restarts=1]", [0, 0.1, 0.2], {(10, True): 2 + 2 * 4}),
        (
            "pgd[steps=3,restarts=2,draws=4,objective=entropy]",
            [0.1],
            {(4, True): 4 + 3, (4, False): 4 + 3 + 3},
        ),
        ("rotate", [15, 30], {}),
    ],
)
def test_passes_by_hand(
    name: str, levels: list[float], expected: dict[tuple[int, bool], int]
) -> None:
    """FGSM takes two gradients for all levels, PGD one per step and level, a shift none."""
    shown = [Evaluation(name, "condition", level, "", full=name) for level in levels]
    inputs, targets = torch.rand(4, 1, 28, 28), torch.zeros(4, dtype=torch.long)
    task = Task((1, 28, 28), Categorical(10), "lenet")
    assert passes_of(Plugins(), shown, task, inputs, targets) == Counter(expected)
