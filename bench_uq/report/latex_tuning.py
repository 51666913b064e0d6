"""The chosen trials of a dataset as a tabular of LaTeX."""

from __future__ import annotations

from itertools import zip_longest

from bench_uq.report.latex_blocks import GAP, NAME_WIDTH, WIDTH
from bench_uq.report.latex_text import ended, escape, measure, name_lines, number
from bench_uq.report.tables.captions import wrap
from bench_uq.report.tables.tuning import Choice, Tuning
from bench_uq.score.results import Seeds

#: Points of the four columns of numbers, with the gaps beside them.
_NUMBERS = 4 * GAP + 135
#: Points that a letter of options takes on average.
_LETTER = 4.4


def choices_tabular(table: Tuning) -> str:
    """The chosen trial of each method, its options and settings in as many lines as they need."""
    names, counts = 0.0, 0.0
    for row in table.choices:
        names = max(names, *map(measure, wrap(row.method, NAME_WIDTH)))
        counts = max(counts, measure(row.trials))
    width = int((WIDTH - names - counts - _NUMBERS) / _LETTER)

    body = list[str]()
    for row in table.choices:
        body += _lines(row, width)
    heads = r"Method & Trials & Training (s) & Default & Chosen & Options and settings chosen"
    return "\n".join(
        [
            r"  \begin{tabular}{@{}lrrrrl@{}}",
            r"    \toprule",
            r"     &  &  & \multicolumn{2}{c}{Validation NLL} &  \\",
            *ended([heads]),
            r"    \midrule",
            *ended(body),
            r"    \bottomrule",
            r"  \end{tabular}",
        ]
    )


def _lines(row: Choice, width: int) -> list[str]:
    """The lines of a method: its numbers stand in the first."""
    names = name_lines(row.method, NAME_WIDTH, Seeds(0, 0, 0))
    chosen = [escape(text.strip()) for text in wrap(row.chosen, width)]
    numbers = [row.trials, row.seconds, row.default_nll, row.chosen_nll]
    cells = " & ".join(number(text) or "--" for text in numbers)

    lines = []
    for name, text in zip_longest(names, chosen, fillvalue=""):
        lines.append(f"{name} & {cells} & {text}")
        cells = " & " * 3
    return lines
