"""Ours against published: units, differences, how sure; hostile texts stay texts."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.report import write
from bench_uq.report.latex import WIDTH, fragments
from bench_uq.report.markdown import summary
from bench_uq.report.tables.published import caption, comparison
from bench_uq.score.analysis import analyse
from bench_uq.score.published import COLUMNS
from bench_uq.score.results import Results, read

HOSTILE = r"a_b%$&{}\input{x}|<script> ![i](j) @me --- é [q]"


def published(folder: Path, *rows: dict[str, str]) -> Results:
    """Return results with these published values beside them."""
    common = {
        "dataset": "digits",
        "condition": "clean",
        "source": "A & B 2017, Table 2",
        "certainty": "recalled",
    }
    with (folder / "reference.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows([common | row for row in rows])
    return read(folder)


def scored(method: str, metric: str, values: list[object]) -> list[dict[str, object]]:
    return [
        {"method": method, "seed": seed, "metric": metric, "value": value}
        for seed, value in enumerate(values)
    ]


ERROR = {"method": "map", "metric": "test_error", "value": "0.6"}


def test_accuracy_becomes_test_error(hand_made: Callable[..., Path]) -> None:
    """Accuracies 0.990, 0.992, 0.997 are errors of 1.0, 0.8, 0.3 %: mean 0.7, sample deviation sqrt(0.13) = 0.36."""
    results = published(hand_made(scored("map", "accuracy", [0.990, 0.992, 0.997])), ERROR)
    table = comparison(analyse(results))
    assert table is not None
    (row,) = table.rows
    assert (row.ours.mean, row.ours.spread, str(row.seeds)) == ("0.70", "0.36", "3")
    assert (row.published.mean, row.published.spread, row.difference) == ("0.6", "", "+0.10")
    line = "| Test error (%) | map | 3 | 0.70 ± 0.36 | 0.6 | +0.10 | A &amp; B 2017, Table 2 | recalled |  |"
    assert line in summary(analyse(results), [])
    text = fragments(analyse(results))["digits-published.tex"]
    assert r"map & 3 & 0.70 & {\scriptsize\,$\pm$0.36} & 0.6 &  & +0.10 & a (recalled) & " in text
    assert r"{(a) A \& B 2017, Table 2.}" in text.replace(r"\scriptsize\raggedright ", "")
    assert r"\emph{Test error (\%)}" in text


def test_other_scores_stay_and_differences_are_signed(hand_made: Callable[..., Path]) -> None:
    """An NLL of -1.20 against a published -1.125 ± 0.05 differs by -0.075, at the published three decimals."""
    row = {"method": "map", "metric": "nll", "value": "-1.125", "spread": "0.05"}
    results = published(hand_made(scored("map", "nll", [-1.25, -1.15])), row)
    table = comparison(analyse(results))
    assert table is not None
    assert (table.rows[0].ours.mean, table.rows[0].difference) == ("-1.200", "-0.075")
    assert "| NLL ↓ | map | 2 | -1.200 ± 0.071 | -1.125 ± 0.05 | -0.075 |" in summary(
        analyse(results), []
    )
    assert (
        r"$-$1.125 & {\scriptsize\,$\pm$0.05} & $-$0.075"
        in fragments(analyse(results))["digits-published.tex"]
    )


@pytest.mark.parametrize("certainty", ["seen", "corroborated", "recalled"])
def test_how_sure_stands_in_every_row(hand_made: Callable[..., Path], certainty: str) -> None:
    """No value is printed without its certainty, whose meaning the text beneath explains."""
    folder = hand_made(scored("map", "accuracy", [0.9]) + scored("mnf", "accuracy", [0.9]))
    rows = (
        {"method": name, "metric": "test_error", "value": "7.25", "certainty": certainty}
        for name in ("map", "mnf")
    )
    results = published(folder, *rows)
    shown = [line for line in summary(analyse(results), []).splitlines() if "| 7.25 |" in line]
    assert [line.split(" | ")[7] for line in shown] == [certainty] * 2
    text = fragments(analyse(results))["digits-published.tex"]
    assert text.count("7.25") == text.count(f"({certainty})") == 2
    assert f"{certainty}: " in text
    assert f"{certainty}: " in summary(analyse(results), [])


def test_only_the_same_method_data_and_shift_are_compared(hand_made: Callable[..., Path]) -> None:
    """Values of other methods and data are left out; of another level ours is missing, never taken from elsewhere."""
    scores = [
        *scored("mnf", "accuracy", [0.9]),
        {"method": "mnf", "seed": 0, "metric": "accuracy", "value": 0.2},
    ]
    scores[1] |= {"condition": "fgsm", "level": 0.1}
    rows = [
        {"method": "mnf[flows=4]", "metric": "test_error", "value": "1"},
        {"method": "mnf", "metric": "test_error", "value": "2", "dataset": "mnist"},
        {
            "method": "mnf",
            "metric": "accuracy",
            "value": "0.5",
            "condition": "fgsm",
            "level": "0.10",
        },
        {
            "method": "mnf",
            "metric": "accuracy",
            "value": "0.4",
            "condition": "fgsm",
            "level": "0.2",
        },
    ]
    results = published(hand_made(scores), *rows).on("digits")
    table = comparison(analyse(results))
    assert table is not None
    assert [group.title for group in table.groups] == [
        "Accuracy ↑ (fgsm, ε = 0.10)",
        "Accuracy ↑ (fgsm, ε = 0.2)",
    ]
    assert [(row.ours.mean, row.difference) for row in table.rows] == [
        ("0.200", "-0.300"),
        ("", ""),
    ]
    assert "–: no value." in caption(table)


def test_sources_side_by_side_and_notes_once(hand_made: Callable[..., Path]) -> None:
    """Two sources are two rows; a note that both have is told once, under one number."""
    folder = hand_made(
        scored("map", "nll", [0.5]), runs=[{"method": "map", "seed": 0, "converged": False}]
    )
    one = {
        "method": "map",
        "metric": "nll",
        "value": "0.4",
        "source": "A",
        "notes": "Adam; no spread.",
    }
    results = published(folder, one, one | {"source": "B", "value": "0.3", "notes": "no spread"})
    table = comparison(analyse(results))
    assert table is not None
    assert table.notes == ("Adam", "no spread")
    assert [row.notes for row in table.rows] == [(1, 2), (2,)]
    assert (
        "(a) A; (b) B; (1) Adam; (2) no spread."
        in fragments(analyse(results))["digits-published.tex"]
    )
    assert "1. Adam\n2. no spread" in summary(analyse(results), [])
    assert "map †" in summary(analyse(results), [])
    assert "† Not converged: no ordering is claimed." in caption(table)


def test_without_published_values_nothing_changes(hand_made: Callable[..., Path]) -> None:
    """No file, or values of methods that were not run, make no table."""
    folder = hand_made(scored("map", "accuracy", [0.9]))
    before = (summary(analyse(read(folder)), []), fragments(analyse(read(folder))))
    after = published(folder, ERROR | {"method": "mnf"})
    assert (summary(analyse(after), []), fragments(analyse(after))) == before
    assert set(before[1]) == {"digits.tex", "digits-cost.tex", "main.tex"}


def test_hostile_texts_are_shown_letter_by_letter(hand_made: Callable[..., Path]) -> None:
    """A source and a note bring no command, cell, tag or call into a report, and share one line at most."""
    folder = hand_made(scored("map", "accuracy", [0.9]))
    results = published(
        folder, ERROR | {"source": HOSTILE, "notes": f"{HOSTILE}\n| x | y |; [1cm]"}
    )
    text = fragments(analyse(results))["digits-published.tex"]
    assert "\\input" not in text
    assert "<" not in text
    assert "|" not in text
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    cells = [
        len(re.findall(r"(?<!\\)&", line))
        for line in body.splitlines()
        if line.strip() and "multicolumn" not in line
    ]
    assert set(cells) == {8}
    markdown = summary(analyse(results), [])
    assert "<" not in markdown
    assert "@me" not in markdown
    assert "](j)" not in markdown.replace(r"\](j)", "")
    section = markdown.partition("### Ours against published")[2]
    assert len({line.count("|") for line in section.splitlines() if line.startswith("|")}) == 1


def test_a_damaged_file_is_told_in_one_line(hand_made: Callable[..., Path]) -> None:
    """Read again in a report, a file is checked as it was before."""
    folder = hand_made(scored("map", "accuracy", [0.9]))
    with pytest.raises(
        UsageError, match=r"reference\.csv, line 2: value must be a finite number, not 'nan'"
    ):
        published(folder, ERROR | {"value": "nan"})


def test_report_writes_the_fragment(hand_made: Callable[..., Path], tmp_path: Path) -> None:
    """The table is a file of the report, which its small document inputs; its label is its own."""
    folder = hand_made(scored("map", "accuracy", [0.9]))
    published(folder, ERROR)
    files = write(folder, tmp_path / "report", formats=["latex"])
    assert tmp_path / "report" / "tables" / "digits-published.tex" in files
    assert (
        r"\input{digits-published.tex}" in (tmp_path / "report" / "tables" / "main.tex").read_text()
    )
    texts = "".join(path.read_text() for path in files if path.suffix == ".tex")
    labels = re.findall(r"\\label\{(.*?)\}", texts)
    assert len(labels) == len(set(labels)) == 3


@pytest.mark.skipif(
    not shutil.which("pdflatex") and os.environ.get("CI") != "true",
    reason="pdflatex is not installed",
)
def test_table_compiles_and_fits(hand_made: Callable[..., Path], tmp_path: Path) -> None:
    """pdflatex sets the table, hostile texts and long names included, within a text of 5.5 inches."""
    long = "ensemble[members=10,adversarial_epsilon=0.25]"
    folder = hand_made(
        scored(long, "accuracy", [0.99, 0.98]) + scored("map", "nll", [-0.51234, 0.5])
    )
    rows = [ERROR | {"method": long, "source": HOSTILE, "notes": f"{HOSTILE}; b; c; d; e"}]
    rows.append(
        {
            "method": "map",
            "metric": "nll",
            "value": "-3.202",
            "spread": "0.055",
            "certainty": "corroborated",
        }
    )
    texts = fragments(analyse(published(folder, *rows)))
    for name, text in texts.items():
        (tmp_path / name).write_text(
            text.replace(r"\textwidth}{6.5in}", rf"\textwidth}}{{{WIDTH}pt}}")
        )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
