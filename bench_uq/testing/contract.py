"""The subject of a check, a plugin or a network, and the ways in which a check can end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_uq.plan.plugins import Plugins, Spec


class Broken(AssertionError):
    """A requirement that does not hold."""


class Note(Exception):
    """A remark for the author; no failure."""


class NotReached(Exception):
    """Another requirement, whose own check reports it, keeps this check from running."""


def require(holds: object, words: str) -> None:
    """Raise Broken unless a requirement holds; unlike ``assert`` under ``python -O`` too."""
    if not holds:
        raise Broken(words)


@dataclass(frozen=True)
class Target:
    """A plugin, or the file of a network, to check."""

    kind: str
    name: str
    file: Path  # its source; __init__.py of a folder
    plugins: Plugins
    root: Path  # of the data
    spec: Spec | None = None  # None for a network

    @property
    def value(self) -> Any:
        """The Method, Dataset, Condition or Metric."""
        assert self.spec is not None
        return self.spec.value

    def holds(self, file: str) -> bool:
        """Whether a file is part of the plugin's source."""
        # Tracebacks name files as they were imported, perhaps through a link.
        own, other = self.file.resolve(), Path(file).resolve()
        if own.name == "__init__.py":
            return own.parent in other.parents
        return own == other
