"""What makes a run the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench_uq.config import read_suite
from bench_uq.contents import Contents
from bench_uq.errors import MissingData, UsageError
from bench_uq.plan import Run, make_plan
from bench_uq.plugins import Plugins

SUITE = """
methods = ["map", "mnf"]
datasets = ["digits"]
seeds = [0, 1]
[settings]
epochs = 3
[conditions]
fgsm = [0, 0.1]
"""


def plan(tmp_path: Path, text: str = SUITE, **flags: Any) -> list[Run]:
    """Return the plan of a suite."""
    (tmp_path / "mine.toml").write_text(text)
    return make_plan(read_suite(str(tmp_path / "mine.toml"), flags), Plugins(), Contents(tmp_path, tmp_path / "known"))


def test_names(tmp_path: Path) -> None:
    """A run's folder is named by method, dataset, seed and eight digits of its key."""
    run = plan(tmp_path)[1]
    assert run.name == f"mnf-digits-s0-{run.key[:8]}"
    assert [(shown.condition, shown.level) for shown in run.shown] == [("clean", None), ("fgsm", 0.0), ("fgsm", 0.1)]


def test_new_conditions_do_not_retrain(tmp_path: Path) -> None:
    """Another epsilon, another unseen dataset or more draws leave the training key as it is."""
    before = plan(tmp_path)
    after = plan(tmp_path, SUITE.replace("[0, 0.1]", "[0, 0.1, 0.2]\nletters = []"), set=("attack_images=7",))
    assert [run.key for run in before] == [run.key for run in after]
    assert {shown.file for shown in before[0].shown if shown.condition == "clean"} <= {
        shown.file for shown in after[0].shown
    }
    assert plan(tmp_path, set=("draws=3",))[0].key == before[0].key


@pytest.mark.parametrize(
    "flag", ["epochs=4", "batch=7", "validation=0.2", "train_images=99", "threads=2", "map.prior_std=2"]
)
def test_budget_and_options_retrain(tmp_path: Path, flag: str) -> None:
    """Whatever changes the trained network changes its key."""
    assert plan(tmp_path, set=(flag,))[0].key != plan(tmp_path)[0].key


def test_seeds_and_methods_differ(tmp_path: Path) -> None:
    """No two runs of a plan share a key."""
    runs = plan(tmp_path)
    assert len({run.key for run in runs}) == len(runs) == 4


def test_draws_change_predictions(tmp_path: Path) -> None:
    """Predictions with other draws are other files."""
    files = {shown.file for shown in plan(tmp_path)[0].shown}
    assert files.isdisjoint(shown.file for shown in plan(tmp_path, set=("draws=3",))[0].shown)


def test_attacks_show_no_more_than_clean(tmp_path: Path) -> None:
    """An attack shows the first images of those that clean shows, however many it may have."""
    for sizes, expected in ((("test_images=100",), 100), (("attack_images=50", "test_images=100"), 50)):
        run = plan(tmp_path, set=("attack_images=0", *sizes))[0]
        assert {shown.count for shown in run.shown if shown.condition == "fgsm"} == {expected}


def test_options_of_what_is_not_run(tmp_path: Path) -> None:
    """Options of a method that is not in the plan are checked all the same."""
    with pytest.raises(UsageError, match="'flows'"):
        plan(tmp_path, methods=("map",), set=("mnf.flow=1",))


def test_repeated_methods(tmp_path: Path) -> None:
    """Two spellings of one method are refused."""
    with pytest.raises(UsageError, match="twice"):
        plan(tmp_path, methods=("mnf", "mnf[flows=2]"))


def test_missing_data_is_told_first(tmp_path: Path) -> None:
    """Files that are not there are named before anything is written."""
    with pytest.raises(MissingData, match="train-images-idx3-ubyte"):
        plan(tmp_path, datasets=("mnist",))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.toml"]


def test_contents_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contents that were hashed once are not loaded again while files and packages stay as they are."""
    spec = Plugins().spec("dataset", "digits")
    first = Contents(tmp_path, tmp_path / "known.json")
    expected = first.of(spec, "test", 0)
    first.remember()
    monkeypatch.setattr("bench_uq.contents.load", lambda *_: pytest.fail("loaded again"))
    assert Contents(tmp_path, tmp_path / "known.json").of(spec, "test", 0) == expected
    monkeypatch.setattr("bench_uq.contents.package_versions", lambda: {"scikit-learn": "another"})
    with pytest.raises(pytest.fail.Exception):
        Contents(tmp_path, tmp_path / "known.json").of(spec, "test", 0)
