"""Tables as LaTeX fragments that need the package booktabs and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from bench_uq.report.tables.captions import caption, heading, wrap
from bench_uq.report.tables.cells import Cell, Column, Row, Table
from bench_uq.report.tables.published import Compared, Comparison, comparison, sources
from bench_uq.report.tables.published import caption as published_caption
from bench_uq.report.tables.stress import stress_tables
from bench_uq.report.tables.tables import (
    clean_table,
    cost_table,
    level_tables,
    rank_table,
    unseen_tables,
)
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import printable, slug
from bench_uq.score.results import Seeds

#: What the names of the fragments of one dataset go on with, beside that of clean data.
KINDS = ("unseen", "levels", "stress", "cost", "published")
#: The width in points that a table keeps to: 5.5 inches fit the text of most papers.
WIDTH = 397.0
#: Letters of a method's name in one line of a table.
NAME_WIDTH = 26
#: The same where ours stands against published.
COMPARED_WIDTH = 20
#: Points that letters take in 8 point type, the next smaller and the bold type as a share of that, and the room between
#: columns.
_NARROW, _WIDE, _DIGIT, _LOWER, _OTHER = 2.4, 7.1, 4.25, 4.4, 6.6
_SMALL, _BOLD, _GAP = 0.94, 1.15, 6.0

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\`{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"$^\dagger$",
    "–": "--",
    "ε": r"$\epsilon$",
    "∞": r"$\infty$",
    "\0": "{}",
}
_ESCAPES = str.maketrans(_SPECIAL)

_MAIN = r"""\documentclass[10pt]{{article}}
\usepackage{{booktabs}}
% A text of 6.5 by 9 inches, pages filled from their top, without a package.
\setlength{{\textwidth}}{{6.5in}}
\setlength{{\oddsidemargin}}{{0in}}
\setlength{{\textheight}}{{9in}}
\setlength{{\topmargin}}{{-0.5in}}
\raggedbottom
\makeatletter\setlength{{\@fptop}}{{0pt}}\makeatother
\pagestyle{{myheadings}}
\markright{{{title}}}
\begin{{document}}
{inputs}
\end{{document}}
"""


def fragments(analysis: Analysis) -> dict[str, str]:
    """Return the text of every fragment by file name, and of a small document that shows them all.

    A fragment holds the tables of one condition at most: LaTeX keeps no more than 52 floats that wait for a page.
    """
    texts = {}
    for dataset in analysis.datasets:
        own = analysis.on(dataset)
        # These names would fall on the document's or on a further fragment of another dataset.
        taken = dataset in ("main", "ranks") or any(f"-{kind}" in dataset for kind in KINDS)
        name = slug(dataset, reserved=taken)
        texts[f"{name}.tex"] = table_float(clean_table(own), _label(analysis, "table", dataset))
        for kind, tables in {"unseen": unseen_tables(own), "levels": level_tables(own)}.items():
            for condition, group in groupby(tables, key=lambda table: table.columns[0].condition):
                named = [
                    (table, table.columns[0].metric.replace("_", "-") if kind == "levels" else "")
                    for table in group
                ]
                floats = [
                    table_float(table, _label(analysis, kind, dataset, condition, name))
                    for table, name in named
                ]
                texts[f"{name}-{kind}-{slug(condition)}.tex"] = "\n".join(floats)
        for family, table in stress_tables(own).items():
            texts[f"{name}-stress-{slug(family)}.tex"] = table_float(
                table, _label(analysis, "stress", dataset, family)
            )
        texts[f"{name}-cost.tex"] = table_float(cost_table(own), _label(analysis, "cost", dataset))
        if published := comparison(own):
            texts[f"{name}-published.tex"] = comparison_float(
                published, _label(analysis, "published", dataset)
            )
    if ranks := rank_table(analysis):
        texts["ranks.tex"] = table_float(ranks, _label(analysis, "ranks", ""))
    inputs = "\n".join(_inputs(texts))
    return {
        **texts,
        "main.tex": _MAIN.format(
            title=escape(analysis.results.title or analysis.results.suite), inputs=inputs
        ),
    }


def _inputs(texts: Mapping[str, str]) -> list[str]:
    """Return the lines that show fragments, and flush their floats before there are too many or pages become thin."""
    lines, waiting = [], 0
    for name, text in texts.items():
        lines.append(f"\\input{{{name}}}")
        waiting += text.count("\\begin{table*}")
        if waiting >= 4:
            lines.append("\\clearpage")
            waiting = 0
    return lines


def table_float(table: Table, label: str) -> str:
    """Return a table as a float; columns that do not fit beside each other go into a further tabular beneath."""
    blocks = "\n  \\par\\medskip\n".join(_tabular(table, chosen) for chosen in blocks_of(table))
    return (
        "\\begin{table*}[htbp]\n  \\centering\n"
        f"  \\caption{{{escape(caption(table))}}}\n  \\label{{{label}}}\n  \\vspace{{4pt}}\n"
        f"  \\footnotesize\n  \\setlength{{\\tabcolsep}}{{{_GAP / 2:g}pt}}\n{blocks}\n\\end{{table*}}\n"
    )


def comparison_float(table: Comparison, label: str) -> str:
    """Return ours against published as a float; rows name the sources and notes beneath by letter and number."""
    known = sources(table)
    groups = "\n    \\addlinespace\n".join(
        "\n".join(
            [
                rf"    \multicolumn{{9}}{{@{{}}l@{{}}}}{{\emph{{{escape(group.title)}}}}} \\",
                *(rf"    {line} \\" for row in group.rows for line in _compared(row, known)),
            ]
        )
        for group in table.groups
    )
    heads = [rf"\multicolumn{{2}}{{c}}{{{head}}}" for head in ("Ours", "Published")]
    beneath = [f"({_letter(place)}) {text}" for place, text in enumerate(known)]
    beneath += [f"({number}) {note}" for number, note in enumerate(table.notes, start=1)]
    return (
        "\\begin{table*}[htbp]\n  \\centering\n"
        f"  \\caption{{{escape(published_caption(table))}}}\n  \\label{{{label}}}\n  \\vspace{{4pt}}\n"
        f"  \\footnotesize\n  \\setlength{{\\tabcolsep}}{{{_GAP / 2:g}pt}}\n"
        "  \\begin{tabular}{@{}lrr@{}lr@{}lrll@{}}\n    \\toprule\n"
        f"    {' & '.join(['Method', 'n', *heads, 'Difference', 'Source', 'Notes'])} \\\\\n    \\midrule\n"
        f"{groups}\n    \\bottomrule\n  \\end{{tabular}}\n"
        f"  \\par\\smallskip\n  \\parbox{{{WIDTH:g}pt}}{{\\scriptsize\\raggedright {escape('; '.join(beneath))}.}}\n"
        "\\end{table*}\n"
    )


def _letter(place: int) -> str:
    """Return a letter for a source, two where the alphabet ends."""
    return ("" if place < 26 else chr(96 + place // 26)) + chr(97 + place % 26)


def _compared(row: Compared, known: Sequence[str]) -> list[str]:
    """Return the lines of one value: its method takes as many as it needs."""
    first, *more = _name(row.method, COMPARED_WIDTH, row.seeds)
    difference = escape(row.difference).replace("-", "$-$") if row.difference else "--"
    source = f"{_letter(known.index(row.source))} ({row.certainty})"
    parts = [
        str(row.seeds),
        _cell(row.ours),
        _cell(row.published),
        difference,
        source,
        ", ".join(map(str, row.notes)),
    ]
    return [" & ".join([first, *parts]), *(line + " &" * 8 for line in more)]


def guarded(line: str) -> str:
    """Return a line whose bracket or star is not read as an argument of the end of the row above."""
    return "{}" + line if line[:1] in ("[", "*") else line


def blocks_of(table: Table) -> list[list[int]]:
    """Deal the columns of a table out to blocks that fit the width of a page; those of one title stay together."""
    room = (
        WIDTH
        - max(measure(line) for row in table.rows for line in wrap(row.method, NAME_WIDTH))
        - _WIDE
    )
    room -= max(measure(str(row.seeds)) for row in table.rows) + 2 * _GAP
    widths = [
        max(*(_wide(row.cells[place]) for row in table.rows), *map(measure, _heading(column)))
        + _GAP
        for place, column in enumerate(table.columns)
    ]
    groups = [
        list(group)
        for _, group in groupby(range(len(widths)), key=lambda place: table.columns[place].title)
    ]
    # As few blocks as there can be, then of as even a width as there can be: no column stands alone.
    fewest = len(_dealt(widths, groups, room))
    narrower = (share * room / 20 for share in range(8, 21))
    return next(
        blocks
        for width in narrower
        if len(blocks := _dealt(widths, groups, width)) == fewest or width == room
    )


def _dealt(
    widths: Sequence[float], groups: Sequence[Sequence[int]], room: float
) -> list[list[int]]:
    """Deal columns out to blocks of that width, one by one, a group that fits into one block to one alone."""
    blocks: list[list[int]] = [[]]
    left = room
    for places in groups:
        whole = sum(widths[place] for place in places)
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


def measure(text: str) -> float:
    """Return about how many points a text takes in 8 point type."""
    kinds = {".,:;'|![]()il ": _NARROW, "mwMW": _WIDE, "0123456789": _DIGIT}
    default = {True: _LOWER, False: _OTHER}
    return sum(
        next(
            (points for letters, points in kinds.items() if letter in letters),
            default[letter.islower()],
        )
        for letter in text
    )


def escape(text: str) -> str:
    """Return text as LaTeX shows it letter by letter; what its fonts lack becomes a code."""
    # Two dashes in a row would become one long one.
    return (
        printable(text, keep="".join(_SPECIAL))
        .replace("--", "-\0-")
        .replace("--", "-\0-")
        .translate(_ESCAPES)
    )


def _tabular(table: Table, places: list[int]) -> str:
    """Return the chosen columns of a table with its rows."""
    heads = [_heading(table.columns[place]) for place in places]
    height = max(map(len, heads))
    lines = [
        " & ".join(
            [
                "Method" if last else "",
                "n" if last else "",
                *(rf"\multicolumn{{2}}{{c}}{{{escape(text)}}}" for text in line),
            ]
        )
        for number, line in enumerate(
            zip(*([*[""] * (height - len(head)), *head] for head in heads), strict=True)
        )
        for last in [number == height - 1]
    ]
    return "\n".join(
        [
            rf"  \begin{{tabular}}{{@{{}}lr{'r@{}l' * len(places)}@{{}}}}",
            r"    \toprule",
            *(rf"    {line} \\" for line in lines),
            r"    \midrule",
            *(rf"    {line} \\" for row in table.rows for line in _row(row, places)),
            r"    \bottomrule",
            r"  \end{tabular}",
        ]
    )


def _heading(column: Column) -> list[str]:
    """Return the lines above a column, a long name broken."""
    return [part for line in heading(column) for part in wrap(line, 14)]


def _row(row: Row, places: list[int]) -> list[str]:
    """Return the lines of a method: its numbers beside the first line of its name."""
    first, *more = _name(row.method, NAME_WIDTH, row.seeds)
    cells = " & ".join(_cell(row.cells[place]) for place in places)
    return [f"{first} & {row.seeds} & {cells}", *more]


def _name(method: str, width: int, seeds: Seeds) -> list[str]:
    """Return the lines of a method's name, with a dagger behind it where runs had not converged."""
    first, *more = [escape(line) for line in wrap(method, width)]
    lines = [guarded(first), *(rf"\quad {line}" for line in more)]
    return [*lines[:-1], lines[-1] + (escape("†") if seeds.unconverged else "")]


