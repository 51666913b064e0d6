"""Results that others wrote, read without trust: plain files of plain names, no link followed, nothing changed."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.api.names import NAME, parse

RUN = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
FILE = re.compile(r"[a-z0-9][a-z0-9._+-]{0,199}\.(csv|npz|safetensors)")

#: Bytes of a record or plan at most: a plan of 100,000 runs has a tenth of it.
LARGEST = 2**30
#: Bytes that are read of a file at a time.
PART = 2**20


class Refused(Exception):
    """What a folder holds is not what it says, or no plain file; the message is one line."""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a plain file to read; a link is not followed, and nothing waits for a pipe."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(
            "a link" if os.path.islink(path) else (error.strerror or str(error)).lower()
        ) from error
    with open(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise Refused("no plain file")
        yield file


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, every number finite and every text fit to be written, its checksum right."""
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


def chunks(path: Path, entry: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield a file in parts, and raise Refused at its end where it is not the one that a record names."""
    digest = hashlib.sha256()
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size != entry["bytes"]:
            raise Refused("damaged")
        while part := file.read(PART):
            digest.update(part)
            yield part
    if digest.hexdigest() != entry["sha256"]:
        raise Refused("damaged")


def is_folder(path: Path) -> bool:
    """Return whether this is a folder and no link to one."""
    return os.path.isdir(path) and not os.path.islink(path)


def suites(root: Path) -> list[str]:
    """Return the suites in a results root; a folder that is none is refused."""
    if not os.path.isdir(root):
        raise UsageError(f"{root} is no folder of results")
    if os.path.lexists(root / store.PLAN):
        raise UsageError(f"{root} is the folder of one suite: name the one that holds it")
    named = sorted(path for path in root.iterdir() if NAME.fullmatch(path.name))
    for path in named:
        if os.path.islink(path) and is_suite(path.resolve()):
            raise UsageError(
                f"{path} is a link, which is not followed: name the root that it leads to"
            )
    found = [path.name for path in named if is_suite(path)]
    if not found:
        raise UsageError(
            f"{root} holds no results: no suite's folder with a {store.PLAN} or runs in it"
        )
    return found


def is_suite(folder: Path) -> bool:
    """Return whether a folder is that of a suite."""
    return is_folder(folder) and (
        os.path.lexists(folder / store.PLAN) or is_folder(folder / "runs")
    )


def runs(folder: Path) -> list[str]:
    """Return the names of the runs that a suite's folder holds, recorded or not."""
    inside = folder / "runs"
    if not is_folder(inside):
        return []
    return sorted(
        path.name for path in inside.iterdir() if RUN.fullmatch(path.name) and is_folder(path)
    )


def links(folder: Path) -> list[Path]:
    """Return the links that stand in the place of a suite's runs."""
    inside = folder / "runs"
    if not is_folder(inside):
        return [inside] if os.path.islink(inside) else []
    return sorted(
        path for path in inside.iterdir() if RUN.fullmatch(path.name) and os.path.islink(path)
    )


def check_schemas(root: Path, names: list[str]) -> None:
    """Refuse a results root of which a plan or record is of another schema; damaged ones are no matter here."""
    for suite in names:
        places = [root / suite / "runs" / run / store.RECORD for run in runs(root / suite)]
        for path in (root / suite / store.PLAN, *places):
            try:
                schema = read_json(path).get("schema", store.SCHEMA)
            except Refused:
                continue
            if schema != store.SCHEMA:
                raise UsageError(
                    f"{path} has schema {schema!r}, this version of bench-uq reads {store.SCHEMA} alone"
                )


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record of a run's folder, which names that run and holds what records hold."""
    record = read_json(folder / store.RECORD)
    if not store.is_record(record, folder.name) or "status" not in record:
        raise Refused("no record of this run")
    return record


def read_plan(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return a suite's plan, empty where there is none, and what in it was refused."""
    try:
        plan = read_json(folder / store.PLAN)
    except Refused as error:
        return {"runs": {}}, [str(error)]
    entries = plan.get("runs")
    if not isinstance(entries, dict):
        return {"runs": {}}, ["damaged"]
    good = {key: entry for key, entry in entries.items() if is_planned(key, entry)}
    refused = [f"{key!r} is no run of a plan" for key in entries if key not in good]
    description = plan.get("description")
    return {
        "runs": good,
        **({"description": description} if isinstance(description, str) else {}),
    }, refused


def is_planned(key: str, entry: Any) -> bool:
    """Return whether this is an entry of a plan: scores are kept under its names and read from its files."""
    if not store.is_planned(entry) or isinstance(entry["seed"], bool):
        return False
    method, dataset, shown = entry["method"], entry["dataset"], entry["shown"]
    return (
        key == f"{method}|{dataset}|{entry['seed']}"
        and bool(RUN.fullmatch(entry["run"]))
        and all(map(is_name, (method, dataset, *(one["condition"] for one in shown))))
        and all(FILE.fullmatch(one["file"]) for one in shown)
    )


def is_name(text: str) -> bool:
    """Return whether a text is a name with options, in one line."""
    try:
        parse(text)
    except UsageError:
        return False
    return text.isprintable()
