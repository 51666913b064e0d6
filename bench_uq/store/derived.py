"""Read derived files, one by one; damaged or foreign ones are told in one line."""

from __future__ import annotations

import csv
import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from bench_uq import store
from bench_uq.api.archives import open_npz
from bench_uq.api.errors import UsageError
from bench_uq.store import many_rows

COLUMNS = {
    "runs.csv": "run method dataset seed status reason converged parameters train_seconds predict_seconds peak_memory "
    "environment",
    "scores.csv": "dataset method seed condition level metric value run",
    "curves.csv": "dataset method seed condition level curve x y run",
}
#: Columns that results of older versions lack; there they are empty.
LATER = {"runs.csv": "network epochs draws seconds_per_1000 command"}
#: Columns of numbers, empty where nothing is known.
NUMBERS = {
    *("level", "value", "x", "y"),
    *(
        "parameters",
        "train_seconds",
        "predict_seconds",
        "peak_memory",
        "epochs",
        "draws",
        "seconds_per_1000",
    ),
}
#: Columns of few different texts: as categories they compare twenty times as fast.
NAMES = {"dataset", "method", "condition", "metric", "curve", "run"}
ALLOWED = {
    "status": {"ok", "failed", "diverged", "oom", "interrupted", "missing"},
    "converged": {"True", "False", ""},
}
#: The status of a run that no plan asks for any more; another run may have its method, dataset and seed.
SUPERSEDED = "superseded"
#: What may stand in a file only once, or a mean over seeds would count it twice.
KEYS = {
    "runs.csv": ["dataset", "method", "seed"],
    "scores.csv": ["dataset", "method", "seed", "condition", "level", "metric"],
    "curves.csv": ["dataset", "method", "seed", "condition", "level", "curve", "x"],
}


#: What reading an archive of arrays raises where it is damaged, or none that holds numbers alone.
DAMAGED_ARRAYS = (
    *(OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, tokenize.TokenError),
    *(RuntimeError, TypeError, AttributeError, KeyError, OverflowError, SyntaxError, MemoryError),
)


@dataclass(frozen=True)
class Example:
    """The first inputs that one run was shown in one condition, and what it said of them."""

    dataset: str
    method: str
    seed: int
    condition: str
    level: float | None
    inputs: np.ndarray  # (N, ...), uint8 in 0..255 where they lie in [0, 1]
    probs: np.ndarray | None  # (N, C), of classes
    targets: np.ndarray | None  # (N,), where they belong to the task


def table(path: Path, kind: str = "") -> pd.DataFrame:
    """Return the rows of a CSV file: text as it stands, numbers as floats with NaN where nothing is written.

    ``kind`` is the derived file whose columns it has, if not the one of its own name.
    """
    kind = kind or path.name
    try:
        _check_file(path)
        with path.open("rb") as file:
            header, rows = _counted(file)
            _check_header(kind, header)
            if rows and not _ends_with_line(file):
                raise ValueError("its last line is cut short")
            file.seek(0)
            read = _runs(header, file) if kind == "runs.csv" else _many(kind, file, rows)
        _check_sum(path)
        return read
    except FileNotFoundError:
        raise _missing(path) from None
    except (
        OSError,
        ValueError,
        OverflowError,
        csv.Error,
    ) as error:  # pandas' own errors are ValueErrors
        raise damaged(path, error, "score" if kind == path.name else "baseline") from None


def environments(path: Path) -> dict[str, dict[str, Any]]:
    """Return the environments of a list by fingerprint; empty without the file."""
    try:
        _check_file(path)
        listed = store.loaded(path.read_bytes())
        _check_sum(path)
        return {str(one["id"]): dict(one) for one in listed}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise damaged(path, error) from None


def examples(path: Path) -> list[Example]:
    """Return the stored examples; empty without the file. Nothing is unpickled."""
    found: dict[tuple[str, ...], dict[str, np.ndarray]] = {}
    try:
        _check_file(path)
        with open_npz(path) as arrays:
            for key in arrays.files:
                *place, name = key.split("|")
                if len(place) == 5:  # else a name of a plugin holds the sign that parts them
                    found.setdefault(tuple(place), {})[name] = arrays[key]
        _check_sum(path)
    except FileNotFoundError:
        return []
    except DAMAGED_ARRAYS as error:
        raise damaged(path, error) from None
    return [_example(path, place, arrays) for place, arrays in found.items() if "inputs" in arrays]


def _example(path: Path, place: Sequence[str], arrays: dict[str, np.ndarray]) -> Example:
    """Return what one run was shown in one condition, after looking at every array."""
    dataset, method, seed, condition, level = (
        part.replace("%7C", "|").replace("%25", "%") for part in place
    )
    inputs, probs, targets = (arrays.get(name) for name in ("inputs", "probs", "targets"))
    try:
        where = (dataset, method, int(seed), condition, float(level) if level else None)
        for name, part, axes in (
            ("inputs", inputs, 2),
            ("probs", probs, 2),
            ("targets", targets, 1),
        ):
            if part is not None and not isinstance(
                part, np.ndarray
            ):  # a member of the archive that is no array
                raise ValueError(f"{name} of {method} on {condition} is no array")
            if part is not None and (
                part.dtype.kind not in "fiu" or part.ndim < axes or not part.size
            ):
                raise ValueError(
                    f"{name} of {method} on {condition} are no numbers of the right shape"
                )
            if part is not None and not np.isfinite(part).all():
                raise ValueError(f"{name} of {method} on {condition} are not finite")
        if len({len(part) for part in (inputs, probs, targets) if part is not None}) != 1:
            raise ValueError(f"the arrays of {method} on {condition} differ in length")
        if any(part is not None and part.ndim != axes for part, axes in ((probs, 2), (targets, 1))):
            raise ValueError(f"probs or targets of {method} on {condition} have too many axes")
    except ValueError as error:
        raise damaged(path, error) from None
    return Example(*where, inputs, probs, targets)  # type: ignore[arg-type]


