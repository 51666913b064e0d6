"""Stochastic gradient Langevin dynamics: gradient steps with noise."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from torch.optim import Optimizer

from bench_uq.methods._chain import Chain, check_share
from bench_uq.methods._langevin import langevin
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._samples import due


@dataclass(frozen=True)
class SGLD(Chain):
    """Samples of the posterior along one chain of gradient steps with noise.

    Unlike the paper's, the steps fall as the schedule of the suite does, and all samples count
    alike, though later ones are closer together: with a cosine, at the default burn-in, the steps
    fall from half of ``step_size`` to 0 while samples are kept. The chain of a constant schedule
    goes on at its whole pace.
    """

    reference: ClassVar[str] = (
        "Welling & Teh 2011, https://www.stats.ox.ac.uk/~teh/research/compstats/WelTeh2011a.pdf"
    )
    title: ClassVar[str] = "SGLD"
    order: ClassVar[int] = 10
    search: ClassVar = Chain.search | {"step_size": {"low": 0.01, "high": 0.3, "scale": "log"}}

    step_size: float = 0.1  # the paper's epsilon is 2 * step_size / size
    burn_in: float = 0.5  # share of the training before samples are kept
    samples: int = 20
    prior_std: PriorStd = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("burn_in", self.burn_in)

    def optimiser(self, net: nn.Module) -> Optimizer:
        """Gradient steps with noise."""
        return langevin(net, self.step_size, self.temperature)

    def due(self, progress: float) -> float:
        """Evenly over the epochs after the burn-in."""
        return due(progress, 1, self.burn_in)
