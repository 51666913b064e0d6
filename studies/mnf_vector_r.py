"""MNF whose r sees more than one number of the weights: ours, in docs/where-flows-pay.md."""

import functools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Layers, Task, network
from bench_uq.methods.mnf import MNF, MNFConv2d, MNFLinear
from bench_uq.methods.mnf.layers import LOG_2_PI, MNFWeights

#: Options of the method that are those of its layers.
OF_LAYERS = (
    "rank",
    "flows",
    "hidden",
    "prior_std",
    "start_log_variance",
    "max_std",
    "z_mean",
    "masks",
)


@dataclass(frozen=True)
class VectorMNF(MNF):
    """MNF whose r has constants, and sees ``rank`` projections of the contracted weights.

    Unlike eqs 8-12 (Louizos & Welling 2017), where the mean and the log-precision of z are
    multiples of one number, the mean of a. With ``rank`` 0 the constants are all.
    """

    reference: ClassVar[str] = (
        "ours, after Louizos & Welling 2017, https://arxiv.org/abs/1703.01961"
    )
    title: ClassVar[str] = "MNF, r sees a vector"

    rank: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 0:
            raise ValueError(f"rank must be at least 0, not {self.rank}")
        if self.head != "precision":
            raise ValueError(f"head must be precision for this r, not {self.head}")

    def build(self, task: Task) -> nn.Module:
        """Build the network with layers of this r."""
        options = {name: getattr(self, name) for name in OF_LAYERS}
        linear = functools.partial(VectorLinear, **options)
        conv = functools.partial(VectorConv2d, **options)
        return network(task, Layers(linear=linear, conv=conv))


class VectorR(MNFWeights):
    """r(z|W) = N(z_b; m + M V a, exp(-(p + P V a))) before its flow, a the contracted weights.

    V is (rank, units of a), M and P are (dim, rank), m and p (dim,).
    """

    def __init__(self, *shape: Any, rank: int, z_mean: float = 1.0, **options: Any) -> None:
        super().__init__(*shape, z_mean=z_mean, **options)
        dim = len(self.z_mean)
        units = self.mean.numel() // dim if self.mean.dim() > 2 else self.mean.shape[0]
        # At the start r is q's first Gaussian, whatever W is.
        self.r_mean = nn.Parameter(torch.full((dim,), z_mean))
        self.r_log_precision = nn.Parameter(-self.z_log_variance.detach().clone())
        self.projection = nn.Parameter(torch.randn(rank, units) / math.sqrt(units))
        self.r_mean_of = nn.Parameter(torch.zeros(dim, rank))
        self.r_log_precision_of = nn.Parameter(torch.zeros(dim, rank))

    def log_r(self, z: Tensor) -> Tensor:
        """log r(z|W) for z (1, dim) and one draw of the contracted weights."""
        z_b, log_det = self.flow_r(z)
        seen = self.projection @ self.contracted(z).flatten()
        mean = self.r_mean + self.r_mean_of @ seen
        log_precision = self.r_log_precision + self.r_log_precision_of @ seen

        squares = (z_b - mean).square()
        log_normal = 0.5 * (log_precision - LOG_2_PI - log_precision.exp() * squares).sum()
        return log_normal + log_det.squeeze(0)


class VectorLinear(VectorR, MNFLinear):
    """A dense layer of MNF with this r."""


class VectorConv2d(VectorR, MNFConv2d):
    """A convolution of MNF with this r."""
