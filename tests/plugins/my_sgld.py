"""Stochastic gradient Langevin dynamics (Welling & Teh 2011): a method with an optimiser and
snapshots of its own.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.func import functional_call

from bench_uq.api import Method, network, task_of


class Langevin(torch.optim.Optimizer):
    """Half a step down the potential, and noise."""

    def __init__(self, net, step):
        super().__init__(net.parameters(), {})
        self.net, self.step_size = net, step

    @torch.no_grad()
    def step(self, closure=None):
        """Move each weight by -step/2 N dloss/dw + sqrt(step) noise."""
        for group in self.param_groups:
            for weights in group["params"]:
                weights -= 0.5 * self.step_size * self.net.size * weights.grad
                weights += self.step_size**0.5 * torch.randn_like(weights)


@dataclass(frozen=True)
class SGLD(Method):
    """Samples of the posterior along one chain, the last epochs kept."""

    reference: ClassVar[str] = (
        "Welling & Teh 2011, https://www.stats.ox.ac.uk/~teh/research/compstats/WelTeh2011a.pdf"
    )

    step: float = 1e-4
    keep: int = 5

    def build(self, task):
        """Return the plain network with room for the kept samples."""
        net = network(task)
        for name, weights in list(net.named_parameters()):
            net.register_buffer(
                "kept_" + name.replace(".", "_"), torch.zeros(self.keep, *weights.shape)
            )
        net.register_buffer("size", torch.zeros(()))
        net.register_buffer("count", torch.zeros((), dtype=torch.long))
        return net

    def loss(self, net, inputs, targets, size, progress):
        """Return the negative log posterior over the number of examples."""
        net.size.fill_(size)
        prior = sum(weights.square().sum() for weights in net.parameters()) / 2
        return super().loss(net, inputs, targets, size, progress) + prior / size

    def optimiser(self, net):
        """Return the Langevin dynamics."""
        return Langevin(net, self.step)

    def observe(self, net, progress):
        """Keep the weights, the oldest making room."""
        for name, weights in net.named_parameters():
            net.get_buffer("kept_" + name.replace(".", "_"))[net.count % self.keep] = (
                weights.detach()
            )
        net.count += 1

    def draws(self, net, inputs, count):
        """Return a pass for each kept sample, or for ``count`` of them at random."""
        normalise = task_of(net).likelihood.normalise
        passes = []
        for index in torch.randperm(min(self.keep, int(net.count)))[:count].tolist():
            state = {
                name: net.get_buffer("kept_" + name.replace(".", "_"))[index]
                for name, _ in net.named_parameters()
            }
            passes.append(normalise(functional_call(net, state, (inputs,))))
        return torch.stack(passes)
