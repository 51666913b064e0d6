"""Methods that start from the networks of another one: trained once, in order, and known by hash."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load

from bench_uq import store
from bench_uq.run import training
from tests.cli.commands import done, invoke

SUITE = """
methods = ["map", "shifted", "shifted[by=1.0]", "shifted[base=ensemble]"]
datasets = ["digits"]
seeds = [0]

[settings]
epochs = 2
train_images = 300
draws = 4

[settings.ensemble]
epochs = 1

[options.ensemble]
members = 2
"""
SHIFTED = '''
from dataclasses import dataclass

import torch
from torch import nn

from bench_uq.api import PostHoc, task_of


class Shifted(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.register_buffer("by", torch.zeros(()))


@dataclass(frozen=True)
class Shift(PostHoc):
    """Scale the draws of the base."""

    reference = "a test, https://example.org"
    base: str = "map"
    by: float = 0.5

    def build_on(self, task, base):
        return Shifted(base)

    def finish(self, net, train, held_out):
        net.by.fill_(self.by)

    def draws(self, net, inputs, count):
        return task_of(net).likelihood.normalise(net.base.draws(inputs, count) * net.by)
'''
RUN = ("run", "--suite", "small.toml", "--plugin", "shifted.py", "--device", "cpu")


def record(results: Path, method: str) -> dict[str, Any]:
    """The record of the only run of a method, with options as in its folder's identity."""
    found = []
    for path in results.glob("small/runs/*/run.json"):
        one = json.loads(path.read_text())
        if one["method"] == method:
            found.append({**one, "folder": path.parent})
    (only,) = found
    return only


def epochs_of(one: dict[str, Any]) -> int:
    """Epochs that a run has trained, all members together."""
    with (one["folder"] / "training.csv").open() as file:
        return len(list(csv.DictReader(file)))


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite that was run."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "small.toml").write_text(SUITE)
    (folder / "shifted.py").write_text(SHIFTED)
    (folder / "out").write_text(done(folder, *RUN, "--jobs", "2"))
    return folder


def test_a_base_is_trained_once(suite: Path) -> None:
    """Two methods on one base start from its one run; an ensemble gives all its members."""
    results = suite / "results"
    base = record(results, "map")
    assert epochs_of(base) == 2

    for method in ("shifted", "shifted[by=1.0]"):
        one = record(results, method)
        assert one["base"] == base["files"]["network.safetensors"]["sha256"]
        assert one["base_seconds"] == base["train_seconds"]
        assert epochs_of(one) == 0
        assert one["settings"]["epochs"] == 2

    # The ensemble is no method of the suite, but trained as the suite sets it.
    ensemble = record(results, "ensemble[members=2]")
    assert epochs_of(ensemble) == 2 * 1
    assert (ensemble["status"], ensemble["reason"]) == (
        "interrupted",
        "trained for other runs, not shown",
    )
    on_ensemble = record(results, "shifted[base=ensemble]")
    assert on_ensemble["base"] == ensemble["files"]["network.safetensors"]["sha256"]
    assert on_ensemble["parameters"] == 2 * base["parameters"]
    assert len(list(results.glob("small/runs/*-s0-*"))) == 5


