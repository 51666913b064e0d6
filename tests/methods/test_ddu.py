"""DDU: densities of the hidden units against SciPy, and what they tell far from the data."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

from bench_uq.api import Categorical, Task
from bench_uq.methods._heads import head_of
from bench_uq.methods.ddu import DDU, FLOOR, Density
from tests.batches import Known, Untouchable

D, C = 5, 3


@pytest.fixture(scope="module")
def examples() -> tuple[np.ndarray, np.ndarray]:
    """Return hidden units (N, D) of three classes of unequal size and spread, and labels (N,)."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [40, 25, 7])
    mixing = rng.normal(size=(C, D, D))
    noise = rng.normal(size=(len(labels), D))
    hidden = 2.0 * labels[:, None] + np.einsum("nij,nj->ni", mixing[labels], noise)
    return hidden, labels


def fitted(examples: tuple[np.ndarray, np.ndarray]) -> Density:
    """Return a head that was fitted to examples."""
    head = Density(D, C).double()
    head.fit(*examples)
    return head


def by_scipy(
    hidden: np.ndarray, labels: np.ndarray, points: np.ndarray, classes: Iterable[int]
) -> np.ndarray:
    """Log-density of points (B, D) under these classes, by their shares of all examples."""
    parts = []
    for label in classes:
        own = hidden[labels == label]
        shrunk = LedoitWolf().fit(own).covariance_
        width = hidden.shape[1]
        shrunk = shrunk + FLOOR * np.trace(shrunk) / width * np.eye(width)
        normal = multivariate_normal(own.mean(0), shrunk)
        parts.append(math.log(len(own) / len(hidden)) + normal.logpdf(points))
    return logsumexp(parts, axis=0)


def test_density_is_that_of_the_mixture(examples: tuple[np.ndarray, np.ndarray]) -> None:
    """The log-density is SciPy's, with scikit-learn's covariance of each class."""
    hidden, labels = examples
    points = np.random.default_rng(1).normal(size=(20, D)) * 4
    found = fitted(examples).log_density(torch.from_numpy(points))
    np.testing.assert_allclose(found, by_scipy(hidden, labels, points, range(C)), rtol=1e-9)


def test_density_integrates_to_one(examples: tuple[np.ndarray, np.ndarray]) -> None:
    """By importance sampling from a wide Gaussian around the data."""
    head = fitted(examples)
    hidden = examples[0]
    wide = multivariate_normal(hidden.mean(0), 3 * np.cov(hidden.T) + np.eye(D), seed=0)
    points = wide.rvs(200_000)

    ratio = np.exp(head.log_density(torch.from_numpy(points)).numpy() - wide.logpdf(points))
    assert ratio.mean() == pytest.approx(1, abs=5 * ratio.std() / math.sqrt(len(ratio)))
    assert ratio.std() / math.sqrt(len(ratio)) < 0.02


def test_units_that_are_always_zero(examples: tuple[np.ndarray, np.ndarray]) -> None:
    """Such units have no variance, and make the density neither infinite nor blind to them."""
    hidden, labels = examples[0].copy(), examples[1]
    hidden[:, 0] = 0
    head = fitted((hidden, labels))

    inside = torch.from_numpy(hidden[:1])
    outside = inside.clone()
    outside[:, 0] = 10
    assert torch.isfinite(head.log_density(inside)).all()
    assert head.log_density(outside) < head.log_density(inside) - 10


def test_a_class_of_one_example(examples: tuple[np.ndarray, np.ndarray]) -> None:
    """It has no covariance: the density is that of the other classes, by their shares of all."""
    hidden, labels = examples[0].copy(), examples[1].copy()
    labels[labels == 2] = 1
    labels[-1] = 2
    points = np.random.default_rng(1).normal(size=(20, D)) * 4

    found = fitted((hidden, labels)).log_density(torch.from_numpy(points))
    np.testing.assert_allclose(found, by_scipy(hidden, labels, points, [0, 1]), rtol=1e-9)


def test_far_away_is_unseen(examples: tuple[np.ndarray, np.ndarray]) -> None:
    """The density falls with the distance to all classes."""
    head = fitted(examples)
    direction = torch.ones(1, D, dtype=torch.float64)
    densities = torch.cat([head.log_density(direction * far) for far in (10.0, 30.0, 100.0)])
    assert (densities.diff() < 0).all()


TASK = Task((4,), Categorical(C), (0.0,) * 4, (1.0,) * 4, network="mlp-32")


def built(method: DDU) -> nn.Module:
    """An untrained network of the method."""
    torch.manual_seed(0)
    net = method.build(TASK)
    net.task = TASK
    return net


def clusters(size: int = 60) -> Known:
    """Inputs around three corners, and the corners' numbers."""
    torch.manual_seed(1)
    targets = torch.arange(size) % C
    return Known(2 * torch.eye(4)[targets] + 0.3 * torch.randn(size, 4), targets)


