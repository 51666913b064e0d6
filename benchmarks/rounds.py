"""Timing side by side: every subject once per round in one process: a slow spell hits all."""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import torch

Work = Callable[[], object]
Limits = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Row:
    """One subject of a benchmark: its time, and its ratio to the subject it is compared with."""

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


def parser(description: str | None, out: str, rounds: int) -> argparse.ArgumentParser:
    """Options that the benchmarks share: the number of rounds and the CSV file to write."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--out", type=Path, default=Path("benchmarks/measured", out))
    return made


def seconds_of(work: Work, repeats: int = 1) -> float:
    """Seconds per repeat, the work on the device included."""
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def interleaved(
    subjects: Mapping[str, Work], rounds: int, repeats: int = 1, warm_up: int = 1
) -> list[dict[str, float]]:
    """Time all subjects in turn: for each round the seconds of each subject."""
    for work in subjects.values():
        for _ in range(warm_up):
            seconds_of(work)

    measured = []
    for _ in range(rounds):
        measured.append({name: seconds_of(work, repeats) for name, work in subjects.items()})
    return measured


def median(measured: Sequence[Mapping[str, float]], name: str) -> float:
    """Median seconds of one subject over the rounds."""
    return statistics.median(seconds[name] for seconds in measured)


def rows(
    benchmark: str,
    measured: Sequence[Mapping[str, float]],
    against: Mapping[str, str],
    device: str = "cpu",
) -> list[Row]:
    """Summarise the rounds: one row per subject that is compared with another."""
    where = (len(measured), device, torch.get_num_threads(), torch.__version__)
    made = []
    for name, other in against.items():
        # Ratios within a round: its two times share the state of the machine.
        ratios = [seconds[name] / seconds[other] for seconds in measured]
        middle, lowest, highest = statistics.median(ratios), min(ratios), max(ratios)
        milliseconds = 1000 * median(measured, name)

        made.append(Row(benchmark, name, other, middle, lowest, highest, milliseconds, *where))
    return made


def show(made: Sequence[Row], limits: Limits | None = None) -> None:
    """Print rows as a table; ``limits`` are the largest ratios, by subject and its comparison."""
    for row in made:
        spread = f"({row.lowest:.2f} to {row.highest:.2f})"
        line = f"{row.subject:42} {row.milliseconds:10.2f} ms  {row.ratio:6.3f} x {row.against:28}"
        aim = ""
        limit = (limits or {}).get((row.subject, row.against))
        if limit is not None:
            aim = f"  at most {limit:.2f}: {'yes' if row.ratio <= limit else 'NO'}"
        print(f"{line} {spread:16}{aim}")


def write(path: Path, made: Sequence[Row]) -> None:
    """Write rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(map(astuple, made))
    print(f"written: {path}")
