"""Distances to a reference, by hand, in closed form, and for exact samples at their floor."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench_uq.api import QUANTILE_LEVELS, Metric, Predictions
from bench_uq.metrics import fidelity
from bench_uq.score.run_scores import of_metrics

LEVELS = np.asarray(QUANTILE_LEVELS)
METRICS = {metric.id: metric for metric in fidelity.METRICS}


def value(name: str, own: Predictions, reference: Predictions) -> float:
    """A metric of predictions against a reference, as the engine asks for it."""
    found = of_metrics([METRICS[name]], (own, []), ((None, []), (None, []), (reference, [])))
    ((_, score, _),) = found
    return score


def classes(rows, chains=None) -> Predictions:
    """Predictions of these probabilities (N, C), and of chains (N, M, C)."""
    arrays = {"probs": np.asarray(rows, np.float32)}
    if chains is not None:
        arrays["chain_probs"] = np.asarray(chains, np.float32)
    return Predictions(arrays)


def normals(mean, std) -> Predictions:
    """Predictions N(mean, std^2) of real targets, for arrays (N,) of both."""
    mean, std = np.broadcast_arrays(np.asarray(mean, float), np.asarray(std, float))
    quantiles = stats.norm.ppf(LEVELS, mean[:, None], std[:, None])
    return Predictions({"mean": mean, "variance": std**2, "quantiles": quantiles})


def test_classes_by_hand():
    """Two examples: total variation, agreement and divergence."""
    own = classes([[0.5, 0.3, 0.2], [0.2, 0.8, 0.0]])
    reference = classes([[0.6, 0.2, 0.2], [0.5, 0.25, 0.25]])

    # (0.1 + 0.1 + 0) / 2 and (0.3 + 0.55 + 0.25) / 2.
    assert value("total_variation", own, reference) == pytest.approx((0.1 + 0.55) / 2)
    assert value("agreement", own, reference) == 0.5

    first = 0.6 * math.log(0.6 / 0.5) + 0.2 * math.log(0.2 / 0.3)
    # A probability of 0 counts as the smallest normal number of float32.
    second = 0.5 * math.log(0.5 / 0.2) + 0.25 * math.log(0.25 / 0.8)
    second += 0.25 * math.log(0.25 / 2**-126)
    assert value("predictive_kl", own, reference) == pytest.approx((first + second) / 2)


def test_the_divergence_is_that_of_scipy():
    """KL(reference || own), and not the other way round."""
    rng = np.random.default_rng(0)
    own, reference = rng.dirichlet(np.ones(5), 40), rng.dirichlet(np.ones(5), 40)
    expected = stats.entropy(reference, own, axis=1).mean()
    assert value("predictive_kl", classes(own), classes(reference)) == pytest.approx(
        expected, rel=1e-5
    )
    assert value("predictive_kl", classes(own), classes(own)) == 0


def test_floors_of_classes_by_hand():
    """One chain against the mean of the two others, over three chains."""
    chains = [[[0.9, 0.1], [0.5, 0.5], [0.7, 0.3]]]
    reference = classes([[0.7, 0.3]], chains)
    # 0.9 against 0.6, 0.5 against 0.8, 0.7 against 0.7.
    floor = value("total_variation_floor", classes([[0.1, 0.9]]), reference)
    assert floor == pytest.approx((0.3 + 0.3 + 0) / 3)
    # The second chain is even, and its first class counts as the top label.
    assert value("agreement_floor", classes([[0.1, 0.9]]), reference) == 1.0


def test_normals_in_closed_form():
    """The distance of two Gaussians of one width is that of their means; the ratio of standard
    deviations is a geometric mean.
    """
    own, reference = normals([0.0, 2.0], [1.0, 3.0]), normals([0.5, 0.0], [1.0, 3.0])
    assert value("wasserstein_2", own, reference) == pytest.approx((0.5 + 2) / 2)
    wider = normals([0.0, 0.0], [2.0, 1.5])
    narrow = normals([0.0, 0.0], [1.0, 1.0])
    assert value("std_ratio", wider, narrow) == pytest.approx(math.sqrt(2 * 1.5))
    # sqrt((mean gap)^2 + (std gap)^2), but for the tails beyond the outermost levels.
    wide = normals([3.0], [2.0])
    assert value("wasserstein_2", wide, normals([0.0], [1.0])) == pytest.approx(
        math.hypot(3, 1), rel=0.02
    )


def test_floors_of_real_targets():
    """The mixture of chains has the law of total variance, and pooled quantiles."""
    chains = {
        "chain_mean": np.array([[0.0, 2.0, 4.0]]),
        "chain_variance": np.array([[1.0, 1.0, 4.0]]),
        "chain_quantiles": stats.norm.ppf(LEVELS, [[[0.0], [2.0], [4.0]]], 1.0),
    }
    reference = Predictions({**normals([2.0], [1.0]).arrays, **chains})
    # Against the others: variances 2.5 + 1, 2.5 + 4 and 1 + 1.
    expected = [(2.5 + 1) / 1, (2.5 + 4) / 1, 4 / (1 + 1)]
    floor = value("std_ratio_floor", normals([9.0], [1.0]), reference)
    assert floor == pytest.approx(np.sqrt(expected).mean())
    # A factor, unlike the ratio that it is the floor of, and its card says so.
    assert METRICS["std_ratio_floor"].bounds == (1, math.inf)
    assert "max(r, 1 / r)" in METRICS["std_ratio_floor"].formula

    pooled = fidelity.pooled({"chain_quantiles": chains["chain_quantiles"][:, 1:]})["quantiles"]

    def below(at: float) -> float:
        return float(stats.norm.cdf(at, [2.0, 4.0], 1.0).mean())

    assert np.array([below(at) for at in pooled[0]]) == pytest.approx(LEVELS, abs=0.02)
    alike = {name: array[:, [0, 0]] for name, array in chains.items()}
    same = Predictions({**normals([0.0], [1.0]).arrays, **alike})
    assert value("wasserstein_2_floor", normals([1.0], [1.0]), same) == pytest.approx(0, abs=1e-12)


def posterior(rng: np.random.Generator, draws: int) -> np.ndarray:
    """Probabilities (draws, N, 2) under exact samples of a logistic regression on one weight."""
    inputs, targets = np.linspace(-2, 2, 12), np.array([0, 1] * 3 + [1] * 6)
    grid = np.linspace(-12, 12, 2001)
    losses = np.logaddexp(0, np.outer(grid, (1 - 2 * targets) * inputs)).sum(1) + grid**2 / 8
    weights = np.exp(losses.min() - losses)
    sampled = rng.choice(grid, draws, p=weights / weights.sum())
    right = 1 / (1 + np.exp(-np.outer(sampled, np.linspace(-3, 3, 50))))
    return np.stack([1 - right, right], -1)


def test_exact_samples_are_at_the_floor():
    """Exact samples of a known posterior are as far from its chains, of exact samples too, as these
    are from each other; samples at half the scale are not.
    """
    rng = np.random.default_rng(0)
    distances, floors, wrong = [], [], []
    for _ in range(300):
        chains = posterior(rng, 4 * 30).reshape(4, 30, 50, 2).mean(1)
        reference = classes(chains.mean(0), chains.transpose(1, 0, 2))
        own = classes(posterior(rng, 30).mean(0))
        distances.append(value("total_variation", own, reference))
        floors.append(value("total_variation_floor", own, reference))
        flat = classes(0.25 + posterior(rng, 30).mean(0) / 2)
        wrong.append(value("total_variation", flat, reference))

    # A chain against three is a little noisier than as many samples against four.
    ratio = np.mean(distances) / np.mean(floors)
    assert ratio == pytest.approx(math.sqrt((1 + 1 / 4) / (1 + 1 / 3)), abs=0.1)
    assert np.mean(wrong) > 2 * np.mean(floors)


def test_one_chain_has_no_floor():
    """Nothing says how noisy a single chain is."""
    reference = classes([[0.5, 0.5]], [[[0.5, 0.5]]])
    assert math.isnan(value("total_variation_floor", reference, reference))


@pytest.mark.parametrize("metric", fidelity.METRICS, ids=lambda metric: metric.id)
def test_nothing_without_a_reference(metric: Metric):
    """Without a reference, or one of another kind of targets, there is no such score."""
    own = classes([[0.5, 0.5]])
    real = normals([0.0], [1.0])
    assert not metric.applies(own, None)
    assert not metric.applies(own, real)
