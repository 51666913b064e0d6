"""Every figure of a suite, as the bytes of its files."""

from __future__ import annotations

from bench_uq.report import attack_figure, bands_figure, entropy_figures, reliability_figure, training_figure
from bench_uq.report.frames import Results
from bench_uq.report.names import slug
from bench_uq.report.style import looks, rendered, styled

#: What is drawn of each dataset; a figure whose curves or scores are not there is not made.
FIGURES = {
    "entropy-histogram": entropy_figures.histogram,
    "entropy-ecdf": entropy_figures.ecdf,
    "reliability": reliability_figure.draw,
    "bands": bands_figure.draw,
    "attack": attack_figure.draw,
    "training": training_figure.draw,
}


def draw(results: Results) -> dict[tuple[str, str], bytes]:
    """Return every figure by its dataset and file name; a method looks the same in all of them."""
    images = {}
    method_looks = looks(results.methods)
    for dataset in results.datasets:
        for kind, figure_of in FIGURES.items():
            with styled():
                figure = figure_of(results.on(dataset), method_looks)
                if figure is not None:
                    for suffix, image in rendered(figure).items():
                        images[dataset, f"{slug(dataset)}-{kind}.{suffix}"] = image
    return images
