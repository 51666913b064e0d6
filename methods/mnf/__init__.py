"""Multiplicative normalizing flows (Louizos & Welling 2017).

A weight's mean is multiplied by a random z, one per input of a dense layer and one per filter of
a convolution. z is a Gaussian bent by a normalizing flow: q(W) = integral of q(W|z) q(z) is
correlated and multi-modal where a factorised Gaussian is not. MNFLinear and MNFConv2d stand in for
nn.Linear and nn.Conv2d in any network; add the sum of their ``kl()``, divided by the number of
training examples, to the mean negative log-likelihood.

Decisions where the paper is silent or the authors' code differs from it:

* Variances start at exp(-9), as the paper says; unlike the authors' code, whose exp(-9) is a
  standard deviation.
* Standard deviations are capped at ``max_std`` (0.5) in the outputs and in the KL; unlike the code,
  which caps the outputs alone.
* z is drawn for each example, with fresh Bernoulli(1/2) masks for each example and step, as in the
  code. The masks are auxiliary variables of both q and r, so the bound holds.
* r's head gives a mean and a log-precision, as in the code; unlike eq. 10, whose sigmoid caps the
  standard deviation at 1.
* The contraction of a convolution is linear, as in the code; unlike the paper's tanh. Dense layers
  have the tanh.
* Biases are factorised Gaussians outside z and r; unlike the code, which scales a convolution's
  bias by z.
* z starts at N(1, 0.1), the neutral start of a factor; unlike the code's N(0, 0.1) around random
  centres near 0.
* The KL is divided by the number of training examples, not annealed; training takes one draw.
* Log-variances are trained at three times the rate of the rest; unlike the code. At 1e-3 they take
  more than ten epochs of MNIST from exp(-9) to the values that the bound favours.
"""

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from bench_uq.api import Layers, Task, network
from bench_uq.methods._gaussian import Sampling, draws_of_weights
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._variational import Variational
from bench_uq.methods.mnf.flow import MaskedFlow
from bench_uq.methods.mnf.layers import Head, Masks, MNFConv2d, MNFLinear, one_flow

__all__ = ["MNF", "MNFConv2d", "MNFLinear", "MaskedFlow"]


@dataclass(frozen=True)
class MNF(Variational):
    """Gaussian weights with means multiplied by a normalizing flow."""

    reference: ClassVar[str] = (
        "Louizos & Welling 2017, https://arxiv.org/abs/1703.01961; "
        "kl_weight: Wenzel et al. 2020, https://arxiv.org/abs/2002.02405"
    )
    title: ClassVar[str] = "MNF"
    order: ClassVar[int] = 4

    flows: int = 2  # steps of the flow of q and of the flow of r, each
    hidden: int = 50  # hidden units of a step of q; r has twice as many
    prior_std: PriorStd = 1.0
    start_log_variance: float = -9.0
    max_std: float = 0.5  # of a weight given z; inf for none
    z_mean: float = 1.0
    masks: Masks = "fresh"  # for each example and step, or fixed and alternating
    # Of r: a log-precision, as in the code, or eq. 10's sigmoid as its standard deviation.
    head: Head = "precision"
    variance_rate: float = 0.0  # Adam's rate for the log-variances; 0: three times that of the rest
    kl_weight: float = 1.0
    kl_warmup: float = 0.0
    # What predictions draw; training always draws outputs.
    sampling: Sampling = "outputs"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.flows < 0 or self.hidden < 1:
            found = f"{self.flows} and {self.hidden}"
            raise ValueError(f"flows must be at least 0 and hidden at least 1, not {found}")
        if not math.isfinite(self.z_mean):
            raise ValueError(f"z_mean must be finite, not {self.z_mean}")

    def build(self, task: Task) -> nn.Module:
        """Build the network with MNF layers."""
        options = {
            "flows": self.flows,
            "hidden": self.hidden,
            "prior_std": self.prior_std,
            "start_log_variance": self.start_log_variance,
            "max_std": self.max_std,
            "z_mean": self.z_mean,
            "masks": self.masks,
            "head": self.head,
        }

        linear = functools.partial(MNFLinear, **options)
        conv = functools.partial(MNFConv2d, **options)
        return network(task, Layers(linear=linear, conv=conv))

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Mean NLL + weight * KL / size, with outputs and KL from one pass through each flow."""
        with one_flow(net):
            return super().loss(net, inputs, targets, size, progress)

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """``count`` draws (S, B, P), of outputs or of whole weights."""
        if self.sampling == "weights":
            return draws_of_weights(net, inputs, count)
        return super().draws(net, inputs, count)
