"""MNF whose auxiliary r is that of a Gaussian z: ours."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from bench_uq.api import Layers, Task, network
from bench_uq.methods._gaussian import normal_kl
from bench_uq.methods.mnf import MNF, MNFConv2d, MNFLinear
from bench_uq.methods.mnf.layers import Masks, MNFWeights

#: Standard deviations of z_0 beyond which r does not look for it.
REACH = 5.0
#: A step of the flow whose gate is below this hardly keeps z: its inverse would explode.
LEAST_GATE = 0.1
#: Least precision of what W tells about z, so that its root has a gradient.
LEAST_PRECISION = 1e-12


@dataclass(frozen=True)
class ConjugateMNF(MNF):
    """MNF with an r(z|W) that sees for each z what its own weights tell about it.

    Given z, the weights of one input of a dense layer (one filter of a convolution) are N(z mu,
    sigma^2). What they tell about z is one number, s = sum(w mu / sigma^2) / lambda with lambda =
    sum(mu^2 / sigma^2), whose distribution is N(z, 1 / lambda). Without a flow z is Gaussian,
    r(z|W) is its exact posterior given s, and so the bound is the KL of q(W) itself. With a flow f
    r is that posterior given f^-1(s), with a learned factor of lambda for each z.

    Unlike eqs 8-12 (Louizos & Welling 2017), whose r sees the mean of a = tanh(c^T W), one number
    of the whole layer, and has a flow of its own. Here the determinants of q's flow cancel, and r
    has the masks of q, which are fixed by default.
    """

    reference: ClassVar[str] = (
        "ours, after Louizos & Welling 2017, https://arxiv.org/abs/1703.01961; "
        "kl_weight: Wenzel et al. 2020, https://arxiv.org/abs/2002.02405"
    )
    title: ClassVar[str] = "MNF, conjugate r"
    order: ClassVar[int] = 5

    masks: Masks = "fixed"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head != "precision":
            raise ValueError(f"head must be precision, not {self.head}: this r has no other")

    def build(self, task: Task) -> nn.Module:
        """Build the network with layers of this r."""
        options = {
            "flows": self.flows,
            "hidden": self.hidden,
            "prior_std": self.prior_std,
            "start_log_variance": self.start_log_variance,
            "max_std": self.max_std,
            "z_mean": self.z_mean,
            "masks": self.masks,
        }

        linear = functools.partial(ConjugateLinear, **options)
        conv = functools.partial(ConjugateConv2d, **options)
        return network(task, Layers(linear=linear, conv=conv))


class Path(NamedTuple):
    """One way through the flow: z_0 and z_T, (1, dim) each, and the mask of each step."""

    start: Tensor
    end: Tensor
    masks: list[Tensor]


class ConjugateWeights(MNFWeights):
    """q(W) as of MNF, with the r of ``ConjugateMNF``."""

    # The way of the z that ``sample_z`` leaves for the next ``kl``.
    spare: Path | None

    def __init__(self, *shape: Any, **options: Any) -> None:
        super().__init__(*shape, **options)
        # r of eqs 8-12.
        del self.flow_r, self.contraction, self.r_mean, self.r_log_precision

        # Logarithm of the factor of lambda. At 0 r is exact where there is no flow.
        self.r_log_factor = nn.Parameter(torch.zeros_like(self.z_mean))

    def sample_z(self, count: int) -> Tensor:
        """Draw z ~ q(z), (count, dim)."""
        if not self.sharing:
            return self.flow_q.move(self.start_z(count))

        # One more z goes through the flow, for the next ``kl``.
        path = self.through(self.start_z(count + 1))
        last = [mask[count:] if mask.dim() == 2 else mask for mask in path.masks]
        self.spare = Path(path.start[count:], path.end[count:], last)
        return path.end[:count]

    def through(self, start: Tensor) -> Path:
        """Move z_0 (B, dim) by all steps of the flow."""
        z, masks = start, list[Tensor]()
        for index, step in enumerate(self.flow_q.steps):
            mask = self.flow_q.mask(index, z)
            z = step.move(z, mask)
            masks.append(mask)
        return Path(start, z, masks)

    def back(self, z: Tensor, masks: list[Tensor]) -> Tensor:
        """z_0 (B, dim) from where the flow came to z under these masks, within ``REACH``."""
        for step, mask in zip(reversed(self.flow_q.steps), reversed(masks), strict=True):
            h = torch.tanh(step.inner(mask * z))
            gate = torch.sigmoid(step.gate(h)).clamp_min(LEAST_GATE)
            z = mask * z + (1 - mask) * (z - (1 - gate) * step.shift(h)) / gate

        reach = REACH * (0.5 * self.z_log_variance).exp()
        return torch.minimum(torch.maximum(z, self.z_mean - reach), self.z_mean + reach)

    def kl(self) -> Tensor:
        """One-sample unbiased estimate, in nats, of the bound on KL(q(W) || p(W)).

        KL(q(W|z) || p(W)) + log q(z_0) - log r(z_0|W), for one z of its own.
        """
        spare, self.spare = self.spare, None
        path = spare or self.through(self.start_z(1))
        squares = path.end.square() * self.squared_means()
        seen = path.end + torch.randn_like(path.end) * self.row_precision().rsqrt()
        return (
            normal_kl(squares.sum(), self.log_variance, self.prior_std)
            + self.bias_kl()
            - self.log_ratio(path, seen).squeeze(0)
        )

    def log_ratio(self, path: Path, seen: Tensor) -> Tensor:
        """log r(z_0|W) - E log q(z_0), (B,), for ``seen`` (B, dim), what W tells about z_T."""
        # r(z_0|W) = N(z_0; m + k (source - m), (1 - k) v) for z_0 ~ N(m, v).
        logit = self.row_precision().log() + self.z_log_variance + self.r_log_factor
        source = self.back(seen, path.masks)
        mean = self.z_mean + torch.sigmoid(logit) * (source - self.z_mean)

        shrunk = logsigmoid(-logit)
        squares = (path.start - mean).square() * (-self.z_log_variance - shrunk).exp()
        return -0.5 * (shrunk + squares - 1).sum(-1)

    def row_precision(self) -> Tensor:
        """lambda of each z, (dim,): the precision of what its weights tell about it."""
        ratios = self.mean.square() * (-self.log_variance).exp()
        others = [axis for axis in range(ratios.dim()) if axis != self.z_axis]
        return ratios.sum(others).clamp_min(LEAST_PRECISION)


class ConjugateLinear(ConjugateWeights, MNFLinear):
    """A dense layer of MNF with this r."""


class ConjugateConv2d(ConjugateWeights, MNFConv2d):
    """A convolution of MNF with this r."""
