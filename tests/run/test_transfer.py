"""Attacks on one method's networks, judged by another's: real runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save

from bench_uq import read_scores
from bench_uq.cli import main
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


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def bench(*arguments: str, code: int = 0) -> str:
    """Run a command in the working folder and return what it prints."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    return done.output


COMMAND = ("run", "--suite", "small.toml", "--device", "cpu")


def run(*arguments: str, text: str = SUITE) -> Path:
    """Run the suite and return its folder of results."""
    Path("small.toml").write_text(text)
    bench(*COMMAND, *arguments)
    return Path("results", "small").resolve()


def accuracy(results: Path, method: str, condition: str) -> pd.Series:
    """Return the accuracy of a method under a condition by level."""
    scores = read_scores(results).query("metric == 'accuracy'")
    rows = scores[(scores.method == method) & (scores.condition == condition)]
    return rows.set_index("level").value.sort_index()


def record(results: Path, method: str) -> dict[str, Any]:
    """Return the record of a method's run."""
    (file,) = results.glob(f"runs/{method}-digits-s0-*/run.json")
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of both methods."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("transfer"))
        return run("--jobs", "2")


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


def test_alone(finished: Path) -> None:
    """Without map among the methods its network is trained for the attack, and kept.

    Predictions of an attack on a network that was replaced are made again, and only these.
    """
    results = run("--methods", "dropout")
    condition = "transfer[steps=3,start=clean]"
    expected = accuracy(finished, "dropout", condition)
    pd.testing.assert_series_equal(accuracy(results, "dropout", condition), expected)
    assert set(read_scores(results).method) == {"dropout"}
    trained, spent = record(results, "map"), record(results, "dropout")
    ended = (trained["status"], trained["reason"])
    assert ended == ("interrupted", "trained for other runs, not shown")
    assert trained["peak_memory"] > 0
    seconds = spent["predict_seconds"]
    (slowest,) = {seconds[file] for file in seconds if file.startswith("transfer-0.2")}
    assert slowest < trained["train_seconds"]  # which is no time of the prediction

    assert set(read_scores(run()).method) == {"dropout", "map"}
    later = record(results, "map")
    assert later["files"][NETWORK] == trained["files"][NETWORK]
    assert later["train_seconds"] == trained["train_seconds"]  # not trained again

    assert set(spent["surrogates"].values()) == {trained["files"][NETWORK]["sha256"]}
    (surrogate,) = results.glob("runs/map-digits-s0-*")
    state = load_file(surrogate / NETWORK)
    other = {name: value + 0.5 * torch.randn_like(value) for name, value in state.items()}
    RunFolder(surrogate).add_file(NETWORK, save(other))
    assert " ok  trained" in bench(*COMMAND, "--methods", "dropout")
    files = record(results, "dropout")["files"]
    changed = {name for name, entry in files.items() if entry != spent["files"][name]}
    assert {name.split("-")[0] for name in changed} == {"transfer"}
    assert "stored" in bench(*COMMAND, "--methods", "dropout")


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

    monkeypatch.setattr(training, "train_missing", train)
    monkeypatch.setattr(showing, "splits_of", lambda *rest: ((), ()))
    monkeypatch.setattr(showing, "restored", lambda *rest: torch.get_num_threads())
    before = torch.get_num_threads()
    # The job's own run is another one, whose networks are at hand.
    own = dataclasses.replace(job, run=dataclasses.replace(run, name="mnf-digits-s0-00000000"))
    trained: Any = object()
    assert showing.attacked(trained, job, run, Plugins()) is trained
    found: Any = showing.attacked(trained, own, run, Plugins())
    assert found == before != 3
    assert seen == [(RUN, 3)]


def test_another_surrogate_is_another_condition() -> None:
    """``from`` takes a method with options; its predictions are keyed by what it attacks."""
    results = run("--methods", "dropout", text=attacking("ensemble[members=2]"))
    assert len(list(results.glob("runs/ensemble-digits-s0-*/network.safetensors"))) == 1
    dropout = accuracy(results, "dropout", "transfer[steps=3,start=clean,from=ensemble[members=2]]")
    assert dropout[0.2] < dropout[0.0]


def attacking(method: str) -> str:
    """Return the suite with attacks on the network of another method."""
    return SUITE.replace("transfer[start", f"transfer[from={method},start")


def test_a_surrogate_that_fails() -> None:
    """A failed surrogate is trained once; runs keep everything else and name it."""
    text = attacking("unlucky[how=diverge]")
    # The condition without a network comes first: what stands behind it is shown as well.
    text = text.replace("[conditions]", "[conditions]\n" + text.splitlines()[-1]).rsplit("\n", 2)[0]
    Path("small.toml").write_text(text)
    command = (*COMMAND, "--jobs", "1", "--plugin", str(PLUGINS / "unlucky.py"))
    words = "has nothing to attack: unlucky-digits-s0-"
    lines = [line for line in bench(*command, code=1).splitlines() if words in line]
    assert sorted(line.split("-")[0] for line in lines) == ["dropout", "map"]
    assert all("  ok, but transfer[" in line and "diverged" in line for line in lines)
    results = Path("results", "small")
    for method in ("map", "dropout"):
        assert len(accuracy(results, method, "pgd[steps=3,start=clean]")) == 3

    (file,) = results.glob("runs/unlucky-digits-s0-*/run.json")
    before = file.stat().st_mtime_ns
    bench(*command, code=1)
    assert file.stat().st_mtime_ns == before  # training it again would end alike
    bench("report", "--suite", "small", "--formats", "markdown")
    summary = Path("reports", "small", "summary.md").read_text()
    assert "digits, map, seed 0: in part – transfer" in summary


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


def test_an_unknown_surrogate() -> None:
    """An unknown method is told with the nearest known one, and nothing is written."""
    Path("small.toml").write_text(attacking("mpa"))
    assert "unknown method 'mpa'; did you mean 'map'?" in bench(*COMMAND, code=2)
    assert not Path("results").exists()
