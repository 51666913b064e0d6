"""Where do flows pay? Bounds of MNF on posteriors whose evidence is known, against the evidence and mean-field's best.

The gap between the log evidence and MNF's bound is KL(q(W) || p(W|data)) + E KL(q(z|W) || r(z|W)): what q cannot be,
or was not trained to be, and what r does not know. The second part is measured too: the bound with r exact.
Writes studies/posteriors.csv and docs/figures/posteriors.png.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.functional import logsigmoid

from bench_uq.methods.mnf import MNFLinear
from studies.known_evidence import LOG_2_PI, Problem, funnel, product, regression

HERE = Path(__file__).resolve().parent
SEEDS = 3

#: What r sees: one scalar as in the paper; that and an offset; all of W through a network; or r is q(z|W) itself.
Sees = Literal["scalar", "offset", "network", "exact"]


@dataclass(frozen=True)
class Variant:
    """What is built: layers of one variant have parameters of the same shapes and train as one batch."""

    flows: int = 2
    masks: Literal["fresh", "fixed"] = "fixed"
    head: Literal["precision", "sigmoid"] = "precision"
    sees: Sees = "scalar"
    hidden: int = 16

    def __str__(self) -> str:
        return f"flows={self.flows} masks={self.masks} head={self.head} r={self.sees}{' hidden=50' * (self.hidden == 50)}"


@dataclass(frozen=True)
class Start:
    """Where training starts, and Adam's rate, which falls to 0 as a cosine."""

    name: str = "narrow"
    z_mean: float = 1.0
    z_variance: float = 0.01
    start_log_variance: float = -2.0
    rate: float = 0.01


STARTS = (
    Start(),
    Start("as shipped", z_variance=0.1, start_log_variance=-9.0),
    Start("wide", z_variance=1.0),
    Start("around 0", z_mean=0.0, z_variance=1.0),
    Start("slow", rate=0.002),
)

VARIANTS = (
    Variant(flows=0, masks="fresh"),
    Variant(masks="fresh"),
    Variant(),
    Variant(head="sigmoid"),
    Variant(flows=4),
    Variant(hidden=50),
    Variant(sees="offset"),
    Variant(masks="fresh", sees="offset"),
    Variant(sees="network"),
    Variant(masks="fresh", sees="network"),
    Variant(sees="exact"),
)
#: Those tried from every start; the others from the first two, and from ``slow`` where they train for longer.
OFTEN = (Variant(masks="fresh"), Variant(), Variant(sees="network"))
#: Those for the larger problems.
FEWER = (*OFTEN[:2], Variant(sees="offset"), Variant(sees="network"), Variant(sees="exact"))


