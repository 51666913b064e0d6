"""Frozen stages are run once for each example, and nothing else comes of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_uq.api.layers import Layers, Network, frozen_stages
from bench_uq.api.likelihoods import Categorical
from bench_uq.api.method import Method
from bench_uq.api.networks import NETWORKS
from bench_uq.api.task import Examples, Task
from bench_uq.plan.plugins import Plugins
from bench_uq.run.checkpoints import Checkpoints
from bench_uq.store import RunFolder
from bench_uq.train.batched import train_together
from bench_uq.train.epoch import Diverged
from bench_uq.train.frozen import CHECKED, passing
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from tests.of_classes import of_classes

SETTINGS = Settings(epochs=5, batch=16)
TRAIN, HELD_OUT = 48, 20
#: An interruption from outside of a training.
STOP = "stopped"


class Seen(list[int]):
    """Numbers of examples, in which copies of a network note, too."""

    def __deepcopy__(self, memo: Any) -> Seen:
        """The list itself."""
        return self


class Backbone(nn.Module):
    """Fixed features (B, 6) that notes how many examples it has seen."""

    random = False
    weight: Tensor

    def __init__(self, *, frozen: bool, seen: Seen) -> None:
        super().__init__()
        self.frozen, self.seen = frozen, seen
        # Large enough that another place of an attack is another loss.
        self.register_buffer("weight", 2 * torch.sin(torch.arange(24.0)).reshape(4, 6))

    def forward(self, inputs: Tensor) -> Tensor:
        """The hyperbolic tangent of a product."""
        self.seen.append(len(inputs))
        return torch.tanh(inputs @ self.weight)


@pytest.fixture
def backbone(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], list[int]]:
    """Function that lets all methods build on a frozen backbone, or on one that does not say so.

    It returns the list of numbers of examples that the backbone will have seen at a time.
    """

    def use(frozen: bool) -> list[int]:
        seen = Seen()

        def build(task: Task, layers: Layers) -> Network:
            stages = [Backbone(frozen=frozen, seen=seen), layers.linear(6, 8), nn.ReLU()]
            outputs = task.likelihood.parameters
            return Network(task, [*stages, layers.before_last(), layers.linear(8, outputs)])

        monkeypatch.setitem(NETWORKS, "fixed", build)
        return seen

    return use


TASK = Task((4,), Categorical(3), (0.5,) * 4, (0.3,) * 4, "fixed")


def data(seed: int = 0) -> tuple[Resident, Resident]:
    """Random examples to train on, and some held out."""
    found = []
    for count in (TRAIN, HELD_OUT):
        rng = np.random.default_rng(seed)
        examples = Examples(rng.random((count, 4), dtype=np.float32), rng.integers(0, 3, count))
        found.append(Resident(examples, torch.device("cpu"), 16))
    return found[0], found[1]


def method(text: str) -> Method:
    """A method by its name."""
    found = Plugins().spec("method", text).value
    assert isinstance(found, Method)
    return found


def close(one: nn.Module, other: nn.Module) -> None:
    """Require the same states, within rounding."""
    state = other.state_dict()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=1e-4, atol=1e-5)


#: One method refuses networks with layers that it cannot split into groups.
NAMES = [name for name in of_classes() if name != "packed"]


@pytest.mark.parametrize("name", [*NAMES, "ensemble[adversarial_epsilon=0.2]"])
def test_trained_networks_are_the_same(name: str, backbone: Callable[[bool], list[int]]) -> None:
    """Every method ends with the networks and curves that it has without a frozen backbone."""
    results = []
    for frozen in (True, False):
        backbone(frozen)
        results.append(train(method(name), TASK, data(), SETTINGS, 0))
    (ours, history), (theirs, expected) = results
    close(ours, theirs)
    assert [row.loss for row in history] == pytest.approx([row.loss for row in expected], rel=1e-4)
    assert [row.nll for row in history] == pytest.approx([row.nll for row in expected], rel=1e-4)


def test_frozen_stages_run_once_for_each_example(backbone: Callable[[bool], list[int]]) -> None:
    """More epochs and members cost nothing but the check of each member."""
    counts = {}
    for name, epochs in (("map", 1), ("map", 9), ("map[members=3]", 9)):
        seen = backbone(True)
        train(method(name), TASK, data(), replace(SETTINGS, epochs=epochs), 0)
        counts[name, epochs] = sum(seen)
    # The check: features of some examples, and three losses and a draw on inputs.
    check = CHECKED * 5
    assert counts["map", 1] == counts["map", 9] == TRAIN + HELD_OUT + check
    assert counts["map[members=3]", 9] == TRAIN + HELD_OUT + 3 * check

    seen = backbone(False)
    train(method("map"), TASK, data(), replace(SETTINGS, epochs=9), 0)
    assert sum(seen) >= 9 * TRAIN


@dataclass(frozen=True)
class Mixing(Method):
    """A method that mixes the inputs of a batch before the network sees them."""

    reference = "a test"

    def build(self, task: Task) -> nn.Module:
        """The network of the task."""
        return NETWORKS["fixed"](task, Layers())

    def loss(self, net: Any, inputs: Any, targets: Any, size: int, progress: float) -> Tensor:
        """The loss on mixed inputs, toward the end of the training alone."""
        mixed = inputs if progress < 0.4 else (inputs + inputs.flip(0)) / 2
        return super().loss(net, mixed, targets, size, progress)


def test_a_method_that_changes_inputs_is_shown_them(backbone: Callable[[bool], list[int]]) -> None:
    """Its networks are those that it trains on inputs, and the backbone runs in every epoch."""
    seen = backbone(True)
    ours, _ = train(Mixing(), TASK, data(), SETTINGS, 0)
    assert sum(seen) >= SETTINGS.epochs * TRAIN
    backbone(False)
    close(ours, train(Mixing(), TASK, data(), SETTINGS, 0)[0])


def test_an_interrupted_training_goes_on(
    backbone: Callable[[bool], list[int]], tmp_path: Any
) -> None:
    """It ends with the bits of one that was not interrupted."""
    backbone(True)
    whole, _ = train(method("map[members=2]"), TASK, data(), SETTINGS, 0)
    told = list[float]()

    def report(progress: float) -> None:
        told.append(progress)
        if len(told) == 8:
            raise RuntimeError(STOP)

    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        checkpoints = Checkpoints(folder, 0.0)
        with pytest.raises(RuntimeError, match=STOP):
            train(
                *(method("map[members=2]"), TASK, data(), SETTINGS, 0),
                report=report,
                checkpoints=checkpoints,
            )
        nets, _ = train(
            *(method("map[members=2]"), TASK, data(), SETTINGS, 0), checkpoints=checkpoints
        )
    for name, value in nets.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


@dataclass(frozen=True)
class Exploding(Mixing):
    """A method whose loss is no number in the second epoch, and that keeps its network."""

    def build(self, task: Task) -> nn.Module:
        """The network, noted."""
        built.append(super().build(task))
        return built[-1]

    def loss(self, net: Any, inputs: Any, targets: Any, size: int, progress: float) -> Tensor:
        """Not a number later on, but on features as on inputs."""
        factor = math.nan if 0.2 <= progress < 0.4 else 1.0
        return factor * Method.loss(self, net, inputs, targets, size, progress)


built: list[nn.Module] = []


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Keep no network of another test."""
    yield
    built.clear()


