"""Methods that start from the trained networks of another method, their base."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import nn

from bench_uq.api.layers import Base
from bench_uq.api.method import Method
from bench_uq.api.task import Task


@dataclass(frozen=True)
class PostHoc(Method):
    """A method that fits something to the trained networks of its base, in ``finish``.

    The engine trains the base once for all methods that start from it, and restores its networks
    before ``finish``. Subclasses have the option ``base``, the name of a method.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.members != 1:
            raise ValueError(f"members must be 1, those of its base, not {self.members}")
        if not self.base:
            raise ValueError("base must name a method")

    def build(self, task: Task) -> nn.Module:
        """Refuse, because the networks of the base are needed."""
        raise TypeError(f"{type(self).__name__} is built on its base: build_on")

    @abstractmethod
    def build_on(self, task: Task, base: Base) -> nn.Module:
        """Build a network that holds ``base`` as a submodule, and all that ``finish`` will fit."""
