"""Packed-Ensembles against their members as networks of their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench_uq.api import Categorical, Layers, Network, Task
from bench_uq.api.networks import Residual, lenet, mlp
from bench_uq.methods.packed import GroupedLinear, Packed

IMAGES = Task((1, 8, 8), Categorical(10), mean=(0.3,), std=(0.4,))
LARGER = Task((1, 28, 28), Categorical(10), mean=(0.3,), std=(0.4,))
COLOUR = Task((3, 8, 8), Categorical(4), mean=(0.3,) * 3, std=(0.4,) * 3)


def narrow_resnet(task: Task, widths: tuple[int, ...]) -> Network:
    """ResNet-18 of other widths."""
    before = widths[0]
    stages = [nn.Conv2d(3, before, 3, padding=1, bias=False), nn.BatchNorm2d(before), nn.ReLU()]
    for width, stride in zip(widths, (1, 2, 2, 2), strict=True):
        stages += [Residual(Layers(), before, width, stride), Residual(Layers(), width, width, 1)]
        before = width
    return Network(task, [*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 4)])


def narrow_lenet(task: Task, widths: tuple[int, int, int]) -> Network:
    """LeNet for images of 8x8, of other widths."""
    first, second, third = widths
    stages = [nn.Conv2d(1, first, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(first, second, 2)]
    stages += [nn.ReLU(), nn.Flatten(), nn.Linear(4 * second, third), nn.ReLU()]
    return Network(task, [*stages, nn.Linear(third, 10)])


def built(method: Packed, task: Task, name: str) -> nn.Module:
    """A network in float64 whose norm layers have seen something."""
    torch.manual_seed(0)
    net = method.build(dataclasses.replace(task, network=name)).double().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
    return net


def dense(values: Tensor, groups: int) -> Tensor:
    """Weights (out, in / groups, ...) of one member as those of a layer without groups."""
    rows, columns = len(values) // groups, values.shape[1]
    whole = values.new_zeros(len(values), columns * groups, *values.shape[2:])
    for group in range(groups):
        block = slice(group * rows, (group + 1) * rows)
        whole[block, group * columns : (group + 1) * columns] = values[block]
    return whole


def member(net: nn.Module, narrow: nn.Module, index: int, gamma: int) -> nn.Module:
    """The network of one member, from its part of all values."""
    members, state = net.members, dict[str, Tensor]()
    names = iter(narrow.state_dict())
    for name, values in net.state_dict().items():
        path, _, own = name.rpartition(".")
        layer = net.get_submodule(path)
        part = values
        if isinstance(layer, GroupedLinear):
            groups = len(values) // members
            part = values[index * groups : (index + 1) * groups]
            # (groups, in, out), or (groups, 1, out) for biases.
            part = part.transpose(1, 2).flatten(0, 1)
            part = dense(part, groups) if own == "weight" else part.flatten()
        elif isinstance(layer, nn.Linear | nn.Conv2d | nn.BatchNorm2d) and values.dim():
            part = values.chunk(members)[index]
            if own == "weight" and getattr(layer, "groups", 1) > 1:
                part = dense(part, gamma)
        state[next(names)] = part

    narrow = narrow.double().eval()
    narrow.load_state_dict(state)
    return narrow


CASES = [
    ({}, IMAGES, "mlp", lambda task: mlp(task, Layers(), (25,))),
    ({}, IMAGES, "lenet", lambda task: narrow_lenet(task, (4, 8, 25))),
    ({"alpha": 2.0}, IMAGES, "lenet", lambda task: narrow_lenet(task, (8, 16, 50))),
    # 50 channels are no whole number for four members: 13 each.
    ({}, LARGER, "lenet", lambda task: lenet(task, Layers(), (5, 13, 125))),
    ({"gamma": 2}, IMAGES, "lenet", lambda task: narrow_lenet(task, (4, 8, 26))),
    ({"estimators": 2}, COLOUR, "resnet18", lambda task: narrow_resnet(task, (32, 64, 128, 256))),
    ({"alpha": 2.0}, COLOUR, "resnet18", lambda task: narrow_resnet(task, (32, 64, 128, 256))),
]


@pytest.mark.parametrize(("options", "task", "name", "narrow"), CASES)
@torch.no_grad()
def test_draws_are_those_of_explicit_networks(options, task, name, narrow) -> None:
    """Each draw is a narrow network of its own, of alpha / M of the width, norm layers included."""
    method = Packed(**options)
    net = built(method, task, name)
    inputs = torch.rand(3, *task.input_shape).double()

    draws = method.draws(net, inputs, 20)
    assert len(draws) == method.estimators
    for index, draw in enumerate(draws):
        explicit = member(net, narrow(task), index, method.gamma)
        torch.testing.assert_close(draw, explicit(inputs).log_softmax(-1), rtol=1e-9, atol=1e-9)
    assert (draws[0] - draws[1]).abs().max() > 0.01


def test_loss_is_the_mean_over_members() -> None:
    """The loss is the mean of the members' NLL, each on all examples."""
    method = Packed()
    net = built(method, IMAGES, "mlp")
    inputs, targets = torch.rand(7, 1, 8, 8).double(), torch.arange(7)
    losses = []
    for index in range(4):
        explicit = member(net, mlp(IMAGES, Layers(), (25,)), index, 1)
        losses.append(cross_entropy(explicit(inputs), targets))

    loss = method.loss(net, inputs, targets, 100, 0.0)
    torch.testing.assert_close(loss, torch.stack(losses).mean())


