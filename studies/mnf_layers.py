"""Layers of MNF that draw weights themselves, and their training side by side as one batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.functional import logsigmoid

from bench_uq.methods.mnf import MNFLinear
from bench_uq.methods.mnf_conjugate import ConjugateLinear
from studies.known_evidence import LOG_2_PI, Problem

#: Input of r: one scalar as in the paper; the scalar and an offset; what each row of weights tells
#: about its z; all of W through a network. With "exact", r is q(z|W) itself.
Sees = Literal["scalar", "offset", "conjugate", "network", "exact"]


@dataclass(frozen=True)
class Variant:
    """Architecture of a layer: layers of one variant have equal shapes and train as one batch."""

    flows: int = 2
    masks: Literal["fresh", "fixed"] = "fixed"
    head: Literal["precision", "sigmoid"] = "precision"
    sees: Sees = "scalar"
    hidden: int = 16

    def __str__(self) -> str:
        text = f"flows={self.flows} masks={self.masks} head={self.head} r={self.sees}"
        return f"{text} hidden=50" if self.hidden == 50 else text


@dataclass(frozen=True)
class Start:
    """Start of a training, and Adam's rate, which falls to 0 as a cosine."""

    name: str = "narrow"
    z_mean: float = 1.0
    z_variance: float = 0.01
    start_log_variance: float = -2.0
    rate: float = 0.01


class Drawn(MNFLinear):
    """A layer that draws weights (count, K, D) from q(W)."""

    def __init__(self, problem: Problem, variant: Variant, start: Start) -> None:
        super().__init__(
            problem.inputs, problem.outputs, bias=False, max_std=math.inf,
            flows=variant.flows, masks=variant.masks, head=variant.head, hidden=variant.hidden,
            z_mean=start.z_mean, z_variance=start.z_variance,
            start_log_variance=start.start_log_variance,
        )  # fmt: skip
        self.sees = variant.sees

    def weights_of(self, z: Tensor) -> Tensor:
        """Draw W ~ q(W|z) for z (count, D)."""
        noise = torch.randn(len(z), *self.mean.shape, dtype=z.dtype)
        return z[:, None, :] * self.mean + (0.5 * self.log_variance).exp() * noise

    def kl_given(self, z: Tensor) -> Tensor:
        """KL(q(W|z) || p(W)), (count,)."""
        variances = self.log_variance.exp() - self.log_variance - 1
        return 0.5 * (variances.sum() + (z.square() * self.squared_means()).sum(-1))

    def log_q(self, weights: Tensor, z: Tensor) -> Tensor:
        """Log of the mean of q(W|z) over all z, the weights' own included, (count,).

        Its mean is at least that of log q(W), so the bound stays below the evidence (Yin & Zhou
        2018). It is lower than with r exact if q(W|z) is too narrow for so few z.
        """
        inverse = (-0.5 * self.log_variance).exp()
        scaled = (weights * inverse).flatten(1)
        centres = (z[:, None, :] * self.mean * inverse).flatten(1)
        squares = scaled.square().sum(-1)[:, None] + centres.square().sum(-1)
        squares = squares - 2 * scaled @ centres.T
        constant = 0.5 * (self.log_variance + LOG_2_PI).sum() + math.log(len(z))
        return torch.logsumexp(-0.5 * squares, 1) - constant


