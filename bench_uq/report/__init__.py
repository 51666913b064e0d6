"""Tables, figures, a page and a summary of a suite, from its derived files alone; loads neither torch nor netcal."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bench_uq.errors import UsageError, unknown
from bench_uq.store import write_bytes

if TYPE_CHECKING:
    from bench_uq.report.frames import Results

__all__ = ["FIGURES", "FORMATS", "contents", "write"]

#: The formats of figures, and all that a report can be written in.
FIGURES = ("pdf", "png", "svg")
FORMATS = ("latex", "markdown", "html", *FIGURES)


def write(
    suite: Path,
    target: Path,
    *,
    formats: Collection[str] = FORMATS,
    methods: Collection[str] = (),
    datasets: Collection[str] = (),
    metrics: Collection[str] = (),
    title: str = "",
) -> list[Path]:
    """Write the report of the results in ``suite`` to ``target`` and return its files; an error leaves none behind.

    Of some methods, datasets and metrics alone where these are given; ``title`` stands in place of the suite's name.
    """
    from dataclasses import replace

    from bench_uq.report.frames import read, select

    for name in formats:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)
    results = replace(select(read(suite), methods=methods, datasets=datasets, metrics=metrics), title=title)
    files = contents(results, formats)
    try:
        for name, content in sorted(files.items()):
            write_bytes(target / name, content)
    except OSError as error:
        raise UsageError(f"cannot write the report to {target}: {error.strerror or error}") from None
    return [target / name for name in sorted(files)]


def contents(results: Results, formats: Collection[str] = FORMATS) -> dict[str, bytes]:
    """Return the files of a report by their path in it."""
    from bench_uq.report import figures, latex, markdown

    drawn = figures.draw(results, [name for name in FIGURES if name in formats]) if {*FIGURES} & {*formats} else {}
    files = {f"figures/{name}": image for (_, name), image in drawn.items()}
    if "latex" in formats:
        files |= {f"tables/{name}": text.encode() for name, text in latex.fragments(results).items()}
    if "markdown" in formats:
        links = [(dataset, PurePosixPath("figures", name)) for dataset, name in drawn]
        files["summary.md"] = markdown.summary(results, links).encode()
    if "html" in formats:
        from bench_uq.report import html

        files["index.html"] = html.page(results).encode()
    return files
