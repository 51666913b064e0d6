"""Figures for a paper: their width, a file for each panel, and the level that stands for many."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench_uq.api.errors import UsageError
from bench_uq.cli import main
from bench_uq.report.paper import COLUMN, PAGE, PAPER, Paper, read_paper
from bench_uq.score.analysis import analyse
from bench_uq.score.asked_levels import levels_at
from bench_uq.score.naming import read_levels
from bench_uq.score.results import Results, read


@pytest.fixture(scope="module")
def suite(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results of two methods on clean, unseen and attacked digits."""
    folder = tmp_path_factory.mktemp("paper") / "results" / "small"
    return make_results(folder, ("map", "dropout"), (0, 1), attacks=("fgsm",))


@pytest.fixture(scope="module")
def results(suite: Path) -> Results:
    return read(suite)


def reported(suite: Path, reports: Path, *arguments: str) -> Result:
    """Run bench-uq report on these results."""
    places = ["--suite", suite.name, "--results", str(suite.parent), "--reports", str(reports)]
    return CliRunner().invoke(main, ["report", *places, *arguments])


def inches(file: Path) -> float:
    """Return the width of the page of a PDF file."""
    (box,) = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) ", file.read_bytes())
    return float(box) / 72


def test_widths() -> None:
    """By name, in centimetres, or what suits each figure; panels are a column wide."""
    assert read_paper() == PAPER
    assert read_paper("page") == Paper(PAGE, PAGE)
    assert read_paper("10.16") == read_paper(10.16) == Paper(4.0, 4.0)
    assert read_paper(panels=True) == Paper(COLUMN, COLUMN, panels=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--width", "colum"], "unknown width 'colum'; did you mean 'column'?"),
        (["--width", "2"], "width 2 is not from 8 to 40 centimetres, column or page"),
        (["--width", "nan"], "width nan is not from 8 to 40 centimetres"),
        (["--levels", "fgsm"], "'fgsm' is not of the form CONDITION=LEVEL"),
        (["--levels", "fgsm=high"], "'fgsm=high' is not of the form CONDITION=LEVEL"),
        (["--levels", "fgms=0.1"], "unknown condition with levels in small 'fgms'; did you mean"),
        (
            ["--levels", "fgsm=9"],
            "fgsm has no level 9 in small (it has 0, 0.05, 0.1, 0.2, 0.3, 0.5)",
        ),
    ],
)
def test_mistakes(arguments: list[str], said: str, suite: Path, tmp_path: Path) -> None:
    """One line, exit 2, and nothing is written."""
    done = reported(suite, tmp_path / "reports", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "reports").exists()


def test_files_have_the_width(suite: Path, tmp_path: Path) -> None:
    """Every page is as wide as was asked for; at another width all are drawn anew."""
    for width, wide in (("8.5", 8.5 / 2.54), ("page", PAGE)):
        done = reported(suite, tmp_path, "--formats", "pdf", "--width", width)
        assert done.exit_code == 0, done.output
        files = list((tmp_path / "small" / "figures").glob("*.pdf"))
        assert len(files) > 8
        for file in files:
            assert inches(file) == pytest.approx(wide, abs=0.01), file


def test_each_panel_has_a_file(suite: Path, tmp_path: Path) -> None:
    """Called by figure and panel, no wider than a column, with a legend beside them."""
    done = reported(suite, tmp_path, "--formats", "pdf", "--panel", "--metrics", "accuracy,nll")
    assert done.exit_code == 0, done.output
    files = {file.stem: file for file in (tmp_path / "small" / "figures").iterdir()}
    names = {"digits-levels-fgsm-accuracy", "digits-levels-fgsm-legend", "digits-training-legend"}
    assert names <= files.keys()
    assert all(inches(file) <= COLUMN + 0.05 for file in files.values())


def test_a_level_stands_for_its_condition(results: Results) -> None:
    """It is that of curves, conclusions and panels; without one, where a method is above chance."""
    asked = levels_at(results, read_levels(["fgsm=0.1"]))
    chosen = analyse(results, levels=asked).on("digits")
    assert ("fgsm", 0.1) in chosen.shown
    assert {one.scored[1] for one in chosen.conclusions if one.scored[0] == "fgsm"} == {0.1}
    assert chosen.shown_with("entropy_ecdf") == chosen.shown

    # As scoring stores them: distribution functions at the highest level alone.
    curves = results.curves
    lower = (curves["curve"] == "entropy_ecdf") & (curves["level"] < 0.5)
    stored = analyse(replace(results, curves=curves[~lower]), levels=asked).on("digits")
    assert ("fgsm", 0.5) in stored.shown_with("entropy_ecdf")
    assert ("fgsm", 0.1) in stored.shown_with("entropy_histogram")

    plain = analyse(results).on("digits")
    level = dict(plain.shown)["fgsm"]
    best = {}
    for (_, condition, at, metric), one in plain.summaries.items():
        if (condition, metric) == ("fgsm", "accuracy") and at is not None:
            best[at] = max(best.get(at, 0.0), one.mean)
    above = [at for at, accuracy in best.items() if accuracy > 0.1]
    assert level == max(above)


def test_a_level_that_one_dataset_lacks(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """There another stands for the condition, as without the option."""
    both = {"datasets": ("digits", "mnist"), "attacks": ("fgsm",)}
    results = read(make_results(tmp_path / "two", ("map", "dropout"), (0, 1), **both))
    scores, curves = results.scores, results.curves
    lacking = [(one["dataset"] == "mnist") & (one["level"] == 0.5) for one in (scores, curves)]
    results = replace(results, scores=scores[~lacking[0]], curves=curves[~lacking[1]])
    asked = levels_at(results, {"fgsm": 0.5})
    assert analyse(results, levels=asked).on("digits").level_of("fgsm") == 0.5
    there = analyse(results, levels=asked).on("mnist")
    assert there.level_of("fgsm") == analyse(results).on("mnist").level_of("fgsm") != 0.5
    assert [one for one in there.conclusions if one.scored[0] == "fgsm"]


def test_a_plain_name_stands_for_all_that_have_the_level(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """One with options says more."""
    attacks = ("pgd", "pgd[norm=l2]")
    results = read(make_results(tmp_path / "two", ("map",), attacks=attacks))
    assert levels_at(results, {"pgd": 0.2}) == {"pgd": 0.2, "pgd[norm=l2]": 0.2}
    both = {"pgd": 0.2, "pgd[norm=l2]": 0.1}
    assert levels_at(results, read_levels(["pgd[norm=l2]=0.1", "pgd=0.2"])) == both
    with pytest.raises(UsageError, match="no level 7"):
        levels_at(results, {"pgd": 7})
