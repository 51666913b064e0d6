"""Baselines: written whole or not at all, read back as they were, and refused where a run lacks."""

from __future__ import annotations

import csv
import json
import math
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.check.baseline import write_baseline
from bench_uq.check.margins import Margins
from bench_uq.check.results import Side, beside, read_baseline, read_side
from bench_uq.check.rule import check
from bench_uq.score.score import SCORES

MakeSide = Callable[..., Side]
NLL = (0.100, 1 / 3, 0.098, 0.101, 0.103)


def test_written_and_read_back(make_side: MakeSide, tmp_path: Path) -> None:
    """Scores come back to the last digit, with environments, settings and commands; the check passes as equal."""
    settings = {"network": "lenet", "epochs": 3, "draws": 2}
    runs = {("map", seed): {"settings": settings} for seed in range(5)}
    side = make_side({"nll": NLL, ("nll", "fgsm", 0.1): NLL, "mce": NLL}, runs=runs, device="cpu")
    path = tmp_path / "new" / "baseline.csv"
    written = write_baseline(side, path)
    assert (written.runs, written.seeds, written.holes) == (5, 5, ())
    with path.open() as file:
        assert tuple(next(csv.reader(file))) == SCORES
    back = read_baseline(path)
    key = ("digits", "map", 1)
    assert (back.runs[key].settings, back.runs[key].command) == (
        settings,
        "bench-uq run --suite quick",
    )
    assert back.on_cpu(key) == side.on_cpu(key) == "here"
    outcome = check(back, side, Margins())
    assert {cell.rule for cell in outcome.cells} == {"equal to the last digit"}
    before = path.read_bytes(), beside(path).read_bytes()
    write_baseline(side, path)
    assert before == (path.read_bytes(), beside(path).read_bytes())


def test_without_its_environment(make_side: MakeSide, tmp_path: Path) -> None:
    """Without the file beside it a baseline serves, and no environment is taken for the same."""
    side = make_side({"nll": NLL}, device="cpu")
    write_baseline(side, tmp_path / "b.csv")
    beside(tmp_path / "b.csv").unlink()
    back = read_baseline(tmp_path / "b.csv")
    now = make_side({"nll": [value * 1.01 for value in NLL]}, device="cpu")
    assert check(back, now, Margins()).verdict == "pass"  # not `changed`


@pytest.mark.parametrize("status", ["missing", "failed", "interrupted", "oom"])
def test_refused_where_a_run_lacks(make_side: MakeSide, tmp_path: Path, status: str) -> None:
    """The run is named with its status, and nothing is written."""
    side = make_side({"nll": NLL}, runs={("map", 2): {"status": status}})
    with pytest.raises(UsageError, match=rf"not finished are map-digits-s2 \({status}\)"):
        write_baseline(side, tmp_path / "b.csv")
    with pytest.raises(UsageError, match="has no runs"):
        write_baseline(side.of(["mnf"]), tmp_path / "b.csv")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_number_is_left_out_and_named(make_side: MakeSide, tmp_path: Path) -> None:
    """A score that one seed lacks is left out with all its seeds; the gated ones are named."""
    holed = [*NLL[:4], math.inf]
    side = make_side({"nll": holed, ("nll", "fgsm", 0.1): NLL, "mce": holed})
    written = write_baseline(side, tmp_path / "b.csv")
    assert written.holes == ("nll of map on digits, clean",)
    assert set(
        read_baseline(tmp_path / "b.csv").scores.query("metric != 'examples'")["condition"]
    ) == {"fgsm"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged or foreign"),
        ("[]", "damaged or foreign"),
        ('{"runs": [], "environments": []}', "damaged or foreign"),
        ('{"runs": {"a": 1}, "environments": []}', "a run is no table"),
        ('{"runs": {}, "environments": [{}]}', "id"),
    ],
)
def test_damaged_environments(make_side: MakeSide, tmp_path: Path, text: str, words: str) -> None:
    """Damage is told in one line, with what makes it anew."""
    write_baseline(make_side({"nll": NLL}), tmp_path / "b.csv")
    beside(tmp_path / "b.csv").write_text(text)
    with pytest.raises(UsageError, match=words) as error:
        read_baseline(tmp_path / "b.csv")
    assert "bench-uq baseline" in str(error.value)


def test_damaged_scores(make_side: MakeSide, tmp_path: Path) -> None:
    """A cut, foreign or repeated file is refused; what is neither a folder nor a CSV file too."""
    path = tmp_path / "b.csv"
    write_baseline(make_side({"nll": NLL}), path)
    whole = path.read_text()
    for text in (whole[:-3], "a,b\n1,2\n", whole + whole.splitlines()[1] + "\n", ""):
        path.write_text(text)
        with pytest.raises(UsageError, match="bench-uq baseline"):
            read_side(path)
    with pytest.raises(UsageError, match="neither a suite's folder"):
        read_side(tmp_path / "nope")


def test_the_committed_baseline() -> None:
    """The project's own holds seeds 0 to 4 of every method of the quick suite, made on a CPU."""
    folder = Path(__file__).resolve().parents[2] / "results" / "quick"
    side = read_baseline(folder / "baseline.csv")
    methods = ("map", "dropout", "ensemble", "mean-field", "mnf")
    assert set(side.runs) == {("digits", method, seed) for method in methods for seed in range(5)}
    assert all(side.on_cpu(key) for key in side.runs)
    assert json.loads(beside(folder / "baseline.csv").read_text())["environments"][0]["torch"]


def test_new_scores_never_stand_beside_old_facts(
    make_side: MakeSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where writing ends halfway, no environment is left that the scores are not of."""
    write_baseline(make_side({"nll": NLL}, device="cpu"), tmp_path / "b.csv")

    def full(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench_uq.store.write_json", full)
    with pytest.raises(OSError, match="No space"):
        write_baseline(make_side({"nll": NLL[::-1]}, device="cpu"), tmp_path / "b.csv")
    assert not beside(tmp_path / "b.csv").exists()


def test_scores_of_runs_that_did_not_finish_are_none(tmp_path: Path) -> None:
    """What a run had been shown before it failed is no result."""
    folder = Path(__file__).resolve().parents[2] / "benchmarks" / "synthetic.py"
    suite = runpy.run_path(str(folder))["write_results"](tmp_path / "quick", seeds=(0, 1))
    runs = suite / "runs.csv"
    lines = runs.read_text().splitlines(keepends=True)
    runs.write_text(
        "".join(
            line.replace(",ok,", ",failed,") if ",map,digits,1," in line else line for line in lines
        )
    )
    side = read_side(suite)
    assert side.runs["digits", "map", 1].status == "failed"
    assert set(side.scores.loc[side.scores["method"] == "map", "seed"]) == {0}
    assert set(side.scores.loc[side.scores["method"] == "dropout", "seed"]) == {0, 1}
