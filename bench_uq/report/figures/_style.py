"""The type, sizes and file formats of all figures."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from bench_uq.report.figures._panels import each_panel
from bench_uq.report.paper import PAPER, Paper
from bench_uq.score.labels import printable

_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    # It comes with matplotlib, so that the widths of letters are the same on every machine.
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
    # TrueType: several publishers refuse PDF files with the default, Type 3.
    "pdf.fonttype": 42,
    # Text looks the same wherever it is opened.
    "svg.fonttype": "path",
    # Ids of clip paths and markers are random without it.
    "svg.hashsalt": "bench-uq",
    "savefig.dpi": 200,
    # A name may hold a dollar sign.
    "text.parse_math": False,
}

#: The formats of a figure, without the metadata that say when or by what it was made.
FORMATS: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}

#: Options of something drawn, as keywords.
Options = dict[str, Any]


_CHOSEN = ContextVar("_CHOSEN", default=PAPER)


def paper() -> Paper:
    """The paper that is drawn for."""
    return _CHOSEN.get()


@contextmanager
def styled(chosen: Paper = PAPER) -> Iterator[None]:
    """Draw in this style for a paper, and leave the settings of the process as they were."""
    before = _CHOSEN.set(chosen)
    try:
        with mpl.rc_context():
            # A user's matplotlibrc must not change a figure.
            mpl.rcdefaults()
            sns.set_theme(context="paper", style="ticks", palette=None, rc=_SETTINGS)
            yield
    finally:
        _CHOSEN.reset(before)


def rendered(figure: Figure, formats: Iterable[str]) -> dict[tuple[str, str], bytes]:
    """A figure in some formats, by the end of the file's name and suffix.

    The end is empty but for panels with a file of their own. Files hold no dates or versions: equal
    figures, equal bytes.
    """
    _lay_out(figure)
    formats = tuple(formats)
    if not paper().panels:
        return {("", suffix): _saved(figure, suffix) for suffix in formats}

    images = {}
    for end, box in each_panel(figure):
        for suffix in formats:
            images[end, suffix] = _saved(figure, suffix, box)
    return images


def _saved(figure: Figure, suffix: str, box: Bbox | None = None) -> bytes:
    """A figure in a format, or the part of it in a box in inches."""
    with io.BytesIO() as image:
        figure.savefig(image, format=suffix, metadata=FORMATS[suffix], bbox_inches=box)
        return image.getvalue()


def _lay_out(figure: Figure) -> None:
    """Place the panels once for all formats."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    # Without an engine savefig moves nothing any more.
    figure.set_layout_engine("none")

    # Rounded: the solver's last digits differ from run to run.
    for axes in figure.axes:
        axes.set_position(Bbox(axes.get_position().get_points().round(6)))


def tidy(axes: Axes) -> None:
    """Remove the upper and right frame."""
    sns.despine(ax=axes)


def text(name: str) -> str:
    """A name as the fonts can show it; a leading underscore would hide it from legends."""
    return printable(f" {name}" if name.startswith("_") else name, keep="±↑↓†–ε∞≤")
