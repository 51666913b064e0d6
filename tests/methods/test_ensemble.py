"""Deep ensembles: adversarial training and the mixture."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench_uq.methods.ensemble import Ensemble
from bench_uq.predict.predict import Trained

EPSILON = 0.1


@pytest.fixture(params=["images", "features"])
def task(request):
    """Return each task."""
    return request.getfixturevalue(request.param)


def example(task) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Return a network in float64 and a batch, some of whose pixels are at the ends of [0, 1]."""
    torch.manual_seed(0)
    net = Ensemble().build(task).double()
    inputs = (1.4 * torch.rand(6, *task.input_shape).double() - 0.2).clamp(0, 1)
    targets = torch.arange(6) if task.network == "lenet" else 20 + 3 * torch.randn(6).double()
    return net, inputs, targets


def nll(net: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean NLL from torch's own losses."""
    outputs = net(inputs)
    if targets.dtype == torch.int64:
        return nn.functional.cross_entropy(outputs, targets)
    mean, log_variance = outputs.unbind(-1)
    return -torch.distributions.Normal(mean, (0.5 * log_variance).exp()).log_prob(targets).mean()


def test_adversarial_loss(task):
    """The loss is the mean of the NLL and of that at x + epsilon sign(gradient of the NLL in x),
    clipped to [0, 1].
    """
    net, inputs, targets = example(task)
    shown = inputs.clone().requires_grad_()
    nll(net, shown, targets).backward()
    attacked = (inputs + EPSILON * shown.grad.sign()).clamp(0, 1)
    net.zero_grad()
    expected = (nll(net, inputs, targets) + nll(net, attacked, targets)) / 2
    loss = Ensemble(adversarial_epsilon=EPSILON).loss(net, inputs, targets, 100, 0.0)
    torch.testing.assert_close(loss, expected)
    assert nll(net, attacked, targets) > nll(net, inputs, targets) + 0.01
    assert inputs.add(EPSILON).gt(1).any()


def test_adversarial_examples_are_constants(task):
    """The gradient of the loss in the weights is that at fixed adversarial examples, not through
    their making.
    """
    net, inputs, targets = example(task)
    shown = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(nll(net, shown, targets), shown)
    attacked = (inputs + EPSILON * gradient.sign()).clamp(0, 1)
    expected = torch.autograd.grad(
        nll(net, inputs, targets) + nll(net, attacked, targets), net.parameters()
    )
    loss = Ensemble(adversarial_epsilon=EPSILON).loss(net, inputs, targets, 100, 0.0)
    found = torch.autograd.grad(loss, net.parameters())
    torch.testing.assert_close(found, tuple(part / 2 for part in expected))


def test_epsilon_zero_is_the_plain_loss(task):
    """Without adversarial training the loss is the NLL."""
    net, inputs, targets = example(task)
    torch.testing.assert_close(
        Ensemble().loss(net, inputs, targets, 100, 0.0), nll(net, inputs, targets)
    )


def test_mixture_is_the_mean_of_probabilities(images):
    """The reported probabilities are the mean of the members' softmax, each member one draw."""
    torch.manual_seed(0)
    method = Ensemble(members=3)
    nets = nn.ModuleList(method.build(images).eval() for _ in range(3))
    inputs = torch.rand(5, 1, 8, 8)
    for net in nets:
        net.stages[-1].weight.data.mul_(30)

    with torch.no_grad():
        draws = Trained(method, images, nets, seed=0).draws(inputs, 100)
        expected = torch.stack([net(inputs).softmax(-1) for net in nets])
        stored = images.likelihood.mixture(draws, torch.arange(5))

    torch.testing.assert_close(draws.exp(), expected)
    torch.testing.assert_close(stored["probs"], expected.mean(0))
    torch.testing.assert_close(stored["log_density"], expected.mean(0)[range(5), range(5)].log())
    log_mean = expected.log().mean(0).softmax(-1)
    assert (log_mean - expected.mean(0)).abs().max() > 0.01, "the mean of logits would pass as well"
