"""In which precision a training multiplies matrices and convolves; predictions are always made in float32.

Parameters, their gradients, the optimiser and the loss stay float32 in each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


@contextmanager
def tensor_cores(*, tf32: bool) -> Iterator[None]:
    """Let a GPU round the factors of products to TF32's 10 bits, or not: torch's own default lets convolutions."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


def mixed(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context of a forward pass: under ``bfloat16`` torch's mixed precision, else nothing."""
    if precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
