"""The beta-NLL: its gradients in closed form, and noise that it finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench_uq.api import Examples, Gaussian, Task
from bench_uq.methods.het import Het
from bench_uq.methods.map import MAP
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from bench_uq.train.splits import fitted


class Known(torch.nn.Module):
    """Outputs that are parameters."""

    def __init__(self, mean: torch.Tensor, log_variance: torch.Tensor, task: Task) -> None:
        super().__init__()
        self.outputs = torch.nn.Parameter(torch.stack((mean, log_variance), -1))
        self.task = task

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return them."""
        return self.outputs


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_gradients(features, beta):
    """The gradients are variance^beta / N times those of the NLL, (mean - y) / variance and
    (1 - (y - mean)^2 / variance) / 2, the variance of the weight in standard deviations of the
    targets.
    """
    torch.manual_seed(0)
    mean, targets = 20 + 3 * torch.randn(2, 6).double()
    log_variance = torch.randn(6).double()
    net = Known(mean, log_variance, features)
    loss = Het(beta=beta).loss(net, torch.rand(6, 5), targets, 6, 0.0)
    (found,) = torch.autograd.grad(loss, net.outputs)

    variance = log_variance.exp()
    weight = (variance / 3.0**2) ** beta / 6
    of_mean = weight * (mean - targets) / variance
    of_log_variance = weight * (1 - (targets - mean).square() / variance) / 2
    torch.testing.assert_close(found, torch.stack((of_mean, of_log_variance), -1))


def test_beta_of_zero_is_map_without_its_prior(features):
    """At beta = 0 the loss is that of ``map`` on so many examples that the prior does not count."""
    torch.manual_seed(0)
    net = Het().build(features)
    net.task = features
    inputs, targets = torch.rand(7, 5), 20 + torch.randn(7)
    expected = MAP().loss(net, inputs, targets, 10**15, 0.0)
    torch.testing.assert_close(Het(beta=0.0).loss(net, inputs, targets, 7, 0.0), expected)


def noise(inputs: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the noise at some inputs."""
    return 0.6 + 0.4 * np.sin(2 * np.pi * inputs)


def test_noise_is_found():
    """Of targets whose noise goes up and down as a sine the network finds mean and noise."""
    rng = np.random.default_rng(0)
    inputs = rng.random((4000, 1)).astype(np.float32)
    exact = 2 * np.cos(2 * np.pi * inputs[:, 0])
    targets = exact + noise(inputs[:, 0]) * rng.standard_normal(4000)
    examples = Examples(inputs, targets.astype(np.float32))

    task = fitted(Task((1,), Gaussian(), network="mlp"), examples)
    data = Resident(examples, torch.device("cpu"), 200)
    settings = Settings(epochs=40, learning_rate=0.01, schedule="cosine")
    net = train(Het(), task, (data, data), settings, seed=0)[0][0]

    grid = np.linspace(0.02, 0.98, 49, dtype=np.float32)
    with torch.no_grad():
        mean, log_variance = Het().draws(net, torch.from_numpy(grid)[:, None], 5)[0].unbind(-1)
    std = (0.5 * log_variance).exp().numpy()
    assert np.abs(mean.numpy() - 2 * np.cos(2 * np.pi * grid)).mean() < 0.1
    assert np.abs(std - noise(grid)).mean() < 0.06
    assert noise(grid).std() > 0.25


def test_suits(features, images):
    """The method is for real targets whose noise is not known."""
    known = replace(features, likelihood=Gaussian(20.0, 3.0, 0.5))
    assert [Het().suits(task) for task in (features, known, images)] == [True, False, False]


@pytest.mark.parametrize("beta", [-0.1, 1.1])
def test_nonsense_is_refused(beta):
    """A beta outside [0, 1] is refused."""
    with pytest.raises(ValueError, match="beta"):
        Het(beta=beta)
