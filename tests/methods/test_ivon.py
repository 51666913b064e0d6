"""IVON against Algorithm 1 as the paper has it, closed forms, and Hessians by autograd."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap

from bench_uq.api import Categorical, Gaussian, Network, Task, network
from bench_uq.methods._gaussian import whole_weights
from bench_uq.methods.ivon import IVON, IVONConv2d, pairs
from bench_uq.methods.mean_field import MeanFieldLinear

MLP = Task((3,), Categorical(4), (0.5,) * 3, (0.3,) * 3, network="mlp")


def batch(size: int = 8) -> tuple[Tensor, Tensor]:
    """Return inputs and labels for the small network."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(size, 3, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(0, 4, (size,), generator=generator)


def built(method: IVON, task: Task = MLP) -> nn.Module:
    """Return an untrained network in float64, whose means and variances are not alike."""
    torch.manual_seed(0)
    net = method.build(task)
    net.task = task
    with torch.no_grad():
        for _, log_variance in pairs(net):
            log_variance += 2 * torch.rand_like(log_variance)
    return net.double()


def flat(net: nn.Module) -> Tensor:
    """Return all means and all log-variances, (2, D)."""
    columns = [torch.stack(pair).flatten(1) for pair in pairs(net)]
    return torch.cat(columns, 1).detach()


def steps(method: IVON, net: nn.Module, count: int, rates: list[float]) -> None:
    """Take steps as the engine does, the noise of each seeded with its number."""
    optimiser = method.optimiser(net)
    for number in range(count):
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate
        torch.manual_seed(number)
        net.zero_grad()
        method.loss(net, *batch(), 50, 0.0).backward()
        optimiser.step()


