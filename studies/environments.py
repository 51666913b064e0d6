"""Distance of the same seeds in other environments.

    bench-uq run --seeds 0,1,2,3,4 --device cpu --set threads=2 --results two-threads
    python -m studies.environments results/quick/baseline.csv two-threads/quick ...

One row per folder: the number of cells that are equal to the last digit, the largest change beside
its margin, and the verdict.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench_uq.check.margins import Margins
from bench_uq.check.results import read_baseline, read_folder
from bench_uq.check.rule import judge
from bench_uq.check.verdicts import Cell
from studies.claims import table


def distance(cell: Cell) -> float:
    """Factor by which a score moved, up or down."""
    return max(cell.change, 1 / cell.change) if cell.change else 1.0


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit("usage: python -m studies.environments BASELINE.csv FOLDER...")

    baseline = read_baseline(Path(sys.argv[1]))
    rows = []
    for folder in map(Path, sys.argv[2:]):
        outcome = judge(baseline, read_folder(folder), Margins())
        equal = sum(cell.rule == "equal to the last digit" for cell in outcome.cells)

        far = max(outcome.cells, key=distance)
        place = f"{far.metric}, {far.method}, {far.condition}"
        if far.level is not None:
            place += f" {far.level:g}"
        changes = (f"×{distance(far):.2f}", place, f"×{far.margin:.2f}")
        rows.append((folder, len(outcome.cells), equal, *changes, outcome.verdict))
    table(["results", "cells", "equal", "largest change", "of", "its margin", "verdict"], rows)


if __name__ == "__main__":
    main()
