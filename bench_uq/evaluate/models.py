"""Evaluate a trained model on a dataset: clean, attacked, shifted and unseen data.

The code that predicts is that of the methods of a suite (predict/predict.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench_uq.api.arguments import DEVICES
from bench_uq.api.errors import BadValue, one_line, unknown
from bench_uq.api.likelihoods import Categorical
from bench_uq.api.names import plain_name
from bench_uq.api.task import Examples, Task
from bench_uq.evaluate import networks
from bench_uq.evaluate.choice import Choice, Limits
from bench_uq.evaluate.data import Data, examples_of
from bench_uq.evaluate.inputs import tensor_values
from bench_uq.evaluate.scores import Scores
from bench_uq.evaluate.shown import CLEAN, Shown, check_unseen_name, hash_of
from bench_uq.plan.fingerprints import digest
from bench_uq.plan.plugins import Plugins, Spec
from bench_uq.plan.resolve import check_levels
from bench_uq.predict.predict import BadDraws, Change, Trained, predict, predict_changed
from bench_uq.run.suite import choose_device
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK


@dataclass(frozen=True)
class Asked:
    """Conditions to show: attacks and shifts with their levels, and unseen data by name."""

    changes: tuple[tuple[Spec, tuple[float, ...]], ...]
    unseen: tuple[Data, ...]


def evaluate_model(
    models: Sequence[Any], dataset: Any, choice: Choice, draws: int, name: str
) -> Scores:
    """Predict with a model under every condition, and score it."""
    plugins = Plugins(choice.plugins)
    data = examples_of(dataset, choice.data_dir, plugins)
    asked = conditions_of(choice.conditions, choice.unseen, choice.data_dir, plugins)
    scales = scales_of(choice.mean, choice.std, data.examples.inputs.shape)
    for one in (data, *asked.unseen):
        refuse_other_ranges(one, stressed=bool(asked.changes), scaled=scales is not None)

    reading = networks.Reading(choice.outputs, choice.output, choice.binary)
    # An ensemble as torch holds it.
    if len(models) == 1 and isinstance(models[0], nn.ModuleList):
        models = list(models[0])
    nets = networks.networks(models, reading, scales, mc_dropout=choice.mc_dropout)
    place = device_of(choice.device)
    with networks.lent(nets, place, mc_dropout=choice.mc_dropout) as notes:
        task = task_of(nets, data.examples, place)
        trained = Trained(networks.Foreign(), task, nets, choice.seed)
        # Each member of an ensemble gives at least one draw.
        draws = max(draws, len(nets))
        try:
            shown = predicted(trained, place, data, asked, choice.limits, draws)
        except BadDraws as error:
            raise BadValue(f"the model's {error}") from error

    # Shown with the scores, because an attack that fails looks like robustness.
    if asked.changes and any(net.kind == "probs" for net in nets):
        notes.append(
            "The model returns probabilities. Where they round to 0 or 1 they have no gradient, "
            "and attacks look weaker than they are: logits are safer."
        )
    if any(net.squashed for net in nets):
        notes.append(
            "All numbers of the model lie in [0, 1] without a sum of 1, as after a sigmoid; they "
            "were taken for logits. Take the sigmoid out, or divide each row by its sum."
        )
    source = digest([[one.title, hash_of(one.predictions.arrays)] for one in shown])
    return Scores(
        *(name, tuple(shown), tuple(notes), source, data.name, plugins, str(place)),
        resamples=choice.resamples,
        seed=choice.seed,
    )


def task_of(nets: nn.ModuleList, examples: Examples, place: torch.device) -> Task:
    """Task of the models, by their outputs for the first examples."""
    inputs, _ = Resident(examples[: networks.PROBE], place, BLOCK).take(slice(None))
    # The first examples tell the number of classes, which a model does not declare.
    classes = {networks.probe(net, inputs) for net in nets}
    if len(classes) > 1:
        numbers = ", ".join(map(str, sorted(classes)))
        raise BadValue(f"members of the ensemble differ in their number of classes: {numbers}")

    check_labels(examples.targets, *classes)
    return Task(examples.inputs.shape[1:], Categorical(*classes))


def conditions_of(
    conditions: Mapping[str, Any] | Iterable[str],
    unseen: Mapping[str, Any],
    root: Path,
    plugins: Plugins,
) -> Asked:
    """Resolve names of conditions as in a suite, and load unseen data."""
    # A text is a sequence of letters too.
    if isinstance(conditions, str):
        conditions = [conditions]
    if not isinstance(conditions, Mapping):
        conditions = dict.fromkeys(conditions, ())

    changes, data = list[tuple[Spec, tuple[float, ...]]](), list[Data]()
    for text, given in conditions.items():
        if not isinstance(text, str):
            raise BadValue(f"conditions are names with levels, such as 'fgsm', not {text!r}")
        levels = levels_of(text, given)
        if plain_name(text) in plugins.names("condition"):
            changes.append((change(text, levels, plugins), levels))
        elif plain_name(text) in plugins.names("dataset"):
            if levels:
                raise BadValue(
                    f"{text!r} are data, which have no levels: conditions={{{text!r}: []}}"
                )
            known = examples_of(text, root, plugins, labelled=False)
            check_unseen(known.name, data)
            data.append(known)
        elif text != CLEAN:
            names = [*plugins.names("condition"), *plugins.names("dataset")]
            raise unknown("condition", text, names, "; unseen={...} brings data of your own")

    for name, value in unseen.items():
        check_unseen(name, data)
        own = examples_of(value, root, plugins, labelled=False)
        data.append(Data(own.examples, name, name))
    return Asked(tuple(changes), tuple(data))


def levels_of(condition: str, given: Any) -> tuple[float, ...]:
    """One level, several of them in any form, or none."""
    if given is None:
        return ()
    if isinstance(given, np.ndarray):
        given = given.tolist()

    single = isinstance(given, str) or not isinstance(given, Iterable)
    try:
        levels = tuple(map(float, [given] if single else given))
    except (TypeError, ValueError) as error:
        raise BadValue(f"levels of {condition!r} are numbers, not {given!r}") from error

    # As in a suite (plan/suite.py).
    for level in levels:
        if not math.isfinite(level) or level < 0:
            raise BadValue(f"levels of {condition!r} must be finite and at least 0, not {level:g}")
    return tuple(dict.fromkeys(levels))


def check_unseen(name: str, before: Sequence[Data]) -> None:
    """Refuse a name of out-of-distribution data that is none, or that is given twice."""
    check_unseen_name(name)
    if name in [one.name for one in before]:
        raise BadValue(f"unseen data {name!r} are given twice")


def change(text: str, levels: tuple[float, ...], plugins: Plugins) -> Spec:
    """An attack or shift that can be applied to any model."""
    spec = plugins.spec("condition", text)
    if not levels:
        raise BadValue(f"condition {text!r} needs levels: conditions={{{text!r}: [0.1]}}")
    check_levels(spec, levels)

    search = spec.value.search()
    if search is not None and search.norm == "linf" and max(levels) > 1:
        raise BadValue(
            f"levels of {text!r} are distances of pixels in [0, 1], not {max(levels):g}: divide "
            "those of pixels in [0, 255] by 255"
        )

    # There is no other network here that could be attacked.
    if spec.value.surrogate():
        raise BadValue(
            f"condition {text!r} attacks networks of {spec.value.surrogate()!r}, which a suite "
            "trains: save the clean scores into a suite and run it there"
        )
    return spec


def scales_of(mean: Any, std: Any, shape: tuple[int, ...]) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation per channel or feature, shaped for inputs (N, ...)."""
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise BadValue("mean and std belong together: give both")

    parts = []
    for name, value in (("mean", mean), ("std", std)):
        found = np.asarray(tensor_values(value))
        if found.dtype.kind not in "iuf" or not np.isfinite(found).all():
            raise BadValue(f"{name} must be finite numbers, one for each channel")
        numbers = torch.as_tensor(found.astype(np.float32)).reshape(-1)
        if len(numbers) not in (1, shape[1]):
            raise BadValue(
                f"{name} has {len(numbers)} numbers, one for each channel, and the inputs have "
                f"{shape[1]}"
            )
        parts.append(numbers.reshape(-1, *[1] * (len(shape) - 2)))

    if not bool((parts[1] > 0).all()):
        raise BadValue("std holds a number that is not above 0")
    # No pixels in [0, 1] have such a mean.
    if float(parts[0].min()) < 0 or float(parts[0].max()) > 1:
        raise BadValue(
            f"mean is {float(parts[0].max()):g}, but inputs are in [0, 1]: of pixels in [0, 255] "
            "divide mean and std by 255"
        )
    return parts[0], parts[1]


