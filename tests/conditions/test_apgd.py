"""The path of Auto-PGD on an objective of many humps."""

from __future__ import annotations

import torch
from torch import Tensor

from bench_uq.conditions._apgd import checkpoints, climb
from bench_uq.conditions._gradients import Slope
from bench_uq.conditions._norms import NORMS


def test_the_best_point_of_the_path_is_kept() -> None:
    """Of each image the highest of all points that were looked at comes back, whatever came last."""
    seen: list[tuple[Tensor, Tensor]] = []

    def height(images: Tensor) -> Tensor:
        return (40 * images).sin().flatten(1).sum(1)

    def slope(images: Tensor) -> Slope:
        seen.append((images, height(images)))
        return Slope(40 * (40 * images).cos(), height(images), 1)

    inputs = torch.rand(300, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    found = climb(slope, inputs, inputs, NORMS["linf"], 0.3, 100)
    heights = torch.stack([value for _, value in seen])
    assert len(seen) == 101
    assert torch.equal(height(found), heights.amax(0))
    assert (heights[-1] < heights.amax(0)).any()
    assert (found - inputs).abs().max() <= 0.3 + 1e-6


def test_steps_at_which_sizes_are_judged() -> None:
    """Of 100 steps those of the paper's section 3.1: gaps of 0.22, then 0.03 less, at least 0.06."""
    assert sorted(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
