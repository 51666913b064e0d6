"""Pages of the site that are made from the code, and links that lead out of docs/.

mkdocs calls ``on_files`` and ``on_page_markdown`` (mkdocs.yml).
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

import bench_uq
from bench_uq.cli.listing import entries
from bench_uq.plan.suite import read_suite, shipped
from bench_uq.train.settings import MEANINGS, Settings

REPO = Path(__file__).resolve().parents[1]

#: Pages of the repository's root, by their name on the site.
ROOT = {
    "security.md": "SECURITY.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
#: Where the functions of bench_uq stand. Its packages have the names of some of them, which
#: documentation made from the files alone would take for these.
FUNCTIONS = "<!-- the functions of bench_uq, by docs/pages.py -->"
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add pages of the root, of settings, suites, metrics, notebooks and of every study."""
    made = {name: (REPO / path).read_text() for name, path in ROOT.items()}
    made["settings.md"] = settings()
    made["suites.md"] = fenced("Suites", "suites", "bench-uq list suites NAME")
    made["metrics.md"] = fenced("Metrics", "metrics", "bench-uq list metrics")
    made["notebooks.md"] = notebooks()
    made["pages.md"] = overview()
    made |= {f"reports/{name}/index.html": study(name) for name in studies()}
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    for figure in figures():
        name = figure.relative_to(REPO).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(figure)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links that lead out of docs/ into the name of the file; the root's own are pages."""
    markdown = markdown.replace(FUNCTIONS, functions())
    folder = REPO / "docs"
    if page.file.src_uri in ROOT:
        folder = REPO
    elif "/" in page.file.src_uri:
        folder = folder / page.file.src_uri.rpartition("/")[0]

    elsewhere = places()

    def inside(match: re.Match[str]) -> str:
        image, text, target, anchor = match.groups()
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = (folder / target).resolve()
        # Where the page of a file is on the site, seen from this one.
        up = "../" * page.file.src_uri.count("/")
        if path in elsewhere:
            return f"{image}[{text}]({up}{elsewhere[path]}{anchor or ''})"
        if path.is_relative_to(REPO / "docs") and path.is_file() and path.suffix != ".ipynb":
            return (
                f"{image}[{text}]({up}{path.relative_to(REPO / 'docs').as_posix()}{anchor or ''})"
            )
        if path.exists():
            name = path.relative_to(REPO).as_posix()
            return text if image or text.strip("`") == name else f"{text} (`{name}`)"
        # A link to nothing stays, and fails the strict build.
        return match[0]

    return LINK.sub(inside, markdown)


def places() -> dict[Path, str]:
    """Where files from outside docs/ are on the site."""
    found = {REPO / path: name for name, path in ROOT.items()}
    found[REPO / "README.md"] = "index.md"
    found[REPO / "reports"] = "pages.md"
    for name in studies():
        found[REPO / "reports" / name / "summary.md"] = f"reports/{name}/index.html"
    for figure in figures():
        found[figure] = figure.relative_to(REPO).as_posix()
    return found


def figures() -> list[Path]:
    """The figures of reports."""
    return sorted(REPO.glob("reports/*/figures/*.png"))


def studies() -> list[str]:
    """Names of the studies of shipped suites, tuned or not, whose report the repository has."""
    names = sorted(path.parent.name for path in REPO.glob("reports/*/summary.md"))
    known = set(shipped())
    return [name for name in names if name.removesuffix("-tuned") in known and is_scored(name)]


def is_scored(name: str) -> bool:
    """Whether the results of a study are here."""
    return bool(list((REPO / "results" / name).glob("runs.csv*")))


# mkdocs serve calls on_files after each change of a page.
@functools.cache
def study(name: str) -> str:
    """The page of a study, made from its scores in results/."""
    with tempfile.TemporaryDirectory() as target:
        bench_uq.report(REPO / "results" / name, target, formats=["html"])
        return (Path(target) / "index.html").read_text()


def overview() -> str:
    """A list of the pages of the studies."""
    lines = [
        "# Pages of the studies",
        "",
        "The report of each study whose results the repository has, as `bench-uq report` makes it: "
        "the verdict, charts, every table. [How to read them](reports.md).",
        "",
        "| study | what it is |",
        "|---|---|",
    ]
    for name in studies():
        suite = name.removesuffix("-tuned")
        tuned = ", with tuned methods" if suite != name else ""
        description = f"{read_suite(suite).description}{tuned}"
        lines.append(f"| [{name}](reports/{name}/index.html) | {description} |")
    return "\n".join([*lines, ""])


def functions() -> str:
    """Signature and docstring of each function of bench_uq."""
    lines = []
    for name in bench_uq.__all__:
        value = getattr(bench_uq, name)
        if not inspect.isfunction(value):
            continue
        parameters = inspect.signature(value)
        written = [f"    {one}," for one in map(str, parameters.parameters.values())]
        for marker, kind in (("/", "POSITIONAL_ONLY"), ("*", "KEYWORD_ONLY")):
            kinds = [one.kind.name for one in parameters.parameters.values()]
            if kind in kinds:
                place = kinds.index(kind) if marker == "*" else kinds.count(kind)
                # The other marker may stand before.
                written.insert(place + ("    /," in written), f"    {marker},")
        lines += [f"### bench_uq.{name}", "", "```python", f"{name}(", *written]
        lines += [
            f") -> {parameters.return_annotation}",
            "```",
            "",
            inspect.getdoc(value) or "",
            "",
        ]
    return "\n".join(lines)


def settings() -> str:
    """Every setting with its default and meaning."""
    lines = [
        "# Settings",
        "",
        "Settings are shared by all methods of a suite: `--set epochs=100`, or `[settings]` in its "
        "file. Those of training may be set for one method alone, `--set mnf.epochs=120`. "
        "`bench-uq list settings` prints them. Options belong to one plugin: "
        "`bench-uq list methods`.",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
    ]
    for name, meaning in MEANINGS.items():
        lines.append(f"| `{name}` | `{getattr(Settings, name)}` | {meaning} |")
    return "\n".join([*lines, ""])


def fenced(title: str, what: str, command: str) -> str:
    """Everything of a kind as a command lists it."""
    names = tuple(entries(what, (), notice=print))
    lines = [f"# {title}", "", f"As `{command}` prints them."]
    for name, text in entries(what, names, notice=print).items():
        lines += ["", f"## {name}", "", "```text", text, "```"]
    return "\n".join([*lines, ""])


def notebooks() -> str:
    """The notebooks in docs/notebooks/ one after another, with their outputs of text."""
    lines = [
        "# Notebooks",
        "",
        "They lie in `docs/notebooks/` and run on data that ship with the packages, on a CPU in "
        "seconds.",
    ]
    for path in sorted((REPO / "docs" / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                # The title of a notebook is a section of the page.
                lines += ["", re.sub(r"^#", "##", text, flags=re.M)]
                continue
            lines += ["", "```python", text, "```"]
            for output in cell.get("outputs", []):
                shown = output.get("text") or output.get("data", {}).get("text/plain", [])
                lines += ["", "```text", "".join(shown).rstrip(), "```"]
    return "\n".join([*lines, ""])
