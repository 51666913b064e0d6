"""Maximum a posteriori: one deterministic network."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from bench_uq.api import Method, Task, network
from bench_uq.methods._priors import PriorStd, check_prior, std_of


@dataclass(frozen=True)
class MAP(Method):
    """A single network with a Gaussian prior N(0, prior_std^2) on its weights: weight decay."""

    reference: ClassVar[str] = "MacKay 1992, https://doi.org/10.1162/neco.1992.4.3.448"
    title: ClassVar[str] = "MAP"
    order: ClassVar[int] = 0
    weight_prior: ClassVar[str] = "N(0, prior_std^2)"

    search: ClassVar = {"prior_std": {"low": 0.1, "high": 10.0, "scale": "log"}}

    prior_std: PriorStd = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prior(self.prior_std)

    def build(self, task: Task) -> nn.Module:
        """Build the plain network."""
        return network(task)

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """NLL - log prior / size, without the constant of the prior."""
        likelihood = super().loss(net, inputs, targets, size, progress)
        # dot reads each weight once, and keeps no array of squares for the gradient.
        squares: Tensor | float = 0.0
        for weights in net.parameters():
            own = weights.flatten().dot(weights.flatten())
            squares = squares + own / std_of(self.prior_std, weights.shape) ** 2
        return likelihood + squares / (2 * size)
