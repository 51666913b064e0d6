"""The masked RealNVP flow with the gate of inverse autoregressive flows (Louizos & Welling 2017, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid


class MaskedStep(nn.Module):
    """One step of the flow, for a given mask of the dimensions that it keeps."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, hidden)
        self.shift = nn.Linear(hidden, dim)
        self.gate = nn.Linear(hidden, dim)
        nn.init.constant_(self.gate.bias, 2.0)  # gates start at sigmoid(2) = 0.88: near the identity

    def forward(self, z: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the moved z (B, dim) and log|det dz'/dz| (B,); where ``mask`` is 1, z stays.

        z' = m z + (1 - m) (s z + (1 - s) shift), h = tanh(inner(m z)), s = sigmoid(gate(h)).
        """
        h = torch.tanh(self.inner(mask * z))
        gate = self.gate(h)
        moved = 1 - mask
        step = moved * torch.sigmoid(-gate)  # (1 - m) (1 - s)
        return torch.addcmul(z, step, self.shift(h) - z), (moved * logsigmoid(gate)).sum(-1)

    def inverse(self, z: Tensor, mask: Tensor) -> Tensor:
        """Return the z that ``forward`` moves to this one under the same mask."""
        h = torch.tanh(self.inner(mask * z))
        gate = torch.sigmoid(self.gate(h))
        return mask * z + (1 - mask) * (z - (1 - gate) * self.shift(h)) / gate


class MaskedFlow(nn.Module):
    """Steps in sequence, each with a fresh Bernoulli(1/2) mask per example: (B, dim) -> ((B, dim), (B,) log-det)."""

    def __init__(self, dim: int, steps: int = 2, hidden: int = 50) -> None:
        super().__init__()
        self.steps = nn.ModuleList(MaskedStep(dim, hidden) for _ in range(steps))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the moved z and log|det| of the whole move."""
        log_det = z.new_zeros(z.shape[:-1])
        for step in self.steps:
            z, change = step(z, torch.empty_like(z).bernoulli_(0.5))
            log_det = log_det + change
        return z, log_det
