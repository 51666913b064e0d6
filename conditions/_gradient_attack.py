"""Options of the attacks that follow a gradient: their objective, its draws, the norm."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from bench_uq.api import GRADIENT_ATTACK, Attack, Categorical, LogProbs, Search, Task
from bench_uq.conditions._gradients import GRADIENTS, predicted_labels
from bench_uq.conditions._norms import NORMS, Norm


@dataclass(frozen=True)
class GradientAttack(Attack):
    """An attack along the gradient of an objective of ``draws`` draws.

    ``objective`` is the loss of the reported predictor, -log mean p(y|x, w); the ``expected`` loss
    of a draw; or the ``entropy`` of the mean, which needs no label and is raised or lowered by
    the option ``entropy``.
    """

    family: ClassVar[str] = GRADIENT_ATTACK

    draws: int = 10
    label: Literal["true", "predicted"] = "true"
    objective: Literal["predictive", "expected", "entropy"] = "predictive"
    entropy: Literal["raise", "lower"] = "raise"
    norm: Literal["linf", "l2"] = "linf"

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, not {self.draws}")
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
        return predicted_labels(log_probs, inputs, self.draws)

    def ascent(self, log_probs: LogProbs, inputs: Tensor, labels: Tensor) -> Tensor:
        """The change of norm 1 that raises the objective most, shaped like the inputs."""
        gradient = GRADIENTS[self.objective](log_probs, inputs, labels, self.draws)
        return self.ball.steepest(-gradient if self.entropy == "lower" else gradient)