def refuse_other_ranges(data: Data, *, stressed: bool, scaled: bool) -> None:
    """Refuse inputs outside of [0, 1] where an attack, a shift or a normalisation needs pixels."""
    inputs = data.examples.inputs
    if inputs.dtype == np.uint8 or not (stressed or scaled):
        return
    low, high = float(inputs.min()), float(inputs.max())
    if low >= 0 and high <= 1:
        return

    found = f"inputs lie in [{low:.3g}, {high:.3g}], not in [0, 1]"
    if low >= 0 and high <= 255:
        raise BadValue(f"{found}: divide them by 255, or give uint8")
    why = "would be normalised twice"
    if stressed:
        why = "an epsilon would be no distance of pixels"
    raise BadValue(
        f"{found}: {why}. Leave Normalize out of the dataset, and give its mean= and std= here, "
        "so that it becomes the model's first layer"
    )


def check_labels(targets: np.ndarray, classes: int) -> None:
    """Refuse labels that the model has no output for."""
    outside = (targets < 0) | (targets >= classes)
    if targets.dtype.kind not in "iu" or outside.any():
        row = int(outside.argmax())
        raise BadValue(
            f"labels: row {row} has {targets[row]}, the model has the classes 0 to {classes - 1}"
        )


def device_of(device: str) -> torch.device:
    """The device of a name of torch, or of ``auto``; it must be there."""
    try:
        place = torch.device(choose_device(device))
    except TypeError as error:
        raise BadValue(f"device is auto, cpu or cuda, not {device!r}") from error
    except RuntimeError as error:
        raise unknown("device", device, DEVICES) from error
    try:
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError) as error:
        raise BadValue(f"device {device!r} cannot be used: {one_line(error)}") from error
    return place


