"""What a baseline has and the results lack: runs that failed or were never made, scores that are gone or no number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from bench_uq.check.pairing import place_of
from bench_uq.check.results import RunKey, Side
from bench_uq.check.verdicts import VERDICTS
from bench_uq.score.reproduce import commands

#: Statuses of runs that are still to be done; any other but ok has failed.
TO_DO = ("missing", "interrupted")


@dataclass(frozen=True)
class Hole:
    """Why a cell cannot pass, whatever its numbers are."""

    verdict: str
    rule: str


def holes(rows: pd.DataFrame, baseline: Side, now: Side) -> dict[int, Hole]:
    """Return the gravest hole of each cell that has one, by its place in the order of CELL; ``rows`` as paired."""
    lacking = _lacking(baseline, now)
    found: dict[int, Hole] = {}
    columns = [rows[name] for name in ("dataset", "method", "seed", "there")]
    finite = [rows[name].notna() for name in ("first", "second")]
    for cell, dataset, method, seed, there, was, is_now in zip(
        place_of(rows), *columns, *finite, strict=True
    ):
        hole = lacking.get((dataset, method, seed)) or _no_value(
            seed, there=there, was=was, is_now=is_now
        )
        if hole and (cell not in found or _gravity(hole) < _gravity(found[cell])):
            found[cell] = hole
    return found


def _gravity(hole: Hole) -> int:
    """Return the place of a hole's verdict, 0 for the gravest."""
    return VERDICTS.index(hole.verdict)


def _lacking(baseline: Side, now: Side) -> dict[RunKey, Hole]:
    """Return what is wrong with whole runs."""
    done = {
        key[:2] for key, run in now.runs.items() if key in baseline.runs and run.status not in TO_DO
    }
    found = {}
    for key in baseline.runs:
        run = now.runs.get(key)
        if run and run.status not in ("ok", *TO_DO):
            found[key] = Hole(
                "regressed",
                f"seed {key[2]} {run.status}" + (f": {run.reason}" if run.reason else ""),
            )
        elif key[:2] not in done:
            found[key] = Hole("missing", "no run of this method on this dataset")
        elif run is None or run.status in TO_DO:
            found[key] = Hole(
                "inconclusive", f"fewer seeds than in the baseline: seed {key[2]} was not run"
            )
    return found


def _no_value(seed: int, *, there: bool, was: bool, is_now: bool) -> Hole | None:
    """Return what is wrong with one score of a finished run."""
    if not there:
        return Hole("missing", f"no such score at seed {seed}")
    if not is_now:
        return Hole("regressed", f"no finite value at seed {seed}")
    return (
        None
        if was
        else Hole("inconclusive", f"the baseline has no finite value at seed {seed}: make it anew")
    )


def to_run(baseline: Side, now: Side) -> list[str]:
    """Return the commands that make the runs of a baseline that are still to be done."""
    made: Mapping[tuple[str, str], str] = {
        key[:2]: run.command for key, run in sorted(now.runs.items(), reverse=True) if run.command
    }
    lacking = []
    for key, run in sorted(baseline.runs.items()):
        there = now.runs.get(key)
        if there is None or there.status in TO_DO:
            lacking.append((made.get(key[:2], run.command), key[1], key[0], key[2]))
    return commands(lacking)
