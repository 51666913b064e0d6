"""The optimiser loop: seeds, members, curves, convergence."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench_uq.api.likelihoods import Categorical, Gaussian
from bench_uq.api.method import Method
from bench_uq.api.task import Examples, Task
from bench_uq.plan.plugins import Plugins
from bench_uq.run.checkpoints import NAME, Checkpoints
from bench_uq.store import RunFolder
from bench_uq.train.epoch import Diverged
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from bench_uq.train.splits import training_splits
from tests.of_classes import of_classes

SETTINGS = Settings(epochs=2, batch=16)
TASK = Task((4,), Categorical(3), (0.5,) * 4, (0.3,) * 4)


def data(count: int = 50, task: Task = TASK) -> tuple[Resident, Resident]:
    """Return random examples to train on, and the same held out."""
    rng = np.random.default_rng(0)
    inputs = rng.random((count, 4), dtype=np.float32)
    targets = rng.integers(0, 3, count) if task is TASK else inputs.sum(1) * 10
    resident = Resident(
        Examples(inputs, targets.astype(np.int64 if task is TASK else np.float32)),
        torch.device("cpu"),
        16,
    )
    return resident, resident


def method(text: str) -> Any:
    """Return a method."""
    return Plugins().spec("method", text).value


def state(text: str, seed: int = 0, settings: Settings = SETTINGS) -> dict[str, torch.Tensor]:
    """Return the trained values of a method."""
    return train(method(text), TASK, data(), settings, seed)[0].state_dict()


def progress_of(folder: RunFolder) -> list[float]:
    """Train map with checkpoints in a folder and return what is told of the progress."""
    told: list[float] = []
    checkpoints = Checkpoints(folder, 0.0)
    train(method("map"), TASK, data(), SETTINGS, 0, report=told.append, checkpoints=checkpoints)
    return told


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Return whether two states are the same bits."""
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", of_classes())
def test_same_seed_same_bits(name: str) -> None:
    """A run repeated with its seed ends with the same bits, with another seed with others."""
    assert equal(state(name), state(name))
    assert not equal(state(name), state(name, seed=1))


@pytest.mark.parametrize("name", of_classes())
def test_bfloat16_trains_every_method(name: str) -> None:
    """In mixed precision products are rounded, and the losses of a training are those of float32 within a few per cent.

    Values stay float32: what is stored and predicted with does not know.
    """
    exact = train(method(name), TASK, data(), SETTINGS, 0)[1]
    nets, rounded = train(method(name), TASK, data(), replace(SETTINGS, precision="bfloat16"), 0)
    assert {value.dtype for value in nets.parameters()} == {torch.float32}
    assert [row.loss for row in rounded] == pytest.approx([row.loss for row in exact], rel=0.03)
    assert [row.loss for row in rounded] != [row.loss for row in exact]