def predicted(
    trained: Trained, device: torch.device, data: Data, asked: Asked, limits: Limits, draws: int
) -> list[Shown]:
    """Predictions under every condition, clean data first."""
    resident = Resident(data.examples, device, BLOCK)
    count, number = limits.of("test_images", len(resident)), drawn(trained, resident, draws)
    clean = predict(trained, resident, count, draws, labelled=True)
    found = [Shown(CLEAN, "clean", None, clean, number, CLEAN)]

    for spec, levels in asked.changes:
        if not spec.value.suits(trained.task):
            raise BadValue(f"condition {spec.name!r} does not suit inputs {trained.task}")
        # Attacks cost many passes, so they are shown fewer images, as in a suite.
        images = min(count, limits.of(spec.value.size, len(resident)))
        # Named in full: the random stream of the condition depends on every option.
        applied = Change(spec.value, spec.full, levels, trained)
        every = predict_changed(trained, applied, resident, images, draws)
        for level, predictions in zip(levels, every, strict=True):
            found.append(Shown(spec.name, "condition", level, predictions, number, spec.full))

    for other in asked.unseen:
        if other.examples.inputs.shape[1:] != data.examples.inputs.shape[1:]:
            raise BadValue(
                f"unseen {other.name!r} has inputs {other.examples.inputs.shape[1:]}, the test "
                f"data {data.examples.inputs.shape[1:]}: resize them"
            )
        images = limits.of("test_images", len(other.examples))
        part = Resident(other.examples, device, BLOCK)
        predictions = predict(trained, part, images, draws, labelled=False)
        found.append(Shown(other.name, "unseen", None, predictions, number, other.full))
    return found


def drawn(trained: Trained, data: Resident, draws: int) -> int:
    """How many draws a model has when so many are asked for."""
    # Two examples suffice: the number of draws does not depend on them.
    inputs, _ = data.take(slice(0, 2))
    with torch.inference_mode():
        return len(trained.draws(inputs, draws))
