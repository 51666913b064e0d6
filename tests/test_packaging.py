"""An installation is complete, and packages of others plug in."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_path

import pytest
from packaging.requirements import Requirement

from bench_uq import __version__
from bench_uq.plan.plugins import Plugins

REPO = Path(__file__).resolve().parents[1]
EXTERNAL = Path(__file__).parent / "external"
PLUGINS = {name: name for name in ("methods", "datasets", "conditions")}
FOLDERS = {
    "bench_uq": "bench_uq",
    **{f"bench_uq/{name}": name for name in (*PLUGINS, "metrics")},
}
SMALL = ("--seeds", "0", "--set", "epochs=1", "--set", "draws=2", "--device", "cpu")

pytestmark = pytest.mark.skipif(
    not any(importlib.metadata.distributions(name="pip")), reason="needs pip"
)


def call(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command far from the repository, with nothing in its environment that points there."""
    ours = ("PYTHON", "PIP_", "BENCH_UQ_", "VIRTUAL_ENV")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def checked(*command: str | Path, cwd: Path) -> str:
    """Return what a command prints that must end well."""
    done = call(*command, cwd=cwd)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def pip(*arguments: str | Path, cwd: Path) -> str:
    """Run pip without a network."""
    return checked(
        sys.executable,
        "-m",
        "pip",
        "--isolated",
        "--disable-pip-version-check",
        *arguments,
        cwd=cwd,
    )


def wheel(source: Path, folder: Path) -> Path:
    """Build the wheel of a source tree with what is installed here."""
    folder.mkdir()
    pip(
        "wheel",
        source,
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        folder,
        cwd=folder,
    )
    (built,) = folder.glob("*.whl")
    return built


