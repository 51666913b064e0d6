"""bench-uq tune --per-seed, through the command line: folds of a table, each tuned on its own."""

from __future__ import annotations

import csv
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench_uq.datasets.uci import permutation
from bench_uq.score.results import read
from bench_uq.store import read_json, write_json
from tests.cli.commands import done, invoke

SUITE = """
methods = ["map", "dropout"]
datasets = ["uci[name=mine]"]
seeds = [0, 1]

[settings]
epochs = 4
batch = 8
learning_rate = 1e-4
draws = 3

[search.dropout]
rate = { low = 0.05, high = 0.3 }
"""
PUBLISHED = """
dataset,method,condition,level,metric,value,spread,source,certainty,notes
uci[name=mine],map,clean,,rmse,0.25,,Somebody 2015,seen,
""".lstrip()
TUNE = ("tune", "--per-seed", "--suite", "folds.toml", "--trials", "3", "--device", "cpu")
RUN = ("run", "--suite", "folds.toml", "--device", "cpu")
ROWS = 60
DATASET = "uci[name=mine]"


def table() -> np.ndarray:
    """A table whose target is a line of its features, and some noise."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(ROWS, 2))
    target = features @ [1.0, -2.0] + 0.3 * rng.normal(size=ROWS)
    return np.column_stack([features, target])


def written(folder: Path, rows: np.ndarray) -> Path:
    """A folder with the suite and the table."""
    (folder / "data" / "uci").mkdir(parents=True)
    np.savetxt(folder / "data" / "uci" / "mine.txt", rows, "%.6f")
    (folder / "folds.toml").write_text(SUITE)
    (folder / "folds.reference.csv").write_text(PUBLISHED)
    return folder


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which each of two folds was tuned, and what the command said."""
    folder = written(tmp_path_factory.mktemp("folds"), table())
    (folder / "out").write_text(done(folder, *TUNE))
    return folder


def trials(folder: Path) -> list[dict[str, str]]:
    """Rows of trials.csv."""
    with (folder / "results/folds/trials.csv").open() as file:
        return list(csv.DictReader(file))


def chosen(folder: Path) -> list[Mapping[str, object]]:
    """What tuned.toml has for each place."""
    text = (folder / "results/folds/tuned.toml").read_text()
    found: list[Mapping[str, object]] = tomllib.loads(text)["chosen"]
    return found


def test_each_seed_has_the_best_of_its_own_trials(tuned: Path) -> None:
    """Of three trials of a method and seed the one of the lowest NLL on its held-out tenth."""
    rows, choices = trials(tuned), chosen(tuned)
    places = [(one["method"], one["seed"]) for one in choices]
    assert places == [("map", 0), ("map", 1), ("dropout", 0), ("dropout", 1)]
    assert {row["seeds"] for row in rows} == {"1"}

    for one in choices:
        place = str(one["method"]), str(one["seed"])
        own = [row for row in rows if (row["method"], row["seed"]) == place]
        assert [row["trial"] for row in own] == ["0", "1", "2"]
        best = min(own, key=lambda row: float(row["nll"]))
        assert (one["trial"], one["name"]) == (int(best["trial"]), best["name"])
        assert one["nll"] == float(best["nll"])
        assert one["default_nll"] == float(own[0]["nll"])

    # A mean over both seeds would be the same for both.
    assert len({row["nll"] for row in rows}) == len(rows)
    said = (tuned / "out").read_text()
    assert f"{DATASET}: dropout: other than its default for 2 of 2 seeds; mean validation" in said