class Conjugate(ConjugateLinear, Drawn):
    """A layer whose r sees what the weights of each input tell about its z."""

    def __init__(self, problem: Problem, variant: Variant, start: Start) -> None:
        super().__init__(problem, variant, start)
        self.double()

    def forward(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw W ~ q(W), (count, K, D), and the bound on KL(q(W) || p(W)) per draw, (count,)."""
        path = self.through(self.start_z(count))
        weights = self.weights_of(path.end)

        told = (weights * self.mean * (-self.log_variance).exp()).sum(1)
        ratio = self.log_ratio(path, told / self.row_precision())
        return weights, self.kl_given(path.end) - ratio


class Explicit(Drawn):
    """A layer of MNF with the bound on the KL of its draws; r may see all of them."""

    def __init__(self, problem: Problem, variant: Variant, start: Start) -> None:
        super().__init__(problem, variant, start)

        size, dim = problem.inputs * problem.outputs, problem.inputs
        if variant.sees == "offset":
            self.offsets = nn.Parameter(torch.zeros(2, dim))
        if variant.sees == "network":
            self.network = nn.Sequential(nn.Linear(size, 32), nn.Tanh(), nn.Linear(32, 2 * dim))
            self.shortcut = nn.Linear(size, 2 * dim)
        self.double()

    def forward(self, count: int) -> tuple[Tensor, Tensor]:
        """Draw W ~ q(W), (count, K, D), and the bound on KL(q(W) || p(W)) per draw, (count,)."""
        z, log_det = self.flow_q(self.start_z(count))
        weights = self.weights_of(z)
        if self.sees == "exact":
            return weights, self.log_q(weights, z) + 0.5 * (weights.square() + LOG_2_PI).sum((1, 2))

        log_q_z = -0.5 * (LOG_2_PI + self.z_log_variance + 1).sum() - log_det
        return weights, self.kl_given(z) + log_q_z - self.log_r_given(z, weights)

    def log_r_given(self, z: Tensor, weights: Tensor) -> Tensor:
        """Log r(z|W) for z (count, D) and weights (count, K, D)."""
        z_b, log_det = self.flow_r(z)
        if self.sees == "network":
            seen = weights.flatten(1)
            mean, log_precision = (self.network(seen) + self.shortcut(seen)).chunk(2, -1)
        else:
            summary = torch.tanh(weights @ self.contraction).mean(-1, keepdim=True)
            mean, log_precision = self.r_mean * summary, self.r_log_precision * summary
            if self.sees == "offset":
                mean, log_precision = mean + self.offsets[0], log_precision + self.offsets[1]

        if self.head == "sigmoid":
            log_precision = -2 * logsigmoid(log_precision)
        squares = log_precision.exp() * (z_b - mean).square()
        return 0.5 * (log_precision - LOG_2_PI - squares).sum(-1) + log_det


def layer_of(problem: Problem, variant: Variant, start: Start) -> Drawn:
    """A layer for a problem, with the r that the variant has."""
    cls = Conjugate if variant.sees == "conjugate" else Explicit
    return cls(problem, variant, start)


@dataclass(frozen=True)
class Job:
    """One layer to train."""

    problem: Problem
    start: Start
    seed: int


class Stack:
    """Layers of one variant and problem shape, trained by Adam as one batch with a rate each."""

    def __init__(self, jobs: list[Job], variant: Variant) -> None:
        self.jobs, self.variant = jobs, variant
        layers = []
        for job in jobs:
            torch.manual_seed(job.seed)
            layers.append(layer_of(job.problem, variant, job.start))
        self.layer = layers[0]
        self.parameters, self.buffers = stack_module_state(layers)

    @cached_property
    def problems(self) -> dict[str, tuple[Problem, list[int]]]:
        """Each problem, and the indices of its layers."""
        found: dict[str, tuple[Problem, list[int]]] = {}
        for index, job in enumerate(self.jobs):
            found.setdefault(job.problem.name, (job.problem, []))[1].append(index)
        return found

    def bounds(self, count: int) -> Tensor:
        """Draws of the bounds, (layers, count), in nats."""

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Any:
            return functional_call(self.layer, (parameters, buffers), (count,))

        weights, kl = torch.vmap(one, randomness="different")(self.parameters, self.buffers)
        likelihoods = torch.empty_like(kl)
        for problem, indices in self.problems.values():
            likelihoods[indices] = problem.log_likelihood(weights[indices])
        return likelihoods - kl

    def train(
        self, steps: int, count: int, only: Callable[[str], bool] = lambda name: True
    ) -> None:
        """Maximise the bounds with ``count`` draws a step, in the parameters whose names pass."""
        trained = {name: values for name, values in self.parameters.items() if only(name)}
        rates = torch.tensor([[job.start.rate] for job in self.jobs], dtype=torch.float64)
        sizes = [values[0].numel() for values in trained.values()]
        first = second = torch.zeros((), dtype=torch.float64)
        for step in range(steps):
            scale = 0.5 * (1 + math.cos(math.pi * step / steps))
            loss = -self.bounds(count).mean(1).sum()
            gradients = torch.autograd.grad(
                loss, list(trained.values()), allow_unused=True, materialize_grads=True
            )

            # Adam on all layers at once, with betas 0.9 and 0.99 and one rate per layer.
            with torch.no_grad():
                gradient = torch.cat([values.flatten(1) for values in gradients], 1)
                first = 0.9 * first + 0.1 * gradient
                second = 0.99 * second + 0.01 * gradient.square()
                size = (1 - 0.99 ** (step + 1)) ** 0.5 / (1 - 0.9 ** (step + 1)) * scale
                moves = size * rates * first / (second.sqrt() + 1e-8)
                for values, move in zip(trained.values(), moves.split(sizes, 1), strict=True):
                    values -= move.view_as(values)

    def at(self, index: int) -> Drawn:
        """One of the layers, frozen."""
        job = self.jobs[index]
        layer = layer_of(job.problem, self.variant, job.start)
        state = self.parameters | self.buffers
        layer.load_state_dict({name: values[index] for name, values in state.items()})
        return layer.requires_grad_(False)

    def became(self, variant: Variant) -> Stack:
        """A stack of the same q with another r, which starts anew."""
        other = Stack(self.jobs, variant)
        for name, values in self.parameters.items():
            if is_of_q(name):
                other.parameters[name].data.copy_(values)
        for name, values in self.buffers.items():
            if is_of_q(name):
                other.buffers[name] = values
        return other


def is_of_q(name: str) -> bool:
    """Whether a parameter belongs to q(W) rather than r."""
    return name.startswith(("mean", "weight_log_variance", "z_", "flow_q"))
