"""The grammar of names and options."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.api.names import parse, split_list
from bench_uq.plan import plugins
from bench_uq.plan.plugins import PACKAGES, Plugins
from bench_uq.plan.sources import _with_imports, hash_of_plugin, hash_of_trees

PLUGINS = Path(__file__).parents[1] / "plugins"


def test_commas_in_brackets_do_not_split() -> None:
    """A list splits at the commas outside of brackets."""
    assert split_list("mnf[flows=4,hidden=50], dropout") == ["mnf[flows=4,hidden=50]", "dropout"]


@pytest.mark.parametrize("text", ["", "a,,b", "a,", "mnf[", "mnf]", "mnf[flows=4", "a]b["])
def test_malformed_lists(text: str) -> None:
    """Empty elements and brackets that do not match are errors."""
    with pytest.raises(UsageError):
        split_list(text)


@pytest.mark.parametrize(
    "text", ["MNF", "-x", "a b", "../x", "a/b", "a\n", "x" * 65, "mnf[]", "mnf[flows]", "mnf[=4]", "mnf[flows=]",
             "mnf[flows=1,flows=2]", "mnf[flows=4]x", ""]
)  # fmt: skip
def test_malformed_specs(text: str) -> None:
    """What is not name[option=value,...] is an error."""
    with pytest.raises(UsageError):
        parse(text)


def test_canonical_name() -> None:
    """The canonical name holds the options that are not defaults, in one order and spelling."""
    plugins = Plugins()
    assert plugins.spec("method", "mnf[hidden=50,flows=4]").name == "mnf[flows=4]"
    assert plugins.spec("method", "dropout[rate=.25]").name == "dropout[rate=0.25]"
    assert plugins.spec("method", "map").name == "map"
    zeros = [plugins.spec("method", f"dropout[rate={zero}]").full for zero in ("0", "0.0", "-0.0")]
    assert len(set(zeros)) == 1
    beside = plugins.spec("method", "mnf[flows=4]", {"flows": 1, "hidden": 9})
    assert beside.name == "mnf[flows=4,hidden=9]"  # those in brackets go before
    # A corruption has its kind in its name, the default too, so that results hold all kinds.
    assert plugins.spec("condition", "corruption").name == "corruption[kind=fog]"
    assert plugins.spec("condition", "corruption[kind=stripe]").name == "corruption[kind=stripe]"


@pytest.mark.parametrize("kind", ["condition", "method", "dataset"])
def test_what_a_plugin_inherits_counts(kind: str) -> None:
    """What a class inherits is part of its plugin's source: a change of it is one of the plugin."""
    package = f"bench_uq.{kind}s"
    folder = Path(importlib.import_module(package).__file__ or "").parent

    for name in Plugins().names(kind):
        module = importlib.import_module(f"{package}.{name.replace('-', '_')}")
        counted = _with_imports(Path(module.__file__ or ""), package, folder)
        classes = [one for one in vars(module).values() if isinstance(one, type)]
        for found in (one for one in classes if one.__module__ == module.__name__):
            for base in (one.__module__ for one in found.__mro__):
                if base.startswith(f"{package}."):
                    file = Path(sys.modules[base].__file__ or "")
                    assert file in counted, f"{found} derives from {base}"


def test_words_of_python_as_options() -> None:
    """``from`` is an option like any other; its field ``from_`` is not an option."""
    spec = Plugins().spec("condition", "transfer[from=dropout]")
    assert (spec.name, spec.value.from_) == ("transfer[from=dropout]", "dropout")
    with pytest.raises(UsageError, match="unknown option of transfer 'from_'; did you mean 'from'"):
        Plugins().spec("condition", "transfer[from_=dropout]")


def test_full_spelling_makes_the_same_plugin() -> None:
    """The full spelling of every method, dataset and condition gives the same object again."""
    plugins = Plugins()
    for kind in ("method", "dataset", "condition"):
        for name in plugins.names(kind):
            spec = plugins.spec(kind, name)
            assert plugins.spec(kind, spec.full) == spec


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mnff", "'mnf'"),
        ("mnf[flow=2]", "'flows'"),
        ("mnf[flows=two]", "int"),
        ("mnf[flows=1.5]", "int"),
        ("mnf[prior_std=nan]", "float"),
        ("dropout[rate=1.5]", "rate"),
        ("dropout[where=lats]", "'last'"),
        ("ensemble[members=0]", "members"),
    ],
)
def test_errors_name_what_would_be_right(text: str, words: str) -> None:
    """An unknown name or a wrong value answers in one line with what is allowed."""
    with pytest.raises(UsageError, match=words) as error:
        Plugins().spec("method", text)
    assert "\n" not in str(error.value)


