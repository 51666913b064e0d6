"""Samples in a buffer: which are kept, and which are drawn."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from bench_uq.api import Task
from bench_uq.methods._samples import due
from bench_uq.methods.csgmcmc import CyclicalSGMCMC
from bench_uq.methods.sghmc import SGHMC
from bench_uq.methods.sgld import SGLD


def filled(task: Task, count: int, samples: int = 5) -> tuple[SGLD, nn.Module, list[nn.Module]]:
    """A method, its network with some samples, and networks with the weights of each of them."""
    torch.manual_seed(0)
    method = SGLD(samples=samples, burn_in=0.0)
    net, others = method.build(task), []
    net.task = task
    for number in range(count):
        other = method.build(task).eval()
        net.load_state_dict(dict(other.named_parameters()), strict=False)
        method.observe(net, (number + 1) / count)
        others.append(other)
    return method, net.eval(), others


def inputs_for(task: Task) -> Tensor:
    """A few inputs in [0, 1]."""
    return torch.rand(3, *task.input_shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=["images", "features"])
def task(request: pytest.FixtureRequest) -> Task:
    """Return each task."""
    found: Task = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("count", [5, 50])
def test_each_sample_once(task, count):
    """As many draws as samples or more are the outputs of each kept network, once and in order."""
    method, net, others = filled(task, 5)
    inputs = inputs_for(task)
    with torch.no_grad():
        expected = torch.stack([task.likelihood.normalise(other(inputs)) for other in others])
        torch.testing.assert_close(method.draws(net, inputs, count), expected)


def test_fewer_are_picked_at_random(images):
    """Two of five are two different ones, each pair of them equally often, by torch's generator."""
    method, net, _ = filled(images, 5)
    inputs = inputs_for(images)
    with torch.no_grad():
        every = method.draws(net, inputs, 5)[:, 0, 0].tolist()
        assert len(set(every)) == 5

        pairs = Counter[frozenset[int]]()
        for seed in range(600):
            torch.manual_seed(seed)
            found = method.draws(net, inputs, 2)[:, 0, 0].tolist()
            pairs[frozenset(every.index(value) for value in found)] += 1

    assert {len(pair) for pair in pairs} == {2}
    assert len(pairs) == 10
    # 60 of each are expected, with a standard deviation of 7.
    assert max(abs(number - 60) for number in pairs.values()) < 35


def test_before_any_sample(images):
    """As long as nothing is kept, the present weights give the one draw."""
    method, net, _ = filled(images, 0)
    inputs = inputs_for(images)
    with torch.no_grad():
        torch.testing.assert_close(
            method.draws(net, inputs, 7), net(inputs).log_softmax(-1).unsqueeze(0)
        )


def test_gradients_reach_the_inputs(images):
    """The gradient in the inputs is that of the kept networks."""
    method, net, others = filled(images, 2)
    inputs = inputs_for(images).requires_grad_()
    (found,) = torch.autograd.grad(method.draws(net, inputs, 2)[..., 0].sum(), inputs)
    expected = sum(other(inputs).log_softmax(-1)[:, 0].sum() for other in others)
    torch.testing.assert_close(found, torch.autograd.grad(expected, inputs)[0])


def epochs_of_samples(method: SGLD | SGHMC | CyclicalSGMCMC, task: Task, epochs: int) -> list[int]:
    """Epochs after which a sample is kept."""
    net, found = method.build(task), []
    if "steps" in dict(net.named_buffers()):
        net.steps.fill_(1.0)
    for epoch in range(1, epochs + 1):
        before = int(net.kept)
        method.observe(net, epoch / epochs)
        found += [epoch] * (int(net.kept) - before)
    return found


def test_samples_of_the_burn_in_are_not_kept(features):
    """Samples are even over the epochs after the burn-in, the last among them; short trainings keep
    one an epoch.
    """
    assert epochs_of_samples(SGLD(samples=5), features, 20) == [12, 14, 16, 18, 20]
    assert epochs_of_samples(SGHMC(samples=5, burn_in=0.8), features, 10) == [9, 10]
    assert epochs_of_samples(SGLD(samples=5, burn_in=0.0), features, 3) == [1, 2, 3]
    assert epochs_of_samples(SGLD(samples=1), features, 7) == [7]


def test_samples_of_each_cycle(features):
    """Each cycle gives its share of the samples, in its last part alone, as many cycles as fit the
    epochs.
    """
    method = CyclicalSGMCMC(cycles=3, exploration=0.5, samples=6)
    assert epochs_of_samples(method, features, 30) == [8, 10, 18, 20, 28, 30]
    assert epochs_of_samples(CyclicalSGMCMC(), features, 60)[:6] == [13, 14, 15, 28, 29, 30]
    assert epochs_of_samples(CyclicalSGMCMC(), features, 4) == [1, 2, 3, 4]
    assert epochs_of_samples(CyclicalSGMCMC(), features, 1) == [1]


@pytest.mark.parametrize("epochs", [1, 3, 7, 60, 997])
@pytest.mark.parametrize("cycles", [1, 4, 7])
def test_ever_more_samples_are_due(epochs, cycles):
    """All samples are due when a training ends, and never fewer later."""
    shares = [due(epoch / epochs, cycles, 0.6) for epoch in range(1, epochs + 1)]
    assert shares[-1] == pytest.approx(1)
    positive = [share for share in shares if share > 0]
    assert positive == sorted(positive)


@pytest.mark.parametrize("length", [1, 2, 3, 7])
@pytest.mark.parametrize("cycles", [1, 4, 25])
def test_samples_are_due_where_a_cycle_ends(cycles, length):
    """The epoch with which a cycle ends belongs to it, however its share of the training rounds."""
    for cycle in range(1, cycles + 1):
        progress = cycle * length / (cycles * length)
        assert due(progress, cycles, 0.6) == pytest.approx(cycle / cycles)
