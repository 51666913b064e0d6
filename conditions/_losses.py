"""The losses of the reported predictor that attacks raise, to tell which of two attacks went further."""

from __future__ import annotations

import torch
from torch import Tensor

from bench_uq.api import LogProbs
from bench_uq.conditions._gradients import log_mean


def losses(
    objective: str, log_probs: LogProbs, inputs: Tensor, labels: Tensor, draws: int
) -> Tensor:
    """Return an objective for each example, (B,), in nats."""
    with torch.no_grad():
        if objective == "expected":
            index = labels.reshape(1, -1, 1)
            own = torch.cat(
                [
                    chunk.gather(-1, index.expand(len(chunk), -1, 1)).squeeze(-1)
                    for chunk in log_probs(inputs, draws)
                ]
            )
            return -own.mean(0)
        mean = log_mean(log_probs, inputs, draws)
        if objective == "entropy":
            return -(mean.exp() * mean).sum(-1)
        return -mean.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
