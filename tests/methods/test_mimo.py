"""MIMO against the plain networks that it is where all of its inputs are the same."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy

from bench_uq.api import Categorical, Task, network
from bench_uq.methods.mimo import MIMO

IMAGES = Task((1, 8, 8), Categorical(10), mean=(0.3,), std=(0.4,))
COLOUR = Task((3, 8, 8), Categorical(4), mean=(0.3,) * 3, std=(0.4,) * 3)
HEADS = 3


def example(task: Task, name: str) -> tuple[nn.Module, Tensor]:
    """A network in float64 and inputs for each head, (M, B, ...)."""
    torch.manual_seed(0)
    net = MIMO(heads=HEADS).build(dataclasses.replace(task, network=name)).double().eval()
    return net, torch.rand(HEADS, 5, *task.input_shape).double()


def member(net: nn.Module, head: int) -> nn.Module:
    """The plain network that a head is if all inputs are the same: the weights of the first layer
    are summed over the inputs, those of the last are the head's.
    """
    plain = network(net.task).double().eval()
    values = list(net.state_dict().values())
    names = list(plain.state_dict())
    weighted = [index for index, name in enumerate(names) if name.endswith("weight")]

    first = weighted[0]
    values[first] = values[first].unflatten(1, (HEADS, -1)).sum(1)
    for last in (-2, -1):
        values[last] = values[last].chunk(HEADS)[head]
    plain.load_state_dict(dict(zip(names, values, strict=True)))
    return plain


@pytest.mark.parametrize(
    ("task", "name"), [(IMAGES, "mlp"), (IMAGES, "lenet"), (COLOUR, "resnet18")]
)
@torch.no_grad()
def test_draws_are_those_of_explicit_networks(task: Task, name: str) -> None:
    """Each draw is the plain network of a head, whose first weights are summed over the inputs."""
    net, inputs = example(task, name)
    draws = MIMO(heads=HEADS).draws(net, inputs[0], 20)
    assert len(draws) == HEADS
    for head, draw in enumerate(draws):
        expected = member(net, head)(inputs[0]).log_softmax(-1)
        torch.testing.assert_close(draw, expected, rtol=1e-9, atol=1e-9)
    assert (draws[0] - draws[1]).abs().max() > 0.01


@torch.no_grad()
def test_inputs_of_all_heads_are_channels_of_one() -> None:
    """The first layer sees the examples of all heads as channels side by side, and the outputs of
    head i are for example i.
    """
    net, inputs = example(IMAGES, "lenet")
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    conv1, conv2, dense, last = layers

    joined = (torch.cat(list(inputs), dim=1) - 0.3) / 0.4
    hidden = nn.functional.max_pool2d(conv2d(joined, conv1.weight, conv1.bias), 2).relu()
    hidden = conv2d(hidden, conv2.weight, conv2.bias).relu().flatten(1)
    outputs = last(dense(hidden).relu()).unflatten(1, (HEADS, 10)).transpose(0, 1)
    torch.testing.assert_close(net(inputs.flatten(0, 1)), outputs.flatten(0, 1))


@torch.no_grad()
def test_rows_that_do_not_fill_the_heads() -> None:
    """Any number of rows has as many outputs; those of whole blocks do not depend on the filling."""
    net, inputs = example(IMAGES, "lenet")
    rows = inputs.flatten(0, 1)
    for count in (1, 2, 7, 15):
        assert net(rows[:count]).shape == (count, 10)
    # Seven rows are filled to nine by the first two.
    filled = torch.cat((rows[:7], rows[:2]))
    torch.testing.assert_close(net(rows[:7]), net(filled)[:7])


@pytest.mark.parametrize(("repetition", "same"), [(0.0, 0), (0.5, 60), (0.8, 96), (1.0, 120)])
def test_orders(repetition: float, same: int) -> None:
    """Each head sees each example of a batch once, and the share of the repetition of them
    together with the same of the other heads.
    """
    torch.manual_seed(0)
    method = MIMO(heads=HEADS, input_repetition=repetition)
    orders = method.orders(torch.zeros(120, 1))
    assert orders.sort(1).values.equal(torch.arange(120).expand(HEADS, -1))

    equal = int((orders == orders[0]).all(0).sum())
    # By chance a few more agree: a place does in (120 - same)^-2 of all orders.
    assert same <= equal <= same + 3
    assert not method.orders(torch.zeros(120, 1)).equal(orders)


@pytest.mark.parametrize("repetition", [0.0, 0.5])
def test_loss(repetition: float) -> None:
    """The loss is the mean NLL of each head's outputs at the labels of its own examples."""
    net, _ = example(IMAGES, "lenet")
    method = MIMO(heads=HEADS, input_repetition=repetition)
    inputs, targets = torch.rand(6, 1, 8, 8).double(), torch.arange(6)
    torch.manual_seed(3)
    loss = method.loss(net, inputs, targets, 100, 0.0)

    torch.manual_seed(3)
    orders = method.orders(inputs)
    losses = []
    for place in range(6):
        together = orders[:, place]
        losses.append(cross_entropy(net(inputs[together]), targets[together]))
    torch.testing.assert_close(loss, torch.stack(losses).mean())


@pytest.mark.parametrize(
    "option", [{"heads": 0}, {"input_repetition": -0.1}, {"input_repetition": 1.1}]
)
def test_options(option: dict) -> None:
    """Options without meaning are refused by their names."""
    with pytest.raises(ValueError, match=next(iter(option))):
        MIMO(**option)
