"""Networks trained as one batch dimension, against each of them trained alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from bench_uq.api import Method, network
from bench_uq.api.layers import Network
from bench_uq.api.task import Task
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Trained
from bench_uq.run.checkpoints import Checkpoints
from bench_uq.store import RunFolder
from bench_uq.train.batched import NotTogether, Outcome, train_together
from bench_uq.train.epoch import Diverged
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from bench_uq.train.splits import fitted, training_splits
from tests.of_classes import of_classes

SETTINGS = Settings(epochs=2, train_images=600)


def runs(
    seeds: list[int], settings: Settings = SETTINGS, dataset: str = "digits"
) -> tuple[list[Task], list[tuple[Resident, Resident]]]:
    """Return task and data of each seed."""
    one = Plugins().spec("dataset", dataset).value
    tasks, data = [], []

    for seed in seeds:
        examples = load(one, "train", Path(), seed)
        train, held_out = training_splits(examples, settings, seed)
        tasks.append(fitted(one.task(Path()), train))
        data.append(
            (
                Resident(train, torch.device("cpu"), settings.batch),
                Resident(held_out, torch.device("cpu"), 128),
            )
        )

    return tasks, data


def whole(outcome: Outcome) -> tuple[nn.ModuleList, list]:
    """Return the networks and curves of a run that went well."""
    assert not isinstance(outcome, Diverged)
    return outcome


@pytest.mark.parametrize("recipe", [{}, {"schedule": "cosine", "warmup": 0.1, "clip": 0.3}])
@pytest.mark.parametrize("full", ["map", "ensemble[members=2]"])
def test_networks_are_those_trained_alone(full: str, recipe: dict[str, Any]) -> None:
    """Where no noise is drawn every network, of each seed and member, ends where it would alone, to
    rounding.
    """
    method, seeds = Plugins().spec("method", full).value, [0, 3]
    settings = replace(SETTINGS, **recipe)
    tasks, data = runs(seeds)
    together = train_together(method, tasks, data, settings, seeds)

    for seed, task, own, outcome in zip(seeds, tasks, data, together, strict=True):
        nets, history = whole(outcome)
        alone, curves = train(method, task, own, settings, seed)
        assert [(row.member, row.epoch) for row in history] == [
            (row.member, row.epoch) for row in curves
        ]
        for row, other in zip(history, curves, strict=True):
            assert (row.loss, row.nll) == pytest.approx((other.loss, other.nll), rel=1e-4)
        inputs = own[1].inputs[:50].float() / 255
        with torch.no_grad():
            for net, other in zip(nets, alone, strict=True):
                torch.testing.assert_close(
                    net(inputs).softmax(-1), other(inputs).softmax(-1), rtol=1e-3, atol=1e-4
                )


@pytest.mark.parametrize("name", of_classes())
def test_every_method_composes_or_says_why(name: str) -> None:
    """Each method's seeds differ from one another, learn, and are restored by a strict load."""
    method, seeds = Plugins().spec("method", name).value, [0, 1]
    if hasattr(method, "steps"):
        # Long trajectories would take minutes, and compose no better.
        method = replace(method, steps=10)
    tasks, data = runs(seeds)
    settings = Settings(epochs=10)
    together = [whole(one) for one in train_together(method, tasks, data, settings, seeds)]

    states = [nets.state_dict() for nets, _ in together]
    assert any(not torch.equal(states[0][key], states[1][key]) for key in states[0])

    for task, own, (nets, history) in zip(tasks, data, together, strict=True):
        assert history[-1].loss < history[0].loss
        assert all(row.seconds > 0 for row in history)
        fresh = nn.ModuleList(method.build(task) for _ in nets)
        fresh.load_state_dict(nets.state_dict(), strict=True)
        inputs, targets = own[1].take(slice(None))
        draws = Trained(method, task, nets, 0).draws(inputs, 5)
        assert (draws.exp().mean(0).argmax(-1) == targets).float().mean() > 0.5


