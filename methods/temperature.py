"""Temperature scaling of the predictions of any method."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench_uq.methods._scaling import Scaling


@dataclass(frozen=True)
class Temperature(Scaling):
    """Divide log-probabilities by one number, fitted to held-out examples."""

    reference: ClassVar[str] = (
        "Guo et al. 2017, https://arxiv.org/abs/1706.04599; after averaging: "
        "Rahaman & Thiery 2021, https://arxiv.org/abs/2007.08792"
    )
    order: ClassVar[int] = 50

    base: str = "map"

    def start(self, classes: int) -> dict[str, Tensor]:
        """A temperature of 1, as its logarithm."""
        return {"log_temperature": torch.zeros(())}

    def scaled(self, log_probs: Tensor, values: list[Tensor]) -> Tensor:
        """The log-probabilities, divided by the temperature."""
        (log_temperature,) = values
        return log_probs * torch.exp(-log_temperature)
