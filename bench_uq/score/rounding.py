"""How many digits a number is written with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median

import numpy as np

from bench_uq.score.summaries import Summary


def decimals(summaries: Iterable[Summary]) -> int:
    """The number of decimals of a column.

    The median spread keeps one or two significant digits; without spreads, three decimals. At
    least three digits of the largest mean stay, and at most four decimals unless it is tiny.
    """
    summaries = list(summaries)
    means = [abs(one.mean) for one in summaries if math.isfinite(one.mean) and one.mean != 0]
    spreads = [one.sd for one in summaries if math.isfinite(one.sd) and one.sd > 0]

    size = math.floor(math.log10(max(means, default=1)))
    wanted = 3 - max(size, 0)
    if spreads:
        # The rule of the Particle Data Group: two digits from 10 to 35, one from 36 to 99. The
        # spread is not rounded yet, and 35.5 would become 36.
        scale = math.floor(math.log10(median(spreads)))
        two_digits = median(spreads) < 3.55 * 10.0**scale
        wanted = -scale + two_digits
    return max(0, 2 - max(size, 0), min(wanted, max(4, 2 - size)))


def fixed(value: float, digits: int) -> str:
    """Write a number with that many decimals, commas in thousands, and no minus before a zero."""
    text = f"{value:,.{digits}f}".replace("inf", "∞")
    # A small negative number rounds to "-0.00".
    if not text.strip("-0."):
        return text.removeprefix("-")
    return text


def signed(value: float, digits: int) -> str:
    """Write a difference with its sign; zero, as rounded, has none."""
    text = fixed(value, digits)
    if value > 0 and text.strip("0.") and math.isfinite(value):
        return f"+{text}"
    return text


def plain(value: float, digits: int) -> str:
    """A number with that many digits, never as a power of ten."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")
