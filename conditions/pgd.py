"""Projected gradient descent on the averaged predictor."""

from dataclasses import dataclass

from bench_uq.conditions._pgd import ProjectedGradient


@dataclass(frozen=True)
class PGD(ProjectedGradient):
    """``steps`` steepest steps within epsilon of the input and within [0, 1], each with new draws.

    ``step_size`` is a share of epsilon, 0 for 2.5 / steps. The result is the last point. With
    several ``restarts`` from random points, each example keeps the point of the highest objective.
    """
