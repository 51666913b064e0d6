"""bench-uq report."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from bench_uq.cli.options import (
    UserPath,
    commas,
    json_option,
    listed,
    plugin_option,
    results_option,
    suite_name,
    suite_option,
)
from bench_uq.store.folders import enclosed


@click.command()
@suite_option
@results_option
@click.option(
    "--reports",
    type=UserPath(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Root of the reports.",
)
@listed("formats", "Of latex, markdown, html, pdf, png and svg, instead of all.")
@listed("methods", "Methods instead of all.")
@listed("datasets", "Datasets instead of all.")
@listed("metrics", "Metrics instead of all: accuracy,nll (bench-uq list metrics).")
@listed("conditions", "Attacks, shifts and OOD data instead of all: fgsm,rotate.")
@click.option(
    "--levels",
    multiple=True,
    callback=commas,
    metavar="A=LEVEL,...",
    help="Levels where figures and comparisons have room for one: fgsm=0.1,rotate=30. [default: "
    "the strongest at which a method is better than chance]",
)
@click.option(
    "--width",
    default="",
    metavar="column|page|CM",
    help="Width of all figures: 3.4 or 7 inches, or in centimetres. [default: what suits each]",
)
@click.option("--panel", "panels", is_flag=True, help="Draw one panel a file, and the legend.")
@plugin_option
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=TEXT",
    help="How to call a method, dataset or condition: mean-field=FFG.",
)
@click.option("--title", default="", help="Title instead of the suite's name.")
@json_option
def report(
    suite: str,
    results: Path,
    reports: Path,
    formats: tuple[str, ...],
    labels: tuple[str, ...],
    levels: tuple[str, ...],
    width: str,
    panels: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Write tables, figures, a page and a summary from the scores."""
    from bench_uq.report import FORMATS, earlier, write
    from bench_uq.report.paper import read_paper
    from bench_uq.score.labels import counted
    from bench_uq.score.naming import read_labels, read_levels

    target = enclosed(reports / suite_name(suite))
    before = earlier(target)
    said = list[str]()
    files = write(
        *(results / suite_name(suite), target),
        formats=formats or FORMATS,
        labels=read_labels(labels),
        levels=read_levels(levels),
        paper=read_paper(width, panels=panels),
        notice=said.append,
        **chosen,
    )
    gone = [name for name in before if not (target / name).exists()]
    if as_json:
        found = {"verdict": said, "files": list(map(str, files)), "removed": gone}
        click.echo(json.dumps(found, indent=1))
        return

    # A report has hundreds of figures, so folders are told by their number of files.
    kinds = Counter(path.relative_to(target).parts[0] for path in files)
    for name, count in kinds.items():
        path = target / name
        click.echo(f"{path}/  {count} files" if path.is_dir() else path)

    # Last, where a reader looks first.
    for sentence in said:
        click.echo(sentence)

    if gone:
        told = "of an earlier report that showed something else (--reports DIR keeps both)"
        click.echo(f"removed from {target}: {counted(len(gone), 'file')} {told}", err=True)
