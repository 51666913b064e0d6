"""The figures of a suite, as the bytes of their files.

A file of this folder whose name has no leading underscore is a kind of figure: its function
``draw`` gives figures by the end of their names, empty for a single figure.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, ModuleType

from tqdm import tqdm

from bench_uq.report.figures._style import FORMATS, rendered, styled
from bench_uq.report.looks import Look, looks
from bench_uq.report.paper import PAPER, Paper
from bench_uq.report.processes import in_processes
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import slug

#: Images by dataset and file name.
Known = dict[tuple[str, str], bytes]


class _Bar(tqdm):
    """A bar without the thread that watches over bars: a process with threads cannot be forked."""

    monitor_interval = 0


@dataclass(frozen=True)
class Kind:
    """A kind of figures: its name, and the module that draws it."""

    name: str
    module: ModuleType

    @property
    def across_datasets(self) -> bool:
        """Whether it shows a whole suite, not one dataset."""
        return getattr(self.module, "ACROSS_DATASETS", False)

    def ends(self, analysis: Analysis) -> list[str]:
        """The ends of its figures' names, if it draws them one by one; else one that is empty."""
        own = getattr(self.module, "ends", None)
        return [""] if own is None else list(own(analysis))


@dataclass(frozen=True)
class Drawing:
    """A kind of figures of a dataset, empty for all, or a single one of them by its end."""

    dataset: str
    analysis: Analysis
    kind: Kind
    end: str = ""

    @property
    def name(self) -> str:
        """A name that no other drawing of a report has."""
        return "|".join((self.dataset, self.kind.name, self.end))


def kinds() -> list[Kind]:
    """All kinds of figures, by name."""
    found = []
    for info in pkgutil.iter_modules(__path__):
        if not info.name.startswith("_"):
            module = importlib.import_module(f"{__name__}.{info.name}")
            found.append(Kind(info.name.replace("_", "-"), module))
    return found


def draw(
    analysis: Analysis, formats: Iterable[str] = tuple(FORMATS), paper: Paper = PAPER
) -> Known:
    """Draw every figure, by its dataset, empty for all, and file name."""
    images = Known()
    for own in draw_each(analysis, drawings_of(analysis), formats, paper).values():
        images |= own
    return images


def draw_each(
    analysis: Analysis,
    drawings: Sequence[Drawing],
    formats: Iterable[str],
    paper: Paper = PAPER,
    known: Mapping[str, Known] = MappingProxyType({}),
) -> dict[str, Known]:
    """The images of each drawing by its name; ``known`` ones are not drawn again."""
    formats = tuple(formats)  # an iterator would be used up by the first figure
    # A method looks the same in all figures, even if some of them show fewer methods.
    method_looks = looks(analysis.results)
    due = [one for one in drawings if one.name not in known]

    def images_of(index: int) -> Known:
        return _images_of(due[index], method_looks, formats, paper)

    # A log would hold a line for each step of the bar.
    quiet = not sys.stderr.isatty()
    work = in_processes(images_of, len(due))
    bar = _Bar(
        work, "figures", len(due), disable=quiet, file=sys.stderr, dynamic_ncols=True, delay=1
    )
    found = dict(known)
    for one, images in zip(due, bar, strict=True):
        found[one.name] = images
    return {one.name: found[one.name] for one in drawings}


def drawings_of(analysis: Analysis) -> list[Drawing]:
    """All that is to be drawn of a suite, in the order in which figures are listed."""
    every, found = kinds(), list[Drawing]()
    for dataset in analysis.datasets:
        own = analysis.on(dataset)
        for kind in every:
            if not kind.across_datasets:
                found += [Drawing(dataset, own, kind, end) for end in kind.ends(own)]

    for kind in every:
        if kind.across_datasets:
            found.append(Drawing("", analysis, kind))
    return found


def _images_of(
    one: Drawing, method_looks: Mapping[str, Look], formats: Iterable[str], paper: Paper
) -> Known:
    """The figures of a drawing, by their dataset and file name."""
    images = {}
    # Saving needs the style too: fonts and ids are those of the settings at that time.
    with styled(paper):
        only = {"only": one.end} if one.end else {}
        for end, figure in one.kind.module.draw(one.analysis, method_looks, **only).items():
            parts = (slug(one.dataset), one.kind.name, slug(end))
            name = "-".join(filter(None, parts))

            for (panel, suffix), image in rendered(figure, formats).items():
                file = "-".join(filter(None, (name, panel)))
                images[one.dataset, f"{file}.{suffix}"] = image
    return images
