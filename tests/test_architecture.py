"""The arrows of the design point one way, and the package is whole."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
FOLDERS = {"bench_uq": "bench_uq", "bench_uq.methods": "methods", "bench_uq.datasets": "datasets"}


def loaded(code: str) -> set[str]:
    """Return the modules that are loaded after some code, in a fresh process."""
    program = f"{code}\nimport sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import bench_uq", {"torch", "pandas", "netcal", "numpy"}),
        (
            "import bench_uq.cli; bench_uq.cli.main(['--help'], standalone_mode=False)",
            {"torch", "pandas", "netcal"},
        ),
        ("import bench_uq.score", {"torch", "netcal"}),
        ("from bench_uq.report import figures, frames, latex, markdown", {"torch", "netcal"}),
        (
            "from bench_uq.gate import baseline, comparison, formats, rule",
            {"torch", "netcal", "matplotlib"},
        ),
        ("import bench_uq.metrics", {"torch", "netcal"}),
        ("import bench_uq.datasets.digits, bench_uq.datasets.mnist", {"torch"}),
    ],
)
def test_heavy_packages_are_loaded_where_needed(code: str, forbidden: set[str]) -> None:
    """What a stage does not need it does not load."""
    assert loaded(code) & forbidden == set()


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
    return found


def test_nothing_before_score_knows_a_metric() -> None:
    """Planning, training, predicting and storing import no metric."""
    for name in (
        "plan",
        "train",
        "predict",
        "execute",
        "runner",
        "store",
        "networks",
        "contracts",
        "data",
    ):
        assert not {
            one
            for one in imports(REPO / "bench_uq" / f"{name}.py")
            if "metrics" in one or "score" in one
        }


def test_engine_names_no_plugin() -> None:
    """No file of the engine imports a method or dataset; only plugins.py names their packages."""
    for path in (REPO / "bench_uq").rglob("*.py"):
        assert not {
            one
            for one in imports(path)
            if one.startswith(("bench_uq.methods", "bench_uq.datasets"))
        }, path


def test_plugins_import_the_api_alone() -> None:
    """Of the engine, methods and datasets import bench_uq.api and nothing else."""
    for folder in ("methods", "datasets"):
        for path in (REPO / folder).rglob("*.py"):
            engine = {one for one in imports(path) if one.startswith("bench_uq")}
            assert engine <= {"bench_uq.api"} | {
                one for one in engine if one.startswith(f"bench_uq.{folder}")
            }, path


def test_no_bare_import_of_mapped_folders() -> None:
    """Nothing imports ``methods`` or ``datasets`` bare: that would make a second object of every class."""
    for path in (
        path
        for folder in ("bench_uq", "methods", "datasets", "tests")
        for path in (REPO / folder).rglob("*.py")
    ):
        assert not {
            one for one in imports(path) if one.partition(".")[0] in ("methods", "datasets")
        }, path


def test_packages_list_every_folder() -> None:
    """A wheel holds every folder with an __init__.py, and every folder with Python files has one."""
    listed = set(
        tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    found = set()
    for package, folder in FOLDERS.items():
        for path in (REPO / folder).rglob("*.py"):
            parts = path.parent.relative_to(REPO / folder).parts
            found.add(".".join((package, *parts)))
            assert (path.parent / "__init__.py").is_file()
    assert found == listed


def test_nothing_is_unpickled() -> None:
    """No code of ours can run what a results file holds."""
    for path in (path for folder in FOLDERS.values() for path in (REPO / folder).rglob("*.py")):
        assert imports(path).isdisjoint(
            {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
        ), path
        assert "allow_pickle=True" not in path.read_text(), path
        assert "torch.load(" not in path.read_text(), path
