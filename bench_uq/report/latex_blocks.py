"""Columns of a table dealt out to blocks that fit the width of a page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from bench_uq.report.latex_text import cell_width, measure
from bench_uq.report.tables.captions import heading, wrap
from bench_uq.report.tables.table import Column, Table

#: The width in points that a table keeps to: 5.5 inches fit the text of most papers.
WIDTH = 397.0
#: Letters of a method's name in one line, and points between columns.
NAME_WIDTH, GAP = 26, 6.0
#: Points left free beside the names, for a dagger.
_DAGGER = 7.1


def blocks_of(table: Table) -> list[list[int]]:
    """Deal the columns of a table out to blocks; columns of one title stay together."""
    names, seeds = 0.0, 0.0
    for row in table.rows:
        names = max(names, *map(measure, wrap(row.name, NAME_WIDTH)))
        seeds = max(seeds, measure(str(row.seeds)))
    room = WIDTH - names - _DAGGER
    room -= seeds + 2 * GAP

    widths = []
    for place, column in enumerate(table.columns):
        cells = [cell_width(row.cells[place]) for row in table.rows]
        widths.append(max(*cells, *map(measure, heading_lines(column))) + GAP)

    # Columns of one title stand side by side, and groupby() joins neighbours alone.
    same_title = groupby(range(len(widths)), key=lambda place: table.columns[place].card.heading)
    groups = []
    for _, group in same_title:
        groups.append(list(group))

    # As few blocks as possible, of widths as even as possible: no column stands alone.
    fewest = len(_dealt(widths, groups, room))
    for share in range(8, 20):
        blocks = _dealt(widths, groups, share * room / 20)
        if len(blocks) == fewest:
            return blocks
    return _dealt(widths, groups, room)


def heading_lines(column: Column) -> list[str]:
    """The lines above a column, a long name broken."""
    lines = []
    for line in heading(column):
        lines += wrap(line, 14)
    return lines


def _dealt(
    widths: Sequence[float], groups: Sequence[Sequence[int]], room: float
) -> list[list[int]]:
    """Fill blocks of that width one by one; a group that fits into one block is not split."""
    blocks: list[list[int]] = [[]]
    left = room
    for places in groups:
        whole = sum(widths[place] for place in places)
        # A group wider than any block is split anyway: it starts where there is room left.
        if blocks[-1] and left < whole <= room:
            blocks.append([])
            left = room

        for place in places:
            if blocks[-1] and left < widths[place]:
                blocks.append([])
                left = room
            blocks[-1].append(place)
            left -= widths[place]
    return blocks
