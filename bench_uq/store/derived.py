"""Read derived files; a damaged or foreign one is refused in one line."""

from __future__ import annotations

import csv
import gzip
import hashlib
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_string_dtype

from bench_uq import store
from bench_uq.api.archives import Bomb, limit
from bench_uq.api.errors import UsageError
from bench_uq.api.names import as_written, level_key
from bench_uq.store.about import About
from bench_uq.store.records import fields_of, read

RUNS, SCORES, CURVES = "runs.csv", "scores.csv", "curves.csv.gz"
#: Tables that their owner may have compressed by gzip, by the names that they then have; bench-uq
#: writes plain ones.
PACKED = {f"{RUNS}.gz": RUNS, f"{SCORES}.gz": SCORES}
#: Scores by groups of test examples; results of older versions lack the file.
BY_GROUP = "groups.csv.gz"
#: Number of these groups.
GROUPS = 10
GROUP_COLUMNS = tuple(f"group_{group}" for group in range(GROUPS))
#: ``converged`` is of older versions, by the slope of the loss; nothing reads it any more.
COLUMNS = {
    RUNS: "run method dataset seed status reason converged parameters train_seconds "
    "predict_seconds peak_memory environment",
    SCORES: "dataset method seed condition level metric value run",
    CURVES: "dataset method seed condition level curve x y run",
    BY_GROUP: f"dataset method seed condition level metric {' '.join(GROUP_COLUMNS)} run",
}
#: Letters of the longest text that may stand on an axis.
LONGEST = 100
#: Columns that results of older versions lack; there they are empty.
LATER = {
    RUNS: "network epochs draws seconds_per_1000 command method_full dataset_full batch "
    "validation train_images test_images attack_images shift_images evaluate_on precision block "
    "threads learning_rate schedule warmup weight_decay clip "
    "diagnosis shared trained_on held_out tested_on data labels predictions facts base_seconds "
    "reference lacking measured"
}
#: Columns of numbers, NaN where nothing is known.
NUMBERS = [
    *("level", "value", "x", "y", "parameters", "epochs", "draws", "peak_memory"),
    *(
        "train_seconds",
        "base_seconds",
        "predict_seconds",
        "seconds_per_1000",
        "batch",
        "validation",
    ),
    *("train_images", "test_images", "attack_images", "shift_images", "block", "threads"),
    *("trained_on", "held_out", "tested_on", "learning_rate", "warmup", "weight_decay", "clip"),
    *GROUP_COLUMNS,
]
ALLOWED = {
    "status": {"ok", "failed", "diverged", "oom", "interrupted", "missing"},
    "converged": {"True", "False", ""},
}
#: Status of a run that no plan asks for any more; its method, dataset and seed may have a new run.
SUPERSEDED = "superseded"
#: Rows with the same key would count twice in a mean over seeds.
KEYS = {
    RUNS: ["dataset", "method", "seed"],
    SCORES: ["dataset", "method", "seed", "condition", "level", "metric"],
    CURVES: ["dataset", "method", "seed", "condition", "level", "curve", "x"],
    BY_GROUP: ["dataset", "method", "seed", "condition", "level", "metric"],
}
#: Options for floats that are exact to the last digit, which pandas is by itself from 3.1 on.
EXACT: dict[str, Any] = {}
if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):
    EXACT = {"float_precision": "round_trip"}

#: Errors of reading a damaged file, whether a table, JSON or an archive of arrays.
DAMAGE = (
    *(OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, tokenize.TokenError),
    *(RuntimeError, TypeError, AttributeError, KeyError, OverflowError, SyntaxError, MemoryError),
    csv.Error,
)


def curves_file(suite: Path) -> Path:
    """Path of the curves of a suite; those of older versions are not compressed."""
    old = suite / "curves.csv"
    if old.exists() and not (suite / CURVES).exists():
        return old
    return suite / CURVES


def scores_file(suite: Path) -> Path:
    """Path of the scores of a suite, which may have been compressed to be published."""
    return store.stored(suite / SCORES)


def runs_file(suite: Path) -> Path:
    """Path of the runs of a suite, which may have been compressed to be published."""
    return store.stored(suite / RUNS)


def table(path: Path, kind: str = "") -> pd.DataFrame:
    """Rows of a CSV file: text as it stands, exact floats, NaN where no number is written.

    ``kind`` is the derived file with the same columns, where the file has another name.
    """
    plain = PACKED.get(path.name, path.name)
    kind = kind or plain
    if not path.exists():
        raise UsageError(f"missing {path} (make it with: bench-uq score)")
    with checked(path, "baseline" if kind == SCORES != plain else "score"):
        _check_whole(path)
        frame = _runs(path) if kind == RUNS else _rows(path, kind)

        for column in frame.columns.intersection(NUMBERS):
            _check_numbers(frame[column])
        _check_keys(frame[KEYS[kind]])
        return frame


def environments(path: Path) -> dict[str, dict[str, Any]]:
    """Environments of a list by fingerprint; empty without the file."""
    if not path.exists():
        return {}
    with checked(path):
        listed = store.loaded(as_written(path.read_bytes()))
        return {str(one["id"]): dict(one) for one in listed}


def about(path: Path) -> About:
    """Facts of methods and conditions; none without the file."""
    if not path.exists():
        return About()
    with checked(path):
        found: About = read(About, fields_of(store.parsed(path.read_bytes())))
        for facts in found.conditions.values():
            for text in (facts.level_name, facts.unit, facts.family):
                if not text.isprintable() or len(text) > LONGEST:
                    raise ValueError(f"{text[:LONGEST]!r} does not fit on an axis")
        return found


