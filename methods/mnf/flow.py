"""The masked RealNVP flow with the gate of inverse autoregressive flows (Louizos & Welling 2017, section 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import logsigmoid

#: All rows of a batch.
ALL = slice(None)


class Gated(torch.autograd.Function):
    """z + k (shift - z) with k = moved sigmoid(-gate), elementwise: one node, half of the passes that autograd takes.

    A second derivative is refused: the backward pass is written for the first.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        z: Tensor, moved: Tensor, shift: Tensor, gate: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the moved z, and k and shift - z for the gradient."""
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
        """Return the gradients of z, shift and gate."""
        if gradients[0] is None:
            return None, None, None, None
        k, way = ctx.saved_tensors
        of_shift = gradients[0] * k
        return (
            gradients[0] - of_shift,
            None,
            of_shift,
            (k - 1).mul_(way).mul_(of_shift),
        )  # dk/dgate = k (k - 1)


class MaskedStep(nn.Module):
    """One step of the flow, for a given mask of the dimensions that it keeps."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, hidden)
        self.shift = nn.Linear(hidden, dim)
        self.gate = nn.Linear(hidden, dim)
        nn.init.constant_(
            self.gate.bias, 2.0
        )  # gates start at sigmoid(2) = 0.88: near the identity

    def forward(self, z: Tensor, mask: Tensor, rows: slice = ALL) -> tuple[Tensor, Tensor]:
        """Return the moved z (B, dim) and log|det dz'/dz| of some rows, (B,) of all; where ``mask`` is 1, z stays.

        z' = m z + (1 - m) (s z + (1 - s) shift), h = tanh(inner(m z)), s = sigmoid(gate(h)).
        """
        h = torch.tanh(self.inner(mask * z))
        gate, moved = self.gate(h), (1 - mask).expand_as(z)
        return self.moved(z, moved, gate, h), (moved[rows] * logsigmoid(gate[rows])).sum(-1)

    def move(self, z: Tensor, mask: Tensor) -> Tensor:
        """Return the moved z alone: the outputs of a layer need no determinant."""
        h = torch.tanh(self.inner(mask * z))
        return self.moved(z, 1 - mask, self.gate(h), h)

    def moved(self, z: Tensor, moved: Tensor, gate: Tensor, h: Tensor) -> Tensor:
        """Return z + (1 - m) (1 - s) (shift - z)."""
        outputs: Tensor = Gated.apply(z, moved, self.shift(h), gate)[0]
        return outputs

    def inverse(self, z: Tensor, mask: Tensor) -> Tensor:
        """Return the z that ``forward`` moves to this one under the same mask."""
        h = torch.tanh(self.inner(mask * z))
        gate = torch.sigmoid(self.gate(h))
        return mask * z + (1 - mask) * (z - (1 - gate) * self.shift(h)) / gate


class MaskedFlow(nn.Module):
    """Steps in sequence, (B, dim) -> ((B, dim), (B,) log-det), each under a mask.

    Masks are fresh Bernoulli(1/2) for each example and step, as in the authors' code, or with ``fixed_masks`` half of
    the dimensions, drawn once, and in each step those that the step before left alone (Dinh et al. 2017).
    """

    masks: Tensor | None

    def __init__(
        self, dim: int, steps: int = 2, hidden: int = 50, *, fixed_masks: bool = False
    ) -> None:
        super().__init__()
        self.steps = nn.ModuleList(MaskedStep(dim, hidden) for _ in range(steps))
        self.register_buffer("masks", alternating_masks(dim, steps) if fixed_masks else None)

    def forward(self, z: Tensor, rows: slice = ALL) -> tuple[Tensor, Tensor]:
        """Return the moved z and log|det| of the whole move, of some rows alone."""
        log_det = z[rows].new_zeros(z[rows].shape[:-1])
        for index, step in enumerate(self.steps):
            z, change = step(z, self.mask(index, z), rows)
            log_det = log_det + change
        return z, log_det

    def move(self, z: Tensor) -> Tensor:
        """Return the moved z alone."""
        for index, step in enumerate(self.steps):
            assert isinstance(step, MaskedStep)
            z = step.move(z, self.mask(index, z))
        return z

    def mask(self, step: int, z: Tensor) -> Tensor:
        """Return the mask of a step, 1 where z stays: (dim,) where masks are fixed, else shaped like z."""
        return fresh_mask(z) if self.masks is None else self.masks[step]


def fresh_mask(z: Tensor) -> Tensor:
    """Return independent Bernoulli(1/2) zeros and ones, shaped like z, faster on a CPU than bernoulli_ does."""
    return torch.randint_like(z, 2)


def alternating_masks(dim: int, steps: int) -> Tensor:
    """Return masks (steps, dim): half of the dimensions at random, then the other half, and so on."""
    first = torch.randperm(dim) < dim // 2
    return (
        torch.stack([first if step % 2 == 0 else ~first for step in range(steps)]).float()
        if steps
        else first[:0]
    )
