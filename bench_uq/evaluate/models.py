"""Evaluate a trained model on a dataset: clean, attacked, shifted and unseen data.

The code that predicts is that of the methods of a suite (predict/predict.py).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench_uq.api.errors import BadValue, unknown
from bench_uq.api.likelihoods import Categorical
from bench_uq.api.names import plain_name
from bench_uq.api.task import Examples, Predictions, Task
from bench_uq.evaluate import networks
from bench_uq.evaluate.data import TestData, test_data
from bench_uq.evaluate.scores import Scores
from bench_uq.evaluate.shown import CLEAN, Shown
from bench_uq.plan.fingerprints import digest
from bench_uq.plan.plugins import Plugins, Spec
from bench_uq.plan.resolve import check_levels
from bench_uq.predict.predict import BadDraws, Change, Trained, predict, predict_changed
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK, Settings


@dataclass(frozen=True)
class Limits:
    """Draws of a prediction and numbers of test images; 0 images are all (train/settings.py)."""

    draws: int = Settings.draws
    test_images: int = Settings.test_images
    attack_images: int = Settings.attack_images
    shift_images: int = Settings.shift_images

    def of(self, setting: str, examples: int) -> int:
        """Number of images that a condition is shown."""
        return min(examples, getattr(self, setting) or examples)


@dataclass(frozen=True)
class Asked:
    """Conditions to show: attacks and shifts with their levels, and unseen data by name."""

    changes: tuple[tuple[Spec, tuple[float, ...]], ...]
    unseen: tuple[TestData, ...]


def evaluate_model(
    models: Sequence[Any],
    dataset: Any,
    *,
    conditions: Mapping[str, Any] | Iterable[str],
    unseen: Mapping[str, Any],
    limits: Limits,
    reading: networks.Reading,
    mean: Any,
    std: Any,
    mc_dropout: bool,
    device: str,
    data_dir: Path,
    plugins: Plugins,
    name: str,
    resamples: int,
    seed: int,
) -> Scores:
    """Predict with a model under every condition, and score it."""
    data = test_data(dataset, data_dir, plugins)
    asked = conditions_of(conditions, unseen, data_dir, plugins)
    count = limits.of("test_images", len(data.examples))
    scales = scales_of(mean, std, data.examples.inputs.ndim)
    refuse_other_ranges(data.examples, stressed=bool(asked.changes), scaled=scales is not None)

    nets = networks.networks(models, reading, scales, mc_dropout=mc_dropout)
    place = device_of(device)
    with networks.lent(nets, place, mc_dropout=mc_dropout) as notes:
        inputs, _ = Resident(data.examples[: networks.PROBE], place, BLOCK).take(slice(None))
        classes = {networks.probe(net, inputs) for net in nets}
        if len(classes) > 1:
            numbers = ", ".join(map(str, sorted(classes)))
            raise BadValue(f"members of the ensemble differ in their number of classes: {numbers}")
        task = Task(data.examples.inputs.shape[1:], Categorical(*classes))
        check_labels(data.examples.targets, *classes)

        # Each member of an ensemble gives at least one draw.
        limits = dataclasses.replace(limits, draws=max(limits.draws, len(nets)))
        trained = Trained(networks.Foreign(), task, nets, seed)
        try:
            shown = predicted(trained, data, asked, limits, count, place)
        except BadDraws as error:
            raise BadValue(f"the model's {error}") from error

    if asked.changes and any(net.kind == "probs" for net in nets):
        notes.append(
            "The model returns probabilities. Where they round to 0 or 1 they have no gradient, "
            "and attacks look weaker than they are: logits are safer."
        )
    source = digest([[one.title, hash_of(one.predictions)] for one in shown])
    return Scores(
        name, tuple(shown), resamples, seed, tuple(notes), source, data.name, plugins=plugins
    )


def conditions_of(
    conditions: Mapping[str, Any] | Iterable[str],
    unseen: Mapping[str, Any],
    root: Path,
    plugins: Plugins,
) -> Asked:
    """Resolve names of conditions as in a suite, and load unseen data."""
    if isinstance(conditions, str):
        conditions = [conditions]
    if not isinstance(conditions, Mapping):
        conditions = dict.fromkeys(conditions, ())

    changes, data = [], []
    for text, given in conditions.items():
        levels = (given,) if isinstance(given, int | float) else tuple(map(float, given or ()))
        if plain_name(text) in plugins.names("condition"):
            changes.append((change(text, levels, plugins), levels))
        elif plain_name(text) in plugins.names("dataset"):
            data.append(test_data(text, root, plugins, labelled=False))
        elif text != CLEAN:
            known = [*plugins.names("condition"), *plugins.names("dataset")]
            raise unknown("condition", text, known, "; unseen={...} brings data of your own")

    for name, value in unseen.items():
        own = test_data(value, root, plugins, labelled=False)
        data.append(TestData(own.examples, name, name))
    return Asked(tuple(changes), tuple(data))


def change(text: str, levels: tuple[float, ...], plugins: Plugins) -> Spec:
    """An attack or shift that can be applied to any model."""
    spec = plugins.spec("condition", text)
    if not levels:
        raise BadValue(f"condition {text!r} needs levels: conditions={{{text!r}: [0.1]}}")
    check_levels(spec, levels)
    if spec.value.surrogate():
        raise BadValue(
            f"condition {text!r} attacks networks of {spec.value.surrogate()!r}, which a suite "
            "trains: save the clean scores into a suite and run it there"
        )
    return spec


def scales_of(mean: Any, std: Any, axes: int) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation per channel or feature, shaped for inputs of so many axes."""
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise BadValue("mean and std belong together: give both")
    parts = []
    for value in (mean, std):
        numbers = torch.as_tensor(np.asarray(value, np.float32)).reshape(-1)
        parts.append(numbers.reshape(-1, *[1] * (axes - 2)))
    if not bool((parts[1] > 0).all()):
        raise BadValue("std holds a number that is not above 0")
    return parts[0], parts[1]


