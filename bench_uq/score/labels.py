"""Names of results as names of files and labels, and what families, levels and directions are
called.
"""

from __future__ import annotations

import hashlib
import re

from bench_uq.api.errors import UsageError
from bench_uq.api.names import parse
from bench_uq.store.about import About


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


#: What stands behind the name of a score by its direction.
ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}

#: What the level of an attack or shift is called; that of any other condition is its level.
LEVEL_NAMES = {
    **dict.fromkeys(("fgsm", "pgd", "transfer", "autoattack"), "ε"),
    "rotate": "angle",
    "translate": "shift",
    "corruption": "severity",
}

#: What levels are measured in.
LEVEL_UNITS = {"ε": "pixels in [0, 1]", "angle": "degrees", "shift": "share of the side"}

#: The option whose values are kinds of one thing, told as one.
KIND = "kind"


def family(condition: str) -> str:
    """Return the name that all kinds of a condition share: its own, without the option that tells
    them apart.
    """
    plain, options = _parsed(condition)
    rest = ",".join(f"{name}={value}" for name, value in options.items() if name != KIND)
    return condition if KIND not in options else f"{plain}[{rest}]" if rest else plain


def kind(condition: str) -> str:
    """Return which kind of its family a condition is; canonical names leave the default out."""
    return _parsed(condition)[1].get(KIND, "the default")


def _parsed(condition: str) -> tuple[str, dict[str, str]]:
    """Return the plain name and the options of a condition, none of one made elsewhere, whose name
    may be anything.
    """
    try:
        return parse(condition)
    except UsageError:
        return condition, {}


def level_name(condition: str, about: About | None = None) -> str:
    """Name of a condition's level on an axis."""
    if about is None:
        return LEVEL_NAMES.get(re.split(r"[\[ ]", condition)[0], "level")
    return about.of(condition).level_name


def level_unit(condition: str, about: About | None = None) -> str:
    """Name of a condition's level, with its unit."""
    name = level_name(condition, about)
    unit = LEVEL_UNITS.get(name, "")
    l2 = name == "ε" and "norm=l2" in condition
    if about is not None:
        facts = about.of(condition)
        unit, l2 = facts.unit, facts.search is not None and facts.search.norm == "l2"
    if l2:
        unit = f"L2 norm, {unit}"
    return f"{name} ({unit})" if unit else name


def slug(name: str, *, dots: bool = True, reserved: bool = False) -> str:
    """Return a name of [a-z0-9-], and dots if wanted; one that had to change, or is reserved, ends
    in its hash.
    """
    plain = re.sub(r"[^a-z0-9.]+" if dots else r"[^a-z0-9]+", "-", name.lower()).strip("-.")
    if plain == name and not reserved:
        return plain
    return f"{plain[:48]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".strip("-")


def printable(name: str, keep: str = "") -> str:
    """Return text with ASCII letters and those in ``keep``; any other letter becomes its code, like
    ``\\xe9``.
    """
    return "".join(
        letter
        if letter in keep or (letter.isascii() and letter.isprintable())
        else letter.encode("unicode_escape").decode("ascii")
        for letter in name
    )
