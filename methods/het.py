"""A network that learns the noise of each example, by the beta-NLL."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from bench_uq.api import Gaussian, Method, Task, network, task_of


@dataclass(frozen=True)
class Het(Method):
    """A mean and a variance per example, their NLL weighted by the variance to the power beta.

    Every Gaussian task has a network of mean and log-variance, so beta = 0 is ``map`` without its
    prior. There the gradient of a mean is divided by its variance: examples that fit badly get a
    large variance and are no longer learned. At beta = 1 means are learned as by squared errors.

    One draw: all of its uncertainty is noise, also where there are no data. It is not defined where
    the noise is known.
    """

    reference: ClassVar[str] = (
        "Nix & Weigend 1994, https://doi.org/10.1109/ICNN.1994.374138; "
        "beta: Seitzer et al. 2022, https://arxiv.org/abs/2203.09168"
    )
    title: ClassVar[str] = "Heteroscedastic"
    order: ClassVar[int] = 23
    search: ClassVar = {"beta": {"low": 0.0, "high": 1.0}}

    beta: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta must be in [0, 1], not {self.beta}")

    def suits(self, task: Task) -> bool:
        """Whether targets are real and their noise is to be learned."""
        return isinstance(task.likelihood, Gaussian) and math.isnan(task.likelihood.noise)

    def build(self, task: Task) -> nn.Module:
        """Build the plain network."""
        return network(task)

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Mean of variance^beta NLL, without a gradient through the weight; nats at beta = 0.

        Unlike the paper's, the variance in the weight is that of the standardised targets, so that
        their units change nothing.
        """
        likelihood = task_of(net).likelihood
        assert isinstance(likelihood, Gaussian)
        outputs = net(inputs)

        variance = outputs[..., 1].detach().exp() / likelihood.std**2
        nll = -likelihood.log_prob(outputs, targets)
        return (variance**self.beta * nll).mean()