def test_plugin_file() -> None:
    """A user's file adds a method of its own name; its source is part of its identity."""
    plugins = Plugins((PLUGINS / "my_swag.py",))
    spec = plugins.spec("method", "my-swag[start=0.75]")
    assert (spec.name, spec.value.start) == ("my-swag[start=0.75]", 0.75)
    assert (
        spec.source_hash == Plugins((PLUGINS / "my_swag.py",)).spec("method", "my-swag").source_hash
    )


FROZEN = """from __future__ import annotations
from dataclasses import dataclass
from bench_uq.api import Method
@dataclass(frozen=True)
"""
BUILD = " def build(self, task): ..."
CLASS = f"{FROZEN}class A(Method):\n reference = ''\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1/0", "ZeroDivisionError"),
        ("x = 1", "no Method"),
        ("from bench_uq.api import Method\nclass A(Method): pass", "lacks build"),
        (f"from bench_uq.api import Method\nclass A(Method):\n{BUILD}", "put @dataclass"),
        (f"{FROZEN}class A(Method):\n{BUILD}", "lacks a class attribute 'reference'"),
        (f"{CLASS} sizes: list = ()\n{BUILD}", "of type list"),
        (f"{CLASS} size: Sice = 1\n{BUILD}", "Sice"),
        (f"{CLASS} size: int\n{BUILD}", "size"),
        (f"{CLASS}{BUILD}\nclass B(A): ...", "defines 2"),
        ("from bench_uq.api import Method\nclass A(Method)", "SyntaxError"),
        ("import sys\nsys.exit(3)", "SystemExit"),
    ],
)
def test_bad_plugin_files(tmp_path: Path, content: str, words: str) -> None:
    """A plugin that fails at import, holds nothing or lacks a part says so in one line."""
    file = tmp_path / "mine.py"
    file.write_text(content)
    with pytest.raises(UsageError, match=words) as caught:
        Plugins((file,)).spec("method", "mine")
    assert "\n" not in str(caught.value)


def test_options_that_cannot_be_written(tmp_path: Path) -> None:
    """An option whose value the grammar cannot write is refused before anything runs."""
    (tmp_path / "mine.py").write_text(f"{CLASS} note: str = ''\n{BUILD}")
    with pytest.raises(UsageError, match="cannot be written"):
        Plugins((tmp_path / "mine.py",)).spec("method", "mine")


def test_taken_name(tmp_path: Path) -> None:
    """Two plugins of one name are refused."""
    file = tmp_path / "map.py"
    file.write_text((PLUGINS / "my_swag.py").read_text())
    with pytest.raises(UsageError, match="two plugins"):
        Plugins((file,)).names("method")


def test_missing_plugin_file(tmp_path: Path) -> None:
    """A plugin file that is not there is named."""
    with pytest.raises(UsageError, match=r"nope\.py"):
        Plugins((tmp_path / "nope.py",)).names("method")


def test_metric_file() -> None:
    """A user's file adds its metrics after those that are shipped."""
    plugins = Plugins((PLUGINS / "overconfidence.py",))
    assert list(plugins.metrics())[-1] == "overconfidence"
    assert "overconfidence" not in Plugins().metrics()
    assert plugins.spec("metric", "overconfidence").value.formula.startswith("mean_n")


METRIC = "from bench_uq.api import Metric\n"
CARD = "Metric(id={!r}, title='', compute=None, direction={!r}, formula='', reference='', needs=())"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{METRIC}A = {CARD.format('ece', 'none')}", "two metrics are called 'ece'"),
        (f"{METRIC}A = {CARD.format('a b', 'none')}", "'a b' is no name for a metric"),
        (f"{METRIC}A = {CARD.format('a', 'up')}", "direction of a is 'up', not one of lower"),
        (f"{METRIC}_A = {CARD.format('a', 'none')}", "holds no Method, .* or Metric of its own"),
    ],
)
def test_bad_metric_files(tmp_path: Path, content: str, words: str) -> None:
    """A taken or malformed id, an unknown direction and a hidden metric are told in one line."""
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(UsageError, match=words) as caught:
        Plugins((tmp_path / "mine.py",)).metrics()
    assert "\n" not in str(caught.value)


