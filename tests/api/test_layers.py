"""The networks that all methods share, and their draws."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench_uq.api.errors import UsageError
from bench_uq.api.layers import Layers, Network, is_random, kl, split, stochastic_passes
from bench_uq.api.likelihoods import Categorical
from bench_uq.api.networks import network
from bench_uq.api.task import Task
from bench_uq.plan.plugins import Plugins

SMALL = Task((1, 8, 8), Categorical(10), (0.3,), (0.4,), "lenet")
LARGE = Task((1, 28, 28), Categorical(10), (0.13,), (0.31,), "lenet")


class Noisy(nn.Module):
    """A layer that draws noise and counts how often it was run."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the inputs with noise."""
        return inputs + torch.randn_like(inputs)


class Counted(nn.Linear):
    """A dense layer of ours that is known not to be random, and counts its rows."""

    random = False
    rows = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the product."""
        Counted.rows += len(inputs)
        return super().forward(inputs)


def test_lenet_is_the_papers() -> None:
    """On 28x28 images LeNet has the 431,080 parameters of 20-50-500."""
    assert sum(weights.numel() for weights in network(LARGE).parameters()) == 431_080


@pytest.mark.parametrize("task", [SMALL, LARGE])
def test_shapes(task: Task) -> None:
    """A network maps a batch of images to one row of outputs each."""
    assert network(task)(torch.rand(3, *task.input_shape)).shape == (3, 10)


def test_normalisation_is_the_first_layer() -> None:
    """Inputs in [0, 1] are normalised inside the network."""
    first = network(SMALL).stages[0]
    assert torch.allclose(first(torch.full((1, 1, 8, 8), 0.7)), torch.tensor(1.0))


def test_unknown_network() -> None:
    """An unknown network answers with the known ones."""
    with pytest.raises(UsageError, match="lenet"):
        network(Task((4,), Categorical(2), (0.5,), (0.5,), "lennet"))


def test_prefix_runs_once() -> None:
    """The deterministic layers before the first random one run once for all draws."""
    net = Network(SMALL, [nn.Flatten(), Counted(64, 32), Noisy(), nn.Linear(32, 10)])
    Counted.rows = 0
    draws = stochastic_passes(net, torch.rand(5, 1, 8, 8), 7)
    assert (draws.shape, Counted.rows) == ((7, 5, 10), 5)
    assert not torch.equal(draws[0], draws[1])


def test_layers_unknown_to_us_count_as_random() -> None:
    """A layer that says nothing is run once a draw; torch's own are known to be still in
    evaluation.
    """
    assert is_random(Noisy())
    assert not is_random(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)))
    before, after = split(network(SMALL, Layers(before_last=Noisy)))
    assert (len(before), len(after)) == (10, 2)


def test_deterministic_networks_give_one_draw() -> None:
    """Where nothing is random there is one draw, however many are asked for."""
    assert stochastic_passes(network(SMALL), torch.rand(4, 1, 8, 8), 100).shape == (1, 4, 10)


def test_many_draws_are_independent_passes() -> None:
    """Draws made as one larger batch have the moments of passes made one by one."""
    torch.manual_seed(0)
    method = Plugins().spec("method", "mnf").value
    net = method.build(SMALL).eval()
    inputs = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        together = stochastic_passes(net, inputs, 1000)
        alone = torch.stack([net(inputs).log_softmax(-1) for _ in range(1000)])
    error = (together.var(0) / 1000 + alone.var(0) / 1000).sqrt()
    assert ((together.mean(0) - alone.mean(0)).abs() < 5 * error).all()
    assert torch.allclose(together.std(0), alone.std(0), rtol=0.15)


def test_kl_of_a_single_layer() -> None:
    """A network that is one variational layer has that layer's KL."""
    layer = Plugins().spec("method", "mean-field").value.build(SMALL).stages[1]
    assert torch.equal(kl(layer), layer.kl())


def test_kl_sums_the_layers() -> None:
    """The KL of a network is the sum over its layers, 0 without variational ones."""
    assert kl(network(SMALL)) == 0
    net = Plugins().spec("method", "mean-field").value.build(SMALL)
    parts = [layer.kl() for layer in net.modules() if hasattr(layer, "kl")]
    assert len(parts) == 4
    assert torch.isclose(kl(net), torch.stack(parts).sum())
