"""Read tables of numbers from text; a cell that is none and a row that is too long or short are told by their line."""

from __future__ import annotations

import csv
import difflib
import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench_uq.api import Bomb, MissingData, UsageError, gunzip

ENDINGS = (".txt", ".csv", ".data", ".txt.gz", ".csv.gz", ".data.gz")
ROWS, COLUMNS = 10, 2  # at least
TEXT = (
    1 << 23,
    20,
)  # the limits of gunzip for text, which takes many times its size while it is split
LARGEST = float(np.finfo(np.float32).max)


def find_table(dataset: str, folder: Path, stems: Sequence[str]) -> Path:
    """Return the one table of these names."""
    found = table_files(folder, stems)
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{dataset} is several files: {', '.join(map(str, found))}")
    there = {
        path.name.removesuffix(ending) for ending in ENDINGS for path in folder.glob(f"*{ending}")
    }
    if not there:
        raise MissingData(dataset, [folder / f"{stems[-1]}{ENDINGS[0]}"])
    near = difflib.get_close_matches(stems[0], there, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError(
        f"{dataset}: no such table in {folder}{hint} (known: {', '.join(sorted(there))})"
    )


def table_files(folder: Path, stems: Sequence[str]) -> list[Path]:
    """Return the files there are of these names."""
    return [
        path
        for stem in stems
        for ending in ENDINGS
        if (path := folder / f"{stem}{ending}").is_file()
    ]


def read_table(path: Path) -> np.ndarray:
    """Return the numbers of a table (rows, columns) as float32; a line of names may come first."""
    lines = [
        (number, line)
        for number, line in enumerate(read_text(path).splitlines(), 1)
        if line.strip()
    ]
    separator = next((mark for mark in ";," if lines and mark in lines[-1][1]), None)
    rows = [(number, cells(path, number, line, separator)) for number, line in lines]
    if rows and not any(is_number(cell) for cell in rows[0][1]):
        del rows[0]
    if len(rows) < ROWS:
        raise UsageError(f"{path}: {len(rows)} rows of numbers, expected {ROWS} at least")
    width = len(rows[0][1])
    if width < COLUMNS:
        raise UsageError(
            f"{path}: one column, expected {COLUMNS} at least: features, and the target last"
        )
    for number, row in rows:
        if len(row) != width:
            raise UsageError(
                f"{path}, line {number}: {len(row)} cells, line {rows[0][0]} has {width}"
            )
    return np.array(
        [[value(path, number, cell) for cell in row] for number, row in rows], np.float32
    )


def cells(path: Path, number: int, line: str, separator: str | None) -> list[str]:
    """Split a line at its separator, None for white space."""
    try:
        return (
            next(csv.reader([line], delimiter=separator, skipinitialspace=True))
            if separator
            else line.split()
        )
    except csv.Error as error:
        raise UsageError(f"{path}, line {number}: no row of a table, {error}") from error


def is_number(cell: str) -> bool:
    """Return whether a cell is a number, or what stands for one."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def value(path: Path, number: int, cell: str) -> float:
    """Return the number in a cell, which must be finite."""
    if not is_number(cell):
        raise UsageError(f"{path}, line {number}: {cell[:40]!r} is no number")
    if not math.isfinite(found := float(cell)) or abs(found) > LARGEST:
        raise UsageError(f"{path}, line {number}: {cell} is no finite number")
    return found


def read_text(path: Path) -> str:
    """Return the text of a file, decompressed."""
    try:
        content = path.read_bytes()
        return (gunzip(content, *TEXT) if path.suffix == ".gz" else content).decode("utf-8-sig")
    except Bomb as error:
        raise UsageError(f"{path}: {error}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"{path}: corrupt gzip, {error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: no text, byte {error.start} is none of UTF-8's") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read, {error.strerror}") from error
