"""Masksembles: its masks, and its members against networks with units cut out."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor, nn

from bench_uq.api import Categorical, Task, network
from bench_uq.methods.masksembles import MaskedConv2d, MaskedLinear, Masksembles, masks_of
from bench_uq.testing.method_trials import digits
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings

IMAGES = Task((1, 8, 8), Categorical(10), mean=(0.3,), std=(0.4,))
COLOUR = Task((3, 8, 8), Categorical(4), mean=(0.3,) * 3, std=(0.4,) * 3)
METHOD = Masksembles(estimators=3)


def kept(features: int, estimators: int, scale: float, seed: int = 0) -> Tensor:
    """Which features each mask keeps."""
    torch.manual_seed(seed)
    return masks_of(features, estimators, scale) > 0


@pytest.mark.parametrize("features", [7, 64, 100])
@pytest.mark.parametrize("estimators", [1, 3, 4, 8])
@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 6.0, 1e6])
def test_masks(features: int, estimators: int, scale: float) -> None:
    """All masks keep as many features, each feature is kept by one or more, and their mean over
    the features is 1.
    """
    torch.manual_seed(1)
    masks = masks_of(features, estimators, scale)
    sizes = (masks > 0).sum(1)
    assert (sizes == sizes[0]).all()
    assert (masks > 0).any(0).all()
    torch.testing.assert_close(masks.mean(1), torch.ones(estimators))
    assert len(masks.unique()) <= 2


def test_masks_are_full_at_scale_one() -> None:
    """At scale 1 every mask keeps every feature: the members are equal."""
    assert masks_of(30, 4, 1.0).equal(torch.ones(4, 30))


def test_masks_are_disjoint_at_a_large_scale() -> None:
    """At a large scale each feature belongs to one mask: the members share no unit."""
    assert kept(40, 4, 1e6).sum(0).equal(torch.ones(40, dtype=torch.int64))


def test_overlap_is_that_of_random_masks() -> None:
    """Two masks of m ones among m * scale places share m / scale of them in the mean, as those of
    the authors' code do.
    """
    scale, shared = 2.0, list[float]()
    for seed in range(200):
        masks = kept(400, 4, scale, seed)
        for one, other in itertools.combinations(masks, 2):
            shared.append((one & other).sum().item() / one.sum().item())

    # Drawn as in the authors' code: places that no mask took are dropped.
    reference, ones = list[float](), 213
    for seed in range(200):
        torch.manual_seed(seed)
        masks = torch.rand(4, round(ones * scale)).argsort(1) < ones
        for one, other in itertools.combinations(masks, 2):
            reference.append((one & other).sum().item() / ones)

    assert kept(400, 4, scale)[0].sum() == ones
    assert torch.tensor(shared).mean() == pytest.approx(
        torch.tensor(reference).mean().item(), abs=0.03
    )


def member(net: nn.Module, index: int) -> nn.Module:
    """The plain network in which the units that a member does not see have no weights."""
    plain = network(net.task).double().eval()
    state = {}
    for name, values in net.state_dict().items():
        path, _, own = name.rpartition(".")
        layer = net.get_submodule(path)
        if own == "masks":
            continue

        state[name] = values
        if own == "weight" and isinstance(layer, MaskedLinear | MaskedConv2d):
            state[name] = values * layer.masks[index].reshape(-1, *(1,) * (values.dim() - 2))
    plain.load_state_dict(state)
    return plain


@pytest.mark.parametrize("where", ["all", "dense"])
@pytest.mark.parametrize(
    ("task", "name"), [(IMAGES, "mlp"), (IMAGES, "lenet"), (COLOUR, "resnet18")]
)
@torch.no_grad()
def test_draws_are_those_of_explicit_members(task: Task, name: str, where: str) -> None:
    """Each draw is the plain network without the weights from units that its mask leaves out."""
    torch.manual_seed(0)
    method = dataclasses.replace(METHOD, where=where)
    net = method.build(dataclasses.replace(task, network=name)).double().eval()
    inputs = torch.rand(5, *task.input_shape).double()

    draws = method.draws(net, inputs, 20)
    for index, draw in enumerate(draws):
        expected = member(net, index)(inputs).log_softmax(-1)
        torch.testing.assert_close(draw, expected, rtol=1e-9, atol=1e-9)
    assert (draws[0] - draws[1]).abs().max() > 0.01


@torch.no_grad()
def test_members_are_equal_at_scale_one() -> None:
    """At scale 1 every member is the whole network."""
    torch.manual_seed(0)
    method = Masksembles(scale=1.0)
    net = method.build(dataclasses.replace(IMAGES, network="lenet"))
    inputs = torch.rand(4, 1, 8, 8)
    draws = method.draws(net, inputs, 20)
    torch.testing.assert_close(draws, net(inputs).log_softmax(-1).expand(4, -1, -1))


def test_inputs_are_seen_by_all() -> None:
    """No mask is on the inputs of the network; with where=dense none is on those of convolutions."""
    for name, where, masked in (
        ("mlp", "all", [100]),
        ("lenet", "all", [16, 128, 100]),
        ("lenet", "dense", [128, 100]),
    ):
        net = Masksembles(where=where).build(dataclasses.replace(IMAGES, network=name))
        found = [
            layer.masks.shape[1]
            for layer in net.modules()
            if isinstance(layer, MaskedLinear | MaskedConv2d)
        ]
        assert found == masked


def test_masks_stay() -> None:
    """Training changes no mask."""
    data = Resident(digits()[:100], torch.device("cpu"), 32)
    task = dataclasses.replace(IMAGES, network="lenet")
    one, two = (train(METHOD, task, (data, data), Settings(epochs=n), 0)[0] for n in (1, 3))
    names = [name for name in one.state_dict() if name.endswith("masks")]
    assert len(names) == 3
    for name in names:
        assert one.state_dict()[name].equal(two.state_dict()[name])


@pytest.mark.parametrize("option", [{"estimators": 0}, {"scale": 0.9}, {"scale": float("inf")}])
def test_options(option: dict) -> None:
    """Options without meaning are refused by their names."""
    with pytest.raises(ValueError, match=next(iter(option))):
        Masksembles(**option)
