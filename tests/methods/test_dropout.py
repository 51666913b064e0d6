"""MC-dropout against all of its masks."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from bench_uq.api import Categorical, Layers, Task
from bench_uq.api.layers import is_random
from bench_uq.api.networks import mlp
from bench_uq.methods.dropout import Dropout, MCDropout

RATE = 0.3
HIDDEN = (4, 3)


@pytest.fixture
def net() -> nn.Module:
    """Return a network of so few units that all masks can be counted."""
    torch.manual_seed(0)
    method = Dropout(rate=RATE)
    task = Task((3,), Categorical(3), mean=(0.5,) * 3, std=(0.2,) * 3)
    made = (
        mlp(task, Layers(before_dense=method.layer, before_last=method.layer), HIDDEN)
        .double()
        .eval()
    )
    for values in made.parameters():
        values.requires_grad_(False).mul_(3)
    return made


def by_enumeration(net: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and second moment of the class probabilities, (B, C), over all masks with their
    probabilities.
    """
    first, second, third = (stage for stage in net.stages if isinstance(stage, nn.Linear))
    mean = square = torch.zeros(len(inputs), 3, dtype=torch.float64)
    for bits in itertools.product([0.0, 1.0], repeat=sum(HIDDEN)):
        kept = torch.tensor(bits, dtype=torch.float64)
        weight = float(torch.where(kept == 1, 1 - RATE, RATE).prod())
        one, two = (kept / (1 - RATE)).split(HIDDEN)
        hidden = first((inputs - 0.5) / 0.2).relu()
        probs = third(second(hidden * one).relu() * two).softmax(-1)
        mean, square = mean + weight * probs, square + weight * probs.square()
    return mean, square


def test_moments_against_all_masks(net, agree):
    """Draws have the mean and the second moment of the probabilities over all 128 masks."""
    inputs = torch.tensor([[0.1, 0.9, 0.4], [0.7, 0.2, 0.6]]).double()
    torch.manual_seed(1)
    probs = Dropout(rate=RATE).draws(net, inputs, 20_000).exp()
    mean, square = by_enumeration(net, inputs)
    agree(probs, mean)
    agree(probs.square(), square)
    assert (square - mean.square()).min() > 1e-3, "masks that change nothing prove nothing"


def test_units_are_dropped_one_by_one():
    """Each unit is 0 with probability rate, else scaled by 1 / (1 - rate), in evaluation too."""
    torch.manual_seed(0)
    outputs = MCDropout(RATE).eval()(torch.ones(50_000, 3))
    dropped = outputs == 0
    torch.testing.assert_close(
        outputs[~dropped], torch.full((int((~dropped).sum()),), 1 / (1 - RATE))
    )
    assert dropped.double().mean(0).sub(RATE).abs().max() < 5 * (RATE * (1 - RATE) / 50_000) ** 0.5
    assert torch.corrcoef(dropped.double().T).fill_diagonal_(0).abs().max() < 5 / 50_000**0.5


@pytest.mark.parametrize(("where", "random"), [("dense", 2), ("last", 1)])
def test_where(images, where, random):
    """LeNet has two random stages, before its dense layers, and only the last of them with
    where=last.
    """
    stages = list(Dropout(where=where).build(images).stages)
    assert sum(is_random(stage) for stage in stages) == random
    assert isinstance(stages[-2], MCDropout)
    assert all(
        isinstance(after, nn.Linear)
        for stage, after in itertools.pairwise(stages)
        if is_random(stage)
    )


def test_rate_zero_is_the_plain_network(features):
    """At rate 0 all draws are the network's one output."""
    torch.manual_seed(0)
    method = Dropout(rate=0.0)
    net = method.build(features).eval()
    inputs = torch.rand(4, 5)
    draws = method.draws(net, inputs, 3)
    torch.testing.assert_close(draws, net(inputs).expand(3, -1, -1))