def test_members_start_as_networks_of_their_own() -> None:
    """Weights start as torch's layers do, by the inputs of one group."""
    torch.manual_seed(0)
    layer, plain = GroupedLinear(1000, 400, 4), nn.Linear(250, 100)
    for own, other in ((layer.weight, plain.weight), (layer.bias, plain.bias)):
        assert own.abs().max() <= 250**-0.5
        assert own.std().item() == pytest.approx(other.std().item(), rel=0.15)


def test_widths() -> None:
    """All members together have the width of the network times alpha, so that alpha = 1 has about
    1 / M of its weights, and alpha = 2 with four members about as many.
    """
    sizes = []
    for method in (Packed(estimators=1), Packed(), Packed(alpha=2)):
        net = method.build(dataclasses.replace(COLOUR, network="resnet18"))
        sizes.append(sum(values.numel() for values in net.parameters()))
    assert sizes[1] / sizes[0] == pytest.approx(1 / 4, rel=0.01)
    assert sizes[2] / sizes[0] == pytest.approx(1, rel=0.01)


def test_groups_within_a_member() -> None:
    """Between its first and last layer each member is of ``gamma`` groups, convolutions and dense
    layers alike.
    """
    net = Packed(gamma=2).build(dataclasses.replace(IMAGES, network="lenet"))
    convs = [layer.groups for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    dense_layers = [
        len(layer.weight) for layer in net.modules() if isinstance(layer, GroupedLinear)
    ]
    assert convs == [1, 8]
    assert dense_layers == [8, 4]


TIED = """
from torch import nn

class Tied(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.first, self.a, self.b = layers.linear(64, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.b.weight, self.again = self.a.weight, self.a
        self.last = layers.linear(8, 10)

    def forward(self, x):
        x = self.b(self.a(self.first(x.flatten(1))).relu()).relu()
        return self.last(self.again(x))

def network(task, layers):
    return Tied(layers)
"""


def test_layers_that_share_values_still_do(tmp_path: Path) -> None:
    """Layers of a user's network that share weights share those of their groups, and a layer with
    two names stays one.
    """
    (tmp_path / "tied.py").write_text(TIED)
    net = Packed().build(dataclasses.replace(IMAGES, network=str(tmp_path / "tied.py")))
    own = net.stages[1]
    assert own.a.weight is own.b.weight
    assert own.a is own.again
    assert isinstance(own.a, GroupedLinear)
    assert own.a.bias is not own.b.bias


@pytest.mark.parametrize(
    "option", [{"estimators": 0}, {"alpha": 0.0}, {"alpha": float("inf")}, {"gamma": 0}]
)
def test_options(option: dict) -> None:
    """Options without meaning are refused by their names."""
    with pytest.raises(ValueError, match=next(iter(option))):
        Packed(**option)
