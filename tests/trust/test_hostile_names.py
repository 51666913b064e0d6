"""Names and texts of others stay text in a report, a table or a spreadsheet."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
import runpy
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench_uq import store
from bench_uq.report import contents
from bench_uq.report import page as html
from bench_uq.report.latex import escape
from bench_uq.score.analysis import analyse
from bench_uq.score.published import COLUMNS as REFERENCE_COLUMNS
from bench_uq.score.published import Reference, hand_on, read_file
from bench_uq.score.results import read
from bench_uq.score.score import SCORES, score
from bench_uq.store.csv import FORMULA, write_csv

synthetic = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "synthetic.py"))
)

MARKUP = "'\"></script><script>alert(1)</script><img src=x onerror=alert(1)><svg/onload=alert(1)>"
MARKUP += "&lt;a href=javascript:x"
TEX = r"\input{/etc/passwd}\write18{touch canary}^^5cinput{x}^^M%$#&_{}\end{document}"
TEX += r"\openout0=canary\csname x"
SHEET = "=cmd|'/c calc'!A1+HYPERLINK(\"http://evil.example\")"
#: All in one text, with marks that part cells and lines, and control characters.
HOSTILE = f"{MARKUP}{TEX}|`![i](javascript:x) @me ~~~ ```\u202e\x1b[31m\x07{SHEET}"


class Elements(HTMLParser):
    """Elements of a page with their attributes, and the text of each script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.inside = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.found.append((tag, dict(attrs)))
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        """Note where a script ends."""
        self.inside = self.inside and tag != "script"

    def handle_data(self, data: str) -> None:
        """Note the text of a script."""
        if self.inside:
            self.scripts[-1] += data


