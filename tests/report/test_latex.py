"""LaTeX shows names letter by letter and compiles."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_uq.report.frames import read
from bench_uq.report.latex import WIDTH, escape, fragments
from bench_uq.report.names import slug


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


def test_labels_and_files_are_plain(report: tuple[Path, list[Path]]) -> None:
    """A label has letters, digits and dashes alone, and no label occurs twice."""
    texts = [path.read_text() for path in (report[0] / "tables").glob("*.tex")]
    labels = re.findall(r"\\label\{(.*?)\}", "".join(texts))
    assert len(labels) == len(set(labels)) == 6
    assert all(re.fullmatch("[a-z0-9-]+", label) for label in labels)


def test_row_cannot_begin_with_an_argument(hand_made: Callable[..., Path]) -> None:
    """A name that begins with a bracket is not read as the height of the row above."""
    scores = [{"method": name, "seed": 0, "metric": "nll", "value": 1} for name in ("[5cm]", "*x")]
    text = fragments(read(hand_made(scores)))["digits.tex"]
    assert "    {}[5cm] & 1" in text
    assert "    {}*x & 1" in text


def test_slug_tells_names_apart() -> None:
    """Plain names stay; any other gets a hash, so that two never share a file."""
    assert slug("cifar5") == "cifar5"
    assert re.fullmatch("uci-name-a-[0-9a-f]{8}", slug("uci[name=a]"))
    assert len({slug(name) for name in ("a[b=1]", "a[b-1]", "a-b-1", "../a", "A", "a", "…")}) == 7
    assert re.fullmatch("[a-z0-9.-]+", slug("../../x"))
    assert not slug("../../x").startswith(".")
    assert "." not in slug("a.b", dots=False)


def test_fragments_of_unlucky_names_do_not_meet(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """Datasets called main or like another's second fragment take nobody's place."""
    datasets = ("a", "a-attack", "main")
    names = list(fragments(read(make_results(tmp_path / "s", ("map",), datasets=datasets))))
    assert len(names) == 7
    assert {"a.tex", "a-attack.tex", "main.tex"} <= set(names)


def test_document_inputs_every_fragment(report: tuple[Path, list[Path]]) -> None:
    """The small document shows all fragments and needs booktabs alone."""
    tables = report[0] / "tables"
    main = (tables / "main.tex").read_text()
    inputs = re.findall(r"\\input\{(.*?)\}", main)
    assert sorted(inputs) == sorted(path.name for path in tables.glob("*.tex") if path.name != "main.tex")
    assert re.findall(r"\\usepackage\{(.*?)\}", main) == ["booktabs"]


@pytest.mark.skipif(not shutil.which("pdflatex") and os.environ.get("CI") != "true", reason="pdflatex is not installed")
def test_tables_compile_and_fit(report: tuple[Path, list[Path]], tmp_path: Path) -> None:
    """pdflatex makes a document of the tables in which no line leaves a text of 5.5 inches."""
    tables = shutil.copytree(report[0] / "tables", tmp_path / "tables")
    main = (tables / "main.tex").read_text().replace(r"\textwidth}{6.5in}", rf"\textwidth}}{{{WIDTH}pt}}")
    (tables / "main.tex").write_text(main)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tables, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "too large" not in done.stdout
