"""Gradients of the loss of the reported predictor: of -log mean_s p(y|x, w_s), not of one draw."""

from __future__ import annotations

import torch
from torch import Tensor

from bench_uq.contracts import LogProbs


def predictive_gradient(log_probs: LogProbs, inputs: Tensor, targets: Tensor, draws: int) -> Tensor:
    """Return the gradient of -log((1/S) sum_s p(target | input, w_s)) in the inputs, shaped like them.

    Streams over chunks of draws: each chunk's gradient is weighted by its share of the summed likelihood, kept
    relative to the largest so far, so that memory does not grow with S and saturated predictions do not underflow.
    """
    shown = inputs.detach().requires_grad_()
    peak = torch.full((len(inputs),), -torch.inf, dtype=inputs.dtype, device=inputs.device)
    weight, gradient = torch.zeros_like(peak), torch.zeros_like(inputs)
    for chunk in log_probs(shown, draws):
        index = targets.expand(chunk.shape[:-1]).unsqueeze(-1)
        log_likelihood = chunk.gather(-1, index).squeeze(-1).logsumexp(0)  # (s, B, C) -> (B,)
        (step,) = torch.autograd.grad(log_likelihood.sum(), shown)
        log_likelihood = log_likelihood.detach()
        highest = torch.maximum(peak, log_likelihood)
        kept, added = (peak - highest).exp(), (log_likelihood - highest).exp()
        gradient = gradient * per_example(kept, inputs) + step * per_example(added, inputs)
        weight, peak = weight * kept + added, highest
    return -gradient / per_example(weight, inputs)


def per_example(values: Tensor, like: Tensor) -> Tensor:
    """Shape one value an example for products with (B, ...)."""
    return values.reshape(-1, *(1,) * (like.dim() - 1))


def predicted_labels(log_probs: LogProbs, inputs: Tensor, draws: int) -> Tensor:
    """Return the classes of highest mean probability, (B,)."""
    with torch.no_grad():
        probs = [chunk.exp().sum(0) for chunk in log_probs(inputs, draws)]  # (B, C) each
        return torch.stack(probs).sum(0).argmax(-1)
