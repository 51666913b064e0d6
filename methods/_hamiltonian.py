"""Hamiltonian Monte Carlo along several chains at once, with a step size that adapts itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: Function from positions (C, D) to their potentials in nats, (C,), and the gradients (C, D).
Potential = Callable[[Tensor], tuple[Tensor, Tensor]]

#: Least and largest share of the step size that a trajectory takes: all of one length might return
#: to where they began (Neal 2011, sec. 3.2).
SHARES = (0.8, 1.2)


#: Errors of the energy from which a trajectory counts as divergent, in nats, as Stan has it.
DIVERGENT = 1000.0


@dataclass(frozen=True)
class Chains:
    """Positions (C, D) of all chains, their potentials (C,) in nats, and the gradients (C, D)."""

    positions: Tensor
    potentials: Tensor
    gradients: Tensor


@dataclass(frozen=True)
class Trajectory:
    """Where the chains are after a trajectory, the probability that each had to be accepted, (C,),
    and the error of its energy in nats, (C,).
    """

    chains: Chains
    acceptance: Tensor
    error: Tensor


def kinetic(momenta: Tensor) -> Tensor:
    """Kinetic energy at unit masses, (C, D) -> (C,)."""
    # In float64, because their sum is large and only its changes count.
    return momenta.double().square().sum(1) / 2


def transition(potential: Potential, chains: Chains, step_size: float, steps: int) -> Trajectory:
    """Fresh momenta, leapfrog steps, and a decision for each chain (Neal 2011, sec. 3.2)."""
    low, high = SHARES
    step = step_size * (low + (high - low) * torch.rand(()).item())
    momenta = torch.randn_like(chains.positions)
    before = chains.potentials + kinetic(momenta)

    positions, gradients = chains.positions, chains.gradients
    for _ in range(steps):
        momenta = momenta - step / 2 * gradients
        positions = positions + step * momenta
        potentials, gradients = potential(positions)
        momenta = momenta - step / 2 * gradients

    # An energy that is no number is that of a trajectory which ran away.
    error = (potentials + kinetic(momenta) - before).nan_to_num(math.inf, math.inf)
    acceptance = (-error).exp().clamp_max(1)
    taken = torch.rand_like(acceptance) < acceptance

    rows = taken.unsqueeze(1)
    moved = Chains(
        positions.where(rows, chains.positions),
        potentials.where(taken, chains.potentials),
        gradients.where(rows, chains.gradients),
    )
    return Trajectory(moved, acceptance, error)


@dataclass
class StepSize:
    """Dual averaging of the logarithm of a step size (Hoffman & Gelman 2014, Algorithm 5).

    Unlike there, one step size is that of all chains, and follows their mean acceptance. It is
    drawn towards the first, not ten times that: long trajectories that are refused cost much.
    """

    first: float
    target: float
    count: int = 0
    shortfall: float = 0.0
    averaged: float = 0.0  # logarithm of the step size after the warm-up

    @property
    def logarithm(self) -> float:
        """Logarithm of the step size of the next trajectory."""
        return math.log(self.first) - math.sqrt(self.count) / 0.05 * self.shortfall

    def update(self, acceptance: float) -> None:
        """Take in the mean acceptance of a trajectory."""
        self.count += 1
        newest = 1 / (self.count + 10)
        self.shortfall += newest * (self.target - acceptance - self.shortfall)

        newest = self.count**-0.75
        self.averaged += newest * (self.logarithm - self.averaged)


def reasonable(potential: Potential, chains: Chains) -> float:
    """Step size at which a single step is accepted about half of the time (Algorithm 4)."""
    size, change = 1.0, 0.0
    while 1e-9 < size < 1e9:
        accepted = transition(potential, chains, size, 1).acceptance.mean().item()
        wanted = 2.0 if accepted > 0.5 else 0.5
        # Where the direction turns is the place.
        if change not in (0.0, wanted):
            break
        change = wanted
        size *= change

    return size


def warmed(
    potential: Potential, start: Tensor, transitions: int, steps: int, target: float
) -> tuple[Chains, float]:
    """Chains after a warm-up from positions (C, D), and their step size at this acceptance."""
    chains = Chains(start, *potential(start))
    size = StepSize(reasonable(potential, chains), target)

    for _ in range(transitions):
        trajectory = transition(potential, chains, math.exp(size.logarithm), steps)
        chains = trajectory.chains
        size.update(trajectory.acceptance.mean().item())

    return chains, math.exp(size.averaged)
