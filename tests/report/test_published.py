"""Ours against published: units, differences, how sure; hostile texts stay texts."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.report import write
from bench_uq.report.latex import WIDTH, fragments
from bench_uq.report.markdown import summary
from bench_uq.report.page import page
from bench_uq.report.tables.published import caption, comparison
from bench_uq.score.analysis import analyse
from bench_uq.score.published import COLUMNS
from bench_uq.score.results import Results, read

Scores = dict[tuple[Any, ...], Any]
Beside = Callable[..., Results]
ERROR = {"method": "map", "metric": "test_error", "value": "0.6"}
HOSTILE = r"a_b%$&{}\input{x}|<script> ![i](j) @me --- é [q]"


def published(folder: Path, *rows: dict[str, str]) -> Results:
    """Return results with these published values beside them."""
    common = {"dataset": "digits", "condition": "clean", "source": "A & B 2017, Table 2"}
    with (folder / "reference.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows([common | {"certainty": "recalled"} | row for row in rows])
    return read(folder).on("digits")


@pytest.fixture
def beside(by_hand: Callable[..., Results], tmp_path: Path) -> Beside:
    """Return a function that gives results by hand with published values beside them."""

    def results(scores: Scores, *rows: dict[str, str], **others: Any) -> Results:
        by_hand(scores, **others)
        return published(tmp_path / "hand", *rows)

    return results


@pytest.mark.parametrize(
    ("metric", "values", "row", "cells", "markdown", "latex"),
    [
        (  # a mean error of 0.7 % with a sample deviation of sqrt(0.13) = 0.36
            *("accuracy", [0.990, 0.992, 0.997], ERROR, ("0.70", "0.36", "0.6", "+0.10")),
            "| Test error (%) | map | 3 | 0.70 ± 0.36 | 0.6 | +0.10 | A &amp; B 2017, Table 2 | recalled |",
            r"map & 3 & 0.70 & {\scriptsize\,$\pm$0.36} & 0.6 &  & +0.10 & a (recalled) & ",
        ),
        (
            *(
                "nll",
                [-1.25, -1.15],
                {"method": "map", "metric": "nll", "value": "-1.125", "spread": "0.05"},
            ),
            ("-1.200", "0.071", "-1.125", "-0.075"),
            "| NLL ↓ | map | 2 | -1.200 ± 0.071 | -1.125 ± 0.05 | -0.075 |",
            r"$-$1.125 & {\scriptsize\,$\pm$0.05} & $-$0.075",
        ),
    ],
)
def test_ours_stand_beside_published(
    beside: Beside,
    metric: str,
    values: list[float],
    row: dict[str, str],
    cells: tuple[str, ...],
    markdown: str,
    latex: str,
) -> None:
    """Accuracy becomes test error; differences are signed, with the decimals that were published."""
    analysis = analyse(beside({("map", metric): values}, row))
    table = comparison(analysis)
    assert table is not None
    (found,) = table.rows
    shown = (found.ours.mean, found.ours.spread, found.published.mean, found.difference)
    assert shown == cells
    assert markdown in summary(analysis, [])
    text = fragments(analysis)["digits-published.tex"]
    assert latex in text
    assert r"{(a) A \& B 2017, Table 2.}" in text.replace(r"\scriptsize\raggedright ", "")


@pytest.mark.parametrize("certainty", ["seen", "corroborated", "recalled"])
def test_how_sure_stands_in_every_row(beside: Beside, certainty: str) -> None:
    """No value is printed without its certainty, whose meaning the text beneath explains."""
    scores = {("map", "accuracy"): 0.9, ("mnf", "accuracy"): 0.9}
    row = ERROR | {"value": "7.25", "certainty": certainty}
    analysis = analyse(beside(scores, row, row | {"method": "mnf"}))
    said = summary(analysis, [])
    shown = [line for line in said.splitlines() if "| 7.25 |" in line]
    assert [line.split(" | ")[7] for line in shown] == [certainty] * 2
    text = fragments(analysis)["digits-published.tex"]
    assert text.count("7.25") == text.count(f"({certainty})") == 2
    assert f"{certainty}: " in text
    assert f"{certainty}: " in said


def test_only_the_same_method_data_and_shift_are_compared(beside: Beside) -> None:
    """Values of other methods and data are left out; of another level ours is missing."""
    scores = {("mnf", "accuracy"): 0.9, ("mnf", "accuracy", "fgsm", 0.1): 0.2}
    rows = [ERROR | {"method": "mnf[flows=4]"}, ERROR | {"method": "mnf", "dataset": "mnist"}]
    attacked = {"method": "mnf", "metric": "accuracy", "condition": "fgsm"}
    rows += [
        attacked | {"value": "0.5", "level": "0.10"},
        attacked | {"value": "0.4", "level": "0.2"},
    ]

    table = comparison(analyse(beside(scores, *rows)))
    assert table is not None
    titles = [f"Accuracy ↑ (fgsm, ε = {level})" for level in ("0.10", "0.2")]
    assert [group.title for group in table.groups] == titles
    shown = [(row.ours.mean, row.difference) for row in table.rows]
    assert shown == [("0.200", "-0.300"), ("", "")]
    assert "–: no value." in caption(table)


def test_sources_side_by_side_and_notes_once(beside: Beside) -> None:
    """Two sources are two rows; a note that both have is told once, under one number."""
    loose = [{"method": "map", "seed": 0, "diagnosis": "chains did not mix"}]
    one = {
        "method": "map",
        "metric": "nll",
        "value": "0.4",
        "source": "A",
        "notes": "Adam; no spread.",
    }
    other = one | {"source": "B", "value": "0.3", "notes": "no spread"}

    analysis = analyse(beside({("map", "nll"): 0.5}, one, other, runs=loose))
    table = comparison(analysis)
    assert table is not None
    assert table.notes == ("Adam", "no spread")
    assert [row.notes for row in table.rows] == [(1, 2), (2,)]
    told = "(a) A; (b) B; (1) Adam; (2) no spread."
    assert told in fragments(analysis)["digits-published.tex"]
    assert "1. Adam\n2. no spread" in summary(analysis, [])
    assert "map †" in summary(analysis, [])
    assert "† Not converged: map (by its own diagnosis 1 of 1 seeds)." in caption(table)


def test_without_published_values_nothing_changes(
    beside: Beside, by_hand: Callable[..., Results], tmp_path: Path
) -> None:
    """No file, or values of methods that were not run, make no table; a damaged one is told."""
    before = analyse(by_hand({("map", "accuracy"): 0.9}))
    texts = summary(before, []), fragments(before)
    files = ("digits.tex", "digits-cost.tex", "digits-overview.tex", "main.tex")
    assert set(texts[1]) == set(files)
    after = analyse(published(tmp_path / "hand", ERROR | {"method": "mnf"}))
    assert (summary(after, []), fragments(after)) == texts
    told = r"reference\.csv, line 2: value must be a finite number, not 'nan'"
    with pytest.raises(UsageError, match=told):
        published(tmp_path / "hand", ERROR | {"value": "nan"})


def test_hostile_texts_are_shown_letter_by_letter(beside: Beside) -> None:
    """A source and a note bring no command, cell, tag or call, and share one line at most."""
    hostile = {"source": HOSTILE, "notes": f"{HOSTILE}\n| x | y |; [1cm]"}
    analysis = analyse(beside({("map", "accuracy"): 0.9}, ERROR | hostile))
    text = fragments(analysis)["digits-published.tex"]
    assert not [word for word in ("\\input", "<", "|") if word in text]
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0].splitlines()
    rows = [line for line in body if line.strip() and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {8}

    markdown = summary(analysis, []).replace("<details><summary>Every comparison</summary>", "")
    markdown = markdown.replace("</details>", "")
    assert not [word for word in ("<", "@me") if word in markdown]
    assert "](j)" not in markdown.replace(r"\](j)", "")
    section = markdown.partition("### Ours against published")[2]
    assert len({line.count("|") for line in section.splitlines() if line.startswith("|")}) == 1


def test_the_page_has_a_section_of_published_values(beside: Beside) -> None:
    """A row with ours, theirs, source and notes, letter by letter; none where there are none."""
    hostile = ERROR | {"source": HOSTILE, "notes": HOSTILE}
    analysis = analyse(beside({("map", "accuracy"): [0.9, 0.92]}, hostile))
    (text,) = re.findall(r'<section id="published".*?</section>', page(analysis), re.DOTALL)
    assert text.count("<tr>") == 2
    assert "Test error (%)" in text
    assert escape(HOSTILE) in text
    assert HOSTILE not in text
    assert '<a href="#published">' in page(analysis)

    results = replace(analysis.results, references=())
    assert 'id="published"' not in page(analyse(results))


def test_report_writes_the_fragment(beside: Beside, tmp_path: Path) -> None:
    """The table is a file of the report, which its small document inputs; its label is its own."""
    beside({("map", "accuracy"): 0.9}, ERROR)
    files = write(tmp_path / "hand", tmp_path / "report", formats=["latex"])
    texts = {path.name: path.read_text() for path in files if path.suffix == ".tex"}
    assert "digits-published.tex" in texts
    assert r"\input{digits-published.tex}" in texts["main.tex"]
    labels = re.findall(r"\\label\{(.*?)\}", "".join(texts.values()))
    assert len(labels) == len(set(labels)) == 4


@pytest.mark.skipif(
    not shutil.which("pdflatex") and os.environ.get("CI") != "true",
    reason="pdflatex is not installed",
)
def test_table_compiles_and_fits(beside: Beside, tmp_path: Path) -> None:
    """pdflatex sets hostile texts and long names within a text of 5.5 inches."""
    long = "ensemble[members=10,adversarial_epsilon=0.25]"
    scores = {(long, "accuracy"): [0.99, 0.98], ("map", "nll"): [-0.51234, 0.5]}
    hostile = {"method": long, "source": HOSTILE, "notes": f"{HOSTILE}; b; c; d; e"}
    sure = {"method": "map", "metric": "nll", "value": "-3.202", "spread": "0.055"}
    rows = [ERROR | hostile, sure | {"certainty": "corroborated"}]
    for name, text in fragments(analyse(beside(scores, *rows))).items():
        narrow = text.replace(r"\textwidth}{6.5in}", rf"\textwidth}}{{{WIDTH}pt}}")
        (tmp_path / name).write_text(narrow)

    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    assert "Overfull" not in said


def test_other_settings_have_no_difference(beside: Beside) -> None:
    """Published values are of the suite's settings: runs of others are shown, and not compared."""
    row = {"method": "map", "metric": "nll", "value": "1.0"}
    results = beside({("map", "nll"): [1.25, 1.5]}, row)
    runs = results.runs

    for command, words in {
        "bench-uq run --suite hand --set epochs=1": "map (epochs)",
        "bench-uq run --set map.x=1 --network wide.py": "map (map.x, network)",
        "bench-uq run --set map.schedule=cosine --set warmup=0.1": "map (schedule, warmup)",
        "bench-uq run --set dropout.rate=0.1 --set threads=1 --set mnf.epochs=3": "",
        "": "",
    }.items():
        table = comparison(analyse(replace(results, runs=runs.assign(command=command))))
        assert table is not None
        assert [one.difference for one in table.rows] == ["" if words else "+0.38"]
        assert words in caption(table)
        assert ("No difference" in caption(table)) == bool(words)


def test_the_caption_says_our_sizes(beside: Beside) -> None:
    """A reader who holds our error against a published one sees how many examples ours had."""
    runs = [{"method": "map", "seed": 0, "trained_on": "54000", "tested_on": "10000"}]
    table = comparison(analyse(beside({("map", "accuracy"): 0.99}, ERROR, runs=runs)))
    assert table is not None
    assert "Ours: training and test examples: 54,000 and 10,000." in caption(table)
