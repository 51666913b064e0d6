"""kill -9 at random moments, with two runners on one folder: nothing is lost, doubled or mixed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

SUITE = """
methods = ["map", "dropout", "mean-field"]
datasets = ["digits"]
seeds = [0, 1, 2, 3]

[settings]
epochs = 12
draws = 4
test_images = 100
attack_images = 50

[conditions]
fgsm = [0.1]

[conditions.digits]
letters = []
"""
COMMAND = ("run", "--suite", "small.toml", "--device", "cpu", "--checkpoint-every", "0")
RUNS = 12
MOMENTS = 30
DERIVED = ("scores.csv", "curves.csv.gz", "groups.csv.gz", "examples.npz")


@pytest.fixture
def uninterrupted(bench: Callable[..., Any], tmp_path: Path) -> Path:
    """Return the suite's folder of results where nobody was killed."""
    folder = started(tmp_path / "uninterrupted")
    done = bench(folder, *COMMAND)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "results" / "small"


def started(folder: Path) -> Path:
    """Return a new folder to run in."""
    folder.mkdir()
    (folder / "small.toml").write_text(SUITE)
    return folder


def test_killed_at_random_moments(
    bench: Callable[..., Any],
    start: Callable[..., subprocess.Popen[str]],
    left_in: Callable[[Path], list[psutil.Process]],
    wait_until: Callable[[Callable[[], Any]], Any],
    uninterrupted: Path,
    tmp_path: Path,
) -> None:
    """Whoever is killed, in the end each run is there once, whole, with the same scores."""
    chance = random.Random(9)
    folders = [started(tmp_path / "0")]
    runners: list[subprocess.Popen[str]] = []
    try:
        for _ in range(MOMENTS):
            folder = folders[-1]
            if any(
                runner.poll() == 0 for runner in runners
            ):  # the suite is finished: the next folder's turn
                for runner in runners:
                    runner.wait(300)
                folder = started(tmp_path / str(len(folders)))
                folders.append(folder)
                runners = []
            runners = [runner for runner in runners if runner.poll() is None]
            while len(runners) < 2:
                with (folder / "stderr").open("a") as said:
                    runners.append(start(folder, *COMMAND, stdout=subprocess.DEVNULL, stderr=said))
            running = tuple(runners)

            def underway(running=running):
                return any(map(at_work, running)) or any(
                    runner.poll() is not None for runner in running
                )

            wait_until(underway)
            wait_for_chance(chance.uniform(0, 2), runners)
            kill(chance.choice(runners), chance)
        for runner in runners:
            runner.wait(300)
    finally:
        for runner in runners:
            end(runner)
    for folder in folders:
        assert bench(folder, *COMMAND).returncode == 0
        wait_until(lambda: not left_in(folder))  # noqa: B023
        told = (folder / "stderr").read_text()
        assert "Traceback" not in told
        assert "damaged" not in told
        assert_whole(folder / "results" / "small", uninterrupted)


def at_work(runner: subprocess.Popen[str]) -> bool:
    """Whether a runner has started a run, which has a session of its own."""
    try:
        below = psutil.Process(runner.pid).children(recursive=True)
        return any(os.getsid(process.pid) != runner.pid for process in below)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False


def wait_for_chance(seconds: float, runners: list[subprocess.Popen[str]]) -> None:
    """Wait for so long, or until a runner has ended."""
    try:
        runners[0].wait(seconds)
    except subprocess.TimeoutExpired:
        return


def kill(runner: subprocess.Popen[str], chance: random.Random) -> None:
    """Kill a runner with its group, the runner alone, or one of its children."""
    whom = chance.choice(["group", "runner", "child"])
    try:
        if whom == "group":
            os.killpg(runner.pid, signal.SIGKILL)
        elif whom == "child" and (below := psutil.Process(runner.pid).children(recursive=True)):
            chance.choice(below).kill()
        else:
            runner.kill()
    except (ProcessLookupError, psutil.NoSuchProcess):  # it has just ended
        pass


def end(runner: subprocess.Popen[str]) -> None:
    """Kill a runner that a failed test leaves; its runs end with it."""
    if runner.poll() is None:
        os.killpg(runner.pid, signal.SIGKILL)
        runner.wait()


def assert_whole(results: Path, uninterrupted: Path) -> None:
    """Check that each planned run is there once and whole, and that scores are the same."""
    planned = [
        entry["run"] for entry in json.loads((results / "plan.json").read_text())["runs"].values()
    ]
    assert len(set(planned)) == RUNS
    assert sorted(path.name for path in (results / "runs").iterdir()) == sorted(
        [".locks", *planned]
    )

    for run in (results / "runs").glob("[a-z]*"):
        record = json.loads((run / "run.json").read_text())
        assert record["status"] == "ok"
        hashes = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in run.glob("[!.]*")
        }
        named = {name: entry["sha256"] for name, entry in record["files"].items()}
        assert {name: hashes[name] for name in hashes.keys() - {"run.json", "scored.json"}} == named
        assert all(path.name.startswith(".scored.json.") for path in run.glob(".*"))

    assert {path.name for path in results.glob(".*")} == {".lock"}
    for name in DERIVED:
        assert (results / name).read_bytes() == (uninterrupted / name).read_bytes(), name
