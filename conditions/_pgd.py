"""Projected gradient descent on a predictor of several draws, for pgd and transfer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from bench_uq.api import LogProbs, Search
from bench_uq.conditions._apgd import climb
from bench_uq.conditions._gradient_attack import GradientAttack
from bench_uq.conditions._gradients import (
    Slope,
    log_mean,
    per_example,
    predictive_slope,
    random_state,
)


@dataclass(frozen=True)
class ProjectedGradient(GradientAttack):
    """The steps of PGD; pgd.py says what its options mean."""

    reference: ClassVar[str] = (
        "Madry et al. 2018, https://arxiv.org/abs/1706.06083, with the schedule of "
        "Croce & Hein 2020, https://arxiv.org/abs/2003.01690"
    )
    # Unlike a single step, many correct each other.
    holds: ClassVar[float] = 0.8

    steps: int = 20
    step_size: float = 0.0
    restarts: int = 5
    start: Literal["random", "clean"] = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "restarts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.step_size <= 2:
            allowed = "a share of epsilon in [0, 2], 0 for a schedule"
            raise ValueError(f"step_size must be {allowed}, not {self.step_size}")

    def search(self) -> Search:
        """Several steps, from the input or from random points near it."""
        settings = f"step_size={self.step_size},restarts={self.restarts},start={self.start}"
        return replace(super().search(), steps=self.steps, settings=settings)

    def __call__(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Attack the inputs, once per epsilon; epsilon 0 gives the inputs themselves."""
        labels = self.labels(log_probs, inputs, targets)
        # Asked at the inputs themselves, so that a level does not depend on the others.
        draws = self.draws or self.settled(log_probs, inputs, labels)[1]

        state = generator.get_state()
        attacked = []
        for level in levels:
            # Each level starts from the same state, so that it does not depend on the others.
            generator.set_state(state)
            torch.manual_seed(_seed(generator))
            attacked.append(self.searched(log_probs, inputs, labels, level, draws, generator))
        return attacked

    def searched(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        labels: Tensor,
        epsilon: float,
        draws: int,
        rng: Generator,
    ) -> Tensor:
        """The best point of all restarts."""
        if epsilon == 0:
            return inputs.clone()

        def own(images: Tensor) -> Slope:
            return self.slope(log_probs, images, labels, draws)

        best = self.climbed(own, inputs, epsilon, self.steps, rng)
        # Without a second start no draws are spent on judging.
        if self.restarts == 1:
            return best

        # All restarts are judged by the same draws.
        judge = _seed(rng)
        wrong, height, _ = self.judged(log_probs, best, labels, draws, judge)
        others = self.judged(log_probs, inputs, labels, draws, judge)[2]
        for turn in range(self.restarts - 1):
            left = (~wrong).nonzero().squeeze(-1)
            if len(left) == 0:
                break

            target = others[left, turn % max(1, others.shape[1] - 1)]
            slope = self.toward(log_probs, labels[left], target, draws)
            # With a target in sight half the steps are enough.
            point = self.climbed(slope, inputs[left], epsilon, -(-self.steps // 2), rng)
            fell, high, _ = self.judged(log_probs, point, labels[left], draws, judge)
            better = fell | (high > height[left])
            best[left] = torch.where(per_example(better, point), point, best[left])
            height[left], wrong[left] = torch.where(better, high, height[left]), fell
        return best

    def toward(
        self, log_probs: LogProbs, labels: Tensor, target: Tensor, draws: int
    ) -> Callable[[Tensor], Slope]:
        """The slope of a restart: of the margin of another class over all others, in log odds."""

        def slope(images: Tensor) -> Slope:
            if self.objective == "entropy":
                return self.slope(log_probs, images, labels, draws)
            return predictive_slope(log_probs, images, target, draws).reversed()

        return slope

    def climbed(
        self,
        slope: Callable[[Tensor], Slope],
        inputs: Tensor,
        epsilon: float,
        steps: int,
        rng: Generator,
    ) -> Tensor:
        """Climb from one start: to the best point of the path, or the last of fixed steps."""
        images = inputs
        if self.start == "random":
            images = (inputs + epsilon * self.ball.random(inputs, rng)).clamp(0, 1)

        if self.step_size == 0:
            again = random_state(inputs.device)

            def same_draws(images: Tensor) -> Slope:
                # The values of a path are compared, so all are by the same draws.
                again()
                return slope(images)

            return climb(same_draws, inputs, images, self.ball, epsilon, steps)

        for _ in range(steps):
            step = self.step_size * epsilon * self.ball.steepest(slope(images).gradient)
            # Clipped last, which only brings a pixel nearer to its input.
            change = self.ball.within(images + step - inputs, epsilon)
            images = (inputs + change).clamp(0, 1)
        return images

    def judged(
        self, log_probs: LogProbs, images: Tensor, labels: Tensor, draws: int, seed: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Whether images are wrong, how high they are, (B,), and the other classes by rank.

        All are by the mean of the draws of a seed; the entropy has no label, and nothing is wrong.
        """
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            torch.manual_seed(seed)
            with torch.no_grad():
                mean = log_mean(log_probs, images, draws)

        index = labels.unsqueeze(-1)
        others = mean.scatter(-1, index, -torch.inf).argsort(-1, descending=True)
        if self.objective != "entropy":
            height = -mean.gather(-1, index).squeeze(-1)
            return mean.argmax(-1) != labels, height, others

        height = -(mean.exp() * mean).sum(-1)
        nothing = torch.zeros_like(labels, dtype=torch.bool)
        return nothing, -height if self.entropy == "lower" else height, others


def _seed(generator: Generator) -> int:
    """Draw a seed for torch's global generator, from which the draws of networks come."""
    return int(torch.randint(2**62, (1,), generator=generator))
