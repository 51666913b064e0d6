"""Hamiltonian Monte Carlo: the posterior of a small network to within the error of sampling."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import vmap

from bench_uq.api import Batches, Method, Task, UsageError, network, task_of
from bench_uq.methods._convergence import bulk_ess, rhat
from bench_uq.methods._decay import minus_log_prior
from bench_uq.methods._hamiltonian import DIVERGENT, transition, warmed
from bench_uq.methods._log_joint import potential_of, prior_stds
from bench_uq.methods._priors import PriorStd, check_prior
from bench_uq.methods._samples import draws_of, keep, make_room, outputs_of, row_of, state_of

#: Held-out examples whose predictions are compared between chains.
COMPARED = 100
#: R-hat of predictions up to which chains have mixed (Vehtari et al. 2021 ask for less of what is
#: published, Gelman et al. 2013 for 1.1), and from which on they disagree.
MIXED, DISAGREE = 1.05, 1.1
#: What nobody needs more of: beyond, a slip of the pen would fill the memory, or never end.
MOST = {"chains": 1000, "steps": 100_000, "samples": 10_000}
#: Prior standard deviations around map from which no chain finds the posterior again.
WIDEST = 10.0
#: R-hat asks for halves of two samples each.
FEWEST = 4

#: What is measured of the chains: the largest R-hat and the smallest effective sample size of all
#: predictions, mean acceptance, share of divergent trajectories, and the step size, in prior_std.
FACTS = ("rhat", "ess", "acceptance", "divergences", "step_size")


@dataclass(frozen=True)
class HMC(Method):
    """Samples of the posterior of a small network, along several chains of full-batch trajectories.

    The posterior is that of map, whose training comes first. All chains start around its weights,
    and make one transition for each epoch of the recipe, of which they need a few hundred. They mix
    best if ``steps`` lead about as far as the prior is wide.

    Unlike in Vehtari et al. 2021, whose chains start far apart, all chains start around one mode:
    R-hat does not see other modes, which no chain visits.
    """

    reference: ClassVar[str] = (
        "Neal 2011, https://arxiv.org/abs/1206.1901; "
        "step size: Hoffman & Gelman 2014, https://arxiv.org/abs/1111.4246; "
        "R-hat: Vehtari et al. 2021, https://arxiv.org/abs/1903.08008"
    )
    title: ClassVar[str] = "HMC"
    order: ClassVar[int] = 13
    weight_prior: ClassVar[str] = "N(0, prior_std^2)"
    search: ClassVar = {"prior_std": {"low": 0.1, "high": 3.0, "scale": "log"}}

    chains: int = 4
    steps: int = 150  # leapfrog steps of a transition: a gradient of all examples each
    warmup: float = 0.3  # share of the transitions in which the step size adapts
    samples: int = 25  # of each chain that are kept to predict, 4 bytes a weight each
    spread: float = 0.1  # of the starts around the weights of map, in prior standard deviations
    accept: float = 0.8  # acceptance at which the step size aims
    prior_std: PriorStd = 1.0
    max_parameters: int = 500_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prior(self.prior_std)
        for name, most in MOST.items():
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be in [1, {most}], not {getattr(self, name)}")
        if self.max_parameters < 1:
            raise ValueError(f"max_parameters must be at least 1, not {self.max_parameters}")

        for name in ("warmup", "accept"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be in (0, 1), not {getattr(self, name)}")
        if not 0 <= self.spread <= WIDEST:
            raise ValueError(f"spread must be in [0, {WIDEST:g}], not {self.spread}")

    @property
    def replicas(self) -> int:
        """The chains."""
        return self.chains

    def suits(self, task: Task) -> bool:
        """Whether the task's network is small, and treats every example alone."""
        # Building draws initial values; the caller's random state must not move.
        with torch.random.fork_rng(devices=[]):
            return not self.obstacle(network(task))

    def obstacle(self, net: nn.Module) -> str:
        """Why a network has no posterior that could be sampled; empty if it has one."""
        parameters = dict(net.named_parameters())
        count = sum(weights.numel() for weights in parameters.values())
        if count > self.max_parameters:
            return f"a network of {count:,} parameters, beyond max_parameters={self.max_parameters}"
        if len(state_of(net)) > len(parameters):
            return "a network with batch normalisation, whose examples are not independent"
        return ""

    def build(self, task: Task) -> nn.Module:
        """Build the plain network, with room for samples and for facts about the chains."""
        net = network(task)
        if obstacle := self.obstacle(net):
            raise UsageError(f"hmc cannot sample {obstacle}")

        make_room(net, self.chains * self.samples)
        for name in ("epochs", *FACTS):
            net.register_buffer(name, torch.zeros(()))
        return net

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """NLL - log prior / size, without the constant of the prior."""
        likelihood = super().loss(net, inputs, targets, size, progress)
        return likelihood + minus_log_prior(net.parameters(), self.prior_std) / size

    def observe(self, net: nn.Module, progress: float) -> None:
        """Count the epochs, which are the transitions to come."""
        net.get_buffer("epochs").add_(1)

    @torch.no_grad()
    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Sample, keep some samples of each chain, and measure how well the chains mixed."""
        stds, transitions = prior_stds(net, self.prior_std), int(net.get_buffer("epochs"))
        potential = potential_of(net, stds, train)
        place = (row_of(net) / stds).expand(self.chains, -1)

        # With predictions further apart than under the posterior, so that their agreement tells.
        start = place + self.spread * torch.randn_like(place)
        warm = math.ceil(self.warmup * transitions)
        chains, step_size = warmed(potential, start, warm, self.steps, self.accept)

        length = max(FEWEST, transitions - warm)
        chosen = torch.linspace(0, length - 1, min(self.samples, length)).round().tolist()
        compared = next(iter(held_out))[0][:COMPARED]
        predictions, acceptances, errors = [], [], []

        for number in range(length):
            trajectory = transition(potential, chains, step_size, self.steps)
            chains = trajectory.chains
            rows = chains.positions * stds
            if number in chosen:
                keep(net, rows)

            predictions.append(predictions_of(net, rows, compared))
            acceptances.append(trajectory.acceptance)
            errors.append(trajectory.error)

        along = torch.stack(predictions, 1)  # (C, n, Q)
        divergent = torch.stack(errors) > DIVERGENT
        net.get_buffer("rhat").copy_(rhat(along).max())
        net.get_buffer("ess").copy_(bulk_ess(along).min())
        net.get_buffer("acceptance").copy_(torch.stack(acceptances).mean())
        net.get_buffer("divergences").copy_(divergent.double().mean())
        net.get_buffer("step_size").fill_(step_size)

    def diagnosis(self, net: nn.Module) -> str:
        """Whether the chains agree on the predictions, and whether their trajectories hold."""
        facts = self.measured(net)
        found = []
        # Written so that nan is not well either.
        if not facts["rhat"] <= MIXED:
            found.append(f"R-hat {facts['rhat']:.2f}: the chains did not mix")
        if not facts["acceptance"] >= 0.5:
            found.append(f"acceptance {facts['acceptance']:.2f}, aimed at {self.accept:g}")
        if facts["divergences"] > 0.02:
            found.append(f"{100 * facts['divergences']:.0f} % of the trajectories diverged")
        return ", ".join(found)

    def failure(self, net: nn.Module) -> str:
        """That the chains disagree on the predictions: they are then samples of no posterior."""
        found = self.measured(net)["rhat"]
        if found <= DISAGREE:
            return ""
        return f"R-hat {found:.2f}: the chains disagree (more epochs are more transitions)"

    def measured(self, net: nn.Module) -> Mapping[str, float]:
        """The facts of the chains."""
        return {name: float(net.get_buffer(name)) for name in FACTS}

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """A draw for each sample, or for ``count`` of them at random."""
        return draws_of(net, inputs, count)

    def beside(self, net: nn.Module, inputs: Tensor, draws: Tensor) -> dict[str, Tensor]:
        """The mixture of each chain, as ``chain_probs`` (B, M, C) and so on for M chains."""
        kept = int(net.get_buffer("kept"))
        if kept and len(draws) != kept:
            draws = draws_of(net, inputs, kept)

        # The samples of all chains were kept transition by transition. Before there are any, all
        # chains are at the weights of the network.
        own = [draws[chain :: self.chains] if kept else draws for chain in range(self.chains)]
        parts = [task_of(net).likelihood.mixture(part, None) for part in own]
        found = {}
        for name in parts[0]:
            found[f"chain_{name}"] = torch.stack([part[name] for part in parts], 1)
        return found


def predictions_of(net: nn.Module, rows: Tensor, inputs: Tensor) -> Tensor:
    """Likelihood parameters under the weights of each row, (C, D) -> (C, B P), in float64."""
    outputs = vmap(lambda row: outputs_of(net, row, inputs))(rows)
    # Of float32, many log-probabilities would be equal, at 0.
    return task_of(net).likelihood.normalise(outputs.double()).flatten(1)