class Explicit(MNFLinear):
    """A layer whose ``forward`` draws weights themselves, with the bound on their KL; r may see more of them."""

    def __init__(self, problem: Problem, variant: Variant, start: Start) -> None:
        super().__init__(
            problem.inputs, problem.outputs, bias=False, max_std=math.inf, flows=variant.flows, masks=variant.masks,
            head=variant.head, hidden=variant.hidden, z_mean=start.z_mean, z_variance=start.z_variance,
            start_log_variance=start.start_log_variance,
        )  # fmt: skip
        self.sees = variant.sees
        size, dim = problem.inputs * problem.outputs, problem.inputs
        if variant.sees == "offset":
            self.offsets = nn.Parameter(torch.zeros(2, dim))
        if variant.sees == "network":
            self.network = nn.Sequential(nn.Linear(size, 32), nn.Tanh(), nn.Linear(32, 2 * dim))
            self.shortcut = nn.Linear(size, 2 * dim)
        self.double()

    def forward(self, count: int) -> tuple[Tensor, Tensor]:
        """Return W ~ q(W), (count, K, D), and terms whose mean is the bound on KL(q(W) || p(W)), (count,)."""
        z, log_det = self.flow_q(self.start_z(count))
        weights = z[:, None, :] * self.mean + (0.5 * self.log_variance).exp() * torch.randn(
            count, *self.mean.shape, dtype=z.dtype
        )
        if self.sees == "exact":
            return weights, self.log_q(weights, z) + 0.5 * (weights.square() + LOG_2_PI).sum((1, 2))
        variances = self.log_variance.exp() - self.log_variance - 1
        kl = 0.5 * (variances.sum() + (z.square() * self.squared_means()).sum(-1))
        log_q_z = -0.5 * (LOG_2_PI + self.z_log_variance + 1).sum() - log_det
        return weights, kl + log_q_z - self.log_r_given(z, weights)

    def log_q(self, weights: Tensor, z: Tensor) -> Tensor:
        """Return log of the mean over all z, the weights' own too, of q(W|z), (count,).

        Its mean is at least that of log q(W), so what is below the evidence stays there (Yin & Zhou 2018): a bound that
        is lower than with r exact where q(W|z) is narrow for so few z.
        """
        inverse = (-0.5 * self.log_variance).exp()
        scaled = (weights * inverse).flatten(1)
        centres = (z[:, None, :] * self.mean * inverse).flatten(1)
        squares = (
            scaled.square().sum(-1)[:, None] + centres.square().sum(-1) - 2 * scaled @ centres.T
        )
        constant = 0.5 * (self.log_variance + LOG_2_PI).sum() + math.log(len(z))
        return torch.logsumexp(-0.5 * squares, 1) - constant

    def log_r_given(self, z: Tensor, weights: Tensor) -> Tensor:
        """Return log r(z|W) for z (count, D) and weights (count, K, D)."""
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


@dataclass(frozen=True)
class Job:
    """One layer to train."""

    problem: Problem
    start: Start
    seed: int


class Stack:
    """Layers of one variant for problems of one shape, trained side by side by Adam, one rate each."""

    def __init__(self, jobs: list[Job], variant: Variant) -> None:
        self.jobs, self.variant = jobs, variant
        layers = []
        for job in jobs:
            torch.manual_seed(job.seed)
            layers.append(Explicit(job.problem, variant, job.start))
        self.layer = layers[0]
        self.parameters, self.buffers = stack_module_state(layers)

    @cached_property
    def problems(self) -> dict[str, tuple[Problem, list[int]]]:
        """Return each problem and which layers are its."""
        found: dict[str, tuple[Problem, list[int]]] = {}
        for index, job in enumerate(self.jobs):
            found.setdefault(job.problem.name, (job.problem, []))[1].append(index)
        return found

    def bounds(self, count: int) -> Tensor:
        """Return draws of the bounds, (layers, count), in nats."""

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
        first = second = torch.zeros((), dtype=torch.float64)
        for step in range(steps):
            scale = 0.5 * (1 + math.cos(math.pi * step / steps))
            loss = -self.bounds(count).mean(1).sum()
            gradients = torch.autograd.grad(
                loss, list(trained.values()), allow_unused=True, materialize_grads=True
            )
            with torch.no_grad():
                gradient = torch.cat([values.flatten(1) for values in gradients], 1)
                first = 0.9 * first + 0.1 * gradient
                second = 0.99 * second + 0.01 * gradient.square()
                size = (1 - 0.99 ** (step + 1)) ** 0.5 / (1 - 0.9 ** (step + 1)) * scale
                moves = (size * rates * first / (second.sqrt() + 1e-8)).split(
                    [v[0].numel() for v in trained.values()], 1
                )
                for values, move in zip(trained.values(), moves, strict=True):
                    values -= move.view_as(values)

    def at(self, index: int) -> Explicit:
        """Return one of the layers."""
        job = self.jobs[index]
        layer = Explicit(job.problem, self.variant, job.start)
        layer.load_state_dict(
            {name: values[index] for name, values in (self.parameters | self.buffers).items()}
        )
        return layer.requires_grad_(False)

    def became(self, variant: Variant) -> Stack:
        """Return a stack of the same q under another r, which starts anew."""
        other = Stack(self.jobs, variant)
        for name, values in self.parameters.items():
            if is_of_q(name):
                other.parameters[name].data.copy_(values)
        other.buffers = {name: values for name, values in self.buffers.items() if is_of_q(name)} | {
            name: values for name, values in other.buffers.items() if not is_of_q(name)
        }
        return other


