"""Text, names and numbers as LaTeX, and about how wide they are."""

from __future__ import annotations

from collections.abc import Iterable

from bench_uq.report.tables.captions import wrap
from bench_uq.report.tables.table import Cell
from bench_uq.score.labels import printable
from bench_uq.score.results import Seeds

#: Points that letters take in 8 point type, and smaller and bold type as a share of that. LaTeX
#: alone knows the widths, and a report must not need it: these are close to Computer Modern's.
_NARROW, _WIDE, _DIGIT, _LOWER, _OTHER = 2.4, 7.1, 4.25, 4.4, 6.6
_SMALL, _BOLD = 0.94, 1.15

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\`{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"$^\dagger$",
    "–": "--",
    "ε": r"$\epsilon$",
    "∞": r"$\infty$",
    "\0": "{}",
}
_ESCAPES = str.maketrans(_SPECIAL)


def escape(text: str) -> str:
    """Escape text so that LaTeX shows it letter by letter; letters its fonts lack become codes."""
    shown = printable(text, keep="".join(_SPECIAL))
    # Two dashes in a row would become one long dash; twice, because matches do not overlap.
    parted = shown.replace("--", "-\0-").replace("--", "-\0-")
    return parted.translate(_ESCAPES)


def name_lines(method: str, width: int, seeds: Seeds) -> list[str]:
    """The lines of a method's name, with a dagger behind it if some runs had not converged."""
    first, *more = map(escape, wrap(method, width))
    # A bracket or star would be read as an argument of the row end above.
    if first.startswith(("[", "*")):
        first = "{}" + first
    lines = [first, *(rf"\quad {line}" for line in more)]
    # Behind the whole name: a dagger in its midst would be read as part of it.
    if seeds.marked:
        lines[-1] += escape("†")
    return lines


def cell_text(cell: Cell) -> str:
    """A mean and its spread as two close columns, so that numbers align."""
    if not cell.mean and not cell.values:
        return r"\multicolumn{2}{c}{--}"
    mean = number(cell.mean) or "--"
    if cell.best:
        mean = rf"\textbf{{{mean}}}"
    elif cell.worse:
        mean = rf"\textit{{{mean}}}"

    spread = _spread(cell)
    if not spread:
        return f"{mean} & "
    return rf"{mean} & {{\scriptsize\,{number(spread)}}}"


def ended(lines: Iterable[str]) -> list[str]:
    """The lines of a tabular, each with its end."""
    return [rf"    {line} \\" for line in lines]


def number(text: str) -> str:
    """A number, with a minus instead of a hyphen."""
    return escape(text).replace("-", "$-$")


def cell_width(cell: Cell) -> float:
    """About how many points a cell takes."""
    mean = measure(cell.mean)
    if cell.best:
        mean *= _BOLD
    return mean + _SMALL * measure(_spread(cell))


def _spread(cell: Cell) -> str:
    """The spread of a mean, and its number of values if some seeds lack it."""
    # The column begins with a thin space, so that the sign needs none on either side.
    return cell.beside.replace(" ± ", "±", 1).lstrip()


def measure(text: str) -> float:
    """About how many points a text takes in 8 point type."""
    return sum(map(_letter_width, text))


def _letter_width(letter: str) -> float:
    """About how many points a letter takes."""
    for letters, points in ((".,:;'|![]()il ", _NARROW), ("mwMW", _WIDE), ("0123456789", _DIGIT)):
        if letter in letters:
            return points
    if letter.islower():
        return _LOWER
    return _OTHER
