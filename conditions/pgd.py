"""Projected gradient descent on the averaged predictor."""

from dataclasses import dataclass

from bench_uq.conditions._pgd import ProjectedGradient


@dataclass(frozen=True)
class PGD(ProjectedGradient):
    """Auto-PGD: ``steps`` within epsilon of the input and within [0, 1], and the best point.

    Of ``restarts`` the first climbs the objective; the others, of half as many steps, climb toward
    one other class after another, and only for images that are still right. ``step_size``, a share
    of epsilon, fixes the steps instead, as Madry et al. have them: new draws each, and the last
    point. ``draws=0`` are as many as the direction needs. ``pgd-strong`` takes more steps and
    restarts.
    """

    title = "PGD"
