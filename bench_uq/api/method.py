"""The contract of a method."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from bench_uq.api.task import Batches, Task

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from bench_uq.api.layers import Base


@dataclass(frozen=True)
class Method(ABC):
    """A way to get a predictive distribution; the options are the fields of the subclass.

    The engine builds, seeds, shuffles and trains ``members`` networks, each alone, and joins their
    draws. After ``build`` it sets the attribute ``task`` of each network.
    """

    reference: ClassVar[str]  # paper and link
    title: ClassVar[str] = ""  # in figures and tables; empty: its name. It changes no key
    order: ClassVar[int] = 100  # position in tables; methods of equal order are sorted by name
    weight_prior: ClassVar[str] = ""  # in the loss, in words: weight decay would add another
    weight_start: ClassVar[str] = ""  # how weights start, in words; empty: as torch's layers do
    # What bench-uq tune tries beside the recipe, by option or setting:
    # {"rate": {"low": 0.02, "high": 0.6}, "prior_std": {"low": 0.1, "high": 10, "scale": "log"},
    # "masks": {"values": ["fresh", "fixed"]}}. It changes no result, and so no key.
    search: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    # Whether ``draws`` averages over its ``count``, which is then never split into parts.
    averages: ClassVar[bool] = False

    members: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        if self.members < 1:
            raise ValueError(f"members must be at least 1, not {self.members}")

    @property
    def posterior(self) -> str:
        """The prior of the posterior that is approximated, in words; empty if there is none.

        By default the ``weight_prior`` with the values of the options that it names. Methods of one
        network with equal words approximate one posterior, and are compared by how close they come
        to it. A likelihood that counts for more or less than once belongs to the words.
        """
        words = self.weight_prior
        for option in fields(self):
            words = re.sub(rf"\b{option.name}\b", str(getattr(self, option.name)), words)
        return words

    @property
    def replicas(self) -> int:
        """Independent estimates of one posterior that ``beside`` gives, such as by several chains.

        At least two make a reference: how far they lie apart says how much of a distance to their
        mean is noise. By default 1, the mixture itself.
        """
        return 1

    @property
    def base(self) -> str:
        """The method whose trained networks this one starts from (PostHoc); empty: its own."""
        return ""

    @property
    def fits_held_out(self) -> bool:
        """Whether ``finish`` fits anything to the targets of the held-out examples.

        It then gets every second one of them, and scores that are calibrated on held-out
        predictions (conformal sets, calibrated NLL) rest on the others: on examples that something
        was fitted to, predictions look better than on new ones.
        """
        return False

    def suits(self, task: Task) -> bool:
        """Whether the method is defined for this task; by default for every task."""
        del task
        return True

    @abstractmethod
    def build(self, task: Task) -> nn.Module:
        """Build an untrained network from inputs (B, *input_shape) in [0, 1] to outputs (B, P).

        It must allocate every parameter and buffer that will ever exist, because a strict load of
        the state dict restores a trained method.
        """

    def build_on(self, task: Task, base: Base) -> nn.Module:
        """Build on the networks of a base; for methods that have one."""
        raise TypeError(f"{type(self).__name__} has no base")

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Training loss in nats per example; by default mean NLL + KL / size.

        ``size`` is the number of training examples, ``progress`` the share of the training that is
        done, in [0, 1).
        """
        from bench_uq.api.layers import kl, task_of

        nll = -task_of(net).likelihood.log_prob(net(inputs), targets).mean()
        return nll + kl(net) / size

    def optimiser(self, net: nn.Module) -> Optimizer:
        """Optimiser of all parameters; by default Adam at 1e-3.

        The setting ``learning_rate`` replaces the rate of the first group of parameters; the others
        keep their ratio to it, but those that have ``own_rate=True`` keep their rate. The schedule
        scales all rates.
        """
        from torch.optim import Adam

        # Fused: one kernel for all parameters, where small networks are otherwise slowed by many.
        return Adam(net.parameters(), lr=1e-3, fused=True)

    def observe(self, net: nn.Module, progress: float) -> None:
        """Store averages and the like of an epoch in the network's buffers; by default nothing."""

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Adjust values after training (a temperature, a Laplace fit); by default nothing.

        The structure must not change. ``train`` and ``held_out`` give (inputs, targets) on the
        network's device, any number of times. A method that fits anything to the targets of
        ``held_out`` says so by ``fits_held_out``, and is given one half of them.
        """

    def diagnosis(self, net: nn.Module) -> str:
        """Why a trained network is not what the method asks for, in a few words.

        For methods that can tell, such as of chains that did not mix (R-hat 1.3); empty if all is
        well, or by default. Reports show it as the method's own.
        """
        del net
        return ""

    def failure(self, net: nn.Module) -> str:
        """Why a trained network is no result at all, in a few words; by default empty.

        The run has then diverged with this reason, and nothing is predicted.
        """
        del net
        return ""

    def measured(self, net: nn.Module) -> Mapping[str, float]:
        """Numbers about a trained network that its record holds, by name; by default none."""
        del net
        return {}

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """At most ``count`` draws of the likelihood parameters, (S, B, P).

        Calls add up: two calls for 5 draws are as good as one for 10. A method with stored networks
        that is asked for fewer of them therefore picks at random. By default these are stochastic
        passes, or a single pass if nothing in the network is random.
        """
        from bench_uq.api.layers import stochastic_passes

        return stochastic_passes(net, inputs, count)

    def beside(self, net: nn.Module, inputs: Tensor, draws: Tensor) -> dict[str, Tensor]:
        """Arrays (B, ...) that are stored beside the mixture of a batch; by default none.

        ``draws`` are those of this network for the inputs. Names are of small letters, digits and
        underscores, and none of the names of ``Predictions``; numbers are finite. The arrays of
        several members are averaged. Under an attack they belong to the attacked inputs. Metrics
        ask for them by ``needs``.
        """
        del net, inputs, draws
        return {}
