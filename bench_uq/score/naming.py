"""Names of methods, datasets and conditions as readers see them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from bench_uq.api.errors import UsageError
from bench_uq.api.names import parse, plain_name, quoted
from bench_uq.plan.plugins import PACKAGES
from bench_uq.plan.sources import title_of_installed
from bench_uq.plan.suite import check_label


@dataclass(frozen=True)
class Names:
    """Titles by plain or whole name; a name without a title is shown as it is.

    ``spelled`` are the names whose short form another name has too.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    spelled: frozenset[str] = frozenset()

    def of(self, name: str) -> str:
        """The name that readers see."""
        if name in self.titles:
            return self.titles[name]

        # A mean over kinds has a name that reports make of that of a condition.
        rest = ""
        if " (mean of " in name:
            name, joint, end = name.partition(" (mean of ")
            rest = joint + end
        try:
            plain, options = parse(name)
        except UsageError:
            return name + rest
        if plain not in self.titles:
            return name + rest

        said = [self._option(name, option, value) for option, value in options.items()]
        title = self.titles[plain]
        if said:
            title += f" ({', '.join(said)})"
        return title + rest

    def _option(self, name: str, option: str, value: str) -> str:
        """An option in brackets: a word tells by itself which it is, a number does not."""
        if name in self.spelled or not value[:1].isalpha() or value == "inf":
            return f"{option}={value}"
        return self.of(value)


def names_of(names: Iterable[str], titles: Mapping[str, str], given: Collection[str] = ()) -> Names:
    """How some names are shown, each in another way, but for titles that a user has ``given``."""
    names = list(names)
    short = Names(titles)
    counts = Counter(map(short.of, names))
    alike = frozenset(name for name in names if counts[short.of(name)] > 1)
    long = Names(titles, alike)

    # Two plugins may have the same title: then the names tell them apart.
    counts = Counter(map(long.of, names))
    kept = {name: name for name in names if counts[long.of(name)] > 1 and name not in given}
    return Names({**titles, **kept}, alike)


def read_labels(texts: Iterable[str]) -> dict[str, str]:
    """Labels by name, from texts of the form NAME=TEXT; a name may have options in brackets."""
    found = {}
    for text in texts:
        # The options of a name hold equals signs too.
        match = re.fullmatch(r"([^=\[\]]+(?:\[.*\])?)=(.*)", text)
        if not match:
            raise UsageError(f"{quoted(text)} is not of the form NAME=TEXT, such as my-method=Mine")
        check_label(match[1], match[2])
        found[match[1]] = match[2]
    return found


def read_levels(texts: Iterable[str]) -> dict[str, float]:
    """Levels by condition, from texts of the form CONDITION=LEVEL."""
    found = {}
    for text in texts:
        # The options of a name hold equals signs too.
        match = re.fullmatch(r"([^=\[\]]+(?:\[.*\])?)=([^=]+)", text)
        try:
            level = float(match[2]) if match else math.nan
        except ValueError:
            level = math.nan
        if not match or not math.isfinite(level):
            raise UsageError(f"{text!r} is not of the form CONDITION=LEVEL, such as fgsm=0.1")
        found[match[1]] = level
    return found


def shipped_titles(kinds: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Titles of installed plugins by plain name; ``kinds`` are names by kind of plugin."""
    found = {}
    for kind, names in kinds.items():
        for plain in {plain_name(name) for name in names}:
            title = title_of_installed(plain, PACKAGES[kind])
            if title:
                found[plain] = title
    return found
