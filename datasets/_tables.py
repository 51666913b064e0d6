"""Read tables of numbers from text; a bad cell or row is named by its line."""

import csv
import difflib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench_uq.api import MissingData, UsageError, single
from bench_uq.datasets._files import read_content

ENDINGS = (".txt", ".csv", ".data", ".txt.gz", ".csv.gz", ".data.gz")
ROWS, COLUMNS = 10, 2  # at least
# Limits of gunzip, lower than for other data: text takes many times its size while it is split.
MOST, RATIO = 1 << 23, 20
LARGEST = float(np.finfo(np.float32).max)


def find_table(dataset: str, folder: Path, stems: Sequence[str]) -> Path:
    """Find the one table that has one of these names."""
    found = table_files(folder, stems)
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{dataset} is several files: {', '.join(map(str, found))}")

    known = set[str]()
    for ending in ENDINGS:
        known |= {path.name.removesuffix(ending) for path in folder.glob(f"*{ending}")}
    if not known:
        raise MissingData(dataset, [folder / f"{stems[-1]}{ENDINGS[0]}"])

    near = difflib.get_close_matches(stems[0], known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    names = ", ".join(sorted(known))
    raise UsageError(f"{dataset}: no such table in {folder}{hint} (known: {names})")


def table_files(folder: Path, stems: Sequence[str]) -> list[Path]:
    """List the files that have one of these names."""
    found = []
    for stem in stems:
        paths = [folder / f"{stem}{ending}" for ending in ENDINGS]
        found += [path for path in paths if path.is_file()]
    return found


def read_table(path: Path) -> np.ndarray:
    """Read the numbers of a table (rows, columns) as float32; a line of names may come first."""
    rows = cells(path)
    # A line of names holds no number at all; one bad cell is an error.
    if rows and not any(is_number(cell) for cell in rows[0][1]):
        del rows[0]
    if len(rows) < ROWS:
        raise UsageError(f"{path}: {len(rows)} rows of numbers, expected {ROWS} at least")

    first, width = rows[0][0], len(rows[0][1])
    if width < COLUMNS:
        expected = f"expected {COLUMNS} at least: features, and the target last"
        raise UsageError(f"{path}: one column, {expected}")

    numbers = []
    for number, row in rows:
        if len(row) != width:
            found = f"{len(row)} cells, line {first} has {width}"
            raise UsageError(f"{path}, line {number}: {found}")
        numbers.append([value(path, number, cell) for cell in row])
    return single(np.array(numbers), f"{path}: column")


def cells(path: Path) -> list[tuple[int, list[str]]]:
    """Split the lines that are not blank, each with its number, at ;, at , or at white space."""
    lines = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            lines.append((number, line))

    # By the last line, because the first may hold names with commas. ; goes first: beside it a
    # comma is a decimal comma, which is then refused as a number.
    separator = next((mark for mark in ";," if lines and mark in lines[-1][1]), None)
    if separator is None:
        return [(number, line.split()) for number, line in lines]

    rows = []
    for number, line in lines:
        try:
            row = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
        except csv.Error as error:
            raise UsageError(f"{path}, line {number}: not a row of a table, {error}") from error
        rows.append((number, row))
    return rows


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, nan and inf included."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def value(path: Path, number: int, cell: str) -> float:
    """Read the number in a cell, which must be finite."""
    if not is_number(cell):
        raise UsageError(f"{path}, line {number}: {cell[:40]!r} is not a number")
    found = float(cell)
    if not math.isfinite(found) or abs(found) > LARGEST:
        raise UsageError(f"{path}, line {number}: {cell} is not a finite number")
    return found


def read_text(path: Path) -> str:
    """Read the text of a file, decompressed."""
    try:
        return read_content(path, most=MOST, ratio=RATIO).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not text, byte {error.start} is not UTF-8") from error