def environment(folder: Path, source: Path) -> Path:
    """Commands of a new virtual environment with one package; others come from here."""
    checked(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(
        get_path("purelib") + "\n"
    )  # the .pth files in there are not read
    install(folder / "bin", source)
    return folder / "bin"


def install(commands: Path, source: Path) -> None:
    """Install a wheel or a source tree."""
    choices = ("--no-deps", "--no-index", "--no-build-isolation", "--force-reinstall")
    pip("--python", commands / "python", "install", *choices, source, cwd=commands)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tree without what builds and tests leave behind."""
    tree = tmp_path_factory.mktemp("source") / "tree"
    left = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("bench_uq", "methods", "datasets", "conditions", "metrics", "tests"):
        shutil.copytree(REPO / name, tree / name, ignore=left)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, tree)
    return tree


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel."""
    return wheel(source, tmp_path_factory.mktemp("built") / "wheels")


@pytest.fixture(scope="module")
def from_wheel(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the commands of an environment with the wheel."""
    return environment(tmp_path_factory.mktemp("wheel") / "venv", built)


@pytest.fixture(scope="module")
def from_source(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the commands of an environment made by ``pip install .``."""
    return environment(tmp_path_factory.mktemp("tree") / "venv", source)


@pytest.fixture(params=["from_wheel", "from_source"])
def commands(request: pytest.FixtureRequest) -> Path:
    """Return the commands of either environment."""
    return request.getfixturevalue(request.param)


@contextmanager
def installed(commands: Path, name: str, folder: Path) -> Iterator[None]:
    """Build a package of another author from its sources, install it, and take it away again."""
    shutil.copytree(
        EXTERNAL / name, folder / "external" / name, ignore=shutil.ignore_patterns("__pycache__")
    )
    install(commands, wheel(folder / "external" / name, folder / "wheels"))
    try:
        yield
    finally:
        pip("--python", commands / "python", "uninstall", "--yes", f"bench-uq-{name}", cwd=folder)


def in_the_tree() -> set[str]:
    """Return the files that an installation must hold, by their path in it."""
    data = (
        "py.typed",
        "plan/suites/*.toml",
        "plan/suites/*.csv",
        "report/page/*.css",
        "report/page/*.js",
    )
    patterns = {"bench_uq": ("**/*.py", *data)}
    found = set()
    for package, folder in FOLDERS.items():
        for pattern in patterns.get(package, ("**/*.py",)):
            found |= {
                f"{package}/{path.relative_to(REPO / folder).as_posix()}"
                for path in (REPO / folder).glob(pattern)
            }
    return found


def in_the_wheel(path: Path) -> set[str]:
    """Return the files of a wheel that are not its metadata."""
    with zipfile.ZipFile(path) as file:
        return {name for name in file.namelist() if ".dist-info/" not in name}


def plugin_names(kind: str) -> set[str]:
    """Return the names of the plugins in a folder of the repository."""
    paths = [
        path for path in (REPO / PLUGINS[kind]).iterdir() if not path.name.startswith(("_", "."))
    ]
    return {
        path.stem.replace("_", "-")
        for path in paths
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }


def listed(text: str) -> set[str]:
    """Return the first words of the lines that are not indented."""
    return {line.split()[0].rstrip(":") for line in text.splitlines() if line[:1].strip()}


def test_wheel_holds_the_tree(built: Path) -> None:
    """The wheel holds every module and data file, and neither tests nor top-level plugins."""
    assert in_the_wheel(built) == in_the_tree()
    assert "bench_uq/py.typed" in in_the_wheel(built)
    assert "bench_uq/plan/suites/quick.toml" in in_the_wheel(built)


def test_sdist_builds_the_same_wheel(source: Path, built: Path, tmp_path: Path) -> None:
    """The wheel of the unpacked source distribution holds the files of the wheel of the tree."""
    shutil.copytree(source, tmp_path / "tree", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    program = f"import setuptools.build_meta as build; build.build_sdist({str(tmp_path)!r})"
    checked(sys.executable, "-c", program, cwd=tmp_path / "tree")
    (packed,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(packed) as file:
        file.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert in_the_wheel(wheel(unpacked, tmp_path / "wheels")) == in_the_wheel(built)


def test_installation_is_its_own(commands: Path, tmp_path: Path) -> None:
    """The installed package is the one that is imported, under its version and with its command."""
    program = """
import importlib.metadata as metadata, bench_uq, bench_uq.methods, bench_uq.datasets
print(metadata.version("bench-uq"))
print([entry.value for entry in metadata.entry_points(group="console_scripts", name="bench-uq")])
print(*(module.__file__ for module in (bench_uq, bench_uq.methods, bench_uq.datasets)))
"""
    version, scripts, files = checked(commands / "python", "-c", program, cwd=tmp_path).splitlines()
    assert (version, scripts) == (__version__, "['bench_uq.cli:main']")
    assert all(file.startswith(f"{commands.parent}/lib/") for file in files.split())
    assert checked(commands / "bench-uq", "--version", cwd=tmp_path).split()[-1] == __version__


@pytest.mark.parametrize("name", ["datasets", "methods"])
def test_no_top_level_names(name: str, commands: Path, tmp_path: Path) -> None:
    """``import datasets`` and ``import methods`` find nothing of ours."""
    program = f"import importlib.util as util; spec = util.find_spec({name!r}); print(spec and spec.origin)"
    origin = checked(commands / "python", "-c", program, cwd=tmp_path).strip()
    assert not origin.startswith((str(commands.parent), str(REPO / name)))


@pytest.mark.parametrize("kind", PLUGINS)
def test_lists_name_every_plugin(kind: str, commands: Path, tmp_path: Path) -> None:
    """``list`` names every plugin in the repository's folders, and no other."""
    done = call(commands / "bench-uq", "list", kind, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert listed(done.stdout) - {"out-of-distribution"} == plugin_names(kind)
    assert done.stderr == ""


def test_lists_name_every_suite_and_metric(commands: Path, tmp_path: Path) -> None:
    """``list`` names every suite in the repository and every metric."""
    suites = listed(checked(commands / "bench-uq", "list", "suites", cwd=tmp_path))
    assert suites == {path.stem for path in (REPO / "bench_uq/plan/suites").glob("*.toml")}
    metrics = checked(commands / "python", "-m", "bench_uq", "list", "metrics", cwd=tmp_path)
    assert Plugins().metrics().keys() <= listed(metrics)


def test_run_and_report(commands: Path, tmp_path: Path) -> None:
    """An installed bench-uq runs two methods and reports them, far from the repository."""
    checked(commands / "bench-uq", "run", "--methods", "map,mnf", *SMALL, cwd=tmp_path)
    checked(commands / "bench-uq", "report", cwd=tmp_path)
    summary = (tmp_path / "reports/quick/summary.md").read_text()
    assert "| map" in summary
    assert "| mnf" in summary
    assert list((tmp_path / "reports/quick/tables").glob("*.tex"))


def test_package_of_another_author(from_wheel: Path, tmp_path: Path) -> None:
    """A method and a dataset of an installed package are listed, run and reported like our own."""
    with installed(from_wheel, "extra", tmp_path):
        bench = from_wheel / "bench-uq"
        assert "shrunk: One network with a penalty" in checked(
            bench, "list", "methods", cwd=tmp_path
        )
        assert "two-blobs: Points around two corners" in checked(
            bench, "list", "datasets", cwd=tmp_path
        )
        chosen = ("--methods", "map,shrunk[strength=0.5]", "--datasets", "two-blobs")
        (tmp_path / "clean.toml").write_text(
            'methods = ["map"]\ndatasets = ["digits"]\nseeds = [0]\n[settings]\nepochs = 1\n'
        )
        checked(bench, "run", "--suite", "clean.toml", *chosen, *SMALL, cwd=tmp_path)
        checked(bench, "report", "--suite", "clean.toml", cwd=tmp_path)
        assert "| shrunk" in (tmp_path / "reports/clean/summary.md").read_text()
        assert (tmp_path / "reports/clean/tables/two-blobs.tex").is_file()


def test_broken_package_is_left_out(from_wheel: Path, tmp_path: Path) -> None:
    """A package that fails at import is one line, and lists and other runs still work."""
    with installed(from_wheel, "broken", tmp_path):
        for kind, name in (("methods", "broken"), ("datasets", "gone")):
            done = call(from_wheel / "bench-uq", "list", kind, cwd=tmp_path)
            assert (done.returncode, listed(done.stdout)) == (0, plugin_names(kind))
            (line,) = done.stderr.splitlines()
            assert line.startswith(f"broken  {name}: plugin bench_uq_broken")
            assert line.endswith("ImportError: libmissing.so.1: no such file")
        checked(
            from_wheel / "bench-uq", "run", "--methods", "map", "--dry-run", *SMALL, cwd=tmp_path
        )
        done = call(from_wheel / "bench-uq", "run", "--methods", "broken", *SMALL, cwd=tmp_path)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_two_plugins_of_one_name(from_wheel: Path, tmp_path: Path) -> None:
    """A package whose plugin has the name of another is refused in one line, exit 2."""
    with installed(from_wheel, "twin", tmp_path):
        for arguments in (("list", "methods"), ("run", "--methods", "map", *SMALL)):
            done = call(from_wheel / "bench-uq", *arguments, cwd=tmp_path)
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith("Error: two plugins are called 'map'")
            assert len(done.stderr.splitlines()) == 1


def test_oldest_versions_are_the_lower_bounds() -> None:
    """constraints-oldest.txt holds the lower bound of every dependency that has one."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    lines = (REPO / "constraints-oldest.txt").read_text().splitlines()
    oldest = {
        one.name: one.specifier
        for one in map(Requirement, (line for line in lines if line[:1] != "#"))
    }
    for text in (*project["dependencies"], *project["optional-dependencies"]["test"]):
        wanted = Requirement(text)
        for bound in wanted.specifier:
            assert bound.operator == ">="
            assert oldest[wanted.name].contains(bound.version), text
