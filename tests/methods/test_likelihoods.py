"""Likelihoods and their mixtures against scipy."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch import Tensor

from bench_uq.api.likelihoods import QUANTILE_LEVELS, Categorical, Gaussian

SEEDS = range(5)


def class_draws(
    seed: int, draws: int = 7, count: int = 6, classes: int = 4, scale: float = 4.0
) -> Tensor:
    """Return draws (S, B, C) of log-probabilities in float64."""
    generator = torch.Generator().manual_seed(seed)
    return (
        scale * torch.randn(draws, count, classes, generator=generator, dtype=torch.float64)
    ).log_softmax(-1)


def gaussian_draws(seed: int, draws: int = 7, count: int = 6) -> Tensor:
    """Return draws (S, B, 2) of means and log-variances in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(draws, count, 2, generator=generator, dtype=torch.float64) * 1.5


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("draws", [1, 7])
def test_class_mixture(seed, draws):
    """The mixture is the mean of probabilities, the log-density the log of that mean, the draws'
    entropy scipy's.
    """
    log_probs = class_draws(seed, draws)
    targets = torch.arange(6) % 4
    stored = Categorical(4).mixture(log_probs, targets)
    mean = log_probs.exp().numpy().mean(0)
    assert stored["probs"].numpy() == pytest.approx(mean, rel=1e-6)
    assert stored["probs"].sum(-1).numpy() == pytest.approx(np.ones(6), abs=1e-6)
    assert stored["log_density"].numpy() == pytest.approx(np.log(mean[range(6), targets]), rel=1e-6)

    entropies = stats.entropy(log_probs.exp().numpy(), axis=-1).mean(0)
    assert stored["draw_entropy"].numpy() == pytest.approx(entropies, rel=1e-6)
    gap = stats.entropy(mean, axis=-1) - entropies
    assert stored["mutual_information"].numpy() == pytest.approx(gap, rel=1e-6, abs=1e-14)

    assert {array.dtype for array in stored.values()} == {torch.float64}
    single = Categorical(4).mixture(log_probs.float(), targets)
    assert {array.dtype for array in single.values()} == {torch.float32}


@pytest.mark.parametrize("seed", SEEDS)
def test_mean_entropy_of_draws_is_at_most_that_of_the_mixture(seed):
    """Entropy is concave: what the draws hold on average, their mixture holds at least."""
    stored = Categorical(4).mixture(class_draws(seed), None)
    assert (
        stored["draw_entropy"].numpy() <= stats.entropy(stored["probs"].numpy(), axis=-1) + 1e-6
    ).all()


def test_class_mixture_without_targets():
    """Unseen data have no log-density."""
    stored = Categorical(4).mixture(class_draws(0), None)
    assert set(stored) == {"probs", "draw_entropy", "mutual_information"}


def test_class_mixture_of_certain_draws():
    """Draws of probability 0 and 1, in float32, give probabilities, an entropy of 0 and a
    log-density of log 1/2.
    """
    certain = torch.tensor([[[0.0, -torch.inf, -torch.inf]], [[-torch.inf, 0, -torch.inf]]])
    stored = Categorical(3).mixture(certain, torch.tensor([0]))
    assert stored["probs"].tolist() == [[0.5, 0.5, 0]]
    assert stored["draw_entropy"].tolist() == [0]
    assert stored["mutual_information"].tolist() == pytest.approx([math.log(2)])
    assert stored["log_density"].tolist() == pytest.approx([-math.log(2)])


