"""The arrows of the design point one way, and the package is whole."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from bench_uq.plan.plugins import Plugins

REPO = Path(__file__).resolve().parents[1]
PLUGINS = ("methods", "datasets", "conditions", "metrics")
FOLDERS = {"bench_uq": "bench_uq", **{f"bench_uq.{name}": name for name in PLUGINS}}

#: The rooms from the command line down to the contract: an import points to a room further down.
FLOORS = (
    *(
        "cli",
        "evaluate",
        "testing",
        "check",
        "report",
        "run",
        "score",
        "plan",
        "predict",
        "store",
        "train",
    ),
    *("plugin", "api"),
)


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
        ("import bench_uq.score.score", {"torch", "netcal"}),
        (
            "from bench_uq.report import figures, latex, markdown; import bench_uq.score.results",
            {"torch", "netcal"},
        ),
        (
            "from bench_uq.check import baseline, compare, formats, rule",
            {"torch", "netcal", "matplotlib"},
        ),
        (
            "from bench_uq.plan.plugins import Plugins; Plugins().metrics()",
            {"torch", "netcal", "sklearn", "pandas"},
        ),
        ("import bench_uq.datasets.digits, bench_uq.datasets.mnist", {"torch"}),
        ("import bench_uq.run.cluster.worker", {"torch", "pandas"}),
        (
            "import bench_uq; one = bench_uq.evaluate([[0.9, 0.1]] * 9, [0] * 9, resamples=2); "
            "str(one), one.to_frame(), one.plot.reliability()",
            {"torch", "netcal", "sklearn"},
        ),
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


def modules() -> dict[str, Path]:
    """Return every module of the package by its full name."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in (REPO / folder).rglob("*.py"):
            parts = path.relative_to(REPO / folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


def arrows() -> dict[str, set[str]]:
    """Return the modules of the package that each module imports, also within a function."""
    known, found = modules(), {}
    for name, path in known.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names} & known.keys()
            elif isinstance(node, ast.ImportFrom) and node.module in known:
                for alias in node.names:
                    submodule = f"{node.module}.{alias.name}"
                    found[name].add(submodule if submodule in known else node.module)
        found[name].discard(name)
    return found


def room(module: str) -> str:
    """Return the room of a module; all plugins stand in one, and the door of bench_uq in none."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1].startswith("_"):
        return ""
    return "plugin" if parts[1] in PLUGINS else parts[1]


def test_rooms() -> None:
    """The top of bench_uq holds a package for each floor, and three modules."""
    top = REPO / "bench_uq"
    packages = {path.parent.name for path in top.glob("*/__init__.py")}
    assert packages == {*FLOORS} - {"plugin"}
    assert {path.name for path in top.glob("*.py")} == {"__init__.py", "__main__.py", "_version.py"}


def test_arrows_point_down() -> None:
    """A room imports rooms further down alone."""
    up = []
    for name, others in arrows().items():
        for other in filter(room, sorted(others)):
            if room(name) and FLOORS.index(room(name)) > FLOORS.index(room(other)):
                up.append(f"{name} -> {other}")
    assert up == []


def test_no_circle() -> None:
    """No module imports itself by way of others, also within a room."""
    left = arrows()
    while leaves := [name for name, others in left.items() if not others]:
        left = {name: others - {*leaves} for name, others in left.items() if name not in leaves}
    assert left == {}


def test_nothing_before_score_knows_a_metric() -> None:
    """Planning, training, predicting and storing import no metric."""
    for name, others in arrows().items():
        if room(name) in ("run", "plan", "train", "predict", "store"):
            assert not {other for other in others if other.startswith("bench_uq.metrics")}, name


def test_engine_names_no_plugin() -> None:
    """No module of the engine imports a plugin's module."""
    plugins = tuple(f"bench_uq.{name}." for name in ("methods", "datasets", "conditions"))
    for name, others in arrows().items():
        if room(name) != "plugin":
            assert not {other for other in others if other.startswith(plugins)}, name


def strings(path: Path) -> set[str]:
    """All strings in a file but docstrings."""
    tree = ast.parse(path.read_text())
    found = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, documented)]
    docstrings = {ast.get_docstring(node, clean=False) for node in nodes}
    return {text for text in found - docstrings if isinstance(text, str)}


