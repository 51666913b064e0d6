"""Every figure of a suite, as the bytes of its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from matplotlib.figure import Figure

from bench_uq.report.figures import (
    bands as bands_figure,
)
from bench_uq.report.figures import (
    cost as cost_figure,
)
from bench_uq.report.figures import (
    entropy as entropy_figures,
)
from bench_uq.report.figures import (
    examples as examples_figure,
)
from bench_uq.report.figures import (
    inputs as inputs_figure,
)
from bench_uq.report.figures import (
    levels as levels_figures,
)
from bench_uq.report.figures import (
    ranks as ranks_figure,
)
from bench_uq.report.figures import (
    refusal as refusal_figure,
)
from bench_uq.report.figures import (
    reliability as reliability_figure,
)
from bench_uq.report.figures import (
    rotation as rotation_figure,
)
from bench_uq.report.figures import (
    selective as selective_figures,
)
from bench_uq.report.figures import (
    training as training_figure,
)
from bench_uq.report.figures.style import FORMATS, Look, looks, rendered, styled
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import slug

#: Draws the figures of one kind, by what their names end in: nothing where there is but one.
Kind = Callable[[Analysis, Mapping[str, Look]], dict[str, Figure]]


def single(draw: Callable[[Analysis, Mapping[str, Look]], Figure | None]) -> Kind:
    """Return what draws one figure, or none, as a kind of figures."""

    def figures(analysis: Analysis, method_looks: Mapping[str, Look]) -> dict[str, Figure]:
        figure = draw(analysis, method_looks)
        return {} if figure is None else {"": figure}

    return figures


#: What is drawn of each dataset; a figure whose curves or scores are not there is not made.
FIGURES: dict[str, Kind] = {
    "entropy-histogram": single(entropy_figures.histogram),
    "entropy-ecdf": single(entropy_figures.ecdf),
    "reliability": single(reliability_figure.draw),
    "risk-coverage": single(selective_figures.risk_coverage),
    "accuracy-confidence": single(selective_figures.accuracy_confidence),
    "refusal": refusal_figure.draw,
    "levels": levels_figures.draw,
    "rotation": rotation_figure.draw,
    "bands": single(bands_figure.draw),
    "examples": single(examples_figure.draw),
    "inputs": single(inputs_figure.draw),
    "cost": single(cost_figure.draw),
    "training": single(training_figure.draw),
}
#: What is drawn of a whole suite.
ACROSS: dict[str, Kind] = {"ranks": single(ranks_figure.draw)}


def draw(
    analysis: Analysis, formats: Iterable[str] = tuple(FORMATS)
) -> dict[tuple[str, str], bytes]:
    """Return every figure by its dataset, empty for all, and file name; a method looks the same in all of them."""
    images, formats = {}, tuple(formats)
    parts = [(dataset, analysis.on(dataset), FIGURES) for dataset in analysis.datasets]
    for dataset, own, kinds in [*parts, ("", analysis, ACROSS)]:
        for kind, figures_of in kinds.items():
            with styled():
                for end, figure in figures_of(
                    own, looks(analysis.results.siblings or analysis.methods)
                ).items():
                    name = "-".join(
                        filter(None, [dataset and slug(dataset), kind, end and slug(end)])
                    )
                    for suffix, image in rendered(figure, formats).items():
                        images[dataset, f"{name}.{suffix}"] = image
    return images
