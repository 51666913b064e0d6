"""What attacks that follow a gradient have in common: their objective, its draws and the norm of the change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from bench_uq.api import Attack, Categorical, LogProbs, Task
from bench_uq.conditions._gradients import (
    entropy_gradient,
    expected_gradient,
    predicted_labels,
    predictive_gradient,
)
from bench_uq.conditions._norms import NORMS, Norm

GRADIENTS = {
    "predictive": predictive_gradient,
    "expected": expected_gradient,
    "entropy": entropy_gradient,
}


@dataclass(frozen=True)
class GradientAttack(Attack):
    """An attack along the gradient of an objective of ``draws`` draws.

    ``objective`` is that of the reported predictor, -log mean p(y|x, w); ``expected``, the mean of the draws' own
    losses; or ``entropy`` of the mean, which needs no label and goes the way of ``entropy``.
    """

    draws: int = 10
    label: Literal["true", "predicted"] = "true"
    objective: Literal["predictive", "expected", "entropy"] = "predictive"
    entropy: Literal["raise", "lower"] = "raise"
    norm: Literal["linf", "l2"] = "linf"

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, not {self.draws}")
        if self.objective == "entropy" and self.label != "true":
            raise ValueError(f"label={self.label} says nothing: objective=entropy has no label")
        if self.objective != "entropy" and self.entropy != "raise":
            raise ValueError(
                f"entropy={self.entropy} goes with objective=entropy, not with {self.objective}"
            )

    def suits(self, task: Task) -> bool:
        """Return whether there are classes: the loss that is attacked is that of a class."""
        return isinstance(task.likelihood, Categorical)

    @property
    def ball(self) -> Norm:
        """The norm that epsilon is of."""
        return NORMS[self.norm]

    def labels(self, log_probs: LogProbs, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the labels to run from, (B,)."""
        return (
            predicted_labels(log_probs, inputs, self.draws)
            if self.label == "predicted"
            else targets
        )

    def ascent(self, log_probs: LogProbs, inputs: Tensor, labels: Tensor) -> Tensor:
        """Return the change of norm 1 that raises the objective most, shaped like the inputs."""
        gradient = GRADIENTS[self.objective](log_probs, inputs, labels, self.draws)
        return self.ball.steepest(-gradient if self.entropy == "lower" else gradient)
