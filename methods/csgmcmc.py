"""Cyclical stochastic gradient MCMC: each cycle looks for a mode, and then samples around it."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench_uq.api import Task
from bench_uq.methods._chain import Chain, check_friction, check_share
from bench_uq.methods._langevin import langevin
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._samples import due


@dataclass(frozen=True)
class CyclicalSGMCMC(Chain):
    """Samples of the posterior at the end of each cycle of falling steps.

    The cycles take the place of the suite's schedule and warm-up. With ``friction`` 1 it is the
    paper's cSGLD, below that its cSGHMC.
    """

    reference: ClassVar[str] = "Zhang et al. 2020, https://arxiv.org/abs/1902.03932"
    title: ClassVar[str] = "cSG-MCMC"
    order: ClassVar[int] = 12
    search: ClassVar = Chain.search | {"step_size": {"low": 0.01, "high": 0.2, "scale": "log"}}

    step_size: float = 0.05  # at the beginning of a cycle; the paper's alpha_0 is step_size / size
    friction: float = 0.1  # 1 - friction is the momentum
    cycles: int = 4
    exploration: float = 0.8  # share of a cycle, without noise and samples
    samples: int = 20
    prior_std: PriorStd = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_friction(self.friction)
        check_share("exploration", self.exploration)
        if self.cycles < 1:
            raise ValueError(f"cycles must be at least 1, not {self.cycles}")

    def build(self, task: Task) -> nn.Module:
        """Build the plain network, with room for samples and a clock."""
        net = super().build(task)
        net.register_buffer("steps", torch.zeros(()))
        # Of the whole training. As long as it is not known, a training is at its beginning.
        net.register_buffer("all_steps", torch.tensor(math.inf))
        return net

    def optimiser(self, net: nn.Module) -> Optimizer:
        """Steps with momentum, and with noise in the last part of each cycle."""
        steps, all_steps = net.get_buffer("steps"), net.get_buffer("all_steps")

        def pace(group: dict[str, Any]) -> tuple[Tensor, Tensor]:
            """Shares of the step size (eq. 1) and of the noise (Algorithm 1)."""
            # What the schedule made of it is undone.
            group["lr"] = group.get("initial_lr", group["lr"])
            place = self.cycles * (steps / all_steps) % 1
            steps.add_(1)
            return (1 + torch.cos(math.pi * place)) / 2, (place >= self.exploration).to(place)

        return langevin(net, self.step_size, self.temperature, self.friction, pace)

    def observe(self, net: nn.Module, progress: float) -> None:
        """Keep the weights if a sample is due, and set the clock."""
        super().observe(net, progress)
        # Unlike the paper's, steps of the first epoch do not fall yet.
        net.get_buffer("all_steps").copy_(net.get_buffer("steps") / progress)

    def due(self, progress: float) -> float:
        """Evenly over the last part of each cycle."""
        return due(progress, self.cycles, self.exploration)
