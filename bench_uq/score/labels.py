"""Labels and file names from names in results."""

from __future__ import annotations

import hashlib
import re

from bench_uq.api.errors import UsageError
from bench_uq.api.names import parse
from bench_uq.store.about import About

#: Signs behind the name of a score, by its direction.
ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}

#: The option that distinguishes the members of a family, such as the corruptions.
KIND = "kind"


def counted(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def in_words(heading: str) -> str:
    """The heading of a score within a sentence."""
    words = []
    for word in heading.split():
        # An abbreviation, such as NLL, keeps its capitals, and so does a person.
        words.append(word if word.isupper() or word == "Brier" else word.lower())
    return " ".join(words)


def family(condition: str) -> str:
    """Name that all kinds of a condition share: its own, without the option ``kind``."""
    plain, options = _parsed(condition)
    if KIND not in options:
        return condition

    rest = [f"{name}={value}" for name, value in options.items() if name != KIND]
    if not rest:
        return plain
    return f"{plain}[{','.join(rest)}]"


def kind(condition: str) -> str:
    """Kind of a condition within its family; canonical names leave the default out."""
    return _parsed(condition)[1].get(KIND, "the default")


def _parsed(condition: str) -> tuple[str, dict[str, str]]:
    """Plain name and options of a condition."""
    try:
        return parse(condition)
    except UsageError:
        # Results that were made elsewhere may have any name.
        return condition, {}


def level_name(condition: str, about: About) -> str:
    """Name of a condition's level on an axis."""
    # Plugins choose these names, and fonts and LaTeX do not have every letter.
    return printable(about.of(condition).level_name, keep="ε")


def level_unit(condition: str, about: About) -> str:
    """Name of a condition's level, with its unit."""
    facts = about.of(condition)
    unit = printable(facts.unit)
    if facts.search is not None and facts.search.norm == "l2":
        unit = f"L2 norm, {unit}"
    name = level_name(condition, about)
    return f"{name} ({unit})" if unit else name


def slug(name: str, *, dots: bool = True, reserved: bool = False) -> str:
    """Name made of [a-z0-9-], and of dots if wanted; a changed or reserved one ends in its hash."""
    others = r"[^a-z0-9.]+" if dots else r"[^a-z0-9]+"
    plain = re.sub(others, "-", name.lower()).strip("-.")
    if plain == name and not reserved:
        return plain

    # Names that differ in other signs alone must not share a file.
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{plain[:48]}-{digest}".strip("-")


def printable(name: str, keep: str = "") -> str:
    """ASCII text: letters that are not in ``keep`` become codes, such as ``\\xe9``."""
    letters = []
    for letter in name:
        if letter in keep or (letter.isascii() and letter.isprintable()):
            letters.append(letter)
        else:
            letters.append(letter.encode("unicode_escape").decode("ascii"))
    return "".join(letters)
