"""The bounds of the variational methods where evidence and posterior are known: Bayesian linear regression.

One layer is the model, y = X w + noise with w ~ N(0, I) for each output. A bound is the mean of log p(y|X,W) - kl():
rows of X have a z and noise of their own in ``forward``, which leaves that mean as it is under one W for all rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, norm
from torch import Tensor

from bench_uq.methods.mean_field import MeanFieldLinear
from bench_uq.methods.mnf import MNFLinear

Layer = MeanFieldLinear | MNFLinear
Array = NDArray[np.float64]

#: Nominal coverage of the credible intervals.
LEVELS = (0.5, 0.8, 0.95)
#: Ways to build MNF whose bounds differ.
VARIANTS = [
    {"flows": flows, "masks": masks, "head": head}
    for flows, masks, head in itertools.product(
        (0, 2), ("fresh", "fixed"), ("precision", "sigmoid")
    )
    if flows or masks == "fresh"
]


@dataclass(frozen=True)
class LinearGaussian:
    """Bayesian linear regression: inputs (N, D), targets (N, K), the noise's standard deviation;
    prior N(0, I).
    """

    inputs: Tensor
    targets: Tensor
    noise: float

    @property
    def precision(self) -> Array:
        """Return the posterior precision of the weights of each output, (D, D)."""
        inputs = self.inputs.numpy()
        return np.eye(inputs.shape[1]) + inputs.T @ inputs / self.noise**2

    @property
    def means(self) -> Array:
        """Return the posterior means, (K, D)."""
        return (
            np.linalg.solve(self.precision, self.inputs.numpy().T @ self.targets.numpy()).T
            / self.noise**2
        )

    @property
    def log_evidence(self) -> float:
        """Return log p(y|X) in nats."""
        inputs = self.inputs.numpy()
        covariance = inputs @ inputs.T + self.noise**2 * np.eye(len(inputs))
        return float(multivariate_normal(cov=covariance).logpdf(self.targets.numpy().T).sum())

    @property
    def mean_field_optimum(self) -> float:
        """Return the best bound of a factorised Gaussian: the evidence less KL(q || posterior), in
        nats.
        """
        gap = np.log(np.diag(self.precision)).sum() - np.linalg.slogdet(self.precision)[1]
        return self.log_evidence - 0.5 * self.targets.shape[1] * float(gap)

    def log_likelihood(self, outputs: Tensor) -> Tensor:
        """Return log p(y|outputs) summed over rows and outputs, in nats."""
        squares = ((self.targets - outputs) / self.noise).square().sum()
        return -0.5 * squares - self.targets.numel() * math.log(self.noise * math.sqrt(2 * math.pi))


def regression(
    correlation: float, dim: int = 3, outputs: int = 1, count: int = 12
) -> LinearGaussian:
    """Return data drawn from the model, whose inputs have exactly this correlation between any two
    features.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = torch.linalg.qr(torch.randn(count, dim, generator=generator, dtype=torch.float64))[
        0
    ] * math.sqrt(count)
    wanted = torch.full((dim, dim), correlation, dtype=torch.float64).fill_diagonal_(1)
    inputs = inputs @ torch.linalg.cholesky(wanted).T
    weights = torch.randn(outputs, dim, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, outputs, generator=generator, dtype=torch.float64)
    return LinearGaussian(inputs, inputs @ weights.T + noise, noise=1.0)


def make(cls: type[Layer], data: LinearGaussian, **options: object) -> Layer:
    """Return a layer without biases or cap for the data, in float64."""
    torch.manual_seed(0)
    options = {"bias": False, "max_std": math.inf, "start_log_variance": -2.0, **options}
    return cls(data.inputs.shape[1], data.targets.shape[1], **options).double()


def repeat(function: Callable[[], Tensor], count: int) -> Tensor:
    """Return the results of ``count`` calls, each with noise of its own, (count, ...)."""
    return torch.vmap(lambda _: function(), randomness="different")(torch.empty(count))


def bounds(layer: Layer, data: LinearGaussian, count: int) -> Tensor:
    """Return draws of the bound, in nats, (count,)."""
    return repeat(lambda: data.log_likelihood(layer(data.inputs)) - layer.kl(), count)


def estimate(layer: Layer, data: LinearGaussian, count: int = 50_000) -> tuple[float, float]:
    """Return the bound and its standard error, in nats."""
    with torch.no_grad():
        draws = bounds(layer, data, count)
    return draws.mean().item(), (draws.std() / math.sqrt(count)).item()


