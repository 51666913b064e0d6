"""Concrete dropout: dropout whose rates are learned by the bound of its variational posterior."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Layers, Method, Task, layers_of, network
from bench_uq.methods._decay import minus_log_prior
from bench_uq.methods._priors import PriorStd, check_prior


class ConcreteMask(nn.Module):
    """Drop inputs (B, features) at a learned rate, by a smooth stand-in for zeros and ones."""

    def __init__(self, rate: float, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        # log p / (1 - p), so that any step leaves a rate.
        self.logit = nn.Parameter(torch.tensor(rate).logit())

    def rate(self) -> Tensor:
        """Probability p that an input is dropped."""
        return self.logit.sigmoid()

    def entropy(self) -> Tensor:
        """Entropy of one zero or one, in nats."""
        log_dropped, log_kept = nn.functional.logsigmoid(torch.stack((self.logit, -self.logit)))
        return -(log_dropped.exp() * log_dropped + log_kept.exp() * log_kept)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs that are kept, over the probability that they are."""
        # log u / (1 - u) of a uniform u, which may be 0.
        noise = torch.rand_like(inputs).logit(eps=1e-7)
        kept = torch.sigmoid(-(self.logit + noise) / self.temperature)
        return inputs * kept / (1 - self.rate())


@dataclass(frozen=True)
class ConcreteDropout(Method):
    """Dropout before the dense layers, each at a rate of its own that is learned."""

    reference: ClassVar[str] = "Gal et al. 2017, https://arxiv.org/abs/1705.07832"
    title: ClassVar[str] = "Concrete dropout"
    order: ClassVar[int] = 16
    weight_prior: ClassVar[str] = "N(0, prior_std^2)"
    search: ClassVar = {"prior_std": {"low": 0.1, "high": 10.0, "scale": "log"}}

    start_rate: float = 0.1
    temperature: float = 0.1  # towards 0, masks are zeros and ones
    prior_std: PriorStd = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prior(self.prior_std)
        # A rate nearer to 1 is 1 in float32, which has no logit.
        if not 1e-6 <= self.start_rate <= 1 - 1e-6:
            raise ValueError(f"start_rate must be in [1e-6, 1 - 1e-6], not {self.start_rate}")
        if not 0.01 <= self.temperature <= 10:
            raise ValueError(f"temperature must be in [0.01, 10], not {self.temperature}")

    def build(self, task: Task) -> nn.Module:
        """Build the network with dropout layers."""
        return network(task, Layers(before_dense=self.layer))

    def layer(self) -> nn.Module:
        """Build one dropout layer."""
        return ConcreteMask(self.start_rate, self.temperature)

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """NLL + (Σ ||W||² / (2 prior_std² (1 - p)) - K H(p)) / size, over K inputs of a layer.

        W are the weights as they stand after the division by 1 - p, so that ||W||² / (1 - p) is the
        paper's (1 - p) ||M||². Weights that no mask precedes have p = 0.
        """
        likelihood = super().loss(net, inputs, targets, size, progress)
        penalty: Tensor | float = 0.0
        mask: ConcreteMask | None = None

        for layer in layers_of(net):
            if isinstance(layer, ConcreteMask):
                mask = layer
                continue

            for weights in layer.parameters(recurse=False):
                own = minus_log_prior([weights], self.prior_std)
                # Biases come after the weights.
                if mask is not None and weights.dim() > 1:
                    own = own / (1 - mask.rate()) - weights.shape[1] * mask.entropy()
                    mask = None
                penalty = penalty + own

        return likelihood + penalty / size
