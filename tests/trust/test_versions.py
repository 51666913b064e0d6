"""Older results are read, newer ones refused, and no two versions are mixed."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench_uq import store
from bench_uq.cli import main
from bench_uq.plan import runs as plan

#: Made by the first version that had a command line; its network is left out.
OLD = Path(__file__).parent / "old_results"
RUN = ("run", "--suite", "tiny.toml", "--device", "cpu")
SCORE = ("score", "--suite", "tiny.toml")
REPORT = ("report", "--suite", "tiny.toml", "--formats", "markdown")
CHECK = ("check", "--suite", "tiny.toml", "--baseline", str(OLD / "tiny" / "scores.csv"))

Bench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the results of the old version, to work in."""
    shutil.copytree(OLD / "tiny", tmp_path / "results" / "tiny")
    shutil.copy(OLD / "tiny.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> dict[str, bytes]:
    """Return all that is in a folder, but for locks."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def numbers(folder: Path) -> dict[tuple[str, ...], str]:
    """Return the scores by what they are of."""
    keys = ("run", "condition", "level", "metric")
    found = {}
    for row in rows(folder / "results/tiny/scores.csv"):
        found[tuple(row[key] for key in keys)] = row["value"]
    return found


def test_results_of_an_older_version_are_read(folder: Path) -> None:
    """Old results are reported, checked and scored; known scores keep their value."""
    before = numbers(folder)
    for command in (REPORT, CHECK, SCORE, REPORT, CHECK):
        done = CliRunner().invoke(main, command)
        assert (done.exit_code, done.stderr) == (0, ""), command
    after = numbers(folder)
    assert before.keys() <= after.keys()
    for key, value in before.items():
        expected = pytest.approx(float(value or "nan"), rel=1e-12, nan_ok=True)
        assert float(after[key] or "nan") == expected, key
    (run,) = (folder / "results/tiny/runs").glob("map-*")
    assert {row["run"] for row in rows(folder / "results/tiny/scores.csv")} == {run.name}
    assert not list(folder.rglob("*.corrupt"))


def test_a_run_of_this_version_takes_the_place_of_an_old_one(folder: Path) -> None:
    """The old run stays stored and is listed as superseded; every score is of the new one.

    A newer record is then refused by what reads records.
    """
    quiet(folder)
    (old,) = (folder / "results/tiny/runs").glob("map-*")
    stored = files(old)
    assert CliRunner().invoke(main, RUN).exit_code == 0
    assert_superseded(folder, old.name)
    assert files(old) == stored
    assert CliRunner().invoke(main, REPORT).exit_code == 0

    for run in (folder / "results/tiny/runs").glob("map-*"):
        newer(run / "run.json")
    for command in (RUN, SCORE):
        # It would be the first to be written again.
        (folder / "results/.contents.json").unlink(missing_ok=True)
        assert_refused(folder, command, "run.json")


def assert_superseded(folder: Path, old: str) -> None:
    """Check that scores are of one run alone, and that the other is listed."""
    suite = folder / "results" / "tiny"
    status = {row["run"]: row["status"] for row in rows(suite / "runs.csv")}
    assert status.pop(old) == "superseded"
    assert list(status.values()) == ["ok"]
    for name in ("scores.csv", "curves.csv.gz"):
        assert {row["run"] for row in rows(suite / name)} == set(status)


def quiet(folder: Path) -> None:
    """Have the suite show all test examples: of fewer it says on stderr that they lack a class."""
    text = (folder / "tiny.toml").read_text()
    (folder / "tiny.toml").write_text(text.replace("test_images = 12\n", ""))


def newer(path: Path) -> None:
    """Make a stored file one of a later version."""
    value = json.loads(path.read_text())
    store.write_json(path, {**value, "schema": store.SCHEMA + 1, "more": "than is known"})


def test_a_newer_plan_is_refused(folder: Path) -> None:
    """Every command refuses it in one line with exit 2, and writes nothing."""
    quiet(folder)
    newer(folder / "results/tiny/plan.json")
    for command in (RUN, (*RUN, "--dry-run"), SCORE, REPORT, CHECK):
        assert_refused(folder, command, "plan.json")


def assert_refused(folder: Path, command: tuple[str, ...], name: str) -> None:
    """Check that a command refuses a file of a newer schema and leaves everything as it was."""
    before = files(folder)
    done = CliRunner().invoke(main, command)
    assert (done.exit_code, done.stdout) == (2, ""), command
    (line,) = done.stderr.splitlines()
    words = rf"{re.escape(name)} is of schema 2, .* this one reads 1 \(upgrade bench-uq"
    assert re.search(words, line), line
    assert files(folder) == before


def test_one_schema() -> None:
    """What names runs and what stores them speak of one schema."""
    assert plan.SCHEMA == store.SCHEMA == 1


def test_two_engines_on_one_folder(
    bench: Bench, start: Callable[..., subprocess.Popen[str]], other_code: Path, tmp_path: Path
) -> None:
    """Runners of two versions at the same time: both store runs under their own keys."""
    shutil.copy(OLD / "tiny.toml", tmp_path)
    with (other_code / "bench_uq" / "train" / "__init__.py").open("a") as file:
        file.write("\nTRAINING_VERSION += 1\n")
    runners: list[Any] = [start(tmp_path, *RUN), start(tmp_path, *RUN, code=other_code)]
    for runner in runners:
        _, err = runner.communicate(timeout=300)
        assert runner.returncode == 0, err

    runs = {
        path.name: json.loads((path / "run.json").read_text())
        for path in tmp_path.glob("results/tiny/runs/map-*")
    }
    assert [record["status"] for record in runs.values()] == ["ok", "ok"]
    first, second = runs.values()
    assert first["key"] != second["key"]
    assert first["identity"]["training_version"] != second["identity"]["training_version"]

    last = bench(tmp_path, *RUN, code=other_code)
    assert (last.returncode, last.stdout.count("  stored\n")) == (0, 1)
    theirs = last.stdout.split()[0]
    assert_superseded(tmp_path, *(runs.keys() - {theirs}))
