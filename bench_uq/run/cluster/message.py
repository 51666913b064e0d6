"""What travels between the client and the workers: plain dictionaries, files by their content and its hash."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq._version import __version__
from bench_uq.plan.plugins import PACKAGES
from bench_uq.plan.runs import Run, Shown
from bench_uq.plan.sources import hash_of_trees
from bench_uq.run.job import Job

#: What of a job is the same on every machine.
OPTIONS = ("device", "git", "force", "checkpoint_every")


class Damaged(Exception):
    """What arrived is not what was sent."""


@functools.cache
def source() -> dict[str, str]:
    """Return the version of bench-uq and a hash of all of its files, methods and datasets among them."""
    import importlib

    files = set[Path]()
    for package in ("bench_uq", *PACKAGES.values()):
        folder = Path(next(iter(importlib.import_module(package).__path__)))
        files.update(path.resolve() for path in folder.rglob("*.py"))
    return {
        "version": __version__,
        "source": hash_of_trees(sorted(files, key=lambda path: (path.name, str(path)))),
    }


def packed_file(path: Path) -> dict[str, Any]:
    """Return a file by its name, content and hash."""
    content = path.read_bytes()
    return {"name": path.name, "content": content, "sha256": hashlib.sha256(content).hexdigest()}


def unpacked_file(packed: Mapping[str, Any], folder: Path) -> Path:
    """Write a file that was sent into a folder named by its hash, and return its path."""
    name, content = str(packed["name"]), packed["content"]
    if Path(name).name != name or name in ("", ".", ".."):
        raise Damaged(f"{name!r} is no name of a file")
    digest = hashlib.sha256(content).hexdigest()
    if digest != packed["sha256"]:
        raise Damaged(f"{name} has another hash than when it was sent")
    path = folder / digest / name
    store.write_bytes(path, content)
    return path


def plain_job(job: Job) -> dict[str, Any]:
    """Return a job as a dictionary that JSON can hold."""
    return {
        **{name: getattr(job, name) for name in OPTIONS},
        "run": dataclasses.asdict(job.run),
        "folder": str(job.folder.absolute()),
        "root": str(job.root.absolute()),
        "files": [str(path.absolute()) for path in job.files],
    }


def job_of(plain: Mapping[str, Any]) -> Job:
    """Return the job that a dictionary describes."""
    return Job(
        run=run_of(plain["run"]),
        folder=Path(plain["folder"]),
        root=Path(plain["root"]),
        files=tuple(map(Path, plain["files"])),
        **{name: plain[name] for name in OPTIONS},
    )


def run_of(plain: Mapping[str, Any]) -> Run:
    """Return the run that a dictionary describes, with those whose networks it attacks."""
    shown = (
        Shown(**{**one, "surrogate": one["surrogate"] and run_of(one["surrogate"])})
        for one in plain["shown"]
    )
    return Run(**{**plain, "shown": tuple(shown)})


def packed_job(job: Job) -> dict[str, Any]:
    """Return a job as a dictionary to be sent: plugins and a network of the user as files."""
    network = job.run.network
    return {
        **plain_job(job),
        "files": [packed_file(path) for path in job.files],
        "network": packed_file(Path(network)) if network.endswith(".py") else None,
    }


def unpacked_job(packed: Mapping[str, Any], folder: Path, root: Path, files: Path) -> Job:
    """Return a job that was sent, with the results and data of this machine; writes its own files below ``files``."""
    plain = {name: value for name, value in packed.items() if name != "network"}
    if packed["network"]:
        network = str(unpacked_file(packed["network"], files))
        plain["run"] = with_network(packed["run"], network)
    plain["files"] = [str(unpacked_file(one, files)) for one in packed["files"]]
    return job_of({**plain, "folder": str(folder), "root": str(root)})


def with_network(run: Mapping[str, Any], network: str) -> dict[str, Any]:
    """Return a run as a dictionary with another file for its network, and so those that it attacks."""
    shown = [
        {**one, "surrogate": one["surrogate"] and with_network(one["surrogate"], network)}
        for one in run["shown"]
    ]
    return {**run, "network": network, "shown": shown}


def packed_folder(folder: store.RunFolder) -> dict[str, Any]:
    """Return a run's record and the files that it names, those that are there as they were stored."""
    record = folder.record()
    names = [name for name in record.get("files", {}) if folder.holds(name)]
    return {"record": record, "files": {name: (folder.path / name).read_bytes() for name in names}}


def unpacked_folder(packed: Mapping[str, Any], folder: store.RunFolder) -> dict[str, Any]:
    """Store what another machine has of a run, under the run's lock, and return its record; raise Damaged.

    Files come before the record that names them, so that none is named that is not there.
    """
    record, files = packed["record"], packed["files"]
    for name, content in files.items():
        entry = record["files"].get(name, {})
        plain = Path(name).name == name and not name.startswith(".")
        if not plain or hashlib.sha256(content).hexdigest() != entry.get("sha256"):
            raise Damaged(f"{folder.path.name}: {name!r} has another hash than when it was sent")
    with_files = {**record, "files": {name: record["files"][name] for name in files}}
    for name, content in files.items():
        if not folder.holds(name) or folder.record()["files"][name] != record["files"][name]:
            store.write_bytes(folder.path / name, content)
    return folder.update(**with_files)
