"""Timing side by side: every subject once a round, in one process, so that what slows the machine slows them all."""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One subject of a benchmark: its time, and its ratio to what it is held against."""

    benchmark: str
    subject: str
    against: str
    ratio: float  # the median over the rounds
    lowest: float
    highest: float
    milliseconds: float  # the median over the rounds
    rounds: int
    device: str
    threads: int
    torch: str


def seconds_of(work: Work, repeats: int = 1) -> float:
    """Return the seconds of one repeat, the device's work included."""
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def interleaved(
    subjects: Mapping[str, Work], rounds: int, repeats: int = 1, warm_up: int = 1
) -> list[dict[str, float]]:
    """Return the seconds of each subject, one mapping a round."""
    for work in subjects.values():
        seconds_of(work, warm_up)
    return [
        {name: seconds_of(work, repeats) for name, work in subjects.items()} for _ in range(rounds)
    ]


def rows(
    benchmark: str,
    measured: Sequence[Mapping[str, float]],
    against: Mapping[str, str],
    device: str = "cpu",
) -> list[Row]:
    """Return a row for each subject that is held against another one."""
    made = []
    for name, other in against.items():
        ratios = [one[name] / one[other] for one in measured]
        median = 1000 * statistics.median(one[name] for one in measured)
        where = (len(measured), device, torch.get_num_threads(), torch.__version__)
        made.append(
            Row(
                benchmark,
                name,
                other,
                statistics.median(ratios),
                min(ratios),
                max(ratios),
                median,
                *where,
            )
        )
    return made


def show(made: Sequence[Row], limits: Mapping[tuple[str, str], float] | None = None) -> None:
    """Print rows as a table; ``limits`` are what a subject is to stay below, by itself and what it is held against."""
    for row in made:
        limit = (limits or {}).get((row.subject, row.against))
        aim = (
            ""
            if limit is None
            else f"  at most {limit:.2f}: {'yes' if row.ratio <= limit else 'NO'}"
        )
        spread = f"({row.lowest:.2f} to {row.highest:.2f})"
        print(
            f"{row.subject:42} {row.milliseconds:10.2f} ms  {row.ratio:6.3f} x {row.against:28} {spread:16}{aim}"
        )


def write(path: Path, made: Sequence[Row]) -> None:
    """Write rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows([getattr(row, field.name) for field in fields(Row)] for row in made)
    print(f"written: {path}")