def train(
    layer: Layer, data: LinearGaussian, steps: int = 700, count: int = 8, rate: float = 0.05
) -> Layer:
    """Maximise the bound by Adam, its rate falling to 0 as a cosine."""
    torch.manual_seed(1)
    optimiser = torch.optim.Adam(layer.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        (-bounds(layer, data, count).mean()).backward()
        optimiser.step()
        schedule.step()
    return layer


def set_to_optimum(layer: MeanFieldLinear, data: LinearGaussian) -> MeanFieldLinear:
    """Give the layer the posterior means and the variances 1 / diag(precision)."""
    with torch.no_grad():
        layer.mean.copy_(torch.from_numpy(data.means))
        layer.weight_log_variance.copy_(
            -torch.from_numpy(np.diag(data.precision).copy()).log().expand_as(layer.mean)
        )
    return layer


def test_mean_field_reaches_its_optimum():
    """Trained, mean-field has the posterior means, the variances 1 / diag(precision), and the bound
    these have.
    """
    data = regression(0.8)
    layer = train(make(MeanFieldLinear, data), data, count=64, rate=0.1)
    std = 1 / np.sqrt(np.diag(data.precision))
    assert np.abs((layer.mean.detach().numpy() - data.means) / std).max() < 0.05
    assert np.abs(layer.log_variance.detach().exp().sqrt().numpy() / std - 1).max() < 0.05
    value, error = estimate(layer, data)
    assert error < 0.02
    assert value == pytest.approx(data.mean_field_optimum, abs=5 * error + 0.02)
    assert value < data.log_evidence - 0.5, "correlated inputs cost mean-field more than half a nat"


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_bound_of_mean_field_at_its_optimum(correlation):
    """Set to its optimum, mean-field's bound is the closed form, and the evidence itself without
    correlation.
    """
    data = regression(correlation, outputs=2)
    value, error = estimate(set_to_optimum(make(MeanFieldLinear, data), data), data)
    assert error < 0.02
    assert value == pytest.approx(data.mean_field_optimum, abs=5 * error)
    assert (data.log_evidence - data.mean_field_optimum < 1e-9) == (correlation == 0)


@pytest.mark.parametrize(
    "options", VARIANTS, ids=lambda options: "-".join(map(str, options.values()))
)
def test_mnf_without_data_is_not_above_zero(options):
    """Without data the evidence is 1: at parameters of any kind, near the prior or far, kl() is not below 0.

    Near the prior z is N(0, 1) and all but unseen by r, and kl() all but 0: a term that is left out shows there.
    """
    values = []

    for seed, scale in enumerate(np.geomspace(0.02, 1.0, 12)):
        torch.manual_seed(seed)
        layer = MNFLinear(3, 2, bias=False, max_std=math.inf, hidden=4, **options).double()
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                start = 3.0 if name.endswith("gate.bias") else 0.0
                parameter.copy_(start + scale * torch.randn_like(parameter))
            if (
                options["head"] == "sigmoid"
            ):  # whose deviation is 1/2 where r sees nothing: so is then z's
                layer.z_log_variance -= math.log(4)
            draws = repeat(layer.kl, 4_000)
        value, error = draws.mean().item(), draws.std().item() / math.sqrt(len(draws))
        assert value > -5 * error, f"scale {scale:.3g}: {value:.4f} +- {error:.4f}"
        values.append(value)

    assert min(values) < 0.3, "nothing near 0: a wrong term would not show"


@pytest.mark.parametrize(
    "options", VARIANTS, ids=lambda options: "-".join(map(str, options.values()))
)
def test_untrained_mnf_is_below_the_evidence(options):
    """At random parameters around the posterior, MNF's bound is at or below the log evidence."""
    data = regression(0.8)
    for seed in range(6):
        layer = make(MNFLinear, data, hidden=4, z_variance=0.01, **options)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter += 0.1 * seed * torch.randn_like(parameter)
            layer.mean.copy_(torch.from_numpy(data.means))
        value, error = estimate(layer, data, 4_000)
        assert value < data.log_evidence + 5 * error


@pytest.mark.parametrize(
    "options", [{}, {"masks": "fixed", "head": "sigmoid"}], ids=["default", "as-the-paper"]
)
def test_trained_mnf_is_between_mean_field_and_evidence(options):
    """Trained, MNF's bound is at most half a nat below the best of mean-field and not above the log
    evidence.
    """
    data = regression(0.9, dim=2)
    layer = train(make(MNFLinear, data, hidden=8, z_variance=0.01, **options), data)
    value, error = estimate(layer, data)
    assert error < 0.03
    assert data.mean_field_optimum - 0.5 < value < data.log_evidence + 5 * error


def test_trained_mnf_without_correlation_is_the_evidence():
    """Where the posterior is within the family, MNF's bound comes near the log evidence: no term is
    too many.
    """
    data = regression(0.0, dim=2)
    layer = train(make(MNFLinear, data, flows=0, z_variance=0.01), data)
    value, error = estimate(layer, data)
    assert error < 0.02
    assert data.log_evidence - 0.3 < value < data.log_evidence + 5 * error


def intervals(layer: Layer, rows: Tensor, count: int) -> dict[float, tuple[Array, Array]]:
    """Return the ends of the layer's central credible intervals of its outputs, (rows, outputs)
    each, by draws.
    """
    with torch.no_grad():
        draws = repeat(lambda: layer(rows), count)
    ends = [(1 - level) / 2 for level in LEVELS] + [(1 + level) / 2 for level in LEVELS]
    found = torch.quantile(draws, torch.tensor(ends, dtype=draws.dtype), dim=0).numpy()
    return {level: (found[i], found[len(LEVELS) + i]) for i, level in enumerate(LEVELS)}


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_coverage_of_mean_field(correlation):
    """Mean-field's intervals cover 2 Phi(u sqrt(v / v_true)) - 1 of the truth, v_true the exact posterior variance.

    2,000 outputs are as many data sets on the same inputs, truth and noise drawn from the model: the truth less the
    posterior mean is then N(0, v_true). Rows that are one feature give weights, others predictions without noise.
    """
    data = regression(correlation, outputs=2_000)
    generator = torch.Generator().manual_seed(0)
    torch.randn(data.inputs.shape, generator=generator, dtype=torch.float64)
    truth = torch.randn(
        2_000, 3, generator=generator, dtype=torch.float64
    )  # as ``regression`` draws it

    layer = set_to_optimum(make(MeanFieldLinear, data), data)
    rows = torch.cat([torch.eye(3), torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0]])]).double()
    variance = (rows.square().numpy() / np.diag(data.precision)).sum(1)
    true_variance = np.einsum(
        "ri,ij,rj->r", rows.numpy(), np.linalg.inv(data.precision), rows.numpy()
    )

    torch.manual_seed(2)
    for level, (low, high) in intervals(layer, rows, 1_000).items():
        wanted = (rows @ truth.T).numpy()
        covered = ((low < wanted) & (wanted < high)).mean(1)
        theory = 2 * norm.cdf(norm.ppf((1 + level) / 2) * np.sqrt(variance / true_variance)) - 1
        # Four binomial deviations of 2,000 data sets, and 0.005 for the quantiles of 1,000 draws.
        assert np.abs(covered - theory).max() < 4 * math.sqrt(0.25 / 2_000) + 0.005
        if correlation == 0:
            assert np.abs(theory - level).max() < 1e-9
        else:
            assert theory[:3].max() < level - 0.1, "weights: too narrow"
            assert theory[3] > level + 0.02, "along the sum of the features: too wide"


