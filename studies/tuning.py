"""How many trials are enough, and whether a study treats equal methods equally.

    bench-uq tune --suite quick --methods map,dropout,ensemble,mean-field,mnf --trials 8
    python -m studies.tuning results/quick-tuning/trials.csv

prints the expected best validation NLL by the number of trials (Dodge et al. 2019, eq. 5, for the
lowest of several).

    python -m studies.tuning --copies 20

tunes two copies of one method under two names, 20 studies of four trials on the digits at five
epochs, runs what was chosen, and tests whether their NLL on the test split differs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import bench_uq
from studies.claims import table

SUITE = """
methods = ["one", "two"]
datasets = ["digits"]
seeds = [0, 1]

[settings]
epochs = 5
learning_rate = 1e-3
schedule = "cosine"
draws = 1
"""
COPY = """
from dataclasses import dataclass

from bench_uq.methods.map import MAP


@dataclass(frozen=True)
class {name}(MAP):
    pass
"""
TRIALS = 4


def expected_best(values: Sequence[float], count: int) -> float:
    """Expected lowest of ``count`` draws, with replacement, from some values."""
    ordered = np.sort(np.asarray(values))
    above = 1 - np.arange(len(ordered) + 1) / len(ordered)
    # P(the lowest of the draws is the i-th value) = P(all >= it) - P(all > it).
    chances = above[:-1] ** count - above[1:] ** count
    return float((ordered * chances).sum())


def curve(file: Path) -> None:
    """Print the expected best validation NLL of each method by the number of trials."""
    trials = pd.read_csv(file)
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count <= trials["trial"].max() + 1]
    rows = []
    for method, own in trials.groupby("method", sort=False):
        found = [f"{expected_best(own['nll'].tolist(), count):.3f}" for count in counts]
        rows.append([f"`{method}`", *found, f"{own['train_seconds'].sum():.0f}"])
    table(["method", *map(str, counts), "seconds"], rows)


def copies(studies: int) -> str:
    """Difference of the tuned test NLL of two copies of ``map``, over studies."""
    with tempfile.TemporaryDirectory() as name:
        folder, differences = Path(name), list[float]()
        (folder / "copies.toml").write_text(SUITE)
        plugins = []
        for copy in ("one", "two"):
            plugins.append(folder / f"{copy}.py")
            plugins[-1].write_text(COPY.format(name=copy.title()))

        for study in range(studies):
            results = folder / str(study)
            given = {"results": results, "plugins": plugins, "notice": lambda text: None}
            suite = folder / "copies.toml"
            bench_uq.tune(suite, trials=TRIALS, seeds=[100 + study], study=study, **given)
            scores = bench_uq.run(suite, tuned=True, **given).scores

            own = scores[(scores["condition"] == "clean") & (scores["metric"] == "nll")]
            plain = own["method"].str.partition("[")[0]
            means = own.groupby(plain)["value"].mean()
            differences.append(float(means["one"] - means["two"]))

    mean, se = np.mean(differences), stats.sem(differences)
    test = stats.ttest_1samp(differences, 0)
    return (
        f"{studies} studies: NLL of one copy less that of the other {mean:+.4f} ± {se:.4f} "
        f"(t test: p = {test.pvalue:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--copies", type=int, default=0, metavar="STUDIES")
    given = parser.parse_args()
    if given.file:
        curve(given.file)
    if given.copies:
        print(copies(given.copies))


if __name__ == "__main__":
    main()
