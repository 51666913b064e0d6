"""How many trials are enough, and whether a study treats equal methods equally.

    bench-uq tune --suite quick --methods map,dropout,ensemble,mean-field,mnf --trials 8
    python -m studies.tuning results/quick/trials.csv

prints the expected best validation NLL by the number of trials (Dodge et al. 2019, eq. 5, for the
lowest of several).

    python -m studies.tuning --copies 20

tunes two copies of one method under two names, 20 studies of four trials on the digits at five
epochs, runs what was chosen, and tests whether their NLL on the test split differs.

    python -m studies.tuning --best 20

asks whether tuning harms a method whose default is already the best of its space: it first makes
the best of 16 points over six seeds the default of ``map``, then tunes it anew
in 20 studies of four trials over three seeds, and tests the NLL on the test split, tuned less
default, over the same seeds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import bench_uq
from bench_uq.api.names import parse
from bench_uq.score.tuning import expected_best
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


def curve(file: Path) -> None:
    """Print the expected best validation NLL of each method by the number of trials."""
    trials = pd.read_csv(file)
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count <= trials["trial"].max() + 1]
    rows = []
    for method, own in trials.groupby("method", sort=False):
        found = [f"{expected_best(own['nll'].tolist(), count):.3f}" for count in counts]
        rows.append([f"`{method}`", *found, f"{own['train_seconds'].sum():.0f}"])
    table(["method", *map(str, counts), "seconds"], rows)


def silent(text: str) -> None:
    """Print nothing of what a command tells."""
    del text


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
            suite = folder / "copies.toml"
            bench_uq.tune(
                suite,
                trials=TRIALS,
                seeds=[100 + study],
                seed=study,
                results=results,
                plugins=plugins,
                notice=silent,
            )
            done = bench_uq.run(suite, tuned=True, results=results, plugins=plugins, notice=silent)
            scores = done.scores

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


BEST = """
methods = ["map"]
datasets = ["digits"]
seeds = [0, 1]

[settings]
epochs = 5
learning_rate = {rate!r}
schedule = "cosine"
draws = 1

[options.map]
prior_std = {prior!r}
"""
#: Trials of the first search.
FIRST = 16


def best_default(studies: int) -> str:
    """Change of the test NLL of a method by tuning, where its default is the best of its space."""
    with tempfile.TemporaryDirectory() as name:
        folder, differences = Path(name), list[float]()
        suite = folder / "best.toml"
        suite.write_text(BEST.format(rate=3e-3, prior=1.0))
        found = bench_uq.tune(
            suite, trials=FIRST, seeds=range(50, 56), results=folder / "first", notice=silent
        )
        rate = found.chosen[0].settings.get("learning_rate", 3e-3)
        prior = float(parse(found.chosen[0].name)[1].get("prior_std", 1.0))
        suite.write_text(BEST.format(rate=rate, prior=prior))
        kept = 0
        for study in range(studies):
            results = folder / str(study)
            # Seeds of its own: each study judges by another pair.
            pair = [1000 + 2 * study, 1001 + 2 * study]
            trained = [100 + 3 * study + place for place in range(3)]
            chosen = bench_uq.tune(
                suite, trials=TRIALS, seeds=trained, seed=study + 1, results=results, notice=silent
            )
            kept += chosen.chosen[0].trial == 0

            means = []
            for tuned in (True, False):
                run = bench_uq.run(suite, seeds=pair, tuned=tuned, results=results, notice=silent)
                scores = run.scores
                own = scores[(scores["condition"] == "clean") & (scores["metric"] == "nll")]
                means.append(own["value"].mean())
            differences.append(float(means[0] - means[1]))

    mean, se = np.mean(differences), stats.sem(differences)
    test = stats.ttest_1samp(differences, 0)
    return (
        f"{studies} studies around the best of {FIRST} points (learning rate {rate:g}, prior_std "
        f"{prior:g}): the default was kept in {kept}; test "
        f"NLL, tuned less default {mean:+.4f} ± {se:.4f} (t test: p = {test.pvalue:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--copies", type=int, default=0, metavar="STUDIES")
    parser.add_argument("--best", type=int, default=0, metavar="STUDIES")
    given = parser.parse_args()
    if given.file:
        curve(given.file)
    if given.copies:
        print(copies(given.copies))
    if given.best:
        print(best_default(given.best))


if __name__ == "__main__":
    main()
