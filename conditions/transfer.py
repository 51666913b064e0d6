"""Attacks on one method's networks, judged by another's."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.conditions._pgd import ProjectedGradient


@dataclass(frozen=True)
class Transfer(ProjectedGradient):
    """PGD on the networks of another method, trained on the same data with the same seed: no gradient can be masked.

    ``from`` names the method, with its options where it has some.
    """

    reference: ClassVar[str] = "Papernot et al. 2016, https://arxiv.org/abs/1605.07277"

    from_: str = "map"

    def surrogate(self) -> str:
        """Return the method that is attacked."""
        return self.from_
