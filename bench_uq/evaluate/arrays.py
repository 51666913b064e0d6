"""Evaluate predictions that are there as arrays; torch is not loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench_uq.api.errors import BadValue
from bench_uq.evaluate import inputs
from bench_uq.evaluate.inputs import Given
from bench_uq.evaluate.mixture import mixture
from bench_uq.evaluate.scores import Scores
from bench_uq.evaluate.shown import CLEAN, Kind, Shown, check_unseen_name, hash_of
from bench_uq.plan.fingerprints import digest
from bench_uq.plan.plugins import Plugins


def evaluate_arrays(
    predicted: Any,
    targets: Any,
    *,
    draws: Any = None,
    unseen: Mapping[str, Any] | None = None,
    binary: bool = False,
    variance: Any = None,
    std: Any = None,
    name: str,
    resamples: int,
    seed: int,
    plugins: Plugins,
) -> Scores:
    """Score probabilities and labels, or means and variances and real targets."""
    if variance is not None or std is not None:
        if variance is not None and std is not None:
            raise BadValue("give variance or std, not both: one is the square of the other")
        spread = {"variance": variance, "std": std}
        given = inputs.reals(
            predicted, {key: one for key, one in spread.items() if one is not None}, targets
        )
        # Means and variances have no classes that these could be about.
        if unseen or binary or draws is not None:
            raise BadValue("unseen, binary and draws are of classes: leave them out")
        parts = {CLEAN: given}
    else:
        if targets is None:
            raise BadValue("labels are missing: evaluate(probs, labels)")
        clean = inputs.classes(predicted, targets, "probs", binary=binary, draws=draws)
        stacked = draws is not None
        parts = {CLEAN: clean, **others(unseen or {}, clean, binary=binary, stacked=stacked)}

    shown, notes = [], []
    for condition, part in parts.items():
        kind: Kind = "clean" if condition == CLEAN else "unseen"
        predictions = mixture(part.likelihood, part.draws, part.targets)
        shown.append(Shown(condition, kind, None, predictions, len(part.draws), condition))
        notes += [part.note] * bool(part.note)
    # The same predictions have the same source, whatever array they came in.
    source = digest([[key, hash_of(part.arrays)] for key, part in parts.items()])
    return Scores(
        *(name, tuple(shown), tuple(notes), source),
        plugins=plugins,
        resamples=resamples,
        seed=seed,
    )


def others(
    unseen: Mapping[str, Any], clean: Given, *, binary: bool, stacked: bool = False
) -> dict[str, Given]:
    """Predictions of out-of-distribution data by name, for the classes of the clean ones.

    With ``stacked`` probabilities of class 1 are draws, (S, N), as the clean ones are.
    """
    found = {}
    for name, probs in unseen.items():
        check_unseen_name(name)
        if isinstance(probs, tuple) and len(probs) == 2:
            raise BadValue(f"unseen {name!r} is a tuple: give its predictions alone, no labels")
        one = inputs.classes(probs, None, f"unseen {name!r}", binary=binary, stacked=stacked)

        # Scores of two models side by side would be read as those of one.
        if one.likelihood != clean.likelihood:
            raise BadValue(
                f"unseen {name!r} has {one.draws.shape[2]} classes, probs has "
                f"{clean.draws.shape[2]}: both are predictions of one model"
            )
        # Mutual information depends on the number of draws, and so does its AUROC.
        if len(one.draws) != len(clean.draws):
            raise BadValue(
                f"unseen {name!r} has {len(one.draws)} draws, probs has {len(clean.draws)}: give "
                "all draws of both, (S, N, C), or the mean of both, (N, C)"
            )
        found[name] = one
    return found
