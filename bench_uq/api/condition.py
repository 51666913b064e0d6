"""The contract of a condition: an attack or a shift."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Generator, Tensor
from bench_uq.api.task import Task

#: (inputs (B, ...), draws) -> chunks (s, B, P) of at most ``draws`` draws in all, differentiable in the inputs.
#: Unlike one (S, B, P) array, chunks keep the memory of an attack from growing with S.
LogProbs = Callable[["Tensor", int], Iterator["Tensor"]]


@dataclass(frozen=True)
class Condition(ABC):
    """What changes the inputs that a trained network is shown; the options are the fields of the subclass.

    An option that is a word of Python's own has its field with ``_`` behind: ``transfer[from=map]`` sets ``from_``.
    """

    reference: ClassVar[str]
    size: ClassVar[str] = (
        "test_images"  # the setting that says how many of the test images it is shown
    )

    def suits(self, task: Task) -> bool:
        """Return whether it can be shown to networks of this task; by default to all."""
        del task
        return True

    def check_level(self, level: float) -> None:
        """Raise ValueError, saying what is allowed, for a level without meaning; levels are finite and at least 0."""

    def surrogate(self) -> str:
        """Return the method, with options, whose networks ``log_probs`` are of; empty, the default: the judged ones.

        The engine trains it on the same dataset with the same seed, where it is not trained yet.
        """
        return ""

    @abstractmethod
    def changed(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Return one batch of inputs per level, shaped like ``inputs``; how the engine calls every condition."""


@dataclass(frozen=True)
class Attack(Condition):
    """A search for inputs within a distance of the true ones on which the reported predictor does badly.

    ``levels`` are epsilons in pixel units; results are clipped to [0, 1].
    """

    size: ClassVar[str] = "attack_images"

    @abstractmethod
    def __call__(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Return one batch of inputs per level, shaped like ``inputs``; ``generator`` is a CPU one."""

    def changed(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Attack at all levels at once: one gradient can serve them all."""
        return self(log_probs, inputs, targets, levels, generator)


@dataclass(frozen=True)
class Shift(Condition):
    """A change of the inputs that keeps their labels: a rotation, a corruption."""

    size: ClassVar[str] = "shift_images"

    @abstractmethod
    def __call__(self, inputs: Tensor, level: float, generator: Generator) -> Tensor:
        """Return the changed inputs, shaped like ``inputs``, in [0, 1]; ``generator`` is a CPU one."""

    def changed(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Shift level by level, each from the same state of the generator."""
        state = generator.get_state()
        return [self(inputs, level, generator.set_state(state)) for level in levels]
