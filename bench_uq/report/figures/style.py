"""The one visual language of all figures: type, sizes, and a colour, marker and line for each method."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from bench_uq.score.labels import printable

#: Widths in inches: one column of a paper, and its whole page.
COLUMN, PAGE = 3.4, 7.0

_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "#dddddd",
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markeredgewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",  # text looks the same wherever it is opened
    "svg.hashsalt": "bench-uq",
    "savefig.dpi": 200,
    "text.parse_math": False,  # a name may hold a dollar sign
}

#: The formats of a figure, and the metadata that would tell when or by what it was made.
FORMATS: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}

#: Options of something drawn, as keywords.
Options = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """How the lines of one method are drawn."""

    color: str
    marker: str
    linestyle: Any = "-"


#: Okabe and Ito's colours, which colour-blind readers can tell apart.
_FIRST = {
    "map": Look("#000000", "o"),
    "dropout": Look("#e69f00", "s"),
    "ensemble": Look("#0072b2", "^"),
    "mean-field": Look("#009e73", "D"),
    "mnf": Look("#d55e00", "v"),
}
#: Their other colours and some of Tol's muted ones, with marks and dashes whose numbers share no factor.
_COLORS = ("#cc79a7", "#56b4e9", "#882255", "#999933", "#332288", "#8c564b", "#7f7f7f")
_MARKERS = ("P", "X", "<", ">", "p", "*", "h", "d")
_DASHES = ("--", "-.", (0, (1, 1)), (0, (4, 1, 1, 1, 1, 1)), (0, (6, 2)))


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """Give each method of a suite its look: that of its own for the known five, the next free one for others."""
    others = sorted(set(methods) - set(_FIRST))
    free = {
        name: Look(_COLORS[place % 7], _MARKERS[place % 8], _DASHES[place % 5])
        for place, name in enumerate(others)
    }
    return {**_FIRST, **free}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in this language, whatever the settings of the process are, and leave those as they were."""
    with mpl.rc_context():
        mpl.rcdefaults()
        sns.set_theme(context="paper", style="ticks", palette=None, rc=_SETTINGS)
        yield


def rendered(figure: Figure, formats: Iterable[str] = tuple(FORMATS)) -> dict[str, bytes]:
    """Return a figure in some formats by their suffix, without dates or versions, so that the same is the same."""
    _lay_out(figure)
    images = {}
    for suffix in formats:
        with io.BytesIO() as image:
            figure.savefig(image, format=suffix, metadata=FORMATS[suffix])
            images[suffix] = image.getvalue()
    return images


def _lay_out(figure: Figure) -> None:
    """Place the panels once for all formats, rounded: the solver's last digits differ from run to run."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(Bbox(axes.get_position().get_points().round(6)))


def tidy(axes: Axes) -> None:
    """Take the upper and right frame away."""
    sns.despine(ax=axes)


def text(name: str) -> str:
    """Return a name as the fonts can show it; a leading underscore would hide it from legends."""
    return printable(f" {name}" if name.startswith("_") else name, keep="±↑↓†–ε∞≤")