def test_predictions_are_those_of_the_base(suite: Path) -> None:
    """A map that changes nothing predicts as its base does; one that scales by half does not."""
    with (suite / "results/small/scores.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["condition"] == "clean"]
    nll = {row["method"]: float(row["value"]) for row in rows if row["metric"] == "nll"}
    assert nll["shifted[by=1.0]"] == pytest.approx(nll["map"], rel=1e-6)
    assert nll["shifted"] != pytest.approx(nll["map"], rel=1e-3)


def test_cost_is_that_of_the_base_and_its_own(suite: Path) -> None:
    """runs.csv has both together, and that of the base beside; the summary says so."""
    with (suite / "results/small/runs.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    own = record(suite / "results", "shifted")["train_seconds"]
    base = float(rows["map"]["train_seconds"])
    assert float(rows["shifted"]["train_seconds"]) == pytest.approx(own + base)
    assert float(rows["shifted"]["base_seconds"]) == base
    assert rows["map"]["base_seconds"] == ""

    done(suite, "report", "--suite", "small", "--formats", "markdown")
    summary = (suite / "reports/small/summary.md").read_text()
    assert f"({base:.3g} s of these its base)" in summary


def test_a_stored_suite_is_stored(suite: Path) -> None:
    """Nothing is trained or fitted again; the run of the base is completed when it is asked for."""
    lines = done(suite, *RUN).splitlines()
    assert sum("  stored" in line for line in lines) == 4

    lines = done(suite, *RUN, "--methods", "ensemble").splitlines()
    (line,) = [line for line in lines if line.startswith("ensemble")]
    assert "  ok  trained in" in line
    assert epochs_of(record(suite / "results", "ensemble[members=2]")) == 2


def test_another_base_is_another_fit(suite: Path, tmp_path: Path) -> None:
    """What was fitted to networks that were replaced since is fitted again."""
    for name in ("small.toml", "shifted.py"):
        shutil.copy(suite / name, tmp_path / name)
    shutil.copytree(suite / "results", tmp_path / "results")
    one = record(tmp_path / "results", "shifted")
    file = one.pop("folder") / "run.json"
    before = one["base"]
    file.write_text(json.dumps({**one, "base": "0" * 64}))

    lines = done(tmp_path, *RUN, "--methods", "shifted,shifted[by=1.0]").splitlines()
    ended = {line.split()[1] for line in lines if line.startswith("shifted")}
    assert ended == {"ok", "stored"}
    assert record(tmp_path / "results", "shifted")["base"] == before


def test_a_base_that_is_replaced_meanwhile(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is fitted, and the hash in its record, are of one training of the base."""
    shutil.copytree(suite / "results", tmp_path / "results")
    one = record(tmp_path / "results", "map")
    stored = store.run_folder(tmp_path / "results/small", one["folder"].name)
    file = stored.path / "network.safetensors"
    content, asked = file.read_bytes(), []

    def replaced(*arguments: object) -> store.RunFolder:
        """Return the base, which another process writes at that moment the first time."""
        asked.append(arguments)
        file.write_bytes(content if len(asked) > 1 else content[:-1] + bytes([content[-1] ^ 1]))
        return stored

    monkeypatch.setattr(training, "trained_folder", replaced)
    found, values = training.trained_networks(*[None] * 4)  # type: ignore[list-item]
    assert len(asked) == 2
    assert found.files["network.safetensors"].sha256 == hashlib.sha256(content).hexdigest()
    assert values.keys() == load(content).keys()


def test_a_base_of_a_base(suite: Path) -> None:
    """The network of each stands on that below, and all are trained in order."""
    arguments = ("--methods", "shifted[base=shifted]", "--results", "chain")
    done(suite, *RUN, *arguments)
    top = record(suite / "chain", "shifted[base=shifted]")
    middle, bottom = record(suite / "chain", "shifted"), record(suite / "chain", "map")
    assert top["base"] == middle["files"]["network.safetensors"]["sha256"]
    assert middle["base"] == bottom["files"]["network.safetensors"]["sha256"]
    assert top["base_seconds"] == pytest.approx(middle["train_seconds"] + bottom["train_seconds"])


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("shifted[base=mpa]", "'mpa'"),
        ("shifted[base=map[prior_std=-1]]", "prior_std"),
        ("shifted[members=2]", "members must be 1"),
    ],
)
def test_mistakes(suite: Path, method: str, told: str) -> None:
    """One line, exit code 2, and nothing is written."""
    result = invoke(suite, *RUN, "--methods", method, "--results", "wrong")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert told in result.stderr
    assert not (suite / "wrong").exists()


def test_a_base_that_diverges_is_the_reason(suite: Path) -> None:
    """A method whose base has no networks fails, and says what became of the base."""
    arguments = ("--set", "learning_rate=1e30", "--results", "lost", "--methods", "shifted")
    result = invoke(suite, *RUN, *arguments)
    assert result.exit_code == 1
    one = record(suite / "lost", "shifted")
    assert one["status"] == "failed"
    assert "map-digits-s0" in one["reason"]
    assert "diverged" in one["reason"]