def _cell(cell: Cell) -> str:
    """Return a number and its spread as two columns that stand close, so that numbers stand beneath each other."""
    if not cell.mean:
        return r"\multicolumn{2}{c}{--}"
    spread = _spread(cell)
    mean = escape(cell.mean).replace("-", "$-$")
    return (
        (rf"\textbf{{{mean}}}" if cell.best else mean)
        + " & "
        + (rf"{{\scriptsize\,{escape(spread)}}}" if spread else "")
    )


def _wide(cell: Cell) -> float:
    """Return about how many points a cell takes."""
    return (_BOLD if cell.best else 1) * measure(cell.mean) + _SMALL * measure(_spread(cell))


def _spread(cell: Cell) -> str:
    """Return what follows a mean: its spread, and its number of values where seeds lack it."""
    return (f"±{cell.spread}" if cell.spread else "") + (
        f" (n={cell.values})" if cell.values is not None else ""
    )


def _label(analysis: Analysis, kind: str, dataset: str, *further: str) -> str:
    """Return the label of a table, of [a-z0-9-] alone: its kind, suite and dataset, the condition and the metric."""
    return "-".join(
        [
            kind,
            *(
                slug(part, dots=False)
                for part in filter(None, [analysis.results.suite, dataset, *further])
            ),
        ]
    )
