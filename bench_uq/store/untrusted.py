"""Results of others, read without trust: plain files only, no link followed, nothing changed."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.api.names import NAME, parse
from bench_uq.store import Plan, PlannedRun, Record, StoredFile
from bench_uq.store.about import About
from bench_uq.store.records import fields_of, read

#: Names of folders of runs, and of stored files.
RUN = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
FILE = re.compile(r"[a-z0-9][a-z0-9._+-]{0,199}\.(csv|npz|safetensors)")

#: Bytes of a record or plan at most; a plan of 100,000 runs has a tenth of it.
LARGEST = 2**30

#: Bytes read at a time.
PART = 2**20


class Refused(Exception):
    """A file is damaged or not a plain file; the message is one line."""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a plain file to read; refuse a link, and do not wait for a pipe."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Refused("a link" if os.path.islink(path) else reason) from error

    with open(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise Refused("no plain file")
        yield file


def read_json(path: Path) -> dict[str, Any]:
    """Object of a JSON file of at most LARGEST bytes, with a right checksum."""
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise Refused("too large")
        try:
            value = store.parsed(file.read())
        except ValueError as error:
            raise Refused("damaged") from error

    if not isinstance(value, dict):
        raise Refused("damaged")
    return value


def chunks(path: Path, entry: StoredFile) -> Iterator[bytes]:
    """Parts of a file; raise Refused at its end if it is not the one that a record names."""
    digest = hashlib.sha256()
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size != entry.bytes:
            raise Refused("damaged")
        while part := file.read(PART):
            digest.update(part)
            yield part

    if digest.hexdigest() != entry.sha256:
        raise Refused("damaged")


def is_folder(path: Path) -> bool:
    """Whether this is a folder and not a link to one."""
    return os.path.isdir(path) and not os.path.islink(path)


def suites(root: Path) -> list[str]:
    """Suites in a root of results; refuse a folder that is not one."""
    if not os.path.isdir(root):
        raise UsageError(f"{root} is no folder of results")
    if os.path.lexists(root / store.PLAN):
        raise UsageError(f"{root} is the folder of one suite: name the one that holds it")

    found = []
    for path in sorted(path for path in root.iterdir() if NAME.fullmatch(path.name)):
        if os.path.islink(path) and is_suite(path.resolve()):
            raise UsageError(
                f"{path} is a link, which is not followed: name the root that it leads to"
            )
        if is_suite(path):
            found.append(path.name)

    if not found:
        raise UsageError(
            f"{root} holds no results: no suite's folder with a {store.PLAN} or runs in it"
        )
    return found


def is_suite(folder: Path) -> bool:
    """Whether a folder is that of a suite."""
    known = os.path.lexists(folder / store.PLAN) or is_folder(folder / "runs")
    return is_folder(folder) and known


def runs(folder: Path) -> list[str]:
    """Names of the runs in a suite's folder, recorded or not."""
    return [path.name for path in entries(folder) if is_folder(path)]


def links(folder: Path) -> list[Path]:
    """Links in place of a suite's runs."""
    inside = folder / "runs"
    if os.path.islink(inside):
        return [inside]
    return [path for path in entries(folder) if os.path.islink(path)]


def entries(folder: Path) -> list[Path]:
    """Entries in a suite's folder of runs that have the name of a run."""
    inside = folder / "runs"
    if not is_folder(inside):
        return []
    return sorted(path for path in inside.iterdir() if RUN.fullmatch(path.name))


def check_schemas(root: Path, names: list[str]) -> None:
    """Refuse a root of results with a plan or record of another schema; damaged ones pass here."""
    for suite in names:
        records = [root / suite / "runs" / run / store.RECORD for run in runs(root / suite)]
        for path in (root / suite / store.PLAN, *records):
            try:
                schema = read_json(path).get("schema", store.SCHEMA)
            except Refused:
                continue
            if schema != store.SCHEMA:
                raise UsageError(
                    f"{path} has schema {schema!r}, this version of bench-uq reads "
                    f"{store.SCHEMA} alone"
                )


def read_record(folder: Path) -> Record:
    """Record of a run's folder, which must name that run and its status."""
    try:
        record = Record.from_json(read_json(folder / store.RECORD), folder.name)
    except ValueError as error:
        raise Refused("no record of this run") from error

    if not record.status:
        raise Refused("no record of this run")
    return record


def read_plan(folder: Path) -> tuple[Plan, list[str]]:
    """Plan of a suite, empty without one, and the reasons why parts of it were refused."""
    try:
        value = read_json(folder / store.PLAN)
    except Refused as error:
        return Plan(), [str(error)]
    if not isinstance(value.get("runs"), dict):
        return Plan(), ["damaged"]

    good, refused = {}, []
    for place, entry in value["runs"].items():
        try:
            planned = PlannedRun.from_json(entry)
            check_names(place, planned)
            good[place] = planned
        except ValueError:
            refused.append(f"{place!r} is no run of a plan")

    about = About()
    try:
        about = read(About, fields_of(value.get("about", {})))
    except ValueError as error:
        refused.append(f"its facts of methods and conditions: {error}")
    description = value.get("description")
    if not isinstance(description, str):
        description = None
    return Plan(good, description, about=about), refused


def check_names(place: str, planned: PlannedRun) -> None:
    """Require names that scores can be kept under, and files that can be read."""
    names = (planned.method, planned.dataset, *(one.condition for one in planned.shown))
    files = all(FILE.fullmatch(one.file) for one in planned.shown)

    if place != planned.place or not RUN.fullmatch(planned.name) or not files:
        raise ValueError(place)
    for name in names:
        try:
            parse(name)
        except UsageError as error:
            raise ValueError(name) from error
        if not name.isprintable():
            raise ValueError(name)
