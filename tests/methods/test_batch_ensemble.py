"""BatchEnsemble against members whose weights are written out."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from bench_uq.api import Categorical, Task, network
from bench_uq.methods.batch_ensemble import BatchConv2d, BatchEnsemble, BatchLinear

IMAGES = Task((1, 8, 8), Categorical(10), mean=(0.3,), std=(0.4,))
COLOUR = Task((3, 8, 8), Categorical(4), mean=(0.3,) * 3, std=(0.4,) * 3)
CASES = [(IMAGES, "mlp"), (IMAGES, "lenet"), (COLOUR, "resnet18")]
METHOD = BatchEnsemble(estimators=3)


def example(task: Task, name: str) -> tuple[nn.Module, Tensor]:
    """A network in float64 whose every value was moved from its start, and inputs."""
    torch.manual_seed(0)
    net = METHOD.build(dataclasses.replace(task, network=name)).double().eval()
    with torch.no_grad():
        for values in net.parameters():
            values += 0.1 * torch.randn_like(values)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return net, torch.rand(5, *task.input_shape).double()


def member(net: nn.Module, index: int) -> nn.Module:
    """The plain network with the weights W * (s r^T) and the biases of a member."""
    plain = network(net.task).double().eval()
    state = {}
    for name, values in net.state_dict().items():
        path, _, own = name.rpartition(".")
        layer = net.get_submodule(path)
        if own in ("r", "s"):
            continue

        state[name] = values
        if isinstance(layer, BatchLinear | BatchConv2d):
            factors = torch.outer(layer.s[index], layer.r[index])
            factors = factors.reshape(*factors.shape, *(1,) * (layer.weight.dim() - 2))
            state[name] = values[index] if own == "bias" else values * factors

    plain.load_state_dict(state)
    return plain


@pytest.mark.parametrize(("task", "name"), CASES)
@torch.no_grad()
def test_draws_are_those_of_explicit_members(task: Task, name: str) -> None:
    """Each draw is the plain network whose weights are W * (s_i r_i^T), dense and convolutional."""
    net, inputs = example(task, name)
    draws = METHOD.draws(net, inputs, 20)
    assert len(draws) == 3
    for index, draw in enumerate(draws):
        expected = member(net, index)(inputs).log_softmax(-1)
        torch.testing.assert_close(draw, expected, rtol=1e-9, atol=1e-9)
    assert (draws[0] - draws[1]).abs().max() > 0.01


@pytest.mark.parametrize(("task", "name"), CASES[:2])
def test_gradients_are_those_of_explicit_members(task: Task, name: str) -> None:
    """The gradient in the inputs, which attacks follow, is that of the explicit members."""
    net, inputs = example(task, name)
    shown = inputs.clone().requires_grad_()
    draws = METHOD.draws(net, shown, 20)
    (found,) = torch.autograd.grad(draws[..., 0].sum(), shown)

    expected = torch.zeros_like(inputs)
    for index in range(3):
        outputs = member(net, index)(shown).log_softmax(-1)
        expected += torch.autograd.grad(outputs[..., 0].sum(), shown)[0]
    torch.testing.assert_close(found, expected)


def test_a_batch_is_shared() -> None:
    """Of 10 examples in some order the members see 4, 3 and 3, each example by one of them."""
    net, _ = example(IMAGES, "lenet")
    inputs, targets = torch.rand(10, 1, 8, 8).double(), torch.arange(10)
    torch.manual_seed(7)
    loss = METHOD.loss(net, inputs, targets, 100, 0.0)

    torch.manual_seed(7)
    order = torch.rand(10).argsort()
    parts = order[:4], order[4:7], order[7:]
    total = torch.zeros(()).double()
    for index, part in enumerate(parts):
        outputs = member(net, index)(inputs[part])
        total += nn.functional.cross_entropy(outputs, targets[part], reduction="sum")
    torch.testing.assert_close(loss, total / 10)


def test_a_batch_is_repeated_on_request() -> None:
    """With repeated batches the loss is the mean over members, each on all examples."""
    net, _ = example(IMAGES, "lenet")
    inputs, targets = torch.rand(10, 1, 8, 8).double(), torch.arange(10)
    method = dataclasses.replace(METHOD, batches="repeated")
    losses = [nn.functional.cross_entropy(member(net, i)(inputs), targets) for i in range(3)]
    torch.testing.assert_close(method.loss(net, inputs, targets, 100, 0.0), sum(losses) / 3)


def test_factors_start_around_one() -> None:
    """Factors start as N(1, spread^2), independently, and the members' biases as one."""
    torch.manual_seed(0)
    net = BatchEnsemble(spread=0.2).build(dataclasses.replace(IMAGES, network="mlp"))
    for layer in net.modules():
        if isinstance(layer, BatchLinear):
            factors = torch.cat((layer.r.flatten(), layer.s.flatten())).detach()
            assert factors.mean().sub(1).abs() < 4 * 0.2 / len(factors) ** 0.5
            assert factors.std() == pytest.approx(0.2, rel=4 / (2 * len(factors)) ** 0.5)
            assert layer.bias.equal(layer.bias[:1].expand_as(layer.bias))


@pytest.mark.parametrize("option", [{"estimators": 0}, {"spread": 0.0}, {"spread": 11.0}])
def test_options(option: dict) -> None:
    """Options without meaning are refused by their names."""
    with pytest.raises(ValueError, match=next(iter(option))):
        BatchEnsemble(**option)
