"""Messages between the client and the workers: plain data, files by their content and hash."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq._version import __version__
from bench_uq.api.architecture_names import is_architecture, weights_of, with_weights
from bench_uq.plan.plugins import PACKAGES
from bench_uq.run.job import Job
from bench_uq.store import Damaged, PlannedRun, Record, RunFolder


@functools.cache
def source() -> dict[str, str]:
    """Version of bench-uq, and a hash of all its source and that of its plugins.

    Line ends do not count.
    """
    files = set[Path]()
    for package in ("bench_uq", *PACKAGES.values()):
        folder = Path(next(iter(importlib.import_module(package).__path__)))
        files.update(path.resolve() for path in folder.rglob("*.py"))

    # By name first, because the folders above differ from machine to machine. Unlike a plugin's
    # hash that of the syntax trees would take each worker a second.
    ordered = sorted(files, key=lambda path: (path.name, str(path)))
    digest = hashlib.sha256()
    for path in ordered:
        content = path.read_text(encoding="utf-8")
        digest.update(f"{path.name}\0{content}\0".encode())
    return {"version": __version__, "source": digest.hexdigest()}


def packed_file(path: Path) -> dict[str, Any]:
    """Name, content and hash of a file."""
    content = path.read_bytes()
    return {"name": path.name, "content": content, "sha256": hashlib.sha256(content).hexdigest()}


def unpacked_file(packed: Mapping[str, Any], folder: Path) -> Path:
    """Write a file that was sent into a folder named by its hash; return its path."""
    name, content = str(packed["name"]), packed["content"]
    # The name decides where the file is written, and comes from another machine.
    if Path(name).name != name or name in ("", ".", ".."):
        raise Damaged(f"{name!r} is no name of a file")

    digest = hashlib.sha256(content).hexdigest()
    if digest != packed["sha256"]:
        raise Damaged(f"{name} has another hash than when it was sent")

    # The folder of its hash keeps two plugins of one name apart, and the name in errors.
    path = folder / digest / name
    store.write_bytes(path, content)
    return path


def packed_job(job: Job) -> dict[str, Any]:
    """A job to send: plugins and a user's network as files."""
    network = None
    if job.run.network.endswith(".py"):
        network = packed_file(Path(job.run.network))
    elif weights := weights_of(job.run.network):
        network = packed_file(weights)
    files = [packed_file(path) for path in job.files]
    return {"job": job.to_json(), "files": files, "network": network}


def unpacked_job(packed: Mapping[str, Any], folder: Path, root: Path, files: Path) -> Job:
    """A job that was sent, with the results and data of this machine; its files go to ``files``."""
    job = Job.from_json(packed["job"])
    own = tuple(unpacked_file(one, files) for one in packed["files"])
    run = job.run
    if packed["network"]:
        path = unpacked_file(packed["network"], files)
        named = with_weights(run.network, path) if is_architecture(run.network) else str(path)
        run = with_network(run, named)
    return dataclasses.replace(job, run=run, folder=folder, root=root, files=own)


def with_network(run: PlannedRun, network: str) -> PlannedRun:
    """A run with another file for its network, and for those of the runs that it needs."""
    shown = []
    for evaluation in run.shown:
        if evaluation.surrogate:
            surrogate = with_network(evaluation.surrogate, network)
            evaluation = dataclasses.replace(evaluation, surrogate=surrogate)
        shown.append(evaluation)
    base = with_network(run.base, network) if run.base else None
    return dataclasses.replace(run, network=network, shown=tuple(shown), base=base)


def packed_folder(folder: RunFolder) -> dict[str, Any]:
    """A run's record, and those of its files that are as they were stored."""
    record = folder.record()
    files = {}
    for name in record.files:
        if folder.holds(name):
            files[name] = (folder.path / name).read_bytes()
    return {"record": record.to_json(), "files": files}


def unpacked_folder(packed: Mapping[str, Any], folder: RunFolder) -> Record:
    """Store a run that another machine sent, under the run's lock; raise Damaged.

    Files are written before the record that names them.
    """
    record = Record.from_json(packed["record"], folder.path.name)
    files: Mapping[str, bytes] = packed["files"]

    for name, content in files.items():
        entry = record.files.get(name)
        if entry is None or hashlib.sha256(content).hexdigest() != entry.sha256:
            raise Damaged(f"{folder.path.name}: {name!r} has another hash than when it was sent")

    before = folder.record().files
    for name, content in files.items():
        # A file that is here already is not written again.
        if not folder.holds(name) or before[name] != record.files[name]:
            store.write_bytes(folder.path / name, content)

    changes = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    # Files that were damaged there were not sent, and must not be named here.
    changes["files"] = {name: record.files[name] for name in files}
    return folder.update(**changes)
