"""bench-uq tune and run --tuned, through the command line, on images whose test split is away."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench_uq.plan.plugins import Plugins
from bench_uq.plan.search_space import space_of
from bench_uq.plan.suite import read_suite
from bench_uq.run.adaptive import adaptive_trials
from tests.cli.commands import done, invoke

SUITE = """
methods = ["map", "dropout"]
datasets = ["folder[path=shapes]"]
seeds = [0, 1]

[settings]
epochs = 2
batch = 16
learning_rate = 1e-4
schedule = "cosine"
draws = 3

[conditions]
fgsm = [0.1]

[search.dropout]
rate = { low = 0.05, high = 0.3 }
"""
TUNE = ("tune", "--suite", "small.toml", "--trials", "3", "--device", "cpu", "--data-dir", ".")
RUN = ("run", "--suite", "small.toml", "--device", "cpu", "--data-dir", ".")


def draw(folder: Path, count: int) -> None:
    """Write noisy images of two classes, bright above or below."""
    rng = np.random.default_rng(0)
    for label, rows in (("above", slice(0, 4)), ("below", slice(4, 8))):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 120, (8, 8), dtype=np.uint8)
            pixels[rows] += 80
            Image.fromarray(pixels).save(folder / label / f"{number}.png")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a suite was tuned without its test split, which then came back."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "small.toml").write_text(SUITE)
    draw(folder / "shapes" / "train", 60)
    draw(folder / "away", 20)
    (folder / "out").write_text(done(folder, *TUNE))

    (folder / "away").rename(folder / "shapes" / "test")
    return folder


def test_every_method_has_as_many_trials_over_the_same_seeds(tuned: Path) -> None:
    """Three trials of three seeds that the suite lacks, evaluated on held-out training data."""
    with (tuned / "results/small/trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["trial"]) for row in rows] == [
        *(("map", "0"), ("map", "1"), ("map", "2")),
        *(("dropout", "0"), ("dropout", "1"), ("dropout", "2")),
    ]
    assert {row["seeds"] for row in rows} == {"3"}

    seeds = set()
    for path in tuned.glob("results/small-tuning/*/runs/*/run.json"):
        record = json.loads(path.read_text())
        assert record["settings"]["evaluate_on"] == "validation"
        assert [name for name in record["files"] if name.endswith(".npz")] == [
            "clean-" + name[6:] for name in record["files"] if name.endswith(".npz")
        ]
        seeds.add(record["seed"])
    assert seeds == {2, 3, 4}


def test_the_best_trial_on_held_out_data_is_chosen(tuned: Path) -> None:
    """tuned.toml names the trial of the lowest mean NLL, here never the default of 1e-4."""
    with (tuned / "results/small/trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    chosen = tomllib.loads((tuned / "results/small/tuned.toml").read_text())["chosen"]
    assert [one["method"] for one in chosen] == ["map", "dropout"]

    for one in chosen:
        own = [row for row in rows if row["method"] == one["method"]]
        best = min(own, key=lambda row: float(row["nll"]))
        assert (one["trial"], one["name"]) == (int(best["trial"]), best["name"])
        assert one["nll"] == float(best["nll"]) < one["default_nll"] == float(own[0]["nll"])
        assert [row["name"] for row in own if row["chosen"] == "True"] == [one["name"]]
    assert 0.05 <= float(chosen[1]["name"].partition("rate=")[2][:-1]) <= 0.3
    assert "tuned: results/small/tuned.toml" in (tuned / "out").read_text()


def test_what_was_chosen_as_json(tuned: Path) -> None:
    """--json prints the content of tuned.toml alone; how runs ended goes to stderr."""
    result = invoke(tuned, *TUNE, "--json")
    found = json.loads(result.stdout)
    expected = tomllib.loads((tuned / "results/small/tuned.toml").read_text())["chosen"]
    assert [one["name"] for one in found["chosen"]] == [one["name"] for one in expected]
    assert [one["nll"] for one in found["chosen"]] == [one["nll"] for one in expected]
    assert found["file"] == "results/small/tuned.toml"
    assert set(found["train_seconds"]) == {"map", "dropout"}


def test_an_interrupted_study_goes_on_to_the_same_file(tuned: Path, tmp_path: Path) -> None:
    """Stored trials are not trained again; runs that are lost are, and the file has the same bytes."""
    folder = tmp_path / "again"
    shutil.copytree(tuned, folder)
    file = folder / "results/small/tuned.toml"
    before = file.read_bytes()
    file.unlink()
    lost = sorted(folder.glob("results/small-tuning/*-t1-*/runs/*-s2-*"))
    for path in lost:
        shutil.rmtree(path)

    assert "2 of 3 runs stored" in done(folder, *TUNE, "--dry-run")
    lines = done(folder, *TUNE).splitlines()
    assert sum("trained in" in line for line in lines) == len(lost) == 2
    assert file.read_bytes() == before


def test_a_tuned_suite_runs_beside_the_defaults(tuned: Path) -> None:
    """run --tuned takes what was chosen, in a folder of its own, and reports say which it is."""
    done(tuned, *RUN)
    done(tuned, *RUN, "--tuned")
    chosen = tomllib.loads((tuned / "results/small/tuned.toml").read_text())["chosen"]
    with (tuned / "results/small-tuned/runs.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert {row["method"] for row in rows} == {one["name"] for one in chosen}
    for one in chosen:
        rates = {row["learning_rate"] for row in rows if row["method"] == one["name"]}
        assert rates == {str(one["settings"]["learning_rate"])}
    words = {
        "small": "options and recipe: defaults;",
        "small-tuned": "options and recipe: tuned: 3 trials each, validation NLL over 3 seeds;",
    }
    for suite, said in words.items():
        done(tuned, "report", "--suite", suite, "--formats", "markdown,latex")
        for name in ("summary.md", "tables/*-cost.tex"):
            (path,) = (tuned / "reports" / suite).glob(name)
            assert said in " ".join(path.read_text().split()), name


def test_two_shards_that_were_merged_choose_the_same(tuned: Path, tmp_path: Path) -> None:
    """Each machine does a part; joined, nothing is left to train and the file has the same bytes."""
    for name in ("small.toml", "shapes"):
        (tmp_path / name).symlink_to(tuned / name)
    shown = []
    for part in ("1/2", "2/2"):
        out = f"part{part[0]}"
        lines = done(tmp_path, *TUNE, "--shard", part, "--results", out).splitlines()
        shown.append(sum("trained in" in line for line in lines))
        assert not (tmp_path / out / "small").exists()
    # Two methods of three trials over three seeds.
    assert sum(shown) == 18
    assert min(shown) > 6

    merged = done(tmp_path, "merge", "part1", "part2", "--results", "all")
    assert "small-tuning/dropout-s0-t2" in merged
    assert " 0 missing" in merged
    lines = done(tmp_path, *TUNE, "--results", "all").splitlines()
    assert sum("trained in" in line for line in lines) == 0
    ours, theirs = tmp_path / "all/small/tuned.toml", tuned / "results/small/tuned.toml"
    assert ours.read_bytes() == theirs.read_bytes()


def test_seconds_limit_each_method_alike(tuned: Path) -> None:
    """No trial of a method begins once its seconds are spent; one that is stored counts again."""
    arguments = ("tune", "--suite", "small.toml", "--data-dir", ".", "--results", "timed")
    limits = ("--seconds", "1e-6", "--trials", "5", "--device", "cpu")
    done(tuned, *arguments, *limits)
    with (tuned / "timed/small/trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["trial"]) for row in rows] == [("map", "0"), ("dropout", "0")]

    (tuned / "timed/small/tuned.toml").unlink()
    first = [float(row["train_seconds"]) for row in rows]
    limits = ("--seconds", f"{max(first) * 1.01}", *limits[2:])
    done(tuned, *arguments, *limits)
    with (tuned / "timed/small/trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    for method in ("map", "dropout"):
        spent = [float(row["train_seconds"]) for row in rows if row["method"] == method]
        assert len(spent) == 5 or sum(spent) >= max(first) * 1.01
        # Before its last trial it had seconds left.
        assert sum(spent[:-1]) < max(first) * 1.01

    text = (tuned / "timed/small/tuned.toml").read_text()
    assert tomllib.loads(text)["seconds"] == pytest.approx(max(first) * 1.01)


def test_of_several_studies_the_median_is_chosen(tuned: Path) -> None:
    """Each study has points of its own; of their lowest values the middle one is taken."""
    arguments = ("tune", "--suite", "small.toml", "--data-dir", ".", "--results", "several")
    done(tuned, *arguments, "--trials", "2", "--studies", "3", "--seed", "4", "--methods", "map")
    with (tuned / "several/small/trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["study"], row["trial"]) for row in rows] == [
        *(("4", "0"), ("4", "1"), ("5", "0"), ("5", "1"), ("6", "0"), ("6", "1")),
    ]
    assert len({row["settings"] for row in rows}) == 4

    (chosen,) = tomllib.loads((tuned / "several/small/tuned.toml").read_text())["chosen"]
    lowest = {}
    for row in rows:
        value = float(row["nll"])
        lowest[int(row["study"])] = min(value, lowest.get(int(row["study"]), value))
    assert chosen["study_nlls"] == list(lowest.values())
    assert chosen["nll"] == sorted(lowest.values())[1] == lowest[chosen["study"]]


def test_a_method_can_be_added_to_a_study(tuned: Path) -> None:
    """What the same study chose for others stays, in both files."""
    arguments = (*TUNE, "--results", "added", "--trials", "2")
    done(tuned, *arguments, "--methods", "map")
    done(tuned, *arguments, "--methods", "dropout")
    done(tuned, *TUNE, "--results", "once", "--trials", "2")

    added, once = tuned / "added/small", tuned / "once/small"
    assert (added / "tuned.toml").read_bytes() == (once / "tuned.toml").read_bytes()
    places = []
    for folder in (added, once):
        with (folder / "trials.csv").open() as file:
            rows = list(csv.DictReader(file))
        places.append([(row["method"], row["trial"], row["nll"], row["chosen"]) for row in rows])
    assert places[0] == places[1]

    # Compressed trials stay too, and the compressed file does not outlive them.
    trials = added / "trials.csv"
    whole = trials.read_bytes()
    trials.with_name("trials.csv.gz").write_bytes(gzip.compress(whole))
    trials.unlink()
    done(tuned, *arguments, "--methods", "map")
    assert sorted(trials.read_bytes().splitlines()) == sorted(whole.splitlines())
    assert not trials.with_name("trials.csv.gz").exists()

    # Damaged ones are refused before anything runs, those of an older version are read.
    trials.write_bytes(whole[:-5])
    said = invoke(tuned, *arguments, "--methods", "map", "--trials", "9").stderr
    assert "added/small/trials.csv is damaged or foreign: its last line is cut short" in said
    rows = [line.partition(",")[2] for line in whole.decode().splitlines(keepends=True)]
    trials.write_text("".join(rows))
    done(tuned, *arguments, "--methods", "map")
    assert sorted(trials.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_a_suite_can_be_tuned_by_itself(tuned: Path) -> None:
    """A suite that names a file runs by it, in its own folder, where the trials are handed on."""
    (tuned / "again.toml").write_text(AGAIN)
    done(tuned, "run", "--suite", "again.toml", "--device", "cpu", "--data-dir", ".")
    chosen = tomllib.loads((tuned / "results/small/tuned.toml").read_text())["chosen"]
    with (tuned / "results/again/runs.csv").open() as file:
        assert {row["method"] for row in csv.DictReader(file)} == {one["name"] for one in chosen}

    chosen_by, handed_on = tuned / "results/small/trials.csv", tuned / "results/again/trials.csv"
    trials = chosen_by.read_bytes()
    assert handed_on.read_bytes() == trials

    # Compressed trials are handed on as they are, in place of plain ones, and the other way round.
    compressed = chosen_by.with_name("trials.csv.gz")
    compressed.write_bytes(gzip.compress(trials))
    chosen_by.unlink()
    again = ("run", "--suite", "again.toml", "--device", "cpu", "--data-dir", ".")
    done(tuned, *again)
    assert handed_on.with_name("trials.csv.gz").read_bytes() == compressed.read_bytes()
    assert not handed_on.exists()

    chosen_by.write_bytes(trials)
    compressed.unlink()
    done(tuned, *again)
    assert handed_on.read_bytes() == trials
    assert not handed_on.with_name("trials.csv.gz").exists()

    # Without trials those of before, of which nobody knows what they chose, do not stay.
    chosen_by.unlink()
    done(tuned, *again)
    assert not handed_on.exists()
    chosen_by.write_bytes(trials)


RISKY = """
from dataclasses import dataclass
from typing import ClassVar

