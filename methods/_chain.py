"""Common part of the methods that sample the weights along one chain of stochastic gradients."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Batches, Method, Task, network
from bench_uq.methods._decay import minus_log_prior
from bench_uq.methods._priors import PriorStd, check_prior
from bench_uq.methods._samples import draws_of, keep, make_room, row_of

#: Relative error of the measured temperature that a chain may have, beside three standard
#: deviations of chance. Beyond, its weights are not distributed as the posterior.
TOLERANCE = 0.2
#: Share of gradients cut to a length from which on a chain does not follow the posterior.
CUT = 0.05


def check_friction(friction: float) -> None:
    """Require a share of the velocity that a step takes away."""
    if not 0 < friction <= 1:
        raise ValueError(f"friction must be in (0, 1], not {friction}")


def check_share(name: str, share: float) -> None:
    """Require a share of the training that leaves time for samples."""
    if not 0 <= share < 1:
        raise ValueError(f"{name} must be in [0, 1), not {share}")


class Chain(Method):
    """Samples of the posterior at ``temperature``, kept along one chain.

    The posterior is that of map. Subclasses have these fields.
    """

    weight_prior: ClassVar[str] = "N(0, prior_std^2)"
    # The temperature is searched too: at 1 alone, the lowest NLL would be that of a chain which
    # hardly moves.
    search: ClassVar = {
        "prior_std": {"low": 0.1, "high": 3.0, "scale": "log"},
        "temperature": {"low": 1e-3, "high": 1.0, "scale": "log"},
    }

    # Not fields of a dataclass: those of a base would come first in every name.
    step_size: float  # learning rate for a loss in nats per example, in place of the recipe's
    samples: int  # kept at most, 4 bytes a weight each
    prior_std: PriorStd
    temperature: float  # below 1 the posterior is cold, and no longer that of the prior

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prior(self.prior_std)
        if not 1 <= self.samples <= 10_000:
            raise ValueError(f"samples must be in [1, 10000], not {self.samples}")
        if not 0 < self.step_size < math.inf:
            raise ValueError(f"step_size must be finite and above 0, not {self.step_size}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be finite and above 0, not {self.temperature}")

    @property
    def posterior(self) -> str:
        """The prior, and the temperature where the likelihood counts otherwise."""
        prior = f"N(0, {self.prior_std}^2)"
        return prior if self.temperature == 1 else f"{prior}, temperature {self.temperature:g}"

    def build(self, task: Task) -> nn.Module:
        """Build the plain network, with room for samples."""
        net = network(task)
        make_room(net, self.samples)
        net.register_buffer("size", torch.ones(()))
        net.register_buffer("cut", torch.zeros(()))
        net.register_buffer("heat", torch.zeros(()))
        return net

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """U / size: NLL - log prior / size, without the constant of the prior."""
        # The optimiser's noise depends on the number of examples.
        net.get_buffer("size").fill_(size)
        likelihood = super().loss(net, inputs, targets, size, progress)
        return likelihood + minus_log_prior(net.parameters(), self.prior_std) / size

    @abstractmethod
    def due(self, progress: float) -> float:
        """Share of all samples that are due when an epoch ends; 0 if none is taken there."""

    def observe(self, net: nn.Module, progress: float) -> None:
        """Keep the weights if a sample is due: at most one an epoch."""
        count = int(self.samples * self.due(progress) + 1e-6)
        if count > int(net.get_buffer("kept")):
            keep(net, row_of(net).unsqueeze(0))

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Measure the configurational temperature <w, dU/dw> / D of the last weights.

        Its mean under exp(-U / T) is T (Wenzel et al. 2020), and its variance 2 T^2 / D or so.
        """
        del held_out
        parameters = list(net.parameters())
        total = torch.zeros((), device=parameters[0].device)

        for inputs, targets in train:
            # Weighed by their examples, the losses of the batches add up to U.
            loss = self.loss(net, inputs, targets, len(train), 1.0) * len(inputs)
            gradients = torch.autograd.grad(loss, parameters)
            for weights, gradient in zip(parameters, gradients, strict=True):
                total += weights.detach().flatten().dot(gradient.flatten())

        net.get_buffer("heat").copy_(total / sum(weights.numel() for weights in parameters))

    def diagnosis(self, net: nn.Module) -> str:
        """Why the samples are not from the posterior: the temperature of the weights is another, or
        many gradients were cut; empty if neither is so.
        """
        heat, cut = float(net.get_buffer("heat")), float(net.get_buffer("cut"))
        found = []
        count = sum(weights.numel() for weights in net.parameters())
        allowed = TOLERANCE + 3 * math.sqrt(2 / count)
        if abs(heat - self.temperature) > allowed * self.temperature:
            wanted = f"{heat:.2f} instead of {self.temperature:g}"
            found.append(f"weights at temperature {wanted}: too short a chain or too long steps")
        if cut > CUT:
            found.append(f"{100 * cut:.0f} % of the last gradients were cut: too long steps")
        return "; ".join(found)

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """A draw for each sample, or for ``count`` of them at random."""
        return draws_of(net, inputs, count)