def _check_file(path: Path) -> None:
    """Refuse what is no file: a pipe would be waited for."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")


def _check_sum(path: Path) -> None:
    """Refuse a file that can be read, but is not the one that scoring wrote: a digit changed makes no other error."""
    sums = path.with_name(store.CHECKSUMS)
    try:
        _check_file(sums)
        written = store.parsed(sums.read_bytes())
        if not isinstance(written, dict) or not written.keys() >= COLUMNS.keys():
            raise ValueError("it does not name the derived files")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise damaged(sums, error) from None
    if path.name in written and store.sha256(path) != written[path.name]:
        raise ValueError(f"its checksum is not that in {store.CHECKSUMS}")


def _missing(path: Path) -> UsageError:
    """Return the error for a file that is not there."""
    return UsageError(f"missing {path} (make it with: bench-uq score)")


def damaged(path: Path, error: Exception, maker: str = "score") -> UsageError:
    """Return the error for a file that is there, but not as it was written."""
    reason = " ".join(str(error).split()) or "it cannot be read"
    return UsageError(
        f"{path} is damaged or foreign: {reason} (make it anew with: bench-uq {maker})"
    )


def _counted(file: IO[bytes]) -> tuple[list[str], int]:
    """Return the header of a CSV file and its number of rows, after seeing that all have as many fields."""
    text = io.TextIOWrapper(
        file, encoding="utf-8", newline=""
    )  # read bit by bit: it may be larger than memory
    records = csv.reader(text, strict=True)
    header = next(records, [])
    number = 1
    for number, row in enumerate(records, start=2):
        if len(row) != len(header):
            raise ValueError(f"record {number} has {len(row)} fields, not {len(header)}")
    text.detach()
    return header, number - 1


def _ends_with_line(file: IO[bytes]) -> bool:
    """Tell whether the last byte of a file ends a line."""
    file.seek(-1, io.SEEK_END)
    return file.read(1) == b"\n"


def _check_header(name: str, header: Sequence[str]) -> None:
    """Refuse a file that lacks a column."""
    for column in COLUMNS[name].split():
        if column not in header:
            raise ValueError(f"it has no column {column!r}")


def _runs(header: Sequence[str], file: IO[bytes]) -> pd.DataFrame:
    """Return exactly the known columns of runs.csv, after looking at every value."""
    later = LATER["runs.csv"].split()
    known = [*COLUMNS["runs.csv"].split(), *(column for column in later if column in header)]
    options: Any = {"usecols": known, "dtype": "str", "keep_default_na": False, "na_filter": False}
    read = pd.read_csv(file, **options)
    read = read[read["status"] != SUPERSEDED].reset_index(drop=True)
    frame = pd.DataFrame({column: _column(column, read[column]) for column in known})
    for column in later:
        if column not in frame:
            frame[column] = math.nan if column in NUMBERS else ""
    _refuse_repeated(frame[frame.duplicated(KEYS["runs.csv"])], KEYS["runs.csv"])
    return frame


def _many(name: str, file: IO[bytes], rows: int) -> pd.DataFrame:
    """Return the columns of scores or curves, after looking at every value."""
    frame = many_rows.read(file, COLUMNS[name].split(), rows, NAMES)
    for column in NUMBERS & set(frame):
        _check_numbers(column, frame[column].to_numpy())
    _refuse_repeated(many_rows.repeated(frame, KEYS[name], KEYS["runs.csv"]), KEYS[name])
    return frame


def _refuse_repeated(repeated: pd.DataFrame, keys: Sequence[str]) -> None:
    """Refuse a table with rows that stand in it twice."""
    if len(repeated):
        raise ValueError(f"it holds twice: {', '.join(map(str, repeated[keys].iloc[0]))}")


def _column(column: str, values: pd.Series) -> pd.Series:
    """Return a column as text or numbers; seeds and places on an x axis are never missing."""
    if column in ALLOWED:
        for strange in sorted(set(values) - ALLOWED[column]):
            raise ValueError(
                f"{column} {strange!r} is not one of {', '.join(sorted(filter(None, ALLOWED[column])))}"
            )
    if column == "seed":
        return pd.Series([int(text) for text in values], dtype="int64")
    if column not in NUMBERS:
        return values
    # Python's own conversion: that of pandas may miss the last digit.
    numbers = pd.Series([float(text or "nan") for text in values], dtype="float64")
    _check_numbers(column, numbers.to_numpy())
    return numbers


def _check_numbers(column: str, numbers: np.ndarray) -> None:
    """Refuse numbers that a column cannot hold."""
    if column == "x" and np.isnan(numbers).any():
        raise ValueError("an x is missing")
    if column != "value" and np.isinf(numbers).any():
        raise ValueError(f"{column} is infinite")
