"""Losses of the reported predictor that attacks raise, and their gradients in the inputs.

Draws come in chunks, so that the memory does not grow with their number S.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from bench_uq.api import LogProbs

# Gradients stay above exp(-60) of their scale. In float32 their sign, all that FGSM takes, then
# survives.
LEAST_LOG_SCALE = -60.0


class NoGradient(Exception):
    """A predictor whose draws have no gradient in its inputs."""


class Slope(NamedTuple):
    """The way up an objective at some inputs (B, ...)."""

    gradient: Tensor  # (B, ...)
    value: Tensor  # (B,), rises with the objective and keeps its digits where networks are sure
    draws: int  # fewer than were asked for if there are no more

    def reversed(self) -> "Slope":
        """The way down."""
        return Slope(-self.gradient, -self.value, self.draws)


def _margin_slope(
    log_probs: LogProbs, inputs: Tensor, targets: Tensor, draws: int, *, of_the_mean: bool
) -> Slope:
    """Slope of minus the log of the mean of p, or of minus the mean of its log.

    With the margin m = log p - log(1 - p), the gradient of log p is (1 - p) dm. A draw has the
    weight p (1 - p) in the log of the mean and 1 - p in the mean of the log, both divided by the
    largest weight so far.
    """
    # log(1 - p) comes from the other classes. Where the network is sure, 1 - p itself is 0 in
    # float32, and the direction would be lost.
    shown = inputs.detach().requires_grad_()
    peak = total = torch.full((len(inputs),), -torch.inf, dtype=inputs.dtype, device=inputs.device)
    gradient, rest, losses, count = torch.zeros_like(inputs), total, 0 * total.exp(), 0
    for chunk in traced(log_probs, shown, draws):
        index = targets.expand(chunk.shape[:-1]).unsqueeze(-1)
        own = chunk.gather(-1, index).squeeze(-1)  # (s, B, C) -> (s, B), log p
        others = chunk.scatter(-1, index, -torch.inf).logsumexp(-1)  # log(1 - p)

        share = own.detach() if of_the_mean else torch.zeros_like(own)
        weight = share + others.detach()
        highest = torch.maximum(peak, weight.amax(0))
        objective = ((weight - highest).exp() * (own - others)).sum()
        (step,) = torch.autograd.grad(objective, shown)
        gradient = gradient * per_example((peak - highest).exp(), inputs) + step
        peak, total = highest, torch.logaddexp(total, share.logsumexp(0))

        rest = torch.logaddexp(rest, others.detach().logsumexp(0))
        losses, count = losses + softplus(others - own).detach().sum(0), count + len(chunk)

    gradient = -gradient * per_example((peak - total).clamp_min(LEAST_LOG_SCALE).exp(), inputs)
    # The log odds of the mean rise with its loss, which is 0 in float32 where the network is sure.
    value = rest - total if of_the_mean else losses / count
    return Slope(gradient, value, count)


def entropy_slope(log_probs: LogProbs, inputs: Tensor, targets: Tensor, draws: int) -> Slope:
    """Slope of the entropy of the mean of S draws; the targets play no part.

    dH = mean_s sum_k (log p_t(s) - log p_k) p_sk dlog p_sk, with the mean p and each draw's own
    highest class t(s). The rest is scaled by its largest weight.
    """
    # The highest class, which has all of the weight where a draw is sure, drops out of the sum.
    # The mean takes a first pass, through the same draws.
    del targets
    again = random_state(inputs.device)
    with torch.no_grad():
        mean = log_mean(log_probs, inputs, draws)
    again()

    shown = inputs.detach().requires_grad_()
    peak = torch.full((len(inputs),), -torch.inf, dtype=inputs.dtype, device=inputs.device)
    gradient, count = torch.zeros_like(inputs), 0
    for chunk in traced(log_probs, shown, draws):
        highest_class = chunk.detach().argmax(-1, keepdim=True)  # (s, B, 1)
        # (s, B, C), 0 for the highest class
        below = mean.expand_as(chunk).gather(-1, highest_class) - mean
        weight = below.abs().log() + chunk.detach()

        # Where all classes are equal no weight is finite, and there is no way up.
        largest = weight.amax((0, -1)).clamp_min(torch.finfo(inputs.dtype).min)
        highest = torch.maximum(peak, largest)
        objective = (below.sign() * (weight - highest.unsqueeze(-1)).exp() * chunk).sum()
        (step,) = torch.autograd.grad(objective, shown)
        gradient = gradient * per_example((peak - highest).exp(), inputs) + step
        peak, count = highest, count + len(chunk)

    gradient = gradient / count * per_example(peak.clamp_min(LEAST_LOG_SCALE).exp(), inputs)
    return Slope(gradient, -(mean.exp() * mean).sum(-1), count)


# Of -log((1/S) sum_s p(target | input, w_s)); reversed, of the margin of the target over the rest.
predictive_slope = functools.partial(_margin_slope, of_the_mean=True)
# Of -(1/S) sum_s log p(target | input, w_s), Athalye et al. 2018.
expected_slope = functools.partial(_margin_slope, of_the_mean=False)
# By the objective of an attack.
SLOPES = {"predictive": predictive_slope, "expected": expected_slope, "entropy": entropy_slope}


def traced(log_probs: LogProbs, shown: Tensor, draws: int) -> Iterator[Tensor]:
    """The chunks of draws, which must have a gradient in the inputs."""
    for chunk in log_probs(shown, draws):
        if not chunk.requires_grad:
            reason = "the method's draws have no gradient in the inputs"
            raise NoGradient(f"{reason}: nothing for an attack to follow")
        yield chunk


def log_mean(log_probs: LogProbs, inputs: Tensor, draws: int) -> Tensor:
    """log((1/S) sum_s p(k | input, w_s)), (B, C), with a gradient if the draws have one."""
    total, count = None, 0
    for chunk in log_probs(inputs, draws):
        part = chunk.logsumexp(0)
        total = part if total is None else torch.logaddexp(total, part)
        count += len(chunk)
    assert total is not None
    return total - math.log(count)


def predicted_labels(log_probs: LogProbs, inputs: Tensor, draws: int) -> Tensor:
    """Classes of the highest mean probability, (B,)."""
    with torch.no_grad():
        return log_mean(log_probs, inputs, draws).argmax(-1)


def random_state(device: torch.device) -> Callable[[], None]:
    """A function that sets torch's generator on a device back to its present state."""
    if device.type == "cuda":
        # Draws on a GPU come from a generator of its own.
        state = torch.cuda.get_rng_state(device)
        return lambda: torch.cuda.set_rng_state(state, device)
    state = torch.get_rng_state()
    return lambda: torch.set_rng_state(state)


def per_example(values: Tensor, like: Tensor) -> Tensor:
    """Shape one value per example for products with (B, ...)."""
    return values.reshape(-1, *(1,) * (like.dim() - 1))
