"""Load the examples of a dataset, check them against its task, and fingerprint them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np

from bench_uq.api.dataset import Dataset
from bench_uq.api.errors import MissingData, UsageError
from bench_uq.api.likelihoods import Categorical
from bench_uq.api.task import Examples, Task

#: Correlation from which on a feature counts as the target.
ALIKE = 0.999
#: Different targets whose order no other feature has by chance.
DIFFERENT = 10
#: Share of images of one colour that is worth a remark, and range of pixels that is narrow.
MANY, NARROW = 0.01, 0.5


def load(dataset: Dataset, split: str, root: Path, seed: int) -> Examples:
    """Load a split and check its shapes and types, once for everyone after."""
    name = name_of(dataset)
    if split not in dataset.splits:
        alone = "; it can only be out-of-distribution data" if split == "train" else ""
        raise UsageError(f"{name} has no {split} split (it has {', '.join(dataset.splits)}){alone}")

    # A dataset that forgets to raise MissingData still gives the advice that it carries.
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
            f"{name}: inputs are uint8 or float32 and targets int64 or float32, "
            f"not {inputs.dtype} and {targets.dtype}"
        )
    if inputs.dtype == np.float32 and not np.isfinite(inputs).all():
        raise UsageError(f"{name}: some inputs of the {split} split are not finite")
    # Features of tables may have any size; the network scales them.
    if inputs.ndim > 2 and not within_unit(examples):
        raise UsageError(
            f"{name}: images are uint8, or float32 in [0, 1]; those of the {split} split are not"
        )

    return examples


def name_of(dataset: Dataset) -> str:
    """Plain name of a dataset, which is that of its file."""
    module = type(dataset).__module__.rpartition(".")[2]
    # A file of the user is a module of another name, see api/user_files.py.
    stem = re.sub(r"^bench_uq_plugin_(.+)_[0-9a-f]{8}$", r"\1", module)
    return stem.replace("_", "-")


def within_unit(examples: Examples) -> bool:
    """Whether all inputs lie in [0, 1], where conditions keep them; bytes do."""
    inputs = examples.inputs
    return inputs.dtype == np.uint8 or bool(inputs.min() >= 0 and inputs.max() <= 1)


def limits(examples: Examples) -> list[float]:
    """Smallest and largest input as networks see them; bytes are divided by 255."""
    unit = 255 if examples.inputs.dtype == np.uint8 else 1
    return [float(examples.inputs.min()) / unit, float(examples.inputs.max()) / unit]


def empty(examples: Examples, split: str) -> list[str]:
    """Remarks on inputs that say nothing of their targets: all alike, or of one colour."""
    inputs = examples.inputs
    if len(inputs) > 1 and (inputs == inputs[0]).all():
        return [f"all inputs of the {split} split are equal"]
    if inputs.ndim < 3:
        return []

    pixels = inputs.reshape(*inputs.shape[:2], -1)
    blank = int((pixels.min(2) == pixels.max(2)).all(1).sum())
    if blank < MANY * len(inputs):
        return []
    return [f"{blank} of {len(inputs)} images of the {split} split are of one colour"]


def sparing(examples: Examples, task: Task) -> list[str]:
    """Remarks on what training examples leave out: classes, and most of the range of pixels."""
    found = []
    if isinstance(task.likelihood, Categorical):
        lacking = sorted(set(range(task.likelihood.classes)) - set(examples.targets.tolist()))
        if lacking:
            found.append(f"no training example of class {', '.join(map(str, lacking[:10]))}")

    low, high = limits(examples)
    if len(task.input_shape) > 1 and 0 < high - low < NARROW:
        told = f"its pixels lie in {low:.3g} to {high:.3g} of [0, 1]"
        found.append(f"{told}: epsilon and other levels are in units of [0, 1], not of this range")
    return found


def leaking(examples: Examples) -> list[str]:
    """Remarks on features that nearly are the target, or that tell how the examples are sorted."""
    inputs, targets = examples.inputs, examples.targets.astype(np.float64)
    if inputs.ndim != 2:
        return []

    found = list[str]()
    # Features often have the order of a few different values.
    many = len(np.unique(targets)) >= DIFFERENT
    for number, feature in enumerate(inputs.T.astype(np.float64)):
        if counts(feature):
            found.append(f"feature {number} counts the examples")

        alike = correlation(feature, targets)
        by_rank = correlation(ranks(feature), ranks(targets))
        if abs(alike) > ALIKE:
            found.append(f"feature {number} is nearly the target, correlation {alike:.4f}")
        elif many and abs(by_rank) > ALIKE:
            found.append(f"feature {number} has nearly the order of the target, {by_rank:.4f}")
    return found


def counts(feature: np.ndarray) -> bool:
    """Whether a feature rises or falls by equal steps from example to example."""
    steps = np.diff(feature)
    # Features are float32: steps of a tenth differ in their last digits.
    return len(steps) > 1 and steps[0] != 0 and np.allclose(steps, steps[0], 1e-3, atol=0)


def ranks(values: np.ndarray) -> np.ndarray:
    """Places in rising order; equal values share one."""
    return np.unique(values, return_inverse=True)[1].astype(np.float64)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation; 0 with a column that never varies."""
    scale = one.std() * other.std()
    together = np.mean((one - one.mean()) * (other - other.mean()))
    return float(together / scale) if scale > 0 else 0.0


def check_task(dataset: Dataset, task: Task, examples: Examples) -> None:
    """Refuse examples of another shape or likelihood than their task has."""
    name, shape = name_of(dataset), examples.inputs.shape[1:]
    if shape != task.input_shape:
        raise UsageError(f"{name}: inputs are {shape}, its task says {task.input_shape}")

    try:
        task.likelihood.check(examples.targets)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


def content_hash(examples: Examples) -> str:
    """Hash of the arrays of a split with their types and shapes."""
    digest = hashlib.sha256()
    for array in (examples.inputs, examples.targets):
        # Without them the same bytes in another shape would have the same hash.
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
