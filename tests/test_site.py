"""The documentation is a site that works offline, and its notebooks run."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import bench_uq
from bench_uq.plan.suite import shipped
from bench_uq.train.settings import MEANINGS

REPO = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((REPO / "docs" / "notebooks").glob("*.ipynb"))
BUILDERS = ("material", "mkdocstrings", "mkdocstrings_handlers.python")


def is_installed(name: str) -> bool:
    """Whether a package is there."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a broken link or a page that is nowhere ends the build."""
    missing = [name for name in BUILDERS if not is_installed(name)]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"needs {', '.join(missing)} (pip install -e '.[docs]')")
    assert not missing

    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, env=quiet)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_on_the_site(site: Path) -> None:
    """Every page of docs/ is built, and every page but decisions is in the navigation."""
    text = (REPO / "mkdocs.yml").read_text()
    listed = set(re.findall(r"[\w-]+\.md$", text, re.M))
    pages = {path.name for path in (REPO / "docs").glob("*.md")}
    assert pages <= listed
    for name in listed:
        assert (site / name).with_suffix(".html").is_file(), name
    assert yaml.safe_load(text)["strict"] is True


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    """No script, style, font or picture of any page comes from another server."""
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert not re.findall(r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//[^\"]*", text), page
        for link in re.findall(r"<link[^>]+>", text):
            assert "//" not in link or 'rel="canonical"' in link, (page, link)


def test_pages_from_the_code_hold_all_of_it(site: Path) -> None:
    """Every setting, suite and function of bench_uq stands on its page."""
    settings, suites = (site / "settings.html").read_text(), (site / "suites.html").read_text()
    for name, meaning in MEANINGS.items():
        assert f"<code>{name}</code>" in settings
        assert meaning.split(",")[0] in settings
    assert all(f'id="{name}"' in suites for name in shipped())
    api = (site / "api.html").read_text()
    for name in bench_uq.__all__:
        if callable(getattr(bench_uq, name)) and name.islower():
            assert f'id="bench_uq{name}"' in api, name
    assert "Scores of one model" in api
    assert "bench_uq.evaluate.scores.Scores" in api


def test_every_study_has_its_page_on_the_site(site: Path) -> None:
    """The page opens with the verdict of the committed summary; a list and the docs lead to it."""
    overview = (site / "pages.html").read_text()
    committed = re.findall(r"^!/reports/([\w-]+)/$", (REPO / ".gitignore").read_text(), re.M)
    assert len(committed) >= 15
    for name in committed:
        summary = REPO / "reports" / name / "summary.md"
        page = html.unescape((site / "reports" / name / "index.html").read_text())
        line = re.search(r"^## Verdict\n\n- (.+)$", summary.read_text(), re.M)
        assert line
        assert line[1].replace("\\", "") in page, name
        assert f'href="reports/{name}/index.html"' in overview
    assert 'href="reports/uci/index.html"' in (site / "uci.html").read_text()


def test_figures_of_reports_are_on_the_site(site: Path) -> None:
    """The docs show some, which lie beside docs/."""
    shown = re.findall(r'<img[^>]+src="(reports/[^"]+)"', (site / "mnf-paper.html").read_text())
    assert len(shown) == 2
    assert all((site / path).is_file() for path in shown)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path: Path, tmp_path: Path) -> None:
    """The code of a notebook runs from its top to its end, and its outputs are small."""
    cells = json.loads(path.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 3
    environment = {**os.environ, "MPLBACKEND": "agg"}
    command = [sys.executable, "-W", "ignore", "-c", "\n\n".join(code)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert path.stat().st_size < 50_000


def test_there_are_three_notebooks() -> None:
    """A verdict, a model under attack, a method from nothing."""
    assert [path.stem for path in NOTEBOOKS] == [
        "a-method-from-nothing",
        "a-verdict-in-five-minutes",
        "my-model-under-attack",
    ]


def test_citation_and_metadata_agree() -> None:
    """The citation has the version and licence of the package."""
    citation = yaml.safe_load((REPO / "CITATION.cff").read_text())
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    assert citation["version"] == bench_uq.__version__
    assert citation["license"] == project["license"]
    assert citation["authors"] == project["authors"]
    assert {"cff-version", "message", "title"} <= citation.keys()
