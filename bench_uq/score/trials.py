"""trials.csv: the trials by which a suite was tuned, beside the results of the chosen ones."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.api.names import parse, parse_full
from bench_uq.store import derived

FILE = "trials.csv"
CHOSEN = "tuned.toml"
COLUMNS = (
    *("study", "dataset", "method", "trial", "name", "settings", "seeds", "nll"),
    *("train_seconds", "chosen"),
)
#: Older files hold a single study, without its seed. A seed of the suite is named where each is
#: tuned apart.
LATER = {"study": "0", "seed": ""}
#: How the name of a tuned suite's folder ends.
END = "-tuned"


@dataclass(frozen=True)
class Trial:
    """A trial of a method on a dataset; number 0 is the default."""

    study: int  # its seed
    dataset: str
    method: str  # as the untuned suite has it
    number: int
    name: str  # with the options of the trial
    settings: Mapping[str, str]  # of its recipe
    seeds: int  # with an NLL
    nll: float  # of held-out examples, mean over the seeds; infinite if the trial diverged
    train_seconds: float  # of all seeds
    chosen: bool
    seed: int | None = None  # of the suite, where each is tuned apart

    @property
    def place(self) -> tuple[str, str]:
        """Dataset and method: of the trials of one place one is chosen, or one for each seed."""
        return self.dataset, self.method

    @property
    def called(self) -> str:
        """Name of the method in the results, if this trial was chosen."""
        return self.name if self.seed is None else self.method

    @property
    def values(self) -> dict[str, str]:
        """The options that stand in its name, and its settings."""
        return {**parse_full(self.name), **self.settings}

    @property
    def cells(self) -> list[object]:
        """Its row in the file."""
        settings = ",".join(f"{name}={value}" for name, value in self.settings.items())
        apart = [] if self.seed is None else [self.seed]
        numbers = [self.seeds, self.nll, self.train_seconds]
        first = [self.study, self.dataset, *apart, self.method, self.number, self.name]
        return [*first, settings, *numbers, self.chosen]


def columns_of(seeds: Iterable[int | None]) -> list[str]:
    """Names of the columns of the file; with the seed, if the trials name theirs."""
    columns = list(COLUMNS)
    if any(seed is not None for seed in seeds):
        columns.insert(columns.index("dataset") + 1, "seed")
    return columns


def read_trials(path: Path) -> tuple[Trial, ...]:
    """Read trials; a damaged file is refused in one line."""
    with derived.checked(path, "tune"):
        end = derived.last_byte(path)
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        # Spreadsheets begin a file with a byte order mark.
        text = content.decode("utf-8-sig")
        if end != b"\n":
            raise ValueError("its last line is cut short")
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        header = rows.fieldnames or ()
        for column in COLUMNS:
            if column not in header and column not in LATER:
                raise ValueError(f"it has no column {column!r}")

        found = []
        for row in rows:
            # Fields beyond the columns have no name, and fields that are lacking are None.
            if None in row or None in row.values():
                raise ValueError(f"line {rows.line_num} has not {len(header)} fields")
            found.append(_trial({**LATER, **row}, rows.line_num))
        _check(found)
        return tuple(found)


def _trial(row: Mapping[str, str], line: int) -> Trial:
    """One trial from a row of text."""
    numbers = {}
    whole = ["study", "trial", "seeds"]
    if row["seed"]:
        whole.append("seed")
    for column in whole:
        numbers[column] = int(_number(row, column, line))
        if numbers[column] != float(row[column]):
            raise ValueError(f"line {line}: {column} {row[column]!r} is no whole number")

    seconds = _number(row, "train_seconds", line)
    if math.isinf(seconds):
        raise ValueError(f"line {line}: train_seconds are infinite")
    if row["chosen"] not in ("True", "False"):
        raise ValueError(f"line {line}: chosen is {row['chosen']!r}, not True or False")

    return Trial(
        study=numbers["study"],
        dataset=row["dataset"],
        method=row["method"],
        number=numbers["trial"],
        name=row["name"],
        settings=_settings(row["settings"], line),
        seeds=numbers["seeds"],
        nll=_number(row, "nll", line, least=-math.inf),
        train_seconds=seconds,
        chosen=row["chosen"] == "True",
        seed=numbers.get("seed"),
    )


def _settings(text: str, line: int) -> dict[str, str]:
    """The settings of a trial; a default may have none."""
    if not text:
        return {}
    try:
        return parse(f"settings[{text}]")[1]
    except UsageError as error:
        raise ValueError(f"line {line}: {error}") from None


def _number(row: Mapping[str, str], column: str, line: int, least: float = 0.0) -> float:
    """A number of a row; not below ``least``, never NaN, infinite only upwards."""
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    # The NLL of a density may be negative, but no loss is minus infinity.
    if math.isnan(value) or value < least or value == -math.inf:
        raise ValueError(f"line {line}: {column} is {row[column]!r}, not a number that it can be")
    return value


def _check(trials: Iterable[Trial]) -> None:
    """Require each trial once, and one chosen trial of each method, dataset and seed."""
    counts = Counter[tuple[object, ...]]()
    chosen = Counter[tuple[str, str, int | None]]()
    for one in trials:
        seed = () if one.seed is None else (f"seed {one.seed}",)
        counts[one.study, *one.place, *seed, one.number] += 1
        chosen[*one.place, one.seed] += one.chosen

    for key, count in counts.items():
        if count > 1:
            raise ValueError(f"it holds twice: {', '.join(map(str, key))}")
    for place, count in chosen.items():
        if count != 1:
            where = f"{place[1]} on {place[0]}"
            if place[2] is not None:
                where += f" at seed {place[2]}"
            raise ValueError(f"{count} trials are chosen of {where}, not one")


def of_tuned(suite: Path) -> Path | None:
    """The trials of a tuned suite; None for other suites.

    Where the suite was tuned, the file lies beside what was chosen.
    """
    path = store.stored(suite / FILE)
    if path.exists() and not (suite / CHOSEN).exists():
        return path
    return None


def untuned(suite: Path) -> Path | None:
    """The folder of a tuned suite at its defaults, beside it; None if there are no results."""
    name = suite.name.removesuffix(END)
    if name in ("", suite.name):
        return None

    folder = suite.with_name(name)
    if derived.runs_file(folder).is_file() and derived.scores_file(folder).is_file():
        return folder
    return None


def narrowed(trials: Iterable[Trial], places: Iterable[tuple[str, str]]) -> tuple[Trial, ...]:
    """The trials of the methods whose chosen name has runs; ``places`` are datasets and names."""
    known, kept = set(places), set[tuple[str, str]]()
    trials = tuple(trials)
    for one in trials:
        if one.chosen and (one.dataset, one.called) in known:
            kept.add(one.place)
    return tuple(one for one in trials if one.place in kept)
