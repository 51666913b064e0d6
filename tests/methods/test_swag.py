"""SWA and SWAG: a walk by hand, its moments by NumPy, and the statistics of norm layers."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_uq.api import Base, Batches, Categorical, Network, Task, UsageError
from bench_uq.methods._samples import state_of
from bench_uq.methods._walk import Data, Walking
from bench_uq.methods.dropout import Dropout
from bench_uq.methods.map import MAP
from bench_uq.methods.multi_swag import MultiSWAG
from bench_uq.methods.swa import SWA
from bench_uq.methods.swag import SWAG, Moments

TASK = Task((3,), Categorical(4), mean=(0.0,) * 3, std=(1.0,) * 3)


class Known(Batches):
    """Random examples in batches of 8."""

    def __init__(self, size: int = 20, batch: int = 8) -> None:
        generator = torch.Generator().manual_seed(5)
        self.inputs = torch.randn(size, 3, generator=generator)
        self.targets = torch.randint(4, (size,), generator=generator)
        self.batch = batch

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.inputs.split(self.batch), self.targets.split(self.batch), strict=True)


def made(seed: int = 0) -> Network:
    """A network with batch normalisation."""
    torch.manual_seed(seed)
    stages = [nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 4)]
    return Network(TASK, stages).eval()


def fitted(method: Walking, nets: list[Network], train: Batches | None = None) -> nn.Module:
    """The method on these networks, as the engine fits it."""
    net = method.build_on(TASK, Base(MAP().draws, nn.ModuleList(nets)))
    net.task = TASK
    torch.manual_seed(7)
    method.finish(net.eval(), train or Known(), Known())
    return net


def weights_of(net: nn.Module) -> Tensor:
    """All weights of a network in one row."""
    return torch.cat([values.detach().flatten() for values in net.parameters()])


def walked(net: Network, snapshots: int, rate: float, prior_std: float) -> list[Tensor]:
    """Weights before and after each epoch of SGD with momentum 0.9, written out."""
    net, train = copy.deepcopy(net).train(), Known()
    parameters = list(net.parameters())
    speeds = [torch.zeros_like(values) for values in parameters]
    found = [weights_of(net)]

    for _ in range(snapshots):
        # Batches of 7, 7 and 6 examples.
        for index in torch.randperm(20).tensor_split(3):
            log_probs = net(train.inputs[index]).log_softmax(-1)
            nll = -log_probs[torch.arange(len(index)), train.targets[index]].mean()
            prior = sum(values.square().sum() for values in parameters) / (2 * prior_std**2)
            gradients = torch.autograd.grad(nll + prior / 20, parameters)
            with torch.no_grad():
                for values, speed, gradient in zip(parameters, speeds, gradients, strict=True):
                    speed.mul_(0.9).add_(gradient)
                    values.sub_(rate * speed)
        found.append(weights_of(net))
    return found


def test_swa_is_the_mean_of_the_snapshots() -> None:
    """The weights are the mean over the start and the ends of all epochs of map's loss."""
    start = made()
    net = fitted(SWA(snapshots=4, rate=0.1, prior_std=0.5), [copy.deepcopy(start)])
    torch.manual_seed(7)
    snapshots = walked(start, 4, 0.1, 0.5)

    torch.testing.assert_close(weights_of(net.base.nets[0]), torch.stack(snapshots).mean(0))
    assert (snapshots[-1] - snapshots[0]).abs().max() > 0.1, "the walk went nowhere"


def test_draws_have_the_moments_of_the_snapshots(agree) -> None:
    """Samples have mean and covariance of Maddox et al. 2019, eq. 1: half the diagonal of the
    variances, and half of D D^T / (K - 1), of the deviations of the last K snapshots from the
    running means.
    """
    snapshots = np.random.default_rng(0).normal(size=(9, 4)) * [1.0, 0.1, 2.0, 0.5]
    moments = Moments.of(torch.from_numpy(snapshots[0]), rank=5)
    for weights in snapshots[1:]:
        moments.add(torch.from_numpy(weights))

    mean = snapshots.mean(0)
    running = [snapshots[: number + 1].mean(0) for number in range(9)]
    deviations = (snapshots - running)[-5:].T
    diagonal = np.diag((snapshots**2).mean(0) - mean**2)
    covariance = (diagonal + deviations @ deviations.T / 4) / 2

    for scale in (1.0, 0.3):
        torch.manual_seed(1)
        samples = torch.stack([moments.sample(scale) for _ in range(10_000)])
        agree(samples, torch.from_numpy(mean))
        centred = samples - torch.from_numpy(mean)
        agree(centred.unsqueeze(2) * centred.unsqueeze(1), torch.from_numpy(scale * covariance))


def test_samples_come_from_the_moments_of_the_walk() -> None:
    """Stored samples lie around the mean of the walk, which the network gets, as widely as its
    snapshots.
    """
    start = made()
    method = SWAG(snapshots=6, rank=3, samples=400, rate=0.1)
    net = fitted(method, [copy.deepcopy(start)])
    torch.manual_seed(7)
    snapshots = torch.stack(walked(start, 6, 0.1, 1.0))
    mean = weights_of(net.base.nets[0])
    torch.testing.assert_close(mean, snapshots.mean(0))

    samples = net.samples[0, :, : len(mean)]
    running = snapshots.cumsum(0) / torch.arange(1, 8).unsqueeze(1)
    deviations = (snapshots - running)[-3:]
    variance = (snapshots.var(0, correction=0) + deviations.square().sum(0) / 2) / 2
    scaled = (samples - mean) / variance.sqrt()
    assert scaled.mean(0).abs().max() < 5 / 400**0.5
    assert (scaled.var(0) - 1).abs().max() < 5 * (2 / 400) ** 0.5


