"""A summary in Markdown, short enough for a pull request."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from bench_uq.report.conclusions import conclusions
from bench_uq.report.tables.captions import (
    caption,
    headings,
    notes,
    opening,
    parted,
    seeds_phrase,
)
from bench_uq.report.tables.equivalent import equivalent_table
from bench_uq.report.tables.overview import by_questions
from bench_uq.report.tables.provenance import run_counts
from bench_uq.report.tables.published import Compared, Comparison, comparison, legend
from bench_uq.report.tables.ranks import rank_table
from bench_uq.report.tables.stress import stress_tables
from bench_uq.report.tables.table import Cell, Row, Table
from bench_uq.report.tables.tables import overview
from bench_uq.report.tables.tuning import Tuning, tuning
from bench_uq.score.analysis import Analysis
from bench_uq.score.banners import banner
from bench_uq.score.gradient_masking import MEANING, needs, outcome
from bench_uq.score.labels import printable
from bench_uq.score.markdown_text import escape
from bench_uq.score.reproduce import report_command, run_commands
from bench_uq.score.results import Results
from bench_uq.score.summaries import underconfidence
from bench_uq.score.verdict import verdict

#: From here on, at three decimals, accuracy and mean confidence differ enough to be reported.
MISCALIBRATED = 0.02


def summary(analysis: Analysis, figures: Iterable[tuple[str, PurePosixPath]]) -> str:
    """Write the summary of a suite.

    ``figures`` holds the dataset of each figure and its path from the summary.
    """
    results = analysis.results
    lines = [f"# {escape(results.title or results.suite)}", "", run_counts(results)]
    for remark in results.about.remarks():
        lines += ["", f"⚠ {escape(remark)}."]
    for warning in banner(results):
        lines += ["", f"> ⚠ {escape(warning)}"]
    lines += _verdicts(analysis)
    for dataset in analysis.datasets:
        lines += ["", *_dataset(analysis.on(dataset))]

    ranks = rank_table(analysis)
    if ranks:
        lines += ["", "## Across datasets", "", *_table(ranks), "", escape(caption(ranks))]
    elif len(analysis.datasets) > 1:
        nothing = "Nothing is ranked: no two methods share a score on two datasets."
        lines += ["", "## Across datasets", "", nothing]

    lines += _unfinished(results)
    lines += _figures(results, list(figures))
    lines += _reproduce(results)
    return "\n".join(lines) + "\n"


def _verdicts(analysis: Analysis) -> list[str]:
    """The verdict in a few sentences, its doubts, and, folded, every comparison."""
    said = verdict(analysis)
    lines = ["", "## Verdict", ""]
    lines += [f"- {escape(sentence)}" for sentence in said.sentences]
    if said.remarks:
        lines += ["", "What is unsure:", ""]
        lines += [f"- {escape(sentence)}" for sentence in said.remarks]
    lines += ["", "<details><summary>Every comparison</summary>"]
    for dataset in analysis.datasets:
        if len(analysis.datasets) > 1:
            lines += ["", f"### {escape(analysis.label(dataset))}"]
        lines.append("")
        for sentence in conclusions(analysis.on(dataset)):
            lines.append(f"- {escape(sentence)}")
    return [*lines, "", "</details>"]


def _figures(results: Results, figures: Sequence[tuple[str, PurePosixPath]]) -> list[str]:
    """Link to the figures: a line per dataset, each figure in its formats."""
    if not figures:
        return []

    lines = ["", "## Figures", ""]
    # Figures across datasets belong to no dataset, and come last.
    for dataset in [*results.datasets, ""]:
        formats: dict[str, list[str]] = {}
        for name, path in figures:
            if name == dataset:
                formats.setdefault(path.stem, []).append(f"[{path.suffix[1:]}]({path})")

        links = [f"{stem} ({', '.join(own)})" for stem, own in formats.items()]
        if links:
            lines.append(f"- {escape(dataset or 'across datasets')}: {', '.join(links)}")
    return lines


def _reproduce(results: Results) -> list[str]:
    """The commands that reproduce the runs and this report."""
    made = run_commands(results)
    if not made:
        return []

    # Markdown has no escapes inside a fence, and these lines are pasted into a terminal.
    lines = list(map(printable, [*made, report_command(results)]))
    # A fence must be longer than any that a name could hold.
    ticks = re.findall("`+", "\n".join(lines))
    fence = "```" + max(ticks, key=len, default="")
    return ["", "## Reproduce", "", fence, *lines, fence]


def _dataset(analysis: Analysis) -> list[str]:
    """The section of one dataset: its table and warnings."""
    table = overview(analysis)
    phrase = seeds_phrase(table)
    marks = [f"{phrase[0].upper()}{phrase[1:]}.", *notes(table), *table.remarks]
    lines = [f"## {escape(table.dataset)}", ""]
    answered = by_questions(analysis)
    if answered is not None:
        said = " ".join([*answered.remarks[:1], "The notes beneath the next table hold here too."])
        lines += [*_table(answered), "", escape(said), ""]
    lines += [*_table(table), "", escape(" ".join(marks)), ""]
    lines += _calibration(analysis)

    equalled = equivalent_table(analysis)
    if equalled:
        lines += ["", "### Deep ensemble equivalent", "", *_table(equalled)]
        lines += ["", escape(caption(equalled))]
    published = comparison(analysis)
    if published:
        lines += ["", *_published(published)]
    tuned = tuning(analysis)
    if tuned:
        lines += ["", *_tuned(tuned)]
    return lines + _stress(analysis) + _masking(analysis)


def _calibration(analysis: Analysis) -> list[str]:
    """A sentence for each clearly under- or overconfident method on clean data."""
    sentences = []
    for method in analysis.methods:
        gap, seeds = underconfidence(analysis.results, method)
        # Rounded as it is printed, so that equal numbers in the text are judged alike.
        if math.isnan(gap) or round(abs(gap), 3) < MISCALIBRATED:
            continue

        kind, side = "underconfident", "below"
        if gap < 0:
            kind, side = "overconfident", "above"
        confidence = f"its confidence is on average {abs(gap):.3f} {side} its accuracy"
        planned = analysis.seeds(method).planned
        if seeds != planned:
            confidence += f" ({seeds} of {planned} seeds)"
        sentences.append(f"- {escape(analysis.label(method))} is {kind}: {confidence}.")
    return sentences


def _stress(analysis: Analysis) -> list[str]:
    """The means over the levels of each attack and shift."""
    tables = list(stress_tables(analysis).values())
    if not tables:
        return []

    each, shared = parted(tables)
    lines = ["", "### Under stress"]
    for own, table in zip(each, tables, strict=True):
        lines += ["", escape(" ".join([opening(table), *own])), "", *_table(table)]
    return [*lines, "", escape(" ".join(shared))]


def _masking(analysis: Analysis) -> list[str]:
    """The signs of masked gradients and their meaning; empty if nothing was attacked."""
    verdicts, lines = analysis.masking, list[str]()
    if not verdicts:
        return []

    for one in verdicts:
        if one.status == "flagged":
            meaning = f"{escape(one.words)}; {escape(MEANING[one.check])}"
            lines.append(f"- ⚠ {escape(analysis.label(one.method))}: {meaning}.")
    # Only the checks that could be made clear a method.
    lines.append(f"- {outcome(verdicts)}.")
    for text in needs(verdicts):
        lines.append(f"- Not possible: {escape(text)}")
    bound = "Accuracy under an attack is an upper bound: a stronger attack may leave less."
    return ["", "### Can the attacks be trusted?", "", *lines, "", bound]


def _table(table: Table) -> list[str]:
    """A table of pipes."""
    heads = [table.noun, *headings(table)]
    rows = []
    for row in table.rows:
        rows.append([_method(row), str(row.seeds), *map(_cell, row.cells)])
    return _pipes(list(map(escape, heads)), ["---", *["---:"] * (len(heads) - 1)], rows)


def _published(table: Comparison) -> list[str]:
    """The published values beside ours, and how their protocols differ."""
    heads = ["score", "method", "n", "ours", "published", "difference"]
    heads += ["source", "certainty", "notes"]
    rule = ["---", "---", *["---:"] * 4, "---", "---", "---"]
    rows = []
    for group in table.groups:
        for row in group.rows:
            cells = [escape(group.title), _method(row), str(row.seeds)]
            cells += [_cell(row.ours), _cell(row.published), row.difference or "–"]
            cells += [escape(row.source), row.certainty, ", ".join(map(str, row.notes))]
            rows.append(cells)

    lines = ["### Ours against published", "", *_pipes(heads, rule, rows)]
    lines += ["", escape(" ".join(legend(table)))]
    if table.notes:
        lines.append("")
    for place, note in enumerate(table.notes, start=1):
        lines.append(f"{place}. {escape(note)}")
    return lines


def _tuned(table: Tuning) -> list[str]:
    """The chosen trials, and the differences that they make."""
    heads = ["method", *table.heads]
    rows = []
    for place, one in enumerate(table.choices):
        cells = [one.method, one.chosen, one.trials, one.seconds]
        cells += [one.default_nll or "–", one.chosen_nll]
        row = list(map(escape, cells))
        if table.differences is not None:
            own = table.differences.rows[place]
            row += [str(own.seeds), *map(_cell, own.cells)]
        rows.append(row)

    rule = ["---", "---", *["---:"] * (len(heads) - 2)]
    lines = _pipes(list(map(escape, heads)), rule, rows)
    return ["### Tuning", "", *lines, "", escape(table.caption)]


def _pipes(heads: list[str], rule: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table."""
    return [f"| {' | '.join(cells)} |" for cells in [heads, rule, *rows]]


