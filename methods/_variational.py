"""Options and loss of the methods that learn a Gaussian posterior over the weights."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Method, kl, task_of
from bench_uq.methods._gaussian import check_gaussian, variational_optimiser
from bench_uq.methods._priors import PriorStd


class Variational(Method):
    """The negative bound of a posterior, its KL weighted by ``kl_weight``.

    A weight below 1 gives a cold posterior (Wenzel et al. 2020), which is no longer the
    posterior of the prior: it is part of the method's name. Over ``kl_warmup``, a share of the
    training, the weight rises from 0 as a line (Sønderby et al. 2016).

    Subclasses have these fields.
    """

    weight_prior: ClassVar[str] = "of the KL"
    weight_start: ClassVar[str] = "He et al. 2015"
    # With the weight of the KL: at 1 alone the lowest NLL would be that of the run whose bound is
    # furthest from its end.
    search: ClassVar = {
        "kl_weight": {"low": 1e-3, "high": 1.0, "scale": "log"},
        "prior_std": {"low": 0.1, "high": 3.0, "scale": "log"},
    }

    # Not fields of a dataclass: those of a base would come first in every name.
    prior_std: PriorStd  # of the weights, "he" for sqrt(2 / inputs) in each layer
    start_log_variance: float
    max_std: float  # of a weight (given z); inf for none
    # Adam's rate for the log-variances, whatever the learning rate of all else; 0 for three times
    # that. It follows the schedule too.
    variance_rate: float
    kl_weight: float
    kl_warmup: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gaussian(self.prior_std, self.start_log_variance, self.max_std, self.variance_rate)
        if not 0 <= self.kl_weight < math.inf:
            raise ValueError(f"kl_weight must be finite and at least 0, not {self.kl_weight}")
        if not 0 <= self.kl_warmup <= 1:
            raise ValueError(f"kl_warmup must be in [0, 1], not {self.kl_warmup}")

    @property
    def posterior(self) -> str:
        """The normal prior, and the weight of the KL where the likelihood counts otherwise."""
        prior = f"N(0, {self.prior_std}^2)"
        return prior if self.kl_weight == 1 else f"{prior}, KL times {self.kl_weight:g}"

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Mean NLL + weight * KL / size."""
        nll: Tensor = -task_of(net).likelihood.log_prob(net(inputs), targets).mean()
        weight = self.kl_weight
        if progress < self.kl_warmup:
            weight *= progress / self.kl_warmup

        return nll + weight * kl(net) / size

    def optimiser(self, net: nn.Module) -> torch.optim.Optimizer:
        """Adam, with a rate of its own for the log-variances."""
        return variational_optimiser(net, self.variance_rate)