def hidden_of(net: nn.Module, inputs: Tensor) -> np.ndarray:
    """Inputs of the last dense layer, caught by a hook, (B, D)."""
    caught = []
    handle = head_of(net).register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    with torch.no_grad():
        net(inputs)
    handle.remove()
    return caught[0].double().numpy()


def largest_norm(net: nn.Module) -> float:
    """Largest singular value of all hidden layers, by an explicit decomposition."""
    last = head_of(net).dense
    dense = [one for one in net.modules() if isinstance(one, nn.Linear) and one is not last]
    return max(torch.linalg.svdvals(layer.weight)[0].item() for layer in dense)


def test_score_is_the_negative_density_of_the_training_examples() -> None:
    """``ood_score`` is -log of SciPy's density of the hidden units, fitted to the training examples
    of all batches, and to no others; the class of a single example has none.
    """
    method, train = DDU(), clusters()
    net = built(method)
    train.targets[train.targets == 2] = 1
    train.targets[-1] = 2
    method.finish(net.eval(), train, Untouchable())

    inputs = 2 * torch.randn(20, 4)
    found = method.beside(net, inputs, method.draws(net, inputs, 1))
    hidden, points = hidden_of(net, train.inputs), hidden_of(net, inputs)
    expected = -by_scipy(hidden, train.targets.numpy(), points, [0, 1])
    assert list(found) == ["ood_score"]
    np.testing.assert_allclose(found["ood_score"].detach(), expected, rtol=1e-3, atol=1e-2)


def trained(method: DDU, train: Known) -> nn.Module:
    """The network of a method after 60 steps."""
    net = built(method)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        method.loss(net, train.inputs, train.targets, 60, 0.0).backward()
        optimiser.step()
    return net


def test_unseen_data_have_the_higher_score() -> None:
    """A trained network scores new examples of its classes below those of a corner that it has
    never seen, nearly always.
    """
    method, train = DDU(), clusters()
    net = trained(method, train)
    method.finish(net.eval(), train, Untouchable())

    torch.manual_seed(2)
    noise = 0.3 * torch.randn(2, 90, 4)
    seen = 2 * torch.eye(4)[torch.arange(90) % C] + noise[0]
    unseen = 2 * torch.eye(4)[3] + noise[1]
    with torch.no_grad():
        known, new = (method.beside(net, own, own)["ood_score"] for own in (seen, unseen))
    higher = (new.unsqueeze(1) > known.unsqueeze(0)).double().mean()
    assert higher > 0.95, "the area under the ROC curve"


@pytest.mark.parametrize("bound", [0.3, 1.0])
def test_hidden_layers_are_bounded(bound: float) -> None:
    """The loss keeps their norms near the bound while weights grow; the last layer has none."""
    method, train = DDU(norm_bound=bound), clusters()
    net = trained(method, train)
    method.loss(net, train.inputs, train.targets, 60, 0.0)
    assert largest_norm(net) == pytest.approx(bound, rel=0.05)
    assert torch.linalg.svdvals(head_of(net).dense.weight)[0] > bound


def test_after_training_the_bound_holds() -> None:
    """Whatever the weights are when training ends, the largest singular value is the bound."""
    method = DDU(norm_bound=0.7)
    net = built(method)
    with torch.no_grad():
        for values in net.parameters():
            values.copy_(torch.randn_like(values))
    assert largest_norm(net) > 5
    method.finish(net.eval(), clusters(), Untouchable())
    assert largest_norm(net) == pytest.approx(0.7, rel=0.01)


def test_without_a_bound_nothing_is_scaled() -> None:
    """With inf the weights stay as they are, however large."""
    method = DDU(norm_bound=math.inf)
    net = built(method)
    with torch.no_grad():
        for values in net.parameters():
            values.mul_(50)
    before = largest_norm(net)
    method.finish(net.eval(), clusters(), Untouchable())
    assert largest_norm(net) == before


def test_the_prediction_is_the_softmax() -> None:
    """The one draw is the softmax of the network, whatever the density."""
    method = DDU()
    net = built(method).eval()
    inputs = torch.randn(5, 4)
    with torch.no_grad():
        before, outputs = method.draws(net, inputs, 7), net(inputs)
        method.finish(net, clusters(), Untouchable())
        # Bounding may have moved weights, which are all below the bound here.
        after = method.draws(net, inputs, 7)
    assert before.shape == (1, 5, C)
    torch.testing.assert_close(before[0], outputs.log_softmax(-1))
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan])
def test_nonsense_is_refused(bound: float) -> None:
    """A bound of nothing is refused by name."""
    with pytest.raises(ValueError, match="norm_bound"):
        DDU(norm_bound=bound)
