"""trials.csv: a damaged file is refused in one line, and a tuned suite alone has trials."""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.score.trials import (
    COLUMNS,
    FILE,
    Trial,
    columns_of,
    narrowed,
    of_tuned,
    read_trials,
    untuned,
)

ROWS = (
    "0,digits,map,0,map,,3,0.199,0.97,True",
    '0,digits,dropout,0,dropout,"learning_rate=0.02",3,0.448,1.07,False',
    '0,digits,dropout,1,"dropout[rate=0.2]","learning_rate=0.01,clip=1",3,inf,1.5,False',
    "1,digits,dropout,1,dropout[rate=0.3],learning_rate=0.03,2,-0.25,0.5,True",
)
TEXT = "\n".join([",".join(COLUMNS), *ROWS, ""])


def written(folder: Path, text: str) -> Path:
    """A file of trials with this text."""
    path = folder / FILE
    path.write_text(text)
    return path


def test_trials_as_they_are_written(tmp_path: Path) -> None:
    """Settings are parsed; a diverged trial is infinite, and the NLL of a density may be negative."""
    found = read_trials(written(tmp_path, TEXT))
    assert [one.chosen for one in found] == [True, False, False, True]
    assert found[2] == Trial(
        study=0,
        dataset="digits",
        method="dropout",
        number=1,
        name="dropout[rate=0.2]",
        settings={"learning_rate": "0.01", "clip": "1"},
        seeds=3,
        nll=math.inf,
        train_seconds=1.5,
        chosen=False,
    )
    assert found[2].values == {"rate": "0.2", "learning_rate": "0.01", "clip": "1"}
    assert found[3].nll == -0.25
    assert found[0].values == {}


def test_an_older_file_is_of_study_0(tmp_path: Path) -> None:
    """It has no column of studies."""
    lines = [line.partition(",")[2] for line in TEXT.splitlines()[:4]]
    lines.append("digits,dropout,2,dropout[rate=0.1],,3,0.4,1,True\n")
    assert {one.study for one in read_trials(written(tmp_path, "\n".join(lines)))} == {0}


def test_seeds_that_were_tuned_apart(tmp_path: Path) -> None:
    """A trial of each, of which each seed has one that was chosen; cells are those of the file."""
    header = "study,dataset,seed,method,trial,name,settings,seeds,nll,train_seconds,chosen"
    rows = [
        "0,boston,0,map,0,map,,1,0.5,2.0,True",
        "0,boston,7,map,0,map,,1,0.5,2.0,False",
        "0,boston,7,map,1,map[prior_std=2],,1,0.4,2.0,True",
    ]
    text = "\n".join([header, *rows, ""])
    found = read_trials(written(tmp_path, text))
    assert [one.seed for one in found] == [0, 7, 7]
    assert [one.called for one in found] == ["map"] * 3
    assert columns_of(one.seed for one in found) == header.split(",")
    assert ",".join(map(str, found[2].cells)) == rows[2]

    for old, new, told in (
        ("0.4,2.0,True", "0.4,2.0,False", "0 trials are chosen of map on boston at seed 7"),
        ("7,map,1", "7,map,0", "it holds twice: 0, boston, map, seed 7, 0"),
        ("7,map,1", "7.5,map,1", "seed '7.5' is no whole number"),
    ):
        with pytest.raises(UsageError, match=re.escape(told)):
            read_trials(written(tmp_path, edited(old, new)(text)))


def edited(old: str, new: str) -> Callable[[str], str]:
    """An edit of the text, which must find its place."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return edit


DAMAGE = {
    "no column": (edited(",nll,", ",loss,"), "it has no column 'nll'"),
    "no number": (edited("0.448", "much"), "line 3: nll is 'much'"),
    "NaN": (edited("0.448", "nan"), "line 3: nll is 'nan'"),
    "empty": (edited("0.448", ""), "line 3: nll is ''"),
    "minus infinity": (edited("inf", "-inf"), "line 4: nll is '-inf'"),
    "infinite seconds": (edited("1.07", "inf"), "line 3: train_seconds are infinite"),
    "negative seconds": (edited("1.07", "-1"), "line 3: train_seconds is '-1'"),
    "half a seed": (edited(",2,-0.25", ",2.5,-0.25"), "line 5: seeds '2.5' is no whole number"),
    "chosen": (edited("True", "yes"), "line 2: chosen is 'yes', not True or False"),
    "none chosen": (edited("0.97,True", "0.97,False"), "0 trials are chosen of map on digits"),
    "two chosen": (edited("1.5,False", "1.5,True"), "2 trials are chosen of dropout on digits"),
    "twice": (edited("dropout,1,", "dropout,0,"), "it holds twice: 0, digits, dropout, 0"),
    "settings": (edited("clip=1", "clip"), "line 4: 'clip' in"),
    "more fields": (edited("0.97,True", "0.97,True,1"), "line 2 has not 10 fields"),
    "fewer fields": (edited("0.97,True", "0.97"), "line 2 has not 10 fields"),
    "cut short": (lambda text: text[:-3], "its last line is cut short"),
    "no text": (lambda text: text + "\udcff", "can't decode"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_told_in_one_line(case: str, tmp_path: Path) -> None:
    """The line names the file and the reason, and says which command makes it anew."""
    edit, reason = DAMAGE[case]
    path = tmp_path / FILE
    path.write_bytes(edit(TEXT).encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=re.escape(f"{path} is damaged or foreign: ")) as caught:
        read_trials(path)
    assert reason in str(caught.value)
    assert "bench-uq tune" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_compressed_trials_are_the_same(tmp_path: Path) -> None:
    """A tuned suite has them beside its results; plain ones are read first, damage is told."""
    plain = read_trials(written(tmp_path, TEXT))
    compressed = tmp_path / f"{FILE}.gz"
    compressed.write_bytes(gzip.compress((tmp_path / FILE).read_bytes()))
    assert of_tuned(tmp_path) == tmp_path / FILE

    (tmp_path / FILE).unlink()
    assert of_tuned(tmp_path) == compressed
    assert read_trials(compressed) == plain

    compressed.write_bytes(compressed.read_bytes()[:-12])
    with pytest.raises(UsageError, match=re.escape(f"{compressed} is damaged or foreign: ")):
        read_trials(compressed)


def test_only_a_tuned_suite_has_trials(tmp_path: Path) -> None:
    """An untuned one keeps the file beside what was chosen, and is no other suite's default."""
    for name in ("quick", "quick-tuned", "-tuned"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, TEXT)
    (tmp_path / "quick" / "tuned.toml").touch()
    tuned = tmp_path / "quick-tuned"
    assert of_tuned(tuned) == tuned / FILE
    assert of_tuned(tmp_path / "quick") is None

    # A folder without results is none that differences can be taken from.
    assert untuned(tuned) is None
    for name in ("runs.csv", "scores.csv"):
        (tmp_path / "quick" / name).touch()
    assert untuned(tuned) == tmp_path / "quick"
    assert untuned(tmp_path / "quick") is None
    assert untuned(tmp_path / "-tuned") is None


def test_trials_of_some_methods(tmp_path: Path) -> None:
    """They are chosen by the names of the tuned results, and all of a method's trials stay."""
    trials = read_trials(written(tmp_path, TEXT))
    kept = narrowed(trials, [("digits", "dropout[rate=0.3]"), ("mnist", "map")])
    assert [one.method for one in kept] == ["dropout"] * 3
    # A name that was tried but not chosen is none of these results.
    assert narrowed(trials, [("digits", "dropout[rate=0.2]")]) == ()
