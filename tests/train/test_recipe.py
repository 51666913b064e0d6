"""The recipe of a training against torch's own schedules, AdamW and clipping."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR

from bench_uq.api.errors import UsageError
from bench_uq.plan.runs import recipe_identity
from bench_uq.train.recipe import OWN_RATE, begin, clip, share, step
from bench_uq.train.settings import RECIPE, Settings

STEPS = 40

ORACLES: dict[str, Callable[[Any], LRScheduler]] = {
    "constant": lambda optimiser: LinearLR(optimiser, 1.0, 1.0),
    "cosine": lambda optimiser: CosineAnnealingLR(optimiser, STEPS),
    "linear": lambda optimiser: LinearLR(optimiser, 1.0, 0.0, STEPS),
    "step": lambda optimiser: MultiStepLR(optimiser, [STEPS // 2, STEPS * 3 // 4]),
}


def weights(*shape: int) -> nn.Parameter:
    """Return parameters with a gradient."""
    torch.manual_seed(0)
    made = nn.Parameter(torch.randn(shape, dtype=torch.float64))
    made.grad = torch.randn(shape, dtype=torch.float64)
    return made


def test_groups_keep_their_ratio_to_the_first() -> None:
    """Rates of 0.1, 0.3 and 0.2 become 0.5, 1.5 and, of its own, 0.2; without a rate they stay."""
    groups: list[dict[str, Any]] = [
        {"params": [weights(2)], "lr": 0.1},
        {"params": [weights(2)], "lr": 0.3},
        {"params": [weights(2)], "lr": 0.2, OWN_RATE: True},
    ]
    optimiser = SGD(groups)
    begin(optimiser, Settings())
    assert [group["lr"] for group in optimiser.param_groups] == [0.1, 0.3, 0.2]
    begin(optimiser, Settings(learning_rate=0.5))
    rates = [group["lr"] for group in optimiser.param_groups]
    assert rates == pytest.approx([0.5, 1.5, 0.2])
    assert [group["initial_lr"] for group in optimiser.param_groups] == rates


@pytest.mark.parametrize("schedule", ORACLES)
def test_rates_are_those_of_torchs_schedules(schedule: Any) -> None:
    """Every group's rate is that of torch's schedule, from its own start."""
    settings = Settings(learning_rate=0.5, schedule=schedule)
    ours = SGD([{"params": [weights(2)]}, {"params": [weights(3)], OWN_RATE: True}], lr=0.1)
    theirs = SGD([{"params": [weights(2)], "lr": 0.5}, {"params": [weights(3)]}], lr=0.1)
    oracle = ORACLES[schedule](theirs)
    begin(ours, settings)
    for number in range(STEPS):
        step(ours, settings, number / STEPS, 1 / STEPS)
        rates = [group["lr"] for group in ours.param_groups]
        expected = [group["lr"] for group in theirs.param_groups]
        assert rates == pytest.approx(expected, abs=1e-12)
        theirs.step()
        oracle.step()


def test_a_warm_up_rises_to_the_whole_rate() -> None:
    """Over a fifth of 40 steps it rises by eighths; then the cosine falls over the other 32."""
    settings = Settings(schedule="cosine", warmup=0.2)
    shares = [share(settings, number / STEPS, 1 / STEPS) for number in range(STEPS)]
    assert shares[:8] == pytest.approx([number / 8 for number in range(1, 9)])
    assert shares[8] == 1
    assert shares[24] == pytest.approx(0.5)
    assert 0 < shares[-1] < 0.01


def test_weight_decay_is_adamws() -> None:
    """Adam with the recipe's decay makes the steps of AdamW."""
    settings = Settings(weight_decay=0.1, learning_rate=0.01)
    ours, theirs = weights(5), weights(5)
    one, other = Adam([ours], lr=1e-3), AdamW([theirs], lr=0.01, weight_decay=0.1)
    begin(one, settings)
    for number in range(5):
        step(one, settings, number / 5, 1 / 5)
        other.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_clipping_is_torchs_for_each_network() -> None:
    """Of stacked networks each is scaled by its own norm, as torch scales it alone."""
    pairs = [(weights(3, 4) * 1, weights(3) * 1) for _ in range(3)]
    for number, pair in enumerate(pairs):
        for one in pair:
            one.retain_grad()
            one.grad = torch.full_like(one, 0.01 * 10**number)
    stacked = [torch.stack(alike).detach() for alike in zip(*pairs, strict=True)]
    for place, one in enumerate(stacked):
        one.requires_grad_()
        one.grad = torch.stack([gradient(pair[place]) for pair in pairs])

    clip(stacked, 0.5, 3)
    for number, pair in enumerate(pairs):
        torch.nn.utils.clip_grad_norm_(pair, 0.5)
        for place in (0, 1):
            torch.testing.assert_close(gradient(stacked[place])[number], gradient(pair[place]))
    norms = [math.hypot(gradient(one).norm(), gradient(other).norm()) for one, other in pairs]
    assert norms == pytest.approx([0.01 * math.sqrt(15), 0.1 * math.sqrt(15), 0.5], rel=1e-4)


def gradient(weights: Tensor) -> Tensor:
    """Return the gradient of parameters."""
    assert weights.grad is not None
    return weights.grad


def test_the_default_recipe_changes_nothing() -> None:
    """The rates stay the method's, and the keys of runs made before there were recipes stay."""
    optimiser = SGD([weights(2)], lr=0.3)
    begin(optimiser, Settings())
    step(optimiser, Settings(), 0.7, 0.1)
    assert optimiser.param_groups[0]["lr"] == 0.3
    assert recipe_identity(Settings()) == {}

    changed = {
        "learning_rate": 0.1,
        "schedule": "step",
        "warmup": 0.1,
        "weight_decay": 1,
        "clip": 2,
    }
    assert recipe_identity(Settings(**changed)) == changed  # type: ignore[arg-type]
    assert set(changed) == set(RECIPE)


class Rateless(torch.optim.Optimizer):
    """An optimiser of a plugin that calls its rate by another name."""

    def __init__(self) -> None:
        super().__init__([weights(2)], {"step_size": 0.1})

    def step(self, closure: Any = None) -> None:
        """Do nothing."""


def test_an_optimiser_without_rates() -> None:
    """It trains by the default recipe, with clipping too; a recipe of rates is refused."""
    for settings in (Settings(), Settings(clip=1.0)):
        optimiser = Rateless()
        begin(optimiser, settings)
        step(optimiser, settings, 0.5, 0.1)
    for changed in ({"warmup": 0.1}, {"schedule": "cosine"}, {"weight_decay": 0.1}):
        with pytest.raises(ValueError, match=r"lacks .lr."):
            begin(Rateless(), Settings(**changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", -1), ("weight_decay", math.inf), ("clip", math.nan), ("warmup", 1)],
)
def test_nonsense_is_refused(name: str, value: float) -> None:
    """Rates are finite and at least 0; something follows the warm-up."""
    with pytest.raises(UsageError, match=name):
        Settings(**{name: value})  # type: ignore[arg-type]
