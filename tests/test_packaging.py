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
PLUGINS = ("methods", "datasets", "conditions", "metrics")
FOLDERS = {"bench_uq": "bench_uq", **{f"bench_uq/{name}": name for name in PLUGINS}}
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
    quiet = ("--isolated", "--disable-pip-version-check")
    return checked(sys.executable, "-m", "pip", *quiet, *arguments, cwd=cwd)


def wheel(source: Path, folder: Path) -> Path:
    """Build the wheel of a source tree with what is installed here."""
    folder.mkdir()
    choices = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder)
    pip("wheel", source, *choices, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def environment(folder: Path, source: Path) -> Path:
    """Commands of a new virtual environment with one package; others come from here."""
    checked(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    (packages,) = folder.glob("lib/python*/site-packages")
    # The .pth files in there are not read.
    (packages / "borrowed.pth").write_text(get_path("purelib") + "\n")
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
    data = ("py.typed", "plan/suites/**/*.toml", "plan/suites/**/*.csv", "plan/suites/*.npz")
    pages = ("report/page/*.css", "report/page/*.js")
    found = set()
    for package, folder in FOLDERS.items():
        for pattern in ("**/*.py", *data, *pages) if package == "bench_uq" else ("**/*.py",):
            paths = [path.relative_to(REPO / folder) for path in (REPO / folder).glob(pattern)]
            found |= {f"{package}/{path.as_posix()}" for path in paths}
    return found


def in_the_wheel(path: Path) -> set[str]:
    """Return the files of a wheel that are not its metadata."""
    with zipfile.ZipFile(path) as file:
        return {name for name in file.namelist() if ".dist-info/" not in name}


def plugin_names(kind: str) -> set[str]:
    """Return the names of the plugins in a folder of the repository."""
    paths = [path for path in (REPO / kind).iterdir() if not path.name.startswith(("_", "."))]
    plugins = [one for one in paths if one.suffix == ".py" or (one / "__init__.py").is_file()]
    return {path.stem.replace("_", "-") for path in plugins}


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


def test_installing_the_tree_installs_its_wheel(
    source: Path, from_wheel: Path, tmp_path: Path
) -> None:
    """``pip install .`` leaves the files that the wheel does."""
    found = []
    for commands in (environment(tmp_path / "venv", source), from_wheel):
        (package,) = commands.parent.glob("lib/python*/site-packages/bench_uq")
        paths = [path.relative_to(package.parent) for path in package.rglob("*")]
        found.append({str(path) for path in paths if "__pycache__" not in path.parts})
    assert found[0] == found[1]


def test_installation_is_its_own(from_wheel: Path, tmp_path: Path) -> None:
    """What is imported is the installed package; ``import datasets`` finds nothing of ours."""
    program = """
import importlib.metadata as metadata, importlib.util, bench_uq, bench_uq.methods, bench_uq.datasets
print(metadata.version("bench-uq"))
print([entry.value for entry in metadata.entry_points(group="console_scripts", name="bench-uq")])
print(*(module.__file__ for module in (bench_uq, bench_uq.methods, bench_uq.datasets)))
specs = map(importlib.util.find_spec, ("datasets", "methods", "conditions", "metrics"))
print([spec.origin for spec in specs if spec])
"""

    output = checked(from_wheel / "python", "-c", program, cwd=tmp_path)
    version, scripts, files, others = output.splitlines()
    own = str(from_wheel.parent)

    assert (version, scripts) == (__version__, "['bench_uq.cli:main']")
    assert all(file.startswith(f"{own}/lib/") for file in files.split())
    ours = (own, *(str(REPO / name) for name in PLUGINS))
    assert not [folder for folder in ours if f"'{folder}/" in others]
    assert checked(from_wheel / "bench-uq", "--version", cwd=tmp_path).split()[-1] == __version__


def test_lists_name_every_plugin_suite_and_metric(from_wheel: Path, tmp_path: Path) -> None:
    """``list`` names what is in the repository's folders, and no other."""
    for kind in ("methods", "datasets", "conditions"):
        done = call(from_wheel / "bench-uq", "list", kind, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert listed(done.stdout) - {"out-of-distribution"} == plugin_names(kind)
    suites = listed(checked(from_wheel / "bench-uq", "list", "suites", cwd=tmp_path))
    assert suites == {path.stem for path in (REPO / "bench_uq/plan/suites").glob("*.toml")}
    metrics = checked(from_wheel / "python", "-m", "bench_uq", "list", "metrics", cwd=tmp_path)
    assert Plugins().metrics().keys() <= listed(metrics)


def test_run_and_report(from_wheel: Path, tmp_path: Path) -> None:
    """An installed bench-uq runs two methods and reports them, far from the repository."""
    checked(from_wheel / "bench-uq", "run", "--methods", "map,mnf", *SMALL, cwd=tmp_path)
    checked(from_wheel / "bench-uq", "report", cwd=tmp_path)
    summary = (tmp_path / "reports/quick/summary.md").read_text()
    assert "| MAP" in summary
    assert "| MNF" in summary
    assert list((tmp_path / "reports/quick/tables").glob("*.tex"))


def test_package_of_another_author(from_wheel: Path, tmp_path: Path) -> None:
    """A method and a dataset of an installed package are listed, run and reported like our own."""
    with installed(from_wheel, "extra", tmp_path):
        bench = from_wheel / "bench-uq"
        for kind, words in (
            ("methods", "shrunk: One network with a penalty"),
            ("datasets", "two-blobs: Points around two corners"),
        ):
            assert words in checked(bench, "list", kind, cwd=tmp_path)

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
    pins = [line for line in lines if line[:1] != "#"]
    oldest = {one.name: one.specifier for one in map(Requirement, pins)}
    for text in (*project["dependencies"], *project["optional-dependencies"]["test"]):
        wanted = Requirement(text)
        for bound in wanted.specifier:
            assert bound.operator == ">="
            assert oldest[wanted.name].contains(bound.version), text
