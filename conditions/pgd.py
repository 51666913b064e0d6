"""Projected gradient descent on the averaged predictor."""

from dataclasses import dataclass

from bench_uq.conditions._pgd import ProjectedGradient


@dataclass(frozen=True)
class PGD(ProjectedGradient):
    """``steps`` steepest steps within epsilon of the input and [0, 1], each with draws of its own; the last point.

    ``step_size`` is a share of epsilon, 0 for 2.5 / steps. Of several ``restarts``, from points at random in the ball,
    each example keeps the one of the highest objective.
    """
