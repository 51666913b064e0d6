"""Arguments of Python functions that the command line checks as options."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench_uq.api.errors import BadValue, unknown
from bench_uq.api.names import split_list

DEVICES = ("auto", "cpu", "cuda")


def whole_number(value: Any, name: str, least: int, most: int | None = None) -> int:
    """A whole number of Python or NumPy, at least ``least`` and at most ``most``."""
    try:
        found = operator.index(value)
    except TypeError as error:
        told = f"{name} must be a whole number, not {shown(value)}"
        raise BadValue(told) from error
    if found < least:
        raise BadValue(f"{name} must be at least {least}, not {found}")
    if most is not None and found > most:
        raise BadValue(f"{name} must be at most {most}, not {found}")
    return found


def above_zero(value: Any, name: str, *, finite: bool = True) -> float:
    """A number above 0; with ``finite`` not infinity either."""
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise BadValue(f"{name} must be a number, not {shown(value)}") from error
    if not found > 0 or (finite and math.isinf(found)):
        raise BadValue(f"{name} must be {'finite and ' * finite}above 0, not {found:g}")
    return found


def names(value: Any, name: str) -> tuple[str, ...]:
    """Names as a sequence, or as one text with commas as on the command line."""
    if isinstance(value, str):
        return tuple(split_list(value)) if value else ()
    # A mapping is one of names and values, and a path is one name of a file.
    wrong = not isinstance(value, Iterable) or isinstance(value, Mapping | Path)
    found = () if wrong else tuple(value)
    if wrong or not all(isinstance(one, str) for one in found):
        raise BadValue(f"{name} are names, such as {name}=['...'], not {shown(value)}")
    return found


def seeds(value: Any) -> tuple[str, ...]:
    """Seeds as a sequence of numbers, or as one text as on the command line: ``0-4,7``."""
    if isinstance(value, str):
        return tuple(split_list(value)) if value else ()
    if not isinstance(value, Iterable):
        raise BadValue(f"seeds are several, such as seeds=[0, 1, 2], not {shown(value)}")
    return tuple(map(str, value))


def device(value: Any) -> str:
    """One of the devices that the command line takes."""
    if value not in DEVICES:
        raise unknown("device", str(value), DEVICES)
    return str(value)


def shown(value: Any) -> str:
    """A short value as it is written, of others the type."""
    return repr(value) if isinstance(value, str | int | float) else f"a {type(value).__name__}"
