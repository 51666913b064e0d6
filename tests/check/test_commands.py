"""The gate from the command line, on results of files: the study that the project publishes, and synthetic ones."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from bench_uq.cli import main

REPO = Path(__file__).resolve().parents[2]
STUDY = ("--suite", "mnf-paper-cpu", "--results", str(REPO / "results"))
write_results = runpy.run_path(str(REPO / "benchmarks" / "synthetic.py"))["write_results"]


def bench(*arguments: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr."""
    done = CliRunner().invoke(main, list(arguments))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a suite of two methods and five seeds, and work where it is found."""
    monkeypatch.chdir(tmp_path)
    return write_results(tmp_path / "results" / "quick", seeds=range(5))


def change(path: Path, which: Callable[[dict[str, str]], bool], **values: str) -> None:
    """Change rows of a CSV file."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **values} if which(row) else row for row in rows)


def test_a_baseline_of_the_published_study(tmp_path: Path) -> None:
    """The study against itself passes in every format; of three seeds, the baseline warns that they are few."""
    path = tmp_path / "study.csv"
    code, out, err = bench("baseline", *STUDY, "--out", str(path))
    assert (code, out) == (0, f"baseline of 18 runs: {path}\n")
    assert "of 3 seeds: at least 5 tell a change from noise" in err
    for form, whole in (
        ("text", str),
        ("markdown", str),
        ("json", json.loads),
        ("junit", ElementTree.fromstring),
    ):
        code, out, err = bench("check", *STUDY, "--baseline", str(path), "--format", form)
        assert (code, err) == (0, "")
        assert whole(out) is not None
    assert bench("compare", str(path), str(REPO / "results" / "mnf-paper-cpu"))[0] == 0


def test_a_regression_fails_the_build(quick: Path) -> None:
    """A score that lost its value fails with 1; renewing the baseline is refused while a run is missing."""
    assert bench("baseline", "--out", "b.csv")[0] == 0
    code, out, err = bench("check", "--baseline", "b.csv")
    assert (code, err) == (0, "")
    assert out == f"quick: pass ({out.split()[2][1:]} pass)\n"
    shutil.copytree(quick, Path("before/quick"))
    change(
        quick / "scores.csv",
        lambda row: (row["method"], row["metric"], row["level"]) == ("map", "nll", "0.3"),
        value="9",
    )
    code, out, _ = bench("check", "--baseline", "b.csv")
    assert code == 1
    assert [line.split()[:6] for line in out.splitlines()[1:2]] == [
        ["✗", "regressed", "digits", "map", "fgsm", "ε=0.3"]
    ]
    assert bench("check", "--baseline", "b.csv", "--methods", "dropout")[0] == 0
    assert bench("check", "--baseline", "b.csv", "--results", "before")[0] == 0
    change(
        quick / "runs.csv",
        lambda row: row["seed"] == "4" and row["method"] == "map",
        status="missing",
    )
    code, out, err = bench("baseline", "--out", "b.csv")
    assert (code, out) == (2, "")
    assert "not finished are map-digits-s4" in err


def test_fewer_seeds_are_inconclusive(quick: Path) -> None:
    """Exit 3 and the command to run."""
    assert bench("baseline", "--out", "b.csv")[0] == 0
    for name in ("runs.csv", "scores.csv"):
        text = (quick / name).read_text().splitlines(keepends=True)
        place = 3 if name == "runs.csv" else 2
        (quick / name).write_text("".join(line for line in text if line.split(",")[place] != "4"))
    code, out, _ = bench("check", "--baseline", "b.csv")
    assert code == 3
    assert (
        "--methods map,dropout --datasets digits --seeds 4" in out
        or "--methods dropout,map --datasets digits --seeds 4" in out
    )
    assert "seed 4 was not run" in out


def test_margins_and_floors(quick: Path) -> None:
    """A file of margins widens what may change, and floors hold for the suite's own settings alone."""
    assert bench("baseline", "--out", "b.csv")[0] == 0
    with (quick / "scores.csv").open() as file:
        nll = {
            row["seed"]: row["value"]
            for row in csv.DictReader(file)
            if (row["method"], row["metric"], row["condition"]) == ("map", "nll", "clean")
        }
    for seed, value in nll.items():
        change(
            quick / "scores.csv",
            lambda row, seed=seed: (
                (row["method"], row["metric"], row["condition"], row["seed"])
                == ("map", "nll", "clean", seed)
            ),  # type: ignore[misc]
            value=str(1.3 * float(value)),
        )
    assert bench("check", "--baseline", "b.csv")[0] == 1
    Path("m.toml").write_text("[margins]\nnll = 0.5\n")
    assert bench("check", "--baseline", "b.csv", "--margins", "m.toml")[0] == 0
    Path("m.toml").write_text("[margins]\nnll = 0.5\n[floors]\naccuracy = 0.9999\n")
    own = {"epochs": "60", "draws": "50", "command": "bench-uq run --suite quick"}
    code, out, _ = bench("check", "--baseline", "b.csv", "--margins", "m.toml")
    assert code == 0
    assert "not held to floors: dropout on digits, map on digits" in out
    change(quick / "runs.csv", lambda row: row["method"] == "map", **own)
    code, out, _ = bench("check", "--baseline", "b.csv", "--margins", "m.toml")
    assert code == 1
    assert "below the floor 0.9999" in out
    assert "not held to floors: dropout on digits" in out
    change(
        quick / "runs.csv",
        lambda row: row["method"] == "map",
        command="bench-uq run --set epochs=60",
    )
    assert bench("check", "--baseline", "b.csv", "--margins", "m.toml")[0] == 0


def test_compare(quick: Path) -> None:
    """Two folders side by side: what differs, or with --all everything."""
    shutil.copytree(quick, Path("other/quick"))
    change(
        Path("other/quick/scores.csv"),
        lambda row: (row["method"], row["metric"]) == ("map", "brier"),
        value="1.9",
    )
    code, out, _ = bench("compare", "results/quick", "other/quick")
    assert code == 0
    assert out.splitlines()[-1].startswith("A results/quick, B other/quick: 7 better in A, ")
    everything = bench(
        "compare",
        "results/quick",
        "other/quick",
        "--all",
        "--metrics",
        "fpr95_entropy",
        "--format",
        "markdown",
    )
    assert everything[0] == 0
    assert everything[1].count("equal to the last digit") > 5
