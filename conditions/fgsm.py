"""The fast gradient sign method on the averaged predictor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from bench_uq.api import LogProbs
from bench_uq.conditions._gradient_attack import GradientAttack


@dataclass(frozen=True)
class FGSM(GradientAttack):
    """x + epsilon sign(gradient), clipped to [0, 1], with one gradient for all epsilons.

    The loss is that of the mean of ``draws``, 0 for as many as the direction needs.
    ``fgsm[label=predicted,draws=1]`` is the form of early papers: one draw, and the label that the
    network predicts. With ``norm=l2`` the step is the gradient, scaled to length epsilon.
    """

    reference: ClassVar[str] = "Goodfellow et al. 2015, https://arxiv.org/abs/1412.6572"
    title: ClassVar[str] = "FGSM"

    def __call__(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Attack the inputs, once per epsilon; epsilon 0 gives the inputs themselves."""
        # Nothing is random but the draws.
        del generator
        labels = self.labels(log_probs, inputs, targets)
        slope, _ = self.settled(log_probs, inputs, labels)
        direction = self.ball.steepest(slope.gradient)
        return [(inputs + level * direction).clamp(0, 1) for level in levels]