def test_stages_are_back_after_a_failure(backbone: Callable[[bool], list[int]]) -> None:
    """The network of a training that diverged takes inputs again."""
    seen = backbone(True)
    with pytest.raises(Diverged):
        train(Exploding(), TASK, data(), SETTINGS, 0)
    before = sum(seen)
    assert built[0](torch.rand(5, 4)).shape == (5, 3)
    assert sum(seen) == before + 5
    assert not [part for part in built[0].modules() if "forward" in vars(part)]


def test_networks_trained_as_one_batch_share_features(
    backbone: Callable[[bool], list[int]],
) -> None:
    """Two seeds on data of their own are those that are trained alone."""
    seeds, members = [0, 1], "map[members=2]"
    seen = backbone(True)
    each = [data(seed) for seed in seeds]
    together = train_together(method(members), [TASK, TASK], each, SETTINGS, seeds)
    assert sum(seen) == 2 * (TRAIN + HELD_OUT + CHECKED * 5)

    for seed, outcome in zip(seeds, together, strict=True):
        assert not isinstance(outcome, Diverged)
        alone, _ = train(method(members), TASK, data(seed), SETTINGS, seed)
        close(outcome[0], alone)
        for net in outcome[0]:
            assert not [part for part in net.modules() if "forward" in vars(part)]


class RandomFeatures(nn.Module):
    """Random features (B, 6), drawn with each network and never trained."""

    random = False
    weight: Tensor

    def __init__(self, *, frozen: bool) -> None:
        super().__init__()
        self.frozen = frozen
        self.register_buffer("weight", torch.randn(4, 6))

    def forward(self, inputs: Tensor) -> Tensor:
        """The sine of a product."""
        return torch.sin(3 * inputs @ self.weight)


def first_random(task: Task, layers: Layers, *, frozen: bool) -> Network:
    """Random features, then a dense layer."""
    outputs = task.likelihood.parameters
    return Network(task, [RandomFeatures(frozen=frozen), layers.linear(6, outputs)])


def behind_weights(task: Task, layers: Layers, *, frozen: bool) -> Network:
    """A layer to be trained, then random features."""
    stages = [layers.linear(4, 4), RandomFeatures(frozen=frozen), layers.linear(6, 3)]
    return Network(task, stages)


def nested(task: Task, layers: Layers, *, frozen: bool) -> Network:
    """Random features in a sequence of their own, behind a layer of another shape."""
    inner = nn.Sequential(RandomFeatures(frozen=frozen), layers.linear(6, 3))
    return Network(task, [layers.linear(4, 4), nn.ReLU(), inner])


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("build", [first_random, behind_weights, nested])
def test_networks_with_stages_of_their_own(
    build: Callable[..., Network], together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members whose frozen stages differ, lie behind weights or are nested train as ever."""
    results = []
    for frozen in (True, False):

        def own(task: Task, layers: Layers, frozen: bool = frozen) -> Network:
            return build(task, layers, frozen=frozen)

        monkeypatch.setitem(NETWORKS, "fixed", own)
        one = method("map[members=3]")
        if together:
            (outcome,) = train_together(one, [TASK], [data()], SETTINGS, [0])
            assert not isinstance(outcome, Diverged)
            results.append(outcome[0])
        else:
            results.append(train(one, TASK, data(), SETTINGS, 0)[0])
    close(*results)


def test_a_copy_made_meanwhile_is_whole_afterwards(backbone: Callable[[bool], list[int]]) -> None:
    """A plugin may keep a copy of its network from within the training."""
    backbone(True)
    net = NETWORKS["fixed"](TASK, Layers())
    inputs = torch.rand(5, 4)
    expected = net(inputs)
    with passing(frozen_stages(net)):
        kept = copy.deepcopy(net)
        again = copy.deepcopy(kept)
    assert torch.equal(kept(inputs), expected)
    assert torch.equal(again(inputs), expected)
    assert torch.equal(net(inputs), expected)
