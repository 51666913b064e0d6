"""Every dataset plugin in the folder keeps the contract; a new file is tested because it is there."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

import bench_uq.datasets
from bench_uq.api import Dataset, Examples, MissingData, UsageError
from bench_uq.testing import Target, checks_in, checks_of, run
from bench_uq.testing.targets import targets

NAMES = [
    found.name
    for found in pkgutil.iter_modules(bench_uq.datasets.__path__)
    if not found.name.startswith("_")
]
Load = Callable[..., Examples]


def plugins(name: str) -> list[type[Dataset]]:
    """Return the dataset classes that a plugin's file defines."""
    module = importlib.import_module(f"bench_uq.datasets.{name}")
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Dataset)
        and value.__module__ == module.__name__
    ]


#: Options of the plugins that read what the user names.
OPTIONS = {
    "folder": {"path": Path("images")},
    "npz": {"path": Path("arrays.npz")},
    "uci": {"name": "boston"},
}
DATASETS = {name: plugins(name)[0](**OPTIONS.get(name, {})) for name in NAMES}
DATASETS["cifar5_hidden[source=jpeg]"] = plugins("cifar5_hidden")[0](source="jpeg")
#: Read from data that are written for the tests, in the format of the originals.
WRITTEN = (
    *("cifar10", "cifar10_c", "cifar100", "cifar5", "cifar5_hidden", "fashion_mnist", "folder"),
    *("kmnist", "mnist_c", "npz", "svhn"),
)
#: Read from real data.
REAL = ("mnist", "notmnist", "cifar5_hidden[source=jpeg]")
each_plugin = pytest.mark.parametrize("name", NAMES)
each_dataset = pytest.mark.parametrize("name", DATASETS)


@pytest.fixture
def root(request: pytest.FixtureRequest) -> Path:
    """Return the folder with the data of the dataset under test."""
    written = request.getfixturevalue("name") in WRITTEN
    return request.getfixturevalue("written" if written else "data_folder")


@pytest.fixture
def target(request: pytest.FixtureRequest, root: Path) -> Target:
    """Return the dataset under test as bench-uq test-plugin finds it."""
    name = request.getfixturevalue("name")
    options = ",".join(f"{key}={value}" for key, value in OPTIONS.get(name, {}).items())
    text = name.replace("_", "-") + (f"[{options}]" if options else "")
    return targets([text], "dataset", (), root)[0]


@pytest.mark.parametrize("check", [check.name for check, _ in checks_in("dataset")])
@each_dataset
def test_checks(name: str, check: str, target: Target, absent: Callable[[str], NoReturn]) -> None:
    """Each dataset keeps each promise of bench-uq test-plugin."""
    verdict = next(
        run(one, subjects, target) for one, subjects in checks_of(target) if one.name == check
    )
    if verdict.status == "skipped":
        absent(verdict.reason)

    assert (verdict.status, verdict.reason) == ("ok", "")


@each_plugin
def test_one_class_a_file(name: str) -> None:
    """A plugin's file holds exactly one dataset, a frozen dataclass."""
    (plugin,) = plugins(name)

    assert dataclasses.is_dataclass(plugin)
    assert plugin() == plugin()
    assert hash(plugin()) == hash(plugin())


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


@each_dataset
def test_missing_data_are_told(name: str, tmp_path: Path) -> None:
    """Without its data a dataset says which files or folders are missing, and where they belong."""
    told = ""
    try:
        examples = DATASETS[name].load("test", tmp_path)
    except MissingData as error:
        told = str(error)

    if told:
        assert str(tmp_path) in told
        assert "\n" not in told
    else:
        # A dataset of a package, or one that is computed, needs no files.
        assert len(examples)
        assert name not in (*WRITTEN, *OPTIONS, *REAL)


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