def test_tf32_is_for_training_alone() -> None:
    """A GPU may round products where it was asked to, while it trains; before and after the process
    is as it was.
    """
    seen = set()

    class Watching(type(method("map"))):  # type: ignore[misc]
        def loss(self, *arguments: Any) -> Any:
            seen.add((torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
            return super().loss(*arguments)

    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    train(Watching(), TASK, data(), replace(SETTINGS, precision="tf32"), 0)
    assert seen == {(True, "high")}
    assert (torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()) == before
    seen.clear()
    train(Watching(), TASK, data(), SETTINGS, 0)
    assert seen == {(False, "highest")}


def test_members_are_runs_of_their_own() -> None:
    """Members start and are shuffled apart; the first is the same however many follow."""
    one, three = state("map[members=1]"), state("map[members=3]")
    assert equal(one, {name: value for name, value in three.items() if name.startswith("0.")})
    assert not torch.equal(three["0.stages.2.weight"], three["1.stages.2.weight"])


def test_curves() -> None:
    """There is a row an epoch and member, with a loss that is NLL + KL / N where there is a KL."""
    nets, history = train(method("mean-field[members=2]"), TASK, data(), SETTINGS, 0)
    assert [(row.member, row.epoch) for row in history] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert len(nets) == 2
    assert all(row.kl > 0 and math.isfinite(row.nll) and row.loss > row.nll for row in history)


def test_regression_trains() -> None:
    """The Gaussian likelihood trains through the same loop, in the units of its targets."""
    task = replace(TASK, likelihood=Gaussian(mean=20.0, std=6.0))
    _, history = train(method("map"), task, data(200, task), Settings(epochs=60, batch=16), 0)
    assert history[-1].nll < history[0].nll - 0.5


class Exploding(Method):
    """A method whose loss grows to infinity."""

    def build(self, task: Task) -> torch.nn.Module:
        """Return a dense layer."""
        return torch.nn.Linear(4, 3)

    def loss(self, net: Any, inputs: Any, targets: Any, size: int, progress: float) -> torch.Tensor:
        """Return infinity in the second epoch."""
        return super().loss(net, inputs, targets, size, progress) * (
            1 if progress < 0.5 else math.inf
        )


def test_divergence_is_told() -> None:
    """A loss that is no finite number ends the training with the epoch in which it happened."""
    with pytest.raises(Diverged, match="epoch 2"):
        train(Exploding(), TASK, data(), SETTINGS, 0)


def test_progress() -> None:
    """The loss is told how much of the training is done, from 0 and below 1."""
    seen: list[float] = []

    class Watching(Exploding):
        def loss(
            self, net: Any, inputs: Any, targets: Any, size: int, progress: float
        ) -> torch.Tensor:
            seen.append(progress)
            assert size == 50
            return Method.loss(self, net, inputs, targets, size, progress)

    train(Watching(), TASK, data(), SETTINGS, 0)
    assert seen == [step / 8 for step in range(8)]


def test_held_out_share() -> None:
    """The held-out examples are a random share by seed, and no example is on both sides."""
    examples = Examples(np.arange(100, dtype=np.float32)[:, None], np.arange(100))
    train_part, held_out = training_splits(examples, Settings(validation=0.2), 0)
    assert (len(train_part), len(held_out)) == (80, 20)
    assert set(train_part.targets) | set(held_out.targets) == set(range(100))
    other = training_splits(examples, Settings(validation=0.2), 1)[1]
    assert set(other.targets) != set(held_out.targets)
    assert len(training_splits(examples, Settings(validation=0.2, train_images=30), 0)[0]) == 30


class Cut(Exception):
    """The machine died."""


@pytest.mark.parametrize("name", [*of_classes(), "map[members=3]", "mnf[members=2]"])
def test_interrupted_training_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    """A training cut off after any epoch goes on from its checkpoint to the weights and curves of
    an uncut one.
    """
    recipe = {"learning_rate": 3e-3, "schedule": "cosine", "warmup": 0.2, "clip": 1.0}
    settings = replace(SETTINGS, epochs=3, **recipe)
    nets, rows = train(method(name), TASK, data(), settings, 0)
    calls = len(rows)
    for cut in range(1, calls):
        checkpoints = Checkpoints(RunFolder(tmp_path / str(cut)), 0.0)
        seen = []

        def report(progress: float, seen: list[float] = seen, cut: int = cut) -> None:
            seen.append(progress)
            if len(seen) == cut + 1:
                raise Cut

        with pytest.raises(Cut):
            train(method(name), TASK, data(), settings, 0, report=report, checkpoints=checkpoints)
        torch.manual_seed(99)
        again, history = train(method(name), TASK, data(), settings, 0, checkpoints=checkpoints)
        assert equal(nets.state_dict(), again.state_dict())
        assert [replace(row, seconds=0) for row in history] == [
            replace(row, seconds=0) for row in rows
        ]


def test_a_checkpoint_spares_epochs(tmp_path: Path) -> None:
    """Epochs before a checkpoint are not done again, unless it is damaged or of another device."""
    folder = RunFolder(tmp_path / "run")
    assert progress_of(folder) == [0.5, 1.0]
    assert progress_of(folder) == []
    path = folder.path / NAME
    path.write_bytes(path.read_bytes()[:-1])
    assert progress_of(folder) == [0.5, 1.0]

    checkpoints = Checkpoints(folder, 0.0)
    checkpoints.save({**checkpoints.load(), "device": "cuda"})
    assert progress_of(folder) == [0.5, 1.0]


def test_checkpoints_hold_what_an_optimiser_has(tmp_path: Path) -> None:
    """Nested data come back with their kinds; a state that cannot be stored ends the storing."""
    checkpoints = Checkpoints(RunFolder(tmp_path / "run"), 0.0)
    shared = torch.arange(3.0)
    state = {
        "state": {0: {"step": shared, "same": shared}},
        "groups": [{"betas": (0.9, 1e-300), "on": True, "x": None}],
    }

    checkpoints.save(state)
    found = checkpoints.load()
    assert found["groups"] == state["groups"]
    assert torch.equal(found["state"][0]["same"], shared)

    assert checkpoints.due
    checkpoints.save({"odd": {1}})
    assert not checkpoints.due
    assert found.keys() == checkpoints.load().keys()
