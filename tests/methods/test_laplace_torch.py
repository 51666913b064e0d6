"""Laplace against laplace-torch, the package of the paper's authors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bench_uq.api import Categorical, Network, Task
from bench_uq.methods._curvature import Diagonal, Full, Kronecker, matrix_of
from bench_uq.methods._laplace import Posterior, chosen, evidence

TASK = Task((3,), Categorical(3), mean=(0.0,) * 3, std=(1.0,) * 3)
PRECISION = 2.5
#: Unlike laplace-torch, whose Kronecker factors leave biases out, ours hold them as a column.
CASES = [
    (Full, "full", "last", True),
    (Diagonal, "diag", "last", True),
    (Diagonal, "diag", "all", True),
    (Kronecker, "kron", "last", False),
    (Kronecker, "kron", "all", False),
]


def network(bias: bool) -> Network:
    """Return the same network each time."""
    torch.manual_seed(0)
    hidden, last = nn.Linear(3, 6, bias=bias), nn.Linear(6, 3, bias=bias)
    return Network(TASK, [hidden, nn.Tanh(), last]).eval()


# The package and its dependencies warn of their own code.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "structure", "layers", "bias"), CASES)
def test_variance_and_evidence(kind: type, structure: str, layers: str, bias: bool) -> None:
    """The variance of each output and the marginal likelihood, up to its constant, are theirs."""
    import laplace
    from laplace.curvature import CurvlinopsGGN

    torch.manual_seed(1)
    inputs, labels = torch.randn(40, 3), torch.randint(0, 3, (40,))
    shown = 2 * torch.randn(8, 3)

    net = network(bias)
    posterior = Posterior(chosen(net, layers), kind)
    posterior.fit(net, [(inputs, labels)])
    posterior.precision.fill_(PRECISION)
    _, variance = posterior.variance(net, shown)

    peer: Any = laplace.Laplace(
        network(bias),
        "classification",
        subset_of_weights="last_layer" if layers == "last" else "all",
        hessian_structure=structure,
        prior_precision=PRECISION,
        backend=CurvlinopsGGN,
    )
    peer.fit(DataLoader(TensorDataset(inputs, labels), batch_size=40))
    _, theirs = peer._glm_predictive_distribution(shown)
    torch.testing.assert_close(variance, theirs.diagonal(dim1=-2, dim2=-1), rtol=1e-5, atol=0)

    spectra = [block.values.double().flatten() for _, block in posterior.parts(net)]
    squares = sum(matrix_of(layer).double().square().sum() for layer, _ in posterior.parts(net))
    values, gaps = torch.cat(spectra), []
    for precision in (PRECISION, 0.3):
        own = evidence(values, squares, math.log(precision))
        gaps.append(own - float(peer.log_marginal_likelihood(torch.tensor(precision))))
    assert gaps[0] == pytest.approx(gaps[1], abs=1e-4)
