"""Damaged files are set aside or refused, reported and made again."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench_uq.cli import main

#: A seed per kind of damage. The inputs are points, so that a run has a file of each kind.
SUITE = """
methods = ["map"]
datasets = ["cubic"]
seeds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]

[settings]
epochs = 6
draws = 2
validation = 0.05
"""
RUN = ("run", "--suite", "points.toml", "--device", "cpu")
SCORE = ("score", "--suite", "points.toml")
DERIVED = ("scores.csv", "curves.csv.gz", "runs.csv", "environment.json", "about.json")
DERIVED += ("examples.npz", "groups.csv.gz", "checksums.json")
#: What of these a command does not read; a file that is not there hides nothing.
UNREAD = {"report": (), "check": ("curves.csv.gz", "examples.npz", "groups.csv.gz")}

Bench = Callable[..., subprocess.CompletedProcess[str]]


def flipped(content: bytes, share: float) -> bytes:
    """Return content with one bit flipped, so far into it."""
    place = int(share * len(content))
    return content[:place] + bytes([content[place] ^ 1 << place % 7]) + content[place + 1 :]


#: What becomes of a file's content.
CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "cut in its first line": lambda content: content[:9],
    "cut in half": lambda content: content[: len(content) // 2],
    "cut by a byte": lambda content: content[:-1],
    "a bit flipped at its beginning": lambda content: flipped(content, 0.01),
    "a bit flipped in its middle": lambda content: flipped(content, 0.5),
    "a bit flipped near its end": lambda content: flipped(content, 0.9),
    "a list": lambda content: b"[1, 2, 3]\n",
    "nested too deep": lambda content: b"[" * 100_000,
    "not a number": lambda content: b'{"files": {}, "runs": {}, "train_seconds": NaN}',
    "fields of other types": lambda content: (
        b'{"files": {"x": 3}, "runs": {"map|cubic|0": 7}, "seed": "0"}'
    ),
    "no UTF-8": lambda content: b'{"run": "\xff\xfe"}\n\xff',
}
KINDS = [*CONTENTS, "a folder", "a pipe"]
#: For files that are all read alike: against their checksums.
FEW = ("emptied", "cut by a byte", "a bit flipped in its middle", "a folder", "a pipe")


def damage(path: Path, kind: str) -> None:
    """Damage a file, or put something else in its place."""
    content = path.read_bytes()
    path.unlink()
    if kind == "a folder":
        (path / "inside").mkdir(parents=True)
    elif kind == "a pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(CONTENTS[kind](content))


def rows(path: Path) -> list[str]:
    """Return the lines of a file."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as file:
        return file.read().splitlines()


def made(folder: Path) -> Path:
    """Return a new folder with the suite's file."""
    folder.mkdir(exist_ok=True)
    (folder / "points.toml").write_text(SUITE)
    return folder


