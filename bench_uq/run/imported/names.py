"""Canonical names for a user's model, data and conditions; unknown names are the user's own."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import NAME, check_name, convert, plain_name
from bench_uq.plan.plugins import Plugins
from bench_uq.store import HELD_OUT

#: Likeness from which on a name counts as a known name misspelt.
LIKE = 0.75

#: Conditions with another meaning in the results.
RESERVED = ("clean", "train", HELD_OUT)


@dataclass(frozen=True)
class Named:
    """A dataset or condition by its names in results, with its plugin if bench-uq has it."""

    name: str
    full: str
    kind: str  # of a condition "clean", "condition", "unseen" or "held-out"
    level: float | None = None
    value: Any = None


@dataclass(frozen=True)
class Names:
    """The known names; with ``new`` a name that resembles one of them is meant as it is."""

    plugins: Plugins
    new: bool

    def method(self, text: str) -> str:
        """Name of a model, which no method of bench-uq has."""
        check_name("model", text)
        if text in self.plugins.names("method"):
            raise UsageError(f"{text!r} is a method of bench-uq: choose another --name")
        return text

    def dataset(self, text: str, kind: str = "dataset") -> Named:
        """A dataset of bench-uq in its canonical spelling, or the user's own."""
        known = self.plugins.names("dataset")
        if plain_name(text) in known:
            spec = self.plugins.spec("dataset", text)
            return Named(spec.name, spec.full, kind, value=spec.value)

        if self.is_misspelt(text, known):
            new = "" if text != plain_name(text) else "; --new-dataset if it is data of your own"
            raise UsageError(f"{unknown('dataset', plain_name(text), known)}{new}")
        check_name("dataset", text)
        return Named(text, text, kind)

    def unseen(self, text: str) -> Named:
        """Out-of-distribution data: a dataset that is no condition."""
        # It would be mistaken for a condition in every table.
        if text in RESERVED or plain_name(text) in self.plugins.names("condition"):
            raise UsageError(f"{text!r} is no name for out-of-distribution data")
        return self.dataset(text, "unseen")

    def condition(self, text: str, written: str | None) -> Named:
        """Clean data, an attack or shift with its level, or out-of-distribution data."""
        level = None
        if written is not None:
            level = convert("--level", float, written)
        if level is not None and not (math.isfinite(level) and level >= 0):
            raise UsageError(f"--level must be finite and at least 0, not {level}")
        datasets = self.plugins.names("dataset")
        if text == "clean" or plain_name(text) in datasets:
            if level is not None:
                raise UsageError(f"--condition {text} has no --level")
            return Named(text, text, "clean") if text == "clean" else self.unseen(text)

        known = self.plugins.names("condition")
        name, full = text, text
        if plain_name(text) in known:
            spec = self.plugins.spec("condition", text)
            name, full = spec.name, spec.full
        elif self.is_misspelt(text, known):
            raise unknown("condition", text, ["clean", *known, *datasets])
        else:
            check_name("condition", text)

        if level is None or text in RESERVED:
            raise UsageError(
                f"--condition {text} needs a --level "
                f"(out-of-distribution data of your own: --unseen {text}=FILE)"
            )
        return Named(name, full, "condition", level)

    def is_misspelt(self, text: str, known: list[str]) -> bool:
        """Whether a text is probably meant as a known name: it has options, or is very like it."""
        if not NAME.fullmatch(plain_name(text)):
            return False
        if text != plain_name(text):
            return True
        return not self.new and bool(difflib.get_close_matches(text, known, n=1, cutoff=LIKE))


def named_file(text: str) -> tuple[str, Path]:
    """Split NAME=FILE at the first equals sign outside of brackets."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        name, file = text[:place].strip(), text[place + 1 :].strip()
        if letter == "=" and depth == 0 and name and file:
            return name, Path(file).expanduser()
    raise UsageError(f"--unseen takes NAME=FILE, not {text!r}")
