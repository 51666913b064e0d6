"""Masked RealNVP, gated like inverse autoregressive flows (Louizos & Welling 2017, sec. 3.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear, logsigmoid

from bench_uq.methods._gaussian import bound_once


@bound_once
class Step(torch.autograd.Function):
    """One step of the flow with its log-determinant, as one node of the graph.

    There is no second derivative: the backward pass is written for the first.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        z: Tensor,
        mask: Tensor,
        inner: Tensor,
        inner_bias: Tensor,
        shift: Tensor,
        shift_bias: Tensor,
        gate: Tensor,
        gate_bias: Tensor,
        first: int,
    ) -> tuple[Tensor, ...]:
        """The moved z (B, dim) and log|det dz'/dz| of the rows from ``first`` on, then what the
        gradient needs: h, k = (1 - mask) sigmoid(-gate), and shift - z.
        """
        # Flows stay in float32: mixed precision would save nothing in such small products.
        with torch.autocast(z.device.type, enabled=False):
            h = torch.tanh(linear(mask * z, inner, inner_bias))
            gates = linear(h, gate, gate_bias)
            way = linear(h, shift, shift_bias) - z

        moved = 1 - mask
        k = torch.sigmoid(-gates) * moved
        # Rows of masks that all examples share are one row.
        rows = moved[first:] if moved.dim() == z.dim() else moved
        log_det = (rows * logsigmoid(gates[first:])).sum(-1)
        return torch.addcmul(z, k, way), log_det, h, k, way

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Keep inputs and hidden units, k and the way to the shift."""
        z, mask, inner, _, shift, _, gate, _, first = inputs
        ctx.first = first
        ctx.mark_non_differentiable(*output[2:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(z, mask, inner, shift, gate, *output[2:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of z, and of the weights and biases."""
        of_moved, of_log_det = gradients[:2]
        z, mask, inner, shift, gate, h, k, way = ctx.saved_tensors
        if of_moved is None:
            of_moved = torch.zeros_like(z)

        of_shift = of_moved * k
        # dk/dgate = k (k - 1) where z moves, and d log sigmoid(gate)/dgate = k there.
        of_gate = (k - 1) * way * of_shift
        if of_log_det is not None and len(of_log_det):
            of_gate[ctx.first :] += of_log_det.unsqueeze(-1) * k[ctx.first :]

        of_hidden = torch.addmm(of_shift @ shift, of_gate, gate) * (1 - h.square())
        of_z = of_moved - of_shift + mask * (of_hidden @ inner)
        return (
            of_z,
            None,
            of_hidden.t() @ (mask * z),
            of_hidden.sum(0),
            of_shift.t() @ h,
            of_shift.sum(0),
            of_gate.t() @ h,
            of_gate.sum(0),
            None,
        )


class MaskedStep(nn.Module):
    """One step of the flow, for a given mask of the dimensions that it keeps."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(dim, hidden)
        self.shift = nn.Linear(hidden, dim)
        self.gate = nn.Linear(hidden, dim)
        # Gates start at sigmoid(2) = 0.88: near the identity.
        nn.init.constant_(self.gate.bias, 2.0)

    def forward(self, z: Tensor, mask: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
        """Move z (B, dim) where the mask is 0; log|det dz'/dz| of the rows from ``first`` on.

        z' = m z + (1 - m) (s z + (1 - s) shift), h = tanh(inner(m z)), s = sigmoid(gate(h)).
        """
        inner, shift, gate = self.inner, self.shift, self.gate
        weights = (inner.weight, inner.bias, shift.weight, shift.bias, gate.weight, gate.bias)
        moved, log_det, *_ = Step.apply(z, mask, *weights, first)
        return moved, log_det

    def move(self, z: Tensor, mask: Tensor) -> Tensor:
        """Move z without the determinant, which the outputs of a layer do not need."""
        return self(z, mask, len(z))[0]

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

    def forward(self, z: Tensor, first: int = 0) -> tuple[Tensor, Tensor]:
        """Move z by all steps; log|det| of the rows from ``first`` on."""
        log_det = z.new_zeros(len(z) - first)
        for index, step in enumerate(self.steps):
            z, change = step(z, self.mask(index, z), first)
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
