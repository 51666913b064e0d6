"""Masked RealNVP, gated like inverse autoregressive flows (Louizos & Welling 2017, sec. 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import logsigmoid

# All rows of a batch.
ALL = slice(None)


class Gated(torch.autograd.Function):
    """z + k (shift - z) with k = moved sigmoid(-gate), elementwise, in half of autograd's passes.

    There is no second derivative: the backward pass is written for the first.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        z: Tensor, moved: Tensor, shift: Tensor, gate: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The moved z, and k and shift - z for the gradient."""
        k = gate.neg().sigmoid_().mul_(moved)
        way = shift - z
        return torch.addcmul(z, k, way), k, way

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        """Keep k and the way to the shift."""
        del inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output[1:])

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, *gradients: Tensor | None
    ) -> tuple[Tensor | None, None, Tensor | None, Tensor | None]:
        """Gradients of z, shift and gate."""
        if gradients[0] is None:
            return None, None, None, None

        k, way = ctx.saved_tensors
        of_shift = gradients[0] * k
        # dk/dgate = k (k - 1)
        of_gate = (k - 1).mul_(way).mul_(of_shift)
        return gradients[0] - of_shift, None, of_shift, of_gate


class MaskedStep(nn.Module):
    """One step of the flow, for a given mask of the dimensions that it keeps."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, hidden)
        self.shift = nn.Linear(hidden, dim)
        self.gate = nn.Linear(hidden, dim)
        # Gates start at sigmoid(2) = 0.88: near the identity.
        nn.init.constant_(self.gate.bias, 2.0)

    def forward(self, z: Tensor, mask: Tensor, rows: slice = ALL) -> tuple[Tensor, Tensor]:
        """Move z (B, dim) where the mask is 0, and give log|det dz'/dz| of some rows, (rows,).

        z' = m z + (1 - m) (s z + (1 - s) shift), h = tanh(inner(m z)), s = sigmoid(gate(h)).
        """
        h = torch.tanh(self.inner(mask * z))
        gate, moved = self.gate(h), (1 - mask).expand_as(z)
        return self.moved(z, moved, gate, h), (moved[rows] * logsigmoid(gate[rows])).sum(-1)

    def move(self, z: Tensor, mask: Tensor) -> Tensor:
        """Move z without the determinant, which the outputs of a layer do not need."""
        h = torch.tanh(self.inner(mask * z))
        return self.moved(z, 1 - mask, self.gate(h), h)

    def moved(self, z: Tensor, moved: Tensor, gate: Tensor, h: Tensor) -> Tensor:
        """z + (1 - m) (1 - s) (shift - z)."""
        outputs: Tensor = Gated.apply(z, moved, self.shift(h), gate)[0]
        return outputs

    def inverse(self, z: Tensor, mask: Tensor) -> Tensor:
        """Undo ``forward`` under the same mask."""
        h = torch.tanh(self.inner(mask * z))
        gate = torch.sigmoid(self.gate(h))
        return mask * z + (1 - mask) * (z - (1 - gate) * self.shift(h)) / gate


class MaskedFlow(nn.Module):
    """Steps in sequence, (B, dim) -> ((B, dim), (B,) log-det), each under a mask.

    Masks are fresh Bernoulli(1/2) for each example and step, as in the authors' code. With
    ``fixed_masks`` a step moves half of the dimensions, drawn once, and the next step the others
    (Dinh et al. 2017).
    """

    masks: Tensor | None

    def __init__(
        self, dim: int, steps: int = 2, hidden: int = 50, *, fixed_masks: bool = False
    ) -> None:
        super().__init__()
        self.steps = nn.ModuleList(MaskedStep(dim, hidden) for _ in range(steps))
        self.register_buffer("masks", alternating_masks(dim, steps) if fixed_masks else None)

    def forward(self, z: Tensor, rows: slice = ALL) -> tuple[Tensor, Tensor]:
        """Move z by all steps, and give log|det| of some rows."""
        log_det = z[rows].new_zeros(z[rows].shape[:-1])
        for index, step in enumerate(self.steps):
            z, change = step(z, self.mask(index, z), rows)
            log_det = log_det + change
        return z, log_det

    def move(self, z: Tensor) -> Tensor:
        """Move z by all steps, without the determinant."""
        for index, step in enumerate(self.steps):
            assert isinstance(step, MaskedStep)
            z = step.move(z, self.mask(index, z))
        return z

    def mask(self, step: int, z: Tensor) -> Tensor:
        """Mask of a step, 1 where z stays: (dim,) if masks are fixed, else shaped like z."""
        return fresh_mask(z) if self.masks is None else self.masks[step]


def fresh_mask(z: Tensor) -> Tensor:
    """Independent Bernoulli(1/2) zeros and ones, shaped like z."""
    # Faster on a CPU than bernoulli_.
    return torch.randint_like(z, 2)


def alternating_masks(dim: int, steps: int) -> Tensor:
    """Masks (steps, dim): half of the dimensions at random, then the other half, and so on."""
    first = torch.randperm(dim) < dim // 2
    if steps == 0:
        return first[:0]
    return torch.stack([first if step % 2 == 0 else ~first for step in range(steps)]).float()
