"""SGD at a constant rate from trained weights, and the weights that it passes through.

D is the number of weights of a network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.swa_utils import update_bn

from bench_uq.api import Base, Batches, Categorical, PostHoc, Task, task_of
from bench_uq.methods._bases import check_predictions, plain_networks
from bench_uq.methods._priors import PriorStd, check_prior, std_of

#: As in Izmailov et al. 2018 and Maddox et al. 2019.
MOMENTUM = 0.9
#: Rates where none is given. Under a Gaussian likelihood gradients grow with 1 / variance, and the
#: rate of classes leaves its networks at once.
RATE, RATE_OF_REAL_TARGETS = 0.05, 3e-4


@dataclass(frozen=True)
class Data:
    """All training examples in memory, and the size of a batch."""

    inputs: Tensor
    targets: Tensor
    batch: int

    @classmethod
    def of(cls, train: Batches) -> Data:
        """Join the batches."""
        inputs, targets = zip(*train, strict=True)
        return cls(torch.cat(inputs), torch.cat(targets), len(inputs[0]))

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All examples once in random order, in batches whose sizes differ by one at most."""
        size = len(self.inputs)
        order = torch.randperm(size).to(self.inputs.device)
        # Batch normalisation has no variance of one example, which might be left for the last.
        for index in order.tensor_split(math.ceil(size / self.batch)):
            yield self.inputs[index], self.targets[index]


class Walking(PostHoc):
    """A method that walks on from the trained weights of plain networks, each by itself.

    Steps are of SGD with momentum 0.9 at a constant rate, on batches of the size of the recipe. The
    loss is that of ``map``, its prior included, whatever that of the base.
    """

    weight_prior: ClassVar[str] = "N(0, prior_std^2)"
    search: ClassVar = {"rate": {"low": 1e-4, "high": 0.2, "scale": "log"}}

    # Not fields of a dataclass: those of a base would come first in every name.
    snapshots: int
    rate: float
    prior_std: PriorStd

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.snapshots <= 10_000:
            raise ValueError(f"snapshots must be in [1, 10000], not {self.snapshots}")
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate must be in [0, 1), not {self.rate}")
        check_prior(self.prior_std)

    def build_on(self, task: Task, base: Base) -> nn.Module:
        """Hold the base, whose weights will be moved."""
        plain_networks(base)
        return Held(base)

    def data_of(self, net: Held, train: Batches) -> Data:
        """The training examples, after a check of the base."""
        data = Data.of(train)
        check_predictions(net.base, data.inputs[: data.batch])
        return data

    def walk(self, net: nn.Module, data: Data) -> Iterator[Tensor]:
        """Weights (D,) of a network before the first epoch and after each one."""
        yield parameters_to_vector(net.parameters()).detach()
        optimiser, likelihood = self.sgd(net, len(data.inputs)), task_of(net).likelihood

        for _ in range(self.snapshots):
            # Norm layers see batches, as in any training.
            net.train()
            for inputs, targets in data.epoch():
                optimiser.zero_grad()
                (-likelihood.log_prob(net(inputs), targets).mean()).backward()
                optimiser.step()
            weights = parameters_to_vector(net.parameters()).detach()
            if not weights.isfinite().all():
                raise ArithmeticError(f"SGD at rate {optimiser.param_groups[0]['lr']} diverged")
            yield weights

    def sgd(self, net: nn.Module, size: int) -> torch.optim.Optimizer:
        """SGD whose weight decay is the gradient of -log prior / size."""
        groups = []
        for weights in net.parameters():
            decay = 1 / (size * std_of(self.prior_std, weights.shape) ** 2)
            groups.append({"params": [weights], "weight_decay": decay})

        rate = RATE
        if not isinstance(task_of(net).likelihood, Categorical):
            rate = RATE_OF_REAL_TARGETS
        return torch.optim.SGD(groups, lr=self.rate or rate, momentum=MOMENTUM)


class Held(nn.Module):
    """A base whose networks are moved."""

    def __init__(self, base: Base) -> None:
        super().__init__()
        self.base = base


def move(net: nn.Module, weights: Tensor, data: Data) -> None:
    """Give a network other weights (D,), and its norm layers the statistics under them."""
    # A copy, because parameters become views of the vector.
    vector_to_parameters(weights.clone(), net.parameters())
    update_bn(data.epoch(), net)
    net.eval()