@pytest.mark.parametrize("name", ["mean-field", "mnf", "dropout"])
def test_curves_have_the_law_of_those_alone(name: str) -> None:
    """With noise the losses of networks trained together are those of networks trained alone,
    within their spread.
    """
    method, seeds = Plugins().spec("method", name).value, list(range(6))
    tasks, data = runs(seeds)

    joined = torch.tensor(
        [whole(one)[1][-1].loss for one in train_together(method, tasks, data, SETTINGS, seeds)]
    )
    alone = torch.tensor(
        [
            train(method, *one, SETTINGS, seed)[1][-1].loss
            for seed, *one in zip(seeds, tasks, data, strict=True)
        ]
    )

    error = (joined - alone).std() / math.sqrt(len(seeds))
    assert (joined - alone).mean().abs() < 4 * error + 0.01 * alone.mean()


@dataclass(frozen=True)
class Fragile(Method):
    """A plain network whose loss ends for one of the seeds."""

    reference: ClassVar[str] = "nowhere"

    def build(self, task: Task) -> nn.Module:
        """Return the plain network with a flag that is up in about half of the networks."""
        net = network(task)
        net.register_buffer("ends", (torch.rand(()) < 0.5).float())
        return net

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Return a loss that is not finite from the second epoch on where the flag is up."""
        loss = super().loss(net, inputs, targets, size, progress)
        return loss + torch.where(net.ends > 0, math.inf if progress >= 0.5 else 0.0, 0.0)  # type: ignore[operator]


def test_one_that_diverges_costs_its_run_alone() -> None:
    """Runs whose loss ends are told apart from the others, which end as without them."""
    seeds = list(range(6))
    tasks, data = runs(seeds)
    outcomes = train_together(Fragile(), tasks, data, SETTINGS, seeds)
    lost = [isinstance(one, Diverged) for one in outcomes]
    assert 0 < sum(lost) < len(seeds)

    kept = lost.index(False)
    (nets, _), (alone, _) = (
        whole(outcomes[kept]),
        train(Fragile(), tasks[kept], data[kept], SETTINGS, seeds[kept]),
    )
    inputs = data[kept][1].inputs[:50].float() / 255
    with torch.no_grad():
        torch.testing.assert_close(
            nets[0](inputs).softmax(-1), alone[0](inputs).softmax(-1), rtol=1e-3, atol=1e-4
        )
    assert "epoch 2" in str(outcomes[lost.index(True)])


class Cut(Exception):
    """The machine died."""


@pytest.mark.parametrize("name", [*of_classes(), "ensemble[members=2]", "fragile"])
def test_a_batch_that_is_cut_off_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    """Every network and curve is that of a batch that was not cut off, and no epoch is done twice."""
    method = Fragile() if name == "fragile" else Plugins().spec("method", name).value
    if hasattr(method, "steps"):
        method = replace(method, steps=10)
    recipe = {"learning_rate": 3e-3, "schedule": "cosine", "warmup": 0.2, "clip": 1.0}
    settings = Settings(epochs=4, train_images=200, **recipe)
    # Of six some are lost and some are not, in the third epoch, which the checkpoint must know.
    seeds = list(range(6 if name == "fragile" else 2))
    cut = 1.0 if name == "fragile" else 0.75
    tasks, data = runs(seeds, settings)
    uncut = train_together(method, tasks, data, settings, seeds)

    seen = list[float]()

    def report(progress: float) -> None:
        seen.append(progress)
        if progress == cut:
            raise Cut

    checkpoints = Checkpoints(RunFolder(tmp_path / "run"), 0.0, ("one", "two"))
    arguments = (method, tasks, data, settings, seeds)
    with pytest.raises(Cut):
        train_together(*arguments, report=report, checkpoints=checkpoints)
    torch.manual_seed(99)
    resumed = train_together(*arguments, report=seen.append, checkpoints=checkpoints)

    assert seen == [0.25, 0.5, 0.75, *([0.75] if cut < 1 else [1.0]), 1.0]
    for one, other in zip(uncut, resumed, strict=True):
        if isinstance(one, Diverged):
            assert str(other) == str(one)
            continue
        (nets, rows), (again, history) = one, whole(other)
        values, same = nets.state_dict(), again.state_dict()
        assert all(torch.equal(values[key], same[key]) for key in values)
        bare = [replace(row, seconds=0) for row in rows]
        assert bare == [replace(row, seconds=0) for row in history]


def test_a_batch_of_other_runs_starts_anew(tmp_path: Path) -> None:
    """A checkpoint is of the runs that it names."""
    method, seeds, settings = Plugins().spec("method", "map").value, [0, 1], SETTINGS
    tasks, data = runs(seeds)
    folder, seen = RunFolder(tmp_path / "run"), list[float]()
    for names in (("one", "two"), ("one", "other"), ("one", "other")):
        checkpoints = Checkpoints(folder, 0.0, names)
        arguments = (method, tasks, data, settings, seeds)
        train_together(*arguments, report=seen.append, checkpoints=checkpoints)
    assert seen == [0.5, 1.0, 0.5, 1.0]


@dataclass(frozen=True)
class Branching(Fragile):
    """A network whose way depends on its numbers: it has no rule for a batch of networks."""

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Ask for a number in the middle of the step."""
        loss = Method.loss(self, net, inputs, targets, size, progress)
        return loss * 2 if loss.item() > 1 else loss


