"""Published values to stand beside ours: ``<suite>.reference.csv`` beside ``<suite>.toml``."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import convert, level_key, parse
from bench_uq.plan.plugins import Plugins

#: The file in a suite's folder of results.
FILE = "reference.csv"

#: How sure a value is: read in its source or in a text that quotes it; quoted from secondary
#: sources and not checked in the original; from memory alone.
CERTAINTIES = ("seen", "corroborated", "recalled")

#: The test error in %, 100 (1 - accuracy), which papers print where we keep the accuracy.
TEST_ERROR = "test_error"


@dataclass(frozen=True)
class Reference:
    """One published value. Numbers are kept as they were printed."""

    dataset: str  # these four as in scores.csv
    method: str
    condition: str
    level: str  # empty without
    metric: str  # id of a metric, or test_error
    value: str
    spread: str  # empty if none was published; the notes say of what it is
    source: str
    certainty: str  # one of CERTAINTIES
    notes: str  # differences from our protocol, separated by "; "

    @property
    def key(self) -> tuple[str, ...]:
        """Key of which a file holds one value: each source gives one."""
        # 0.1 and 0.10 are one level.
        level = repr(level_key(float(self.level))) if self.level else ""
        return self.dataset, self.method, self.condition, level, self.metric, self.source


COLUMNS = tuple(field.name for field in fields(Reference))

#: Values of columns that may be empty or absent; the others must be filled.
DEFAULTS = {"condition": "clean", "level": "", "spread": "", "notes": ""}


def read_file(path: Path, metrics: Iterable[str] | None = None) -> list[Reference]:
    """References in a file; an error names the line of the first mistake.

    ``metrics`` are the known ids, by default those of the metrics that are installed.
    """
    if metrics is None:
        metrics = Plugins().metrics()
    known = [TEST_ERROR, *metrics]

    try:
        # Spreadsheets begin a file with a byte order mark, which would be part of the first column.
        text = path.read_bytes().decode("utf-8-sig")
        # Not csv.DictReader: it says nothing of a column given twice or a row of the wrong length.
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(rows, [])]
        check_header(path, header)
        numbered = [(rows.line_num, row) for row in rows if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error

    found: dict[tuple[str, ...], Reference] = {}
    for number, row in numbered:
        where = f"{path}, line {number}"
        if len(row) != len(header):
            raise UsageError(f"{where}: {len(row)} fields, expected {len(header)}")

        one = reference(where, dict(zip(header, map(str.strip, row), strict=True)), known)
        if one.key in found:
            raise UsageError(
                f"{where}: {one.metric} of {one.method} on {one.dataset} is given twice "
                f"by {one.source!r}"
            )
        found[one.key] = one
    return list(found.values())


def check_header(path: Path, header: list[str]) -> None:
    """Refuse unknown, repeated or missing columns."""
    for index, name in enumerate(header):
        if name not in COLUMNS:
            raise unknown(f"column in {path}", name, COLUMNS)
        if name in header[:index]:
            raise UsageError(f"{path}: column {name!r} is given twice")
    for name in COLUMNS:
        if name not in header and name not in DEFAULTS:
            raise UsageError(f"{path} lacks the column {name!r} (known: {', '.join(COLUMNS)})")


def reference(where: str, cells: dict[str, str], metrics: Collection[str]) -> Reference:
    """One reference, each of its cells checked."""
    filled = {name: cells.get(name) or DEFAULTS.get(name, "") for name in COLUMNS}
    try:
        for name in COLUMNS:
            if not filled[name] and name not in DEFAULTS:
                raise UsageError(f"{name} is empty")

        for name in ("dataset", "method", "condition"):
            parse(filled[name])
        if filled["metric"] not in metrics:
            raise unknown("metric", filled["metric"], metrics)

        if "/" in filled["level"]:
            filled["level"] = repr(convert("level", float, filled["level"]))
        check_number("value", filled["value"], -math.inf)
        for name in ("level", "spread"):
            if filled[name]:
                check_number(name, filled[name], 0)
        if filled["certainty"] not in CERTAINTIES:
            raise unknown("certainty", filled["certainty"], CERTAINTIES)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    return Reference(**filled)


def check_number(name: str, text: str, least: float) -> None:
    """Refuse a text that is not a finite number of at least ``least``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan

    # Numbers are shown as they were printed, and Python reads digits of any script, and 1_000.
    if not (math.isfinite(value) and text.isascii() and "_" not in text):
        raise UsageError(f"{name} must be a finite number, not {text!r}")
    if value < least:
        raise UsageError(f"{name} must be at least {least:g}, not {text}")


def hand_on(references: Iterable[Reference], folder: Path) -> None:
    """Write the references into a suite's folder of results; no file stays if there are none."""
    # It brings pandas, which the commands that read references do without.
    from bench_uq.store.csv import write_csv

    rows = list(map(astuple, references))
    if rows:
        write_csv(folder / FILE, COLUMNS, rows)
    else:
        (folder / FILE).unlink(missing_ok=True)
