"""Quantile regression: the loss against scikit-learn, and draws against the quantiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss
from torch import nn

from bench_uq.api import Examples, Gaussian, Task
from bench_uq.methods._heads import numbers_of
from bench_uq.methods.quantile import Quantile, pinball
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from bench_uq.train.splits import fitted

LEVELS = (np.arange(20) + 0.5) / 20


def built(task: Task, spread: float = 5.0) -> nn.Module:
    """Return a network whose quantiles lie far apart and at uneven distances."""
    torch.manual_seed(0)
    net = Quantile().build(task).eval()
    net.task = task
    with torch.no_grad():
        net.stages[-1].dense.weight.mul_(spread)
    return net


def test_quantiles_do_not_cross(features):
    """Quantiles ascend at every input, whatever the weights."""
    net = built(features, 100.0).double()
    quantiles = numbers_of(net, torch.randn(500, 5).double())
    assert quantiles.diff(dim=-1).min() > 0


def test_pinball_loss():
    """The loss is twice the mean of scikit-learn's pinball loss over levels at 0.025 to 0.975."""
    torch.manual_seed(0)
    quantiles, targets = torch.randn(30, 20).sort().values, torch.randn(30)
    expected = [
        mean_pinball_loss(targets, quantiles[:, index], alpha=level)
        for index, level in enumerate(LEVELS)
    ]
    assert pinball(quantiles, targets).mean().item() == pytest.approx(2 * np.mean(expected))


def test_loss_has_no_units(features):
    """The loss is that of standardised targets."""
    net = built(features)
    inputs, targets = torch.rand(7, 5), 20 + 3 * torch.randn(7)
    loss = Quantile().loss(net, inputs, targets, 7, 0.0)
    quantiles = numbers_of(net, inputs)
    torch.testing.assert_close(loss, pinball(quantiles, (targets - 20) / 3).mean())


def test_draws_are_the_quantiles(features):
    """Of enough draws each is at one quantile, in the units of the targets, with half of the mean
    distance to its neighbours as its standard deviation.
    """
    net, inputs = built(features), torch.rand(4, 5)
    with torch.no_grad():
        quantiles = 20 + 3 * numbers_of(net, inputs)
        draws = Quantile().draws(net, inputs, 50)
    torch.testing.assert_close(draws[..., 0], quantiles.T)

    gaps = quantiles.diff(dim=-1)
    stds = (0.5 * draws[..., 1]).exp().T
    torch.testing.assert_close(stds[:, 0], gaps[:, 0] / 2)
    torch.testing.assert_close(stds[:, 7], (gaps[:, 6] + gaps[:, 7]) / 4)
    torch.testing.assert_close(stds[:, -1], gaps[:, -1] / 2)


def test_mixture_has_the_quantiles(features):
    """The stored quantiles of the mixture of draws are the network's: at each level the mixture's
    distribution function is off by less than 0.6 of a level.
    """
    net, inputs = built(features), torch.rand(50, 5)
    with torch.no_grad():
        quantiles = 20 + 3 * numbers_of(net, inputs)
        mean, log_variance = Quantile().draws(net, inputs, 20).unbind(-1)
    scaled = (quantiles.unsqueeze(0) - mean.unsqueeze(-1)) / (0.5 * log_variance).exp().unsqueeze(
        -1
    )
    reached = torch.special.ndtr(scaled).mean(0)
    assert (reached - torch.from_numpy(LEVELS)).abs().max() < 0.6 / 20


@pytest.mark.parametrize("count", [1, 7])
def test_fewer_draws_are_picked_at_random(features, count):
    """Of fewer draws than quantiles no two are equal, and each quantile is drawn equally often."""
    net, inputs = built(features), torch.rand(2, 5)
    torch.manual_seed(1)
    seen = torch.zeros(20)
    with torch.no_grad():
        quantiles = 20 + 3 * numbers_of(net, inputs)
        for _ in range(1500):
            draws = Quantile().draws(net, inputs, count)
            assert draws.shape == (count, 2, 2)
            same = torch.isclose(draws[:, 0, :1], quantiles[0])
            assert same.sum(0).max() == 1
            seen += same.sum(0)

    expected = 1500 * count / 20
    assert (seen - expected).abs().max() < 5 * expected**0.5


def test_skewed_noise_is_found():
    """Of targets with exponential noise the network finds the quantiles."""
    rng = np.random.default_rng(0)
    inputs = rng.random((4000, 1)).astype(np.float32)
    targets = 3 * inputs[:, 0] + (0.5 + inputs[:, 0]) * rng.exponential(size=4000)
    examples = Examples(inputs, targets.astype(np.float32))

    task = fitted(Task((1,), Gaussian(), network="mlp"), examples)
    data = Resident(examples, torch.device("cpu"), 200)
    settings = Settings(epochs=30, learning_rate=0.01, schedule="cosine")
    net = train(Quantile(), task, (data, data), settings, seed=0)[0][0]

    grid = np.linspace(0.05, 0.95, 10, dtype=np.float32)[:, None]
    with torch.no_grad():
        found = Quantile().draws(net, torch.from_numpy(grid), 20)[..., 0].T.numpy()
    expected = 3 * grid - (0.5 + grid) * np.log(1 - LEVELS)
    assert np.abs(found - expected).mean() < 0.12
    assert np.abs(found - expected)[:, 1:-2].max() < 0.4


def test_suits(features, images):
    """The method is for real targets whose noise is not known."""
    known = Task((5,), Gaussian(20.0, 3.0, 0.5), (0.5,) * 5, (0.3,) * 5)
    assert [Quantile().suits(task) for task in (features, known, images)] == [True, False, False]


@pytest.mark.parametrize("levels", [1, 0, 2000])
def test_nonsense_is_refused(levels):
    """Too few or far too many levels are refused."""
    with pytest.raises(ValueError, match="levels"):
        Quantile(levels=levels)