def test_metrics_behind_an_entry_point(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point of another package brings all metrics of its module, once each."""
    text = (
        f"{METRIC}A = {CARD.format('a', 'none')}\nB = {CARD.format('b', 'none')}\nBOTH = (B, A)\n"
    )
    (outside / "scores.py").write_text(text)
    entry = importlib.metadata.EntryPoint("theirs", "bench_outside.scores", "bench_uq.metrics")

    def entries(group: str, path: tuple[str, ...]) -> list[importlib.metadata.EntryPoint]:
        del path
        return [entry] if group == "bench_uq.metrics" else []

    monkeypatch.setattr(plugins, "entries", entries)
    assert list(Plugins().metrics())[-2:] == ["a", "b"]


DATA = '''
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench_uq.api import Categorical, Dataset, Examples, Task


@dataclass(frozen=True)
class Mine(Dataset):
    """Noise of a file's making."""

    reference = "none"
    path: Path = Path()

    def task(self, root):
        return Task((2,), Categorical(2))

    def load(self, split, root, fold=0):
        seed = len(self.path.read_text())
        return Examples(np.random.default_rng(seed).random((40, 2), np.float32), np.arange(40) % 2)
'''


def test_paths_count_by_content(tmp_path: Path) -> None:
    """Results name a file option by its last part; the identity does not hold its folder."""
    (tmp_path / "mine.py").write_text(DATA)
    plugins = Plugins((tmp_path / "mine.py",))
    here, there = (
        plugins.spec("dataset", f"mine[path={folder}/a b.txt]")
        for folder in (tmp_path, "/elsewhere")
    )
    assert here.name == there.name == "mine[path=a-b.txt]"
    assert here.full == f"mine[path={tmp_path}/a b.txt]"
    assert here.identity == there.identity == "mine[path=]"


def test_a_path_always_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder and those above it are named by what they are called."""
    (tmp_path / "mine.py").write_text(DATA)
    (tmp_path / "cats" / "train").mkdir(parents=True)
    plugins = Plugins((tmp_path / "mine.py",))
    for place, name in (("cats", tmp_path.name), ("cats/train", "cats")):
        monkeypatch.chdir(tmp_path / place)
        assert plugins.spec("dataset", "mine[path=..]").name == f"mine[path={name}]"


def test_names_in_any_script_are_told_apart() -> None:
    """Letters of every script stay, composed or not; what is no letter leaves its hash."""

    def name(path: str) -> str:
        return Plugins().spec("dataset", f"npz[path=data/{path}]").name

    assert name("猫と犬.npz") == "npz[path=猫と犬.npz]"
    assert name("cafe\u0301 1.npz") == name("caf\u00e9 1.npz") == "npz[path=caf\u00e9-1.npz]"
    marks = {name(path) for path in ("की.npz", "कु.npz", "\N{CAT}.npz", "\N{DOG}.npz")}
    assert len(marks) == 4


def test_members_are_checked_for_a_method_that_forgets_to(tmp_path: Path) -> None:
    """Zero members are refused even if a method's __post_init__ skips that of the contract."""
    (tmp_path / "mine.py").write_text(f"{CLASS}{BUILD}\n def __post_init__(self): ...\n")
    with pytest.raises(UsageError, match="members must be at least 1, not 0"):
        Plugins((tmp_path / "mine.py",)).spec("method", "mine[members=0]")


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the package of another author, on the path, with a package of its own in it."""
    package = tmp_path / "site" / "bench_outside"
    (package / "parts").mkdir(parents=True)
    for name in ("__init__", "method", "rates", "parts/__init__", "parts/layers"):
        (package / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(package.parent)
    importlib.import_module("bench_outside.method")
    yield package
    for name in [name for name in sys.modules if name.startswith("bench_outside")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["bench_outside.method", "bench_outside"])
@pytest.mark.parametrize("other", ["method", "rates", "parts/layers"])
def test_a_plugin_from_a_package_counts_with_all_of_it(
    outside: Path, name: str, other: str
) -> None:
    """A change anywhere in a plugin's package changes its source's hash."""
    module = sys.modules[name]
    before = hash_of_plugin(module, PACKAGES["method"])
    assert hash_of_plugin(module, PACKAGES["method"]) == before
    (outside.parent / "beside.py").write_text("rate = 1\n")
    assert hash_of_plugin(module, PACKAGES["method"]) == before
    (outside / f"{other}.py").write_text("rate = 1\n")
    assert hash_of_plugin(module, PACKAGES["method"]) != before


SOURCE = 'x = 1\ndef f():\n    """A."""\n    return "x"\ny = (x, 2)\n'


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("x = 1", "# why\nx =  1\n\n", True),
        ("x = 1", '"""Text."""\nx = 1', True),
        ('"""A."""', '"""B."""', True),
        ("(x, 2)", "(x, 3)", False),
        ("x = 1", "x = 1.0", False),
        ('return "x"', 'return "y"', False),
        ("x = 1\n", "y = 0\nx = 1\n", False),
    ],
)
def test_source_counts_by_its_syntax_tree(tmp_path: Path, old: str, new: str, same: bool) -> None:
    """Comments, docstrings and layout are no other source; a value, a text or a line is."""
    file = tmp_path / "plugin.py"
    file.write_text(SOURCE)
    before = hash_of_trees([file])
    file.write_text(SOURCE.replace(old, new))
    assert (hash_of_trees([file]) == before) is same
