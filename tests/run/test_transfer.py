"""Attacks on one method's networks, judged by another's: real runs."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save

from bench_uq import read_scores
from bench_uq.plan.plugins import Plugins
from bench_uq.run import showing, training
from bench_uq.run.job import Job, is_trained
from bench_uq.store import NETWORK, TRAINING, PlannedRun, RunFolder
from bench_uq.train.settings import Settings

PLUGINS = Path(__file__).parents[1] / "plugins"
RUN = "map-digits-s0-01234567"
SUITE = """
extends = "quick"
methods = ["dropout", "map"]
seeds = [0]
[settings]
epochs = 3
draws = 4
attack_images = 100
[conditions]
"pgd[start=clean,steps=3]" = [0, 0.1, 0.2]
"transfer[start=clean,steps=3]" = [0, 0.1, 0.2]
"""


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run bench-uq in a folder."""
    command = [sys.executable, "-m", "bench_uq", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def run(folder: Path, *arguments: str, text: str = SUITE) -> Path:
    """Run the suite and return its folder of results."""
    (folder / "small.toml").write_text(text)
    done = bench(folder, "run", "--suite", "small.toml", "--device", "cpu", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results" / "small"


def accuracy(results: Path, method: str, condition: str) -> pd.Series:
    """Return the accuracy of a method under a condition by level."""
    scores = read_scores(results)
    rows = scores[
        (scores.method == method) & (scores.metric == "accuracy") & (scores.condition == condition)
    ]
    return rows.set_index("level").value.sort_index()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of both methods."""
    return run(tmp_path_factory.mktemp("transfer"), "--jobs", "2")


def inputs(results: Path, method: str, condition: str) -> np.ndarray:
    """Return the stored inputs at level 0.2."""
    (file,) = results.glob(f"runs/{method}-digits-s0-*/{condition}-0.2-*.npz")
    return np.asarray(np.load(file)["inputs"])


def test_the_surrogate_is_attacked(finished: Path) -> None:
    """Transferred inputs are those of PGD on map; on map itself they are a white-box attack."""
    white, transferred = (
        accuracy(finished, "map", f"{name}[steps=3,start=clean]") for name in ("pgd", "transfer")
    )
    pd.testing.assert_series_equal(white, transferred)
    assert np.array_equal(inputs(finished, "dropout", "transfer"), inputs(finished, "map", "pgd"))
    assert not np.array_equal(
        inputs(finished, "dropout", "transfer"), inputs(finished, "dropout", "pgd")
    )


def test_it_is_judged_by_the_method(finished: Path) -> None:
    """At level 0 a transferred attack is clean; above, it harms the judged method."""
    dropout = accuracy(finished, "dropout", "transfer[steps=3,start=clean]")
    assert dropout[0.0] == accuracy(finished, "dropout", "pgd[steps=3,start=clean]")[0.0]
    assert dropout[0.2] < dropout[0.0]


def test_distances_are_stored(finished: Path) -> None:
    """Beside predictions stands how far the farthest pixel moved."""
    for level in (0, 0.1, 0.2):
        (file,) = finished.glob(f"runs/map-digits-s0-*/pgd-{level:g}-*.npz")
        distance = np.load(file)["distance"]
        assert distance.shape == (100,)
        assert distance.max() <= level + 1e-6
        assert (distance > 0.9 * level).mean() > 0.9 or level == 0


def test_alone(tmp_path: Path, finished: Path) -> None:
    """Without map among the methods its network is trained for the attack, and kept."""
    results = run(tmp_path, "--methods", "dropout")
    expected = accuracy(finished, "dropout", "transfer[steps=3,start=clean]")
    pd.testing.assert_series_equal(
        accuracy(results, "dropout", "transfer[steps=3,start=clean]"), expected
    )
    (record,) = results.glob("runs/map-digits-s0-*/run.json")
    trained = json.loads(record.read_text())
    assert (trained["status"], trained["reason"]) == (
        "interrupted",
        "trained to be attacked, not shown",
    )
    assert trained["peak_memory"] > 0
    assert set(read_scores(results).method) == {"dropout"}
    (dropout,) = results.glob("runs/dropout-digits-s0-*/run.json")
    spent = json.loads(dropout.read_text())
    (slowest,) = {
        seconds
        for file, seconds in spent["predict_seconds"].items()
        if file.startswith("transfer-0.2")
    }
    assert slowest < trained["train_seconds"]  # which is no time of the prediction
    again = run(tmp_path)
    later = json.loads(record.read_text())
    assert later["files"]["network.safetensors"] == trained["files"]["network.safetensors"]
    assert later["train_seconds"] == trained["train_seconds"]  # not trained again
    assert set(read_scores(again).method) == {"dropout", "map"}


def test_a_surrogate_trains_with_its_own_threads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A surrogate's network is trained with the threads of its run, then the caller's are back."""
    run = PlannedRun(RUN, "map", "digits", 0, (), settings=dataclasses.asdict(Settings(threads=3)))
    job = Job(run, tmp_path, tmp_path, (), "cpu", None)
    seen = []

    def train(own: Job, folder: RunFolder, *rest: object) -> None:
        seen.append((own.run.name, torch.get_num_threads()))
        for name in (NETWORK, TRAINING):
            folder.add_file(name, b"")

    monkeypatch.setattr(showing, "train_missing", train)
    monkeypatch.setattr(showing, "splits_of", lambda *rest: ((), ()))
    monkeypatch.setattr(showing, "restored", lambda *rest: torch.get_num_threads())
    before = torch.get_num_threads()
    assert showing.attacked(job, run, Plugins()) == before != 3  # type: ignore[comparison-overlap]
    assert seen == [(RUN, 3)]


def test_another_surrogate_is_another_condition(tmp_path: Path) -> None:
    """``from`` takes a method with options; its predictions are keyed by what it attacks."""
    text = SUITE.replace(
        "transfer[start=clean,steps=3]", "transfer[from=ensemble[members=2],start=clean,steps=3]"
    )
    results = run(tmp_path, "--methods", "dropout", text=text)
    assert len(list(results.glob("runs/ensemble-digits-s0-*/network.safetensors"))) == 1
    dropout = accuracy(results, "dropout", "transfer[steps=3,start=clean,from=ensemble[members=2]]")
    assert dropout[0.2] < dropout[0.0]


def test_a_surrogate_that_fails(tmp_path: Path) -> None:
    """A failed surrogate is trained once; runs keep everything else and name it."""
    text = SUITE.replace(
        "transfer[start=clean,steps=3]", "transfer[from=unlucky[how=diverge],start=clean,steps=3]"
    )
    # The condition without a network comes first: what stands behind it is shown as well.
    text = text.replace("[conditions]", "[conditions]\n" + text.splitlines()[-1]).rsplit("\n", 2)[0]
    (tmp_path / "small.toml").write_text(text)
    plugin = str(PLUGINS / "unlucky.py")
    arguments = ("--suite", "small.toml", "--device", "cpu", "--jobs", "1", "--plugin", plugin)
    done = bench(tmp_path, "run", *arguments)
    assert done.returncode == 1, done.stderr
    lines = [
        line
        for line in done.stdout.splitlines()
        if "has nothing to attack: unlucky-digits-s0-" in line
    ]
    assert sorted(line.split("-")[0] for line in lines) == ["dropout", "map"]
    assert all("  ok, but transfer[" in line and "diverged" in line for line in lines)
    results = tmp_path / "results" / "small"
    found = {
        method: accuracy(results, method, "pgd[steps=3,start=clean]")
        for method in ("map", "dropout")
    }
    assert all(len(levels) == 3 for levels in found.values())
    (record,) = results.glob("runs/unlucky-digits-s0-*/run.json")
    before = record.stat().st_mtime_ns
    assert bench(tmp_path, "run", *arguments).returncode == 1
    assert record.stat().st_mtime_ns == before  # training it again would end alike
    assert bench(tmp_path, "report", "--suite", "small").returncode == 0
    summary = (tmp_path / "reports" / "small" / "summary.md").read_text()
    assert "digits, map, seed 0: in part – transfer" in summary


def test_forced(tmp_path: Path) -> None:
    """Predictions of an attack on a network that was replaced are made again, and only these."""
    results = run(tmp_path, "--methods", "dropout")
    (surrogate,) = results.glob("runs/map-digits-s0-*")
    record = json.loads((surrogate / "run.json").read_text())
    (dropout,) = results.glob("runs/dropout-digits-s0-*/run.json")
    before = json.loads(dropout.read_text())
    assert set(before["surrogates"].values()) == {record["files"][NETWORK]["sha256"]}
    state = load_file(surrogate / NETWORK)
    other = {name: value + 0.5 * torch.randn_like(value) for name, value in state.items()}
    RunFolder(surrogate).add_file(NETWORK, save(other))
    assert " ok  trained" in bench_run_of_dropout(tmp_path)
    after = json.loads(dropout.read_text())
    changed = {name for name, entry in after["files"].items() if entry != before["files"][name]}
    assert {name.split("-")[0] for name in changed} == {"transfer"}
    assert "stored" in bench_run_of_dropout(tmp_path)


def bench_run_of_dropout(folder: Path) -> str:
    """Run dropout alone and return what is printed."""
    return bench(
        folder, "run", "--suite", "small.toml", "--device", "cpu", "--methods", "dropout"
    ).stdout


def test_a_network_is_forgotten_before_it_is_trained_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With --force nobody finds, and attacks, the old network while the new one is trained."""
    run = PlannedRun(RUN, "map", "digits", 0, (), settings=dataclasses.asdict(Settings()))
    job = Job(run, tmp_path, tmp_path, (), "cpu", None, force=True)
    folder = RunFolder(tmp_path / RUN)
    for name in (NETWORK, TRAINING):
        folder.add_file(name, b"")
    seen = []

    def train(*rest: object) -> None:
        seen.append(is_trained(folder))

    monkeypatch.setattr(training, "train_and_store", train)
    monkeypatch.setattr(training, "are_points", lambda examples: False)
    assert is_trained(folder)
    training.train_missing(job, folder, Plugins(), ((), ()), lambda share: None)  # type: ignore[arg-type]
    assert seen == [False]


def test_an_unknown_surrogate(tmp_path: Path) -> None:
    """An unknown method is told with the nearest known one, and nothing is written."""
    (tmp_path / "small.toml").write_text(SUITE.replace("transfer[start", "transfer[from=mpa,start"))
    done = bench(tmp_path, "run", "--suite", "small.toml", "--device", "cpu")
    assert done.returncode == 2
    assert "unknown method 'mpa'; did you mean 'map'?" in done.stderr
    assert not (tmp_path / "results").exists()
