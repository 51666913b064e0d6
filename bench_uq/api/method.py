"""What the engine and its plugins promise each other.

Shapes, said once: N examples, B of them in a batch, C classes, S draws, P likelihood parameters.
Draws are (S, B, P): log-probabilities for classes (P = C), (mean, log-variance) for a Gaussian (P = 2).
Units: nats, probabilities and pixels in [0, 1], epsilon in pixel units, seconds.

This module does not import torch, so that scoring and reporting can use its data without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer
from bench_uq.api.task import Batches, Task


@dataclass(frozen=True)
class Method(ABC):
    """A way to get a predictive distribution; the options are the fields of the subclass.

    ``members`` networks are built, seeded, shuffled and trained by the engine, each alone, and their draws joined.
    A network's ``task`` attribute is the Task it was built for; the engine sets it after ``build``.
    """

    reference: ClassVar[str]  # paper and link

    members: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        if self.members < 1:
            raise ValueError(f"members must be at least 1, not {self.members}")

    def suits(self, task: Task) -> bool:
        """Return whether there is such a method for this task; by default for all."""
        del task
        return True

    @abstractmethod
    def build(self, task: Task) -> nn.Module:
        """Return an untrained network, inputs (B, *input_shape) in [0, 1] -> outputs (B, P).

        Allocates every parameter and buffer there will ever be: a strict load of the state restores a trained method.
        """

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Return the training loss in nats per example: mean NLL + KL / size, with ``size`` training examples.

        ``progress`` is the share of the training done, in [0, 1).
        """
        from bench_uq.api.layers import kl, task_of

        nll = -task_of(net).likelihood.log_prob(net(inputs), targets).mean()
        return nll + kl(net) / size

    def optimiser(self, net: nn.Module) -> Optimizer:
        """Return the optimiser of all parameters: Adam at 1e-3."""
        from torch.optim import Adam

        return Adam(net.parameters(), lr=1e-3, fused=True)

    def observe(self, net: nn.Module, progress: float) -> None:
        """Look at the network after each epoch and keep what is needed in its buffers; by default nothing."""

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Adjust values after training (a temperature, a Laplace fit), never the structure; by default nothing.

        ``train`` and ``held_out`` can be walked any number of times and give (inputs, targets) on the net's device.
        """

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """Return at most ``count`` draws of the likelihood parameters, (S, B, P).

        Calls add up: two of 5 draws are as good as one of 10, so a method with stored networks that is asked for
        fewer of them picks at random. By default stochastic passes, or one where nothing in the network is random.
        """
        from bench_uq.api.layers import stochastic_passes

        return stochastic_passes(net, inputs, count)
