"""Variational dropout: its KL against numerical integrals, and the weights that it removes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from bench_uq.methods.mean_field import MeanFieldLinear
from bench_uq.methods.variational_dropout import VariationalDropout


def integral(mean: float, variance: float) -> float:
    """KL(N(mean, variance) || log-uniform) in nats, by numerical integration over the weight.

    The prior's density is 1 / |w| times a constant, chosen so that the KL tends to 0 for a mean of
    0: E log|e| of a standard normal e is -(γ + log 2) / 2, with Euler's γ.
    """
    std = math.sqrt(variance)

    def density(w: float) -> float:
        return math.exp(-0.5 * ((w - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))

    # Over log|w| in place of w, where nothing is singular.
    def integrand(u: float) -> float:
        return u * math.exp(u) * (density(math.exp(u)) + density(-math.exp(u)))

    top = math.log(abs(mean) + 12 * std)
    points = sorted({-20.0, *(math.log(abs(mean + k * std)) for k in (-6, -2, 2, 6)), top})
    total = sum(
        integrate.quad(integrand, *pair, limit=200)[0]
        for pair in zip([-50.0, *points[:-1]], points, strict=True)
    )
    entropy = 0.5 * math.log(2 * math.pi * math.e * variance)
    # Without the constant, the KL of a mean of 0.
    of_zero = -0.5 * math.log(2 * math.pi * math.e) - (np.euler_gamma + math.log(2)) / 2
    return total - entropy - of_zero


def net_of(method: VariationalDropout, images) -> torch.nn.Module:
    """Return an untrained network."""
    torch.manual_seed(0)
    net = method.build(images)
    net.task = images
    return net


@pytest.mark.parametrize("mean", [0.02, 0.5, -3.0])
@pytest.mark.parametrize("log_alpha", [-8.0, -3.5, -1.0, 0.0, 2.0, 6.0])
def test_kl_is_the_integral(mean: float, log_alpha: float) -> None:
    """kl() of a weight is within 0.0094 nats of the integral, for small and large alpha."""
    layer = MeanFieldLinear(1, 1, bias=False, prior="log-uniform", max_std=math.inf).double()
    variance = math.exp(log_alpha) * mean**2
    with torch.no_grad():
        layer.mean.fill_(mean)
        layer.weight_log_variance.fill_(math.log(variance))
    assert layer.kl().item() == pytest.approx(integral(mean, variance), abs=0.0094)


def test_layers_have_that_prior(images) -> None:
    """All layers of a network have the log-uniform prior over weights, and no cap."""
    net = net_of(VariationalDropout(), images)
    layers = [layer for layer in net.modules() if hasattr(layer, "weight_log_variance")]
    assert len(layers) == 4
    assert {layer.prior for layer in layers} == {"log-uniform"}
    assert {layer.max_log_variance for layer in layers} == {math.inf}


@pytest.mark.parametrize("threshold", [3.0, -2.0, math.inf])
def test_noise_alone_is_removed(threshold: float, images) -> None:
    """Weights of a log alpha above the option are 0 without noise; the others are as they were."""
    method = VariationalDropout(max_log_alpha=threshold)
    net = net_of(method, images)
    with torch.no_grad():
        for layer in net.modules():
            if hasattr(layer, "weight_log_variance"):
                layer.weight_log_variance += 6 * torch.randn_like(layer.mean)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    method.finish(net, None, None)

    removed = 0
    for name, value in net.state_dict().items():
        old = before[name]
        if not name.endswith((".mean", "weight_log_variance")) or "stages.0" in name:
            assert torch.equal(value, old)
            continue
        layer = name.rpartition(".")[0]
        means, variances = before[f"{layer}.mean"], before[f"{layer}.weight_log_variance"].exp()
        gone = variances / means.square() > math.exp(threshold)
        assert torch.equal(value[~gone], old[~gone])
        assert (value[gone] == (0.0 if name.endswith(".mean") else -80.0)).all()
        removed += int(gone.sum())
    assert (removed > 0) == math.isfinite(threshold)


def test_inputs_without_use_are_noise() -> None:
    """Trained on targets of three of ten inputs, a layer tells those three from noise."""
    torch.manual_seed(0)
    layer = MeanFieldLinear(
        10, 1, bias=False, prior="log-uniform", max_std=math.inf, start_log_variance=-4.0
    )
    inputs = torch.randn(200, 10)
    targets = inputs[:, :3] @ torch.tensor([1.0, -2.0, 0.7]) + 0.3 * torch.randn(200)

    optimiser = torch.optim.Adam(layer.parameters(), lr=0.03)
    for _ in range(1000):
        optimiser.zero_grad()
        misfit = (layer(inputs)[:, 0] - targets).square().mean() / (2 * 0.3**2)
        (misfit + layer.kl() / 200).backward()
        optimiser.step()

    log_alpha = layer.log_variance - layer.mean.square().log()
    assert (log_alpha[0, :3] < -4).all()
    assert (log_alpha[0, 3:] > 0).all()


@pytest.mark.parametrize("threshold", [math.nan, -math.inf, -21.0, 21.0])
def test_nonsense_is_refused(threshold: float) -> None:
    """A threshold that removes all weights, or that is no number, is refused in one line."""
    words = r"^max_log_alpha must be in \[-20, 20\] or inf, not .*$"
    with pytest.raises(ValueError, match=words):
        VariationalDropout(max_log_alpha=threshold)