@pytest.mark.parametrize("size", [1e-12, 1e-9, 1e-6, 1e-2])
def test_mutual_information_of_sure_draws(size):
    """Two draws that leave little to the other class have the mutual information of 50 digits, also
    where float32 rounds the first class to 1.
    """
    doubts = [size, 3 * size]
    draws = torch.tensor([[[1 - doubt, doubt]] for doubt in doubts], dtype=torch.float64).log()
    stored = Categorical(2).mixture(draws.float(), None)

    with mpmath.workdps(50):
        entropies = []
        for doubt in map(mpmath.mpf, [*doubts, sum(doubts) / 2]):
            entropies.append(-doubt * mpmath.log(doubt) - (1 - doubt) * mpmath.log(1 - doubt))
        expected = float(entropies[2] - (entropies[0] + entropies[1]) / 2)
    assert stored["mutual_information"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("copies", [1, 7])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_mutual_information_of_equal_draws_is_zero(seed, copies, kind):
    """Draws that do not differ say nothing about the label: exactly 0, though in float64 the mean
    of equal logarithms is not always the logarithm.
    """
    draws = class_draws(seed, 1, count=500).to(kind).expand(copies, -1, -1)
    assert not Categorical(4).mixture(draws, None)["mutual_information"].any()


def test_tiny_probabilities_keep_their_log_density():
    """A true class of probability e^-300 in all draws has the log-density -300, in float32."""
    draws = torch.tensor([[[0.0, -300.0]]]).expand(3, 1, 2)
    assert Categorical(2).mixture(draws, torch.tensor([1]))["log_density"].item() == pytest.approx(
        -300
    )


def test_class_log_prob_and_normalise():
    """log_prob is the log-softmax at the target for (B, C) and (S, B, C) alike; normalising twice
    changes nothing.
    """
    likelihood, targets = Categorical(4), torch.arange(6) % 4
    outputs = 3 + 5 * torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0)).double()
    expected = special.log_softmax(outputs.numpy(), axis=-1)[:, range(6), targets]
    assert likelihood.log_prob(outputs, targets).numpy() == pytest.approx(expected)
    assert likelihood.log_prob(outputs[0], targets).numpy() == pytest.approx(expected[0])
    draws = likelihood.normalise(outputs)
    torch.testing.assert_close(likelihood.normalise(draws), draws)
    torch.testing.assert_close(
        likelihood.log_prob(draws, targets), likelihood.log_prob(outputs, targets)
    )


def test_class_samples():
    """Sampled labels have the frequencies of their probabilities, row by row."""
    probs = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.5, 0.0]])
    draws = probs.log().expand(20_000, 2, 3)
    labels = Categorical(3).sample(draws, torch.Generator().manual_seed(0))
    found = torch.nn.functional.one_hot(labels, 3).double().mean(0)
    assert labels.shape == (20_000, 2)
    assert (found - probs).abs().max() < 5 * 0.5 / 20_000**0.5
    assert found[1, 2] == 0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("draws", [1, 7])
def test_gaussian_moments(seed, draws):
    """Mean and variance of the mixture follow the law of total variance, the log-density is the log
    of the mean.
    """
    parameters, targets = gaussian_draws(seed, draws), torch.linspace(-3, 3, 6).double()
    mean, std = parameters[..., 0].numpy(), np.exp(parameters[..., 1].numpy() / 2)
    stored = {
        name: array.numpy()
        for name, array in Gaussian(0.0, 1.0).mixture(parameters, targets).items()
    }
    assert stored["mean"] == pytest.approx(mean.mean(0), rel=1e-5, abs=1e-6)
    assert stored["variance"] == pytest.approx((std**2).mean(0) + mean.var(0), rel=1e-5)
    assert stored["draw_variance"] == pytest.approx((std**2).mean(0), rel=1e-5)
    assert stored["log_density"] == pytest.approx(
        np.log(stats.norm.pdf(targets, mean, std).mean(0)), rel=1e-5
    )


