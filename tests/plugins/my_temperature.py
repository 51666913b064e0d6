"""Temperature scaling (Guo et al. 2017): a post-hoc method that only overrides ``finish`` and
``draws``.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from bench_uq.api import Categorical, Method, network, task_of


@dataclass(frozen=True)
class Temperature(Method):
    """A plain network whose logits are divided by a temperature fitted on held-out examples."""

    reference: ClassVar[str] = "Guo et al. 2017, https://arxiv.org/abs/1706.04599"

    steps: int = 50

    @property
    def fits_held_out(self):
        """Return that something is fitted to the held-out examples, half of which are given."""
        return True

    def suits(self, task):
        """Return whether there are logits to divide."""
        return isinstance(task.likelihood, Categorical)

    def build(self, task):
        """Return the plain network with a buffer for the temperature."""
        net = network(task)
        net.register_buffer("temperature", torch.ones(()))
        return net

    def finish(self, net, train, held_out):
        """Fit the temperature by LBFGS on the held-out NLL."""
        with torch.no_grad():
            pairs = [(net(inputs), targets) for inputs, targets in held_out]
        logits, targets = (torch.cat(part) for part in zip(*pairs, strict=True))
        log_temperature = torch.zeros((), requires_grad=True)
        optimiser = torch.optim.LBFGS([log_temperature], max_iter=self.steps)

        def closure():
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(logits / log_temperature.exp(), targets)
            loss.backward()
            return loss

        optimiser.step(closure)
        net.temperature.copy_(log_temperature.detach().exp())

    def draws(self, net, inputs, count):
        """Return the one scaled prediction."""
        return task_of(net).likelihood.normalise(net(inputs) / net.temperature).unsqueeze(0)
