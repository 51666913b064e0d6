"""Temperature scaling of the predictions of any method."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench_uq.methods._scaling import Scaling, check_spread


@dataclass(frozen=True)
class Temperature(Scaling):
    """Divide log-probabilities by one number, fitted to held-out examples.

    Unlike the paper, the logarithm of the temperature has the prior N(0, spread^2): held-out
    examples of which none is misclassified would drive it to 0.
    """

    reference: ClassVar[str] = (
        "Guo et al. 2017, https://arxiv.org/abs/1706.04599; after averaging: "
        "Rahaman & Thiery 2021, https://arxiv.org/abs/2007.08792"
    )
    title: ClassVar[str] = "Temperature scaling"
    order: ClassVar[int] = 50
    search: ClassVar = {"spread": {"low": 0.1, "high": 10.0, "scale": "log"}}

    base: str = "map"
    spread: float = 1.0  # of the logarithm of the temperature; inf for no prior

    def __post_init__(self) -> None:
        super().__post_init__()
        check_spread(self.spread)

    def start(self, classes: int) -> dict[str, Tensor]:
        """A temperature of 1, as its logarithm."""
        return {"log_temperature": torch.zeros(())}

    def scaled(self, log_probs: Tensor, values: list[Tensor]) -> Tensor:
        """The log-probabilities, divided by the temperature."""
        (log_temperature,) = values
        return log_probs * torch.exp(-log_temperature)

    def minus_log_prior(self, values: list[Tensor]) -> Tensor | float:
        """-log prior in nats, without its constant."""
        (log_temperature,) = values
        return log_temperature.square() / (2 * self.spread**2)
