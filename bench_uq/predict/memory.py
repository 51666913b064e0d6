"""Out of memory while predicting: errors that mean it, and the advice to the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: Words in the messages of errors that have no class of their own.
NO_MEMORY = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


class OutOfMemory(MemoryError):
    """A block of examples does not fit in memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the device or the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in NO_MEMORY)


@contextmanager
def advising(block: int) -> Iterator[None]:
    """Name the smaller block to set where memory runs out.

    The block is never made smaller silently: noise belongs to blocks, so that another size gives
    other numbers (docs/decisions/002-noise-by-block.md).
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise

        advice = "there is no smaller block"
        if block > 1:
            advice = f"set block={block // 2}"
        found = str(error).partition("\n")[0]
        raise OutOfMemory(
            f"a block of {block} examples does not fit: {advice} ({found})"
        ) from error
