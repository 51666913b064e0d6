"""What is there of datasets and of their downloads, where it lies or belongs, and how to get the rest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from bench_uq.api.dataset import Dataset, Download
from bench_uq.api.errors import MissingData, UsageError
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.prepare.archive import unpacked
from bench_uq.plan.prepare.download import right, size

SHOWN = 3  # of the files of a dataset that a line names


@dataclass(frozen=True)
class State:
    """What is there of a dataset, and what is to be done where that is not all of it."""

    name: str
    state: Literal["ready", "begun", "missing", "unclear", "broken"]
    remark: str


def states(plugins: Plugins, root: Path) -> list[State]:
    """Return the state of every dataset with its default options; no plugin that fails hides the others."""
    found = []
    for name in plugins.names("dataset"):
        try:
            dataset = plugins.spec("dataset", name).value
        except Exception as error:
            found.append(State(name, "broken", reason(error, name)))
            continue
        try:
            found.append(state(name, dataset, root))
        except Exception as error:
            found.append(State(name, "unclear", reason(error, name)))
    return found


def state(name: str, dataset: Dataset, root: Path) -> State:
    """Return the state of a dataset, from its list of files where it has one, else by loading it."""
    files, lacking, told = dataset.files(root), [], ""
    if files is None:
        try:
            for split in dataset.splits:
                dataset.load(split, root)
        except MissingData as error:
            told = reason(error, name)
    else:
        lacking = [path for path in files if not path.is_file()]
    if not lacking and not told:
        return State(name, "ready", where(dataset, root))
    downloads = dataset.downloads()
    if downloads:
        if all(
            any(path.is_file() for path in readings(one, root)) and not one.unpack
            for one in downloads
        ):
            return State(name, "ready", f"in {common(target(one, root) for one in downloads)}")
        begun = any(size(partial(target(one, root))) for one in downloads)
        goal = common(target(one, root) for one in downloads)
        return State(
            name, "begun" if begun else "missing", f"bench-uq prepare {name} fetches it into {goal}"
        )
    return State(
        name, "missing", f"put {enumerated(lacking)} into {common(lacking)}" if lacking else told
    )


def held(download: Download, root: Path) -> bool:
    """Return whether a download is there, right, and unpacked where it is an archive."""
    there = [path for path in readings(download, root) if path.is_file()]
    if not there or not all(right_as(path, download) for path in there):
        return False
    return not download.unpack or unpacked(target(download, root))


def readings(download: Download, root: Path) -> list[Path]:
    """Return where datasets look for a download: its file and, for a .gz, what it holds as a file beside it."""
    path = target(download, root)
    return [path, path.with_suffix("")] if path.suffix == ".gz" and not download.unpack else [path]


def right_as(path: Path, download: Download) -> bool:
    """Return whether a file is right, one that was decompressed by its content alone."""
    if path.name == PurePosixPath(download.path).name:
        return right(path, download)
    return right(path, Download(path.name, (), sha256=download.sha256))


def target(download: Download, root: Path) -> Path:
    """Return where a download belongs, refusing what lies outside the root of the data."""
    path = PurePosixPath(download.path)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in download.path:
        raise UsageError(
            f"a download must lie below the root of the data, {download.path!r} does not"
        )
    return root / path


def partial(path: Path) -> Path:
    """Return where a file lies while it is fetched."""
    return path.with_name(f"{path.name}.part")


def where(dataset: Dataset, root: Path) -> str:
    """Return where the examples of a dataset lie."""
    files = dataset.files(root)
    return (
        "from installed packages"
        if files is not None and not files
        else f"in {common(files or [root / 'any'])}"
    )


def common(paths: Iterable[Path]) -> Path:
    """Return the folder that holds all of these files."""
    return Path(os.path.commonpath([path.parent for path in paths]))


def enumerated(paths: Sequence[Path]) -> str:
    """Name a few files, and how many more there are."""
    names = [path.name for path in paths]
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def reason(error: Exception, name: str) -> str:
    """Return what an error says in one line, without the name that the line begins with already."""
    return " ".join(str(error).split()).removeprefix(f"{name}: ") or type(error).__name__
