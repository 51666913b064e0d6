"""Test examples from names, torch datasets, loaders, rows with columns, and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from bench_uq.api.errors import BadValue, BenchUQError, one_line, unknown
from bench_uq.api.likelihoods import Categorical
from bench_uq.api.task import Examples
from bench_uq.evaluate.inputs import array_of, labels_of
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins

#: Columns that hold the inputs and the labels of rows with names.
INPUTS = ("image", "img", "images", "pixel_values", "inputs", "input", "x")
LABELS = ("label", "labels", "target", "targets", "fine_label", "y")


@dataclass(frozen=True)
class Data:
    """Test examples, and the name of the dataset if bench-uq knows it."""

    examples: Examples
    name: str = ""
    full: str = ""


def examples_of(dataset: Any, root: Path, plugins: Plugins, *, labelled: bool = True) -> Data:
    """Test examples of a dataset in any form; without ``labelled`` labels may be left out."""
    if isinstance(dataset, str):
        spec = plugins.spec("dataset", dataset)
        if labelled and not isinstance(spec.value.task(root).likelihood, Categorical):
            raise BadValue(
                f"{dataset} has real targets: give what the model predicts, "
                "evaluate(mean, targets, variance=variance)"
            )
        return Data(load(spec.value, "test", root, 0), spec.name, spec.full)

    inputs, labels = columns(dataset, labelled=labelled)
    # Bytes stay bytes, which the engine scales to [0, 1] on the device.
    if inputs.dtype != np.uint8:
        if inputs.dtype.kind not in "iuf":
            raise BadValue(f"inputs must be numbers, not {inputs.dtype}")
        inputs = inputs.astype(np.float32)
    if not np.isfinite(inputs).all():
        row = int(np.argwhere(~np.isfinite(inputs))[0][0])
        raise BadValue(f"inputs: row {row} holds a number that is not finite")
    if len(inputs) == 0:
        raise BadValue("the dataset holds no examples")

    # Unseen data have labels of no class of the model. Copies of arrays that pandas has made
    # read-only, of which torch would warn.
    targets = np.zeros(len(inputs), np.int64) if labels is None else np.require(labels, None, "W")
    inputs = np.require(inputs, None, "W")
    if targets.ndim != 1:
        raise BadValue(
            f"labels have the shape {targets.shape}, not (N,): of one-hot rows give argmax(axis=1)"
        )
    if len(targets) != len(inputs):
        raise BadValue(f"{len(inputs)} inputs and {len(targets)} labels: every input needs one")
    return Data(Examples(inputs, targets))


def columns(dataset: Any, *, labelled: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Inputs (N, ...) and labels (N,), or None."""
    if isinstance(dataset, Mapping):
        known = ", ".join(map(repr, dataset)) or "nothing"
        raise BadValue(
            f"a {type(dataset).__name__} of {known} is no dataset: give one of its splits, such as "
            "dataset['test'], or (inputs, labels)"
        )

    try:
        return read(dataset, labelled=labelled)
    except BenchUQError:
        raise
    except Exception as error:
        # A dataset of others may raise anything, as where a file is missing.
        hint = ""
        if "default_collate" in str(error):
            hint = " (give the Dataset itself, whose pictures are read, in place of its DataLoader)"
        raise BadValue(f"the dataset fails: {one_line(error)}{hint}") from error


def read(dataset: Any, *, labelled: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Read all examples of a dataset."""
    if isinstance(dataset, DataLoader):
        parts = [pair(batch, labelled) for batch in dataset]
        inputs = [array_of(part[0], "inputs") for part in parts]
        labels = [labels_of(part[1]) for part in parts if part[1] is not None]
        # A loader gives batches, a dataset single examples.
        return joined(inputs, np.concatenate), np.concatenate(labels) if labels else None

    rows = isinstance(dataset, Dataset) or hasattr(dataset, "column_names")
    if rows:
        items = [pair(item, labelled) for item in each(dataset)]
        inputs = [one_input(item[0]) for item in items]
        found = [item[1] for item in items if item[1] is not None]
        return joined(inputs, np.stack), labels_of(np.asarray(found)) if found else None

    if isinstance(dataset, tuple | list) and len(dataset) == 2:
        return array_of(dataset[0], "inputs"), labels_of(dataset[1], dataset[0], "inputs")
    if labelled:
        raise BadValue(
            f"a {type(dataset).__name__} is no dataset: give (inputs, labels), a torch Dataset or "
            "DataLoader, or the name of a dataset of bench-uq"
        )
    return array_of(dataset, "inputs"), None


def joined(parts: list[np.ndarray], join: Any) -> np.ndarray:
    """Inputs of all items or batches as one array."""
    if not parts:
        raise BadValue("the dataset holds no examples")
    try:
        return np.asarray(join(parts))
    except ValueError as error:
        raise BadValue(f"inputs differ in shape: resize them ({error})") from error


def each(dataset: Any) -> Iterator[Any]:
    """Items of a dataset by their number, or as they come if it has no length."""
    if hasattr(dataset, "__len__"):
        for index in range(len(dataset)):
            yield dataset[index]
    else:
        yield from dataset


def pair(item: Any, labelled: bool) -> tuple[Any, Any]:
    """Input and label of an item or batch; the label is None if there is none."""
    if isinstance(item, Mapping):
        inputs = next((name for name in INPUTS if name in item), None)
        if inputs is None:
            raise unknown("columns", ", ".join(item), INPUTS)
        labels = next((name for name in LABELS if name in item), None)
        if labels is None and labelled:
            raise unknown("columns", ", ".join(item), LABELS)
        return item[inputs], None if labels is None else item[labels]

    if isinstance(item, tuple | list):
        if len(item) >= 2:
            return item[0], item[1]
        item = item[0]
    if labelled:
        raise BadValue("items of the dataset are no pairs (input, label)")
    return item, None


def one_input(value: Any) -> np.ndarray:
    """An input as an array; a picture of Pillow becomes bytes (channels, height, width)."""
    if hasattr(value, "getbands"):
        picture = np.asarray(value if value.mode in ("L", "RGB") else value.convert("RGB"))
        return picture[None] if picture.ndim == 2 else np.moveaxis(picture, -1, 0)
    return array_of(value, "inputs")
