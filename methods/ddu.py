"""DDU: one deterministic network, and a density of its hidden units for unseen data."""

import math
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from bench_uq.api import Batches, Categorical, Layers, Method, Task, network
from bench_uq.methods._heads import Head, draws_of, head_of, numbers_of, with_head
from bench_uq.methods._spectral import (
    LAST_ITERATIONS,
    BoundedConv2d,
    BoundedLinear,
    bound_all,
    find_directions,
)

#: Smallest variance beside the mean variance of a class: hidden units that are always 0 have none.
FLOOR = 1e-4


class Density(Head):
    """The last dense layer, and a Gaussian of its inputs for each class.

    D hidden units and C classes: C D^2 numbers, 10 MB for ten classes and 500 units.
    """

    random = False
    means: Tensor
    whiteners: Tensor
    log_weights: Tensor

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, classes)
        self.register_buffer("means", torch.zeros(classes, inputs))
        # L^-1 of each class, where LL' is its covariance.
        self.register_buffer("whiteners", torch.zeros(classes, inputs, inputs))
        # Log of the share of each class over the root of the determinant of its covariance.
        self.register_buffer("log_weights", torch.zeros(classes))

    def numbers(self, hidden: Tensor) -> Tensor:
        """The hidden units themselves, (B, D)."""
        return hidden

    def drawn(self, numbers: Tensor, count: int) -> Tensor:
        """One draw of logits, (1, B, C)."""
        del count
        return cast(Tensor, self.dense(numbers)).unsqueeze(0)

    def log_density(self, numbers: Tensor) -> Tensor:
        """Log of the density of hidden units, sum_c share_c N(z; m_c, S_c), in nats, (B,)."""
        found = []
        # Class by class, because all at once would take C times the memory.
        for mean, whitener, log_weight in zip(
            self.means, self.whiteners, self.log_weights, strict=True
        ):
            distance = linear(numbers - mean, whitener).square().sum(-1)
            found.append(log_weight - distance / 2)

        constant = numbers.shape[1] * math.log(2 * math.pi) / 2
        return torch.stack(found).logsumexp(0) - constant

    @torch.no_grad()
    def fit(self, hidden: np.ndarray, targets: np.ndarray) -> None:
        """Fit the Gaussians to hidden units (N, D) float64 and labels (N,)."""
        for label in range(len(self.means)):
            own = hidden[targets == label]
            # One example has no covariance, and its class no density.
            if len(own) < 2:
                self.log_weights[label] = -math.inf
                continue

            whitener = np.linalg.inv(np.linalg.cholesky(covariance(own)))
            log_weight = math.log(len(own) / len(hidden)) + np.log(np.diag(whitener)).sum()
            self.means[label] = torch.from_numpy(own.mean(0))
            self.whiteners[label] = torch.from_numpy(whitener)
            self.log_weights[label] = float(log_weight)


def covariance(examples: np.ndarray) -> np.ndarray:
    """Covariance of examples (N, D), shrunk to a multiple of the identity, (D, D)."""
    from sklearn.covariance import ledoit_wolf

    shrunk, _ = ledoit_wolf(examples)
    size = examples.shape[1]
    least = FLOOR * max(float(np.trace(shrunk)) / size, np.finfo(np.float32).tiny)
    return cast(np.ndarray, shrunk + least * np.eye(size))


@dataclass(frozen=True)
class DDU(Method):
    """A deterministic network with hidden layers of bounded norm, and a density of its last one.

    The entropy of the softmax is for ambiguous inputs. The negative log-density of the hidden
    units, fitted to the training data after training, is for unseen ones, in the ``*_own`` scores:
    the predicted probabilities are those of the softmax, as confident far away as those of ``map``.

    Unlike the paper, which adds to the covariance of a class until it has a factor, it is shrunk by
    Ledoit & Wolf 2004: a hundred examples do not determine the covariance of hundreds of units. To
    keep distant inputs apart takes residual layers as well, which ``lenet`` and ``mlp`` have not.
    """

    reference: ClassVar[str] = "Mukhoti et al. 2023, https://arxiv.org/abs/2102.11582"
    title: ClassVar[str] = "DDU"
    order: ClassVar[int] = 20

    search: ClassVar = {"norm_bound": {"low": 0.5, "high": 10.0, "scale": "log"}}

    norm_bound: float = 3.0  # of each hidden layer, the paper's coefficient; inf for none

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.norm_bound >= 1e-3:
            raise ValueError(f"norm_bound must be at least 0.001, not {self.norm_bound}")

    def suits(self, task: Task) -> bool:
        """Whether the task has classes."""
        return isinstance(task.likelihood, Categorical)

    def build(self, task: Task) -> nn.Module:
        """Build the network of bounded layers, whose last one has the densities."""
        net = network(task, Layers(linear=BoundedLinear, conv=BoundedConv2d))

        def density(inputs: int) -> Head:
            return Density(inputs, task.likelihood.parameters)

        return find_directions(with_head(net, density), task)

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Mean NLL, after bounding the hidden layers."""
        bound_all(net, self.norm_bound)
        return super().loss(net, inputs, targets, size, progress)

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Bound the hidden layers, then fit the densities in one pass (Algorithm 1)."""
        del held_out
        bound_all(net, self.norm_bound, LAST_ITERATIONS)

        hidden, labels = [], []
        with torch.no_grad():
            for inputs, targets in train:
                # On the CPU in float64: a covariance of hundreds of units loses digits in float32.
                hidden.append(numbers_of(net, inputs).double().cpu())
                labels.append(targets.cpu())

        head = cast(Density, head_of(net))
        head.fit(torch.cat(hidden).numpy(), torch.cat(labels).numpy())

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """One draw: the softmax."""
        return draws_of(net, inputs, count)

    def beside(self, net: nn.Module, inputs: Tensor, draws: Tensor) -> dict[str, Tensor]:
        """The negative log-density of the hidden units, ``ood_score`` (B,) in nats."""
        del draws
        head = cast(Density, head_of(net))
        return {"ood_score": -head.log_density(numbers_of(net, inputs))}
