"""What the user calls a model, its data and what it was shown -> canonical names; a name of the user's own is fine."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import NAME, plain_name
from bench_uq.plan.plugins import Plugins

#: From which likeness on a name counts as a known one misspelt.
LIKE = 0.75
#: Conditions that mean something else in the results.
RESERVED = ("clean", "train")


@dataclass(frozen=True)
class Named:
    """A dataset or condition by its names in results, with the plugin where bench-uq has one."""

    name: str
    full: str
    kind: str  # of a condition "clean", "condition" or "unseen"
    level: float | None = None
    value: Any = None


@dataclass(frozen=True)
class Names:
    """The known names; ``new`` where a name that resembles one of them is meant as it is written."""

    plugins: Plugins
    new: bool

    def method(self, text: str) -> str:
        """Return the name of a model: none of bench-uq's methods."""
        checked("model", text)
        if text in self.plugins.names("method"):
            raise UsageError(f"{text!r} is a method of bench-uq: choose another --name")
        return text

    def dataset(self, text: str, kind: str = "dataset") -> Named:
        """Return a dataset of bench-uq in its canonical spelling, or the user's own."""
        known = self.plugins.names("dataset")
        if plain_name(text) in known:
            spec = self.plugins.spec("dataset", text)
            return Named(spec.name, spec.full, kind, value=spec.value)
        if NAME.fullmatch(plain_name(text)) and (
            text != plain_name(text) or self.resembles(text, known)
        ):
            new = "" if text != plain_name(text) else "; --new-dataset if it is data of your own"
            raise UsageError(f"{unknown('dataset', plain_name(text), known)}{new}")
        return Named(checked("dataset", text), text, kind)

    def unseen(self, text: str) -> Named:
        """Return unseen data: a dataset that is no condition."""
        if text in RESERVED or plain_name(text) in self.plugins.names("condition"):
            raise UsageError(f"{text!r} is no name for unseen data")
        return self.dataset(text, "unseen")

    def condition(self, text: str, level: float | None) -> Named:
        """Return what a model was shown: clean data, an attack or shift with its level, or unseen data."""
        if level is not None and not (math.isfinite(level) and level >= 0):
            raise UsageError(f"--level must be finite and at least 0, not {level}")
        known = self.plugins.names("condition")
        if text == "clean" or plain_name(text) in self.plugins.names("dataset"):
            if level is not None:
                raise UsageError(f"--condition {text} has no --level")
            return Named(text, text, "clean") if text == "clean" else self.unseen(text)
        if plain_name(text) in known:
            spec = self.plugins.spec("condition", text)
            found = Named(spec.name, spec.full, "condition", level, spec.value)
        elif NAME.fullmatch(plain_name(text)) and (
            text != plain_name(text) or self.resembles(text, known)
        ):
            raise unknown("condition", text, ["clean", *known, *self.plugins.names("dataset")])
        else:
            found = Named(checked("condition", text), text, "condition", level)
        if level is None or text in RESERVED:
            raise UsageError(
                f"--condition {text} needs a --level (unseen data of your own: --unseen {text}=FILE)"
            )
        return Named(found.name, found.full, "condition", level + 0.0)  # -0.0 is 0.0

    def resembles(self, text: str, known: list[str]) -> bool:
        """Return whether a name is so near to a known one that it is taken for it misspelt."""
        return not self.new and bool(difflib.get_close_matches(text, known, n=1, cutoff=LIKE))


def checked(kind: str, text: str) -> str:
    """Return a name that is one."""
    if not NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} is no name for a {kind}: letters a-z, digits, '.', '_' and '-', at most 64"
        )
    return text


def named_file(text: str) -> tuple[str, Path]:
    """Split NAME=FILE at the first equals sign outside of brackets."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "=" and depth == 0 and text[:place].strip() and text[place + 1 :].strip():
            return text[:place].strip(), Path(text[place + 1 :])
    raise UsageError(f"--unseen takes NAME=FILE, not {text!r}")
