"""Examples on the device: resident in memory, held out by seed, and told apart by content."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench_uq.config import Settings
from bench_uq.contracts import Batches, Dataset, Examples, Task
from bench_uq.errors import MissingData, UsageError
from bench_uq.seeds import seed_of


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


def load(dataset: Dataset, split: str, root: Path, seed: int) -> Examples:
    """Return a split, its shapes and types checked once for everyone after."""
    name = name_of(dataset)
    if split not in dataset.splits:
        alone = "; it can only be unseen data" if split == "train" else ""
        raise UsageError(f"{name} has no {split} split (it has {', '.join(dataset.splits)}){alone}")
    try:
        examples = dataset.load(split, root, fold=seed)
    except FileNotFoundError as error:
        raise MissingData(name, [Path(error.filename or root)]) from error
    inputs, targets = examples.inputs, examples.targets
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise UsageError(
            f"{name}: {len(inputs)} inputs and {len(targets)} targets in the {split} split"
        )
    if inputs.dtype not in (np.uint8, np.float32) or targets.dtype not in (np.int64, np.float32):
        raise UsageError(
            f"{name}: inputs are uint8 or float32 and targets int64 or float32, not {inputs.dtype} and {targets.dtype}"
        )
    if inputs.dtype == np.float32 and not np.isfinite(inputs).all():
        raise UsageError(f"{name}: some inputs of the {split} split are not finite")
    if inputs.ndim > 2 and not within_unit(examples):
        raise UsageError(
            f"{name}: images are uint8, or float32 in [0, 1]; those of the {split} split are not"
        )
    return examples


def name_of(dataset: Dataset) -> str:
    """Return the plain name of a dataset: that of its file."""
    module = type(dataset).__module__.rpartition(".")[2]
    return re.sub(r"^bench_uq_plugin_(.+)_[0-9a-f]{8}$", r"\1", module).replace("_", "-")


def within_unit(examples: Examples) -> bool:
    """Return whether all inputs lie in [0, 1], where conditions keep them; bytes do."""
    inputs = examples.inputs
    return inputs.dtype == np.uint8 or bool(inputs.min() >= 0 and inputs.max() <= 1)


def check_task(dataset: Dataset, task: Task, examples: Examples) -> None:
    """Refuse examples that are not of the shape and likelihood that their task names."""
    name = name_of(dataset)
    if examples.inputs.shape[1:] != task.input_shape:
        raise UsageError(
            f"{name}: inputs are {examples.inputs.shape[1:]}, its task says {task.input_shape}"
        )
    try:
        task.likelihood.check(examples.targets)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


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


def content_hash(examples: Examples) -> str:
    """Hash the arrays of a split with their types and shapes."""
    digest = hashlib.sha256()
    for array in (examples.inputs, examples.targets):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
