"""Runs and scores as Parquet files, for DuckDB, Spark, Polars and pandas."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd

from bench_uq._version import __version__
from bench_uq.report.exports import require, tables
from bench_uq.store import SCHEMA, write_bytes


def required() -> Any:
    """The package that writes the files."""
    return require("pyarrow", "--parquet", "parquet")


def write(suite: Path, target: Path) -> list[Path]:
    """Write runs.parquet and scores.parquet to a folder; ``run`` joins them.

    Columns are those of runs.csv and scores.csv, and ``left_out`` says why a run is in no mean.
    """
    required()
    runs, scores = tables(suite)
    written = []
    for name, frame in (("runs", runs), ("scores", scores)):
        path = target / f"{name}.parquet"
        write_bytes(path, content(frame, suite.resolve().name))
        written.append(path)
    return written


def content(frame: pd.DataFrame, suite: str) -> bytes:
    """Bytes of a table, whose metadata say which suite it is of, and what wrote it."""
    arrow = required()
    parquet = require("pyarrow.parquet", "--parquet", "parquet")
    table = arrow.Table.from_pandas(frame, preserve_index=False)
    ours = {"bench_uq.suite": suite, "bench_uq.version": __version__, "bench_uq.schema": SCHEMA}

    # The metadata of pandas say which columns were categories.
    kept = {**(table.schema.metadata or {})}
    kept |= {name.encode(): str(value).encode() for name, value in ours.items()}
    file = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(kept), file)
    return file.getvalue()
