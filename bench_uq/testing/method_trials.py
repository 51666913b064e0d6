"""A method on small tasks, trained as the engine trains it: the subject of its checks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from bench_uq.api.likelihoods import Categorical, Gaussian
from bench_uq.api.method import Method
from bench_uq.api.task import Examples, Task
from bench_uq.plan.plugins import Plugins
from bench_uq.testing.contract import NotReached, Target
from bench_uq.testing.tensors import inputs_of, same
from bench_uq.train import loop, posthoc
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from bench_uq.train.splits import fitted

#: Draws asked for.
COUNT = 6
#: Seeds under which single draws are compared.
SEEDS = range(10)
#: Few epochs, for speed; enough to be far better than guessing on digits.
SETTINGS = Settings(epochs=4, batch=32)
#: Examples that are not trained on.
HELD_OUT = 200
CPU = torch.device("cpu")


class MethodTrial:
    """One method on one task; networks are built and trained once, when first needed."""

    def __init__(
        self,
        method: Method,
        task: Task,
        examples: Examples,
        where: str,
        below: Sequence[Method] = (),
    ) -> None:
        self.method, self.task, self.examples, self.where = method, task, examples, where
        self.below = below  # its base, the base of that, and so on
        # A method may be for classes alone.
        self.optional = not isinstance(task.likelihood, Categorical)

    def like(self, task: Task) -> MethodTrial:
        """The method made anew, on a task."""
        # As in a process that restores a run: nothing that draws depend on may hide in the object.
        fresh = dataclasses.replace(self.method)
        return MethodTrial(fresh, task, self.examples, self.where, self.below)

    @cached_property
    def suited(self) -> bool:
        """Whether the method accepts the task."""
        try:
            return self.method.suits(self.task) is not False
        except Exception:
            # check_suits reports it.
            return True

    def build(self, seed: int = 0) -> nn.Module:
        """Build as the engine does."""
        torch.manual_seed(seed)
        if not self.below:
            return loop.build(self.method, self.task, CPU)
        return posthoc.build_on((self.method, *self.below), self.task, CPU)[0]

    def batch(self, size: int = 12) -> tuple[Tensor, Tensor]:
        """Inputs in [0, 1], the first black and the second white, and targets."""
        return inputs_of(self.task, size), torch.from_numpy(self.examples.targets[:size])

    def fault(self) -> str:
        """The fault in the outputs of an untrained network; empty if there is none."""
        net, expected = self.build(), (12, self.task.likelihood.parameters)
        # A method with a base is asked for draws alone.
        inputs, _ = self.batch()
        outputs = self.draws(net, inputs, count=1)[0] if self.below else net(inputs)
        shape = self.task.input_shape
        if outputs.shape != expected:
            return f"outputs are {tuple(outputs.shape)} for 12 inputs of {shape}, not {expected}"
        if not outputs.isfinite().all():
            return f"some outputs for inputs of {shape} are not finite"
        return ""

    @cached_property
    def builds(self) -> bool:
        """Whether networks map inputs to outputs."""
        try:
            return not self.fault()
        except Exception:
            return False

    def needed(self, seed: int = 0) -> nn.Module:
        """A network, unless check_build fails."""
        if not self.builds:
            raise NotReached("'build' fails")
        return self.build(seed)

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The training loss."""
        net.train()
        # Seeded, so that a check fails each time or never.
        torch.manual_seed(3)
        return self.method.loss(net, inputs, targets, 100, 0.5)

    def needed_loss(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The training loss, unless check_loss fails."""
        try:
            loss = self.loss(net, inputs, targets)
        except Exception as error:
            raise NotReached("'loss' fails") from error
        if loss.shape != () or not loss.isfinite():
            raise NotReached("'loss' fails")
        return loss

    def draws(self, net: nn.Module, inputs: Tensor, seed: int = 2, count: int = COUNT) -> Tensor:
        """Draws without gradients, in the present mode of the network."""
        torch.manual_seed(seed)
        with torch.no_grad():
            # A copy: draws that are a view of the network's state would change with it.
            return self.method.draws(net, inputs, count).clone()

    @cached_property
    def shape_fault(self) -> str:
        """The fault in the shape of draws after an epoch; empty if there is none."""
        try:
            return self.misshapen(self.one_epoch())
        except NotReached:
            raise
        except Exception:
            # Training fails in the same way, and check_trains reports it.
            return ""

    def misshapen(self, net: nn.Module) -> str:
        """The fault in the shape of a network's draws; empty if there is none."""
        inputs, _ = self.batch()
        rest = len(inputs), self.task.likelihood.parameters
        # One draw and several may take different paths through a method.
        for count in (1, COUNT):
            shape = tuple(self.draws(net, inputs, count=count).shape)
            if len(shape) != 3 or shape[1:] != rest:
                return f"{shape}, not (S, {rest[0]}, {rest[1]})"
            if not 1 <= shape[0] <= count:
                return f"{shape[0]}, not between 1 and the {count} asked for"
        return ""

    def one_epoch(self) -> nn.Module:
        """A network after one epoch, before the engine asks it for draws."""
        net = self.needed()
        if self.below:
            return net.eval()
        self.needed_loss(net, *self.batch())
        data, optimiser = Resident(self.examples[:64], CPU, 32), self.method.optimiser(net)
        # A method that keeps snapshots has none before its first epoch.
        gradients = loop.gradients_of(self.method, net, len(data), SETTINGS)
        loop.train_epoch(gradients, optimiser, data, torch.Generator(), (0, 1), SETTINGS)
        self.method.observe(net, 1.0)
        return net.eval()

    @cached_property
    def training(self) -> nn.ModuleList | Exception:
        """The members trained by the engine, or the exception that ended training."""
        held_out = Resident(self.examples[:HELD_OUT], CPU, 32)
        data = Resident(self.examples[HELD_OUT:], CPU, 32), held_out
        try:
            # The exception is kept, so that a failing training is not repeated by every check.
            return self.trained_on(data).eval()
        except Exception as error:
            return error

    def trained_on(self, data: tuple[Resident, Resident]) -> nn.ModuleList:
        """Train the method, and first its base if it has one."""
        *above, lowest = (self.method, *self.below)
        nets = loop.train(lowest, self.task, data, SETTINGS, seed=0)[0]

        for place in reversed(range(len(above))):
            chain = (*above[place:], lowest)
            nets = posthoc.fit(chain, self.task, data, nets.state_dict(), seed=0)
        return nets

    @property
    def members(self) -> nn.ModuleList:
        """The trained members."""
        if self.shape_fault:
            raise NotReached("'draws' fails")
        if isinstance(self.training, Exception):
            raise NotReached("'trains' fails")
        return self.training

    @property
    def trained(self) -> nn.Module:
        """The first trained member."""
        return self.members[0]

    @cached_property
    def steady(self) -> bool:
        """Whether the same seed gives the same draws."""
        inputs, _ = self.batch()
        return same(self.draws(self.trained, inputs), self.draws(self.trained, inputs))

    @property
    def comparable(self) -> nn.Module:
        """The first trained member, if draws with the same seed are equal."""
        if not self.steady:
            raise NotReached("'reproduces' fails")
        return self.trained

    @cached_property
    def varies(self) -> bool:
        """Whether single draws differ from seed to seed."""
        inputs, _ = self.batch()
        # Single draws, because of several all stored networks may be given under every seed.
        first, *others = (self.draws(self.comparable, inputs, seed, 1) for seed in SEEDS)
        return not all(same(first, other) for other in others)


@functools.cache
def digits() -> Examples:
    """The digits of scikit-learn."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return Examples((data.images[:, None] / 16).astype(np.float32), data.target.astype(np.int64))


def features() -> Examples:
    """Inputs of five features with real targets: a smooth function of them and noise."""
    rng = np.random.default_rng(0)
    inputs = rng.random((600, 5), np.float32)
    # Far from 0 and of no unit scale, so that a method must use the scales of its task.
    targets = 20 + 3 * np.sin(4 * inputs[:, 0]) + 2 * inputs[:, 1] + 0.3 * rng.standard_normal(600)
    return Examples(inputs, targets.astype(np.float32))


def bases_of(method: Method, plugins: Plugins) -> list[Method]:
    """The base of a method, the base of that, and so on."""
    found = list[Method]()
    while method.base:
        method = plugins.spec("method", method.base).value
        found.append(method)
    return found


# All checks share the networks that are trained here.
@functools.lru_cache(maxsize=2)
def subjects(target: Target) -> Sequence[MethodTrial]:
    """The method on small images of real digits, and on features with real targets."""
    images, table = digits(), features()
    image_task, table_task = Task((1, 8, 8), Categorical(10)), Task((5,), Gaussian())
    below = bases_of(target.value, target.plugins)
    shown = "5 features with real targets"
    trials = (
        MethodTrial(target.value, fitted(image_task, images), images, "images of 1x8x8", below),
        MethodTrial(target.value, fitted(table_task, table), table, shown, below),
    )
    return [trial for trial in trials if trial.suited]
