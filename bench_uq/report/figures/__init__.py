"""The figures of a suite, as the bytes of their files.

A file of this folder whose name has no leading underscore is a kind of figure: its function
``draw`` gives figures by the end of their names, empty for a single figure.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

from bench_uq.report.figures._style import FORMATS, rendered, styled
from bench_uq.report.looks import Look, looks
from bench_uq.report.processes import in_processes
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import slug


@dataclass(frozen=True)
class Kind:
    """A kind of figures: its name, and the module that draws it."""

    name: str
    module: ModuleType

    @property
    def across_datasets(self) -> bool:
        """Whether it shows a whole suite, not one dataset."""
        return getattr(self.module, "ACROSS_DATASETS", False)


def kinds() -> list[Kind]:
    """All kinds of figures, by name."""
    found = []
    for info in pkgutil.iter_modules(__path__):
        if not info.name.startswith("_"):
            module = importlib.import_module(f"{__name__}.{info.name}")
            found.append(Kind(info.name.replace("_", "-"), module))
    return found


def draw(
    analysis: Analysis, formats: Iterable[str] = tuple(FORMATS)
) -> dict[tuple[str, str], bytes]:
    """Draw every figure, by its dataset, empty for all, and file name."""
    formats = tuple(formats)  # an iterator would be used up by the first figure
    # A method looks the same in all figures, even if some of them show fewer methods.
    method_looks = looks(analysis.results)
    drawings = list(_drawn(analysis))

    def images_of(index: int) -> dict[tuple[str, str], bytes]:
        dataset, own, kind = drawings[index]
        return _drawing(dataset, own, kind, method_looks, formats)

    images = dict[tuple[str, str], bytes]()
    for found in in_processes(images_of, len(drawings)):
        images |= found
    return images


def _drawing(
    dataset: str,
    analysis: Analysis,
    kind: Kind,
    method_looks: Mapping[str, Look],
    formats: Iterable[str],
) -> dict[tuple[str, str], bytes]:
    """The figures of one kind, by their dataset and file name."""
    images = {}
    # Saving needs the style too: fonts and ids are those of the settings at that time.
    with styled():
        for end, figure in kind.module.draw(analysis, method_looks).items():
            parts = (slug(dataset), kind.name, slug(end))
            name = "-".join(filter(None, parts))

            for suffix, image in rendered(figure, formats).items():
                images[dataset, f"{name}.{suffix}"] = image
    return images


def _drawn(analysis: Analysis) -> Iterator[tuple[str, Analysis, Kind]]:
    """Each dataset, empty for all, its analysis, and a kind of figures to draw of it."""
    every = kinds()
    for dataset in analysis.datasets:
        for kind in every:
            if not kind.across_datasets:
                yield dataset, analysis.on(dataset), kind

    for kind in every:
        if kind.across_datasets:
            yield "", analysis, kind
