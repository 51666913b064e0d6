"""Baselines: written whole or not at all, read back as they were, and rejected if incomplete."""

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
from bench_uq.check.results import SuiteResults, beside, read_baseline, read_results
from bench_uq.check.rule import judge
from bench_uq.plan.suite import read_suite
from bench_uq.score.score import SCORES

MakeResults = Callable[..., SuiteResults]
REPO = Path(__file__).resolve().parents[2]
NLL = (0.100, 1 / 3, 0.098, 0.101, 0.103)


def test_written_and_read_back(make_results: MakeResults, tmp_path: Path) -> None:
    """Scores come back to the last digit, with environments, settings and commands."""
    settings = {"network": "lenet", "epochs": 3, "draws": 2}
    runs = {("map", seed): {"settings": settings} for seed in range(5)}
    values = {"nll": NLL, ("nll", "fgsm", 0.1): NLL, "mce": NLL}
    results = make_results(values, runs=runs, device="cpu")
    path = tmp_path / "new" / "baseline.csv"
    written = write_baseline(results, path)
    assert (written.runs, written.seeds, written.left_out) == (5, 5, ())
    with path.open() as file:
        assert tuple(next(csv.reader(file))) == SCORES

    back, key = read_baseline(path), ("digits", "map", 1)
    assert back.runs[key].settings.items() >= settings.items()
    assert back.runs[key].command == "bench-uq run --suite quick"
    assert back.on_cpu(key) == results.on_cpu(key) == "here"
    found = judge(back, results, Margins())
    assert {cell.rule for cell in found.cells} == {"equal to the last digit"}

    before = path.read_bytes(), beside(path).read_bytes()
    write_baseline(results, path)
    assert before == (path.read_bytes(), beside(path).read_bytes())


def test_without_its_environment(make_results: MakeResults, tmp_path: Path) -> None:
    """A baseline works without the file beside it; then no environment counts as the same."""
    write_baseline(make_results({"nll": NLL}, device="cpu"), tmp_path / "b.csv")
    beside(tmp_path / "b.csv").unlink()
    now = make_results({"nll": [value * 1.01 for value in NLL]}, device="cpu")
    back = read_baseline(tmp_path / "b.csv")
    assert judge(back, now, Margins()).verdict == "pass"  # not `changed`


@pytest.mark.parametrize("status", ["missing", "failed", "interrupted", "oom"])
def test_rejected_if_a_run_is_unfinished(
    make_results: MakeResults, tmp_path: Path, status: str
) -> None:
    """The run is named with its status, and nothing is written; nor without any run."""
    results = make_results({"nll": NLL}, runs={("map", 2): {"status": status}})
    with pytest.raises(UsageError, match=rf"map-digits-s2 \({status}\)"):
        write_baseline(results, tmp_path / "b.csv")
    with pytest.raises(UsageError, match="has no runs"):
        write_baseline(make_results({}), tmp_path / "b.csv")
    assert list(tmp_path.iterdir()) == []


def test_scores_that_are_not_finite_are_left_out(make_results: MakeResults, tmp_path: Path) -> None:
    """A score without a value at one seed is left out with all its seeds; gated ones are named."""
    broken = [*NLL[:4], math.inf]
    results = make_results({"nll": broken, ("nll", "fgsm", 0.1): NLL, "mce": broken})
    written = write_baseline(results, tmp_path / "b.csv")
    assert written.left_out == ("nll of map on digits, clean",)
    assert len(written.warnings) == 1
    scores = read_baseline(tmp_path / "b.csv").scores
    assert set(scores.query("metric != 'examples'")["condition"]) == {"fgsm"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged or foreign"),
        ("[]", "damaged or foreign"),
        ('{"runs": [], "environments": []}', "damaged or foreign"),
        ('{"runs": {"a": 1}, "environments": []}', "a run is not a table"),
        ('{"runs": {}, "environments": [{}]}', "id"),
    ],
)
def test_damaged_environments(
    make_results: MakeResults, tmp_path: Path, text: str, words: str
) -> None:
    """Damage is one line, with the command that renews the file."""
    write_baseline(make_results({"nll": NLL}), tmp_path / "b.csv")
    beside(tmp_path / "b.csv").write_text(text)
    with pytest.raises(UsageError, match=f"{words}.*bench-uq baseline"):
        read_baseline(tmp_path / "b.csv")


def test_damaged_scores(make_results: MakeResults, tmp_path: Path) -> None:
    """A cut, foreign or repeated file is rejected, and so is any other kind of file."""
    path = tmp_path / "b.csv"
    write_baseline(make_results({"nll": NLL}), path)
    whole = path.read_text()
    for text in (whole[:-3], "a,b\n1,2\n", whole + whole.splitlines()[1] + "\n", ""):
        path.write_text(text)
        with pytest.raises(UsageError, match="bench-uq baseline"):
            read_results(path)
    with pytest.raises(UsageError, match="neither a suite's folder"):
        read_results(tmp_path / "nope")


def test_lines_as_windows_ends_them(make_results: MakeResults, tmp_path: Path) -> None:
    """Line ends, a byte order mark and blank lines at the end do no damage; digits still do."""
    path = tmp_path / "b.csv"
    write_baseline(make_results({"nll": NLL}, device="cpu"), path)
    before = read_baseline(path)
    for file in (path, beside(path)):
        text = file.read_bytes().replace(b"\n", b"\r\n")
        file.write_bytes(b"\xef\xbb\xbf" + text + b"\r\n")

    back = read_baseline(path)
    assert back.runs == before.runs
    assert back.environments == before.environments
    assert judge(back, before, Margins()).verdict == "pass"

    path.write_bytes(path.read_bytes().replace(b"0.098", b"0.097"))
    with pytest.raises(UsageError, match="checksum"):
        read_baseline(path)


def test_the_committed_baseline() -> None:
    """The project's own holds seeds 0 to 4 of every method of the quick suite, made on a CPU."""
    path = REPO / "results" / "quick" / "baseline.csv"
    results = read_baseline(path)
    expected = set()
    for method in read_suite("quick").methods:
        expected |= {("digits", method, seed) for seed in range(5)}
    assert set(results.runs) == expected
    assert all(results.on_cpu(key) for key in results.runs)
    assert json.loads(beside(path).read_text())["environments"][0]["torch"]


def test_new_scores_never_stand_beside_old_facts(
    make_results: MakeResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If writing ends halfway, no environment of other scores is left."""
    write_baseline(make_results({"nll": NLL}, device="cpu"), tmp_path / "b.csv")

    def full(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench_uq.store.write_json", full)
    with pytest.raises(OSError, match="No space"):
        write_baseline(make_results({"nll": NLL[::-1]}, device="cpu"), tmp_path / "b.csv")
    assert not beside(tmp_path / "b.csv").exists()


def test_scores_of_unfinished_runs_do_not_count(tmp_path: Path) -> None:
    """The evaluations that a run finished before it failed are no results."""
    synthetic = runpy.run_path(str(REPO / "benchmarks" / "synthetic.py"))
    suite = synthetic["write_results"](tmp_path / "quick", seeds=(0, 1))
    lines = (suite / "runs.csv").read_text().splitlines(keepends=True)
    (place,) = (place for place, line in enumerate(lines) if ",map,digits,1," in line)
    lines[place] = lines[place].replace(",ok,", ",failed,")
    (suite / "runs.csv").write_text("".join(lines))

    results = read_results(suite)
    assert results.runs["digits", "map", 1].status == "failed"
    seeds = results.scores.groupby("method")["seed"].unique()
    assert list(seeds["map"]) == [0]
    assert sorted(seeds["dropout"]) == [0, 1]