@pytest.mark.parametrize("draws", [1, 7])
def test_crps_is_the_integral_of_its_definition(draws):
    """The CRPS of a mixture is the integral of (F(x) - 1[x >= y])^2, which SciPy does by
    quadrature.
    """
    parameters, targets = gaussian_draws(0, draws), torch.linspace(-3, 3, 6).double()
    mean, std = parameters[..., 0].numpy(), np.exp(parameters[..., 1].numpy() / 2)
    found = Gaussian(0.0, 1.0).mixture(parameters, targets)["ranked_score"].numpy()

    def integral(target, mean, std):
        own, reach = stats.norm(mean, std), np.abs(mean).max() + 9 * std.max() + 3
        below = integrate.quad(lambda x: own.cdf(x).mean() ** 2, -reach, target)[0]
        return below + integrate.quad(lambda x: own.sf(x).mean() ** 2, target, reach)[0]

    assert found == pytest.approx(list(map(integral, targets.tolist(), mean.T, std.T)), rel=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_quantiles_of_one_gaussian(seed):
    """The quantiles of a single draw are scipy's, at the midpoints of 100 equal steps."""
    parameters = gaussian_draws(seed, draws=1)
    levels = np.array(QUANTILE_LEVELS)
    assert levels == pytest.approx(np.arange(0.005, 1, 0.01))
    expected = stats.norm.ppf(
        levels, parameters[0, :, :1].numpy(), np.exp(parameters[0, :, 1:].numpy() / 2)
    )
    found = Gaussian(0.0, 1.0).mixture(parameters, None)["quantiles"].numpy()
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_quantiles_of_a_mixture(seed):
    """The mixture's distribution function at its quantiles is the level, and they rise."""
    parameters = gaussian_draws(seed)
    quantiles = Gaussian(0.0, 1.0).mixture(parameters, None)["quantiles"].double().numpy()
    mean, std = parameters[..., :1].numpy(), np.exp(parameters[..., 1:].numpy() / 2)
    below = stats.norm.cdf(quantiles, mean, std).mean(0)
    assert below == pytest.approx(np.broadcast_to(QUANTILE_LEVELS, below.shape), abs=1e-5)
    assert (np.diff(quantiles, axis=-1) > 0).all()


def test_quantiles_of_draws_far_apart():
    """Draws of very different scale and place do not spoil the quantiles."""
    parameters = torch.tensor([[[0.0, math.log(1e-6)]], [[1000.0, math.log(1e4)]]])
    quantiles = Gaussian(0.0, 1.0).mixture(parameters, None)["quantiles"][0]
    assert quantiles[24].item() == pytest.approx(stats.norm.ppf(0.49, 0, 1e-3), abs=1e-5)
    assert quantiles[74].item() == pytest.approx(stats.norm.ppf(0.49, 1000, 100), rel=1e-5)


def test_gaussian_density():
    """The log-density is normalised, in the units of the targets, also after scaling from
    standardised outputs.
    """
    likelihood = Gaussian(mean=20.0, std=3.0)
    outputs = torch.tensor([[0.5, -1.0]]).double()
    scaled = likelihood.scale(outputs)
    assert scaled[0].tolist() == pytest.approx([21.5, -1 + 2 * math.log(3)])

    total, _ = integrate.quad(
        lambda y: likelihood.log_prob(scaled, torch.tensor([y]).double()).exp().item(),
        0,
        40,
        points=[21.5],
    )
    assert total == pytest.approx(1)

    assert likelihood.log_prob(scaled, torch.tensor([18.0])).item() == pytest.approx(
        stats.norm.logpdf(18, 21.5, 3 * math.exp(-0.5))
    )
    assert likelihood.normalise(scaled).equal(scaled)


def test_gaussian_log_variance_is_bounded():
    """Log-variances out of bounds are cut off on the standardised scale, so that the density stays
    finite.
    """
    likelihood = Gaussian(mean=0.0, std=1e-3)
    outputs = torch.tensor([[0.0, -1e4], [0.0, 1e4]])
    scaled = likelihood.scale(outputs)
    assert scaled[:, 1].tolist() == pytest.approx(
        [b + 2 * math.log(1e-3) for b in likelihood.bounds], rel=1e-5
    )
    assert likelihood.log_prob(scaled, torch.ones(2)).isfinite().all()


def test_gaussian_samples():
    """Samples have the mean and variance of their row."""
    rows = torch.tensor([[1.0, math.log(4.0)], [-2.0, math.log(0.25)]]).double()
    samples = Gaussian(0.0, 1.0).sample(rows.expand(20_000, 2, 2), torch.Generator().manual_seed(0))
    error = rows[:, 1].exp().sqrt() / 20_000**0.5
    assert ((samples.mean(0) - rows[:, 0]).abs() < 5 * error).all()
    torch.testing.assert_close(
        samples.var(0), rows[:, 1].exp(), rtol=5 * (2 / 20_000) ** 0.5, atol=0
    )


def test_known_noise_takes_the_place_of_the_second_output():
    """With a known deviation of 3 every draw has a variance of 9, whatever a network of targets of
    std 4 puts out.
    """
    likelihood = Gaussian(mean=20.0, std=4.0, noise=3.0)
    outputs = torch.tensor(
        [[[0.5, -1e4], [0.5, 0.0]], [[-1.0, 2.0], [-1.0, 1e4]]], requires_grad=True
    )
    draws = likelihood.scale(outputs)
    assert draws[..., 0].tolist() == [[22.0, 22.0], [16.0, 16.0]]
    assert draws[..., 1].exp().flatten().tolist() == pytest.approx([9.0] * 4)

    targets = torch.tensor([18.0, 25.0])
    expected = stats.norm.logpdf(targets.numpy(), [[22.0], [16.0]], 3.0)
    log_prob = likelihood.log_prob(draws, targets)
    assert log_prob.detach().numpy() == pytest.approx(expected, rel=1e-5)
    log_prob.sum().backward()
    assert outputs.grad[..., 0].all()
    assert not outputs.grad[..., 1].any(), "the second output is of no use"

    stored = likelihood.mixture(draws.detach(), targets)
    assert stored["draw_variance"].tolist() == pytest.approx([9.0, 9.0])
    assert stored["variance"].tolist() == pytest.approx(
        [9.0 + 9.0, 9.0 + 9.0]
    )  # and that of the means, 22 and 16
    assert stored["log_density"].numpy() == pytest.approx(
        np.log(np.exp(expected).mean(0)), rel=1e-5
    )


def test_samples_of_known_noise():
    """Targets that are drawn vary by the known noise around the network's mean."""
    draws = Gaussian(mean=20.0, std=4.0, noise=3.0).scale(torch.tensor([[0.5, 7.0]]).double())
    samples = Gaussian(20.0, 4.0, 3.0).sample(
        draws.expand(20_000, 1, 2), torch.Generator().manual_seed(0)
    )
    assert samples.mean().item() == pytest.approx(22, abs=5 * 3 / 20_000**0.5)
    assert samples.var().item() == pytest.approx(9, rel=5 * (2 / 20_000) ** 0.5)


def test_fitting_keeps_known_noise():
    """Mean and std are filled in from the training targets, or kept where they are given; the noise
    is kept.
    """
    targets = np.array([1.0, 2.0, 6.0], np.float32)
    fitted = Gaussian(noise=3.0).fitted(targets)
    assert (fitted.mean, fitted.std, fitted.noise) == (3.0, pytest.approx(math.sqrt(14 / 3)), 3.0)
    assert Gaussian(mean=5.0, std=2.0, noise=3.0).fitted(targets) == Gaussian(
        mean=5.0, std=2.0, noise=3.0
    )
    assert math.isnan(Gaussian().fitted(targets).noise)


@pytest.mark.parametrize("noise", [0.0, -1.0])
def test_noise_that_is_none(noise):
    """A standard deviation of the noise that is not above 0 is refused."""
    with pytest.raises(ValueError, match=f"noise must be above 0, not {noise}"):
        Gaussian(noise=noise)
