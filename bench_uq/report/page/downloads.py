"""The derived files of a page, embedded as links that hold their data."""

from __future__ import annotations

import base64
import gzip
import json
import math
from dataclasses import dataclass
from html import escape

import pandas as pd

from bench_uq.report.page.elements import section
from bench_uq.score import trials
from bench_uq.score.results import Results
from bench_uq.store.csv import csv_text
from bench_uq.store.derived import COLUMNS, CURVES, LATER

#: Bytes from which a file is compressed, and from which even the compressed one is left out.
PLAIN, LARGEST = 100_000, 1_000_000
#: Rows from which a table is not even tried: a compressed row takes some 6 bytes.
MOST_ROWS = 200_000
#: Columns of whole numbers.
_WHOLE = {"parameters", "peak_memory", "epochs", "draws"}
#: The other files of a report, by their path from the page.
_BESIDE = {"summary.md": "the summary", "tables/main.tex": "the tables", "figures/": "the figures"}


@dataclass(frozen=True)
class Download:
    """A file; without a link it is too large for a page."""

    name: str
    link: str | None
    size: int


def downloads_section(results: Results) -> str:
    """The list of the files."""
    items = ""
    for one in downloads(results):
        items += f"<li>{_item(results.suite, one)}</li>"
    body = f"""\
<p>The data behind this page, with full digits; the files are embedded in this page.</p>
<ul>{items}</ul>
<p>A full report has beside this page {other_files()}.</p>"""
    return section("downloads", "Downloads", body)


def other_files() -> str:
    """Links to the other files of the report."""
    *links, last = [f'{name} (<a href="{path}">{path}</a>)' for path, name in _BESIDE.items()]
    return f"{', '.join(links)} and {last}"


def _item(suite: str, one: Download) -> str:
    """A link to a file, or its place if it is too large for a page."""
    name = escape(one.name)
    if one.link is None:
        place = f"<code>results/{escape(suite)}/{name}</code>"
        return f"{name} is too large for this page; it lies in {place}."

    size = f"{max(1, round(one.size / 1e3))} kB"
    if one.size >= 1e6:
        size = f"{one.size / 1e6:.1f} MB"
    return f'<a download="{name}" href="{one.link}">{name}</a> ({size})'


def downloads(results: Results) -> list[Download]:
    """The files that the results were read from, as far as they hold these results."""
    facts = [dict(facts) for _, facts in sorted(results.environments.items())]
    environments = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    found = [
        _table("scores.csv", results.scores),
        _table("runs.csv", results.runs),
        _table(CURVES, results.curves),
        _download("environment.json", environments.encode(), "application/json"),
    ]
    if results.trials:
        rows = pd.DataFrame(
            [one.cells for one in results.trials],
            columns=trials.columns_of(one.seed for one in results.trials),
            dtype=object,
        )
        found.append(_download(trials.FILE, csv_text(rows).encode(), "text/csv;charset=utf-8"))
    return found


def _table(name: str, frame: pd.DataFrame) -> Download:
    """A table as a file."""
    if len(frame) > MOST_ROWS:
        return Download(name, None, 0)
    return _download(name, written(name, frame).encode(), "text/csv;charset=utf-8")


def _download(stored: str, content: bytes, kind: str) -> Download:
    """A file as a link, compressed if it is long."""
    name = stored
    if len(content) > PLAIN and not name.endswith(".gz"):
        name += ".gz"
    if name.endswith(".gz"):
        # Without the time of day, the same results give the same page.
        kind, content = "application/gzip", gzip.compress(content, mtime=0)
    if len(content) > LARGEST:
        return Download(stored, None, len(content))
    return Download(name, f"data:{kind};base64,{base64.b64encode(content).decode()}", len(content))


def written(name: str, frame: pd.DataFrame) -> str:
    """Text of a derived file as scoring writes it, without empty columns that old results lack."""
    columns = COLUMNS[name].split()
    later = LATER.get(name, "").split()
    if not frame[later].isin(["", math.nan]).all(axis=None):
        columns += later

    table = frame[columns]
    # A hole makes pandas read whole numbers as floats; Int64 writes them as they were.
    for column in _WHOLE.intersection(columns):
        if (table[column].dropna() % 1 == 0).all():
            table = table.assign(**{column: table[column].astype("Int64")})
    return csv_text(table)