def damaged(path: Path, error: Exception, maker: str = "score") -> UsageError:
    """Error for a file that is not as it was written."""
    reason = " ".join(str(error).split()) or "it cannot be read"
    return UsageError(
        f"{path} is damaged or foreign: {reason} (make it anew with: bench-uq {maker})"
    )


@contextmanager
def checked(path: Path, maker: str = "score") -> Iterator[None]:
    """Refuse a file that cannot be read, or whose checksum is not the one that scoring wrote."""
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            raise ValueError("it is no file")
        yield
        # Nothing else shows that a digit has changed.
        if not _as_scored(path, _sums(path.with_name(store.CHECKSUMS))):
            raise ValueError(f"its checksum is not that in {store.CHECKSUMS}")
    except DAMAGE as error:
        raise damaged(path, error, maker) from None


def _as_scored(path: Path, written: Mapping[str, str]) -> bool:
    """Whether a file has its checksum, if there is one."""
    if path.name in written:
        return store.unchanged(path, written[path.name])
    plain = PACKED.get(path.name, "")
    if plain in written:
        # That of the plain file, which scoring wrote.
        with gzip.open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == written[plain]
    return True


def _sums(path: Path) -> dict[str, str]:
    """Checksums of derived files by name; empty without the file."""
    if not path.exists():
        return {}
    try:
        written = store.parsed(path.read_bytes()) if path.is_file() else None
        if not isinstance(written, dict) or SCORES not in written:
            raise ValueError("it does not name the derived files")
        return written
    except (OSError, ValueError) as error:
        raise damaged(path, error) from None


def _rows(path: Path, kind: str) -> pd.DataFrame:
    """Rows of scores or curves, text as sorted categories: a few bytes per row."""
    frame = _read(path, kind, text="category", seed="int64")
    for name, values in frame.select_dtypes("category").items():
        if not is_string_dtype(values.cat.categories):
            # pandas 3.1 takes names for numbers where all of a column look like numbers.
            text = pd.read_csv(path, usecols=[name], dtype="str", keep_default_na=False)
            values = text[name].astype("category")
        # Tables sort by the order of the categories, whatever the order in the file.
        frame[name] = values.cat.reorder_categories(sorted(values.cat.categories))

    # Fields that are lacking are read as empty, and a run has a name.
    if "" in frame["run"].cat.categories:
        raise ValueError("a row has fewer fields than columns")
    return frame


def _runs(path: Path) -> pd.DataFrame:
    """Rows of runs.csv but those of superseded runs, which may lack a seed."""
    read = _read(path, RUNS, text="str", seed="str")
    frame = read[read["status"] != SUPERSEDED].reset_index(drop=True)
    frame["seed"] = frame["seed"].astype("int64")

    for column, allowed in ALLOWED.items():
        for strange in sorted(set(frame[column]) - allowed):
            known = ", ".join(sorted(filter(None, allowed)))
            raise ValueError(f"{column} {strange!r} is not one of {known}")
    return frame


def _read(path: Path, kind: str, text: str, seed: str) -> pd.DataFrame:
    """Columns of a derived file by the types of text and of seeds; empty numbers are missing."""
    columns = COLUMNS[kind].split()
    types: Any = dict.fromkeys([*columns, *LATER.get(kind, "").split()], text)
    types |= {"seed": seed, **dict.fromkeys(NUMBERS, "float64")}
    missing = dict.fromkeys(NUMBERS, "")
    frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=missing, **EXACT)
    if "level" in frame:
        # A level that was computed is the one that was written, whatever its last digits.
        known = {level: level_key(level) for level in frame["level"].dropna().unique()}
        frame["level"] = frame["level"].map(known)
    # Of a field too many pandas makes an index.
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("a row has more fields than columns")

    for column in columns:
        if column not in frame:
            raise ValueError(f"it has no column {column!r}")
    for column in LATER.get(kind, "").split():
        if column not in frame:
            frame[column] = math.nan if column in NUMBERS else ""
        columns.append(column)
    return frame[columns]


def _check_whole(path: Path) -> None:
    """Require a file whose last line is whole, and that does not unpack to fill the memory."""
    if last_byte(path) not in (b"", b"\n"):
        raise ValueError("its last line is cut short")


def last_byte(path: Path) -> bytes:
    """The last byte of a file, unpacked; raise Bomb if it unpacks to fill the memory."""
    largest = limit(path.stat().st_size)
    size, end = 0, b""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while block := file.read(1 << 20):
            size, end = size + len(block), block[-1:]
            if size > largest:
                raise Bomb(f"it unpacks to more than {largest:,} bytes")
    return end


def _check_keys(keys: pd.DataFrame) -> None:
    """Require every key once."""
    # Few rows have the same hash; to compare all of them takes 100 bytes per row.
    alike = keys[pd.util.hash_pandas_object(keys, index=False).duplicated(keep=False)]
    for twice in alike[alike.duplicated()].itertuples(index=False):
        raise ValueError(f"it holds twice: {', '.join(map(str, twice))}")


def _check_numbers(values: pd.Series) -> None:
    """Require numbers that their column can hold; scores alone may be infinite."""
    if values.name == "x" and values.isna().any():
        raise ValueError("an x is missing")
    if values.name != "value" and np.isinf(values).any():
        raise ValueError(f"{values.name} is infinite")