@pytest.mark.parametrize(
    "method", [SWA(snapshots=3, rate=0.1), SWAG(snapshots=3, rank=2, samples=4, rate=0.1)]
)
def test_norm_layers_have_the_statistics_of_the_training_examples(method: Walking) -> None:
    """Under the weights of each draw, means and variances are those of all activations."""
    train = Known(size=16, batch=16)
    net = fitted(method, [made()], train)
    states = [{name: value.flatten() for name, value in state_of(net.base.nets[0]).items()}]
    if isinstance(method, SWAG):
        states = [named(net.base.nets[0], row) for row in net.samples[0]]
    assert len(states) == (4 if isinstance(method, SWAG) else 1)

    for state in states:
        weights = state["stages.1.weight"].view(5, 3)
        activations = train.inputs @ weights.T + state["stages.1.bias"]
        torch.testing.assert_close(state["stages.2.running_mean"], activations.mean(0))
        torch.testing.assert_close(state["stages.2.running_var"], activations.var(0))


def named(net: nn.Module, row: Tensor) -> dict[str, Tensor]:
    """The parts of a stored state by name."""
    values = state_of(net)
    parts = row.split([value.numel() for value in values.values()])
    return {
        name: part.view_as(value) for (name, value), part in zip(values.items(), parts, strict=True)
    }


def test_draws_are_passes_under_stored_samples() -> None:
    """All samples of all members are drawn, or some at random, each by a pass with its own state."""
    method = MultiSWAG(snapshots=3, rank=2, samples=4, rate=0.1)
    net = fitted(method, [made(seed) for seed in range(3)])
    inputs = torch.randn(5, 3)

    expected = []
    for own, samples in zip(net.base.nets, net.samples, strict=True):
        for row in samples:
            other = copy.deepcopy(own)
            other.load_state_dict(named(own, row), strict=False)
            expected.append(other.eval()(inputs).log_softmax(-1))
    with torch.no_grad():
        torch.testing.assert_close(method.draws(net, inputs, 50), torch.stack(expected))

        seen = set()
        for seed in range(60):
            torch.manual_seed(seed)
            (draw,) = method.draws(net, inputs, 1)
            seen.add(
                next(at for at, one in enumerate(expected) if torch.allclose(one, draw, atol=1e-5))
            )
    # Of 12, each is left out of 60 with a probability of half a percent.
    assert len(seen) >= 10


def test_members_walk_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and variance of each member's stored samples are NumPy's of its own snapshots, from its
    own weights on.
    """
    starts, walk = [], MultiSWAG.walk

    def noted(self: MultiSWAG, net: nn.Module, data: Data) -> Iterator[Tensor]:
        starts.append(torch.get_rng_state())
        return walk(self, net, data)

    monkeypatch.setattr(MultiSWAG, "walk", noted)
    method = MultiSWAG(snapshots=6, rank=3, samples=400, rate=0.1)
    net = fitted(method, [made(0), made(1)])
    assert len(starts) == 2

    for number, start in enumerate(starts):
        before = made(number)
        torch.set_rng_state(start)
        snapshots = torch.stack(walked(before, 6, 0.1, 1.0)).double().numpy()
        mean = snapshots.mean(0)
        np.testing.assert_allclose(weights_of(net.base.nets[number]), mean, atol=1e-5)

        running = [snapshots[: count + 1].mean(0) for count in range(7)]
        low_rank = ((snapshots - running)[-3:] ** 2).sum(0) / 2
        variance = (snapshots.var(0) + low_rank) / 2
        samples = net.samples[number, :, : len(mean)].double().numpy()
        scaled = (samples - mean) / np.sqrt(variance)
        assert np.abs(scaled.mean(0)).max() < 5 / 400**0.5
        assert np.abs(scaled.var(0) - 1).max() < 5 * (2 / 400) ** 0.5


def test_each_epoch_shows_all_examples_once() -> None:
    """Batches differ in size by one at most, so that none is left with a single example."""
    data = Data.of(Known(size=17))
    batches = [inputs for inputs, _ in data.epoch()]
    assert [len(inputs) for inputs in batches] == [6, 6, 5]
    assert sorted(torch.cat(batches).tolist()) == sorted(data.inputs.tolist())


def test_other_bases_and_divergence_are_errors() -> None:
    """Networks that draw noise are no start, and a rate that is too high is named."""
    net = Dropout().build(TASK).eval()
    net.task = TASK
    method = SWAG(snapshots=2, rank=2)
    held = method.build_on(TASK, Base(Dropout().draws, nn.ModuleList([net])))
    with pytest.raises(UsageError, match="one pass"):
        method.finish(held, Known(), Known())

    huge = Known()
    huge.inputs = 1e20 * huge.inputs
    with pytest.raises(ArithmeticError, match=r"rate 0\.05"):
        fitted(SWA(), [Network(TASK, [nn.Linear(3, 4)]).eval()], huge)


@pytest.mark.parametrize(
    "options",
    [
        {"rank": 1},
        {"rank": 21},
        {"samples": 0},
        {"scale": -1.0},
        {"snapshots": 0},
        {"rate": math.nan},
    ],
)
def test_nonsense_is_refused(options) -> None:
    """A rank beyond the snapshots, and numbers without meaning, are no options."""
    with pytest.raises(ValueError, match=next(iter(options))):
        SWAG(**options)
