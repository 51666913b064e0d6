"""A summary in Markdown, short enough to stand in a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from bench_uq.report.tables.captions import caption, heading, notes, parted, seeds_phrase
from bench_uq.report.tables.cells import Cell, Table
from bench_uq.report.tables.findings import findings
from bench_uq.report.tables.published import Comparison, comparison, legend
from bench_uq.report.tables.stress import stress_tables
from bench_uq.report.tables.tables import overview, rank_table
from bench_uq.score.analysis import Analysis
from bench_uq.score.gradient_masking import MEANING
from bench_uq.score.labels import counted, printable
from bench_uq.score.markdown_text import escape
from bench_uq.score.reproduce_report import commands, report_command
from bench_uq.score.summaries import underconfidence

#: How far accuracy and mean confidence must be apart, to three decimals, to be called under- or overconfidence.
MISCALIBRATED = 0.02


def summary(analysis: Analysis, figures: Iterable[tuple[str, PurePosixPath]]) -> str:
    """Return the summary of a suite; ``figures`` holds the dataset of each figure and its path from the summary."""
    figures = list(figures)
    finished = int((analysis.results.runs["status"] == "ok").sum())
    extent = f"{counted(len(analysis.methods), 'method')} on {counted(len(analysis.datasets), 'dataset')}"
    lines = [
        f"# {escape(analysis.results.title or analysis.results.suite)}",
        "",
        f"{extent}; {finished} of {counted(len(analysis.results.runs), 'run')} finished.",
    ]
    for dataset in analysis.datasets:
        lines += ["", *_dataset(analysis.on(dataset))]
    if ranks := rank_table(analysis):
        lines += ["", "## Across datasets", "", *_table(ranks), "", escape(caption(ranks))]
    elif len(analysis.datasets) > 1:
        lines += [
            "",
            "## Across datasets",
            "",
            "Nothing is ranked: no two methods share a score on two datasets.",
        ]
    return (
        "\n".join([*lines, *_unfinished(analysis), *_figures(analysis, figures), *_again(analysis)])
        + "\n"
    )


def _figures(analysis: Analysis, figures: list[tuple[str, PurePosixPath]]) -> list[str]:
    """Return links to the figures, a line a dataset, each to its forms."""
    lines = []
    for dataset in [*analysis.datasets, ""]:
        forms: dict[str, list[PurePosixPath]] = {}
        for name, path in figures:
            if name == dataset:
                forms.setdefault(path.stem, []).append(path)
        links = [
            f"{stem} ({', '.join(f'[{path.suffix[1:]}]({path})' for path in paths)})"
            for stem, paths in forms.items()
        ]
        lines += [f"- {escape(dataset or 'across datasets')}: {', '.join(links)}"] if links else []
    return ["", "## Figures", "", *lines] if lines else []


def _again(analysis: Analysis) -> list[str]:
    """Return the commands that make the runs and this report again."""
    made = commands(analysis.results)
    lines = [printable(line) for line in (*made, report_command(analysis.results))]
    # A fence must be longer than any that a name could hold.
    fence = "`" * (
        3 + max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    )
    return ["", "## Made with", "", fence, *lines, fence] if made else []


def _dataset(analysis: Analysis) -> list[str]:
    """Return the section of one dataset: its table, what its marks mean, and what to beware of."""
    table = overview(analysis)
    phrase = seeds_phrase([row.seeds.finished for row in table.rows])
    marks = [f"{phrase[0].upper()}{phrase[1:]}.", *notes(table), *table.remarks]
    told = [f"- {escape(sentence)}" for sentence in findings(analysis)]
    published = comparison(analysis)
    return [
        f"## {escape(table.dataset)}",
        "",
        *_table(table),
        "",
        escape(" ".join(marks)),
        "",
        *told,
        *_calibration(analysis),
        *(["", *_comparison(published)] if published else []),
        *_stress(analysis),
        *_masking(analysis),
    ]


def _stress(analysis: Analysis) -> list[str]:
    """Return the means over the levels of each attack and shift, where there are any; what all tables say but once."""
    tables = list(stress_tables(analysis).values())
    captions, shared = parted(tables)
    lines = [
        line
        for text, table in zip(captions, tables, strict=True)
        for line in ("", escape(text), "", *_table(table))
    ]
    return ["", "### Under stress", *lines, "", escape(" ".join(shared))] if tables else []


def _masking(analysis: Analysis) -> list[str]:
    """Return what speaks against the attacks on each method, and what it means; empty where nothing was judged."""
    judged = [verdict for verdict in analysis.masking if verdict.status != "not judged"]
    lines = [
        f"- ⚠ {escape(one.method)}: {escape(one.words)}; {escape(MEANING[one.check])}."
        for one in judged
        if one.status == "flagged"
    ]
    made = ", ".join(dict.fromkeys(verdict.check for verdict in judged))
    clear = f"No sign of masked gradients ({made})."
    return (
        ["", "### Can the attacks be believed?", "", *(lines or [escape(clear)])] if judged else []
    )


def _table(table: Table) -> list[str]:
    """Return a table of pipes."""
    heads = ["method", "n", *(" ".join(heading(column)) for column in table.columns)]
    rows = [
        [
            escape(row.method) + (" †" if row.seeds.unconverged else ""),
            str(row.seeds),
            *map(_cell, row.cells),
        ]
        for row in table.rows
    ]
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in [[escape(head) for head in heads], rule, *rows]]


def _comparison(table: Comparison) -> list[str]:
    """Return the values of others beside ours, and what differs between their protocols and ours."""
    heads = [
        "score",
        "method",
        "n",
        "ours",
        "published",
        "difference",
        "source",
        "certainty",
        "notes",
    ]
    rule = ["---", "---", *["---:"] * 4, "---", "---", "---"]
    rows = [
        [
            escape(group.title),
            escape(row.method) + (" †" if row.seeds.unconverged else ""),
            str(row.seeds),
            _cell(row.ours),
            _cell(row.published),
            row.difference or "–",
            escape(row.source),
            row.certainty,
            ", ".join(map(str, row.notes)),
        ]
        for group in table.groups
        for row in group.rows
    ]
    notes = [f"{number}. {escape(note)}" for number, note in enumerate(table.notes, start=1)]
    return [
        "### Ours against published",
        "",
        *(f"| {' | '.join(cells)} |" for cells in [heads, rule, *rows]),
        "",
        escape(" ".join(legend(table))),
        *(["", *notes] if notes else []),
    ]


def _cell(cell: Cell) -> str:
    """Return a number with its spread, and its number of values where seeds lack it."""
    spread = f" ± {cell.spread}" if cell.spread else ""
    values = f" (n={cell.values})" if cell.values is not None else ""
    text = f"{cell.mean}{spread}{values}" if cell.mean else "–"
    return f"**{text}**" if cell.best else text


def _calibration(analysis: Analysis) -> list[str]:
    """Return a sentence for each method that on clean data is clearly more, or less, often right than it says."""
    sentences = []
    for method in analysis.methods:
        gap, seeds = underconfidence(analysis.results, method)
        if round(abs(gap), 3) >= MISCALIBRATED:
            planned = analysis.seeds(method).planned
            some = "" if seeds == planned else f" ({seeds} of {planned} seeds)"
            kind, side = ("underconfident", "below") if gap > 0 else ("overconfident", "above")
            sentences.append(
                f"- {escape(method)} is {kind}: its confidence is on average {abs(gap):.3f} {side} its accuracy{some}."
            )
    return sentences


def _unfinished(analysis: Analysis) -> list[str]:
    """Return the list of the runs that did not finish, with their reasons, and of those that did not converge."""
    failed, loose = [], dict[str, list[str]]()
    for run in analysis.results.runs.to_dict("records"):
        line = f"- {escape(run['dataset'])}, {escape(run['method'])}"
        if run["status"] != "ok" or run["reason"]:
            reason = f" – {escape(run['reason'])}" if run["reason"] else ""
            status = "in part" if run["status"] == "ok" else run["status"]
            failed.append(f"{line}, seed {run['seed']}: {status}{reason}")
        elif run["converged"] == "False":
            loose.setdefault(line, []).append(str(run["seed"]))
    unconverged = [
        f"{line}, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}"
        for line, seeds in loose.items()
    ]
    sections = {"Not finished": failed, "Not converged": unconverged}
    return [
        line
        for title, items in sections.items()
        if items
        for line in ("", f"## {title}", "", *items)
    ]
