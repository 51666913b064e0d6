"""Requirements of a metric: a complete card, and finite values that only predictions decide."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench_uq.api.likelihoods import QUANTILE_LEVELS
from bench_uq.api.metric import Metric
from bench_uq.api.task import Predictions
from bench_uq.testing.contract import Note, NotReached, Target, require

#: Arrays of predictions that a metric may need.
ARRAYS = (
    *("probs", "draw_entropy", "targets", "log_density", "inputs", "distance"),
    "attack_draws",
    *("mean", "variance", "draw_variance", "quantiles"),
    # Of methods with several chains.
    *("chain_probs", "chain_mean", "chain_variance", "chain_quantiles"),
    "ood_score",  # of methods that have one
)


@dataclass(frozen=True)
class MetricTrial:
    """One metric with predictions under a shift, and those on clean data or held-out examples."""

    metric: Metric
    where: str
    known: frozenset[str]  # ids of all metrics
    shown: Predictions | None = None  # None: it applies to no predictions
    clean: Predictions | None = None

    def value(self, shown: Predictions | None = None, clean: Predictions | None = None) -> float:
        """Value of the metric for these predictions, or for those of the trial.

        The objects are new on each call, because metrics may keep results with them.
        """
        if self.shown is None or self.clean is None:
            raise NotReached("'needs' fails")
        fresh = [Predictions(one.arrays) for one in (shown or self.shown, clean or self.clean)]
        return self.metric.compute(*fresh)


def subjects(target: Target) -> Sequence[MetricTrial]:
    """The metric on random predictions of each kind that it applies to."""
    known = frozenset(target.plugins.metrics())
    trials = []
    for where, shown, clean in _predictions():
        if target.value.applies(shown, clean):
            trials.append(MetricTrial(target.value, where, known, shown, clean))
    return trials or [MetricTrial(target.value, "", known)]


def check_card(trial: MetricTrial) -> None:
    """Its card has a title, a formula and a reference."""
    for name in ("title", "formula", "reference"):
        require(getattr(trial.metric, name).strip(), f"{name!r} is empty")
    if not re.search(r"https?://|doi:|arXiv:|\d{4}", trial.metric.reference):
        raise Note(f"no link and no year in {trial.metric.reference!r}")


def check_places(trial: MetricTrial) -> None:
    """Figures that show it have an axis to draw; metrics that its card names exist."""
    metric = trial.metric
    drawn = metric.shown.levels is not None or metric.shown.cost_figure is not None
    require(metric.axis is not None or not drawn, "'shown' names a figure, but 'axis' is None")
    for name in ("companion", "rests_on"):
        other = getattr(metric, name)
        require(other in trial.known or not other, f"{name} {other!r} is no metric")


def check_needs(trial: MetricTrial) -> None:
    """It needs arrays that predictions have."""
    for name in (*trial.metric.needs, *trial.metric.needs_of_reference):
        require(name in ARRAYS, f"no array {name!r} (known: {', '.join(ARRAYS)})")
    needs = ", ".join((*trial.metric.needs, *trial.metric.needs_of_reference))
    require(trial.shown is not None, f"no predictions have all of {needs}")


def check_finite(trial: MetricTrial) -> None:
    """Finite predictions give a finite Python float within its bounds."""
    value = trial.value()
    require(type(value) is float, f"it returns {type(value).__name__}, not float")
    # An AUROC, for example, has no value if every prediction is right.
    if trial.metric.undefined and math.isnan(value):
        return
    low, high = trial.metric.bounds
    require(
        math.isfinite(value), f"it is {value}: if that has a meaning, give the reason as undefined"
    )
    require(low <= value <= high, f"it is {value:.4g}, outside of its bounds {low:g} to {high:g}")


def check_repeats(trial: MetricTrial) -> None:
    """The same predictions give the same value, to the last digit."""
    first, second = trial.value(), trial.value()
    require(np.array_equal(first, second, equal_nan=True), f"{first!r}, then {second!r}")


def check_nan(trial: MetricTrial) -> None:
    """NaN in an array that it needs gives NaN: nothing is dropped silently."""
    trial.value()
    for name in trial.metric.needs_of_reference:
        value = trial.value(clean=_damaged(trial.clean, name))
        require(math.isnan(value), f"NaN in {name} of the reference gives {value}")

    for name in trial.metric.needs:
        # Labels are whole numbers, which have no NaN.
        if name == "targets":
            continue
        value = trial.value(shown=_damaged(trial.shown, name))
        require(math.isnan(value), f"NaN in {name} gives {value}")
        if trial.metric.against_clean or trial.metric.against_held_out:
            others = trial.metric.others("clean data", "held-out examples", "reference")
            value = trial.value(clean=_damaged(trial.clean, name))
            require(math.isnan(value), f"NaN in {name} of the {others} gives {value}")


def check_alone(trial: MetricTrial) -> None:
    """It leaves the arrays that it is given as they were."""
    trial.value()
    trial.value(_read_only(trial.shown), _read_only(trial.clean))


def _read_only(predictions: Predictions | None) -> Predictions:
    """The same predictions, in arrays that cannot be written to."""
    assert predictions is not None
    arrays = {name: array.copy() for name, array in predictions.arrays.items()}
    for array in arrays.values():
        array.setflags(write=False)
    return Predictions(arrays)


def _damaged(predictions: Predictions | None, name: str) -> Predictions:
    """Predictions with NaN in the second example of an array."""
    assert predictions is not None
    array = np.array(predictions[name], dtype=float)
    # Of an array with columns all are damaged, because a metric may need some of them.
    array[1] = math.nan
    return Predictions({**predictions.arrays, name: array})


def _predictions() -> Iterator[tuple[str, Predictions, Predictions]]:
    """Predictions under a shift and clean ones: of labels, sharp ones, and of real targets."""
    rng = np.random.default_rng(0)
    # Confident predictions may have probabilities of exactly 0 and 1 in float32.
    for where, sharpness in (("labels", 2.0), ("labels, confident predictions", 50.0)):
        yield where, _labelled(rng, sharpness), _labelled(rng, sharpness)
    yield "real targets", _real(rng), _real(rng)


def _labelled(rng: np.random.Generator, sharpness: float) -> Predictions:
    """Predictions of 5 draws for 200 examples of 4 classes."""
    logits = sharpness * rng.normal(size=(5, 200, 4))
    # Less the largest, so that exp cannot overflow.
    each = np.exp(logits - logits.max(axis=-1, keepdims=True))
    each /= each.sum(axis=-1, keepdims=True)
    probs = each.mean(axis=0)
    targets = rng.integers(0, 4, 200)

    # At least 1e-30: a probability of 0 would give 0 * -inf, which is NaN.
    entropy = -(each * np.log(np.maximum(each, 1e-30))).sum(axis=-1).mean(axis=0)
    density = np.log(np.maximum(probs[np.arange(200), targets], 1e-30))
    chains = np.stack([each[:2].mean(axis=0), each[2:4].mean(axis=0)], axis=1)
    return Predictions(
        {
            "probs": probs.astype(np.float32),
            "chain_probs": chains.astype(np.float32),
            "draw_entropy": entropy.astype(np.float32),
            "ood_score": rng.normal(size=200).astype(np.float32),
            "targets": targets,
            "log_density": density.astype(np.float32),
            "inputs": rng.random((8, 1, 4, 4), np.float32),
            "distance": rng.random(200, np.float32),
            "attack_draws": rng.integers(1, 80, 200).astype(np.float32),
        }
    )


def _real(rng: np.random.Generator) -> Predictions:
    """Predictions for 200 real targets."""
    quantiles = np.sort(rng.normal(size=(200, len(QUANTILE_LEVELS))), axis=1)
    names = ("mean", "targets", "log_density")
    arrays = {name: rng.normal(size=200).astype(np.float32) for name in names}
    spread = rng.random(200, np.float32)
    chains = np.sort(rng.normal(size=(200, 2, len(QUANTILE_LEVELS))))

    return Predictions(
        {
            **arrays,
            "variance": 1 + spread,
            "draw_variance": 1 - spread / 2,
            "quantiles": quantiles.astype(np.float32),
            "chain_mean": rng.normal(size=(200, 2)).astype(np.float32),
            "chain_variance": 1 + rng.random((200, 2), np.float32),
            "chain_quantiles": chains.astype(np.float32),
            "inputs": rng.random((200, 1), np.float32),
            "distance": spread,
            "attack_draws": spread,
        }
    )
