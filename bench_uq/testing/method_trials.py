"""A method on small tasks, trained as the engine trains: what the checks of methods are run on."""

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
from bench_uq.testing import NotReached, Target
from bench_uq.train import loop as train
from bench_uq.train.resident import Resident, fitted
from bench_uq.train.settings import Settings

COUNT = 6  # draws asked for
SEEDS = range(10)
SETTINGS = Settings(epochs=4, batch=32)
HELD_OUT = 200


class MethodTrial:
    """One method on one task; networks are built and trained once, when they are first asked for."""

    def __init__(self, method: Method, task: Task, examples: Examples, where: str) -> None:
        self.method, self.task, self.examples, self.where = method, task, examples, where
        self.optional = not isinstance(
            task.likelihood, Categorical
        )  # a method may be for classes alone

    def like(self, task: Task) -> MethodTrial:
        """Return the method made anew, as a process makes it that restores a run, on a task."""
        return MethodTrial(dataclasses.replace(self.method), task, self.examples, self.where)

    @cached_property
    def suited(self) -> bool:
        """Whether the method does not refuse the task."""
        try:
            return self.method.suits(self.task) is not False
        except Exception:
            return True  # a check of its own tells

    def build(self, seed: int = 0) -> nn.Module:
        """Build as the engine does."""
        torch.manual_seed(seed)
        return train.build(self.method, self.task, torch.device("cpu"))

    def batch(self, size: int = 12) -> tuple[Tensor, Tensor]:
        """Return inputs in [0, 1], the first black and the second white, and targets."""
        inputs = torch.rand(
            size, *self.task.input_shape, generator=torch.Generator().manual_seed(1)
        )
        inputs[0], inputs[1] = 0, 1
        return inputs, torch.from_numpy(self.examples.targets[:size])

    def fault(self) -> str:
        """Return what is wrong with the outputs of an untrained network, empty where nothing is."""
        outputs, expected = self.build()(self.batch()[0]), (12, self.task.likelihood.parameters)
        if outputs.shape != expected:
            return f"outputs are {tuple(outputs.shape)} for 12 inputs of {self.task.input_shape}, not {expected}"
        return (
            ""
            if outputs.isfinite().all()
            else f"some outputs for inputs of {self.task.input_shape} are not finite"
        )

    @cached_property
    def builds(self) -> bool:
        """Whether networks are built that map inputs to outputs."""
        try:
            return not self.fault()
        except Exception:
            return False

    def needed(self, seed: int = 0) -> nn.Module:
        """Build, or say that another check tells why that fails."""
        if not self.builds:
            raise NotReached("'build' fails")
        return self.build(seed)

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the training loss."""
        net.train()
        torch.manual_seed(3)
        return self.method.loss(net, inputs, targets, 100, 0.5)

    def needed_loss(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the training loss, or say that another check tells why there is none."""
        try:
            loss = self.loss(net, inputs, targets)
        except Exception as error:
            raise NotReached("'loss' fails") from error
        if loss.shape != () or not loss.isfinite():
            raise NotReached("'loss' fails")
        return loss

    def draws(self, net: nn.Module, inputs: Tensor, seed: int = 2, count: int = COUNT) -> Tensor:
        """Return draws without gradients, in whatever mode the network is."""
        torch.manual_seed(seed)
        with torch.no_grad():
            return self.method.draws(net, inputs, count).clone()

    def misshapen(self, net: nn.Module) -> str:
        """Return what is wrong with the shape of the draws, empty where nothing is."""
        inputs, _ = self.batch()
        for count in (1, COUNT):
            shape = tuple(self.draws(net, inputs, count=count).shape)
            if len(shape) != 3 or shape[1:] != (len(inputs), self.task.likelihood.parameters):
                return f"{shape}, not (S, {len(inputs)}, {self.task.likelihood.parameters})"
            if not 1 <= shape[0] <= count:
                return f"{shape[0]} where {count} were asked for: at least 1 and at most so many"
        return ""

    def one_epoch(self) -> nn.Module:
        """Return a network after one epoch, before the engine asks it for draws."""
        net = self.needed()
        self.needed_loss(net, *self.batch())
        data = Resident(self.examples[:64], torch.device("cpu"), 32)
        train.train_epoch(
            self.method, net, self.method.optimiser(net), data, torch.Generator(), (0, 1)
        )
        self.method.observe(net, 1.0)
        return net.eval()

    @cached_property
    def training(self) -> nn.ModuleList | Exception:
        """The members trained by the engine, or what kept it from doing so."""
        splits = self.examples[HELD_OUT:], self.examples[:HELD_OUT]
        data = [Resident(split, torch.device("cpu"), 32) for split in splits]
        try:
            return train.train(self.method, self.task, (data[0], data[1]), SETTINGS, seed=0)[
                0
            ].eval()
        except Exception as error:
            return error

    @cached_property
    def shape_fault(self) -> str:
        """What is wrong with the draws after an epoch, empty where they can be had as the engine needs them."""
        try:
            return self.misshapen(self.one_epoch())
        except NotReached:
            raise
        except Exception:
            return ""  # training will fail in the same way, and tell

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
        first, again = (self.draws(self.trained, inputs) for _ in range(2))
        return same(first, again)

    @property
    def comparable(self) -> nn.Module:
        """The first trained member, where draws of the same seed can be compared."""
        if not self.steady:
            raise NotReached("'reproduces' fails")
        return self.trained

    @cached_property
    def varies(self) -> bool:
        """Whether single draws differ from seed to seed."""
        inputs, _ = self.batch()
        first, *others = (self.draws(self.comparable, inputs, seed, 1) for seed in SEEDS)
        return not all(same(first, other) for other in others)


def same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are equal to the last digit; nan, which another check tells of, equals nan."""
    return one.shape == other.shape and bool(
        torch.isclose(one, other, rtol=0, atol=0, equal_nan=True).all()
    )


@functools.cache
def digits() -> Examples:
    """Return the digits of scikit-learn."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return Examples((data.images[:, None] / 16).astype(np.float32), data.target.astype(np.int64))


def features() -> Examples:
    """Return inputs of five features with real targets, one smooth function of them and noise."""
    rng = np.random.default_rng(0)
    inputs = rng.random((600, 5), np.float32)
    targets = 20 + 3 * np.sin(4 * inputs[:, 0]) + 2 * inputs[:, 1] + 0.3 * rng.standard_normal(600)
    return Examples(inputs, targets.astype(np.float32))


def trials(target: Target) -> Sequence[MethodTrial]:
    """Return the method on small images of real digits, and on features with real targets."""
    images, table = digits(), features()
    both = (
        MethodTrial(
            target.value,
            fitted(Task((1, 8, 8), Categorical(10)), images),
            images,
            "images of 1x8x8",
        ),
        MethodTrial(
            target.value,
            fitted(Task((5,), Gaussian()), table),
            table,
            "5 features with real targets",
        ),
    )
    return [trial for trial in both if trial.suited]