@dataclass(frozen=True)
class Quasi(Fragile):
    """A network trained by an optimiser that looks at all numbers at once."""

    def optimiser(self, net: nn.Module) -> torch.optim.Optimizer:
        """Return L-BFGS."""
        return torch.optim.LBFGS(net.parameters())


@dataclass(frozen=True)
class Tied(Fragile):
    """A network of which two layers are one."""

    def build(self, task: Task) -> nn.Module:
        """Return dense layers that share their weights."""
        layer = nn.Linear(64, 64)
        return Network(task, [nn.Flatten(), layer, nn.ReLU(), layer, nn.Linear(64, 10)])


#: It asks for a gradient within the loss.
ADVERSARIAL = Plugins().spec("method", "ensemble[members=2,adversarial_epsilon=0.1]").value


@pytest.mark.parametrize(
    ("method", "words"),
    [(Branching(), "item"), (Quasi(), "LBFGS"), (Tied(), "share"), (ADVERSARIAL, "requires_grad")],
)
def test_what_does_not_compose_is_refused(method: Method, words: str) -> None:
    """A method that cannot be trained as one says why, and is left to the loop."""
    tasks, data = runs([0, 1])
    with pytest.raises(NotTogether, match=words):
        train_together(method, tasks, data, SETTINGS, [0, 1])


def test_targets_scaled_by_each_run_are_not_one_task() -> None:
    """Real targets are scaled by the training examples, which differ between seeds."""
    seeds = [0, 1]
    tasks, data = runs(seeds, Settings(epochs=1), "cubic")
    with pytest.raises(NotTogether, match="tasks"):
        train_together(
            Plugins().spec("method", "map").value, tasks, data, Settings(epochs=1), seeds
        )


def test_bfloat16_together() -> None:
    """Mixed precision goes through the batch of networks too."""
    method, settings = (
        Plugins().spec("method", "mnf").value,
        replace(SETTINGS, precision="bfloat16"),
    )
    tasks, data = runs([0, 3])

    for outcome, exact in zip(
        train_together(method, tasks, data, settings, [0, 3]),
        train_together(method, tasks, data, SETTINGS, [0, 3]),
        strict=True,
    ):
        losses = [row.loss for row in whole(outcome)[1]]
        others = [row.loss for row in whole(exact)[1]]
        assert losses == pytest.approx(others, rel=0.03)
        assert losses != others
