"""Stochastic gradient Hamiltonian Monte Carlo: momentum with friction, and its noise."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from torch.optim import Optimizer

from bench_uq.methods._chain import Chain, check_friction, check_share
from bench_uq.methods._langevin import langevin
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._samples import due


@dataclass(frozen=True)
class SGHMC(Chain):
    """Samples of the posterior along one chain with momentum and friction.

    The noise of the gradients counts as 0, the simplest of the paper's choices. Unlike the paper's,
    the steps fall as the schedule of the suite does: with a cosine, at the default burn-in, from
    half of ``step_size`` to 0 while samples are kept.
    """

    reference: ClassVar[str] = "Chen et al. 2014, https://arxiv.org/abs/1402.4102"
    title: ClassVar[str] = "SGHMC"
    order: ClassVar[int] = 11
    search: ClassVar = Chain.search | {"step_size": {"low": 0.001, "high": 0.03, "scale": "log"}}

    step_size: float = 0.015  # the paper's eta is step_size / size
    friction: float = 0.1  # the paper's alpha; 1 - friction is the momentum
    burn_in: float = 0.5  # share of the training before samples are kept
    samples: int = 20
    prior_std: PriorStd = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_friction(self.friction)
        check_share("burn_in", self.burn_in)

    def optimiser(self, net: nn.Module) -> Optimizer:
        """Steps with momentum and noise."""
        return langevin(net, self.step_size, self.temperature, self.friction)

    def due(self, progress: float) -> float:
        """Evenly over the epochs after the burn-in."""
        return due(progress, 1, self.burn_in)
