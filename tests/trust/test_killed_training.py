"""kill -9 in the middle of a training: it goes on from its last checkpoint, to the same bits."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench_uq.run.checkpoints import Checkpoints
from bench_uq.store import RunFolder

SUITE = """
methods = ["map", "dropout", "mnf[flows=1]", "ensemble[members=2]"]
datasets = ["digits"]
seeds = [0]

[settings]
epochs = 25
draws = 2
test_images = 50
"""
COMMAND = ("run", "--suite", "long.toml", "--device", "cpu", "--jobs", "4")
COMMAND = (*COMMAND, "--checkpoint-every", "0")
#: By method: the member that is killed, its finished epochs by then, and the epochs of the run.
KILLED = {"map": (0, 9, 25), "dropout": (0, 4, 25), "mnf": (0, 2, 25), "ensemble": (1, 3, 50)}


def test_a_killed_training_goes_on(
    bench: Callable[..., Any],
    start: Callable[..., subprocess.Popen[str]],
    holder: Callable[[Path], int | None],
    wait_until: Callable[[Callable[[], Any]], Any],
    tmp_path: Path,
) -> None:
    """A killed training keeps its finished epochs and ends with the same network."""
    for name in ("unkilled", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "long.toml").write_text(SUITE)
    assert bench(tmp_path / "unkilled", *COMMAND).returncode == 0
    folder = tmp_path / "killed"
    runner = start(folder, *COMMAND)
    before, waiting = dict[str, list[dict[str, Any]]](), dict(KILLED)

    def killed() -> bool:
        for method, (member, epochs, _) in list(waiting.items()):
            run = next(iter(folder.glob(f"results/long/runs/{method}-*")), None)
            if run and sum(row["member"] == member for row in history(run)) >= epochs:
                os.kill(holder(run) or pytest.fail(f"{method} has ended"), signal.SIGKILL)
                del waiting[method]
        return not waiting

    try:
        wait_until(killed)
        out, err = runner.communicate(timeout=300)
    finally:
        runner.kill()
    assert (runner.returncode, out.count("failed: its process was killed by SIGKILL")) == (1, 4), (
        out + err
    )
    for method in KILLED:
        (run,) = folder.glob(f"results/long/runs/{method}-*")
        before[method] = history(run)
        assert not (run / "network.safetensors").exists()
    again = bench(folder, *COMMAND)
    assert (again.returncode, again.stderr) == (0, "")
    for method, (member, epochs, all_epochs) in KILLED.items():
        (run,), (other,) = (
            tmp_path.glob(f"{name}/results/long/runs/{method}-*") for name in ("killed", "unkilled")
        )
        assert (run / "network.safetensors").read_bytes() == (
            other / "network.safetensors"
        ).read_bytes()
        rows, unkilled = (rows_of(path) for path in (run, other))
        kept = as_text(before[method])
        assert kept[-1]["member"] == str(member)
        assert len(kept) - all_epochs // 2 * member >= epochs
        assert rows[: len(kept)] == kept  # with their seconds: they were not trained again
        assert [without_seconds(row) for row in rows] == [without_seconds(row) for row in unkilled]
        assert len(rows) == all_epochs
        assert not (run / "checkpoint.safetensors").exists()
        assert "checkpoint.safetensors" not in json.loads((run / "run.json").read_text())["files"]
    scores = [
        (tmp_path / name / "results/long/scores.csv").read_bytes()
        for name in ("killed", "unkilled")
    ]
    assert scores[0] == scores[1]


def history(run: Path) -> list[dict[str, Any]]:
    """Return the epochs that a run's checkpoint says were done."""
    state = Checkpoints(RunFolder(run), 0.0).load()
    return state["history"] if state else []


def as_text(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return rows as a file of them is read."""
    found = []
    for row in rows:
        found.append({name: str(value) for name, value in row.items()})
    return found


def rows_of(run: Path) -> list[dict[str, str]]:
    """Return the rows of a run's training.csv."""
    return list(csv.DictReader((run / "training.csv").read_text().splitlines()))


def without_seconds(row: dict[str, str]) -> dict[str, str]:
    """Return a row of training.csv without what depends on the machine's mood."""
    return {name: value for name, value in row.items() if name != "seconds"}


def test_killed_between_a_checkpoint_and_its_record(
    bench: Callable[..., Any], killing_code: str, tmp_path: Path
) -> None:
    """A checkpoint that the record does not name yet is used, and is not damaged."""
    (tmp_path / "long.toml").write_text(
        SUITE.replace('"dropout", "mnf[flows=1]", "ensemble[members=2]"', "")
    )

    first = bench(tmp_path, *COMMAND, code=killing_code)
    assert first.returncode == 1, first.stderr
    (run,) = tmp_path.glob("results/long/runs/map-*")
    kept = history(run)
    named = json.loads((run / "run.json").read_text())["files"]["checkpoint.safetensors"]
    assert named["bytes"] != (run / "checkpoint.safetensors").stat().st_size

    again = bench(tmp_path, *COMMAND)
    assert (again.returncode, again.stderr) == (0, "")
    rows = rows_of(run)
    assert rows[: len(kept)] == as_text(kept)
    assert len(kept) == 3
