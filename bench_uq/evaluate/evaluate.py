"""Predictions or a model? The way of each to its scores."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping
from typing import Any, get_args

from bench_uq.api.arguments import whole_number
from bench_uq.api.errors import BadValue, unknown
from bench_uq.evaluate.choice import OF_MODELS, Choice, Outputs
from bench_uq.evaluate.inputs import as_bad_values, refuse_dict_or_text
from bench_uq.evaluate.scores import Scores
from bench_uq.plan.plugins import Plugins
from bench_uq.train.settings import Settings


def evaluate_any(predicted: Any, truth: Any, choice: Choice) -> Scores:
    """Score predictions with their labels, or a model on a dataset."""
    choice = dataclasses.replace(
        choice,
        resamples=whole_number(choice.resamples, "resamples", 2),
        seed=whole_number(choice.seed, "seed", 0),
        limits=choice.limits.checked(),
    )
    if not isinstance(choice.unseen, Mapping):
        raise BadValue("unseen takes data by name: unseen={'mine': ...}")
    if choice.outputs not in get_args(Outputs):
        raise BadValue(str(unknown("outputs", str(choice.outputs), get_args(Outputs))))
    several = isinstance(predicted, list | tuple) and len(predicted) > 0
    if isinstance(predicted, list | tuple) and not several:
        raise BadValue("nothing is given: an empty list is neither predictions nor an ensemble")
    models = list(predicted) if several else [predicted]

    with as_bad_values():
        if all(map(callable, models)):
            return of_models(models, truth, choice)
        refuse_models(models, choice)
        from bench_uq.evaluate.arrays import evaluate_arrays

        return evaluate_arrays(
            predicted,
            truth,
            draws=choice.draws,
            unseen=choice.unseen,
            binary=choice.binary,
            variance=choice.variance,
            std=choice.std,
            name=choice.name or "model",
            resamples=choice.resamples,
            seed=choice.seed,
            plugins=Plugins(choice.plugins),
        )


def refuse_models(models: list[Any], choice: Choice) -> None:
    """Refuse other things than models and predictions, and arguments of models for these."""
    if any(hasattr(one, "predict_proba") for one in models):
        raise BadValue(
            "this model predicts by predict_proba: evaluate(model.predict_proba(inputs), labels)"
        )
    if len(models) == 1:
        refuse_dict_or_text(models[0], "the first argument")

    other = next((one for one in models if not callable(one)), None)
    if any(map(callable, models)):
        raise BadValue(
            f"the ensemble holds a {type(other).__name__}, which is no model: give a list of models"
        )

    # An argument that is silently left out would be taken for one that was followed.
    given = choice.given(OF_MODELS)
    if given:
        raise BadValue(
            f"{', '.join(given)}: only for models, which can be called; these are predictions, "
            "so leave it out"
        )


def of_models(models: list[Any], dataset: Any, choice: Choice) -> Scores:
    """Scores of a model, or of an ensemble, on a dataset."""
    if dataset is None:
        raise BadValue("a model needs a dataset: evaluate(model, 'digits')")
    if choice.variance is not None:
        raise BadValue("variance is of predictions: evaluate(mean, targets, variance=variance)")
    for one in models:
        if isinstance(one, type):
            raise BadValue(f"{one.__name__} is a class, not a model: make one, {one.__name__}(...)")
    draws = Settings.draws if choice.draws is None else choice.draws
    try:
        draws = operator.index(draws)
    except TypeError as error:
        # Not the value itself: an array takes many lines.
        told = f"draws of a model is their number, not a {type(draws).__name__}"
        raise BadValue(told) from error
    if draws < 1:
        raise BadValue(f"draws of a model is their number, at least 1, not {draws}")

    # Here, because it loads torch, which arrays do without.
    from bench_uq.evaluate.models import evaluate_model

    name = choice.name or getattr(models[0], "__name__", type(models[0]).__name__)
    return evaluate_model(models, dataset, choice, draws, name)
