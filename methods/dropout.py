"""MC-dropout: dropout that stays on when predicting."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from bench_uq.api import Layers, Method, Task, network


class MCDropout(nn.Module):
    """Zero units with probability ``rate``, scale the rest by 1 / (1 - rate), in evaluation too."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, inputs: Tensor) -> Tensor:
        """Put the inputs under a fresh mask."""
        # Unlike nn.Dropout, which is off in evaluation, where predictions are made.
        return nn.functional.dropout(inputs, self.rate, training=True)


@dataclass(frozen=True)
class Dropout(Method):
    """Dropout before the dense layers, on in training and prediction alike."""

    reference: ClassVar[str] = "Gal & Ghahramani 2016, https://arxiv.org/abs/1506.02142"
    title: ClassVar[str] = "MC dropout"
    order: ClassVar[int] = 1
    search: ClassVar = {"rate": {"low": 0.02, "high": 0.6}}

    rate: float = 0.5
    # Before every dense layer that sees hidden units, or before the last.
    where: Literal["dense", "last"] = "dense"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate must be in [0, 1), not {self.rate}")

    def build(self, task: Task) -> nn.Module:
        """Build the network with dropout layers."""
        before_dense = self.layer if self.where == "dense" else nn.Identity
        return network(task, Layers(before_dense=before_dense, before_last=self.layer))

    def layer(self) -> nn.Module:
        """Build one dropout layer."""
        return MCDropout(self.rate)
