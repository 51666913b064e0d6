"""bench-uq test-plugin and check_plugin: verdicts in lines, exit codes, and mistakes of the user."""

from __future__ import annotations

import json
import unittest
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench_uq.api.errors import UsageError
from bench_uq.cli import main
from bench_uq.testing import check_names, check_plugin, checks_of, run
from bench_uq.testing.targets import targets

Sound = Callable[..., str]
PLUGINS = Path(__file__).parents[1] / "plugins"
UNCLAMPED = (".clamp(0, 1)", "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    """Run bench-uq test-plugin."""
    return CliRunner().invoke(main, ["test-plugin", *arguments])


def test_verdicts_in_lines(folder: Path, sound: Sound) -> None:
    """A sound plugin gets a header, one line per check and a summary, and nothing is written."""
    (folder / "mine.py").write_text(sound("shift"))
    done = invoke("mine.py")
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0] == "condition mine"
    assert lines[-1] == f"mine: {len(lines) - 2} requirements, all hold"
    assert all(line.startswith("  ok ") for line in lines[1:-1])
    assert [path.name for path in folder.iterdir()] == ["mine.py"]


def test_failures_in_words(folder: Path, sound: Sound) -> None:
    """A broken requirement is FAIL with the reason below it, and exit 1."""
    (folder / "mine.py").write_text(sound("shift", UNCLAMPED))
    done = invoke("mine.py")
    lines = done.stdout.splitlines()
    (at,) = (index for index, line in enumerate(lines) if line.split()[:2] == ["FAIL", "range"])
    assert done.exit_code == 1
    assert lines[at + 1].strip().startswith("on inputs of 1x8x8: level 0.1 gives inputs in [")
    assert lines[-1].endswith("1 fail (range)")


def test_verdicts_as_json(folder: Path, sound: Sound) -> None:
    """--json holds the same verdicts as the lines do, with the same exit code."""
    (folder / "mine.py").write_text(sound("shift", UNCLAMPED))
    done = invoke("mine.py", "--json")
    (found,) = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (found["kind"], found["name"], found["holds"]) == ("condition", "mine", False)

    rows = found["requirements"]
    assert [row["check"] for row in rows if row["status"] == "FAIL"] == ["range"]
    lines = invoke("mine.py").stdout.splitlines()
    assert len([line for line in lines if line.startswith("  ok ")]) == len(rows) - 1


def test_crashes_name_the_line(folder: Path, sound: Sound) -> None:
    """An exception, or an exit, is FAIL with its type, words and line; --debug shows the traceback."""
    error = "raise KeyError('out of luck')"
    text = f"{sound('method')}\n    def finish(self, net, train, held_out):\n        {error}\n"
    (folder / "mine.py").write_text(text)
    line = text.splitlines().index(f"        {error}") + 1
    done = invoke("mine.py")
    assert done.exit_code == 1
    assert f"KeyError: 'out of luck' (mine.py, line {line}, in finish)" in done.stdout
    assert "Traceback" not in done.stdout
    debug = CliRunner().invoke(main, ["--debug", "test-plugin", "mine.py"])
    assert "Traceback" in debug.stdout

    leave = ("        return (", "        raise SystemExit(0)\n        return (")
    (folder / "other.py").write_text(sound("shift", leave))
    done = invoke("other.py")
    assert done.exit_code == 1
    assert "SystemExit: 0 (other.py, line" in done.stdout


def test_output_of_plugins(folder: Path, sound: Sound) -> None:
    """The output of a plugin goes to stderr, at import and in checks."""
    chatter = ("        return (", "        print('chatter')\n        return (")
    (folder / "mine.py").write_text(sound("shift", chatter) + "\nprint('hello')\n")
    done = invoke("mine.py")
    assert done.exit_code == 0
    assert "chatter" not in done.stdout
    assert "hello" not in done.stdout
    assert "chatter" in done.stderr


def test_missing_data_are_skipped(folder: Path, sound: Sound) -> None:
    """Checks that need missing data are skipped, not failed; the summary says why."""
    absent = 'raise MissingData("mine", [root / "cats.bin"])'
    changes = ("return made(split, fold)", absent), ("Dataset, E", "Dataset, MissingData, E")
    (folder / "mine.py").write_text(sound("dataset", *changes))
    done = invoke("mine.py", "--data-dir", "nowhere")
    assert done.exit_code == 0
    assert "skipped: mine: missing nowhere/cats.bin (set --data-dir" in done.stdout.splitlines()[-1]
    assert "FAIL" not in done.stdout


def test_options_and_names(folder: Path, sound: Sound) -> None:
    """Names take options; --plugin brings more; a file may hold several kinds, --kind picks one."""
    other = sound("dataset", ("class Mine", "class Cats"))
    (folder / "mine.py").write_text(f"{sound('shift')}\n{other}")
    picked = invoke("mine", "--plugin", "mine.py", "--kind", "condition")
    assert picked.stdout.splitlines()[0] == "condition mine"
    assert invoke("fgsm[draws=2]").stdout.splitlines()[0] == "condition fgsm[draws=2]"

    heads = {"dataset mine", "condition mine"}
    assert heads <= set(invoke("mine.py").stdout.splitlines())


def test_metrics_of_one_file(folder: Path, sound: Sound) -> None:
    """All metrics of a file are tested, each under its id."""
    text = sound(
        "metric", ("METRIC = Metric(", "METRICS = tuple(Metric("), ('id="mine"', "id=name")
    )
    (folder / "two.py").write_text(text.rstrip(")\n") + '\n) for name in ("a", "b"))\n')
    found = targets(["two.py"], None, (), folder)
    assert [(one.kind, one.name) for one in found] == [("metric", "a"), ("metric", "b")]


@pytest.mark.parametrize("name", ["my_temperature", "my_swag", "my_sgld"])
def test_plugins_that_others_might_write(name: str) -> None:
    """Post-hoc scaling, weight averages and a sampler with snapshots pass."""
    done = invoke(str(PLUGINS / f"{name}.py"))
    assert done.exit_code == 0, done.stdout
    assert "skipped" not in done.stdout


def test_an_architecture_of_a_package() -> None:
    """It is tested as a network; one that some methods refuse has a note."""
    target, *others = targets(["timm:test_resnet"], None, (), Path())
    assert (target.kind, target.name, others) == ("network", "timm:test_resnet", [])
    for name in ("builds", "layers", "still"):
        check_plugin("timm:test_resnet", name)

    grouped = "torchvision:mobilenet_v3_small"
    check_plugin(grouped, "builds")
    (target,) = targets([grouped], "network", (), Path())
    (layers,) = [both for both in checks_of(target) if both[0].name == "layers"]
    verdict = run(*layers, target)
    assert verdict.status == "note"
    assert "methods with layers of their own refuse it" in verdict.reason
    with pytest.raises(AssertionError, match="near it: resnet18"):
        check_plugin("torchvision:rsnet18", "builds")


def test_from_pytest(folder: Path, sound: Sound) -> None:
    """A sound plugin passes, a broken one raises its reasons, and a check that cannot run skips."""
    (folder / "mine.py").write_text(sound("shift", UNCLAMPED))
    for check in set(check_names("condition")) - {"range"}:
        check_plugin("mine.py", check)
    for only in ("range", ""):
        with pytest.raises(AssertionError, match=r"^mine: range: on inputs of 1x8x8: level"):
            check_plugin(Path("mine.py"), only)
    with pytest.raises(UsageError, match="did you mean 'range'"):
        check_plugin("mine.py", "rnage")

    (folder / "other.py").write_text(sound("shift", (".clamp(0, 1)", ".clamp(0, 1).double()")))
    with pytest.raises(unittest.SkipTest, match="'shape' fails"):
        check_plugin("other.py", "range")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mnff"], "did you mean 'mnf'?"),
        (["fgsm", "--kind", "method"], "unknown method 'fgsm'"),
        (["mnf[flow=1]"], "did you mean 'flows'?"),
        (["torchvision:resnet18[siz=3]"], "did you mean 'size'"),
        (["torchvision:resnet18", "--kind", "method"], "holds no method, it holds a network"),
        (["nope.py"], "no plugin file 'nope.py'"),
        (["npz"], "say which"),
        ([], "NAME|FILE"),
    ],
)
def test_mistakes(arguments: list[str], words: str, folder: Path) -> None:
    """Names that cannot be checked are one line, exit 2, before any check is run."""
    done = invoke(*arguments)
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert done.output.startswith("Error: ")
    assert words in done.output


@pytest.mark.parametrize(
    ("kind", "old", "new", "words"),
    [
        ("method", "def build", "def make", "lacks build"),
        ("method", "@dataclass(frozen=True)\n", "", "put @dataclass"),
        ("method", "    def build", "    sizes: list = None\n\n    def build", "of type list"),
        ("method", "    def build", "    size: int = 0.5\n\n    def build", "must be of type int"),
        ("shift", "@dataclass", "class Other(Shift): ...\n@dataclass", "must define one condition"),
        ("network", "def network", "def other", "of its own, and no function network(task"),
        ("network", "import math", "1/0", "fails at import: ZeroDivisionError"),
    ],
)
def test_mistakes_in_files(
    kind: str, old: str, new: str, words: str, folder: Path, sound: Sound
) -> None:
    """Files that cannot be checked are one line, exit 2, before any check is run."""
    (folder / "mine.py").write_text(sound(kind, (old, new)))
    test_mistakes(["mine.py"], words, folder)


def test_the_wrong_kind(folder: Path, sound: Sound) -> None:
    """A file without the kind that is asked for names the kinds that it holds."""
    (folder / "mine.py").write_text(sound("shift"))
    words = "holds no dataset, it holds a condition"
    test_mistakes(["mine.py", "--kind", "dataset"], words, folder)
