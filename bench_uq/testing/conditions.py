"""Requirements of attacks and shifts: inputs of the same shape in [0, 1], the same each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from bench_uq.api.condition import Attack, Condition
from bench_uq.api.likelihoods import Categorical, Gaussian
from bench_uq.api.networks import network
from bench_uq.api.task import Task
from bench_uq.testing.contract import NotReached, Target, require
from bench_uq.testing.tensors import described, inputs_of, same, shape_text, targets_of

#: Levels to try; a condition may refuse, in ``check_level``, those that make no sense for it.
LEVELS = (0.0, 0.1, 0.5, 1.0, 2.0, 3.0)


class ConditionTrial:
    """One condition on one task, with a predictor of two untrained networks."""

    def __init__(self, condition: Condition, task: Task) -> None:
        self.condition, self.task = condition, task
        self.where = shape_text(task)
        self.inputs, self.targets = inputs_of(task, 8), targets_of(task, 8)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            # Two, so that a condition that asks for several draws gets more than one.
            self.nets = nn.ModuleList(network(task) for _ in range(2)).eval()

    def log_probs(self, inputs: Tensor, draws: int) -> Iterator[Tensor]:
        """Draws of the networks, one at a time, differentiable in the inputs."""
        for net in list(self.nets)[:draws]:
            yield self.task.likelihood.normalise(net(inputs)).unsqueeze(0)

    @cached_property
    def suited(self) -> bool:
        """Whether the condition accepts the task."""
        try:
            return self.condition.suits(self.task) is not False
        except Exception:
            # check_suits reports it.
            return True

    def changed(self, levels: Sequence[float], inputs: Tensor | None = None) -> list[Tensor]:
        """Change inputs, by default a copy of the trial's, as the engine does."""
        # A copy, so that a condition that writes into its inputs spoils no other check.
        inputs = self.inputs.clone() if inputs is None else inputs
        # Networks draw from torch's global generator, a condition from its own.
        torch.manual_seed(2)
        generator = torch.Generator().manual_seed(2)
        found = self.condition.changed(self.log_probs, inputs, self.targets, levels, generator)
        return [images.detach() for images in found]

    @cached_property
    def levels(self) -> list[float]:
        """The levels that the condition accepts."""
        return list(filter(self.accepts, LEVELS))

    def accepts(self, level: float) -> bool:
        """Whether the condition accepts a level."""
        try:
            self.condition.check_level(level)
        except ValueError:
            return False
        except Exception:
            # check_shape reports it.
            return True
        return True

    @cached_property
    def whole(self) -> list[tuple[float, Tensor]]:
        """Each level with its changed inputs, if they are fit for other checks."""
        try:
            found = self.changed(self.levels)
            fit = [described(images) for images in found]
        except Exception as error:
            raise NotReached("'shape' fails") from error
        if fit != [described(self.inputs)] * len(self.levels):
            raise NotReached("'shape' fails")
        return list(zip(self.levels, found, strict=True))

    def repeats(self) -> bool:
        """Whether the same state of the generator gives the same inputs."""
        again = self.changed(self.levels)
        for (_, images), other in zip(self.whole, again, strict=True):
            if not same(images, other):
                return False
        return True


def subjects(target: Target) -> Sequence[ConditionTrial]:
    """The condition on the tasks that suit it."""
    tasks = (
        Task((1, 8, 8), Categorical(10), (0.5,), (0.3,)),
        Task((3, 32, 32), Categorical(10), (0.5,) * 3, (0.3,) * 3),
        Task((5,), Gaussian(0.0, 1.0), (0.5,) * 5, (0.3,) * 5),
    )
    trials = [ConditionTrial(target.value, task) for task in tasks]
    return [trial for trial in trials if trial.suited]


def check_suits(trial: ConditionTrial) -> None:
    """suits(task) returns True or False."""
    suits = trial.condition.suits(trial.task)
    require(suits is True, f"suits returns {suits!r}, not True or False")


def check_words(trial: ConditionTrial) -> None:
    """Its level, the unit and its family have names that fit on an axis."""
    for name in ("level_name", "unit", "family"):
        text = getattr(trial.condition, name)
        require(isinstance(text, str) and text.isprintable(), f"{name} is {text!r}")
    require(bool(trial.condition.level_name), "level_name is empty")


def check_shape(trial: ConditionTrial) -> None:
    """One batch of inputs comes back per level, with the shape and type of the given one."""
    require(trial.levels, f"it refuses every level of {LEVELS}")
    found = trial.changed(trial.levels)
    require(len(found) == len(trial.levels), f"{len(found)} batches for {len(trial.levels)} levels")

    expected = described(trial.inputs)
    for level, images in zip(trial.levels, found, strict=True):
        is_now = described(images)
        require(is_now == expected, f"level {level:g} gives {is_now}, not {expected}")


def check_range(trial: ConditionTrial) -> None:
    """Changed inputs are finite and in [0, 1], also those of black and white inputs."""
    for level, images in trial.whole:
        gives = f"level {level:g} gives inputs"
        require(images.isfinite().all(), f"{gives} that are not finite")
        low, high = images.min().item(), images.max().item()
        require(low >= 0 and high <= 1, f"{gives} in [{low:.4g}, {high:.4g}]: clamp(0, 1)")


def check_zero(trial: ConditionTrial) -> None:
    """An attack at level 0 returns the inputs themselves, to the last digit."""
    if isinstance(trial.condition, Attack):
        for level, images in trial.whole:
            require(level != 0 or same(images, trial.inputs), "level 0 changes the inputs")


def check_repeats(trial: ConditionTrial) -> None:
    """The same state of the generator gives the same inputs."""
    advice = "take noise from the given generator alone"
    require(trial.repeats(), f"inputs differ under one generator: {advice}")


def check_levels(trial: ConditionTrial) -> None:
    """Several levels in one call give the same inputs as each level alone."""
    # Levels could not be compared if even the same call gave other inputs.
    if not trial.repeats():
        raise NotReached("'repeats' fails")
    for level, images in trial.whole:
        alone = trial.changed([level])[0]
        require(same(alone, images), f"level {level:g} gives other inputs beside other levels")


def check_changes(trial: ConditionTrial) -> None:
    """At least the largest level changes something."""
    # Any level is enough, because level 0 may change nothing.
    differs = any(not same(images, trial.inputs) for _, images in trial.whole)
    require(differs, f"every level of {trial.levels} returns the inputs unchanged")


def check_alone(trial: ConditionTrial) -> None:
    """The given inputs and targets, and the gradients of the networks, stay as they are."""
    inputs, targets = trial.inputs.clone(), trial.targets.clone()
    # Gradients of an earlier check would look like those of this one.
    trial.nets.zero_grad()
    try:
        trial.changed(trial.levels, inputs)
    except Exception as error:
        raise NotReached("'shape' fails") from error

    untouched = same(inputs, trial.inputs) and same(targets, trial.targets)
    untouched = untouched and not inputs.requires_grad
    require(untouched, "the given inputs or targets were changed: work on a copy")

    written = any(values.grad is not None for values in trial.nets.parameters())
    advice = "use torch.autograd.grad, not backward"
    require(not written, f"gradients were left on the network's parameters: {advice}")