@pytest.fixture(scope="module")
def whole(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the suite was run."""
    folder = made(tmp_path_factory.mktemp("whole"))
    done = bench(folder, *RUN)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of that folder to damage, and to work in."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same_scores(folder: Path, whole: Path) -> bool:
    """Return whether scores and curves are those of undamaged files, byte for byte."""
    tables = ("scores.csv", "curves.csv.gz", "groups.csv.gz", "examples.npz")
    names = [f"results/points/{name}" for name in tables]
    return all((folder / name).read_bytes() == (whole / name).read_bytes() for name in names)


def runs_of(folder: Path) -> list[Path]:
    """Return the folders of the runs, as many as there are kinds of damage."""
    return sorted((folder / "results/points/runs").glob("map-*"))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("run.json", True),
        ("network.safetensors", True),
        *product(("training.csv", "points.csv", "clean-*.npz"), (1, 0)),
    ],
)
def test_files_of_a_run(name: str, kept: bool, bench: Bench, folder: Path, whole: Path) -> None:
    """Damage changes no score; it is reported, and the next run makes the files again.

    Of runs whose scores are kept only the record is read.
    """
    runs = runs_of(folder)
    for run, kind in zip(runs, KINDS, strict=True):
        damage(next(run.glob(name)), kind)
        if not kept:
            (run / "scored.json").unlink()
    scored = invoked(*SCORE)
    assert scored.exit_code == 0, scored.output
    for table in ("scores.csv", "curves.csv.gz", "groups.csv.gz"):
        found, all_rows = (rows(one / "results/points" / table) for one in (folder, whole))
        assert set(found) <= set(all_rows)
    if name == "run.json" or not kept:
        assert len(scored.stderr.splitlines()) == len(runs), scored.stderr
        assert all(line.startswith("damaged: ") for line in scored.stderr.splitlines())

    again = bench(folder, *RUN)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Traceback" not in again.stderr
    assert (scored.stderr + again.stderr).count("set aside as") == len(runs)
    assert all(list(run.glob(f"{name}.corrupt")) for run in runs)
    assert same_scores(folder, whole)
    assert len(rows(folder / "results/points/runs.csv")) == 1 + len(runs)


def test_what_was_computed_of_a_run(folder: Path, whole: Path) -> None:
    """Kept scores that were damaged are computed again."""
    for run, kind in zip(runs_of(folder), KINDS, strict=True):
        damage(run / "scored.json", kind)
    (folder / "results/points/scores.csv").unlink()
    scored = invoked(*SCORE)
    assert scored.exit_code == 0, scored.output
    assert same_scores(folder, whole)


def test_compressed_tables_of_earlier_runs(folder: Path) -> None:
    """Scoring leaves none beside the tables that it writes."""
    compressed = [folder / "results/points" / f"{name}.gz" for name in ("scores.csv", "runs.csv")]
    for file in compressed:
        file.write_bytes(gzip.compress(b"dataset,method\n"))
    scored = invoked(*SCORE)
    assert scored.exit_code == 0, scored.output
    assert not any(file.exists() for file in compressed)


def test_checkpoints(bench: Bench, killing_code: str, tmp_path: Path, whole: Path) -> None:
    """A training whose checkpoint was damaged starts anew, and says so."""
    folder = made(tmp_path)
    assert bench(folder, *RUN, "--checkpoint-every", "0", code=killing_code).returncode == 1
    for run, kind in zip(runs_of(folder), KINDS, strict=True):
        damage(run / "checkpoint.safetensors", kind)
    done = bench(folder, *RUN)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert ["checkpoint.safetensors set aside as" in line for line in lines] == [True] * len(KINDS)
    assert same_scores(folder, whole)


def invoked(*arguments: str) -> Result:
    """Run a command in this process; it never fails without a word, and shows no traceback."""
    result = CliRunner().invoke(main, list(arguments))
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_and_what_is_known_of_datasets(kind: str, folder: Path, whole: Path) -> None:
    """A damaged plan is set aside; the next run makes it, and hashes of data, without training."""
    damage(folder / "results/points/plan.json", kind)
    scored = invoked(*SCORE)
    assert scored.exit_code == 2
    assert [line.split(":")[0] for line in scored.stderr.splitlines()] == ["damaged", "Error"]
    assert same_scores(folder, whole)

    damage(folder / "results/.contents.json", kind)
    done = invoked(*RUN)
    assert done.exit_code == 0, done.output
    assert done.stdout.count("  stored\n") == len(KINDS)
    assert all(line.startswith("damaged: ") for line in done.stderr.splitlines())
    assert same_scores(folder, whole)


@pytest.mark.parametrize("name", DERIVED)
def test_derived_files(name: str, folder: Path, whole: Path) -> None:
    """Reports and the gate refuse a damaged table; scoring makes the same bytes again."""
    path, original = (one / "results/points" / name for one in (folder, whole))
    report = ("report", "--suite", "points", "--formats", "markdown")
    baseline = str(whole / "results/points/scores.csv")
    check = ("check", "--suite", "points", "--baseline", baseline)

    for kind in KINDS if name in ("scores.csv", "checksums.json") else FEW:
        damage(path, kind)
        for command in (report, check):
            result = invoked(*command)
            if name in UNREAD[command[0]]:
                assert result.exit_code == 0, (kind, result.output)
            else:
                assert result.exit_code == 2, (kind, result.output)
                assert len(result.stderr.splitlines()) == 1
                assert name in result.stderr
        assert invoked(*SCORE).exit_code == 0
        assert path.read_bytes() == original.read_bytes(), kind


@pytest.mark.parametrize("name", ["baseline.csv", "baseline.environment.json"])
def test_a_digit_changed_in_a_baseline(name: str, folder: Path) -> None:
    """No number of a baseline is compared that is not the one it was written with."""
    assert invoked("baseline", "--suite", "points", "--out", "baseline.csv").exit_code == 0
    check = ("check", "--suite", "points", "--baseline", "baseline.csv")
    assert invoked(*check).exit_code == 0
    path = folder / name
    content = path.read_text()
    place = max(place for place, letter in enumerate(content) if letter.isdigit())
    path.write_text(f"{content[:place]}{(int(content[place]) + 1) % 10}{content[place + 1 :]}")
    result = invoked(*check)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert name in result.stderr
    assert "bench-uq baseline" in result.stderr


def test_a_record_of_another_run(folder: Path, whole: Path) -> None:
    """A whole record in the folder of another run is none of that run's."""
    first, second = runs_of(folder)[:2]
    shutil.copy(second / "run.json", first / "run.json")
    scored = invoked(*SCORE)
    assert "set aside" in scored.stderr
    (row,) = [
        line for line in rows(folder / "results/points/runs.csv") if line.startswith(first.name)
    ]
    assert row.split(",")[4] == "missing"
    assert json.loads((second / "run.json").read_text())["run"] == second.name
