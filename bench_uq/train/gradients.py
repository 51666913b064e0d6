"""Losses of a batch and their gradients, as Python computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from bench_uq.train.precision import mixed

#: Function of inputs, targets and the share of the training that is done: the loss of one network,
#: a scalar, or those of several, (M,).
Loss = Callable[[Tensor, Tensor, float], Tensor]

Result = TypeVar("Result")


class Gradients:
    """The losses of a batch; their gradients are left in the parameters.

    With ``several`` the loss has one entry per network, (M,); otherwise it must be a scalar.
    """

    def __init__(
        self, loss: Loss, net: nn.Module, precision: str, *, several: bool = False
    ) -> None:
        self.loss, self.net, self.precision, self.several = loss, net, precision, several

    def __call__(self, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
        """Losses without their history, a scalar or (M,), of one batch."""
        self.net.zero_grad(set_to_none=True)
        losses = self.losses(inputs, targets, progress)
        # The gradient of the sum is, for each network, the gradient of its own loss.
        total = losses.sum() if self.several else losses
        total.backward()
        return losses.detach()

    def losses(self, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
        """Losses in the precision of the training."""
        with mixed(self.precision, inputs.device):
            return self.loss(inputs, targets, progress)

    def epoch(
        self,
        work: Callable[[], Result],
        optimiser: torch.optim.Optimizer,
        shuffling: Sequence[torch.Generator],
    ) -> Result:
        """Do the work of an epoch, which changes the network, the optimiser and the generators."""
        del optimiser, shuffling
        return work()
