"""Posteriors over weights, prior N(0, I), with known evidence and best factorised Gaussian."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermegauss
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, norm
from torch import Tensor

LOG_2_PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Problem:
    """A posterior over weights (K, D), prior N(0, I), in nats; ``log_likelihood``: (..., K, D)."""

    name: str
    outputs: int
    inputs: int
    log_likelihood: Callable[[Tensor], Tensor]
    log_evidence: float
    mean_field: float  # the best bound of a factorised Gaussian
    factorised: tuple[np.ndarray, np.ndarray]  # its means and standard deviations, (K, D) each
    #: The best bound with r exact and z Gaussian with any covariance.
    gaussian_z: float | None = None


def regression(dim: int, outputs: int, correlation: float = 0.9, count: int = 20) -> Problem:
    """Bayesian linear regression: noise 1, equally correlated inputs, targets from the model."""
    rng = np.random.default_rng(0)
    inputs = np.linalg.qr(rng.standard_normal((count, dim)))[0] * math.sqrt(count)
    wanted = np.full((dim, dim), correlation) + (1 - correlation) * np.eye(dim)
    inputs = inputs @ np.linalg.cholesky(wanted).T
    targets = inputs @ rng.standard_normal((dim, outputs)) + rng.standard_normal((count, outputs))

    precision = np.eye(dim) + inputs.T @ inputs
    marginal = multivariate_normal(cov=inputs @ inputs.T + np.eye(count))
    evidence = float(marginal.logpdf(targets.T).sum())
    lost = 0.5 * outputs * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    products, crossed = torch.from_numpy(inputs.T @ inputs), torch.from_numpy(targets.T @ inputs)
    constant = -0.5 * ((targets**2).sum() + targets.size * LOG_2_PI)

    def log_likelihood(weights: Tensor) -> Tensor:
        return constant + (weights * (crossed - 0.5 * weights @ products)).sum((-1, -2))

    means = np.linalg.solve(precision, inputs.T @ targets).T
    stds = np.broadcast_to(np.diag(precision) ** -0.5, means.shape)
    best = evidence - least_kl_of_gaussian_z(torch.from_numpy(means), torch.from_numpy(precision))
    name, mean_field = f"regression {outputs}x{dim}", evidence - lost
    return Problem(name, outputs, dim, log_likelihood, evidence, mean_field, (means, stds), best)


def least_kl_of_gaussian_z(means: Tensor, precision: Tensor) -> float:
    """Least KL(q(W) || posterior) in nats for z ~ N(centre, L L^T), by L-BFGS from 8 starts.

    W is then Gaussian with a covariance that is diagonal plus rank D: the most that z shared by all
    outputs can do for a posterior whose outputs are independent, each with this precision (D, D)
    and its means (K, D).
    """
    outputs, dim = means.shape
    full = torch.kron(torch.eye(outputs, dtype=means.dtype), precision)
    sizes = [outputs * dim, outputs * dim, dim, dim * dim]
    rng = np.random.default_rng(0)

    def kl(values: np.ndarray) -> tuple[float, np.ndarray]:
        leaf = torch.tensor(values, requires_grad=True)
        mean, log_variance, centre, spread = leaf.split(sizes)
        mean = mean.view(outputs, dim)
        factor = (mean[:, :, None] * spread.view(dim, dim)).flatten(0, 1)
        covariance = log_variance.exp().diag() + factor @ factor.T

        shift = (mean * centre - means).flatten()
        traces = (full * covariance).sum() + shift @ full @ shift - len(shift)
        value = 0.5 * (traces - torch.logdet(full) - torch.logdet(covariance))
        value.backward()
        assert leaf.grad is not None
        return value.item(), leaf.grad.numpy()

    found = []
    for _ in range(8):
        spread = 0.3 * rng.standard_normal(dim * dim)
        variances = -precision.diag().log().repeat(outputs).numpy()
        start = np.concatenate([means.numpy().ravel(), variances, np.ones(dim), spread])
        options = {"maxiter": 2000, "maxfun": 4000}
        found.append(float(minimize(kl, start, jac=True, method="L-BFGS-B", options=options).fun))
    return min(found)


def product(target: float = 1.0, noise: float = 0.3) -> Problem:
    """Two modes: one observation of w1 w2, a network 1-1-1 without biases, as one layer 1 x 2."""

    def log_likelihood(weights: Tensor) -> Tensor:
        residual = (target - weights[..., 0, 0] * weights[..., 0, 1]) / noise
        return -0.5 * residual.square() - math.log(noise) - 0.5 * LOG_2_PI

    def mass(w: float) -> float:
        return norm.pdf(w) * norm.pdf(target, 0, math.hypot(noise, w))

    evidence = quad(mass, -12, 12, epsabs=1e-12, limit=500)[0]
    return two_dimensional("product", log_likelihood, math.log(evidence))


def funnel(slope: float = 1.5) -> Problem:
    """A funnel: one observation, 0, of w2 with the log-deviation ``slope`` w1."""

    def log_likelihood(weights: Tensor) -> Tensor:
        log_std = slope * weights[..., 0, 0]
        return -0.5 * (weights[..., 0, 1] * (-log_std).exp()).square() - log_std - 0.5 * LOG_2_PI

    def mass(w: float) -> float:
        return norm.pdf(w) * norm.pdf(0, 0, math.hypot(1, math.exp(slope * w)))

    evidence = quad(mass, -12, 12, epsabs=1e-12, limit=500)[0]
    return two_dimensional("funnel", log_likelihood, math.log(evidence))


def two_dimensional(
    name: str, log_likelihood: Callable[[Tensor], Tensor], log_evidence: float
) -> Problem:
    """Add mean-field's best bound, by 40 x 40 Gauss-Hermite points and L-BFGS from 24 starts."""
    points, weights = (torch.from_numpy(values) for values in hermegauss(40))
    grid = torch.cartesian_prod(points, points)
    mass = torch.cartesian_prod(weights, weights).prod(-1) / (2 * math.pi)

    def negative(values: np.ndarray) -> tuple[float, np.ndarray]:
        leaf = torch.tensor(values, requires_grad=True)
        mean, log_std = leaf[:2], leaf[2:]
        likelihood = (mass * log_likelihood((mean + log_std.exp() * grid)[:, None, :])).sum()
        kl = 0.5 * (mean.square() + (2 * log_std).exp() - 2 * log_std - 1).sum()
        (kl - likelihood).backward()
        assert leaf.grad is not None
        return (kl - likelihood).item(), leaf.grad.numpy()

    starts = np.random.default_rng(0).uniform([-1.5, -1.5, -2, -2], [1.5, 1.5, 0, 0], (24, 4))
    ends = [minimize(negative, start, jac=True, method="L-BFGS-B") for start in starts]
    best = min(ends, key=lambda end: end.fun)
    factorised = best.x[None, :2], np.exp(best.x[None, 2:])
    return Problem(name, 1, 2, log_likelihood, log_evidence, -float(best.fun), factorised)
