"""Tables as LaTeX fragments that need the package booktabs and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from bench_uq.report.latex_blocks import GAP, NAME_WIDTH, WIDTH, blocks_of, heading_lines
from bench_uq.report.latex_text import cell_text, ended, escape, name_lines, number
from bench_uq.report.latex_tuning import choices_tabular
from bench_uq.report.tables.captions import caption
from bench_uq.report.tables.equivalent import equivalent_table
from bench_uq.report.tables.overview import by_questions, condition_tables
from bench_uq.report.tables.published import Compared, Comparison, comparison, sources
from bench_uq.report.tables.published import caption as published_caption
from bench_uq.report.tables.ranks import rank_table
from bench_uq.report.tables.stress import stress_tables
from bench_uq.report.tables.table import Row, Table
from bench_uq.report.tables.tables import clean_table, cost_table, level_tables, ood_tables
from bench_uq.report.tables.tuning import Tuning, tuning
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import slug

#: The kinds of fragments of one dataset other than clean data, by the end of their names.
KINDS = ("overview", "ood", "levels", "stress", "cost", "equivalent", "published", "tuning")
#: Letters of a method's name in one line of a table of published values.
COMPARED_WIDTH = 20
#: Tables by level that are written; of more none, until --conditions or --metrics asks for some.
MOST_BY_LEVEL = 40
#: Tables after which a page is flushed: LaTeX keeps no more than 52 floats that wait for one.
FLUSH = 4

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

_FLOAT = r"""\begin{{table*}}[htbp]
  \centering
  \caption{{{caption}}}
  \label{{{label}}}
  \vspace{{4pt}}
  \footnotesize
  \setlength{{\tabcolsep}}{{{gap:g}pt}}
{body}
\end{{table*}}
"""


def fragments(analysis: Analysis) -> dict[str, str]:
    """The text of every fragment by file name, and of a small document that shows them all.

    A fragment holds the tables of one condition at most.
    """
    suite = analysis.results.suite
    texts: dict[str, str] = {}
    for dataset in analysis.datasets:
        texts |= _of_dataset(analysis.on(dataset), suite)
    ranks = rank_table(analysis)
    if ranks:
        texts["ranks.tex"] = table_float(ranks, label("ranks", suite))

    title = escape(analysis.results.title or suite)
    main = _MAIN.format(title=title, inputs="\n".join(_inputs(texts)))
    return {**texts, "main.tex": main}


def _of_dataset(analysis: Analysis, suite: str) -> dict[str, str]:
    """The fragments of one dataset by file name."""
    dataset = analysis.dataset
    # These names would fall on the document's or on a further fragment of another dataset.
    taken = dataset in ("main", "ranks") or any(f"-{kind}" in dataset for kind in KINDS)
    name = slug(dataset, reserved=taken)

    tables = list[tuple[Table, str, list[str]]]()
    answered = by_questions(analysis)
    if answered is not None:
        tables.append((answered, "overview", []))
    for metric, table in condition_tables(analysis).items():
        tables.append((table, "overview", [metric.replace("_", "-")]))
    for table in ood_tables(analysis):
        tables.append((table, "ood", [table.columns[0].condition]))
    by_level = level_tables(analysis)
    # Nobody prints hundreds: the overview and the means tell which ones to ask for.
    for table in by_level if len(by_level) <= MOST_BY_LEVEL else ():
        column = table.columns[0]
        tables.append((table, "levels", [column.condition, column.metric.replace("_", "-")]))
    for family, table in stress_tables(analysis).items():
        tables.append((table, "stress", [family]))
    tables.append((cost_table(analysis), "cost", []))
    equalled = equivalent_table(analysis)
    if equalled:
        tables.append((equalled, "equivalent", []))

    clean = table_float(clean_table(analysis), label("table", suite, dataset))
    floats = {f"{name}.tex": [clean]}
    for table, kind, parts in tables:
        # All metrics of a condition share a file: a file has the tables of one condition.
        # Overviews of all scores are one file.
        own_parts = parts[:1] if kind != "overview" else []
        file = "-".join([name, kind, *map(slug, own_parts)])
        own = table_float(table, label(kind, suite, dataset, *parts))
        floats.setdefault(f"{file}.tex", []).append(own)
    texts = {file: "\n".join(own) for file, own in floats.items()}

    published = comparison(analysis)
    if published:
        own = comparison_float(published, label("published", suite, dataset))
        texts[f"{name}-published.tex"] = own

    tuned = tuning(analysis)
    if tuned:
        texts[f"{name}-tuning.tex"] = tuning_float(tuned, label("tuning", suite, dataset))
    return texts


def label(kind: str, *parts: str) -> str:
    """The label of a table, of [a-z0-9-] alone: its kind, suite, dataset, condition and metric."""
    return "-".join([kind, *(slug(part, dots=False) for part in parts)])


def _inputs(texts: Mapping[str, str]) -> list[str]:
    """The lines that show fragments, and flush their floats before pages become thin."""
    lines, waiting = [], 0
    for name, text in texts.items():
        lines.append(f"\\input{{{name}}}")
        waiting += text.count("\\begin{table*}")
        if waiting >= FLUSH:
            lines.append("\\clearpage")
            waiting = 0
    return lines


def table_float(table: Table, label: str) -> str:
    """A table as a float; columns that do not fit go into a further tabular beneath."""
    blocks = [_tabular(table, places) for places in blocks_of(table)]
    body = "\n  \\par\\medskip\n".join(blocks)
    return _FLOAT.format(caption=escape(caption(table)), label=label, gap=GAP / 2, body=body)


def _tabular(table: Table, places: Sequence[int]) -> str:
    """Some columns of a table with its rows."""
    # Headings stand at the bottom, so that their lines are filled up from there.
    heads = [reversed(heading_lines(table.columns[place])) for place in places]
    lines, left = list[str](), [table.noun.capitalize(), "n"]
    for texts in zip_longest(*heads, fillvalue=""):
        cells = [rf"\multicolumn{{2}}{{c}}{{{escape(text)}}}" for text in texts]
        lines.insert(0, " & ".join([*left, *cells]))
        left = ["", ""]

    body = list[str]()
    for row in table.rows:
        body += _row(row, places)
    # Two columns for each score, the mean and its spread, meet without a gap.
    return "\n".join(
        [
            rf"  \begin{{tabular}}{{@{{}}lr{'r@{}l' * len(places)}@{{}}}}",
            r"    \toprule",
            *ended(lines),
            r"    \midrule",
            *ended(body),
            r"    \bottomrule",
            r"  \end{tabular}",
        ]
    )


def _row(row: Row, places: Sequence[int]) -> list[str]:
    """The lines of a method: its numbers beside the first line of its name."""
    first, *more = name_lines(row.name, NAME_WIDTH, row.seeds)
    cells = " & ".join(cell_text(row.cells[place]) for place in places)
    return [f"{first} & {row.seeds} & {cells}", *more]


def comparison_float(table: Comparison, label: str) -> str:
    """Ours against published as a float; sources and notes stand beneath, by letter and number."""
    known = sources(table)
    groups = []
    for group in table.groups:
        lines = [rf"\multicolumn{{9}}{{@{{}}l@{{}}}}{{\emph{{{escape(group.title)}}}}}"]
        for row in group.rows:
            lines += _compared(row, known)
        groups.append("\n".join(ended(lines)))

    heads = r"Method & n & \multicolumn{2}{c}{Ours} & \multicolumn{2}{c}{Published}"
    beneath = []
    for place, source in enumerate(known):
        beneath.append(f"({letters(place)}) {source}")
    for place, note in enumerate(table.notes, start=1):
        beneath.append(f"({place}) {note}")
    small = rf"\scriptsize\raggedright {escape('; '.join(beneath))}."
    body = [
        r"  \begin{tabular}{@{}lrr@{}lr@{}lrll@{}}",
        r"    \toprule",
        rf"    {heads} & Difference & Source & Notes \\",
        r"    \midrule",
        "\n    \\addlinespace\n".join(groups),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"  \par\smallskip",
        rf"  \parbox{{{WIDTH:g}pt}}{{{small}}}",
    ]
    text = escape(published_caption(table))
    return _FLOAT.format(caption=text, label=label, gap=GAP / 2, body="\n".join(body))


def tuning_float(table: Tuning, label: str) -> str:
    """Chosen trials as a float, the differences that they make in further tabulars beneath."""
    blocks = [choices_tabular(table)]
    differences = table.differences
    if differences is not None:
        blocks += [_tabular(differences, places) for places in blocks_of(differences)]
    body = "\n  \\par\\medskip\n".join(blocks)
    return _FLOAT.format(caption=escape(table.caption), label=label, gap=GAP / 2, body=body)


def letters(place: int) -> str:
    """A letter for a source, two where the alphabet ends."""
    text = chr(ord("a") + place % 26)
    if place >= 26:
        text = chr(ord("a") - 1 + place // 26) + text
    return text


def _compared(row: Compared, known: Sequence[str]) -> list[str]:
    """The lines of one value: its method takes as many as it needs."""
    first, *more = name_lines(row.name, COMPARED_WIDTH, row.seeds)
    difference = number(row.difference) or "--"
    cells = [
        first,
        str(row.seeds),
        cell_text(row.ours),
        cell_text(row.published),
        difference,
        f"{letters(known.index(row.source))} ({row.certainty})",
        ", ".join(map(str, row.notes)),
    ]

    # Lines below the first are of a long name alone: the other eight columns are empty.
    lines = [" & ".join(cells)]
    for line in more:
        lines.append(line + " &" * 8)
    return lines
