"""Reading a million stored scores, as reports and the check do, beside plain readers.

``table`` is pandas with names as categories and every check of the file (checksum, repeated keys,
last line); ``pandas`` is read_csv alone, ``csv and float`` Python's reader, with the same floats.
"""

from __future__ import annotations

import csv
import itertools
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from bench_uq import store
from bench_uq.score.score import SCORES
from bench_uq.store import derived
from benchmarks import rounds

METHODS, METRICS, LEVELS = 10, 25, (0.0, 0.05, 0.1, 0.2, 0.3)


def write_scores(path: Path, rows: int) -> None:
    """Write random scores of ten methods and as many seeds as it takes, with their checksum."""
    draw = random.Random(0)
    seeds = range(rows // (METHODS * len(LEVELS) * METRICS))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SCORES)
        for method, seed in itertools.product(range(METHODS), seeds):
            run = f"method{method}-mnist-s{seed}-01234567"
            for level, metric in itertools.product(LEVELS, range(METRICS)):
                place = ("mnist", f"method{method}", seed, "fgsm", level, f"metric{metric}")
                writer.writerow([*place, draw.random(), run])
    store.write_json(path.with_name(store.CHECKSUMS), {path.name: store.sha256(path)})


def with_csv(path: Path) -> list[float]:
    """Values of scores by Python's csv."""
    with path.open(encoding="utf-8", newline="") as file:
        return [float(row["value"]) for row in csv.DictReader(file)]


def main() -> None:
    parser = rounds.parser(__doc__, "read.csv", rounds=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder, derived.SCORES)
        write_scores(path, arguments.rows)
        assert derived.table(path)["value"].tolist() == with_csv(path)

        subjects: dict[str, rounds.Work] = {
            "table": lambda: derived.table(path),
            "pandas": lambda: pd.read_csv(path),
            "csv and float": lambda: with_csv(path),
        }
        measured = rounds.interleaved(subjects, arguments.rounds)
    made = rounds.rows("read", measured, dict.fromkeys(subjects, "csv and float"))
    rounds.show(made)
    rounds.write(arguments.out, made)


if __name__ == "__main__":
    main()