def refuse_other_ranges(examples: Examples, *, stressed: bool, scaled: bool) -> None:
    """Refuse inputs outside of [0, 1] where an attack, a shift or a normalisation needs pixels."""
    inputs = examples.inputs
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
    """The device of a name; ``auto`` is a GPU if there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise unknown("device", device, ["auto", "cpu", "cuda"]) from error


def predicted(
    trained: Trained,
    data: TestData,
    asked: Asked,
    limits: Limits,
    count: int,
    device: torch.device,
) -> list[Shown]:
    """Predictions under every condition, clean data first."""
    resident = Resident(Examples(data.examples.inputs, data.examples.targets), device, BLOCK)
    number = drawn(trained, resident, limits.draws)
    clean = predict(trained, resident, count, limits.draws, labelled=True)
    found = [Shown(CLEAN, "clean", None, clean, number, CLEAN)]

    for spec, levels in asked.changes:
        if not spec.value.suits(trained.task):
            raise BadValue(f"condition {spec.name!r} does not suit inputs {trained.task}")
        images = min(count, limits.of(spec.value.size, len(resident)))
        # Named in full: the random stream of the condition depends on every option.
        applied = Change(spec.value, spec.full, levels, trained)
        every = predict_changed(trained, applied, resident, images, limits.draws)
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
        predictions = predict(trained, part, images, limits.draws, labelled=False)
        found.append(Shown(other.name, "unseen", None, predictions, number, other.full))
    return found


def drawn(trained: Trained, data: Resident, draws: int) -> int:
    """How many draws a model has when so many are asked for."""
    inputs, _ = data.take(slice(0, 2))
    with torch.inference_mode():
        return len(trained.draws(inputs, draws))


def hash_of(predictions: Predictions) -> str:
    """Hash of everything that was predicted."""
    found = hashlib.sha256()
    for name in sorted(predictions.arrays):
        array = np.ascontiguousarray(predictions[name])
        found.update(f"{name}{array.dtype}{array.shape}".encode())
        found.update(array.data)
    return found.hexdigest()
