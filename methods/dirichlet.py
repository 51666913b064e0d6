"""Dirichlet calibration of the predictions of any method."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench_uq.methods._scaling import Scaling, check_spread

#: Strengths that cross-validation tries.
GRID = tuple(10.0**power for power in range(-3, 4))
#: Parts of the held-out examples, each of which is predicted from the others.
FOLDS = 5


def off_diagonal_squares(matrix: Tensor) -> Tensor:
    """Mean square of the C (C - 1) numbers off the diagonal (section 3, ODIR)."""
    classes = len(matrix)
    return (matrix - matrix.diag().diag()).square().sum() / (classes * (classes - 1))


@dataclass(frozen=True)
class Dirichlet(Scaling):
    """A linear map of all log-probabilities, fitted to held-out examples with a penalty (ODIR).

    As in the paper, cross-validation finds the strengths of the penalty: the right ones depend on
    the number of held-out examples. Unlike the paper, which tries all pairs, it tries equal ones,
    because few examples cannot tell pairs apart.

    Unlike the paper, whose penalty leaves the diagonal alone, that has a prior around 1. Where all
    held-out examples are classified correctly, the lowest NLL otherwise lies at infinity.
    """

    reference: ClassVar[str] = "Kull et al. 2019, https://arxiv.org/abs/1910.12656"
    title: ClassVar[str] = "Dirichlet calibration"
    order: ClassVar[int] = 52
    search: ClassVar = {"spread": {"low": 0.1, "high": 10.0, "scale": "log"}}

    base: str = "map"
    # Factor of the mean square off the diagonal, in nats per example (the paper's lambda).
    off_diagonal: float | Literal["cross-validated"] = "cross-validated"
    offset: float | Literal["same"] = "same"  # of the mean square of the offsets (mu)
    spread: float = 1.0  # standard deviation of the prior of the diagonal; inf for none

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, word in (("off_diagonal", "cross-validated"), ("offset", "same")):
            value = getattr(self, name)
            if value != word and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be finite and at least 0, or {word}, not {value}")
        check_spread(self.spread)

    def start(self, classes: int) -> dict[str, Tensor]:
        """The identity, and offsets of 0."""
        return {"matrix": torch.eye(classes), "offsets": torch.zeros(classes)}

    def scaled(self, log_probs: Tensor, values: list[Tensor]) -> Tensor:
        """The linear map of log-probabilities (section 3, linear parametrisation)."""
        matrix, offsets = values
        return log_probs @ matrix.T + offsets

    def minus_log_prior(self, values: list[Tensor]) -> Tensor | float:
        """-log N(1, spread^2) of the diagonal in nats, without its constant."""
        matrix, _ = values
        return (matrix.diag() - 1).square().sum() / (2 * self.spread**2)

    def penalty(self, values: list[Tensor]) -> Tensor | float:
        """ODIR, in nats per example."""
        assert self.off_diagonal != "cross-validated"
        matrix, offsets = values
        of_offsets = self.off_diagonal if self.offset == "same" else self.offset
        odir = self.off_diagonal * off_diagonal_squares(matrix)
        return odir + of_offsets * offsets.square().mean()

    def fitted(self, log_probs: Tensor, targets: Tensor, start: list[Tensor]) -> list[Tensor]:
        """The parameters of the lowest penalised NLL, after the choice of the strengths."""
        if self.off_diagonal == "cross-validated":
            return self.validated(log_probs, targets, start).fitted(log_probs, targets, start)
        return super().fitted(log_probs, targets, start)

    def validated(self, log_probs: Tensor, targets: Tensor, start: list[Tensor]) -> Dirichlet:
        """The method with the strengths of the lowest NLL, over folds that are each predicted by a
        map which is fitted to the others.
        """
        folds = torch.randperm(len(targets)).to(targets.device) % FOLDS
        losses = {}

        for strength in GRID:
            tried = dataclasses.replace(self, off_diagonal=strength)
            losses[tried] = 0.0
            for fold in range(FOLDS):
                left = folds == fold
                values = tried.fitted(log_probs[~left], targets[~left], start)
                scaled = self.scaled(log_probs[left], values)
                losses[tried] += cross_entropy(scaled, targets[left], reduction="sum").item()
        return min(losses, key=losses.__getitem__)
