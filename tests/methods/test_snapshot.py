"""Snapshot ensembles: the cycles of the rate, and copies of the network from their ends."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from bench_uq.api import Categorical, Method, Task, network
from bench_uq.methods._snapshots import Cyclic
from bench_uq.methods.fge import FGE
from bench_uq.methods.map import MAP
from bench_uq.methods.snapshot import Snapshot
from bench_uq.testing.method_trials import digits
from bench_uq.train.batched import train_together
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings

IMAGES = Task((1, 8, 8), Categorical(10), mean=(0.3,), std=(0.4,), network="lenet")
RECIPES = [
    {"learning_rate": 0.01, "schedule": "cosine"},
    {"learning_rate": 0.01, "schedule": "constant"},
    {"learning_rate": 0.01, "schedule": "step", "warmup": 0.3},
    {},
]


def data(count: int = 96) -> tuple[Resident, Resident]:
    """A few digits, by default three batches of them."""
    examples, cpu = digits(), torch.device("cpu")
    return Resident(examples[:count], cpu, 32), Resident(examples[400:410], cpu, 32)


def rates_of(method: Method, settings: Settings) -> list[float]:
    """The rate of each step of a training."""
    rates = list[float]()
    handle = register_optimizer_step_post_hook(
        lambda optimiser, *_: rates.append(optimiser.param_groups[0]["lr"])
    )
    try:
        train(method, IMAGES, data(), settings, 0)
    finally:
        handle.remove()
    return rates


@pytest.mark.parametrize("recipe", RECIPES)
def test_rates(recipe: dict[str, Any]) -> None:
    """From the second epoch on the rate of each step is half a cosine over its cycle (eq. 2), and
    no schedule of a recipe scales it once more; the first epoch has the whole rate.
    """
    found = rates_of(Snapshot(cycles=3), Settings(epochs=12, batch=32, **recipe))
    rate = recipe.get("learning_rate", 1e-3)
    # Three steps an epoch, four epochs a cycle.
    expected = [rate / 2 * (math.cos(math.pi * (step % 12) / 12) + 1) for step in range(36)]
    assert found[:3] == [rate] * 3
    assert found[3:] == pytest.approx(expected[3:])


@pytest.mark.parametrize(
    ("cycles", "epochs", "ends"),
    [
        (5, 60, [12, 24, 36, 48, 60]),
        (5, 12, [3, 5, 8, 10, 12]),
        (5, 4, [1, 2, 3, 4]),
        (1, 7, [7]),
        (3, 1, [1]),
    ],
)
def test_ends(cycles: int, epochs: int, ends: list[int]) -> None:
    """Cycles are of whole epochs, as equal as these allow; more cycles than epochs are as many."""
    assert Snapshot(cycles=cycles).ends(epochs) == ends


def states_of(
    method: Cyclic, task: Task, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, list[dict[str, Tensor]]]:
    """A trained network, and the state of its own layers after each epoch."""
    states, observe = list[dict[str, Tensor]](), Cyclic.observe

    def watched(self: Cyclic, net: Any, progress: float) -> None:
        observe(self, net, progress)
        states.append(copy.deepcopy(net.stages.state_dict()))

    with monkeypatch.context() as patch:
        patch.setattr(Cyclic, "observe", watched)
        nets, _ = train(method, task, data(32), settings, 0)
    return nets[0], states


@pytest.mark.parametrize(
    ("method", "ends", "name"),
    [
        (Snapshot(cycles=2), [2, 4], "lenet"),
        (Snapshot(cycles=2), [2, 4], "resnet18"),
        (FGE(cycles=2, start=0.4, low=0.5), [3, 4], "lenet"),
    ],
)
def test_draws_are_networks_from_the_ends_of_cycles(
    method: Cyclic, ends: list[int], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each draw is the plain network as it was at the end of a cycle, with the statistics that its
    norm layers had then.
    """
    task = dataclasses.replace(IMAGES, network=name)
    settings = Settings(epochs=4, batch=32, learning_rate=0.01)
    net, states = states_of(method, task, settings, monkeypatch)
    inputs = torch.rand(4, 1, 8, 8)

    with torch.no_grad():
        draws = method.draws(net, inputs, 20)
        assert len(draws) == len(ends)
        for draw, epoch in zip(draws, ends, strict=True):
            plain = network(task)
            plain.stages.load_state_dict(states[epoch - 1])
            torch.testing.assert_close(draw, plain.eval()(inputs).log_softmax(-1))
    assert (draws[0] - draws[1]).abs().max() > 1e-3


@pytest.mark.parametrize("method", [Snapshot(), FGE()])
def test_copies_are_no_parameters(method: Cyclic) -> None:
    """The parameters are those of the plain network alone: no optimiser or prior sees a copy."""
    net, plain = method.build(IMAGES), network(IMAGES)
    assert [values.shape for values in net.parameters()] == [
        values.shape for values in plain.parameters()
    ]
    per_copy = len(plain.state_dict())
    assert len(net.state_dict()) == per_copy * (1 + method.cycles) + 2


@pytest.mark.parametrize("method", [Snapshot, FGE])
def test_loss_is_that_of_map(method: type[Snapshot] | type[FGE]) -> None:
    """The loss is that of map with the same prior."""
    torch.manual_seed(0)
    net = method(prior_std=0.3).build(IMAGES)
    inputs, targets = torch.rand(5, 1, 8, 8), torch.arange(5)
    expected = MAP(prior_std=0.3).loss(net, inputs, targets, 50, 0.0)
    found = method(prior_std=0.3).loss(net, inputs, targets, 50, 0.0)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("method", [Snapshot(cycles=3), FGE(cycles=2)])
def test_seeds_that_train_together_keep_copies_of_their_own(method: Cyclic) -> None:
    """Networks trained as one batch end with the copies that each would have alone."""
    settings = Settings(epochs=6, batch=32, learning_rate=0.01, schedule="cosine")
    together = train_together(method, [IMAGES] * 2, [data()] * 2, settings, [0, 3])
    inputs = torch.rand(20, 1, 8, 8)

    for seed, outcome in zip((0, 3), together, strict=True):
        alone, _ = train(method, IMAGES, data(), settings, seed)
        with torch.no_grad():
            draws = method.draws(outcome[0][0], inputs, 20)
            expected = method.draws(alone[0], inputs, 20)
        torch.testing.assert_close(draws.exp(), expected.exp(), rtol=1e-3, atol=1e-3)


def test_before_a_cycle_has_ended() -> None:
    """A network without a copy draws as it is."""
    torch.manual_seed(0)
    net = Snapshot().build(IMAGES).eval()
    inputs = torch.rand(3, 1, 8, 8)
    draws = Snapshot().draws(net, inputs, 5)
    torch.testing.assert_close(draws, net(inputs).log_softmax(-1)[None])


@pytest.mark.parametrize("option", [{"cycles": 0}, {"cycles": 1001}, {"prior_std": 0.0}])
def test_options(option: dict) -> None:
    """Options without meaning are refused by their names."""
    with pytest.raises(ValueError, match=next(iter(option))):
        Snapshot(**option)
