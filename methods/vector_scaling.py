"""Vector scaling of the predictions of any method."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench_uq.methods._scaling import Scaling, check_spread


@dataclass(frozen=True)
class VectorScaling(Scaling):
    """A factor and an offset for the log-probability of each class, fitted to held-out examples.

    Unlike the paper, of log-probabilities instead of logits: an average over draws has no logits.
    The two differ by a number for each example, which matters where the factors of classes differ.

    Unlike the paper, with a prior around factors of 1 and offsets of 0. Where all examples of the
    fit are classified correctly, as the 72 of digits may be (every second of 144 that are held
    out), the lowest NLL lies at infinite factors.
    """

    reference: ClassVar[str] = "Guo et al. 2017, section 4.2, https://arxiv.org/abs/1706.04599"
    title: ClassVar[str] = "Vector scaling"
    order: ClassVar[int] = 51
    search: ClassVar = {"spread": {"low": 0.1, "high": 10.0, "scale": "log"}}

    base: str = "map"
    spread: float = 1.0  # standard deviation of the prior; inf for none

    def __post_init__(self) -> None:
        super().__post_init__()
        check_spread(self.spread)

    def start(self, classes: int) -> dict[str, Tensor]:
        """Factors of 1 and offsets of 0."""
        return {"factors": torch.ones(classes), "offsets": torch.zeros(classes)}

    def scaled(self, log_probs: Tensor, values: list[Tensor]) -> Tensor:
        """The log-probability of each class, times its factor and plus its offset."""
        factors, offsets = values
        return log_probs * factors + offsets

    def minus_log_prior(self, values: list[Tensor]) -> Tensor | float:
        """-log prior in nats, without its constant."""
        factors, offsets = values
        squares = (factors - 1).square().sum() + offsets.square().sum()
        return squares / (2 * self.spread**2)
