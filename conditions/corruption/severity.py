"""How tables of severities are written."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

#: A function of a Canvas with the parameters that follow it.
Severity = tuple[Callable[..., Tensor], tuple[float, ...]]


def severities(
    function: Callable[..., Tensor], *parameters: tuple[float, ...] | float
) -> tuple[Severity, ...]:
    """Return a function with each of some parameters, from mild to severe."""
    return tuple((function, one if isinstance(one, tuple) else (one,)) for one in parameters)
