"""Examples on the device, and the split into training and held-out examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from bench_uq.api.errors import UsageError
from bench_uq.api.task import Batches, Examples, Task
from bench_uq.train.seeds import seed_of
from bench_uq.train.settings import Settings


class Resident(Batches):
    """Examples on the device in their own type; a batch is turned into floats in [0, 1]."""

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
        """All examples once, in the order of a CPU generator: the same order on every device."""
        # A GPU's generator would give another order.
        order = torch.randperm(len(self), generator=generator).to(self.inputs.device)

        for index in joined_last(order.split(self.batch)):
            yield self.take(index)

    def take(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Inputs (B, *input_shape) in [0, 1] and targets (B,)."""
        return laid_out(as_floats(self.inputs[index])), self.targets[index]


def joined_last(batches: Sequence[Tensor], dim: int = 0) -> list[Tensor]:
    """Batches, with a last one of a single example joined to the one before.

    Batch normalisation has no variance of one example.
    """
    joined = list(batches)
    if len(joined) > 1 and joined[-1].shape[dim] == 1:
        joined[-2:] = [torch.cat(joined[-2:], dim=dim)]
    return joined


def as_floats(inputs: Tensor) -> Tensor:
    """Inputs in [0, 1]: bytes are divided by 255, floats stay as they are."""
    if inputs.dtype == torch.uint8:
        return inputs.float().div_(255)
    return inputs


def laid_out(inputs: Tensor) -> Tensor:
    """Images on the CPU as channels_last, in which convolutions are faster.

    The weights stay as they are, so that a plugin can view them. Unlike ``contiguous``, ``to`` sets
    the strides of images of one channel too. Those could otherwise be in either layout, and take
    either path through a convolution, with other last digits.
    """
    if inputs.dim() == 4 and inputs.device.type == "cpu":
        return inputs.to(memory_format=torch.channels_last)
    return inputs


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


def training_splits(examples: Examples, settings: Settings, seed: int) -> tuple[Examples, Examples]:
    """Split examples into those to train on and a random share, by seed, that is held out."""
    # The split depends on the seed alone, so that all methods of a seed train on the same examples.
    generator = torch.Generator().manual_seed(seed_of(seed, "held-out"))
    order = torch.randperm(len(examples), generator=generator).numpy()
    count = max(1, round(settings.validation * len(examples)))

    kept = order[count:]
    if settings.train_images:
        kept = kept[: settings.train_images]
    if len(kept) == 0:
        raise UsageError(f"validation={settings.validation} leaves nothing to train on")

    return examples[kept], examples[order[:count]]