def test_the_test_rows_of_a_fold_decide_nothing(tuned: Path, tmp_path: Path) -> None:
    """With other targets in the test rows of fold 0 its trials have the same NLLs."""
    rows = table()
    tested = permutation(ROWS, 0, 20)[-ROWS // 10 :]
    rows[tested, -1] += 50
    other = written(tmp_path / "other", rows)
    done(other, *TUNE, "--seeds", "0")

    ours = [row["nll"] for row in trials(tuned) if row["seed"] == "0"]
    assert [row["nll"] for row in trials(other)] == ours

    # The check would see it if they did: with other training rows they differ.
    rows = table()
    rows[permutation(ROWS, 0, 20)[: ROWS // 2], -1] += 50
    shifted = written(tmp_path / "shifted", rows)
    done(shifted, *TUNE, "--seeds", "0")
    assert [row["nll"] for row in trials(shifted)] != ours


def test_seeds_of_one_method_are_averaged(tuned: Path) -> None:
    """Results call each method as the suite does, and no seed is left out for its recipe."""
    done(tuned, *RUN)
    done(tuned, *RUN, "--tuned")
    runs = pd.read_csv(tuned / "results/folds-tuned/runs.csv")
    assert sorted(zip(runs["method"], runs["seed"], strict=True)) == [
        *(("dropout", 0), ("dropout", 1), ("map", 0), ("map", 1)),
    ]

    for one in chosen(tuned):
        row = runs[(runs["method"] == one["method"]) & (runs["seed"] == one["seed"])].iloc[0]
        settings = one["settings"]
        assert isinstance(settings, dict)
        assert row["learning_rate"] == settings.get("learning_rate", 1e-4)
        options = str(one["name"]).partition("[")[2].rstrip("]").split(",")
        assert all(option in str(row["method_full"]) for option in options)

    found = read(tuned / "results/folds-tuned")
    assert list(found.runs["left_out"]) == [""] * 4
    scores = found.scores[found.scores["metric"] == "rmse"]
    assert len(scores) == 4


def test_reports_say_so(tuned: Path, tmp_path: Path) -> None:
    """Caption, table of tuning and the differences to the defaults."""
    folder = tmp_path / "reported"
    shutil.copytree(tuned, folder)
    done(folder, *RUN)
    done(folder, *RUN, "--tuned")
    done(folder, "report", "--suite", "folds-tuned", "--formats", "markdown")
    text = " ".join((folder / "reports/folds-tuned/summary.md").read_text().split())
    assert "tuned for each seed: 3 trials each, validation NLL" in text
    assert "3 trials each, for each of 2 seeds by its own validation NLL" in text
    assert "that took no part in tuning" not in text

    # Published values meet the name that the suite gives the method.
    assert "Somebody 2015" in text

    # The range of what was chosen, and the mean of the two NLLs.
    own = [one for one in chosen(folder) if one["method"] == "dropout"]
    rates = sorted((str(one["name"]).partition("rate=")[2][:-1] for one in own), key=float)
    expected = rates[0] if rates[0] == rates[1] else f"{rates[0]} to {rates[1]}"
    assert f"rate={expected}" in text.replace("\\", "")
    (line,) = [part for part in text.split(" | 3 | ")[1:] if part.startswith("0.")][-1:]
    mean = np.mean([one["nll"] for one in own])  # type: ignore[arg-type]
    assert f"{mean:.2f}" in line.split(" |")[2]


def test_more_seeds_join_the_same_study(tuned: Path, tmp_path: Path) -> None:
    """The choices of earlier seeds stay, and no trial of theirs is trained again."""
    folder = tmp_path / "more"
    shutil.copytree(tuned, folder)
    before, rows = chosen(folder), trials(folder)
    lines = done(folder, *TUNE, "--seeds", "2").splitlines()
    assert sum("trained in" in line for line in lines) == 6
    after = chosen(folder)
    assert after[:4] == before
    assert [(one["method"], one["seed"]) for one in after[4:]] == [("map", 2), ("dropout", 2)]
    assert trials(folder)[: len(rows)] == rows

    lines = done(folder, *TUNE, "--seeds", "0-2").splitlines()
    assert not any("trained in" in line for line in lines)
    assert sorted(map(str, chosen(folder))) == sorted(map(str, after))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            (*RUN, "--tuned", "--seeds", "5"),
            "map on uci[name=mine], seed 5, was not tuned: bench-uq tune --suite folds --methods "
            "map --datasets 'uci[name=mine]' --per-seed --seeds 5 --trials 3",
        ),
        ((*RUN, "--tuned", "--set", "dropout.rate=0.1"), "dropout has what the study chose"),
        ((*TUNE, "--seconds", "9"), "--per-seed and --seconds exclude each other"),
        ((*TUNE, "--sampler", "tpe"), "--per-seed and --sampler tpe exclude each other"),
    ],
)
def test_mistakes(tuned: Path, arguments: tuple[str, ...], told: str) -> None:
    """One line on stderr, exit code 2, and nothing is written."""
    before = sorted(tuned.rglob("*"))
    result = invoke(tuned, *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(tuned.rglob("*")) == before


def test_without_it_the_study_says_what_it_trains_on(tuned: Path) -> None:
    """Training rows of the tuning seeds are test rows of the suite's."""
    arguments = [part for part in TUNE if part != "--per-seed"]
    said = invoke(tuned, *arguments, "--results", "other", "--dry-run").stderr
    (line,) = [one for one in said.splitlines() if "split of its own" in one]
    assert line.startswith(f"{DATASET}: each seed has a split of its own")
    assert "split of its own" not in invoke(tuned, *TUNE, "--dry-run").stderr

    mixed = invoke(tuned, *arguments)
    assert mixed.exit_code == 2
    assert mixed.stderr.splitlines()[-1].endswith(
        "is of another study, whose per_seed is True, not False: remove it, or give other --results"
    )


def test_a_seed_of_another_code_counts_too(tuned: Path, tmp_path: Path) -> None:
    """Runs of a trial that a mean would leave out beside those of other seeds are of this study."""
    folder = tmp_path / "edited"
    shutil.copytree(tuned, folder)
    for path in folder.glob("results/folds-tuning/*/plan.json"):
        plan = read_json(path)
        for run in plan["runs"].values():
            run["code"]["training version"] = "0"
        write_json(path, plan)
    done(folder, *TUNE, "--seeds", "7")
    ours = [row["nll"] for row in trials(folder) if row["seed"] == "7"]
    assert len(ours) == 6
    assert "inf" not in ours

    # A mean over all three seeds would hold the first two alone.
    trial = next(folder.glob("results/folds-tuning/*/plan.json")).parent
    left_out = read(trial).runs.set_index("seed")["left_out"]
    assert [seed for seed in left_out.index if left_out[seed]] == [7]


LOST = """
from dataclasses import dataclass
from bench_uq.methods.map import MAP


@dataclass(frozen=True)
class Lost(MAP):
    def loss(self, net, inputs, targets, size, progress):
        return super().loss(net, inputs, targets, size, progress) * float("nan")
"""


def test_a_seed_that_fails_with_every_trial_keeps_its_default(tuned: Path) -> None:
    """It does not take their choices from the other methods, and fails in the results."""
    (tuned / "lost.py").write_text(LOST)
    arguments = ("--plugin", "lost.py", "--methods", "lost,map", "--results", "lost")
    done(tuned, *TUNE, *arguments, "--seeds", "0")
    text = (tuned / "lost/folds/tuned.toml").read_text()
    found = {one["method"]: one for one in tomllib.loads(text)["chosen"]}
    assert (found["lost"]["trial"], found["lost"]["nll"]) == (0, float("inf"))
    assert np.isfinite(found["map"]["nll"])

    ended = invoke(tuned, *RUN, "--tuned", *arguments, "--seeds", "0")
    assert ended.exit_code == 1
    runs = pd.read_csv(tuned / "lost/folds-tuned/runs.csv").set_index("method")
    assert dict(runs["status"]) == {"lost": "diverged", "map": "ok"}
