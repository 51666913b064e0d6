"""What an attack or a shift promises: inputs of the same shape in [0, 1], the same ones each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from bench_uq.api.condition import Attack, Condition
from bench_uq.api.likelihoods import Categorical, Gaussian
from bench_uq.api.networks import network
from bench_uq.api.task import Task
from bench_uq.testing import NotReached, Target, require
from bench_uq.testing.method_trials import same

#: Levels to try: a condition may refuse, in ``check_level``, those that make no sense to it.
LEVELS = (0.0, 0.1, 0.5, 1.0, 2.0, 3.0)


class ConditionTrial:
    """One condition on one task, with a predictor of two untrained networks."""

    def __init__(self, condition: Condition, task: Task) -> None:
        self.condition, self.task = condition, task
        self.where = f"inputs of {'x'.join(map(str, task.input_shape))}"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.nets = nn.ModuleList(network(task) for _ in range(2)).eval()
        self.inputs = torch.rand(8, *task.input_shape, generator=torch.Generator().manual_seed(1))
        self.inputs[0], self.inputs[1] = 0, 1
        self.targets = (
            torch.arange(8)
            if isinstance(task.likelihood, Categorical)
            else torch.linspace(-1, 1, 8)
        )

    def log_probs(self, inputs: Tensor, draws: int) -> Iterator[Tensor]:
        """Yield the draws of the networks, one at a time, differentiable in the inputs."""
        for net in list(self.nets)[:draws]:
            yield self.task.likelihood.normalise(net(inputs)).unsqueeze(0)

    @cached_property
    def suited(self) -> bool:
        """Whether the condition does not refuse the task."""
        try:
            return self.condition.suits(self.task) is not False
        except Exception:
            return True  # check_suits tells

    def changed(self, levels: Sequence[float]) -> list[Tensor]:
        """Change the inputs as the engine does."""
        torch.manual_seed(2)
        generator = torch.Generator().manual_seed(2)
        found = self.condition.changed(
            self.log_probs, self.inputs.clone(), self.targets, levels, generator
        )
        return [images.detach() for images in found]

    @cached_property
    def levels(self) -> list[float]:
        """The levels that the condition does not refuse."""
        return [level for level in LEVELS if self.takes(level)]

    def takes(self, level: float) -> bool:
        """Return whether a level is not refused."""
        try:
            self.condition.check_level(level)
        except ValueError:
            return False
        except Exception:
            return True  # check_shape tells
        return True

    @cached_property
    def whole(self) -> list[Tensor]:
        """The changed inputs per level, where they are what other checks need."""
        try:
            found = self.changed(self.levels)
        except Exception as error:
            raise NotReached("'shape' fails") from error
        kind = (self.inputs.shape, self.inputs.dtype)
        if [(images.shape, images.dtype) for images in found] != [kind] * len(self.levels):
            raise NotReached("'shape' fails")
        return found


def subjects(target: Target) -> Sequence[ConditionTrial]:
    """Return the condition on the tasks that suit it."""
    tasks = (
        Task((1, 8, 8), Categorical(10), (0.5,), (0.3,)),
        Task((3, 32, 32), Categorical(10), (0.5,) * 3, (0.3,) * 3),
        Task((5,), Gaussian(0.0, 1.0), (0.5,) * 5, (0.3,) * 5),
    )
    trials = [ConditionTrial(target.value, task) for task in tasks]
    return [trial for trial in trials if trial.suited]


def check_suits(trial: ConditionTrial) -> None:
    """It says of a task whether it can be shown to its networks."""
    suits = trial.condition.suits(trial.task)
    require(suits is True, f"suits returns {suits!r}, not True or False")


def check_shape(trial: ConditionTrial) -> None:
    """It gives one batch of inputs a level, of the shape and type that it was given."""
    require(bool(trial.levels), f"it refuses every level of {LEVELS}")
    found = trial.changed(trial.levels)
    require(len(found) == len(trial.levels), f"{len(found)} batches for {len(trial.levels)} levels")
    kind = (tuple(trial.inputs.shape), trial.inputs.dtype)
    for level, images in zip(trial.levels, found, strict=True):
        one = (tuple(images.shape), images.dtype)
        require(one == kind, f"level {level:g} gives {one[0]} {one[1]}, not {kind[0]} {kind[1]}")


def check_range(trial: ConditionTrial) -> None:
    """Changed inputs are finite and in [0, 1], black and white ones too."""
    for level, images in zip(trial.levels, trial.whole, strict=True):
        require(bool(images.isfinite().all()), f"level {level:g} gives inputs that are not finite")
        low, high = images.min().item(), images.max().item()
        require(
            low >= 0 and high <= 1,
            f"level {level:g} gives inputs in [{low:.4g}, {high:.4g}]: clamp(0, 1)",
        )


def check_zero(trial: ConditionTrial) -> None:
    """An attack at level 0 is the input itself, to the last digit."""
    if isinstance(trial.condition, Attack):
        for level, images in zip(trial.levels, trial.whole, strict=True):
            require(level != 0 or same(images, trial.inputs), "level 0 is not the input itself")


def check_repeats(trial: ConditionTrial) -> None:
    """The same state of the generator gives the same inputs."""
    require(
        steady(trial),
        "inputs differ under one generator: take noise from the generator that is given",
    )


def steady(trial: ConditionTrial) -> bool:
    """Return whether the same state of the generator gives the same inputs."""
    return all(map(same, trial.whole, trial.changed(trial.levels)))


def check_levels(trial: ConditionTrial) -> None:
    """Several levels in one call are what each gives alone."""
    if not steady(trial):
        raise NotReached("'repeats' fails")
    for level, images in zip(trial.levels, trial.whole, strict=True):
        require(
            same(trial.changed([level])[0], images),
            f"level {level:g} gives another thing beside other levels",
        )


def check_changes(trial: ConditionTrial) -> None:
    """It changes something, at the largest level at least."""
    differs = any(not same(images, trial.inputs) for images in trial.whole)
    require(differs, f"inputs are as they were at every level of {trial.levels}")


def check_alone(trial: ConditionTrial) -> None:
    """It leaves the inputs and targets that it is given, and the gradients of the networks, alone."""
    inputs, targets = trial.inputs.clone(), trial.targets.clone()
    trial.nets.zero_grad()
    torch.manual_seed(2)
    try:
        trial.condition.changed(
            trial.log_probs, inputs, targets, trial.levels, torch.Generator().manual_seed(2)
        )
    except Exception as error:
        raise NotReached("'shape' fails") from error
    untouched = same(inputs, trial.inputs) and same(targets, trial.targets)
    require(
        untouched and not inputs.requires_grad,
        "the inputs or targets given were changed: work on a copy",
    )
    written = any(values.grad is not None for values in trial.nets.parameters())
    require(
        not written,
        "gradients were left on the network's parameters: use torch.autograd.grad, not backward",
    )
