"""Where do flows pay? Bounds of MNF on posteriors with known evidence, against mean-field's best.

The gap between the log evidence and MNF's bound is KL(q(W) || p(W|data)) + E KL(q(z|W) || r(z|W)):
the first is the limit of q or of its training, the second the ignorance of r. The second part is
measured too, as the bound with r exact.
Writes studies/posteriors.csv and docs/figures/posteriors.png.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from studies.known_evidence import LOG_2_PI, Problem, funnel, product, regression
from studies.mnf_layers import Drawn, Job, Stack, Start, Variant, is_of_q

HERE = Path(__file__).resolve().parent
SEEDS = 3

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
    Variant(sees="conjugate"),
    Variant(masks="fresh", sees="conjugate"),
    Variant(flows=0, masks="fresh", sees="conjugate"),
    Variant(sees="network"),
    Variant(masks="fresh", sees="network"),
    Variant(sees="exact"),
)
#: Tried from every start; the others from the first two, and from ``slow`` when trained for longer.
OFTEN = (Variant(masks="fresh"), Variant(), Variant(sees="network"))
#: Tried on the larger problems.
FEWER = (
    *OFTEN[:2],
    Variant(sees="offset"),
    Variant(sees="conjugate"),
    Variant(masks="fresh", sees="conjugate"),
    Variant(sees="network"),
    Variant(sees="exact"),
)


def evaluate(
    layer: Drawn, problem: Problem, count: int = 100_000, inner: int = 10_000
) -> dict[str, float]:
    """The bound with the layer's r and with r exact, and their standard errors, in nats."""
    with torch.no_grad():
        parts = []
        if layer.sees != "exact":
            for _ in range(count // 20_000):
                weights, kl = layer(20_000)
                parts.append(problem.log_likelihood(weights) - kl)

        z = layer.sample_z(inner)
        weights = layer.weights_of(z[: inner // 5])
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


def check(layer: Drawn, count: int = 20_000) -> None:
    """Check that explicit weights give the same bound on the KL as the layer's own kl()."""
    with torch.no_grad():
        ours = layer(count)[1]
        theirs = torch.vmap(lambda _: layer.kl(), randomness="different")(torch.empty(count))
    error = ((ours.var() + theirs.var()) / count).sqrt()
    message = f"{ours.mean()} is not {theirs.mean()} +- {error}"
    assert (ours.mean() - theirs.mean()).abs() < 5 * error, message


def rows(stack: Stack, label: str) -> Iterator[dict[str, Any]]:
    """One row of the CSV file per layer."""
    for index, job in enumerate(stack.jobs):
        layer = stack.at(index)
        if stack.variant.sees in ("scalar", "conjugate") and index % 9 == 0:
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


#: Columns of the figure: the label of the results, and the title.
COLUMNS = {
    str(Variant()): "MNF, fixed masks",
    str(Variant(sees="network")): "r sees all of W",
    str(Variant(sees="exact")): "r exact",
}


def draw(problems: list[Problem], layers: dict[tuple[str, str], Drawn], path: Path) -> None:
    """Draw each posterior with 300 draws of mean-field's best q and of the best learned q(W)."""
    matplotlib.use("Agg")
    figure, axes = plt.subplots(
        len(problems), 1 + len(COLUMNS), figsize=(9, 6.6), layout="constrained"
    )
    for row, problem in zip(axes, problems, strict=True):
        means, stds = problem.factorised
        torch.manual_seed(5)
        mean_field = torch.from_numpy(means + stds * torch.randn(300, *means.shape).numpy())
        samples = {"mean-field": mean_field}
        with torch.no_grad():
            for label, title in COLUMNS.items():
                samples[title] = layers[problem.name, label](300)[0]

        for panel, (title, drawn) in zip(row, samples.items(), strict=True):
            draw_panel(panel, problem, drawn)
            if problem is problems[0]:
                panel.set_title(title, fontsize=10)
        row[0].set_ylabel(f"{problem.name}\n$w_2$")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def draw_panel(panel: Axes, problem: Problem, drawn: torch.Tensor) -> None:
    """Draw the exact posterior in grey and the draws over it in red."""
    width, centre = 3.0, np.zeros(2)
    if problem.name.startswith("regression"):
        width, centre = 1.0, problem.factorised[0][0]
    lines = []
    for middle in centre:
        line = torch.linspace(middle - width, middle + width, 241, dtype=torch.float64)
        lines.append(line)

    grid = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1)
    log_posterior = problem.log_likelihood(grid[:, :, None, :]) - 0.5 * grid.square().sum(-1)
    height = (log_posterior - log_posterior.max()).exp().T

    levels = [0.01, 0.05, 0.15, 0.4, 0.7, 1.01]
    panel.contourf(*lines, height, levels=levels, cmap="Greys", alpha=0.7)
    across, up = drawn[:, 0, 0], drawn[:, 0, 1]
    panel.scatter(across, up, s=3, color="tab:red", alpha=0.6, linewidths=0)
    panel.set(xlim=lines[0][[0, -1]].tolist(), ylim=lines[1][[0, -1]].tolist())
    panel.set_xlabel("$w_1$", labelpad=-2)


class Findings:
    """All rows so far, and the layer with the highest bound by problem and label."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.best: dict[tuple[str, str], Drawn] = {}
        self.clock = time.perf_counter()

    def keep(self, stack: Stack, label: str) -> None:
        """Evaluate a stack, and write all rows so far."""
        new = list(rows(stack, label))
        self.rows.extend(new)
        for name, (_, indices) in stack.problems.items():
            best = max(indices, key=lambda index: new[index]["bound"])
            self.best[name, label] = stack.at(best)

        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0])
            writer.writeheader()
            writer.writerows(self.rows)
        seconds = time.perf_counter() - self.clock
        print(f"{label}, {stack.jobs[0].problem.name} and so on: {seconds:.0f} s", flush=True)


def jobs(problems: list[Problem], starts: tuple[Start, ...]) -> list[Job]:
    """One layer per problem, start and seed."""
    return [Job(*key) for key in itertools.product(problems, starts, range(SEEDS))]


def from_above(exact: Stack, steps: int, draws: int, keep: Callable[[Stack, str], None]) -> None:
    """Start at the q that training with r exact found: train r for it, then both together."""
    for sees in ("scalar", "offset", "network"):
        stack = exact.became(replace(exact.variant, sees=sees))
        stack.train(steps, draws, only=lambda name: not is_of_q(name))
        keep(stack, f"q of r=exact, kept, r={sees}")
        stack.train(steps, draws)
        keep(stack, f"q of r=exact, trained on, r={sees}")


def study(problems: list[Problem], small: bool, steps: int, draws: int, found: Findings) -> None:
    """Train and evaluate all variants for problems of one shape."""
    for variant in VARIANTS if small else FEWER:
        starts = STARTS if small and variant in OFTEN else STARTS[:2]
        stack = Stack(jobs(problems, starts), variant)
        if variant.sees != "exact":
            stack.train(steps, draws)
            found.keep(stack, str(variant))
            continue

        # If r is exact, the other z of a step stand for q(z): more of them come nearer to it.
        stack.train(steps, 4 * draws)
        found.keep(stack, str(variant))
        if small:
            from_above(stack, steps, draws, found.keep)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=16, help="of the weights, per step")
    parser.add_argument("--out", type=Path, default=HERE / "posteriors.csv")
    parser.add_argument("--figures", type=Path, default=HERE.parent / "docs" / "figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    small = [regression(2, 1), product(), funnel()]
    large = [regression(5, 1), regression(2, 10), regression(5, 10)]
    for problem in (*small, *large):
        known = f"evidence {problem.log_evidence:.3f}, mean-field {problem.mean_field:.3f}"
        best = problem.gaussian_z or math.nan
        print(f"{problem.name}: {known}, z Gaussian {best:.3f}", flush=True)

    found = Findings(arguments.out)
    study(small, True, arguments.steps, arguments.draws, found)
    for problem in large:
        study([problem], False, arguments.steps, arguments.draws, found)
    for variant in OFTEN[:2]:
        stack = Stack(jobs(small, (STARTS[0], STARTS[1], STARTS[4])), variant)
        stack.train(4 * arguments.steps, arguments.draws)
        found.keep(stack, f"{variant}, four times as long")
    draw(small, found.best, arguments.figures / "posteriors.png")


if __name__ == "__main__":
    main()
