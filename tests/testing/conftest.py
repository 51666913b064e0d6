"""Plugins that keep every requirement, as text to change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Sound = Callable[..., str]


@pytest.fixture(scope="session")
def sound() -> Sound:
    """A function that gives the text of a sound plugin after replacements (old, new)."""

    def text(kind: str, *changes: tuple[str, str]) -> str:
        found = (Path(__file__).parent / "sound" / f"{kind}.py").read_text()
        for old, new in changes:
            assert old in found, old
            found = found.replace(old, new)
        return found

    return text
