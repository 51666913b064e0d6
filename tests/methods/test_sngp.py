"""SNGP: norms against explicit matrices, and the last layer against an exact Gaussian process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from bench_uq.api import Batches, Gaussian, Task
from bench_uq.methods._spectral import Bounded, BoundedConv2d, BoundedLinear, find_directions
from bench_uq.methods.sngp import SNGP, GaussianProcess

SIZE = (7, 6)
GEOMETRIES = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 2, "stride": 3, "bias": False},
]


class Few(Batches):
    """Examples in two batches."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        half = len(self.inputs) // 2
        for part in (slice(None, half), slice(half, None)):
            yield self.inputs[part], self.targets[part]

    def __len__(self) -> int:
        return len(self.inputs)


def explicit(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Return the matrix of a layer without its bias, (outputs, inputs), a column per unit input."""
    if isinstance(layer, nn.Linear):
        return layer.weight.detach()

    columns = []
    for unit in torch.eye(torch.Size(shape).numel()):
        image = unit.reshape(1, *shape)
        outputs = conv2d(image, layer.weight, None, layer.stride, layer.padding)
        columns.append(outputs.flatten().detach())
    return torch.stack(columns, 1)


def largest(layer: nn.Module, shape: tuple[int, ...]) -> float:
    """Return the largest singular value of a layer's explicit matrix."""
    return torch.linalg.svdvals(explicit(layer, shape))[0].item()


def convolution(**geometry: object) -> BoundedConv2d:
    """Return a convolution of images of two channels that knows the size of its inputs."""
    torch.manual_seed(0)
    layer = BoundedConv2d(2, 3, **geometry)
    task = Task((2, *SIZE), Gaussian(0.0, 1.0))
    return find_directions(layer, task)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_norm_of_a_convolution_against_its_matrix(geometry):
    """The norm is the largest singular value of the explicit matrix of the convolution on images of
    the actual size, and not that of the flattened kernel.
    """
    layer = convolution(**geometry)
    norm = layer.norm(300).item()
    assert norm == pytest.approx(largest(layer, (2, *SIZE)), rel=1e-4)

    kernel = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item()
    overlapping = layer.kernel_size[0] > layer.stride[0]
    assert (abs(norm / kernel - 1) > 0.05) == overlapping


def test_norm_of_a_dense_layer():
    """The norm of a dense layer is the largest singular value of its weights."""
    torch.manual_seed(0)
    layer = BoundedLinear(9, 5)
    find_directions(layer, Task((9,), Gaussian(0.0, 1.0)))
    assert layer.norm(300).item() == pytest.approx(largest(layer, (9,)), rel=1e-4)


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_bound(share):
    """Weights above the bound are scaled onto it, and others stay as they are."""
    layer = convolution(kernel_size=3, padding=1)
    before, weight = largest(layer, (2, *SIZE)), layer.weight.detach().clone()
    layer.bound(share * before, iterations=300)

    assert largest(layer, (2, *SIZE)) == pytest.approx(min(1, share) * before, rel=1e-4)
    assert layer.weight.equal(weight) == (share > 1)


def test_one_iteration_per_step_is_enough(images):
    """In training, with one iteration per step, all hidden layers stay within 5 % of the bound, and
    after it within 0.1 %.
    """
    torch.manual_seed(0)
    method = SNGP(norm_bound=0.7, features=20)
    net = method.build(images)
    net.task = images
    inputs, targets = torch.rand(20, 1, 8, 8), torch.arange(20) % 10
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)

    for _ in range(60):
        optimiser.zero_grad()
        method.loss(net, inputs, targets, 20, 0.0).backward()
        optimiser.step()

    method.loss(net, inputs, targets, 20, 0.0)
    assert largest_of(net) == pytest.approx(0.7, rel=0.05)
    method.finish(net.eval(), Few(inputs, targets), Few(inputs, targets))
    assert largest_of(net) == pytest.approx(0.7, rel=1e-3)


def largest_of(net: nn.Module) -> float:
    """Return the largest norm of all hidden layers."""
    layers = [layer for layer in net.modules() if isinstance(layer, Bounded)]
    assert len(layers) == 3
    return max(largest(layer, tuple(layer.direction.shape[1:])) for layer in layers)


