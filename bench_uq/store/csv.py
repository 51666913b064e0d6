"""Derived tables as CSV: sorted, full digits, the same bytes for the same rows, and written only where they changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from bench_uq import store

#: Bytes that are copied at a time.
BLOCK = 1 << 20
#: How a cell begins that a spreadsheet takes for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows sorted, with full digits, the same bytes for the same rows; nothing where nothing changed."""
    write_changed(path, [csv_text([header]), csv_text(sorted(rows, key=sort_key))])


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV holds them."""
    buffer = _Lines()
    csv.writer(buffer, lineterminator="\r\n").writerows(
        [cell(value) for value in row] for row in rows
    )
    return buffer.getvalue()


class _Lines(io.StringIO):
    """Text of which csv writes a line at a time: both signs that end lines are quoted, and one of them ends ours."""

    def __init__(self) -> None:
        super().__init__(newline="")  # as it stands

    def write(self, line: str) -> int:
        """Add a line."""
        return super().write(f"{line[:-2]}\n")


def sort_key(row: Sequence[Any]) -> list[tuple[bool, bool, Any]]:
    """Sort numbers as numbers, text as text, and what is missing first."""
    return [
        (value is not None, isinstance(value, str), 0 if value is None else value) for value in row
    ]


def cell(value: Any) -> str:
    """Return a value as CSV holds it: empty where missing, floats in full digits, no text that is a formula."""
    return (
        ""
        if value is None
        else repr(value)
        if isinstance(value, float)
        else without_formula(str(value))
    )


def without_formula(text: str) -> str:
    """Return text that no spreadsheet computes: what begins as a formula does, and is no number, begins with a '."""
    if not text.startswith(FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def write_changed(path: Path, texts: Iterable[str]) -> None:
    """Write a file from its parts as they come, of which it holds one at a time; nothing where nothing changed."""
    parts, same = (text.encode() for text in texts), 0
    with path.open("rb") if path.is_file() else io.BytesIO() as old:
        for part in parts:
            if old.read(len(part)) != part:
                store.write_bytes(path, _joined(old, same, part, parts))
                return
            same += len(part)
        if old.read(1) or not path.is_file():
            store.write_bytes(path, _joined(old, same, b"", ()))


def _joined(old: IO[bytes], same: int, part: bytes, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the first bytes of the old file, which are those of the new one, and what follows them."""
    old.seek(0)
    for start in range(0, same, BLOCK):
        yield old.read(min(BLOCK, same - start))
    yield part
    yield from parts
