"""SWAG (Maddox et al. 2019), diagonal: a method that observes its own training."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector

from bench_uq.api import Method, network, task_of


@dataclass(frozen=True)
class SWAG(Method):
    """A Gaussian over the weights that training passed through in its second half."""

    reference: ClassVar[str] = "Maddox et al. 2019, https://arxiv.org/abs/1902.02476"

    start: float = 0.5

    def build(self, task):
        """Return the plain network with buffers for the moments of its weights."""
        net = network(task)
        size = sum(weights.numel() for weights in net.parameters())
        for name in ("first", "second"):
            net.register_buffer(name, torch.zeros(size))
        net.register_buffer("seen", torch.zeros(()))
        return net

    def observe(self, net, progress):
        """Update the running moments."""
        if progress < self.start:
            return
        with torch.no_grad():
            weights = parameters_to_vector(net.parameters())
            net.seen += 1
            net.first += (weights - net.first) / net.seen
            net.second += (weights.square() - net.second) / net.seen

    def draws(self, net, inputs, count):
        """Return passes under weights drawn from the Gaussian."""
        deviation = (net.second - net.first.square()).clamp_min(0).sqrt()
        passes = []
        for _ in range(count):
            vector = net.first + deviation * torch.randn_like(deviation)
            state, start = {}, 0
            for name, weights in net.named_parameters():
                state[name] = vector[start : start + weights.numel()].view_as(weights)
                start += weights.numel()
            passes.append(task_of(net).likelihood.normalise(functional_call(net, state, (inputs,))))
        return torch.stack(passes)
