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
        gate, moved = self.gate(h), 1 - mask
        return self.moved(z, moved, gate, h), (moved * logsigmoid(gate)).sum(-1)

    def move(self, z: Tensor, mask: Tensor) -> Tensor:
        """Return the moved z alone: the outputs of a layer need no determinant."""
        h = torch.tanh(self.inner(mask * z))
        return self.moved(z, 1 - mask, self.gate(h), h)

    def moved(self, z: Tensor, moved: Tensor, gate: Tensor, h: Tensor) -> Tensor:
        """Return z + (1 - m) (1 - s) (shift - z)."""
        return torch.addcmul(z, moved * torch.sigmoid(-gate), self.shift(h) - z)

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
            z, change = step(z, fresh_mask(z))
            log_det = log_det + change
        return z, log_det

    def move(self, z: Tensor) -> Tensor:
        """Return the moved z alone."""
        for step in self.steps:
            assert isinstance(step, MaskedStep)
            z = step.move(z, fresh_mask(z))
        return z


def fresh_mask(z: Tensor) -> Tensor:
    """Return independent Bernoulli(1/2) zeros and ones, shaped like z, faster on a CPU than bernoulli_ does."""
    return torch.randint_like(z, 2)
