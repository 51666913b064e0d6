"""Inputs for checks, and comparison of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from bench_uq.api.likelihoods import Categorical
from bench_uq.api.task import Task


def inputs_of(task: Task, size: int) -> Tensor:
    """Inputs in [0, 1], (size, ...), the first black and the second white."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(size, *task.input_shape, generator=generator)
    # Constant images at the edges of [0, 1]: deviations are 0, and the norm of the black one.
    inputs[0], inputs[1] = 0, 1
    return inputs


def targets_of(task: Task, size: int) -> Tensor:
    """Targets for these inputs, (size,)."""
    if isinstance(task.likelihood, Categorical):
        return torch.arange(size)
    return torch.linspace(-1, 1, size)


def shape_text(task: Task) -> str:
    """The shape of a task's inputs in words."""
    return f"inputs of {'x'.join(map(str, task.input_shape))}"


def described(values: Tensor) -> str:
    """Shape and type of a tensor."""
    return f"{tuple(values.shape)} {values.dtype}"


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal to the last digit; nan, which other checks find, equals nan."""
    if one.shape != other.shape:
        return False
    # Unlike torch.equal, for which nan differs from itself.
    return bool(torch.isclose(one, other, rtol=0, atol=0, equal_nan=True).all())
