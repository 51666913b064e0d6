"""Gradients of the losses of the reported predictor that attacks follow: streamed over draws, scaled to stay finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench_uq.api import LogProbs

#: A gradient is not let fall below exp(-60) of its scale: its sign, which is all that FGSM takes, survives in float32.
LEAST_LOG_SCALE = -60.0


class NoGradient(Exception):
    """A predictor whose draws cannot be traced back to its inputs."""


def predictive_gradient(log_probs: LogProbs, inputs: Tensor, targets: Tensor, draws: int) -> Tensor:
    """Return the gradient of -log((1/S) sum_s p(target | input, w_s)) in the inputs, shaped like them."""
    return _margin_gradient(log_probs, inputs, targets, draws, of_the_mean=True)


def expected_gradient(log_probs: LogProbs, inputs: Tensor, targets: Tensor, draws: int) -> Tensor:
    """Return the gradient of -(1/S) sum_s log p(target | input, w_s) in the inputs (Athalye et al. 2018)."""
    return _margin_gradient(log_probs, inputs, targets, draws, of_the_mean=False)


def _margin_gradient(
    log_probs: LogProbs, inputs: Tensor, targets: Tensor, draws: int, *, of_the_mean: bool
) -> Tensor:
    """Return the gradient of minus the log of the mean of p, or minus the mean of its log.

    With the margin m = log p - log(1 - p), the gradient of log p is (1 - p) dm; log(1 - p) comes from the other
    classes, since 1 - p itself is 0 in float32 on what the network is sure of, and the direction would be lost.
    Streams over chunks of draws, each weighted by p (1 - p), of the mean, or 1 - p over the largest so far: memory
    does not grow with S.
    """
    shown = inputs.detach().requires_grad_()
    peak = total = torch.full((len(inputs),), -torch.inf, dtype=inputs.dtype, device=inputs.device)
    gradient = torch.zeros_like(inputs)
    for chunk in traced(log_probs, shown, draws):
        index = targets.expand(chunk.shape[:-1]).unsqueeze(-1)
        own = chunk.gather(-1, index).squeeze(-1)  # (s, B, C) -> (s, B), log p
        others = chunk.scatter(-1, index, -torch.inf).logsumexp(-1)  # log(1 - p)
        share = own.detach() if of_the_mean else torch.zeros_like(own)
        weight = share + others.detach()
        highest = torch.maximum(peak, weight.amax(0))
        (step,) = torch.autograd.grad(((weight - highest).exp() * (own - others)).sum(), shown)
        gradient = gradient * per_example((peak - highest).exp(), inputs) + step
        peak, total = highest, torch.logaddexp(total, share.logsumexp(0))
    return -gradient * per_example((peak - total).clamp_min(LEAST_LOG_SCALE).exp(), inputs)


def entropy_gradient(log_probs: LogProbs, inputs: Tensor, targets: Tensor, draws: int) -> Tensor:
    """Return the gradient of the entropy of the mean of S draws in the inputs; the targets play no part.

    dH = mean_s sum_k (log p_t(s) - log p_k) p_sk dlog p_sk, with the mean p and each draw's own highest class t(s): the
    gradient of that class, which has all of the weight where a draw is sure, is not needed, and what is left is scaled
    by its largest weight. The mean takes a first pass through the same draws.
    """
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
        below = (
            mean.expand_as(chunk).gather(-1, highest_class) - mean
        )  # (s, B, C), 0 of the highest class
        weight = below.abs().log() + chunk.detach()
        # Where all classes are equal no weight is finite, and there is no way up.
        highest = torch.maximum(peak, weight.amax((0, -1)).clamp_min(torch.finfo(inputs.dtype).min))
        (step,) = torch.autograd.grad(
            (below.sign() * (weight - highest.unsqueeze(-1)).exp() * chunk).sum(), shown
        )
        gradient = gradient * per_example((peak - highest).exp(), inputs) + step
        peak, count = highest, count + len(chunk)
    return gradient / count * per_example(peak.clamp_min(LEAST_LOG_SCALE).exp(), inputs)


def traced(log_probs: LogProbs, shown: Tensor, draws: int) -> Iterator[Tensor]:
    """Yield the chunks of draws, refusing those that have no gradient."""
    for chunk in log_probs(shown, draws):
        if not chunk.requires_grad:
            raise NoGradient(
                "the method's draws have no gradient in the inputs: nothing for an attack to follow"
            )
        yield chunk


def log_mean(log_probs: LogProbs, inputs: Tensor, draws: int) -> Tensor:
    """Return log((1/S) sum_s p(k | input, w_s)), (B, C), with a gradient where the draws have one."""
    total, count = None, 0
    for chunk in log_probs(inputs, draws):
        part = chunk.logsumexp(0)
        total = part if total is None else torch.logaddexp(total, part)
        count += len(chunk)
    assert total is not None
    return total - math.log(count)


def predicted_labels(log_probs: LogProbs, inputs: Tensor, draws: int) -> Tensor:
    """Return the classes of highest mean probability, (B,)."""
    with torch.no_grad():
        return log_mean(log_probs, inputs, draws).argmax(-1)


def random_state(device: torch.device) -> Callable[[], None]:
    """Return a function that sets torch's generator on a device back to where it stands now."""
    if device.type == "cuda":
        state = torch.cuda.get_rng_state(device)
        return lambda: torch.cuda.set_rng_state(state, device)
    state = torch.get_rng_state()
    return lambda: torch.set_rng_state(state)


def per_example(values: Tensor, like: Tensor) -> Tensor:
    """Shape one value an example for products with (B, ...)."""
    return values.reshape(-1, *(1,) * (like.dim() - 1))
