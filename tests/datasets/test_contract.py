"""Every dataset plugin in the folder keeps the contract; a new file is tested because it is there."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

import bench_uq.datasets
from bench_uq.api import Categorical, Dataset, Examples, MissingData, Task, UsageError

NAMES = [found.name for found in pkgutil.iter_modules(bench_uq.datasets.__path__) if not found.name.startswith("_")]
Load = Callable[..., Examples]


def plugins(name: str) -> list[type[Dataset]]:
    """Return the dataset classes that a plugin's file defines."""
    module = importlib.import_module(f"bench_uq.datasets.{name}")
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Dataset) and value is not Dataset
    ]


DATASETS = {name: plugins(name)[0]() for name in NAMES}
each_dataset = pytest.mark.parametrize("name", NAMES)
each_split = pytest.mark.parametrize(
    ("name", "split"), [(name, split) for name, dataset in DATASETS.items() for split in dataset.splits]
)


@pytest.fixture
def task(request: pytest.FixtureRequest, data_folder: Path, absent: Callable[[str], NoReturn]) -> Task:
    """Return the task of the dataset under test."""
    try:
        return DATASETS[request.getfixturevalue("name")].task(data_folder)
    except MissingData as missing:
        absent(str(missing))


@each_dataset
def test_one_class_a_file(name: str) -> None:
    """A plugin's file holds exactly one dataset, a frozen dataclass."""
    (plugin,) = plugins(name)

    assert dataclasses.is_dataclass(plugin)
    assert plugin() == plugin()
    assert hash(plugin()) == hash(plugin())


@each_dataset
def test_source_is_named(name: str) -> None:
    """A dataset says where it comes from, with a link."""
    assert "https://" in DATASETS[name].reference


@each_dataset
def test_splits_are_known(name: str) -> None:
    """A dataset has a test split, at most a training split beside it, and refuses any other."""
    dataset = DATASETS[name]

    assert dataset.splits in (("train", "test"), ("test",))
    for split in {"train", "validation"} - set(dataset.splits):
        with pytest.raises((KeyError, ValueError, UsageError)):
            dataset.load(split, Path())


@each_dataset
def test_importing_is_cheap(name: str) -> None:
    """Importing a plugin and naming its class loads none of the heavy libraries."""
    heavy = {"torch", "sklearn", "scipy", "matplotlib", "PIL", "pandas"}
    code = f"import sys, bench_uq.datasets.{name}; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"


@each_dataset
def test_task_is_complete(name: str, task: Task) -> None:
    """A task names a network and has one finite mean and one positive std for each channel or feature."""
    assert task.network
    assert len(task.mean) == len(task.std) == task.input_shape[0]
    assert np.isfinite(task.mean).all()
    assert np.isfinite(task.std).all()
    assert min(task.std) > 0


@each_split
def test_inputs_fit_the_task(name: str, split: str, load: Load, task: Task) -> None:
    """Inputs have the task's shape, are bytes or single floats in [0, 1], and suit torch.from_numpy as they are."""
    inputs = load(DATASETS[name], split).inputs

    assert inputs.shape[1:] == task.input_shape
    assert inputs.flags.writeable
    assert inputs.flags.c_contiguous
    assert inputs.dtype in (np.uint8, np.float32)
    if inputs.dtype == np.float32:
        assert inputs.min() >= 0
        assert inputs.max() <= 1


@each_split
def test_targets_fit_the_likelihood(name: str, split: str, load: Load, task: Task) -> None:
    """There is one target an input: the label of one of the classes, or a finite single float."""
    examples = load(DATASETS[name], split)

    assert examples.targets.shape == (len(examples.inputs),)
    if isinstance(task.likelihood, Categorical):
        assert examples.targets.dtype == np.int64
        assert set(np.unique(examples.targets)) <= set(range(task.likelihood.classes))
    else:
        assert examples.targets.dtype == np.float32
        assert np.isfinite(examples.targets).all()


@each_split
def test_loading_twice_gives_the_same(name: str, split: str, load: Load) -> None:
    """Loading is deterministic, whatever fold is asked for, and a change to what was loaded stays with its owner."""
    for fold in (0, 1):
        first = load(DATASETS[name], split, fold)
        inputs, targets = first.inputs.copy(), first.targets.copy()
        first.inputs[:], first.targets[:] = 0, 0
        again = load(DATASETS[name], split, fold)

        assert np.array_equal(inputs, again.inputs)
        assert np.array_equal(targets, again.targets)


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if "train" in dataset.splits])
def test_splits_are_disjoint(name: str, load: Load, task: Task) -> None:
    """No image of the training split is in the test split; rows of a table may well be equal."""
    if len(task.input_shape) == 3:
        seen, unseen = ({row.tobytes() for row in load(DATASETS[name], split).inputs} for split in ("train", "test"))

        assert not seen & unseen
