"""Names of results as names of files and labels, and what levels and directions are called."""

from __future__ import annotations

import hashlib
import re

#: What stands behind the name of a score by its direction.
ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}
#: What the level of an attack is called; any other condition has a level.
LEVEL_NAMES = {"fgsm": "ε", "pgd": "ε", "transfer": "ε"}


def level_name(condition: str) -> str:
    """Return what the level of a condition is called on an axis."""
    return LEVEL_NAMES.get(condition.partition("[")[0], "level")


def level_unit(condition: str) -> str:
    """Return what the level of a condition is called, with its unit where it has one."""
    name = level_name(condition)
    return f"{name} (pixels in [0, 1])" if name == "ε" else name


def slug(name: str, *, dots: bool = True, reserved: bool = False) -> str:
    """Return a name of [a-z0-9-], and dots if wanted; one that had to change, or is reserved, ends in its hash."""
    plain = re.sub(r"[^a-z0-9.]+" if dots else r"[^a-z0-9]+", "-", name.lower()).strip("-.")
    if plain == name and not reserved:
        return plain
    return f"{plain[:48]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".strip("-")


def printable(name: str, keep: str = "") -> str:
    """Return text with ASCII letters and those in ``keep``; any other letter becomes its code, like ``\\xe9``."""
    return "".join(
        letter
        if letter in keep or (letter.isascii() and letter.isprintable())
        else letter.encode("unicode_escape").decode("ascii")
        for letter in name
    )
