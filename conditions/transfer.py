"""Attacks on the networks of one method, to evaluate those of another."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.conditions._pgd import ProjectedGradient


@dataclass(frozen=True)
class Transfer(ProjectedGradient):
    """PGD on the networks of another method, trained on the same data with the same seed.

    The evaluated method cannot mask that gradient. ``from`` names the other one, with its options.
    """

    reference: ClassVar[str] = "Papernot et al. 2016, https://arxiv.org/abs/1605.07277"
    title: ClassVar[str] = "Transfer attack"

    family: ClassVar[str] = "transferred attack"

    from_: str = "map"

    def surrogate(self) -> str:
        """The method that is attacked."""
        return self.from_
