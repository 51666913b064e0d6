"""Names and texts of others that reach a report, a table or a spreadsheet are text there, and nothing else."""

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
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench_uq import store
from bench_uq.report import contents
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

MARKUP = """'"></script><script>alert(1)</script><img src=x onerror=alert(1)><svg/onload=alert(1)>&lt;a href=javascript:x"""
TEX = r"\input{/etc/passwd}\write18{touch canary}^^5cinput{x}^^M%$#&_{}\end{document}\openout0=canary\csname x"
SHEET = "=cmd|'/c calc'!A1+HYPERLINK(\"http://evil.example\")"
#: All of it in one text, with what parts cells and lines.
HOSTILE = f"{MARKUP}{TEX}|`![i](javascript:x) @me ~~~ ```\u202e\x1b[31m\x07{SHEET}"


class Elements(HTMLParser):
    """The elements of a page with their attributes, and what stands in each script."""

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
        """Note what stands in a script."""
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
    (made / "environment.json").write_text(
        json.dumps([{"id": text, **facts}, {"id": "0123abcd", **facts}])
    )
    one = {
        "dataset": "digits",
        "method": "map",
        "metric": "accuracy",
        "value": "0.5",
        "certainty": "seen",
    }
    write_csv(
        made / "reference.csv",
        REFERENCE_COLUMNS,
        [reference(**one, source=text, notes=f"{text}; {text}")],
    )
    return made


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reference(**fields: str) -> list[str]:
    """Return a published value as a row."""
    defaults = {"condition": "clean", "level": "", "spread": "0.1", "notes": ""}
    return [{**defaults, **fields}[name] for name in REFERENCE_COLUMNS]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a report on results that are hostile in every field."""
    folder = results_named(tmp_path_factory.mktemp("results") / "hostile", HOSTILE)
    found = read(folder)
    assert found.references
    return contents(replace(found, title=HOSTILE), ["html", "latex", "markdown"])


def test_the_page_has_no_element_of_theirs(report: dict[str, bytes]) -> None:
    """A page has its two scripts, of which the policy lets in the one by its hash, and no element, handler or link of
    a name.
    """
    page = report["index.html"].decode()
    elements = Elements(page)
    kinds = [attributes.get("type") for tag, attributes in elements.found if tag == "script"]
    assert kinds == ["application/json", None]
    json.loads(elements.scripts[0])
    assert "alert(1)" not in elements.scripts[1]
    (policy,) = (
        one["content"] or "" for tag, one in elements.found if tag == "meta" and "http-equiv" in one
    )
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not {"img", "svg", "iframe", "object", "embed", "form", "base"} & {
        tag for tag, _ in elements.found
    }
    for tag, attributes in elements.found:
        assert not [
            name
            for name in attributes
            if name.startswith("on") or name in ("src", "style", "srcdoc")
        ], tag
        for name in ("href", "action", "formaction"):
            assert not re.match(r"\s*(javascript|vbscript)", attributes.get(name) or ""), attributes
            assert not (attributes.get(name) or "").startswith("data:text/html"), attributes
    assert "onerror=alert(1)" in page.replace("&gt;", ">")  # as text: the names are there


def test_the_tables_have_no_command_of_theirs(report: dict[str, bytes]) -> None:
    """No command, no ^^ and no % of a name is left in a fragment, nor a letter that ends a line."""
    fragments = {
        name: content.decode() for name, content in report.items() if name.startswith("tables/")
    }
    assert len(fragments) > 10
    for name, text in fragments.items():
        assert text.isprintable() or set(text) - {"\n"} == {
            one for one in text if one.isprintable()
        }, name
        commands = set(re.findall(r"\\([a-zA-Z@]+)", text))
        assert not commands & {
            "write",
            "openout",
            "openin",
            "csname",
            "read",
            "catcode",
            "immediate",
            "special",
        }, name
        assert "^^" not in text
        assert ("\\input" in text) == (name == "tables/main.tex")
        assert text.count(r"\end{document}") == (name == "tables/main.tex")
    inputs = re.findall(r"\\input\{(.*?)\}", fragments["tables/main.tex"])
    assert {f"tables/{name}" for name in inputs} == fragments.keys() - {"tables/main.tex"}
    assert all(re.fullmatch(r"tables/[a-z0-9][a-z0-9.-]*\.tex", name) for name in fragments)


@pytest.mark.parametrize(
    "text", [TEX, "^^5cinput{x}", "^^^^005cwrite18", "\\\\[1cm]", "a\nb\r\tc\0", "``''--", HOSTILE]
)
def test_latex_takes_no_text_for_a_command(text: str) -> None:
    """What is left of a text by its escape are letters, and signs by name."""
    known = r"\\(textbackslash|textbar|textless|textgreater|textasciitilde|textasciicircum|pm|uparrow|downarrow|dagger"
    known += r"|epsilon|infty)(?![a-zA-Z])|\\[{}$&#%_`]"
    left = re.sub(known, "", escape(text))
    assert "\\" not in left
    assert not set(left) & set("%&#~\n\r\t\0")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here")
def test_the_tables_compile(report: dict[str, bytes], tmp_path: Path) -> None:
    """A document of all tables compiles with programs of its own allowed, and starts none and reads no file."""
    for name, content in report.items():
        if name.startswith("tables/"):
            (tmp_path / Path(name).name).write_bytes(content)
    command = [
        "pdflatex",
        "-shell-escape",
        "-interaction=nonstopmode",
        "-halt-on-error",
        "-recorder",
        "main.tex",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    assert not list(tmp_path.rglob("canary*"))
    assert "/etc/passwd" not in (tmp_path / "main.fls").read_text()


def test_the_summary_is_text(report: dict[str, bytes]) -> None:
    """No tag, link, image or mention of a name is left in the Markdown."""
    text = report["summary.md"].decode()
    outside = re.sub(r"(?ms)^(`{3,})\n.*?^\1$", "", text)
    assert outside != text
    assert "<script" not in outside
    assert "<img" not in outside
    assert not re.search(r"(?<!\\)!\[|(?<!\\)\[[^\]]*(?<!\\)\]\(javascript", outside)
    assert "@me" not in outside
    assert "\x1b" not in text
    assert "\u202e" not in text


def embedded(page: str) -> dict[str, str]:
    """Return the files that a page holds."""
    links = re.findall(r'<a download="([^"]*)" href="data:[^,]*;base64,([^"]*)">', page)
    held = {name: base64.b64decode(link) for name, link in links}
    return {
        name.removesuffix(".gz"): (
            gzip.decompress(content) if name.endswith(".gz") else content
        ).decode()
        for name, content in held.items()
    }


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_is_a_formula(sign: str, tmp_path: Path) -> None:
    """Cells that begin as formulas do are text in every CSV file that a page holds or that is written; numbers are not
    changed.
    """
    text = f'{sign}HYPERLINK("http://evil.example";"x")'
    runs = {("map", 0): {"reason": text, "command": text, "network": text, "environment": text}}
    shown = text.replace("@", "=")  # which parts condition and level where results are made up
    names = {"datasets": (text,), "unseen": (shown,), "attacks": (shown,)}
    folder = synthetic.write_results(tmp_path / "s", (text, "map"), (0,), **names, runs=runs)
    from bench_uq.report import page as html

    for name, content in embedded(html.page(analyse(read(folder)))).items():
        if name.endswith(".csv"):
            cells = [cell for row in csv.reader(io.StringIO(content, newline="")) for cell in row]
            assert any(text in cell for cell in cells)
            for cell in cells:
                assert not cell.startswith(FORMULA) or float(cell) == float(cell), (name, cell)
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
    """What is handed on of published values is no formula, reads again, and does not change when handed on again."""
    one = Reference("digits", "map", "clean", "", "nll", "-0.5", "", SHEET, "seen", "@note; -note")
    hand_on([one], tmp_path)
    (first,) = read_file(tmp_path / "reference.csv")
    assert first == replace(one, source=f"'{SHEET}", notes="'@note; -note")
    hand_on([first], tmp_path)
    assert read_file(tmp_path / "reference.csv") == [first]


def test_hostile_records_are_scored_as_text(tmp_path: Path) -> None:
    """Reasons, environments and commands that others wrote into records end as single cells of the derived files."""
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
