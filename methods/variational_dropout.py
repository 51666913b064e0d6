"""Variational dropout: a noise for each weight that is learned, and weights that are only noise."""

import functools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from bench_uq.api import Batches, Layers, Task, layers_of, network
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._variational import Variational
from bench_uq.methods.mean_field import MeanFieldConv2d, MeanFieldLinear, MeanFieldWeights


@dataclass(frozen=True)
class VariationalDropout(Variational):
    """Weights N(θ, α θ²) under a log-uniform prior; those of a large α are removed in the end.

    θ and σ² = α θ² are trained, not α (the additive noise of Molchanov et al. 2017, sec. 4.1).
    Biases are Gaussians under a normal prior.
    """

    reference: ClassVar[str] = (
        "Kingma et al. 2015, https://arxiv.org/abs/1506.02557; "
        "Molchanov et al. 2017, https://arxiv.org/abs/1701.05369"
    )
    title: ClassVar[str] = "Variational dropout"
    order: ClassVar[int] = 17
    # The KL does not depend on the scale of the weights.
    search: ClassVar = {"kl_weight": {"low": 1e-3, "high": 1.0, "scale": "log"}}

    prior_std: PriorStd = 1.0  # of the biases
    start_log_variance: float = -9.0
    max_log_alpha: float = 3.0  # of the weights that are kept; inf keeps all
    variance_rate: float = 0.0  # Adam's rate for the log-variances; 0: three times that of the rest
    kl_weight: float = 1.0
    kl_warmup: float = 0.0

    # No field: the prior leaves variances open.
    max_std = math.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        # Below, hardly a weight would be left.
        if not (-20 <= self.max_log_alpha <= 20 or self.max_log_alpha == math.inf):
            allowed = "[-20, 20] or inf"
            raise ValueError(f"max_log_alpha must be in {allowed}, not {self.max_log_alpha}")

    @property
    def posterior(self) -> str:
        """The log-uniform prior."""
        return "log-uniform"

    def build(self, task: Task) -> nn.Module:
        """Build the network with Gaussian weights."""
        options: dict[str, Any] = {
            "prior": "log-uniform",
            "prior_std": self.prior_std,
            "start_log_variance": self.start_log_variance,
            "max_std": self.max_std,
        }
        linear = functools.partial(MeanFieldLinear, **options)
        conv = functools.partial(MeanFieldConv2d, **options)
        return network(task, Layers(linear=linear, conv=conv))

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Remove weights that are little more than noise: log α above the option, the paper's 3."""
        del train, held_out
        for layer in layers_of(net):
            if isinstance(layer, MeanFieldWeights):
                log_alpha = layer.log_variance - (layer.mean.square() + 1e-16).log()
                removed = log_alpha > self.max_log_alpha
                with torch.no_grad():
                    layer.mean[removed] = 0.0
                    # A variance of next to nothing, as log 0 is not finite.
                    layer.weight_log_variance[removed] = -80.0
