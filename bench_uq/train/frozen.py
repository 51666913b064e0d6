"""Features of frozen stages, computed once and not in every epoch."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from bench_uq.api.layers import frozen_stages, is_frozen
from bench_uq.api.method import Method
from bench_uq.train.precision import mixed, tensor_cores
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings

#: Training and held-out examples of a run.
Data = tuple[Resident, Resident]

#: Examples, and shares of the training, at which a loss must be the same on features as on inputs,
#: and how far rounding may part them, relatively.
CHECKED = 32
SHARES = (0.0, 0.5, 0.999)
ROUNDING = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 2e-2}


class Frozen:
    """The data of runs whose networks may begin with frozen stages, which all have in common."""

    def __init__(self, data: Sequence[Data], settings: Settings) -> None:
        self.data, self.settings = data, settings
        self.features = list[Data]()
        #: The values of the stages by which features were computed, for each run.
        self.by: list[list[Tensor]] = []

    @contextmanager
    def shown(self, method: Method, nets: Sequence[Sequence[nn.Module]]) -> Iterator[list[Data]]:
        """The data of each run as its networks are to be shown them: features where that is alike.

        Meanwhile the frozen stages of the networks hand on what they are given. A method that does
        anything else with inputs than to pass them through the network, such as to attack them, is
        shown the inputs.
        """
        stages = list[nn.Module]()
        for net in itertools.chain.from_iterable(nets):
            stages += frozen_stages(net)
        if not stages:
            yield list(self.data)
            return

        pairs = list(zip(nets, self.data, strict=True))
        # Networks may have drawn stages of their own, such as random features.
        shared = all(map(one_backbone, nets))
        if not shared or not all(self.alike(method, own[0], data[0]) for own, data in pairs):
            yield list(self.data)
            return

        by = [values_of(own[0]) for own in nets]
        if not self.features or not all(map(equal, by, self.by)):
            self.features = [self.computed(own[0], data) for own, data in pairs]
            self.by = by
        with passing(stages):
            yield self.features

    def computed(self, net: nn.Module, data: Data) -> Data:
        """Features of all examples of a run, whose networks have them in common."""
        train, held_out = data
        return self.of_all(net, train), self.of_all(net, held_out)

    def of_all(self, net: nn.Module, data: Resident) -> Resident:
        """The examples as they leave the frozen stages of a network."""
        found = [self.after(net, inputs) for inputs, _ in data]
        return data.replaced(torch.cat(found)) if found else data

    @torch.no_grad()
    def after(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """A batch as it leaves the frozen stages, in the precision of the training."""
        # Copies of a network from earlier in its training have these stages, too.
        stages = frozen_stages(net)
        first = nn.Sequential(*stages[: [is_frozen(one) for one in stages].index(True) + 1])
        training, precision = net.training, self.settings.precision
        net.eval()
        with tensor_cores(tf32=precision == "tf32"), mixed(precision, inputs.device):
            # What follows may run in float32, as after the training.
            features = cast(Tensor, first(inputs)).float()
        net.train(training)
        return features

    def alike(self, method: Method, net: nn.Module, data: Resident) -> bool:
        """Whether losses and a draw are the same on features as on inputs, with the same noise."""
        given, targets = data.take(slice(0, CHECKED))
        reduced, size = self.after(net, given), len(data)
        try:
            expected = self.tried(method, copy.deepcopy(net), given, targets, size)
            copied = copy.deepcopy(net)
            with passing(frozen_stages(copied)):
                found = self.tried(method, copied, reduced, targets, size)
        except torch.OutOfMemoryError:
            raise
        except Exception:
            # Whatever it wants of inputs, features are none. A loss that fails in any case does so
            # again in training.
            return False

        rounding = ROUNDING[self.settings.precision]
        return torch.allclose(found, expected, rtol=rounding, atol=rounding)

    def tried(
        self, method: Method, net: nn.Module, inputs: Tensor, targets: Tensor, size: int
    ) -> Tensor:
        """Losses at some shares of the training, and one draw, of a network that may be changed."""
        device = inputs.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            found = []
            net.train()
            for share in SHARES:
                with torch.enable_grad(), mixed(self.settings.precision, device):
                    found.append(method.loss(net, inputs, targets, size, share).detach().view(1))

            net.eval()
            with torch.no_grad():
                found.append(method.draws(net, inputs, 1).flatten())
        return torch.cat([one.float() for one in found])


@contextmanager
def passing(stages: Sequence[nn.Module]) -> Iterator[None]:
    """Let stages hand on what they are given, as if they were not there."""
    passed = [True]
    for stage in stages:
        # Modules call what the instance has before the method of their class.
        vars(stage)["forward"] = HandedOn(stage, passed)
    try:
        yield
    finally:
        passed[0] = False
        for stage in stages:
            vars(stage).pop("forward", None)


class HandedOn:
    """A call of a stage that gives the inputs themselves while ``passed`` holds True.

    A copy of the stage that was made meanwhile has it for ever, and is itself again afterwards.
    """

    def __init__(self, stage: nn.Module, passed: list[bool]) -> None:
        self.stage, self.passed = stage, passed

    def __call__(self, inputs: Tensor) -> Tensor:
        """The inputs, or what the stage makes of them."""
        if self.passed[0]:
            return inputs
        return cast(Tensor, type(self.stage).forward(self.stage, inputs))

    def __deepcopy__(self, memo: dict[int, object]) -> HandedOn:
        """The call of the copied stage, which ends with that of the stage."""
        return HandedOn(copy.deepcopy(self.stage, memo), self.passed)


def one_backbone(nets: Sequence[nn.Module]) -> bool:
    """Whether the frozen stages of some networks have the same values."""
    first, *others = map(values_of, nets)
    return all(equal(first, own) for own in others)


def values_of(net: nn.Module) -> list[Tensor]:
    """All numbers of the frozen stages of a network."""
    found = list[Tensor]()
    for stage in frozen_stages(net):
        found += [*stage.parameters(), *stage.buffers()]
    return found


def equal(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    """Whether two lists of tensors hold the same numbers."""
    return len(one) == len(other) and all(map(torch.equal, one, other))
