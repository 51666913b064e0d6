"""The derived files of a page as links that hold their data, written as they were stored."""

from __future__ import annotations

import base64
import gzip
import json
import math
from dataclasses import dataclass

import pandas as pd

from bench_uq.score.analysis import Analysis
from bench_uq.store.csv import csv_text
from bench_uq.store.derived import COLUMNS, CURVES, LATER

#: Bytes beyond which a file is compressed, and beyond which even the compressed one is left out.
PLAIN, LARGEST = 100_000, 1_000_000
#: Rows beyond which a table is not even tried: a compressed row takes some 6 bytes.
MOST_ROWS = 200_000
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
        _table(CURVES, analysis.results.curves),
        _download("environment.json", environments.encode(), "application/json"),
    ]


def _table(name: str, frame: pd.DataFrame) -> Download:
    """Return a table as a file."""
    if len(frame) > MOST_ROWS:
        return Download(name, None, 0)
    return _download(name, written(name, frame).encode(), "text/csv;charset=utf-8")


def _download(stored: str, content: bytes, kind: str) -> Download:
    """Return a file as a link, compressed where it is long."""
    name = stored
    if len(content) > PLAIN and not name.endswith(".gz"):
        name += ".gz"
    if name.endswith(".gz"):
        kind, content = "application/gzip", gzip.compress(content, mtime=0)
    if len(content) > LARGEST:
        return Download(stored, None, len(content))
    return Download(name, f"data:{kind};base64,{base64.b64encode(content).decode()}", len(content))


def written(name: str, frame: pd.DataFrame) -> str:
    """Text of a derived file as scoring writes it; columns that are empty in old results stay away."""
    columns = COLUMNS[name].split()
    later = LATER.get(name, "").split()
    if not frame[later].isin(["", math.nan]).all(axis=None):
        columns += later

    table = frame[columns]
    for column in _WHOLE.intersection(columns):
        if (table[column].dropna() % 1 == 0).all():
            table = table.assign(**{column: table[column].astype("Int64")})
    return csv_text(table)