def engine() -> dict[str, set[str]]:
    """The strings of each file of the engine, by its path in bench_uq."""
    top = REPO / "bench_uq"
    return {path.relative_to(top).as_posix(): strings(path) for path in sorted(top.rglob("*.py"))}


#: Names of plugins that are also everyday words, such as an argument of a command.
WORDS = {"folder"}


def test_engine_spells_no_plugin() -> None:
    """No string of the engine is the name of a method, a dataset or a condition."""
    names = set()
    for folder in ("methods", "datasets", "conditions"):
        plugins = [path for path in (REPO / folder).iterdir() if not path.name.startswith("_")]
        names |= {path.stem.replace("_", "-") for path in plugins}
    assert {"mnf", "cifar10", "fgsm", "folder"} <= names
    named = {path: texts & names - WORDS for path, texts in engine().items()}
    assert {path: found for path, found in named.items() if found} == {}


#: Metrics by the files of the engine that are about them; some words are also names of curves.
SUBJECTS = {
    "evaluate/plots.py": {"accuracy", "ece", "ece_if_calibrated"},  # as in figures/reliability.py
    "api/task.py": {"attack_draws"},  # the array behind it
    "check/pairing.py": {"examples"},
    "predict/predict.py": {"attack_draws"},  # the array behind it
    "report/figures/reliability.py": {"accuracy", "ece", "ece_if_calibrated"},
    "report/figures/risk_coverage.py": {"coverage"},  # the axis of curves
    "report/page/charts.py": {"accuracy"},  # the axis of curves
    "report/page/leaderboard.py": {"nll"},  # the column of results without any score
    "score/beside_published.py": {"accuracy"},  # published as the test error
    "report/tables/stress.py": {"attack_draws"},  # told in captions
    "report/tables/table.py": {"examples"},
    "report/tables/tables.py": {"nll"},  # the column of results without any score
    "run/imported/__init__.py": {"examples"},  # a field of a record
    "run/choosing.py": {"nll"},  # by which trials are chosen
    "run/tried.py": {"nll"},  # likewise
    "score/verdict.py": {"nll"},  # that tuning changes
    "score/guesses.py": {"nll", "rmse"},  # that of a guess
    "score/trials.py": {"nll"},  # likewise
    "score/conclusions.py": {"accuracy"},  # the strongest level above chance
    "score/equivalent.py": {"nll", "calibrated_nll"},  # that of an ensemble is equalled
    "score/members.py": {"nll", "calibrated_nll"},  # of some members of an ensemble
    "score/gradient_masking.py": {"accuracy", "examples", "unmoved"},
    "score/results.py": {"accuracy"},  # published as the test error
    "score/stress.py": {"examples"},
    "score/summaries.py": {"accuracy", "examples"},  # part of the names of curves; those of a bin
    "testing/metrics.py": {"attack_draws"},  # the array behind it
}


def test_engine_chooses_metrics_by_their_cards() -> None:
    """A file of the engine names a metric only if it is about that one."""
    ids = Plugins().metrics().keys()
    for path, texts in engine().items():
        assert texts & ids <= SUBJECTS.get(path, set()), path


def test_plugins_import_the_api_alone() -> None:
    """Of the engine, plugins import bench_uq.api and nothing else; of plugins, their own folder."""
    for folder in PLUGINS:
        for path in (REPO / folder).rglob("*.py"):
            engine = {one for one in imports(path) if one.startswith("bench_uq")}
            own = {one for one in engine if one.startswith(f"bench_uq.{folder}")}
            assert engine <= {"bench_uq.api"} | own, path


def test_no_bare_import_of_mapped_folders() -> None:
    """Nothing imports a mapped folder bare: that would make a second object of every class."""
    for folder in ("bench_uq", *PLUGINS, "tests"):
        for path in (REPO / folder).rglob("*.py"):
            assert not {one for one in imports(path) if one.partition(".")[0] in PLUGINS}, path


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
    for path in chain.from_iterable((REPO / folder).rglob("*.py") for folder in FOLDERS.values()):
        forbidden = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
        if path == REPO / "datasets" / "_pickles.py":  # an allow-list for CIFAR's own files
            forbidden -= {"pickle"}
        assert imports(path).isdisjoint(forbidden), path
        assert "allow_pickle=True" not in path.read_text(), path
        assert "torch.load(" not in path.read_text(), path
