"""A colour, marker and line for each method, the same in all figures and on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench_uq.score.results import Results


@dataclass(frozen=True)
class Look:
    """How the lines of one method are drawn."""

    color: str
    marker: str
    linestyle: Any = "-"


#: Okabe and Ito's colours, which colour-blind readers can distinguish.
_FIRST = (
    Look("#000000", "o"),
    Look("#e69f00", "s"),
    Look("#0072b2", "^"),
    Look("#009e73", "D"),
    Look("#d55e00", "v"),
)
#: Their other colours and some of Tol's muted ones. The numbers of colours, marks and dashes share
#: no factor, so that many methods differ.
_COLORS = ("#cc79a7", "#56b4e9", "#882255", "#999933", "#332288", "#8c564b", "#7f7f7f")
_MARKERS = ("P", "X", "<", ">", "p", "*", "h", "d")
_DASHES = ("--", "-.", (0, (1, 1)), (0, (4, 1, 1, 1, 1, 1)), (0, (6, 2)))


def looks(results: Results) -> dict[str, Look]:
    """The look of each method of a suite.

    The first positions have looks of their own, in every suite; other methods take the next free.
    """
    found: dict[str, Look] = {}
    others = []
    # A report of some methods counts those that it leaves out too, or its colours would be others
    # than those of the report of the whole suite.
    for name in sorted(results.siblings or results.methods):
        position = results.about.methods.get(name, len(_FIRST))
        # Two plugins may ask for the same position: the second takes a free look.
        if position < len(_FIRST) and _FIRST[position] not in found.values():
            found[name] = _FIRST[position]
        else:
            others.append(name)

    for place, name in enumerate(others):
        found[name] = Look(_COLORS[place % 7], _MARKERS[place % 8], _DASHES[place % 5])
    return found
