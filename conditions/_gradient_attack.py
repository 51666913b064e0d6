"""Options of the attacks that follow a gradient: their objective, its draws, the norm."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from bench_uq.api import GRADIENT_ATTACK, Attack, Categorical, LogProbs, Search, Task
from bench_uq.conditions._gradients import SLOPES, Slope, predicted_labels
from bench_uq.conditions._norms import NORMS, Norm

# Draws per gradient grow between these numbers. On 8x8 digits, FGSM on a factorised Gaussian needs
# 40 of them; on a network with dropout 80 leave up to 4.4 points less accuracy, at twice the cost
# (docs/stress.md).
FEWEST, MOST = 10, 40


@dataclass(frozen=True)
class GradientAttack(Attack):
    """An attack along the gradient of an objective of ``draws`` draws.

    With ``draws=0`` they are doubled, from 10 up to 40, until two estimates have one direction.
    ``objective`` is the loss of the reported predictor, -log mean p(y|x, w); the ``expected`` loss
    of a draw; or the ``entropy`` of the mean, which needs no label and is raised or lowered by
    the option ``entropy``.
    """

    family: ClassVar[str] = GRADIENT_ATTACK
    # The share of the steepest rise that the direction of one estimate must have by another.
    holds: ClassVar[float] = 0.9

    draws: int = 0
    label: Literal["true", "predicted"] = "true"
    objective: Literal["predictive", "expected", "entropy"] = "predictive"
    entropy: Literal["raise", "lower"] = "raise"
    norm: Literal["linf", "l2"] = "linf"

    def __post_init__(self) -> None:
        if self.draws < 0:
            raise ValueError(f"draws must be at least 1, or 0 for enough, not {self.draws}")
        # An option without effect would give one attack two names in results.
        if self.objective == "entropy" and self.label != "true":
            raise ValueError(f"label={self.label} says nothing: objective=entropy has no label")
        if self.objective != "entropy" and self.entropy != "raise":
            found = f"entropy={self.entropy}"
            raise ValueError(f"{found} goes with objective=entropy, not with {self.objective}")

    def suits(self, task: Task) -> bool:
        """Whether there are classes, of which the attacked loss is."""
        return isinstance(task.likelihood, Categorical)

    def search(self) -> Search:
        """One step along the gradient, unless a subclass takes more."""
        true_label = self.label == "true" and self.objective != "entropy"
        return Search(self.norm, true_label, self.objective, self.draws)

    @property
    def ball(self) -> Norm:
        """The norm in which epsilon limits the change."""
        return NORMS[self.norm]

    def labels(self, log_probs: LogProbs, inputs: Tensor, targets: Tensor) -> Tensor:
        """Labels whose loss is raised, (B,)."""
        if self.label == "true":
            return targets
        return predicted_labels(log_probs, inputs, self.draws or FEWEST)

    def slope(self, log_probs: LogProbs, inputs: Tensor, labels: Tensor, draws: int) -> Slope:
        """The way up what the attack raises, by so many draws."""
        found = SLOPES[self.objective](log_probs, inputs, labels, draws)
        return found.reversed() if self.entropy == "lower" else found

    def settled(self, log_probs: LogProbs, inputs: Tensor, labels: Tensor) -> tuple[Slope, int]:
        """The slope by enough draws, and the number to ask for."""
        draws = self.draws or FEWEST
        slope = self.slope(log_probs, inputs, labels, draws)
        # Fewer than were asked for are all that there are: the gradient is exact.
        while self.draws == 0 and slope.draws == draws < MOST:
            other = self.slope(log_probs, inputs, labels, draws)
            if self.ball.agreement(slope.gradient, other.gradient) >= self.holds:
                break

            draws *= 2
            slope = self.slope(log_probs, inputs, labels, draws)
        return slope, draws
