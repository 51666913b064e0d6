"""MultiSWAG: SWAG around each network of a deep ensemble."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.methods.swag import SWAG


@dataclass(frozen=True)
class MultiSWAG(SWAG):
    """A mixture of Gaussians over the weights, one around each network of an ensemble."""

    reference: ClassVar[str] = "Wilson & Izmailov 2020, https://arxiv.org/abs/2002.08791"
    title: ClassVar[str] = "MultiSWAG"
    order: ClassVar[int] = 56

    base: str = "ensemble"
    samples: int = 4  # of each network: 20 of five
