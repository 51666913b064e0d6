"""Tables of what the uncertainty is worth under stress, a table for each attack, shift, and family of kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bench_uq.report.tables.cells import Column, Table
from bench_uq.report.tables.fill import extent, filled
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import kind, level_unit
from bench_uq.score.stress import SCORES, Family, over_what


def stress_tables(analysis: Analysis) -> dict[str, Table]:
    """Return the tables of one dataset by the names of their families, as far as there are levels but 0."""
    found = analysis.over_levels
    there = found.measured
    tables = {}
    for one in analysis.families:
        names = [name for name in SCORES if (name, one.title) in there]
        # No ECE stands without that of a calibrated model, even where this was not scored.
        names += (
            ["ece_if_calibrated"] if "ece" in names and "ece_if_calibrated" not in names else []
        )
        if names:
            columns = [Column(name, one.title) for name in names]
            subject = f"under {one.name}{extent(found, one.title)}, {over_what(one, level_unit(one.name))}"
            table = filled(found, subject, columns, analysis.methods_shown(one.members))
            tables[one.name] = replace(
                table, remarks=(*_places(one, columns, analysis.stress_counts), *table.remarks)
            )
    return tables


def _places(
    one: Family, columns: Iterable[Column], counts: Mapping[tuple[str, str], tuple[int, int]]
) -> list[str]:
    """Return the kinds of a family, and a sentence for each score that some run has no number of in places."""
    remarks = [f"Kinds: {', '.join(map(kind, one.members))}."] if len(one.members) > 1 else []
    what = "kinds and levels" if len(one.members) > 1 else "levels"
    for column in columns:
        kept, places = counts.get((one.title, column.metric), (0, 0))
        if kept < places:
            title = column.title.replace("\n", " ")
            remarks.append(
                f"{title}: of {kept} of {places} {what}, those at which every run has a value."
            )
    return remarks
