"""A colour, marker and line for each method, the same in all figures and on the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Look:
    """How the lines of one method are drawn."""

    color: str
    marker: str
    linestyle: Any = "-"


#: Okabe and Ito's colours, which colour-blind readers can distinguish.
_FIRST = {
    "map": Look("#000000", "o"),
    "dropout": Look("#e69f00", "s"),
    "ensemble": Look("#0072b2", "^"),
    "mean-field": Look("#009e73", "D"),
    "mnf": Look("#d55e00", "v"),
}
#: Their other colours and some of Tol's muted ones, with marks and dashes whose numbers share no
#: factor.
_COLORS = ("#cc79a7", "#56b4e9", "#882255", "#999933", "#332288", "#8c564b", "#7f7f7f")
_MARKERS = ("P", "X", "<", ">", "p", "*", "h", "d")
_DASHES = ("--", "-.", (0, (1, 1)), (0, (4, 1, 1, 1, 1, 1)), (0, (6, 2)))


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """The look of each method of a suite: its own for the known five, the next free for others."""
    found = dict(_FIRST)
    for place, name in enumerate(sorted(set(methods) - set(_FIRST))):
        found[name] = Look(_COLORS[place % 7], _MARKERS[place % 8], _DASHES[place % 5])
    return found
