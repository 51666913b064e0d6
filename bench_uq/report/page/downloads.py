"""The derived files of a page as links that hold their data, written as they were stored."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench_uq.score.analysis import Analysis
from bench_uq.store.csv import cell, csv_text
from bench_uq.store.derived import COLUMNS, LATER

#: Bytes beyond which a file is compressed, and beyond which even the compressed one is left out.
PLAIN, LARGEST = 1_000_000, 4_000_000
#: Rows beyond which a table is not even tried: a compressed row takes some 8 bytes.
MOST_ROWS = 500_000
#: Columns that hold whole numbers.
_WHOLE = {"parameters", "peak_memory", "epochs", "draws"}


@dataclass(frozen=True)
class Download:
    """A file to take away; without a link it is too large for a page."""

    name: str
    link: str | None
    size: int


def downloads(analysis: Analysis) -> list[Download]:
    """Return the files that the results were read from, as far as they hold these results."""
    facts = [dict(facts) for _, facts in sorted(analysis.results.environments.items())]
    environments = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    return [
        _table("scores.csv", analysis.results.scores),
        _table("runs.csv", analysis.results.runs),
        _table("curves.csv", analysis.results.curves),
        _download("environment.json", environments.encode(), "application/json"),
    ]


def _table(name: str, frame: pd.DataFrame) -> Download:
    """Return a table as a file."""
    if len(frame) > MOST_ROWS:
        return Download(name, None, 0)
    return _download(name, written(name, frame).encode(), "text/csv;charset=utf-8")


def _download(name: str, content: bytes, kind: str) -> Download:
    """Return a file as a link, compressed where it is long."""
    if len(content) > PLAIN:
        name, kind, content = f"{name}.gz", "application/gzip", gzip.compress(content, mtime=0)
    if len(content) > LARGEST:
        return Download(name.removesuffix(".gz"), None, len(content))
    return Download(name, f"data:{kind};base64,{base64.b64encode(content).decode()}", len(content))


def written(name: str, frame: pd.DataFrame) -> str:
    """Write a derived file as scoring does, full digits and all; columns that older versions lack stay away."""
    later = LATER.get(name, "").split()
    columns = [
        *COLUMNS[name].split(),
        *([] if all(_empty(frame[column]) for column in later) else later),
    ]
    return csv_text(
        [columns, *zip(*(_texts(column, frame[column]) for column in columns), strict=True)]
    )


def _empty(values: pd.Series) -> bool:
    """Tell whether a column holds nothing at all."""
    return bool((values.isna() | (values == "")).all())


def _texts(column: str, values: pd.Series) -> Iterator[str]:
    """Return the fields of a column."""
    return (_text(column, value) for value in values.tolist())


def _text(column: str, value: Any) -> str:
    """Return one field, empty where the value is missing."""
    if isinstance(value, float) and math.isnan(value):
        return ""
    if column in _WHOLE and isinstance(value, float) and value.is_integer():
        return str(int(value))
    return cell(value)
