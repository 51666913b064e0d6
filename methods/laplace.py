"""Laplace approximation: a Gaussian posterior around the weights of a trained network."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bench_uq.api import Base, Batches, Categorical, Gaussian, Network, PostHoc, Task, task_of
from bench_uq.methods._bases import check_predictions, plain_networks, shared
from bench_uq.methods._curvature import STRUCTURES
from bench_uq.methods._laplace import Posterior, chosen

#: Precisions of the prior that held-out examples choose from.
GRID = tuple(10.0 ** (power / 2) for power in range(-8, 9))
#: Draws of their predictions.
DRAWS = 50


class Laplaced(nn.Module):
    """Networks of a base, and a posterior around the weights of each."""

    def __init__(self, base: Base, posteriors: list[Posterior]) -> None:
        super().__init__()
        self.base, self.posteriors = base, nn.ModuleList(posteriors)


@dataclass(frozen=True)
class Laplace(PostHoc):
    """A Gaussian posterior from the curvature of the loss at the weights of plain networks.

    The curvature is Gauss-Newton's. Under a Gaussian likelihood it is that of both outputs, mean
    and log-variance, with the noise that the network predicts at each input.

    The prior of the weights of the chosen layers is N(0, prior_std^2). With ``marginal`` its
    precision 1 / prior_std^2 is chosen after training, for the weights and the curvature as they
    are: those were trained under the prior of the base, so that they are no longer the mode.
    prior_std=1 keeps that of ``map``. Several networks, of an ensemble, have a posterior each, and
    share the draws.

    Unlike the paper's, norm layers have no posterior.
    """

    reference: ClassVar[str] = "Daxberger et al. 2021, https://arxiv.org/abs/2106.14806"
    title: ClassVar[str] = "Laplace"
    order: ClassVar[int] = 53
    search: ClassVar = {"predictive": {"values": ["glm", "mc", "probit"]}}

    base: str = "map"
    layers: Literal["last", "all"] = "last"
    structure: Literal["full", "kron", "diag"] = "kron"
    # Or by the highest marginal likelihood, or the lowest NLL of the held-out examples.
    prior_std: float | Literal["marginal", "held-out"] = "marginal"
    # Draws of the network that is linear in its weights (glm), draws of the weights (mc), or the
    # closed form of the mean prediction, which is one draw (probit).
    predictive: Literal["glm", "mc", "probit"] = "glm"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers == "all" and self.structure == "full":
            raise ValueError("structure must be kron or diag for layers=all, not full")
        prior = self.prior_std
        if not isinstance(prior, str) and not 1e-6 <= prior <= 1e6:
            raise ValueError(f"prior_std must be in [1e-6, 1e6], marginal or held-out, not {prior}")

    @property
    def fits_held_out(self) -> bool:
        """Whether they choose the prior."""
        return self.prior_std == "held-out"

    @property
    def posterior(self) -> str:
        """The prior of the chosen layers; one that the data choose is no other method's."""
        return f"N(0, {self.prior_std}^2)"

    def suits(self, task: Task) -> bool:
        """Whether the likelihood has a curvature here."""
        return isinstance(task.likelihood, Categorical | Gaussian)

    def build_on(self, task: Task, base: Base) -> nn.Module:
        """Put a posterior beside each network, with no curvature yet."""
        posteriors = []
        for net in plain_networks(base):
            layers = chosen(net, self.layers)
            posteriors.append(Posterior(layers, STRUCTURES[self.structure]))
        return Laplaced(base, posteriors)

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Sum the curvature over the training examples, and choose the prior."""
        assert isinstance(net, Laplaced)
        check_predictions(net.base, next(iter(train))[0])

        for own, posterior in pairs(net):
            posterior.fit(own, train)
            if self.prior_std == "marginal":
                posterior.precision.fill_(posterior.best_precision(own))
            elif self.prior_std == "held-out":
                self.choose(own, posterior, held_out)
            else:
                posterior.precision.fill_(1 / self.prior_std**2)

    def choose(self, own: Network, posterior: Posterior, held_out: Batches) -> None:
        """Set the precision of the lowest NLL of the held-out examples."""
        device, losses = posterior.precision.device, {}
        for precision in GRID:
            posterior.precision.fill_(precision)
            # The same noise for all, or the luckiest would be chosen.
            with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
                losses[precision] = self.held_out_nll(own, posterior, held_out)
        posterior.precision.fill_(min(GRID, key=losses.__getitem__))

    def held_out_nll(self, own: Network, posterior: Posterior, held_out: Batches) -> float:
        """NLL of the mean prediction in nats, summed over the held-out examples."""
        total = 0.0
        for inputs, targets in held_out:
            draws = self.member_draws(own, posterior, inputs, DRAWS)
            log_prob = task_of(own).likelihood.log_prob(draws, targets)
            total -= float((log_prob.logsumexp(0) - math.log(len(draws))).sum())
        return total

    def member_draws(
        self, own: Network, posterior: Posterior, inputs: Tensor, count: int
    ) -> Tensor:
        """At most ``count`` draws under the posterior of one network, (S, B, P)."""
        if self.predictive == "probit":
            return closed_form(own, *posterior.variance(own, inputs)).unsqueeze(0)
        # The last layer is linear in its weights by itself.
        linear = self.predictive == "glm" and self.layers == "all"
        return posterior.draws(own, inputs, count, linear=linear)

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """Draws of all networks, (S, B, P)."""
        assert isinstance(net, Laplaced)
        found = []
        shares = shared(count, len(net.posteriors))
        for (own, posterior), share in zip(pairs(net), shares, strict=True):
            if share:
                found.append(self.member_draws(own, posterior, inputs, share))
        return torch.cat(found)


def pairs(net: Laplaced) -> list[tuple[Network, Posterior]]:
    """Each network with its posterior."""
    return list(zip(net.base.nets, net.posteriors, strict=True))  # type: ignore[arg-type]


def closed_form(net: nn.Module, outputs: Tensor, variance: Tensor) -> Tensor:
    """Approximate mean prediction (B, P) from outputs (B, P) and their posterior variance.

    For classes the extended probit, softmax(f / sqrt(1 + pi v / 8)) (Daxberger et al. 2021, section
    2.4); for real targets the variance of the mean is added to that of the noise, and the
    log-variance is taken for exact.
    """
    likelihood = task_of(net).likelihood
    if isinstance(likelihood, Gaussian):
        mean, log_variance = outputs.unbind(-1)
        return torch.stack((mean, (log_variance.exp() + variance[:, 0]).log()), -1)
    return likelihood.normalise(outputs / (1 + math.pi / 8 * variance).sqrt())
