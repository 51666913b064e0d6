"""Predictions for held-out examples: stored with each run, no condition, and what scores rest on."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import betabinom

from bench_uq import store
from bench_uq.api.task import Predictions
from bench_uq.datasets.digits import Digits
from bench_uq.store.examples import read_examples
from bench_uq.train.settings import Settings
from bench_uq.train.splits import training_splits
from tests.cli.commands import done, invoke

SUITE = """
methods = ["map", "dropout", "temperature", "seen", "seen[base=temperature]"]
datasets = ["digits"]
seeds = [0]

[settings]
epochs = 3
draws = 4

[conditions]
fgsm = [0.1]
letters = []
"""
#: A method that fits nothing to held-out examples, and keeps how many it was given.
SEEN = '''
from dataclasses import dataclass

import torch
from torch import nn

from bench_uq.api import PostHoc


class Counted(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.register_buffer("count", torch.zeros(()))


@dataclass(frozen=True)
class Seen(PostHoc):
    """Count the held-out examples."""

    reference = "a test, https://example.org"
    base: str = "map"

    def build_on(self, task, base):
        return Counted(base)

    def finish(self, net, train, held_out):
        net.count.fill_(len(held_out))

    def draws(self, net, inputs, count):
        return net.base.draws(inputs, count)
'''
RUN = ("run", "--suite", "small.toml", "--plugin", "seen.py", "--device", "cpu")
#: A tenth of the training split of digits.
HELD_OUT = 144


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite that was run."""
    folder = tmp_path_factory.mktemp("held-out")
    (folder / "small.toml").write_text(SUITE)
    (folder / "seen.py").write_text(SEEN)
    done(folder, *RUN, "--jobs", "2")
    return folder


