"""Which datasets and downloads are there, where they lie, and how to get the rest."""

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

#: Missing files of a dataset that a line names.
SHOWN = 3


@dataclass(frozen=True)
class State:
    """State of a dataset, and where it lies or how to get it."""

    name: str
    state: Literal["ready", "begun", "missing", "unclear", "broken"]
    remark: str


def states(plugins: Plugins, root: Path) -> list[State]:
    """State of every dataset with its default options; a plugin that fails hides no other."""
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
    """State of a dataset, from its list of files if it has one, else by loading it."""
    files, lacking, told = dataset.files(root), [], ""
    # Only loading tells whether the files are there.
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
    if dataset.downloads():
        return state_of_downloads(name, dataset.downloads(), root)
    if lacking:
        return State(name, "missing", f"put {enumerated(lacking)} into {common(lacking)}")
    return State(name, "missing", told)


def state_of_downloads(name: str, downloads: Sequence[Download], root: Path) -> State:
    """State of a dataset that does not load, from its downloads."""
    targets = [target(one, root) for one in downloads]
    folder = common(targets)

    # Files without an archive among them are there for options other than the default ones.
    if all(is_there(one, root) and not one.unpack for one in downloads):
        return State(name, "ready", f"in {folder}")

    remark = f"bench-uq prepare {name} fetches it into {folder}"
    begun = any(size(partial(path)) for path in targets)
    return State(name, "begun" if begun else "missing", remark)


def is_there(download: Download, root: Path) -> bool:
    """Whether any file of a download is there, right or wrong."""
    return any(path.is_file() for path in readings(download, root))


def held(download: Download, root: Path) -> bool:
    """Whether a download is there, right, and unpacked if it is an archive."""
    there = [path for path in readings(download, root) if path.is_file()]
    if not there or not all(right_as(path, download) for path in there):
        return False
    return not download.unpack or unpacked(target(download, root))


def readings(download: Download, root: Path) -> list[Path]:
    """Files in which datasets look for a download: its own, and the unpacked one of a .gz."""
    path = target(download, root)
    if path.suffix == ".gz" and not download.unpack:
        return [path, path.with_suffix("")]
    return [path]


def right_as(path: Path, download: Download) -> bool:
    """Whether a file is right; an unpacked file is judged by its content."""
    # The checksum of a .gz file is that of its content, so it holds for the unpacked file too.
    if path.name == PurePosixPath(download.path).name:
        return right(path, download)
    return right(path, Download(path.name, (), sha256=download.sha256))


def target(download: Download, root: Path) -> Path:
    """Path of a download; refuse one outside the root of the data."""
    path = PurePosixPath(download.path)
    # A plugin names the path, and could otherwise write anywhere.
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in download.path:
        raise UsageError(
            f"a download must lie below the root of the data, {download.path!r} does not"
        )
    return root / path


def partial(path: Path) -> Path:
    """Path of a file while it is fetched."""
    return path.with_name(f"{path.name}.part")


def where(dataset: Dataset, root: Path) -> str:
    """Place of the examples of a dataset."""
    files = dataset.files(root)
    if files is not None and not files:
        return "from installed packages"
    return f"in {common(files or [root / 'any'])}"


def common(paths: Iterable[Path]) -> Path:
    """Folder that holds all of these files."""
    return Path(os.path.commonpath([path.parent for path in paths]))


def enumerated(paths: Sequence[Path]) -> str:
    """Names of a few files, and the number of the others."""
    named = ", ".join(path.name for path in paths[:SHOWN])
    if len(paths) > SHOWN:
        return f"{named} and {len(paths) - SHOWN:,} more"
    return named


def reason(error: Exception, name: str) -> str:
    """Message of an error in one line, without the name at its start."""
    return " ".join(str(error).split()).removeprefix(f"{name}: ") or type(error).__name__