def test_steps_are_those_of_algorithm_1() -> None:
    """Means and variances after five steps are those of m, h, g and sigma of the paper.

    Its momentum leaves out δ m, which ours has: the reference adds it to the gradient.
    """
    method = IVON(prior_std=0.7, kl_weight=0.5, momentum=0.8, hessian_rate=0.1)
    net = built(method)
    names = [name.replace("mean", "weight") for name, _ in net.named_parameters() if "mean" in name]
    names = [name.replace("bias_weight", "bias") for name in names]
    plain = network(MLP).double()

    m = [mean.detach().clone() for mean, _ in pairs(net)]
    sigma = [(0.5 * log_variance).detach().exp() for _, log_variance in pairs(net)]
    scale, delta, beta1, beta2, alpha = 50 / 0.5, 0.5 / (50 * 0.7**2), 0.8, 0.9, 0.05
    h = [1 / (scale * each**2) - delta for each in sigma]
    g = [torch.zeros_like(each) for each in m]

    for number in range(5):
        torch.manual_seed(number)
        theta = [m[i] + sigma[i] * torch.randn_like(m[i]) for i in range(len(m))]
        leaves = [each.requires_grad_() for each in theta]
        outputs = functional_call(plain, dict(zip(names, leaves, strict=True)), batch()[0])
        loss = nn.functional.cross_entropy(outputs, batch()[1])
        gradients = torch.autograd.grad(loss, leaves)

        for i, gradient in enumerate(gradients):
            guess = gradient * (theta[i].detach() - m[i]) / sigma[i] ** 2
            g[i] = beta1 * g[i] + (1 - beta1) * (gradient + delta * m[i])
            correction = 0.5 * (1 - beta2) ** 2 * (h[i] - guess) ** 2 / (h[i] + delta)
            h[i] = beta2 * h[i] + (1 - beta2) * guess + correction
            m[i] = m[i] - alpha * g[i] / (1 - beta1 ** (number + 1)) / (h[i] + delta)
            sigma[i] = 1 / (scale * (h[i] + delta)).sqrt()

    steps(method, net, 5, [alpha, 1 - beta2])
    for (mean, log_variance), ours, deviation in zip(pairs(net), m, sigma, strict=True):
        torch.testing.assert_close(mean.detach(), ours, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(
            (0.5 * log_variance).exp().detach(), deviation, rtol=1e-6, atol=0
        )


def test_linear_regression_has_the_posterior_in_closed_form() -> None:
    """Trained, the means are the exact posterior's, the variances 1 / diag(precision).

    The second output, of which the likelihood knows nothing, keeps the prior.
    """
    task = Task((3,), Gaussian(0.0, 1.0, noise=0.5), (0.0,) * 3, (1.0,) * 3)
    method = IVON(prior_std=2.0, start_log_variance=-3.0, kl_weight=0.5)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    inputs[:, 1] += 0.8 * inputs[:, 0]
    targets = inputs @ torch.tensor([1.0, -2.0, 0.5]).double() + 0.3

    torch.manual_seed(0)
    net = Network(
        task, [MeanFieldLinear(3, 2, prior_std=2.0, start_log_variance=-3.0, max_std=math.inf)]
    ).double()
    net.register_buffer("examples", torch.zeros(()))
    optimiser = method.optimiser(net)
    found = []
    for step in range(1200):
        for group, rate in zip(optimiser.param_groups, (0.05, 0.03), strict=True):
            group["lr"] = rate * (1 - step / 1200)
        net.zero_grad()
        method.loss(net, inputs, targets, 20, 0.0).backward()
        optimiser.step()
        found.append(flat(net))

    means, log_variances = torch.stack(found[600:]).mean(0)
    # A weight of 1/2 on the KL counts each example twice.
    design = torch.cat([inputs, torch.ones(20, 1).double()], 1)
    precision = torch.eye(4).double() / 4 + 2 * design.T @ design / 0.25
    exact = torch.linalg.solve(precision, 2 * design.T @ targets / 0.25)
    std = precision.diagonal().rsqrt()

    first, second = [0, 1, 2, 6], [3, 4, 5, 7]
    assert ((means[first] - exact) / std).abs().max() < 0.1
    torch.testing.assert_close((0.5 * log_variances[first]).exp(), std, rtol=0.1, atol=0)
    assert means[second].abs().max() < 0.2
    torch.testing.assert_close(
        log_variances[second].exp(), torch.full((4,), 4.0).double(), rtol=0.05, atol=0
    )


def test_hessian_estimate_is_that_of_autograd(agree) -> None:
    """Over draws, the gradient in log σ² is σ² / 2 times the mean diagonal of the Hessian."""
    torch.manual_seed(0)
    net = nn.Sequential(
        MeanFieldLinear(2, 3, start_log_variance=-1.5),
        nn.Tanh(),
        MeanFieldLinear(3, 1, start_log_variance=-1.5),
    )
    net = net.double()
    inputs, targets = torch.randn(5, 2).double(), torch.randn(5, 1).double()
    plain = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()

    def loss(values: Tensor) -> Tensor:
        w1, b1, w2, b2 = values.split([6, 3, 3, 1])
        named = {
            "0.weight": w1.reshape(3, 2),
            "0.bias": b1,
            "2.weight": w2.reshape(1, 3),
            "2.bias": b2,
        }
        return (functional_call(plain, named, inputs) - targets).square().mean()

    means, variances = flat(net)[0], flat(net)[1].exp()
    draws = means + variances.sqrt() * torch.randn(4_000, 13).double()
    diagonals = vmap(lambda values: jacrev(grad(loss))(values).diagonal())(draws).mean(0)

    guesses = []
    for _ in range(1500):
        net.zero_grad()
        with whole_weights(net):
            (net(inputs) - targets).square().mean().backward()
        gradients = [log_variance.grad.flatten() for _, log_variance in pairs(net)]
        guesses.append(2 * torch.cat(gradients) / variances)
    agree(torch.stack(guesses), diagonals)


def test_training_draws_once_for_a_batch() -> None:
    """While it trains, all examples have the same weights; in predictions each has its own."""
    method = IVON(start_log_variance=-2.0)
    net = built(method, Task((1, 8, 8), Categorical(10), (0.3,), (0.4,), network="lenet"))
    same = torch.rand(1, 1, 8, 8).double().expand(6, -1, -1, -1)

    with whole_weights(net):
        outputs = net(same)
    torch.testing.assert_close(outputs, outputs[:1].expand(6, -1))
    assert torch.pdist(net(same)).min() > 1e-3


@pytest.mark.parametrize("geometry", [{}, {"stride": 2, "padding": 1}, {"groups": 2}])
def test_convolution_in_training_is_that_of_torch(geometry: dict[str, int]) -> None:
    """A batch goes through torch's convolution with one kernel m + σ ε and one bias, drawn in this
    order, and gradients are those through these.
    """
    torch.manual_seed(0)
    layer = IVONConv2d(4, 6, 3, start_log_variance=-2.0, max_std=math.inf, **geometry).double()
    inputs = torch.randn(5, 4, 8, 8).double()
    leaves = dict(layer.named_parameters())
    with torch.no_grad():
        layer.bias_mean.normal_()
        layer.bias_log_variance.normal_()

    torch.manual_seed(1)
    with whole_weights(layer):
        found = layer(inputs)
    torch.manual_seed(1)
    noise = torch.randn_like(layer.mean), torch.randn_like(layer.bias_mean)
    kernel = layer.mean + (0.5 * layer.weight_log_variance).exp() * noise[0]
    bias = layer.bias_mean + (0.5 * layer.bias_log_variance).exp() * noise[1]
    expected = nn.functional.conv2d(inputs, kernel, bias, **geometry)

    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    own = torch.autograd.grad((weights * found).sum(), list(leaves.values()))
    explicit = torch.autograd.grad((weights * expected).sum(), list(leaves.values()))
    torch.testing.assert_close(own, explicit)


def test_convolution_in_predictions_has_a_kernel_for_each_example(agree) -> None:
    """Outputs of one example have the mean and the covariance of its kernels' law, m and σ², at all
    positions: with the patches X of its pixels the covariance is X diag(σ²) X' + σ² of the bias.
    """
    torch.manual_seed(0)
    layer = IVONConv2d(2, 1, 2, start_log_variance=-1.0, max_std=math.inf).double()
    inputs = torch.randn(1, 2, 3, 3).double()
    with torch.no_grad():
        layer.weight_log_variance += torch.rand_like(layer.mean)
        found = torch.cat([layer(inputs) for _ in range(20_000)]).flatten(1)

        patches = nn.functional.unfold(inputs, 2)[0].T
        mean = patches @ layer.mean.flatten() + layer.bias_mean
        variance = layer.weight_log_variance.exp().flatten()
        covariance = patches * variance @ patches.T + layer.bias_log_variance.exp()

    agree(found, mean)
    centred = found - mean
    agree(centred.unsqueeze(1) * centred.unsqueeze(2), covariance)


def test_an_interrupted_training_goes_on_to_the_same_bits() -> None:
    """The optimiser's state holds all that steps depend on."""
    method = IVON()
    net = built(method)
    whole, parts = copy.deepcopy(net), copy.deepcopy(net)

    optimiser, first = method.optimiser(whole), method.optimiser(parts)
    for number in range(6):
        if number == 3:
            second = method.optimiser(parts)
            second.load_state_dict(copy.deepcopy(first.state_dict()))
            first = second
        for each, own in ((whole, optimiser), (parts, first)):
            torch.manual_seed(number)
            each.zero_grad()
            method.loss(each, *batch(), 50, 0.0).backward()
            own.step()

    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "option",
    [
        {"kl_weight": 0.0},
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"hessian_rate": 0.0},
        {"hessian_rate": 1.5},
    ],
)
def test_nonsense_is_refused(option) -> None:
    """Without a KL variances would be 0, and shares are shares."""
    with pytest.raises(ValueError, match=next(iter(option))):
        IVON(**option)
