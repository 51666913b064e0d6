"""The fast gradient sign method on the averaged predictor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Generator, Tensor

from bench_uq.conditions._gradients import predicted_labels, predictive_gradient
from bench_uq.contracts import Attack, LogProbs, Task
from bench_uq.likelihoods import Categorical


@dataclass(frozen=True)
class FGSM(Attack):
    """x + epsilon sign(gradient), clipped to [0, 1]; one gradient, of the loss of the mean of ``draws``, serves all.

    ``fgsm[label=predicted,draws=1]`` is the form of early papers: one draw, the network's own label.
    """

    reference: ClassVar[str] = "Goodfellow et al. 2015, https://arxiv.org/abs/1412.6572"

    draws: int = 10
    label: Literal["true", "predicted"] = "true"

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, not {self.draws}")

    def suits(self, task: Task) -> bool:
        """Return whether there are classes: the loss that is attacked is that of a class."""
        return isinstance(task.likelihood, Categorical)

    def __call__(
        self, log_probs: LogProbs, inputs: Tensor, targets: Tensor, levels: Sequence[float], generator: Generator
    ) -> list[Tensor]:
        """Return the attacked inputs per epsilon; epsilon 0 returns the inputs themselves."""
        del generator  # nothing random beside the draws
        if self.label == "predicted":
            targets = predicted_labels(log_probs, inputs, self.draws)
        direction = predictive_gradient(log_probs, inputs, targets, self.draws).sign()
        return [(inputs + level * direction).clamp(0, 1) for level in levels]