def results_named(folder: Path, text: str) -> Path:
    """Write results with a text in every field that a report shows."""
    shown = text.replace("@", "")  # which parts condition and level where results are made up
    methods, attacks = ("map", "mnf", f"m{text}"), ("fgsm", f"pgd[{shown}]", f"c{shown}")
    runs = {("mnf", 0): {"status": "failed", "reason": text, "environment": text, "converged": ""}}
    runs |= {("map", 0): {"reason": text, "command": text, "network": text, "environment": text}}
    made: Path = synthetic.write_results(
        folder,
        methods,
        (0, 1),
        datasets=("digits", f"d{text}"),
        unseen=(f"u{shown}",),
        attacks=attacks,
        runs=runs,
    )
    scores = read_rows(made / "scores.csv")
    strange = [{**row, "metric": f"k{text}"} for row in scores if row["metric"] == "nll"]
    synthetic.write_table(made / "scores.csv", scores + strange)

    facts = dict.fromkeys(("device", "processor", "python", "system", "torch", text), text)
    environments = [{"id": text, **facts}, {"id": "0123abcd", **facts}]
    (made / "environment.json").write_text(json.dumps(environments))
    published = reference(source=text, notes=f"{text}; {text}")
    write_csv(made / "reference.csv", REFERENCE_COLUMNS, [published])
    return made


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reference(**fields: str) -> list[str]:
    """Row of a published value."""
    place = {"dataset": "digits", "method": "map", "condition": "clean", "level": ""}
    value = {"metric": "accuracy", "value": "0.5", "spread": "0.1", "certainty": "seen"}
    row = {**place, **value, **fields}
    return [row[name] for name in REFERENCE_COLUMNS]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of a report on results that are hostile in every field."""
    folder = results_named(tmp_path_factory.mktemp("results") / "hostile", HOSTILE)
    found = read(folder)
    assert found.references
    return contents(replace(found, title=HOSTILE), ["html", "latex", "markdown"])


def test_the_page_has_no_element_of_theirs(report: dict[str, bytes]) -> None:
    """A page has two scripts of its own and no element, handler or address of a name."""
    page = report["index.html"].decode()
    found = Elements(page)
    kinds = [attributes.get("type") for tag, attributes in found.found if tag == "script"]
    assert kinds == ["application/json", None]
    json.loads(found.scripts[0])
    assert "alert(1)" not in found.scripts[1]

    tags = {tag for tag, _ in found.found}
    assert not tags & {"img", "iframe", "object", "embed", "form", "base"}
    # Drawings that need no script are those of quality against cost alone.
    drawings = [tag for tag, _ in found.found if tag == "svg"]
    charts = re.findall(r'<figure class="cost"><svg viewBox="0 0 \d+ \d+" role="img"', page)
    assert len(drawings) == len(charts) > 0
    for _, attributes in found.found:
        assert not attributes.keys() & {"src", "style", "srcdoc"}, attributes
        assert not any(name.startswith("on") for name in attributes), attributes
        for name in ("href", "action", "formaction"):
            address = attributes.get(name) or ""
            assert not re.match(r"\s*(javascript|vbscript|data:text/html)", address), address
    assert "onerror=alert(1)" in page.replace("&gt;", ">")  # the names are there, as text


def test_the_page_has_a_policy(report: dict[str, bytes]) -> None:
    """The content-security policy allows nothing by default and nothing unsafe."""
    found = Elements(report["index.html"].decode()).found
    (policy,) = (one["content"] for tag, one in found if tag == "meta" and "http-equiv" in one)
    assert policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_the_tables_have_no_command_of_theirs(report: dict[str, bytes]) -> None:
    """A fragment holds no command of a name, no ^^ and no control character."""
    hostile = {"write", "openout", "openin", "csname", "read", "catcode", "immediate", "special"}
    names = {name for name in report if name.startswith("tables/")}
    assert len(names) > 10
    for name in names:
        text = report[name].decode()
        assert text.replace("\n", "").isprintable(), name
        assert not hostile & set(re.findall(r"\\([a-zA-Z@]+)", text)), name
        assert "^^" not in text
        assert ("\\input" in text) == (name == "tables/main.tex")
        assert text.count(r"\end{document}") == (name == "tables/main.tex")
        assert re.fullmatch(r"tables/[a-z0-9][a-z0-9.-]*\.tex", name)

    inputs = re.findall(r"\\input\{(.*?)\}", report["tables/main.tex"].decode())
    assert {f"tables/{name}" for name in inputs} == names - {"tables/main.tex"}


#: Commands that the escape writes: names of signs, and escaped signs.
SIGNS = (
    r"\\(textbackslash|textbar|textless|textgreater|textasciitilde|textasciicircum|pm|uparrow"
    r"|downarrow|dagger|epsilon|infty)(?![a-zA-Z])|\\[{}$&#%_`]"
)


@pytest.mark.parametrize(
    "text", [TEX, "^^5cinput{x}", "^^^^005cwrite18", "\\\\[1cm]", "a\nb\r\tc\0", "``''--", HOSTILE]
)
def test_latex_takes_no_text_for_a_command(text: str) -> None:
    """Escaped text holds letters and names of signs, and no other command."""
    left = re.sub(SIGNS, "", escape(text))
    assert "\\" not in left
    assert not set(left) & set("%&#~\n\r\t\0")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here")
def test_the_tables_compile(report: dict[str, bytes], tmp_path: Path) -> None:
    """All tables compile in one document, which starts no program and reads no other file."""
    for name, content in report.items():
        if name.startswith("tables/"):
            (tmp_path / Path(name).name).write_bytes(content)
    options = ("-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "-recorder")
    command = ["pdflatex", *options, "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    assert not list(tmp_path.rglob("canary*"))
    assert "/etc/passwd" not in (tmp_path / "main.fls").read_text()


def test_the_summary_is_text(report: dict[str, bytes]) -> None:
    """No tag, link, image or mention of a name is left in the Markdown."""
    text = report["summary.md"].decode()
    outside = re.sub(r"(?ms)^(`{3,})\n.*?^\1$", "", text)
    assert outside != text
    assert not re.search(r"(?<!\\)!\[|(?<!\\)\[[^\]]*(?<!\\)\]\(javascript", outside)
    for mark in ("<script", "<img", "@me"):
        assert mark not in outside
    for control in ("\x1b", "\u202e"):
        assert control not in text


def embedded(page: str) -> dict[str, str]:
    """Files that a page holds, unpacked."""
    files = {}
    for name, link in re.findall(r'<a download="([^"]*)" href="data:[^,]*;base64,([^"]*)">', page):
        content = base64.b64decode(link)
        if name.endswith(".gz"):
            content = gzip.decompress(content)
        files[name.removesuffix(".gz")] = content.decode()
    return files


SIGNS_OF_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def test_no_cell_of_a_page_is_a_formula(tmp_path: Path) -> None:
    """A text that begins as a formula does is marked as text in the CSV files of a page."""
    formula = 'HYPERLINK("http://evil.example";"x")'
    equals, plus, minus, at, *spaces = (f"{sign}{formula}" for sign in SIGNS_OF_FORMULAS)
    facts = {"reason": plus, "command": minus, "network": at, "environment": equals}
    places = ("datasets", "unseen", "attacks")
    names = {place: (text,) for place, text in zip(places, spaces, strict=True)}
    runs = {("map", 0): facts}
    folder = synthetic.write_results(tmp_path / "s", (equals, "map"), (0,), **names, runs=runs)
    files = embedded(html.page(analyse(read(folder))))

    tables = [content for name, content in files.items() if name.endswith(".csv")]
    assert tables
    for content in tables:
        cells = list(chain(*csv.reader(io.StringIO(content, newline=""))))
        assert any(formula in cell for cell in cells)
        for cell in cells:
            assert not cell.startswith(FORMULA) or float(cell) == float(cell), cell


@pytest.mark.parametrize("sign", SIGNS_OF_FORMULAS)
def test_no_cell_that_is_written_is_a_formula(sign: str, tmp_path: Path) -> None:
    """A text that begins as a formula does is marked as text; numbers are as they are."""
    text = f'{sign}HYPERLINK("http://evil.example";"x")'
    rows = [
        [text, text, 0, text, None, text, -0.5, text],
        ["d", "m", 0, "c", 1e-300, "x", None, "-1e3"],
    ]
    write_csv(tmp_path / "scores.csv", SCORES, rows)
    (first, second) = read_rows(tmp_path / "scores.csv")
    assert {first["dataset"], second["dataset"]} == {f"'{text}", "d"}
    assert {first["value"], second["value"]} == {"-0.5", ""}
    assert {first["run"], second["run"]} == {f"'{text}", "-1e3"}


def test_formulas_in_published_values(tmp_path: Path) -> None:
    """Published values that are handed on are no formulas, and change only once."""
    one = Reference("digits", "map", "clean", "", "nll", "-0.5", "", SHEET, "seen", "@note; -note")
    hand_on([one], tmp_path)
    (first,) = read_file(tmp_path / "reference.csv")
    assert first == replace(one, source=f"'{SHEET}", notes="'@note; -note")
    hand_on([first], tmp_path)
    assert read_file(tmp_path / "reference.csv") == [first]


def test_hostile_records_are_scored_as_text(tmp_path: Path) -> None:
    """Reasons, environments and commands of hostile records are single cells of derived files."""
    folder = tmp_path / "quick"
    planned = store.PlannedRun("map-digits-s0-01234567", "map", "digits", 0, (), command=HOSTILE)
    store.merge_plan(folder, [planned], description=HOSTILE)
    run = store.run_folder(folder, planned.name)
    run.update(
        status="failed",
        reason=SHEET,
        environment={"device": HOSTILE},
        identity={"network": f"@{HOSTILE}"},
    )

    score(folder)
    (row,) = read_rows(folder / "runs.csv")
    assert row["status"] == "failed"
    assert not [cell for cell in row.values() if cell.startswith(FORMULA)]
    assert row["network"] == f"'@{HOSTILE}"
    page = contents(read(folder), ["html"])["index.html"].decode()
    assert [tag for tag, _ in Elements(page).found].count("script") == 2
