"""The paper that figures are printed on: their widths, and whether each panel has a file."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench_uq.api.errors import UsageError, unknown

#: Widths in inches: one column of a paper, and its whole page.
COLUMN, PAGE = 3.4, 7.0
#: Widths in centimetres that a user may ask for; names need the narrowest.
NARROWEST, WIDEST = 8.0, 40.0
_INCH = 2.54
_NAMED = {"column": COLUMN, "page": PAGE}


@dataclass(frozen=True)
class Paper:
    """The widths in inches that figures are printed at; with ``panels`` a file holds one panel."""

    column: float = COLUMN
    page: float = PAGE
    panels: bool = False


#: Each figure at the width that suits it.
PAPER = Paper()


def read_paper(width: str | float = "", *, panels: bool = False) -> Paper:
    """The paper of a width: column, page, centimetres, or empty for what suits each figure.

    Panels with files of their own are as wide as a column, if nothing else is asked for.
    """
    if width == "":
        return Paper(page=COLUMN, panels=True) if panels else PAPER
    if isinstance(width, str) and width in _NAMED:
        return Paper(_NAMED[width], _NAMED[width], panels)

    try:
        centimetres = float(width)
    except ValueError:
        raise unknown("width", str(width), (*_NAMED, "a number of centimetres")) from None
    if not (math.isfinite(centimetres) and NARROWEST <= centimetres <= WIDEST):
        raise UsageError(
            f"width {width} is not from {NARROWEST:g} to {WIDEST:g} centimetres, column or page"
        )
    return Paper(centimetres / _INCH, centimetres / _INCH, panels)
