"""Precision in which a training multiplies matrices and convolves.

Parameters, gradients, the optimiser and the loss stay float32. Predictions are always float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


@contextmanager
def tensor_cores(*, tf32: bool) -> Iterator[None]:
    """Let a GPU round the factors of products to the 10 bits of TF32, or forbid it.

    Torch's own default allows it in convolutions.
    """
    # Convolutions and products of matrices have a switch each.
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")

    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


def mixed(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Context of a forward pass: torch's mixed precision under ``bfloat16``, else nothing."""
    if precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
