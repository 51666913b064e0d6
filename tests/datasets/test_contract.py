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


#: Options of the plugins that read what the user names.
OPTIONS = {"folder": {"path": Path("images")}, "npz": {"path": Path("arrays.npz")}, "uci": {"name": "boston"}}
DATASETS = {name: plugins(name)[0](**OPTIONS.get(name, {})) for name in NAMES}
DATASETS["cifar5_hidden[source=jpeg]"] = plugins("cifar5_hidden")[0](source="jpeg")
#: Read from data that are written for the tests, in the format of the originals.
WRITTEN = ("cifar10", "cifar100", "cifar5", "cifar5_hidden", "fashion_mnist", "folder", "kmnist", "npz", "svhn")
PACKAGED = ("digits", "letters")
each_plugin = pytest.mark.parametrize("name", NAMES)
each_dataset = pytest.mark.parametrize("name", DATASETS)
each_split = pytest.mark.parametrize(
    ("name", "split"), [(name, split) for name, dataset in DATASETS.items() for split in dataset.splits]
)


@pytest.fixture
def root(request: pytest.FixtureRequest) -> Path:
    """Return the folder with the data of the dataset under test."""
    written = request.getfixturevalue("name") in WRITTEN
    return request.getfixturevalue("written" if written else "data_folder")


@pytest.fixture
def task(request: pytest.FixtureRequest, root: Path, absent: Callable[[str], NoReturn]) -> Task:
    """Return the task of the dataset under test."""
    try:
        return DATASETS[request.getfixturevalue("name")].task(root)
    except MissingData as missing:
        absent(str(missing))


@each_plugin
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
def test_files_are_there(name: str, root: Path, load: Load) -> None:
    """Where a dataset can be loaded, all files that it comes from are there."""
    dataset = DATASETS[name]
    load(dataset, "test", root=root)
    files = dataset.files(root)

    assert files is not None
    assert all(path.is_file() for path in files)


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in PACKAGED])
def test_missing_data_are_told(name: str, tmp_path: Path) -> None:
    """Without its data a dataset says which files or folders are missing, and names where they belong."""
    dataset = DATASETS[name]
    with pytest.raises(MissingData) as caught:
        dataset.load("test", tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@each_dataset
def test_downloads_are_checked(name: str) -> None:
    """What can be fetched belongs below the root, has an address and a hash, and is listed once."""
    downloads = DATASETS[name].downloads()

    assert len({one.path for one in downloads}) == len(downloads)
    for one in downloads:
        assert not Path(one.path).is_absolute()
        assert ".." not in Path(one.path).parts
        assert one.urls
        assert all(url.startswith(("https://", "http://")) for url in one.urls)
        assert (len(one.md5), len(one.sha256)) in ((32, 0), (0, 64))


@each_plugin
def test_importing_is_cheap(name: str) -> None:
    """Importing a plugin and naming its class loads none of the heavy libraries."""
    heavy = {"torch", "torchvision", "sklearn", "scipy", "matplotlib", "PIL", "pandas"}
    code = f"import sys, bench_uq.datasets.{name}; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"


@each_dataset
def test_task_is_complete(name: str, task: Task) -> None:
    """A task has one finite mean and one positive std for each channel or feature, or leaves both to the engine."""
    assert len(task.mean) == len(task.std)
    assert len(task.mean) in (0, task.input_shape[0])
    assert np.isfinite(task.mean).all()
    assert np.isfinite(task.std).all()
    assert min(task.std, default=1) > 0


@each_split
def test_inputs_fit_the_task(name: str, split: str, root: Path, load: Load, task: Task) -> None:
    """Inputs have the task's shape, are bytes or finite single floats, those of images in [0, 1], and are writeable."""
    inputs = load(DATASETS[name], split, root=root).inputs

    assert inputs.shape[1:] == task.input_shape
    assert inputs.flags.writeable
    assert inputs.flags.c_contiguous
    assert inputs.dtype in (np.uint8, np.float32)
    assert np.isfinite(inputs).all()
    if inputs.dtype == np.float32 and inputs.ndim > 2:
        assert inputs.min() >= 0
        assert inputs.max() <= 1


@each_split
def test_targets_fit_the_likelihood(name: str, split: str, root: Path, load: Load, task: Task) -> None:
    """There is one target an input: the label of one of the classes, or a finite single float."""
    examples = load(DATASETS[name], split, root=root)

    assert examples.targets.shape == (len(examples.inputs),)
    assert examples.targets.dtype == (np.int64 if isinstance(task.likelihood, Categorical) else np.float32)
    task.likelihood.check(examples.targets)


@each_split
def test_loading_twice_gives_the_same(name: str, split: str, root: Path, load: Load) -> None:
    """Loading is deterministic, whatever fold is asked for, and a change to what was loaded stays with its owner."""
    for fold in (0, 1):
        first = load(DATASETS[name], split, fold, root)
        inputs, targets = first.inputs.copy(), first.targets.copy()
        first.inputs[:], first.targets[:] = 0, 0
        again = load(DATASETS[name], split, fold, root)

        assert np.array_equal(inputs, again.inputs)
        assert np.array_equal(targets, again.targets)


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if "train" in dataset.splits])
def test_splits_are_disjoint(name: str, root: Path, load: Load, task: Task) -> None:
    """No image of the training split is in the test split; rows of a table may well be equal."""
    if len(task.input_shape) == 3:
        seen, unseen = (
            {row.tobytes() for row in load(DATASETS[name], split, root=root).inputs} for split in ("train", "test")
        )

        assert not seen & unseen
