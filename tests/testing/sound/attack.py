"""An attack that keeps every requirement: the sign of a gradient."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from bench_uq.api import Attack, Categorical


@dataclass(frozen=True)
class Mine(Attack):
    """A gradient."""

    reference: ClassVar[str] = "https://example.org"

    def suits(self, task):
        """Attack labels alone."""
        return isinstance(task.likelihood, Categorical)

    def __call__(self, log_probs, inputs, targets, levels, generator):
        """Follow the gradient."""
        shown = inputs.detach().requires_grad_()
        loss = -torch.cat(list(log_probs(shown, 2))).logsumexp(0).gather(-1, targets[:, None]).sum()
        (gradient,) = torch.autograd.grad(loss, shown)
        return [(inputs + level * gradient.sign()).clamp(0, 1) for level in levels]
