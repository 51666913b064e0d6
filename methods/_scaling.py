"""Calibration maps of averaged log-probabilities, fitted to held-out predictions."""

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Base, Batches, Categorical, PostHoc, Task

#: Draws of a random base that are averaged for the fit.
DRAWS = 50
#: Steps of L-BFGS, which ends before where nothing changes any more.
STEPS = 200


class Scaled(nn.Module):
    """Networks of a base, and the parameters of a map that is fitted to their predictions."""

    def __init__(self, base: Base, values: dict[str, Tensor]) -> None:
        super().__init__()
        self.base, self.names = base, tuple(values)
        for name, value in values.items():
            self.register_buffer(name, value)

    def values(self) -> list[Tensor]:
        """The parameters of the map."""
        return [self.get_buffer(name) for name in self.names]


def check_spread(spread: float) -> None:
    """Require a standard deviation of a prior whose squares are finite, or inf for no prior."""
    if not (1e-6 <= spread <= 1e6 or spread == math.inf):
        raise ValueError(f"spread must be in [1e-6, 1e6] or inf, not {spread}")


def averaged(base: Base, inputs: Tensor, count: int) -> Tensor:
    """Log of the mean probabilities of ``count`` draws, (B, C), in nats."""
    # The likelihood of classes has draws that are log-probabilities up to a constant.
    draws = base.draws(inputs, count).log_softmax(-1)
    return draws.logsumexp(0) - torch.log(torch.tensor(float(len(draws)), device=draws.device))


@dataclass(frozen=True)
class Scaling(PostHoc):
    """A map of the averaged log-probabilities, fitted to the NLL of held-out examples.

    It is fitted to, and applied to, the average over the draws (Rahaman & Thiery 2021): draws that
    are calibrated each have an average that is not. There is one draw, which says nothing about
    epistemic uncertainty.
    """

    averages: ClassVar[bool] = True

    @property
    def fits_held_out(self) -> bool:
        """The map is fitted to them."""
        return True

    def suits(self, task: Task) -> bool:
        """Whether the task has classes."""
        return isinstance(task.likelihood, Categorical)

    @abstractmethod
    def start(self, classes: int) -> dict[str, Tensor]:
        """The parameters at which the map changes nothing."""

    @abstractmethod
    def scaled(self, log_probs: Tensor, values: list[Tensor]) -> Tensor:
        """Mapped log-probabilities (B, C), up to a constant of each row."""

    def minus_log_prior(self, values: list[Tensor]) -> Tensor | float:
        """-log prior of the parameters in nats, without its constant; by default there is none."""
        del values
        return 0.0

    def penalty(self, values: list[Tensor]) -> Tensor | float:
        """Addition to the mean NLL in nats per example, however many; by default nothing."""
        del values
        return 0.0

    def build_on(self, task: Task, base: Base) -> nn.Module:
        """Put the map, which changes nothing yet, behind the base."""
        return Scaled(base, self.start(task.likelihood.parameters))

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Fit the map to the NLL of the held-out examples."""
        assert isinstance(net, Scaled)
        log_probs, targets = collected(net.base, held_out)
        fitted = self.fitted(log_probs.double(), targets, net.values())
        for kept, value in zip(net.values(), fitted, strict=True):
            kept.copy_(value)

    def fitted(self, log_probs: Tensor, targets: Tensor, start: list[Tensor]) -> list[Tensor]:
        """The parameters of the lowest mean NLL + -log prior / N + penalty, of N examples."""
        values = [value.double().clone().requires_grad_() for value in start]
        optimiser = torch.optim.LBFGS(
            values, max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-9
        )

        def objective() -> Tensor:
            optimiser.zero_grad()
            scaled = self.scaled(log_probs, values)
            loss = nn.functional.cross_entropy(scaled, targets) + self.penalty(values)
            # The prior counts once for all examples, of which the NLL is the mean.
            loss = loss + self.minus_log_prior(values) / len(targets)
            loss.backward()
            return loss

        with torch.enable_grad():
            optimiser.step(objective)
        return [value.detach() for value in values]

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """One draw (1, B, C): the map of the average over ``count`` draws of the base."""
        assert isinstance(net, Scaled)
        log_probs = averaged(net.base, inputs, count)
        return self.scaled(log_probs, net.values()).log_softmax(-1).unsqueeze(0)


def collected(base: Base, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Averaged log-probabilities (N, C) of a base, and the targets (N,)."""
    found, labels = [], []
    with torch.no_grad():
        for inputs, targets in batches:
            found.append(averaged(base, inputs, DRAWS))
            labels.append(targets)
    return torch.cat(found), torch.cat(labels)