@pytest.fixture
def copied(suite: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to change."""
    shutil.copytree(suite, tmp_path / "copy")
    return tmp_path / "copy"


def run_of(folder: Path, method: str) -> tuple[store.RunFolder, store.PlannedRun]:
    """A run's folder, and the run as the plan has it."""
    suite = folder / "results/small"
    planned = store.read_plan(suite).runs[f"{method}|digits|0"]
    return store.run_folder(suite, planned.name), planned


def predicted(folder: Path, method: str) -> Predictions:
    """Predictions of a run for held-out examples."""
    run, planned = run_of(folder, method)
    assert planned.on_held_out is not None
    assert run.holds(planned.on_held_out.file)
    return run.predictions(planned.on_held_out.file)


def scores(folder: Path) -> list[dict[str, str]]:
    """Rows of scores.csv."""
    with (folder / "results/small/scores.csv").open() as file:
        return list(csv.DictReader(file))


def test_they_are_of_the_held_out_examples(suite: Path) -> None:
    """All of them; where something was fitted to the first of every two, the second ones."""
    examples = Digits().load("train", Path())
    targets = training_splits(examples, Settings(), 0)[1].targets
    assert len(targets) == HELD_OUT
    for method in ("map", "dropout", "seen"):
        np.testing.assert_array_equal(predicted(suite, method)["targets"], targets)
    for method in ("temperature", "seen[base=temperature]"):
        np.testing.assert_array_equal(predicted(suite, method)["targets"], targets[1::2])


def test_finish_is_given_the_others(suite: Path) -> None:
    """A method that fits to them gets half, also if it is its base that fits."""
    from safetensors.numpy import load_file

    for method, count in (("seen", HELD_OUT), ("seen[base=temperature]", HELD_OUT // 2)):
        run, _ = run_of(suite, method)
        values = load_file(run.path / store.NETWORK)
        assert values["0.count"] == count


def test_they_are_no_condition(suite: Path) -> None:
    """No score, curve, example or fact is of them."""
    assert {row["condition"] for row in scores(suite)} == {"clean", "fgsm", "letters"}
    for name in ("runs.csv", "about.json"):
        assert "held-out" not in (suite / "results/small" / name).read_text()
    examples = read_examples(suite / "results/small/examples.npz")
    assert {one.condition for one in examples} <= {"clean", "fgsm", "letters"}
    assert examples
    done(suite, "report", "--suite", "small", "--formats", "markdown,html")
    assert "held-out|" not in (suite / "reports/small/summary.md").read_text()


def test_coverage_is_within_its_law(suite: Path) -> None:
    """On clean data, of every method; the attack breaks it; letters have sets, and no coverage."""
    found = {}
    for row in scores(suite):
        place = row["method"], row["condition"], row["metric"]
        found[place] = float(row["value"] or "nan")

    for method in ("map", "dropout", "temperature"):
        count = HELD_OUT // 2 if method == "temperature" else HELD_OUT
        above = (count + 1) // 10
        law = betabinom(360, count + 1 - above, above)
        # Of six shares all lie inside with a probability of 0.99.
        for metric in ("coverage", "coverage_aps"):
            covered = round(360 * found[method, "clean", metric])
            assert 0.0008 < law.cdf(covered) < 0.9992, (method, metric)

        assert found[method, "fgsm", "coverage"] < 0.8
        assert 0 <= found[method, "letters", "set_size"] <= 10
        assert (method, "letters", "coverage") not in found


def test_a_lost_file_is_made_again(copied: Path) -> None:
    """Nothing is trained, and the predictions are the same."""
    run, planned = run_of(copied, "dropout")
    assert planned.on_held_out is not None
    before = predicted(copied, "dropout")
    (run.path / planned.on_held_out.file).unlink()

    (line,) = [line for line in done(copied, *RUN).splitlines() if "  ok  " in line]
    assert line.startswith("dropout-digits-s0")
    after = predicted(copied, "dropout")
    for name in before.arrays:
        np.testing.assert_array_equal(before[name], after[name])


def test_results_without_them_are_scored(copied: Path) -> None:
    """Those of older versions have all scores but those that need them."""
    before = scores(copied)
    path = copied / "results/small/plan.json"
    plan = json.loads(path.read_text())
    plan.pop("checksum")
    for run in plan["runs"].values():
        run["shown"] = [one for one in run["shown"] if one["kind"] != "held-out"]
    path.write_text(json.dumps(plan))

    done(copied, "score", "--suite", "small")
    words = ("coverage", "set_size", "calibrated")
    others = []
    for row in before:
        if row["metric"].startswith("coverage_at_risk") or not row["metric"].startswith(words):
            others.append(row)
    assert scores(copied) == others


def test_a_damaged_file_costs_only_the_scores_that_need_it(copied: Path) -> None:
    """They are absent, and a line says why."""
    run, planned = run_of(copied, "map")
    assert planned.on_held_out is not None
    (run.path / planned.on_held_out.file).write_bytes(b"damaged")
    (run.path / "scored.json").unlink()  # scores are kept until a file changes
    result = invoke(copied, "score", "--suite", "small")
    assert result.exit_code == 0
    assert "held-out" in result.stderr

    metrics = {row["metric"] for row in scores(copied) if row["method"] == "map"}
    assert "nll" in metrics
    assert not metrics & {"coverage", "set_size", "calibrated_nll"}


def test_a_study_that_tunes_stores_none(suite: Path) -> None:
    """It is itself evaluated on the held-out examples."""
    arguments = ("--methods", "map", "--seeds", "0", "--set", "evaluate_on=validation")
    done(suite, *RUN, *arguments, "--set", "epochs=1", "--results", "tuning")
    (path,) = suite.glob("tuning/*/plan.json")
    (run,) = json.loads(path.read_text())["runs"].values()
    assert "held-out" not in [one["kind"] for one in run["shown"]]


def test_intervals_of_real_targets(tmp_path: Path) -> None:
    """Their coverage is within its law, and they have a width."""
    (tmp_path / "small.toml").write_text(SUITE.split("[conditions]")[0])
    arguments = ("--methods", "map", "--datasets", "cubic", "--seeds", "0")
    done(tmp_path, "run", "--suite", "small.toml", "--device", "cpu", *arguments)
    found = {row["metric"]: float(row["value"]) for row in scores(tmp_path)}
    assert found["conformal_width"] > 0
    assert 0 < found["conformal_coverage"] <= 1
    assert "coverage" not in found


def test_an_imported_model_brings_its_own(tmp_path: Path) -> None:
    """With a file of them it has the scores, without one it has not; a wrong file is refused."""
    labels = Digits().load("test", Path()).targets
    for name, targets in (("test", labels), ("held-out", np.arange(50) % 10)):
        probs = np.full((len(targets), 10), 0.05)
        probs[np.arange(len(targets)), targets] = 0.55
        np.savez(tmp_path / f"{name}.npz", probs=probs, labels=targets)

    score = ("score-predictions", "test.npz", "--name", "mine", "--dataset", "digits")
    suite = ("--suite", "small")
    done(tmp_path, *score, *suite)
    assert "coverage" not in {row["metric"] for row in scores(tmp_path)}

    told = done(tmp_path, *score, *suite, "--held-out", "held-out.npz")
    assert "held-out: ok  50 examples" in told
    found = {(row["condition"], row["metric"]): row["value"] for row in scores(tmp_path)}
    assert {condition for condition, _ in found} == {"clean"}
    # Each class has 0.55 where it is right, which is the threshold, and 0.05 elsewhere.
    assert float(found["clean", "coverage"]) == 1
    assert float(found["clean", "set_size"]) == 1

    np.savez(tmp_path / "wrong.npz", probs=np.full((4, 3), 1 / 3), labels=np.zeros(4, int))
    result = invoke(tmp_path, *score, *suite, "--held-out", "wrong.npz")
    assert result.exit_code == 2
    assert "predicts 3 classes" in result.stderr
    reserved = invoke(tmp_path, *score, *suite, "--unseen", "held-out=wrong.npz")
    assert reserved.exit_code == 2
