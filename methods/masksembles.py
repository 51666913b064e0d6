"""Masksembles: members that use overlapping parts of one network, by fixed masks."""

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench_uq.api import Layers, Method, Task, network
from bench_uq.methods._members import member_draws, of_rows, shared_batch_loss


def masks_of(features: int, estimators: int, scale: float) -> Tensor:
    """Random masks, (M, F), with as many features in each; each feature is in one or more.

    Masks of m ones among m * scale places cover m * scale * (1 - (1 - 1 / scale)^M) of them, from
    which m follows (Durasov et al. 2021, supplement). At scale 1 all masks are full; as the scale
    grows they come to be disjoint.
    """
    covered = scale * (1 - (1 - 1 / scale) ** estimators)
    ones = max(round(features / covered), -(-features // estimators))
    masks = torch.rand(estimators, features).argsort(1) < ones

    # Unlike the authors' code, which draws anew until the masks cover as many places as there are
    # features: a feature in no mask takes the place of one that is in several.
    for feature in (~masks.any(0)).nonzero().flatten().tolist():
        several = masks & (masks.sum(0) > 1)
        member, replaced = several.nonzero()[torch.randint(int(several.sum()), ())].tolist()
        masks[member, replaced], masks[member, feature] = False, True
    # Unlike the authors' code, which leaves ones: as with dropout, activations keep their size.
    return masks * (features / ones)


class MaskedLinear(nn.Linear):
    """A dense layer that sees the features of each row's member: (N, in) -> (N, out)."""

    random = False
    per_member = ("masks",)
    masks: Tensor

    def __init__(self, inputs: int, outputs: int, masks: Tensor) -> None:
        super().__init__(inputs, outputs)
        self.register_buffer("masks", masks)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of each row's member."""
        return super().forward(inputs * of_rows(self.masks, inputs))


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees the channels of each row's member, (N, in, H, W)."""

    random = False
    per_member = ("masks",)
    masks: Tensor

    def __init__(self, *sizes: Any, masks: Tensor, **geometry: Any) -> None:
        super().__init__(*sizes, **geometry)
        self.register_buffer("masks", masks)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of each row's member."""
        return super().forward(inputs * of_rows(self.masks, inputs))


@dataclass(frozen=True)
class Masksembles(Method):
    """Members that each see a fixed part of the hidden units."""

    reference: ClassVar[str] = "Durasov et al. 2021, https://arxiv.org/abs/2012.08334"
    title: ClassVar[str] = "Masksembles"
    order: ClassVar[int] = 23
    search: ClassVar = {"scale": {"low": 1.1, "high": 6.0, "scale": "log"}}

    estimators: int = 4
    scale: float = 2.0  # 1: masks are full; the larger it is, the less they overlap
    # Masks before all layers, or all dense layers, but never on the inputs of the network.
    where: Literal["all", "dense"] = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.estimators < 1:
            raise ValueError(f"estimators must be at least 1, not {self.estimators}")
        if not 1 <= self.scale <= 1e6:
            raise ValueError(f"scale must be in [1, 1e6], not {self.scale}")

    def build(self, task: Task) -> nn.Module:
        """Build the network with masks on the inputs of its layers."""
        built = itertools.count()

        def linear(inputs: int, outputs: int) -> nn.Module:
            if next(built) == 0:
                return nn.Linear(inputs, outputs)
            return MaskedLinear(inputs, outputs, masks_of(inputs, self.estimators, self.scale))

        def conv(inputs: int, *sizes: Any, **geometry: Any) -> nn.Module:
            if next(built) == 0 or self.where == "dense":
                return nn.Conv2d(inputs, *sizes, **geometry)
            masks = masks_of(inputs, self.estimators, self.scale)
            return MaskedConv2d(inputs, *sizes, masks=masks, **geometry)

        return network(task, Layers(linear=linear, conv=conv))

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Mean NLL of the batch, which the members share."""
        return shared_batch_loss(net, inputs, targets)

    def draws(self, net: Any, inputs: Tensor, count: int) -> Tensor:
        """One draw of each member, or of ``count`` members at random."""
        return member_draws(net, inputs, count, self.estimators)
