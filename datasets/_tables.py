"""Read tables of numbers from text; a bad cell or row is named by its line."""

import csv
import difflib
import functools
import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench_uq.api import MissingData, UsageError, single
from bench_uq.datasets._files import read_content

ENDINGS = (".txt", ".csv", ".data", ".txt.gz", ".csv.gz", ".data.gz")
ROWS, COLUMNS = 10, 2  # at least
# Of the memory, for the text alone: it takes many times its size while it is split.
SHARE = 64
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Table:
    """Numbers (rows, columns) of a table, the names of its columns if it has any, and its hash."""

    numbers: np.ndarray
    names: Sequence[str]
    sha256: str  # of its text
    remarks: tuple[str, ...] = ()


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


@functools.lru_cache(maxsize=2)
def read_table(path: Path, size: int, changed: int) -> Table:
    """Read a table, once while its size and time of change stay the same.

    A line of names may come first.
    """
    del size, changed
    text = read_text(path)
    rows, names, remarks = cells(path, text), list[str](), list[str]()
    # A line of names holds no number at all; one bad cell is an error.
    if rows and not any(is_number(cell) for cell in rows[0][1]):
        names = rows.pop(0)[1]
    elif numbered(rows):
        number, names = rows.pop(0)
        remarks.append(f"line {number} ({','.join(names)[:40]}) is read as names of columns")
    if len(rows) < ROWS:
        raise UsageError(f"{path}: {len(rows)} rows of numbers, expected {ROWS} at least")

    first, width = rows[0][0], len(rows[0][1])
    numbers = []
    for number, row in rows:
        if len(row) != width:
            found = f"{len(row)} cells, line {first} has {width}"
            raise UsageError(f"{path}, line {number}: {found}")
        numbers.append([value(path, number, cell) for cell in row])

    # R writes no name above the names of rows.
    if len(names) == width - 1:
        names = ["", *names]
    # Names with spaces are torn apart where spaces separate the cells: they name no column.
    if len(names) != width:
        names = []

    table = np.array(numbers)
    if numbers_rows(table, names):
        table, names = table[:, 1:], names[1:]
        remarks.append("the first column has no name and numbers the rows: left out")
    if table.shape[1] < COLUMNS:
        expected = f"expected {COLUMNS} at least: features and a target"
        raise UsageError(f"{path}: one column, {expected}")
    remarks += counting(table, names)

    # Line ends are those of the machine that the file was last written on.
    digest = hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()
    table = single(table, f"{path}: column")
    return Table(table, names, digest, tuple(remarks))


def numbered(rows: Sequence[tuple[int, list[str]]]) -> bool:
    """Whether the first line holds numbers of columns, as pandas writes them without names."""
    if len(rows) < ROWS:
        return False
    first, second = (row for _, row in rows[:2])
    # Without a name above the index, if there is one.
    names = first[not first[0].strip() :]
    if not all(map(str.isdecimal, names)) or len(set(names)) < len(names):
        return False

    if counts_on(names) and int(names[0]) == 0:
        # Where the next line counts too, as in a grid, the first one is a row like it.
        return not counts_on(second[-len(names) :])
    # Whole numbers above columns without any.
    cells = itertools.chain.from_iterable(row for _, row in rows[1:])
    return not any(map(str.isdecimal, cells))


def counts_on(cells: Sequence[str]) -> bool:
    """Whether each cell is a whole number, one above that to its left."""
    # Python reads no number of thousands of digits.
    if not all(cell.isdecimal() and len(cell) < 20 for cell in cells):
        return False
    numbers = list(map(int, cells))
    return numbers == list(range(numbers[0], numbers[0] + len(cells)))


def numbers_rows(table: np.ndarray, names: Sequence[str]) -> bool:
    """Whether the first column is an index: of whole numbers, each once, without a name."""
    first = table[:, 0]
    # pandas gives the name to an index that it has written and read.
    unnamed = names and (not names[0].strip() or names[0].startswith("Unnamed: "))
    return bool(unnamed) and not (first % 1).any() and len(np.unique(first)) == len(first)


def counting(table: np.ndarray, names: Sequence[str]) -> list[str]:
    """Remarks on columns that count the rows: they tell how the file is sorted."""
    steps = np.diff(table, axis=0)
    found = []
    for column in np.flatnonzero((steps == 1).all(0) | (steps == -1).all(0)).tolist():
        name = f" ({names[column]})" if names else ""
        found.append(f"column {column}{name} counts the rows of the file")
    return found


def cells(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """Split the lines that are not blank, each with its number, at ;, at , or at white space."""
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
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
        return read_content(path, share=SHARE).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not text, byte {error.start} is not UTF-8") from error
