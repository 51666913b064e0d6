"""Gradients of the loss of the reported predictor: of -log mean_s p(y|x, w_s), not of one draw."""

from __future__ import annotations

import torch
from torch import Tensor

from bench_uq.contracts import LogProbs

#: A gradient is not let fall below exp(-60) of its scale: its sign, which is all that FGSM takes, survives in float32.
LEAST_LOG_SCALE = -60.0


def predictive_gradient(log_probs: LogProbs, inputs: Tensor, targets: Tensor, draws: int) -> Tensor:
    """Return the gradient of -log((1/S) sum_s p(target | input, w_s)) in the inputs, shaped like them.

    With the margin m = log p - log(1 - p), the gradient of log p is (1 - p) dm; log(1 - p) comes from the other
    classes, since 1 - p itself is 0 in float32 on what the network is sure of, and the direction would be lost.
    Streams over chunks of draws, each weighted by p (1 - p) over the largest so far: memory does not grow with S.
    """
    shown = inputs.detach().requires_grad_()
    peak = total = torch.full((len(inputs),), -torch.inf, dtype=inputs.dtype, device=inputs.device)
    gradient = torch.zeros_like(inputs)
    for chunk in log_probs(shown, draws):
        index = targets.expand(chunk.shape[:-1]).unsqueeze(-1)
        own = chunk.gather(-1, index).squeeze(-1)  # (s, B, C) -> (s, B), log p
        others = chunk.scatter(-1, index, -torch.inf).logsumexp(-1)  # log(1 - p)
        weight = (own + others).detach()
        highest = torch.maximum(peak, weight.amax(0))
        (step,) = torch.autograd.grad(((weight - highest).exp() * (own - others)).sum(), shown)
        gradient = gradient * per_example((peak - highest).exp(), inputs) + step
        peak, total = highest, torch.logaddexp(total, own.detach().logsumexp(0))
    return -gradient * per_example((peak - total).clamp_min(LEAST_LOG_SCALE).exp(), inputs)


def per_example(values: Tensor, like: Tensor) -> Tensor:
    """Shape one value an example for products with (B, ...)."""
    return values.reshape(-1, *(1,) * (like.dim() - 1))


def predicted_labels(log_probs: LogProbs, inputs: Tensor, draws: int) -> Tensor:
    """Return the classes of highest mean probability, (B,)."""
    with torch.no_grad():
        probs = [chunk.exp().sum(0) for chunk in log_probs(inputs, draws)]  # (B, C) each
        return torch.stack(probs).sum(0).argmax(-1)
