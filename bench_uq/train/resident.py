"""Examples on the device: resident in memory, held out by seed, and told apart by content."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bench_uq.api.errors import UsageError
from bench_uq.api.task import Batches, Examples, Task
from bench_uq.train.seeds import seed_of
from bench_uq.train.settings import Settings


class Resident(Batches):
    """Examples held on the device in their own type, turned into floats in [0, 1] a batch at a time."""

    def __init__(self, examples: Examples, device: torch.device, batch: int) -> None:
        self.inputs = torch.from_numpy(np.ascontiguousarray(examples.inputs)).to(device)
        self.targets = torch.from_numpy(np.ascontiguousarray(examples.targets)).to(device)
        self.batch = batch

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self), self.batch):
            yield self.take(slice(start, start + self.batch))

    def shuffled(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all examples once in an order of the (CPU) generator, so that every device sees the same order."""
        batches = (
            torch.randperm(len(self), generator=generator).to(self.inputs.device).split(self.batch)
        )
        if (
            len(batches) > 1 and len(batches[-1]) == 1
        ):  # batch normalisation has no variance of one example
            batches = (*batches[:-2], torch.cat(batches[-2:]))
        for index in batches:
            yield self.take(index)

    def take(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return inputs (B, *input_shape) in [0, 1] and targets (B,)."""
        inputs = self.inputs[index]
        inputs = inputs.float().div_(255) if inputs.dtype == torch.uint8 else inputs
        return laid_out(inputs), self.targets[index]


def laid_out(inputs: Tensor) -> Tensor:
    """Return images on the CPU as channels_last: convolutions are faster on it.

    The weights stay as they are, so that a plugin can view them. Unlike ``contiguous``, ``to`` sets the strides of
    images of one channel too, which else could be either layout and take either path, with other last digits.
    """
    if inputs.dim() == 4 and inputs.device.type == "cpu":
        return inputs.to(memory_format=torch.channels_last)
    return inputs


def fitted(task: Task, examples: Examples) -> Task:
    """Return a task with what it leaves to the training examples filled in: scales of inputs and targets."""
    try:
        likelihood = task.likelihood.fitted(examples.targets)
    except ValueError as error:
        raise UsageError(f"the training examples: {error}") from error
    if task.mean:
        return dataclasses.replace(task, likelihood=likelihood)
    axes: tuple[int, ...] = (0, *range(2, examples.inputs.ndim))
    unit = 255 if examples.inputs.dtype == np.uint8 else 1
    mean, std = (
        getattr(examples.inputs, name)(axes, dtype=np.float64) / unit for name in ("mean", "std")
    )
    std[std == 0] = 1  # what never varies is shifted to 0 and left there
    return dataclasses.replace(
        task, likelihood=likelihood, mean=tuple(mean.tolist()), std=tuple(std.tolist())
    )


def training_splits(examples: Examples, settings: Settings, seed: int) -> tuple[Examples, Examples]:
    """Return the examples to train on and those held out, a random share by seed."""
    order = torch.randperm(
        len(examples), generator=torch.Generator().manual_seed(seed_of(seed, "held-out"))
    ).numpy()
    count = max(1, round(settings.validation * len(examples)))
    kept = order[count:]
    if settings.train_images:
        kept = kept[: settings.train_images]
    if len(kept) == 0:
        raise UsageError(f"validation={settings.validation} leaves nothing to train on")
    return examples[kept], examples[order[:count]]
