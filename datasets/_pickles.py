"""Read CIFAR's batches, which are pickles, with an allow-list: no other name is looked up.

The names stand for objects of this module: a file reaches nothing of NumPy but arrays of bytes.
"""

import io
import pickle
from typing import Any, ClassVar

import numpy as np


class NotPlain(ValueError):
    """A pickle that holds anything but plain data and arrays of bytes."""


class Described:
    """An array, or the type of its numbers, as a file describes it."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


ALLOWED: dict[str, Any] = {
    "numpy.core.multiarray._reconstruct": Described,
    # Its name since NumPy 2.
    "numpy._core.multiarray._reconstruct": Described,
    "numpy.ndarray": Described,
    "numpy.dtype": Described,
    # Python 3 writes bytes for Python 2 in this way.
    "_codecs.encode": str.encode,
}


# Python's own implementation: ten bytes can make the one in C reserve gigabytes for its memo.
class BatchUnpickler(pickle._Unpickler):
    """An unpickler that knows the allowed names alone."""

    # This opcode reserves as many bytes as a file asks for; CIFAR's batches are older than it.
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    del dispatch[pickle.BYTEARRAY8[0]]

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up in the allow-list, and nowhere else."""
        full = f"{module}.{name}"
        if full not in ALLOWED:
            raise NotPlain(f"it names {full[:80]!r}")
        return ALLOWED[full]


def read_batch(content: bytes) -> dict[Any, Any]:
    """Read the dictionary that a pickle holds; raise NotPlain if there is more to it."""
    try:
        found = BatchUnpickler(io.BytesIO(content), encoding="latin1").load()
        return {key: plain(value) for key, value in found.items()}
    except NotPlain:
        raise
    except Exception as error:
        # A damaged pickle raises anything.
        raise NotPlain(f"it is damaged, {type(error).__name__}") from error


def plain(value: Any) -> Any:
    """Make the array of bytes that a value describes; other values stay as they are."""
    if not isinstance(value, Described):
        return value

    _, shape, dtype, column_major, content = value.state
    if dtype.arguments[0] != "u1" or column_major:
        raise NotPlain("its arrays are not of bytes, row by row")
    # Python 2 wrote bytes as text.
    if isinstance(content, str):
        content = content.encode("latin1")
    return np.frombuffer(content, np.uint8).reshape(shape)