def exact(
    kernel: Tensor, cross: Tensor, targets: Tensor, noise: float, prior_std: float
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of a Gaussian process at the points of ``cross`` (M, N), given N
    targets with Gaussian noise.
    """
    gram = kernel + noise**2 * torch.eye(len(kernel)).double()
    mean = cross @ torch.linalg.solve(gram, targets)
    explained = (cross * torch.linalg.solve(gram, cross.T).T).sum(-1)
    return mean, prior_std**2 - explained


def test_process_against_an_exact_one():
    """With more features mean and variance of the last layer tend to those of Gaussian process
    regression with the RBF kernel in the last hidden layer, near the training data and far away.
    """
    noise, prior_std, length_scale = 0.3, 1.5, 0.4
    task = Task((5,), Gaussian(0.0, 1.0, noise), (0.5,) * 5, (0.3,) * 5, "mlp")
    torch.manual_seed(1)
    inputs, shown = torch.rand(40, 5), torch.cat((torch.rand(10, 5), 3 * torch.rand(5, 5)))
    targets = torch.sin(4 * inputs[:, 0]) + noise * torch.randn(40)

    errors = []
    for features in (50, 2000):
        torch.manual_seed(2)
        method = SNGP(features=features, prior_std=prior_std, length_scale=length_scale)
        net = method.build(task).eval()
        net.task = task
        method.finish(net, Few(inputs, targets), Few(inputs, targets))
        head = net.stages[-1]
        assert isinstance(head, GaussianProcess)

        with torch.no_grad():
            before, after = net.stages[:-1](inputs), net.stages[:-1](shown)
            # The weights that training tends to: the mode of their posterior.
            phi = head.numbers(before)
            mode = head.whitener[0] @ (phi.T @ targets) / noise**2
            head.weight[0] = head.whitener[0].T @ mode
            mean, variance = net(shown)[:, 0], head.variance(head.numbers(after))[:, 0]

        width = length_scale * before.shape[1] ** 0.5
        points = torch.cat((before, after)).double()
        kernel = prior_std**2 * (-torch.cdist(points, points).square() / (2 * width**2)).exp()
        expected = exact(kernel[:40, :40], kernel[40:, :40], targets.double(), noise, prior_std)
        assert expected[1].max() > 2
        assert expected[1].min() < 0.3

        gaps = [(mean - expected[0]).abs().mean(), (variance - expected[1]).abs().mean()]
        errors.append(torch.stack(gaps))

    assert errors[1].max() < 0.06
    assert (errors[1] < 0.4 * errors[0]).all()


def test_precision_of_classes(images):
    """For classes the posterior precision of the weights of class k is I / prior_std^2 and the sum
    of p (1 - p) phi phi' over all training examples (Liu et al. 2020, eq. 9).
    """
    torch.manual_seed(0)
    method = SNGP(features=12, prior_std=2.0)
    net = method.build(images).eval()
    net.task = images
    inputs, targets = torch.rand(9, 1, 8, 8), torch.arange(9)
    method.finish(net, Few(inputs, targets), Few(inputs[:2], targets[:2]))

    head = net.stages[-1]
    with torch.no_grad():
        probs = net(inputs).softmax(-1)
        features = head.numbers(net.stages[:-1](inputs))
    for label in range(10):
        precision = torch.eye(12) / 4
        for p, phi in zip(probs[:, label], features, strict=True):
            precision += p * (1 - p) * torch.outer(phi, phi)
        whitener = head.whitener[label]
        torch.testing.assert_close(whitener.T @ whitener, precision.inverse())


def test_draws(images, agree):
    """Draws before their softmax have the mean of the network and the posterior variance, apart in
    each class; before the fit there is one draw, the network's.
    """
    torch.manual_seed(0)
    method = SNGP(features=12)
    net = method.build(images).eval()
    net.task = images
    inputs, targets = torch.rand(9, 1, 8, 8), torch.arange(9)
    with torch.no_grad():
        plain = net(inputs).log_softmax(-1)
        torch.testing.assert_close(method.draws(net, inputs, 50), plain.unsqueeze(0))

        method.finish(net, Few(inputs, targets), Few(inputs, targets))
        draws = method.draws(net, inputs, 20_000).double()
        head = net.stages[-1]
        variance = head.variance(head.numbers(net.stages[:-1](inputs)))

    # The normaliser is common to all classes, so that differences are those of the outputs.
    gaps = draws[..., 1:] - draws[..., :1]
    agree(gaps, plain[..., 1:] - plain[..., :1])
    centred = gaps - gaps.mean(0)
    agree(centred.square(), variance[..., 1:] + variance[..., :1])
    agree(centred[..., 0] * centred[..., 1], variance[..., 0])


def test_wide_prior(images):
    """With the widest prior and more features than examples the posterior is still found."""
    torch.manual_seed(0)
    method = SNGP(features=200, prior_std=1000.0)
    net = method.build(images).eval()
    net.task = images
    data = Few(torch.rand(400, 1, 8, 8), torch.arange(400) % 10)
    method.finish(net, data, data)
    with torch.no_grad():
        assert method.draws(net, data.inputs[:5], 10).isfinite().all()


def test_loss_is_the_negative_log_posterior(features):
    """The loss is the NLL and the prior of the last layer's weights over the number of examples."""
    torch.manual_seed(0)
    method = SNGP(prior_std=0.5, features=30)
    net = method.build(features)
    net.task = features
    inputs, targets = torch.rand(7, 5), 20 + torch.randn(7)
    loss = method.loss(net, inputs, targets, 7, 0.0)

    nll = -features.likelihood.log_prob(net(inputs), targets).mean()
    prior = torch.distributions.Normal(0.0, 0.5)
    weight = net.stages[-1].weight
    at_zero = prior.log_prob(torch.zeros_like(weight))
    torch.testing.assert_close(loss, nll - (prior.log_prob(weight) - at_zero).sum() / 7)


@pytest.mark.parametrize("name", ["lenet", "mlp", "resnet18"])
def test_networks_have_bounded_layers(images, name):
    """All layers with weights but the last are bounded, whatever the network."""
    torch.manual_seed(0)
    net = SNGP(features=8).build(replace(images, network=name))
    kinds = [type(layer) for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert set(kinds) <= {BoundedLinear, BoundedConv2d}
    assert sum(isinstance(layer, GaussianProcess) for layer in net.modules()) == 1


@pytest.mark.parametrize(
    "options", [{"norm_bound": 0.0}, {"features": 0}, {"length_scale": -1.0}, {"prior_std": 0.0}]
)
def test_nonsense_is_refused(options):
    """Options without meaning are refused by name."""
    with pytest.raises(ValueError, match=next(iter(options))):
        SNGP(**options)
