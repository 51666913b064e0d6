"""What the gate says: a verdict a cell, and what becomes of the build."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench_uq.check.pairing import Row
from bench_uq.check.scales import SCALES

#: All verdicts, the gravest first.
VERDICTS = ("missing", "regressed", "inconclusive", "changed", "improved", "pass")
#: Those that fail a build.
FATAL = ("missing", "regressed")


@dataclass(frozen=True)
class Cell:
    """The verdict on one score of one method on one dataset, with what it rests on; numbers there are not are None.

    ``baseline`` and ``now`` are means over the shared ``seeds``. ``change``, with its interval from ``low`` to ``high``
    (1 - ALPHA, of this cell alone), is their difference on the cell's scale: a factor of ``unit``, above 1 where the
    score got worse or more uncertain, or the difference itself where ``unit`` is None; so are ``margin`` and
    ``detectable``, the change that would be found with a probability of POWER. ``p`` is adjusted for all cells.
    """

    dataset: str
    method: str
    condition: str
    level: float | None
    metric: str
    verdict: str
    rule: str
    seeds: int
    baseline: float | None
    now: float | None
    difference: float | None
    unit: str | None
    change: float | None
    low: float | None
    high: float | None
    margin: float | None
    p: float | None
    detectable: float | None = None


@dataclass(frozen=True)
class Outcome:
    """All cells, the commands that make the runs that lack, and what else is to be known of the comparison.

    ``order`` holds the verdicts that there are, those of ``quiet`` are not worth a row, ``names`` are of both sides.
    """

    cells: tuple[Cell, ...]
    commands: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    order: tuple[str, ...] = VERDICTS
    quiet: tuple[str, ...] = ("changed", "pass")
    names: tuple[str, str] = ("baseline", "now")

    def counts(self) -> dict[str, int]:
        """Return how many cells have each verdict, in their order, those that none has left out."""
        found = {name: sum(cell.verdict == name for cell in self.cells) for name in self.order}
        return {name: count for name, count in found.items() if count}

    @property
    def verdict(self) -> str:
        """The first verdict, by their order, that a cell has."""
        return next(iter(self.counts()))

    @property
    def exit_code(self) -> int:
        """0 where the build may pass, 1 where a score regressed or is missing, 3 where the seeds cannot tell."""
        return 1 if self.verdict in FATAL else 3 if self.verdict == "inconclusive" else 0


def as_cell(row: Row, verdict: str, rule: str, detectable: float = math.nan) -> Cell:
    """Return the verdict on a row of cells with its numbers as they are told; ``detectable`` is on the row's scale."""
    scale = SCALES[row["scale"]]

    def told(difference: float) -> float | None:
        return scale.change(difference) if math.isfinite(difference) else None

    return Cell(
        dataset=row["dataset"],
        method=row["method"],
        condition=row["condition"],
        level=_number(row["level"]),
        metric=row["metric"],
        verdict=verdict,
        rule=rule,
        seeds=row["seeds"],
        baseline=_number(row["first"]),
        now=_number(row["second"]),
        difference=_number(row["second"] - row["first"]),
        unit=scale.factor_of,
        change=told(row["change"]),
        low=told(row["low"]),
        high=told(row["high"]),
        margin=told(row["margin"]),
        p=_number(row["p"]),
        detectable=told(detectable),
    )


def _number(value: float) -> float | None:
    """Return a number, None where there is none."""
    return float(value) if math.isfinite(value) else None


def as_read(p: float) -> str:
    """Return a p-value as it is read."""
    return "below 0.0001" if p < 1e-4 else f"{p:.2g}"
