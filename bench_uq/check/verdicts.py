"""The verdict on each cell, and the exit code that follows from all of them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from bench_uq.check.pairing import Row
from bench_uq.check.scales import SCALES
from bench_uq.store.about import About

#: All verdicts, the worst first.
VERDICTS = (
    *("missing", "stale", "unlike", "regressed"),
    *("inconclusive", "changed", "improved", "pass"),
)
#: Those that fail a build.
FATAL = VERDICTS[:4]


@dataclass(frozen=True)
class Cell:
    """The verdict on one score of one method on one dataset; unknown numbers are None.

    ``baseline`` and ``now`` are means over the shared ``seeds``. ``change``, with its interval from
    ``low`` to ``high`` (1 - ALPHA, for this cell alone), is their difference on the cell's scale:
    a factor of ``unit``, above 1 if the score got worse or more uncertain, or the difference itself
    if ``unit`` is None. ``margin`` and ``detectable``, the change found with a probability of
    POWER, are expressed in the same way. ``p`` is adjusted for all cells.
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
class Verdicts:
    """All cells, the commands that make missing runs, and remarks on the comparison.

    ``order`` lists the possible verdicts, ``quiet`` those that need no row in a table, ``names``
    the two results. ``text`` is the whole in the format that was asked for, ``about`` says what
    levels are called.
    """

    cells: tuple[Cell, ...]
    commands: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    order: tuple[str, ...] = VERDICTS
    quiet: tuple[str, ...] = ("changed", "pass")
    names: tuple[str, str] = ("baseline", "now")
    text: str = field(default="", repr=False)
    about: About = field(default_factory=About, repr=False)

    def counts(self) -> dict[str, int]:
        """Number of cells with each verdict, in the order of verdicts, without zeros."""
        found = Counter(cell.verdict for cell in self.cells)
        return {verdict: found[verdict] for verdict in self.order if found[verdict]}

    @property
    def verdict(self) -> str:
        """The worst verdict of any cell."""
        return next(iter(self.counts()))

    @property
    def exit_code(self) -> int:
        """0: nothing got worse; 1: a score regressed or cannot be judged; 3: too few seeds."""
        # 2 is the exit code of a mistake on the command line.
        if self.verdict in FATAL:
            return 1
        if self.verdict == "inconclusive":
            return 3
        return 0


def as_cell(row: Row, verdict: str, rule: str, detectable: float = math.nan) -> Cell:
    """Turn a row of numbers on its scale, ``detectable`` too, into a cell for readers."""
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
    """The number, or None if it is not finite."""
    return float(value) if math.isfinite(value) else None


def as_read(p: float) -> str:
    """A p-value with two digits."""
    return "below 0.0001" if p < 1e-4 else f"{p:.2g}"
