"""Read CIFAR's batches, which are pickles, without unpickling: what they say is followed as far as it is plain data.

Nothing is imported and nothing is called, whatever stands in a file; arrays are known by the two names that NumPy
writes, and are made here from their bytes.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: Opcodes that push their argument, and those that push a constant.
ARGUMENTS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "INT", "LONG", "BINFLOAT", "FLOAT"),
    *("BINSTRING", "SHORT_BINSTRING", "STRING", "BINBYTES", "SHORT_BINBYTES"),
    *("BINUNICODE", "SHORT_BINUNICODE", "UNICODE"),
}
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
PASSED_OVER = {"PROTO", "FRAME"}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
#: What older and newer versions of NumPy call the start of an array.
ARRAY = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
MARK = object()


class NotPlain(ValueError):
    """A pickle that holds anything but plain data and arrays of bytes."""


@dataclass
class Made:
    """What a pickle would have a function make: its name, its arguments, and the state it is then given."""

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None


@dataclass
class Reading:
    """How far a pickle is read: the stack, and what was put aside to be named again."""

    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def pop_to_mark(self) -> list[Any]:
        """Take what lies above the last mark."""
        place = next(at for at in reversed(range(len(self.stack))) if self.stack[at] is MARK)
        above = self.stack[place + 1 :]
        del self.stack[place:]
        return above


def read_batch(content: bytes) -> dict[Any, Any]:
    """Return the dictionary that a pickle holds; arrays of it must be of bytes. Anything else raises NotPlain."""
    reading = Reading()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                break
            step(reading, opcode.name, argument)
        (found,) = reading.stack
        if type(found) is not dict:
            raise NotPlain("it holds no dictionary")
        return {
            key: array(value) if isinstance(value, Made) else value for key, value in found.items()
        }
    except NotPlain:
        raise
    except Exception as error:  # of a damaged one pickletools and the stack raise anything
        raise NotPlain(f"it is damaged, {type(error).__name__}") from error


def step(reading: Reading, name: str, argument: Any) -> None:
    """Follow one opcode."""
    stack = reading.stack
    if name in ARGUMENTS:
        stack.append(argument)
    elif name in CONSTANTS:
        stack.append(CONSTANTS[name]())
    elif name in ("GLOBAL", "REDUCE", "BUILD"):
        make(stack, name, argument)
    elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
        reading.memo[len(reading.memo) if argument is None else argument] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(reading.memo[argument])
    elif name == "MARK":
        stack.append(MARK)
    elif name not in PASSED_OVER:
        gather(reading, name)


def make(stack: list[Any], name: str, argument: Any) -> None:
    """Note what a function would be called with, and what state an object would be given; do neither."""
    if name == "GLOBAL":
        stack.append(Made(argument))
        return
    last = stack.pop()
    made = stack[-1]
    if type(made) is not Made:
        raise NotPlain("it calls what is no function of NumPy")
    if name == "BUILD":
        made.state = last
    elif made.name == "_codecs encode":  # how Python 3 writes bytes for Python 2
        text, encoding = last
        if type(text) is not str or encoding != "latin1":
            raise NotPlain("its bytes are none")
        stack[-1] = text.encode("latin1")
    else:
        stack[-1] = Made(made.name, last)


def gather(reading: Reading, name: str) -> None:
    """Put what lies on the stack into a tuple, a list or a dictionary."""
    stack = reading.stack
    if name in TUPLES:
        items = stack[-TUPLES[name] :]
        del stack[-TUPLES[name] :]
        stack.append(tuple(items))
    elif name in ("TUPLE", "LIST"):
        items = reading.pop_to_mark()
        stack.append(tuple(items) if name == "TUPLE" else items)
    elif name in ("APPEND", "APPENDS"):
        items = [stack.pop()] if name == "APPEND" else reading.pop_to_mark()
        kept(stack, list).extend(items)
    elif name in ("SETITEM", "SETITEMS", "DICT"):
        items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else reading.pop_to_mark()
        if name == "DICT":
            stack.append({})
        kept(stack, dict).update(zip(items[::2], items[1::2], strict=True))
    else:
        raise NotPlain(f"it says {name}, which plain data do not need")


def kept(stack: Sequence[Any], kind: type) -> Any:
    """Return the last of the stack, which must be of a kind."""
    if type(stack[-1]) is not kind:
        raise NotPlain(f"it adds to what is no {kind.__name__}")
    return stack[-1]


def array(made: Made) -> np.ndarray:
    """Return the array of bytes that NumPy would make."""
    if made.name not in ARRAY:
        raise NotPlain(f"it names {made.name.replace(' ', '.')}")
    _, shape, dtype, column_major, content = made.state
    if dtype.name != "numpy dtype" or dtype.arguments[0] != "u1" or column_major:
        raise NotPlain("its arrays are not of bytes, row by row")
    if type(content) is str:  # of Python 2
        content = content.encode("latin1")
    return np.frombuffer(content, np.uint8).reshape(shape)
