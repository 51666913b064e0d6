"""The contract of a condition: an attack or a shift."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench_uq.api.task import Task

if TYPE_CHECKING:
    from torch import Generator, Tensor

#: (inputs (B, ...), draws) -> chunks (s, B, P), ``draws`` draws in all, differentiable in inputs.
#: Unlike one (S, B, P) array, chunks keep the memory of an attack from growing with S.
LogProbs = Callable[["Tensor", int], Iterator["Tensor"]]

#: Family of attacks that follow the gradient of the evaluated networks.
GRADIENT_ATTACK = "gradient attack"


@dataclass(frozen=True)
class Search:
    """How an attack searches, for the checks of masked gradients.

    A check compares attacks that differ in one of these facts and agree in the others.
    """

    norm: str = "linf"  # of epsilon, or "l2"
    true_label: bool = True  # whether it raises the loss of the true label
    objective: str = ""  # name of the loss
    draws: int = 1  # per gradient; 0 for as many as its direction needs
    steps: int = 1
    settings: str = ""  # everything else that the result depends on


@dataclass(frozen=True)
class Condition(ABC):
    """A change of the inputs that a trained network is shown; its fields are the options.

    An option that is a word of Python's own has a field that ends in ``_``: ``transfer[from=map]``
    sets ``from_``.
    """

    reference: ClassVar[str]
    title: ClassVar[str] = ""  # in figures and tables; empty: its name. It changes no key
    size: ClassVar[str] = "test_images"  # the setting with the number of images that it is shown

    level_name: ClassVar[str] = "level"  # on axes
    unit: ClassVar[str] = ""  # of a level; empty: without a unit
    family: ClassVar[str] = ""  # the kind of stress, such as "rotation"

    def suits(self, task: Task) -> bool:
        """Whether networks of this task can be shown it; by default those of every task."""
        del task
        return True

    def check_level(self, level: float) -> None:
        """Raise ValueError, with the allowed values, for a level without meaning.

        Levels are finite and at least 0.
        """

    def surrogate(self) -> str:
        """Method, with options, whose networks ``log_probs`` belong to; empty: the evaluated ones.

        The engine trains it on the same dataset with the same seed, if that is not done yet.
        """
        return ""

    def search(self) -> Search | None:
        """How it searches; None, the default: no check of masked gradients is about it."""
        return None

    @abstractmethod
    def changed(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """One batch of inputs per level, shaped like ``inputs``; the engine calls this."""


@dataclass(frozen=True)
class Attack(Condition):
    """A search near the true inputs for inputs on which the reported predictor does badly.

    ``levels`` are epsilons, the largest distances, in pixel units. Results lie in [0, 1].
    """

    size: ClassVar[str] = "attack_images"
    level_name: ClassVar[str] = "ε"
    unit: ClassVar[str] = "pixels in [0, 1]"
    family: ClassVar[str] = "attack"

    @abstractmethod
    def __call__(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """One batch of inputs per level, shaped like ``inputs``; ``generator`` is on the CPU."""

    def changed(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Attack at all levels at once, because one gradient can serve them all."""
        return self(log_probs, inputs, targets, levels, generator)


@dataclass(frozen=True)
class Shift(Condition):
    """A change of the inputs that keeps their labels: a rotation, a corruption."""

    size: ClassVar[str] = "shift_images"

    @abstractmethod
    def __call__(self, inputs: Tensor, level: float, generator: Generator) -> Tensor:
        """Changed inputs in [0, 1], shaped like ``inputs``; ``generator`` is on the CPU."""

    def changed(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Shift level by level, each from the same state of the generator."""
        # The same state for each, so that a level does not depend on those before it.
        state = generator.get_state()
        return [self(inputs, level, generator.set_state(state)) for level in levels]