def test_coverage_of_mnf():
    """A trained MNF's intervals cover the share of the truth that the exact posterior has within them.

    Given y, the weights of an output are N(m, A^-1): an interval from a to b covers with probability Phi((b - m) / sd)
    - Phi((a - m) / sd) whatever q it came from, and the truths of 300 outputs are independent. With one z for all
    these outputs, whose correlations it could not serve at once, q is mean-field's and as narrow.
    """
    outputs = 300
    data = regression(0.9, dim=2, outputs=outputs)
    generator = torch.Generator().manual_seed(0)
    torch.randn(data.inputs.shape, generator=generator, dtype=torch.float64)
    truth = torch.randn(
        outputs, 2, generator=generator, dtype=torch.float64
    ).numpy()  # as ``regression`` draws it

    layer = train(
        make(MNFLinear, data, hidden=8, z_variance=0.01), data, steps=400, count=4, rate=0.03
    )
    std = np.sqrt(np.diag(np.linalg.inv(data.precision)))
    ratio = 1 / (std * np.sqrt(np.diag(data.precision)))

    torch.manual_seed(2)
    for level, ends in intervals(layer, torch.eye(2).double(), 2_000).items():
        low, high = (end.T for end in ends)  # (outputs, features)
        theory = (norm.cdf((high - data.means) / std) - norm.cdf((low - data.means) / std)).mean(0)
        covered = ((low < truth) & (truth < high)).mean(0)
        assert np.abs(covered - theory).max() < 4 * math.sqrt(0.25 / outputs)
        mean_field = 2 * norm.cdf(norm.ppf((1 + level) / 2) * ratio) - 1
        assert np.abs(theory - mean_field).max() < 0.05
        assert theory.max() < level - 0.1
