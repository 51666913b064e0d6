"""Projected gradient descent on a predictor of several draws, for pgd and transfer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from bench_uq.api import LogProbs, Search
from bench_uq.conditions._gradient_attack import GradientAttack
from bench_uq.conditions._gradients import losses, per_example


@dataclass(frozen=True)
class ProjectedGradient(GradientAttack):
    """The steps of PGD; pgd.py says what its options mean."""

    reference: ClassVar[str] = "Madry et al. 2018, https://arxiv.org/abs/1706.06083"

    steps: int = 20
    step_size: float = 0.0
    restarts: int = 1
    start: Literal["random", "clean"] = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "restarts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.step_size <= 2:
            allowed = "a share of epsilon in [0, 2], 0 for 2.5 / steps"
            raise ValueError(f"step_size must be {allowed}, not {self.step_size}")
        if self.start == "clean" and self.restarts > 1:
            found = f"restarts={self.restarts}"
            raise ValueError(f"{found} from the clean input are all alike: start=random")

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

        state = generator.get_state()
        attacked = []
        for level in levels:
            # Each level starts from the same state, so that it does not depend on the others.
            generator.set_state(state)
            torch.manual_seed(_seed(generator))
            attacked.append(self.searched(log_probs, inputs, labels, level, generator))
        return attacked

    def searched(
        self, log_probs: LogProbs, inputs: Tensor, labels: Tensor, epsilon: float, rng: Generator
    ) -> Tensor:
        """The best point of all restarts."""
        if epsilon == 0:
            return inputs.clone()
        best = self.climbed(log_probs, inputs, labels, epsilon, rng)
        # Without a second start no draws are spent on judging.
        if self.restarts == 1:
            return best

        # All restarts are judged by the same draws.
        judge = _seed(rng)
        highest = self.judged(log_probs, best, labels, judge)
        for _ in range(1, self.restarts):
            other = self.climbed(log_probs, inputs, labels, epsilon, rng)
            loss = self.judged(log_probs, other, labels, judge)
            best = torch.where(per_example(loss > highest, inputs), other, best)
            highest = torch.maximum(highest, loss)
        return best

    def climbed(
        self, log_probs: LogProbs, inputs: Tensor, labels: Tensor, epsilon: float, rng: Generator
    ) -> Tensor:
        """The point after all steps from one start."""
        # 2.5 epsilon in all, as Madry et al. have it: any point of the ball can be reached.
        step = epsilon * (self.step_size or 2.5 / self.steps)
        images = inputs
        if self.start == "random":
            images = (inputs + epsilon * self.ball.random(inputs, rng)).clamp(0, 1)

        for _ in range(self.steps):
            change = images + step * self.ascent(log_probs, images, labels) - inputs
            # Clipped last, which only brings a pixel nearer to its input.
            images = (inputs + self.ball.within(change, epsilon)).clamp(0, 1)
        return images

    def judged(self, log_probs: LogProbs, images: Tensor, labels: Tensor, seed: int) -> Tensor:
        """The objective at some images, (B,), by the draws of a seed of its own."""
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            torch.manual_seed(seed)
            found = losses(self.objective, log_probs, images, labels, self.draws)
        return -found if self.entropy == "lower" else found


def _seed(generator: Generator) -> int:
    """Draw a seed for torch's global generator, from which the draws of networks come."""
    return int(torch.randint(2**62, (1,), generator=generator))
