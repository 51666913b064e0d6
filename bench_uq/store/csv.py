"""Write tables as CSV: floats with all digits, and the same bytes for the same rows."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from bench_uq import store

#: Bytes that are copied at a time.
BLOCK = 1 << 20
#: A cell that begins so is a formula for a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write sorted rows under a header; a file that would not change is left alone."""
    # The type keeps whole numbers whole beside missing ones.
    ordered: list[Any] = sorted(rows, key=sort_key)
    table = pd.DataFrame(ordered, columns=list(header), dtype=object)
    write_changed(path, [csv_text(table).encode()])


def sort_key(row: Sequence[Any]) -> list[tuple[bool, bool, Any]]:
    """Key that sorts numbers as numbers, text as text, and missing values first."""
    return [
        (value is not None, isinstance(value, str), 0 if value is None else value) for value in row
    ]


def csv_text(table: pd.DataFrame, *, header: bool = True) -> str:
    """Table as CSV: floats with all digits, missing values empty, no cell a formula."""
    cells = pd.DataFrame(_unformulated(table.to_numpy(object)), columns=table.columns, dtype=object)
    # Python's csv quotes a carriage return in a cell only where lines end with one.
    text = cells.to_csv(index=False, header=header, lineterminator="\r\n")
    return text.replace("\r\n", "\n")


def without_formula(value: Any) -> Any:
    """Put a ' before a text that a spreadsheet would compute; texts of numbers stay."""
    if not isinstance(value, str) or not value.startswith(FORMULA):
        return value

    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


_unformulated = np.frompyfunc(without_formula, 1, 1)


def write_changed(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file from its parts as they come; a file that would not change is left alone."""
    parts, same = iter(parts), 0
    with path.open("rb") if path.is_file() else io.BytesIO() as old:
        for part in parts:
            if old.read(len(part)) != part:
                break
            same += len(part)
        else:
            part = b""
            if path.is_file() and not old.read(1):
                return

        old.seek(0)
        store.write_bytes(path, chain(_first_bytes(old, same), [part], parts))


def _first_bytes(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Read the first bytes of a file, block by block."""
    for start in range(0, size, BLOCK):
        yield file.read(min(BLOCK, size - start))
