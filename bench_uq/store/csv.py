"""Write tables as CSV: floats with all digits, and the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench_uq import store

#: A cell that begins so is a formula for a spreadsheet.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write sorted rows under a header."""
    # The type keeps whole numbers whole beside missing ones.
    ordered: list[Any] = sorted(rows, key=sort_key)
    table = pd.DataFrame(ordered, columns=list(header), dtype=object)
    store.write_bytes(path, csv_text(table).encode())


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
