"""The gate from the command line, on the published study and on synthetic results."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from bench_uq.check.check import check
from bench_uq.check.compare import compare
from bench_uq.cli import main

REPO = Path(__file__).resolve().parents[2]
STUDY = ("--suite", "mnf-paper-cifar5-cpu", "--results", str(REPO / "results"))
write_results = runpy.run_path(str(REPO / "benchmarks" / "synthetic.py"))["write_results"]


def bench(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    done = CliRunner().invoke(main, list(arguments))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods and five seeds, written once."""
    return write_results(tmp_path_factory.mktemp("made") / "quick", seeds=range(5))


@pytest.fixture
def quick(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results in results/quick, and their baseline, b.csv."""
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(made, tmp_path / "results" / "quick")
    assert bench("baseline", "--out", "b.csv") == (0, "baseline of 10 runs: b.csv\n", "")
    return folder


def change(path: Path, where: Mapping[str, str], new: Callable[[str], str], column: str) -> None:
    """Change a column of the rows of a CSV file that have these fields."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if where.items() <= row.items():
            row[column] = new(row[column])
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def test_a_baseline_of_the_published_study(tmp_path: Path) -> None:
    """The study passes against itself in every format; the baseline warns of its few seeds."""
    path = tmp_path / "study.csv"
    code, out, err = bench("baseline", *STUDY, "--out", str(path))
    assert (code, out) == (0, f"baseline of 15 runs: {path}\n")
    assert "3 seeds" in err

    readers = {"json": json.loads, "junit": ElementTree.fromstring, "text": str, "markdown": str}
    for form, read in readers.items():
        code, out, err = bench("check", *STUDY, "--baseline", str(path), "--format", form)
        assert (code, err) == (0, "")
        assert read(out) is not None
    assert bench("compare", str(path), str(REPO / "results" / "mnf-paper-cifar5-cpu"))[0] == 0


def test_a_regression_fails_the_build(quick: Path) -> None:
    """A changed score fails with 1 unless the check is narrowed to others."""
    code, out, err = bench("check", "--baseline", "b.csv")
    assert (code, err) == (0, "")
    assert out == f"quick: pass ({out.split()[2][1:]} pass)\n"

    shutil.copytree(quick, Path("before/quick"))
    cell = {"method": "map", "metric": "nll", "level": "0.3"}
    change(quick / "scores.csv", cell, lambda _: "9", "value")
    code, out, _ = bench("check", "--baseline", "b.csv")
    assert code == 1
    shown = ["✗", "regressed", "digits", "map", "fgsm", "ε=0.3"]
    assert out.splitlines()[0].startswith("map on digits: nll under fgsm ε=0.3 ")
    assert out.splitlines()[1] == "unchanged: dropout on digits"
    assert shown in [line.split()[:6] for line in out.splitlines()]
    assert bench("check", "--baseline", "b.csv", "--methods", "dropout")[0] == 0
    assert bench("check", "--baseline", "b.csv", "--results", "before")[0] == 0


def test_a_baseline_needs_every_run(quick: Path) -> None:
    """Renewing the baseline is rejected while a run is missing, before anything is written."""
    before = Path("b.csv").read_bytes()
    change(quick / "runs.csv", {"seed": "4", "method": "map"}, lambda _: "missing", "status")
    code, out, err = bench("baseline", "--out", "b.csv")
    assert (code, out) == (2, "")
    assert "map-digits-s4" in err
    assert bench("baseline", "--out", "b.txt")[0] == 2
    assert Path("b.csv").read_bytes() == before


def test_fewer_seeds_are_inconclusive(quick: Path) -> None:
    """Exit 3 and the command to run."""
    for name, place in (("runs.csv", 3), ("scores.csv", 2)):
        lines = (quick / name).read_text().splitlines(keepends=True)
        kept = [line for line in lines if line.split(",")[place] != "4"]
        (quick / name).write_text("".join(kept))
    code, out, _ = bench("check", "--baseline", "b.csv")
    assert code == 3
    methods = ("map,dropout", "dropout,map")
    assert any(f"--methods {names} --datasets digits --seeds 4" in out for names in methods)
    assert "seed 4 was not run" in out


def test_margins_and_floors(quick: Path) -> None:
    """A file of margins widens the limits; floors apply to the suite's own settings alone."""
    nll = {"method": "map", "metric": "nll", "condition": "clean"}
    change(quick / "scores.csv", nll, lambda value: str(1.3 * float(value)), "value")
    assert bench("check", "--baseline", "b.csv")[0] == 1
    Path("m.toml").write_text("[margins]\nnll = 0.5\n")
    with_margins = ("check", "--baseline", "b.csv", "--margins", "m.toml")
    assert bench(*with_margins)[0] == 0

    Path("m.toml").write_text("[margins]\nnll = 0.5\n[floors]\naccuracy = 0.9999\n")
    code, out, _ = bench(*with_margins)
    assert code == 0
    assert "settings than the suite's: dropout on digits, map on digits" in out

    own = {"epochs": "60", "draws": "20", "command": "bench-uq run --suite quick"}
    for column, value in own.items():
        change(quick / "runs.csv", {"method": "map"}, lambda _, value=value: value, column)  # type: ignore[misc]
    # The baseline has the same settings, so that the runs stay comparable.
    assert bench("baseline", "--out", "b.csv")[0] == 0
    code, out, _ = bench(*with_margins)
    assert code == 1
    assert "below the floor 0.9999" in out
    assert "settings than the suite's: dropout on digits\n" in out

    other = "bench-uq run --set epochs=60"
    change(quick / "runs.csv", {"method": "map"}, lambda _: other, "command")
    assert bench(*with_margins)[0] == 0


def test_compare(quick: Path) -> None:
    """Two folders side by side: differences, or with --all everything."""
    shutil.copytree(quick, Path("other/quick"))
    brier = {"method": "map", "metric": "brier"}
    change(Path("other/quick/scores.csv"), brier, lambda _: "1.9", "value")
    both = ("compare", "results/quick", "other/quick")
    code, out, _ = bench(*both)
    assert code == 0
    assert out.splitlines()[-1].startswith("A results/quick, B other/quick: 7 better in A, ")

    code, out, _ = bench(*both, "--all", "--metrics", "fpr95_entropy", "--format", "markdown")
    assert code == 0
    assert out.count("equal to the last digit") > 5


def test_from_python(quick: Path) -> None:
    """The functions give the verdicts as data, with the text that the commands print."""
    found = check(quick, Path("b.csv"), methods=["map"])
    assert (found.verdict, found.exit_code) == ("pass", 0)
    assert {cell.method for cell in found.cells} == {"map"}
    assert found.text == bench("check", "--baseline", "b.csv", "--methods", "map")[1]
    text = bench("compare", "b.csv", "results/quick", "--format", "json")[1]
    assert text == compare(Path("b.csv"), Path("results/quick"), form="json").text