from bench_uq.methods.map import MAP


@dataclass(frozen=True)
class Risky(MAP):
    size: float = 1.0
    search: ClassVar = {"size": {"values": [1.0, 2.0]}}

    def loss(self, net, inputs, targets, size, progress):
        loss = super().loss(net, inputs, targets, size, progress)
        return loss * float("nan") if self.size > 1 else loss
"""


def test_a_trial_that_diverges_is_a_trial(tuned: Path) -> None:
    """It counts, is not chosen, and is no failure of the study."""
    (tuned / "risky.py").write_text(RISKY)
    arguments = ("--plugin", "risky.py", "--methods", "risky", "--seeds", "9", "--trials", "5")
    result = invoke(tuned, *TUNE, *arguments, "--results", "risk")
    assert result.exit_code == 0, result.output
    assert "diverged" in result.output

    with (tuned / "risk/small/trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    lost = [row for row in rows if "size=2.0" in row["name"]]
    assert 0 < len(lost) < 5
    assert {(row["nll"], row["seeds"], row["chosen"]) for row in lost} == {("inf", "0", "False")}


AGAIN = """
extends = "small"
tuned = "results/small/tuned.toml"
"""
LONG = """
extends = "small"

[search.map]
epochs = { values = [1, 3] }
"""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*TUNE, "--seeds", "1,2"), "tuning seeds must not be the suite's, which evaluate: 1"),
        ((*TUNE[:3], "--trials", "0", "--data-dir", "."), "trials must be at least 1, not 0"),
        ((*TUNE, "--dry-run", "--json"), "leave out --dry-run and --shard"),
        ((*TUNE, "--seed", "-1"), "seed must be at least 0, not -1"),
        ((*TUNE, "--studies", "0"), "studies must be at least 1, not 0"),
        ((*TUNE, "--seconds", "nan"), "seconds must be above 0, not nan"),
        ((*TUNE, "--seconds", "9", "--shard", "1/2"), "--shard and --seconds exclude each other"),
        (TUNE[:3], "tune needs a number of trials, or seconds of training"),
        ((*TUNE, "--seed", "1"), "is of another study, whose seed is 0, not 1"),
        ((*TUNE, "--set", "batch=8"), "is of another study, whose setup is"),
        (
            ("tune", "--suite", "small.toml", "--trials", "2", "--methods", "map"),
            "has dropout on folder[path=shapes] by 3 trials, not 2: name it too",
        ),
        (("tune", "--suite", "again.toml", "--trials", "2"), "suite 'again' is tuned by"),
        (
            ("tune", "--suite", "long.toml", "--trials", "2"),
            "search.map.epochs: 3 are more than the 2 of the suite",
        ),
        ((*TUNE, "--methods", "mpa"), "'mpa'"),
        ((*RUN, "--tuned", "--seeds", "2"), "seed 2 has trained the trials of the study"),
        (
            (*RUN, "--tuned", "--methods", "ensemble"),
            "ensemble on folder[path=shapes] was not tuned",
        ),
        ((*RUN, "--tuned", "none.toml"), "no none.toml: bench-uq tune writes it"),
        ((*RUN, "--tuned", "edited.toml"), "edited.toml is not as bench-uq tune wrote it"),
    ],
)
def test_mistakes(tuned: Path, arguments: tuple[str, ...], told: str) -> None:
    """One line on stderr, exit code 2, and nothing is written."""
    written = (tuned / "results/small/tuned.toml").read_text()
    (tuned / "edited.toml").write_text(
        written.replace("learning_rate = 0.0", "learning_rate = 0.1")
    )
    (tuned / "again.toml").write_text(AGAIN)
    (tuned / "long.toml").write_text(LONG)

    before = sorted(tuned.rglob("*"))
    result = invoke(tuned, *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(tuned.rglob("*")) == before


TPE = (*TUNE, "--sampler", "tpe", "--results", "tpe")


def test_trials_may_follow_those_before(tuned: Path, tmp_path: Path) -> None:
    """Each point is the estimator's for the scores before it; what was lost is done again."""
    for name in ("small.toml", "shapes"):
        (tmp_path / name).symlink_to(tuned / name)
    few = ("--methods", "map", "--seeds", "7", "--trials", "8", "--studies", "2")
    assert "7 more of each follow" in done(tmp_path, *TPE, *few, "--dry-run")
    done(tmp_path, *TPE, *few)

    file = tmp_path / "tpe/small/tuned.toml"
    before = file.read_bytes()
    assert 'sampler = "tpe"' in before.decode()
    with (tmp_path / "tpe/small/trials.csv").open() as text:
        rows = list(csv.DictReader(text))
    assert [row["trial"] for row in rows] == [str(number) for number in range(8)] * 2

    plugins, suite = Plugins(), read_suite(str(tmp_path / "small.toml"))
    method = plugins.spec("method", "map")
    space = space_of(method, suite, plugins)
    for study in (0, 1):
        own = [row for row in rows if row["study"] == str(study)]
        scores = [float(row["nll"]) for row in own]
        asked = adaptive_trials(method, space, study, 8, lambda one: scores[one.number])  # noqa: B023
        for row, trial in zip(own, asked, strict=True):
            assert all(
                f"{name}={value}" in row["settings"] for name, value in trial.settings.items()
            )

    (plan,) = tmp_path.glob("tpe/small-tuning/map-s0-t0-*/plan.json")
    assert "--trials 8 --studies 2 --sampler tpe" in plan.read_text()

    # A machine died after the fifth trial.
    for path in tmp_path.glob("tpe/small-tuning/map-s0-t[567]-*"):
        shutil.rmtree(path)
    file.unlink()
    lines = done(tmp_path, *TPE, *few).splitlines()
    assert sum("trained in" in line for line in lines) == 3
    assert file.read_bytes() == before

    done(tmp_path, *RUN, "--results", "tpe", "--tuned", "--methods", "map")
    done(tmp_path, "report", "--suite", "small-tuned", "--results", "tpe", "--formats", "markdown")
    said = (tmp_path / "reports/small-tuned/summary.md").read_text()
    assert (
        "tuned: 8 trials each by TPE, the median of 2 studies, validation NLL over 1 seed" in said
    )


def test_samplers_do_not_mix(tuned: Path, tmp_path: Path) -> None:
    """Another sampler is another study; a shard cannot know the scores of the others."""
    refused = (
        ((*TUNE, "--sampler", "tpe"), "whose sampler is 'sobol', not 'tpe'"),
        ((*TPE, "--shard", "1/2"), "--shard and --sampler tpe exclude each other"),
        ((*TUNE, "--sampler", "tpa"), "unknown sampler 'tpa'"),
    )
    for command, told in refused:
        result = invoke(tuned, *command)
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert told in result.output
    assert not (tuned / "tpe").exists()