def is_of_q(name: str) -> bool:
    """Return whether a parameter is one of q(W), and not of r."""
    return name.startswith(("mean", "weight_log_variance", "z_", "flow_q"))


def evaluate(
    layer: Explicit, problem: Problem, count: int = 100_000, inner: int = 10_000
) -> dict[str, float]:
    """Return the bound with the layer's r and with r exact, and their standard errors, in nats."""
    with torch.no_grad():
        parts = []
        for _ in range(count // 20_000):
            if layer.sees == "exact":
                break
            weights, kl = layer(20_000)
            parts.append(problem.log_likelihood(weights) - kl)
        z = layer.sample_z(inner)
        noise = torch.randn(inner // 5, *layer.mean.shape, dtype=z.dtype)
        weights = z[: inner // 5, None, :] * layer.mean + (0.5 * layer.log_variance).exp() * noise
        log_q = torch.cat([layer.log_q(chunk, z) for chunk in weights.split(200)])
        log_prior = -0.5 * (weights.square() + LOG_2_PI).sum((1, 2))
        exact = problem.log_likelihood(weights) + log_prior - log_q
    values = torch.cat(parts) if parts else exact
    return {
        "bound": values.mean().item(),
        "bound_error": (values.std() / math.sqrt(len(values))).item(),
        "exact_r": exact.mean().item(),
        "exact_r_error": (exact.std() / math.sqrt(len(exact))).item(),
    }


def check(layer: Explicit, count: int = 20_000) -> None:
    """Refuse to go on where explicit weights give another bound than the layer's own kl(): both are tried on it."""
    with torch.no_grad():
        ours = layer(count)[1]
        theirs = torch.vmap(lambda _: layer.kl(), randomness="different")(torch.empty(count))
    error = ((ours.var() + theirs.var()) / count).sqrt()
    assert (ours.mean() - theirs.mean()).abs() < 5 * error, (
        f"{ours.mean()} is not {theirs.mean()} +- {error}"
    )


def rows(stack: Stack, label: str) -> Iterator[dict[str, Any]]:
    """Return what was found of each layer."""
    for index, job in enumerate(stack.jobs):
        layer = stack.at(index)
        if stack.variant.sees == "scalar" and index % 9 == 0:
            check(layer)
        torch.manual_seed(1000 + job.seed)
        yield {
            "problem": job.problem.name,
            "variant": label,
            "start": job.start.name,
            "seed": job.seed,
            "log_evidence": job.problem.log_evidence,
            "mean_field": job.problem.mean_field,
            "gaussian_z": job.problem.gaussian_z,
            **evaluate(layer, job.problem),
        }


#: Columns of the figure: a label of the results, and what stands above it.
COLUMNS = {
    str(Variant()): "MNF, fixed masks",
    str(Variant(sees="network")): "r sees all of W",
    str(Variant(sees="exact")): "r exact",
}


def draw(problems: list[Problem], layers: dict[tuple[str, str], Explicit], path: Path) -> None:
    """Draw each posterior with 300 draws of mean-field's best q and of the learned q(W) with the highest bound."""
    matplotlib.use("Agg")
    figure, axes = plt.subplots(
        len(problems), 1 + len(COLUMNS), figsize=(9, 6.6), layout="constrained"
    )
    for row, problem in zip(axes, problems, strict=True):
        means, stds = problem.factorised
        torch.manual_seed(5)
        samples = {
            "mean-field": torch.from_numpy(means + stds * torch.randn(300, *means.shape).numpy())
        }
        with torch.no_grad():
            samples |= {
                title: layers[problem.name, label](300)[0] for label, title in COLUMNS.items()
            }
        width = 1.0 if problem.name.startswith("regression") else 3.0
        centre = means[0] if width == 1 else np.zeros(2)
        lines = [
            torch.linspace(middle - width, middle + width, 241, dtype=torch.float64)
            for middle in centre
        ]
        grid = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1)
        log_posterior = problem.log_likelihood(grid[:, :, None, :]) - 0.5 * grid.square().sum(-1)
        height = (log_posterior - log_posterior.max()).exp().T
        for panel, (title, drawn) in zip(row, samples.items(), strict=True):
            panel.contourf(
                *lines, height, levels=[0.01, 0.05, 0.15, 0.4, 0.7, 1.01], cmap="Greys", alpha=0.7
            )
            panel.scatter(
                drawn[:, 0, 0], drawn[:, 0, 1], s=3, color="tab:red", alpha=0.6, linewidths=0
            )
            panel.set(xlim=lines[0][[0, -1]].tolist(), ylim=lines[1][[0, -1]].tolist())
            panel.set_xlabel("$w_1$", labelpad=-2)
            if problem is problems[0]:
                panel.set_title(title, fontsize=10)
        row[0].set_ylabel(f"{problem.name}\n$w_2$")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=16, help="of the weights, a step")
    parser.add_argument("--out", type=Path, default=HERE / "posteriors.csv")
    parser.add_argument("--figures", type=Path, default=HERE.parent / "docs" / "figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    small = [regression(2, 1), product(), funnel()]
    large = [regression(5, 1), regression(2, 10), regression(5, 10)]
    for problem in (*small, *large):
        known = f"evidence {problem.log_evidence:.3f}, mean-field {problem.mean_field:.3f}"
        print(
            f"{problem.name}: {known}, z Gaussian {problem.gaussian_z or math.nan:.3f}", flush=True
        )
    found: list[dict[str, Any]] = []
    drawn: dict[tuple[str, str], Explicit] = {}
    clock = time.perf_counter()

    def keep(stack: Stack, label: str) -> None:
        new = list(rows(stack, label))
        found.extend(new)
        for name, (_, indices) in stack.problems.items():
            drawn[name, label] = stack.at(max(indices, key=lambda index: new[index]["bound"]))
        with arguments.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, found[0])
            writer.writeheader()
            writer.writerows(found)
        print(
            f"{label}, {stack.jobs[0].problem.name} and so on: {time.perf_counter() - clock:.0f} s",
            flush=True,
        )

    def jobs(problems: list[Problem], starts: tuple[Start, ...]) -> list[Job]:
        return [
            Job(problem, start, seed)
            for problem in problems
            for start in starts
            for seed in range(SEEDS)
        ]

    for problems, variants in [(small, VARIANTS), *(([problem], FEWER) for problem in large)]:
        for variant in variants:
            stack = Stack(
                jobs(problems, STARTS if problems is small and variant in OFTEN else STARTS[:2]),
                variant,
            )
            # Other z of a step stand for q(z) where r is exact: more of them come nearer to it.
            stack.train(arguments.steps, arguments.draws * (4 if variant.sees == "exact" else 1))
            keep(stack, str(variant))
            if variant.sees == "exact" and problems is small:
                from_above(stack, arguments.steps, arguments.draws, keep)
    for variant in OFTEN[:2]:
        stack = Stack(jobs(small, (STARTS[0], STARTS[1], STARTS[4])), variant)
        stack.train(4 * arguments.steps, arguments.draws)
        keep(stack, f"{variant}, four times as long")
    draw(small, drawn, arguments.figures / "posteriors.png")


def from_above(exact: Stack, steps: int, draws: int, keep: Callable[[Stack, str], None]) -> None:
    """Start at the q that training with r exact found: r is trained for it, then both together."""
    for sees in ("scalar", "offset", "network"):
        stack = exact.became(replace(exact.variant, sees=sees))
        stack.train(steps, draws, only=lambda name: not is_of_q(name))
        keep(stack, f"q of r=exact, kept, r={sees}")
        stack.train(steps, draws)
        keep(stack, f"q of r=exact, trained on, r={sees}")


if __name__ == "__main__":
    main()
