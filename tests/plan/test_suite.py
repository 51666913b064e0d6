"""Suites: TOML, flags and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import make_plan
from bench_uq.plan.suite import Suite, at_budget, plugins_named, read_suite, shipped

MINIMAL = """
methods = ["map"]
datasets = ["digits"]
seeds = [0]
[settings]
epochs = 3
"""


def suite(tmp_path: Path, text: str = MINIMAL, **flags: Any) -> Suite:
    """Return a suite read from a file."""
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return read_suite(str(file), flags)


def planned(tmp_path: Path, suite: Suite) -> None:
    """Plan a suite."""
    make_plan(suite, Plugins(), Contents(tmp_path, tmp_path / "known"))


def test_shipped_suites_are_sound() -> None:
    """Every suite that ships reads, and names methods that exist."""
    known = Plugins().names("method")
    for name in shipped():
        assert {method.partition("[")[0] for method in read_suite(name).methods} <= set(known)


def test_levels_by_value(tmp_path: Path) -> None:
    """A level may be a fraction; a computed one is the one that is written so."""
    (levels,) = suite(
        tmp_path, MINIMAL + "[conditions]\npgd = ['8/255', 0.2]\n"
    ).conditions.values()
    assert levels == (8 / 255, 0.2)
    with pytest.raises(UsageError, match=r"levels of pgd: 0.15 is given twice"):
        suite(tmp_path, MINIMAL + "[conditions]\npgd = [0.15, 0.15000000000000002]\n")
    with pytest.raises(UsageError, match=r"levels of pgd: 0.0313725 is given twice"):
        suite(tmp_path, MINIMAL + "[conditions]\npgd = ['8/255', 0.0313725]\n")
    with pytest.raises(UsageError, match=r"levels of pgd must be of type float, not '8/0'"):
        suite(tmp_path, MINIMAL + "[conditions]\npgd = ['8/0']\n")


def test_a_file_as_windows_and_people_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte order mark is none of the text, and ~ is the user's folder, also inside brackets."""
    monkeypatch.setenv("HOME", str(tmp_path))
    text = MINIMAL.replace("[settings]", 'network = "~/wide.py"\n[settings]')
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())

    assert read_suite("~/mine.toml").network == str(tmp_path / "wide.py")
    data = Plugins().spec("dataset", "npz[path=~/mine.npz]")
    assert data.value.path == tmp_path / "mine.npz"


def test_flags_override(tmp_path: Path) -> None:
    """Flags replace lists; a bare key overrides the values of single methods too."""
    text = MINIMAL + "[settings.mnf]\nepochs = 9\n"
    assert suite(tmp_path, text).settings_of("mnf").epochs == 9
    changed = suite(
        tmp_path,
        text,
        methods=("mnf", "dropout"),
        seeds=("4", "5"),
        set=("epochs=2", "mnf.flows=1"),
    )
    assert (changed.methods, changed.seeds) == (("mnf", "dropout"), (4, 5))
    assert changed.settings_of("mnf").epochs == changed.settings_of("map").epochs == 2
    assert changed.options == {"mnf": {"flows": "1"}}


@pytest.mark.parametrize("line", ["", "settings = 3", "options = 3"])
def test_set_on_broken_suites(tmp_path: Path, line: str) -> None:
    """--set on a suite whose tables are missing or none is refused, not a crash."""
    text = line + MINIMAL.partition("[settings]")[0]
    with pytest.raises(UsageError):
        suite(tmp_path, text, set=("mnf.flows=1", "validation=2"))


