"""MNF whose r sees a vector: a density of z, whatever the weights are."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

FILE = Path(__file__).parents[2] / "studies" / "mnf_vector_r.py"


def made(kind: str, rank: int) -> Any:
    """A layer with two elements of z, whose r sees much of the weights."""
    torch.manual_seed(3)
    layers = runpy.run_path(str(FILE))
    options = {"rank": rank, "masks": "fixed", "hidden": 5}
    if kind == "dense":
        layer = layers["VectorLinear"](2, 3, **options)
    else:
        layer = layers["VectorConv2d"](1, 2, 2, **options)
    for parameter in (layer.r_mean_of, layer.r_log_precision_of):
        torch.nn.init.normal_(parameter)
    return layer.double()


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_r_is_a_density_of_z(kind: str) -> None:
    """exp(log r) sums to 1 over a grid of z, under two draws of the weights that it tells apart."""
    layer = made(kind, 2)
    line = torch.linspace(-12, 14, 521, dtype=torch.float64)
    places = torch.cartesian_prod(line, line)
    cell = (line[1] - line[0]).square()

    found = []
    for _ in range(2):
        # One draw of the weights for all z, where ``kl`` draws them given z.
        drawn = layer.contracted(torch.ones(1, 2).double()).detach()
        layer.contracted = lambda z, drawn=drawn: drawn
        with torch.no_grad():
            log_r = torch.vmap(lambda z: layer.log_r(z.unsqueeze(0)))(places)
        del layer.contracted
        assert (log_r.exp().sum() * cell).item() == pytest.approx(1, abs=1e-3)
        found.append(log_r)

    assert (found[0] - found[1]).abs().max() > 0.1


def test_without_projections_r_does_not_see_the_weights() -> None:
    """At rank 0 the constants are all: another draw changes nothing."""
    layer, z = made("dense", 0), torch.tensor([[0.7, 1.2]]).double()
    assert layer.log_r(z) == layer.log_r(z)
