"""The joint density of weights and examples, of which the samplers have the posterior.

It is that of map: the likelihood of all examples and N(0, prior_std^2) of all weights and biases.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from bench_uq.api import Batches, task_of
from bench_uq.methods._hamiltonian import Potential
from bench_uq.methods._priors import PriorStd, std_of
from bench_uq.methods._samples import outputs_of

#: Gradients (C, D) and values (C,) for rows (C, D), inputs and targets.
Slopes = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

#: Examples that go through the networks of all chains at once.
AT_ONCE = 2048


def prior_stds(net: nn.Module, prior_std: PriorStd) -> Tensor:
    """Prior standard deviation of each weight and bias, (D,)."""
    stds = []
    for weights in net.parameters():
        own = torch.full_like(weights, std_of(prior_std, weights.shape))
        stds.append(own.detach().flatten())
    return torch.cat(stds)


def potential_of(net: nn.Module, stds: Tensor, train: Batches) -> Potential:
    """Negative log joint density of all examples, for rows (C, D) of weights over ``stds``, (D,).

    It is without the constant of the prior.
    """
    likelihood = task_of(net).likelihood
    inputs, targets = map(torch.cat, zip(*train, strict=True))
    parts = list(zip(inputs.split(AT_ONCE), targets.split(AT_ONCE), strict=True))

    def nll(position: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        outputs = outputs_of(net, position * stds, inputs)
        return -likelihood.log_prob(outputs, targets).sum()

    # The networks of all rows are one batch of networks.
    several = vmap(grad_and_value(nll), in_dims=(0, None, None))
    operations: dict[int, Slopes] = {}

    def potential(positions: Tensor) -> tuple[Tensor, Tensor]:
        # In float64, as a sum of which only the changes count.
        values, gradients = positions.double().square().sum(1) / 2, positions
        for inputs, targets in parts:
            size = len(inputs)
            if size not in operations:
                operations[size] = recorded(several, positions, inputs, targets)

            slopes, nlls = operations[size](positions, inputs, targets)
            values, gradients = values + nlls, gradients + slopes
        return values, gradients

    return potential


def recorded(function: Slopes, *example: Tensor) -> Slopes:
    """The operations of a function as a plain list, for arguments of these shapes.

    They are the same ones in the same order. What goes before each, to find that it belongs to
    several networks and to a gradient, takes longer than the operation itself in a small network,
    and is done once instead of at each of a hundred thousand steps.
    """
    with torch.no_grad():
        return make_fx(function)(*example)
