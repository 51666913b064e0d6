"""Networks that keep copies of themselves at the ends of the cycles of their learning rate."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Method, Network, Task, network
from bench_uq.methods._decay import minus_log_prior
from bench_uq.methods._members import in_units, picked
from bench_uq.methods._priors import PriorStd, check_prior


class Snapshots(Network):
    """A network and copies of it from earlier in its training, norm layers' statistics included.

    ``clock`` holds the steps taken, the steps of an epoch and the epochs of the training; the last
    two are known from the end of the first epoch on. ``kept`` counts the copies.
    """

    clock: Tensor
    kept: Tensor

    def __init__(self, net: Network, count: int) -> None:
        super().__init__(net.task, net.stages[1:])
        self.snapshots = nn.ModuleList(without_parameters(self.stages) for _ in range(count))
        self.register_buffer("clock", torch.zeros(3))
        self.register_buffer("kept", torch.zeros((), dtype=torch.int64))


def without_parameters(layers: nn.Module) -> nn.Module:
    """A copy of layers whose parameters are buffers, which no optimiser sees."""
    copied = copy.deepcopy(layers)
    for module in copied.modules():
        for name, values in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, values.detach().clone())
    return copied


class Cyclic(Method):
    """Adam at a learning rate in cycles, and a copy of the network from the end of each.

    The loss is that of ``map``, with its prior, so that members are networks as ``map`` trains.

    The cycles take the place of the recipe's schedule and warm-up: they go by steps, between ends
    of epochs. Unlike in the papers, which know how many epochs there will be, the first epoch has
    the whole rate throughout. Where there are fewer epochs than cycles, each epoch is one.
    """

    weight_prior: ClassVar[str] = "N(0, prior_std^2)"

    # Not fields of a dataclass: those of a base would come first in every name.
    cycles: int
    prior_std: PriorStd

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.cycles <= 1000:
            raise ValueError(f"cycles must be in [1, 1000], not {self.cycles}")
        check_prior(self.prior_std)

    @abstractmethod
    def ends(self, epochs: int) -> list[int]:
        """The epochs after which copies are taken, in order, the last of the training included."""

    @abstractmethod
    def share(self, position: float, epochs: int) -> float:
        """Share of the learning rate after ``position`` epochs, in [0, 1]."""

    def build(self, task: Task) -> nn.Module:
        """Build the plain network with room for the copies."""
        return Snapshots(network(task), self.cycles)

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """NLL - log prior / size, without the constant of the prior."""
        likelihood = super().loss(net, inputs, targets, size, progress)
        return likelihood + minus_log_prior(net.parameters(), self.prior_std) / size

    def optimiser(self, net: Any) -> torch.optim.Optimizer:
        """Adam; a hook before each step puts the rate of the cycle in place of the recipe's."""
        group = {"params": list(net.parameters()), "lr": 1e-3, "initial_lr": 1e-3}
        adam = torch.optim.Adam([group], fused=True)
        # Of the steps that are left of an epoch, the last one first.
        shares = list[float]()

        def set_rate(*_: object) -> None:
            if not shares:
                # Once an epoch, as to read the clock is to wait for a GPU.
                shares.extend(reversed(self.shares(net)))
            share = shares.pop()
            for group in adam.param_groups:
                group["lr"] = group["initial_lr"] * share
            net.clock[..., 0] += 1

        adam.register_step_pre_hook(set_rate)
        return adam

    def shares(self, net: Any) -> list[float]:
        """Shares of the learning rate in the steps of the epoch that begins, or in the next step of
        the first one.
        """
        # Of networks that train as one batch all have taken the same steps.
        taken, steps, epochs = map(int, net.clock.reshape(-1, 3)[0].tolist())
        if not steps:
            return [1.0]
        return [self.share(step / steps, epochs) for step in range(taken, taken + steps)]

    def observe(self, net: Any, progress: float) -> None:
        """Read the clock after the first epoch, and copy the network at the end of a cycle."""
        taken, steps, epochs = net.clock.tolist()
        if not steps:
            steps, epochs = taken, round(1 / progress)
            net.clock.copy_(torch.tensor([taken, steps, epochs]))

        if round(progress * epochs) in self.ends(int(epochs)):
            net.snapshots[int(net.kept)].load_state_dict(net.stages.state_dict())
            net.kept += 1

    def draws(self, net: Any, inputs: Tensor, count: int) -> Tensor:
        """One draw of each copy, or of ``count`` of them at random; before any, the network's."""
        copies = [net.snapshots[index] for index in picked(int(net.kept), count)]
        outputs = [layers(inputs) for layers in copies or [net.stages]]
        return in_units(net, torch.stack(outputs))
