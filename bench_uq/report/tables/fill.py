"""Fill the cells of the methods on one dataset from their scores, and say of what these are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from bench_uq.report.tables.cells import Column, Row, Table, cell, decimals
from bench_uq.report.tables.provenance import evidence
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Place, Summary

#: What is said where it looks like a mistake.
ODD = "A mean in bold may be behind one that is not: it varies more from seed to seed, or the other is not compared."
#: Costs that are counted, not measured: they have no spread unless seeds differ.
COUNTED = ("parameters", "epochs", "draws")


def measured(analysis: Analysis) -> set[tuple[str, str]]:
    """Return the metrics that were measured, each with its condition."""
    pairs = analysis.results.scores[["metric", "condition"]].drop_duplicates()
    return set(pairs.itertuples(index=False, name=None))


def extent(analysis: Analysis, condition: str) -> str:
    """Say of how many examples the scores of a condition are, where that is known and methods do not differ in it."""
    counts = {
        int(end)
        for (_, name, _, metric), one in analysis.summaries.items()
        if (name, metric) == (condition, "examples")
        for end in (one.low, one.high)
    }
    return f" ({counts.pop():,} examples)" if len(counts) == 1 else ""


def filled(
    analysis: Analysis,
    subject: str,
    columns: Iterable[Column],
    methods: list[str],
    found: Mapping[Place, Summary] | None = None,
) -> Table:
    """Fill the cells of methods on one dataset, each column with its own fixed number of decimals."""
    columns = tuple(columns)
    summaries = analysis.summaries if found is None else found
    claims = analysis.comparisons if found is None else {}
    seeds = {method: analysis.seeds(method) for method in methods}
    columns_of_cells, odd = [], False
    for column in columns:
        blank = analysis.without_draws if column.metric.endswith("_epistemic") else ()
        own = {
            name: summaries.get((name, column.condition, column.level, column.metric))
            if name not in blank
            else None
            for name in methods
        }
        digits = (
            0
            if column.metric in COUNTED
            else decimals(summary for summary in own.values() if summary)
        )
        claim = claims.get(column.scored)
        tied = claim.tied if claim else ()
        odd |= _bold_is_odd(column, own, tied)
        columns_of_cells.append(
            [cell(own[name], seeds[name].finished, digits, best=name in tied) for name in methods]
        )
    cells = dict(zip(methods, zip(*columns_of_cells, strict=True), strict=True))
    (dataset,) = analysis.datasets
    rows = tuple(Row(method, seeds[method], cells[method]) for method in methods)
    remarks = ((ODD,) if odd else ()) + evidence(analysis)
    return Table(
        dataset, columns, rows, subject, remarks, sum(column.scored in claims for column in columns)
    )


def _bold_is_odd(column: Column, own: Mapping[str, Summary | None], tied: Collection[str]) -> bool:
    """Tell whether a mean in bold is behind one that is not: what varies much is hard to tell from the best."""
    sign = 1 if column.direction == "higher" else -1
    bold = [sign * one.mean for name, one in own.items() if one and name in tied]
    plain = [sign * one.mean for name, one in own.items() if one and name not in tied]
    return bool(bold and plain) and max(plain) > min(bold)