def test_extends(tmp_path: Path) -> None:
    """A suite takes what it does not say from the one that it extends."""
    (tmp_path / "base.toml").write_text(MINIMAL + "[conditions]\nfgsm = [0.1]\n")
    child = suite(tmp_path, 'extends = "base"\nseeds = [7]\n[settings]\nbatch = 5\n')
    assert (child.seeds, child.settings.epochs, child.settings.batch) == ((7,), 3, 5)
    assert child.conditions_of("digits") == {"fgsm": (0.1,)}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (("0-3",), (0, 1, 2, 3)),
        (("7", "2-2", "4-5"), (7, 2, 4, 5)),
        (("100000-100001",), (100000, 100001)),
    ],
)
def test_ranges_of_seeds(tmp_path: Path, given: tuple[str, ...], found: tuple[int, ...]) -> None:
    """Both ends are of a range, in a flag as in a file."""
    assert suite(tmp_path, MINIMAL, seeds=given).seeds == found
    written = ", ".join(f'"{one}"' for one in given)
    assert suite(tmp_path, MINIMAL.replace("[0]", f"[{written}]")).seeds == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MINIMAL.replace("[0]", '["3-1"]'), "from the lower to the higher"),
        (MINIMAL.replace("[0]", '["0-99999"]'), "at most 10,000"),
        (MINIMAL.replace("[0]", '["0-3", 2]'), "twice"),
        (MINIMAL.replace("[0]", '["0--3"]'), "int"),
        ("methds = []" + MINIMAL, "'methods'"),
        (MINIMAL + "epoch = 3", "'epochs'"),
        (MINIMAL + "[settings.mnf]\nepochs = 0", "at least 1"),
        (MINIMAL.replace("[0]", "[0, 0]"), "twice"),
        (MINIMAL.replace("[0]", "[-1]"), "at least 0"),
        (MINIMAL.replace("[0]", "[0.5]"), "int"),
        (MINIMAL.replace("[0]", "[]"), "seeds"),
        (MINIMAL.replace("epochs = 3", "epochs = 0"), "at least 1"),
        (MINIMAL.replace("epochs = 3", "epochs = 2.5"), "int"),
        (MINIMAL.replace('"map"', "1"), "list of names"),
        (MINIMAL.replace('["map"]', "[]"), "list of names"),
        (MINIMAL + "[conditions]\nfgsm = [nan]", "float"),
        (MINIMAL + "[conditions]\nfgsm = [inf]", "finite"),
        (MINIMAL + "[conditions]\nfgsm = [-0.1]", "at least 0"),
        (MINIMAL + "[conditions]\nfgsm = [0.1, 0.1]", "twice"),
        (MINIMAL + "validation = 1.0", "validation"),
        ('extends = "mine"', "extends itself"),
        ("methods = [", "mine.toml"),
        ("options = 3" + MINIMAL, "table"),
        (MINIMAL.replace("[settings]\nepochs = 3", "settings = 3"), "table"),
        ('extends = "../{folder}/mine"', "extends itself"),
        ('seeds = [0]\nmethods = ["map"]', "lacks"),
    ],
)
def test_mistakes_in_a_suite(tmp_path: Path, text: str, words: str) -> None:
    """Every mistake in a suite file is one line that says what would be right."""
    with pytest.raises(UsageError, match=words) as error:
        suite(tmp_path, text.replace("{folder}", tmp_path.name))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("epochs", "KEY=VALUE"),
        ("epochs=", "KEY=VALUE"),
        ("epochs=nan", "int"),
        ("epochs=0", "at least 1"),
        ("epoch=3", "'epochs'"),
        ("mnff.flows=3", "'mnf'"),
        ("evaluate_on=tset", "'test'"),
    ],
)
def test_mistakes_in_set(tmp_path: Path, flag: str, words: str) -> None:
    """Every mistake in --set is one line that says what would be right."""
    with pytest.raises(UsageError, match=words):
        planned(tmp_path, suite(tmp_path, set=(flag,)))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fgms = [0.1]", "'fgsm'"),
        ("fgsm = []", "needs levels"),
        ("letters = [0.1]", "no levels"),
        ('"fgsm[draws=-1]" = [0.1]', "draws"),
    ],
)
def test_mistakes_in_conditions(tmp_path: Path, line: str, words: str) -> None:
    """Unknown conditions, missing levels and misfits are refused before anything runs."""
    with pytest.raises(UsageError, match=words):
        planned(tmp_path, suite(tmp_path, f"{MINIMAL}[conditions]\n{line}"))


def test_settings_of_a_suite_overrule_those_of_methods_it_extends(tmp_path: Path) -> None:
    """A setting for all methods in an extending suite replaces those of single methods."""
    text = 'extends = "quick"\n[settings]\nepochs = 3\n[settings.mnf]\nepochs = 4\n'
    found = suite(tmp_path, text)
    for name, epochs in (("map", 3), ("dropout", 3), ("ensemble", 3), ("mnf", 4)):
        assert found.settings_of(name).epochs == epochs


def test_settings_of_methods_that_a_suite_says_nothing_of_stay(tmp_path: Path) -> None:
    """Settings of a method stay unless the extending suite, or --set, sets them for all methods."""
    (tmp_path / "base.toml").write_text(
        MINIMAL + "[settings.mnf]\nepochs = 9\nbatch = 7\ndraws = 5\n"
    )
    child = suite(
        tmp_path,
        'extends = "base"\n[settings]\nepochs = 2\n[settings.mnf]\nthreads = 3\n',
        set=("draws=4",),
    )
    settings = child.settings_of("mnf")
    assert (settings.epochs, settings.batch, settings.draws, settings.threads) == (2, 7, 4, 3)
    assert child.settings_of("map").batch == child.settings.batch != 7


def test_another_budget_is_a_share_of_the_epochs_of_each_method() -> None:
    """Of epochs that a suite sets for one method too; at least one is left."""
    suite = read_suite("quick", {"set": ["epochs=40", "map.epochs=61", "mnf.batch=32"]})
    half = at_budget(suite, 0.5)
    epochs = {name: half.settings_of(name).epochs for name in ("mnf", "map")}
    assert epochs == {"mnf": 20, "map": 30}
    assert half.settings_of("mnf").batch == 32
    assert at_budget(suite, 2.0).settings_of("map").epochs == 122
    assert at_budget(suite, 1e-9).settings_of("map").epochs == 1


def test_plugins_are_named_whatever_else_a_suite_lacks(tmp_path: Path) -> None:
    """Settings may come from flags, and a value of another type is refused elsewhere."""
    file = tmp_path / "few.toml"
    file.write_text(
        'methods = ["map", 3]\ndatasets = ["digits"]\n[conditions]\nfgsm = [0.1]\n'
        "[conditions.digits]\nletters = []\n"
    )
    named = ["map", "digits", "fgsm", "letters"]
    assert plugins_named(str(file), (), ()) == named
    assert plugins_named(str(file), ["mnf[flows=2]"], ["toy"]) == [
        "mnf[flows=2]",
        "toy",
        *named[2:],
    ]

    file.write_text('methods = "map"\nconditions = 3\n')
    assert plugins_named(str(file), (), ()) == []
