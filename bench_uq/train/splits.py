"""The split into training and held-out examples, and the scales that the former fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from bench_uq.api.errors import UsageError
from bench_uq.api.task import Examples, Task
from bench_uq.train.seeds import seed_of
from bench_uq.train.settings import Settings


def fitted(task: Task, examples: Examples) -> Task:
    """Fill in the scales that a task leaves to the training examples: of inputs and of targets."""
    try:
        likelihood = task.likelihood.fitted(examples.targets)
    except ValueError as error:
        raise UsageError(f"the training examples: {error}") from error
    if task.mean:
        return dataclasses.replace(task, likelihood=likelihood)

    inputs = examples.inputs
    axes: tuple[int, ...] = (0, *range(2, inputs.ndim))
    unit = 255 if inputs.dtype == np.uint8 else 1
    mean = inputs.mean(axes, dtype=np.float64) / unit
    std = inputs.std(axes, dtype=np.float64) / unit
    # A feature that never varies is shifted to 0 and left there.
    std[std == 0] = 1

    return dataclasses.replace(
        task, likelihood=likelihood, mean=tuple(mean.tolist()), std=tuple(std.tolist())
    )


def sizes(examples: int, settings: Settings) -> tuple[int, int]:
    """How many examples of a split are trained on, and how many are held out."""
    held_out = max(1, round(settings.validation * examples))
    kept = max(0, examples - held_out)
    return min(kept, settings.train_images or kept), held_out


def halves(held_out: Examples) -> tuple[Examples, Examples]:
    """Held-out examples that a method may fit something to, and those that calibrate its scores."""
    # They are in random order, so every second one is a random half.
    return held_out[::2], held_out[1::2]


def training_splits(examples: Examples, settings: Settings, seed: int) -> tuple[Examples, Examples]:
    """Split examples into those to train on and a random share, by seed, that is held out."""
    # The split depends on the seed alone, so that all methods of a seed train on the same examples.
    generator = torch.Generator().manual_seed(seed_of(seed, "held-out"))
    order = torch.randperm(len(examples), generator=generator).numpy()
    size, count = sizes(len(examples), settings)
    if size == 0:
        raise UsageError(f"validation={settings.validation} leaves nothing to train on")

    return examples[order[count : count + size]], examples[order[:count]]
