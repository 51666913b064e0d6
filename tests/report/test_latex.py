"""LaTeX shows names letter by letter and compiles."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bench_uq.report import write
from bench_uq.report.latex import WIDTH, fragments, letters
from bench_uq.report.latex_text import escape
from bench_uq.score.analysis import analyse
from bench_uq.score.labels import slug
from bench_uq.score.results import Results, read


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean-field[prior=log-uniform]", "mean-field[prior=log-uniform]"),
        (
            r"a_b%$&{}\input{x}|<script>",
            r"a\_b\%\$\&\{\}\textbackslash{}input\{x\}\textbar{}\textless{}script\textgreater{}",
        ),
        ("~^#\"`'", r"\textasciitilde{}\textasciicircum{}\#''\`{}'"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ("é\n", r"\textbackslash{}xe9\textbackslash{}n"),
    ],
)
def test_escape(name: str, expected: str) -> None:
    """No letter of a name is a command."""
    assert escape(name) == expected


def test_no_name_reaches_latex_unescaped(report: tuple[Path, list[Path]]) -> None:
    """Rows, captions and headers hold no command that a name brought."""
    for path in (report[0] / "tables").glob("digits*.tex"):
        text = path.read_text()
        assert r"\textbackslash{}input\{x\}" in text
        assert "\\input" not in text


def test_the_document_inputs_every_fragment_under_its_own_label(
    report: tuple[Path, list[Path]],
) -> None:
    """Labels are plain and occur once; the document needs booktabs alone."""
    texts = {path.name: path.read_text() for path in (report[0] / "tables").glob("*.tex")}
    main, whole = texts.pop("main.tex"), "".join(texts.values())
    labels = re.findall(r"\\label\{(.*?)\}", whole)
    assert len(labels) == len(set(labels)) == whole.count(r"\begin{table*}") > 10
    assert all(re.fullmatch("[a-z0-9-]+", label) for label in labels)
    assert sorted(re.findall(r"\\input\{(.*?)\}", main)) == sorted(texts)
    assert re.findall(r"\\usepackage\{(.*?)\}", main) == ["booktabs"]


def test_names_stand_whole_in_their_rows(by_hand: Callable[..., Results]) -> None:
    """A bracket is not the height of the row above; a dagger stands behind a second line."""
    scores = {("[5cm]", "nll"): 1, ("*x", "nll"): 1}
    text = fragments(analyse(by_hand(scores)))["digits.tex"]
    assert "    {}[5cm] & 1" in text
    assert "    {}*x & 1" in text

    runs = [
        {"method": "mnf[flows=4,hidden=50,members=5]", "seed": 0, "diagnosis": "chains did not mix"}
    ]
    text = fragments(analyse(by_hand(runs=runs)))["digits.tex"]
    assert "    mnf[flows=4,hidden=50, & 1" in text
    assert r"\quad members=5]$^\dagger$ \\" in text


def test_slug_tells_names_apart() -> None:
    """Plain names stay; any other gets a hash, so that two never share a file."""
    assert slug("cifar5") == "cifar5"
    assert re.fullmatch("uci-name-a-[0-9a-f]{8}", slug("uci[name=a]"))
    assert len({slug(name) for name in ("a[b=1]", "a[b-1]", "a-b-1", "../a", "A", "a", "…")}) == 7
    assert re.fullmatch("[a-z0-9.-]+", slug("../../x"))
    assert not slug("../../x").startswith(".")
    assert "." not in slug("a.b", dots=False)


def test_fragments_of_unlucky_names_do_not_meet(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """Datasets called main, ranks or like another's further fragment take nobody's place."""
    datasets = ("a", "a-levels-fgsm", "a-stress-fgsm", "main", "ranks")
    results = read(make_results(tmp_path / "s", ("map", "mnf"), datasets=datasets))
    names = set(fragments(analyse(results)))
    assert len(names) == 5 * 6 + 2
    assert names > {f"{name}.tex" for name in datasets}


MISSING = [tool for tool in ("pdflatex", "pdftotext") if not shutil.which(tool)]
compiles = pytest.mark.skipif(
    bool(MISSING) and os.environ.get("CI") != "true", reason=f"not installed: {', '.join(MISSING)}"
)


def compiled(tables: Path) -> tuple[str, str]:
    """Return what pdflatex says of main.tex, and the text of the document."""
    options = ["-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error"]
    command = ["pdflatex", *options, "main.tex"]
    said = subprocess.run(command, cwd=tables, capture_output=True, check=False)
    words = said.stdout.decode(errors="replace")
    assert said.returncode == 0, words[-2000:]
    shown = ["pdftotext", "-layout", "main.pdf", "-"]
    text = subprocess.run(shown, cwd=tables, capture_output=True, check=True)
    return words, text.stdout.decode()


@compiles
def test_tables_compile_and_fit(report: tuple[Path, list[Path]], tmp_path: Path) -> None:
    """pdflatex makes a document in which no line leaves a text of 5.5 inches."""
    tables = shutil.copytree(report[0] / "tables", tmp_path / "tables")
    text = (tables / "main.tex").read_text()
    narrow = text.replace(r"\textwidth}{6.5in}", rf"\textwidth}}{{{WIDTH}pt}}")
    (tables / "main.tex").write_text(narrow)
    said, _ = compiled(tables)
    assert "Overfull" not in said
    assert "too large" not in said


HOSTILE = r"\input{/etc/passwd}$x^2$\write18{touch canary}%\end{document}"


@compiles
def test_numbers_of_scores_stand_in_the_pdf(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """Each clean mean stands in the row of its method, whatever names and titles try."""
    methods, datasets = ("map", "ensemble", "mnf", HOSTILE), ("a", HOSTILE)
    shown = {"datasets": datasets, "attacks": (f"fgsm[{HOSTILE}]",)}
    folder = make_results(tmp_path / "s", methods, range(3), **shown)
    write(folder, tmp_path / "report", formats=["latex"], title=HOSTILE)
    _, text = compiled(tmp_path / "report" / "tables")
    assert not list(tmp_path.rglob("canary*"))
    assert text.replace(" ", "").count("input{/etc/passwd}$x") > 10
    assert "root:" not in text

    scores = pd.read_csv(folder / "scores.csv")
    own = scores[(scores.dataset == "a") & (scores.condition == "clean")]
    means = own.groupby(["method", "metric"]).value.mean()
    clean = re.split(r"Table \d+:", text.partition(" a: clean data")[2])[0]
    metrics = ("accuracy", "nll", "brier", "ece", "ece_if_calibrated", "adaptive_ece")
    titles = ("MAP", "Deep ensemble", "MNF")
    for method, title in zip(methods, titles, strict=False):
        row = " ".join(re.findall(rf"^ *{title} +3 +(.*)$", clean, re.M))
        for number, name in zip(re.findall(r"(\d+\.\d+) *±", row), metrics, strict=True):
            digits = len(number.partition(".")[2])
            assert number == f"{means[method, name]:.{digits}f}"


#: Floats that wait for a page at most: LaTeX gives up at one more.
HELD_BACK = 52


@compiles
def test_many_conditions_compile(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """Eighteen corruptions of one dataset are more tables than LaTeX holds back at a time; of all
    scores they are so many that none is written until some are asked for.
    """
    shifts = [f"corruption{place}" for place in range(18)]
    folder = make_results(tmp_path / "s", ("map", "mnf"), (0, 1), attacks=shifts)
    whole = write(folder, tmp_path / "whole", formats=["latex"])
    assert not [path for path in whole if "-levels-" in path.name]
    files = write(folder, tmp_path / "report", formats=["latex"], metrics=["accuracy", "nll"])
    assert sum(path.read_text().count(r"\begin{table*}") for path in files) > HELD_BACK

    _, text = compiled(tmp_path / "report" / "tables")
    text = " ".join(text.split())
    for shift in shifts:
        assert re.search(rf"accuracy ↑ under {shift}, by ", text), shift
        assert re.search(rf"NLL ↓ under {shift}, by ", text), shift


@compiles
def test_labels_of_the_docs_can_be_referred_to(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """A document of one's own finds each kind of label by the pattern that docs/reports.md has."""
    datasets = ("digits", "mnist")
    folder = make_results(tmp_path / "quick", ("map", "mnf"), (0, 1), datasets=datasets)
    write(folder, tmp_path / "r", formats=["latex"])
    labels = (
        *("table-quick-digits", "ood-quick-digits-letters", "levels-quick-digits-fgsm-accuracy"),
        *("levels-quick-digits-fgsm-ece-if-calibrated", "stress-quick-digits-fgsm"),
        *("cost-quick-digits", "ranks-quick"),
    )

    main = tmp_path / "r" / "tables" / "main.tex"
    shown = " ".join(rf"\ref{{{label}}}" for label in labels)
    main.write_text(main.read_text().replace(r"\end{document}", rf"{shown}\end{{document}}"))
    compiled(main.parent)
    said, _ = compiled(main.parent)
    assert "undefined" not in said


def test_letters_of_sources() -> None:
    """After z come two letters."""
    assert [letters(place) for place in (0, 25, 26, 27, 52)] == ["a", "z", "aa", "ab", "ba"]