def _method(row: Row | Compared) -> str:
    """The method of a row, with a dagger if some runs had not converged."""
    name = escape(row.name)
    if row.seeds.marked:
        name += " †"
    return name


def _cell(cell: Cell) -> str:
    """A mean, its spread, and its number of values if some seeds lack it."""
    # A bound is written "< 1.0".
    text = (escape(cell.mean) or "–") + cell.beside
    if cell.best:
        return f"**{text}**"
    return f"*{text}*" if cell.worse else text


def _unfinished(results: Results) -> list[str]:
    """The runs that did not finish, with their reasons, and those whose method finds a fault."""
    failed, loose = list[str](), dict[tuple[str, str], list[str]]()
    for run in results.runs.to_dict("records"):
        line = f"- {escape(run['dataset'])}, {escape(run['method'])}"
        if run["status"] != "ok" or run["reason"]:
            status = run["status"]
            if status == "ok":
                # It lacks something, such as one condition.
                status = "in part"
            if run["reason"]:
                status += f" – {escape(run['reason'])}"
            failed.append(f"{line}, seed {run['seed']}: {status}")
        elif run["diagnosis"]:
            loose.setdefault((line, escape(run["diagnosis"])), []).append(str(run["seed"]))

    lines = []
    if failed:
        lines += ["", "## Not finished", "", *failed]
    if loose:
        lines += ["", "## Not converged, as the method says", ""]
    for (line, diagnosis), seeds in loose.items():
        noun = "seeds"
        if len(seeds) == 1:
            noun = "seed"
        lines.append(f"{line}, {noun} {', '.join(seeds)}: {diagnosis}")
    return lines
