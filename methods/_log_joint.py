"""The joint density of weights and examples, of which the samplers have the posterior.

It is that of map: the likelihood of all examples and N(0, prior_std^2) of all weights and biases.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap

from bench_uq.api import Batches, task_of
from bench_uq.methods._hamiltonian import Potential
from bench_uq.methods._priors import PriorStd, std_of
from bench_uq.methods._samples import outputs_of

#: Examples that go through the networks of all chains at once.
AT_ONCE = 2048


def negative_log_prior(net: nn.Module, prior_std: PriorStd) -> Tensor:
    """-log N(0, prior_std^2) of all weights and biases in nats, without its constant."""
    # As minus_log_prior of _decay: apart from it as long as stored runs of hmc have this code.
    squares = []
    for weights in net.parameters():
        # dot reads each weight once, and keeps no array of squares for the gradient.
        own = weights.flatten().dot(weights.flatten())
        squares.append(own / std_of(prior_std, weights.shape) ** 2)
    return torch.stack(squares).sum() / 2


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

    def potential(positions: Tensor) -> tuple[Tensor, Tensor]:
        # In float64, as a sum of which only the changes count.
        values, gradients = positions.double().square().sum(1) / 2, positions
        for part in parts:
            slopes, nlls = several(positions, *part)
            values, gradients = values + nlls, gradients + slopes
        return values, gradients

    return potential
