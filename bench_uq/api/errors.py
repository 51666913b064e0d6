"""Errors that a user can cause, told in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class Interrupted(BaseException):
    """The process was told to stop."""


class BenchUQError(Exception):
    """Base of the errors that bench-uq raises on purpose, with a message of one line."""


class UsageError(BenchUQError):
    """A mistake that the user can mend; the command line prints it in one line and exits with 2."""


class BadValue(UsageError, ValueError):
    """An argument of a Python function that holds a value that is not allowed."""


class MissingData(UsageError):
    """Files of a dataset are missing."""

    def __init__(self, dataset: str, expected: Iterable[Path]) -> None:
        paths = ", ".join(str(path) for path in expected)
        super().__init__(
            f"{dataset}: missing {paths} (set --data-dir or BENCH_UQ_DATA to the folder that holds "
            "the data; bench-uq prepare says what it can fetch)"
        )


def unknown(kind: str, name: str, known: Iterable[str], advice: str = "") -> UsageError:
    """Error for an unknown name: with the nearest known name, else ``advice``, and all names."""
    names = sorted(known)
    # Below 0.5 difflib suggests names that have only a few letters in common.
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else advice

    return UsageError(f"unknown {kind} {name!r}{hint} (known: {', '.join(names) or 'none'})")


def one_line(error: BaseException) -> str:
    """Type of an exception and the first line of its message, at most 500 characters."""
    # Some messages begin with an empty line, and some are empty.
    lines = str(error).strip().splitlines()
    # The type too, because the message of a KeyError, for example, is a bare name.
    return ": ".join([type(error).__name__, *lines[:1]])[:500]
