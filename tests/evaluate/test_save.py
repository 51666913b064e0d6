"""Evaluated predictions stand beside the runs of a suite."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import bench_uq
from bench_uq.api.errors import UsageError
from bench_uq.cli import main
from bench_uq.datasets.digits import Digits
from bench_uq.datasets.letters import Letters


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def probs(count: int, seed: int = 0) -> np.ndarray:
    """Probabilities of ten classes, two draws."""
    return np.random.default_rng(seed).dirichlet(np.ones(10), size=(2, count))


def test_saved_predictions_score_like_a_file() -> None:
    """The scores of a saved run are those of evaluate, and of the same arrays in a file."""
    labels = Digits().load("test", Path("data")).targets
    letters = probs(len(Letters().load("test", Path("data"))), 1)
    scores = bench_uq.evaluate(
        probs(len(labels)), labels, unseen={"letters": letters}, name="mine", resamples=2
    )
    assert scores.save("results/quick", dataset="digits") == Path("results/quick")
    np.savez("file.npz", probs=probs(len(labels)), labels=labels)
    np.savez("letters.npz", probs=letters)
    arguments = ["--name", "file", "--dataset", "digits", "--unseen", "letters=letters.npz"]
    result = CliRunner().invoke(main, ["score-predictions", "file.npz", *arguments])
    assert result.exit_code == 0, result.output

    table = bench_uq.read_scores("results/quick")
    keys = ["condition", "metric"]
    mine, file = (table[table.method == name].set_index(keys).value for name in ("mine", "file"))
    assert mine.index.equals(file.index)
    np.testing.assert_allclose(mine, file, rtol=1e-6, atol=1e-9)
    ours = scores.to_frame().set_index(keys).value
    np.testing.assert_allclose(ours[mine.index], mine, rtol=1e-12)

    before = {path: path.read_bytes() for path in Path("results").rglob("*.npz")}
    scores.save("results/quick", dataset="digits")
    assert {path: path.read_bytes() for path in Path("results").rglob("*.npz")} == before


def test_a_saved_model_stands_in_the_report() -> None:
    """A model's conditions are stored under the names of a suite, with their levels."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    asked = {"fgsm": [0.05, 0.1], "pgd[steps=2]": [0.1], "letters": []}
    scores = bench_uq.evaluate(
        net, "digits", conditions=asked, device="cpu", attack_images=50, resamples=2
    )
    scores.save("results/quick", name="mine", seed=3)
    table = bench_uq.read_scores("results/quick")
    assert set(table.condition) >= {"clean", "fgsm", "pgd[steps=2]", "letters"}
    assert set(table.level.dropna()) == {0.05, 0.1}
    assert set(table.seed) == {3}
    bench_uq.report("results/quick", formats=["markdown"])
    assert "| mine" in Path("reports/quick/summary.md").read_text()


def test_the_record_names_the_device_that_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is recorded where it was evaluated, arrays on the CPU."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    placed = bench_uq.evaluate(net, "digits", device="cpu:0", resamples=2)
    assert placed.device == "cpu:0"

    labels = Digits().load("test", Path("data")).targets
    given = bench_uq.evaluate(probs(len(labels)), labels, name="given", resamples=2)
    given.save("results/quick", dataset="digits")
    # Stands for a GPU, which this machine may lack.
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    on_gpu = dataclasses.replace(placed, device="cuda:1")
    on_gpu.save("results/quick", name="placed")

    found = {}
    for path in Path("results/quick").rglob("run.json"):
        record = json.loads(path.read_text())
        found[record["method"]] = record["environment"]
    assert found["given"]["device"] == "cpu"
    assert (found["placed"]["device"], found["placed"]["processor"]) == ("cuda", "GPU 1")


def test_wrong_saves_write_nothing(place: Path) -> None:
    """Labels in another order, a taken name and a missing dataset are refused."""
    labels = Digits().load("test", Path("data")).targets
    given = probs(len(labels))
    scores = bench_uq.evaluate(given, labels, name="mine", resamples=2)
    with pytest.raises(ValueError, match="save needs the dataset"):
        scores.save("results/quick")
    with pytest.raises(UsageError, match="'map' is a method of bench-uq"):
        scores.save("results/quick", name="map", dataset="digits")
    with pytest.raises(UsageError, match="did you mean 'digits'"):
        scores.save("results/quick", dataset="digitz")
    with pytest.raises(UsageError, match="scored on the test split"):
        scores.save("results/quick-validation", dataset="digits")
    large = (2**63, f"at most {2**63 - 1}, not {2**63}")
    for seed, told in ((-1, "at least 0, not -1"), ("a", "a whole number, not 'a'"), large):
        with pytest.raises(ValueError, match=f"seed must be {told}"):
            scores.save("results/quick", dataset="digits", seed=seed)
    with pytest.raises(ValueError, match="name is a text, not a int"):
        scores.save("results/quick", name=3, dataset="digits")
    turned = bench_uq.evaluate(given, labels[::-1], name="mine", resamples=2)
    with pytest.raises(UsageError, match="must be in the order of the dataset's test split"):
        turned.save("results/quick", dataset="digits")
    assert not list(place.rglob("*"))
