"""Record of an epoch of training."""

from __future__ import annotations

from dataclasses import dataclass


class Diverged(Exception):
    """The training loss is no longer a finite number."""


@dataclass(frozen=True)
class Epoch:
    """One row of training.csv; loss and NLL in nats per example."""

    member: int
    epoch: int
    loss: float  # mean over the steps of the epoch
    nll: float  # of one draw on the first training examples, after the epoch
    kl: float  # KL / N after the epoch, one sample; 0 without variational layers
    seconds: float
