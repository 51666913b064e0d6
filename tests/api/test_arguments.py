"""Arguments of Python functions are read as the command line reads its options."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bench_uq.api import arguments
from bench_uq.api.errors import UsageError


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ((), ()),
        ("", ()),
        ("map", ("map",)),
        ("map,mnf[flows=2,hidden=50]", ("map", "mnf[flows=2,hidden=50]")),
        (["map", "mnf"], ("map", "mnf")),
        ((name for name in "ab"), ("a", "b")),
    ],
)
def test_names(given, found) -> None:
    """A sequence of names, or a text with commas, which is no sequence of letters."""
    assert arguments.names(given, "methods") == found


@pytest.mark.parametrize("given", [3, None, [3], {"map": 1}, Path("map"), np.arange(2)])
def test_other_things_are_no_names(given) -> None:
    """They are refused under the name of the argument."""
    with pytest.raises(ValueError, match="methods are names"):
        arguments.names(given, "methods")


def test_seeds() -> None:
    """Numbers, also of NumPy, or a text with ranges."""
    assert arguments.seeds(np.arange(2)) == ("0", "1")
    assert arguments.seeds("0-4,7") == ("0-4", "7")
    with pytest.raises(ValueError, match="seeds are several"):
        arguments.seeds(3)


def test_numbers() -> None:
    """Whole numbers from a least one, and numbers above 0, infinity where it is allowed."""
    assert arguments.whole_number(np.int64(3), "jobs", 1) == 3
    assert arguments.above_zero(np.float32(0.5), "budget") == 0.5
    assert arguments.above_zero(math.inf, "timeout", finite=False) == math.inf
    for value in (0, -1, math.nan, math.inf, "half", None):
        with pytest.raises(UsageError, match="budget must be"):
            arguments.above_zero(value, "budget")
    for value in (0, 0.5, "2", [2]):
        with pytest.raises(UsageError, match="jobs must be"):
            arguments.whole_number(value, "jobs", 1)


def test_devices() -> None:
    """Those of the command line; another is answered with them."""
    assert arguments.device("cuda") == "cuda"
    for value in ("gpu", None):
        with pytest.raises(UsageError, match="known: auto, cpu, cuda"):
            arguments.device(value)
