"""SIGINT and SIGTERM: how the command ends, what it leaves behind, and that it goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

SUITE = """
methods = ["map", "dropout"]
datasets = ["digits"]
seeds = [0]

[settings]
draws = 2
test_images = 50

[settings.map]
epochs = 1

[settings.dropout]
epochs = 40
"""
COMMAND = ("run", "--suite", "mixed.toml", "--device", "cpu", "--jobs", "2")
COMMAND = (*COMMAND, "--checkpoint-every", "0")
DERIVED = ("scores.csv", "curves.csv.gz", "groups.csv.gz", "examples.npz")

WaitUntil = Callable[[Callable[[], Any]], Any]


@pytest.fixture(scope="module")
def uninterrupted(bench: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the suite's folder of results where no signal came."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    (folder / "mixed.toml").write_text(SUITE)
    assert bench(folder, *COMMAND).returncode == 0
    return folder / "results" / "mixed"


def record(folder: Path, method: str) -> dict[str, Any]:
    """Return the record of a method's run, empty where there is none."""
    found = next(iter(folder.glob(f"results/*/runs/{method}-*/run.json")), None)
    return json.loads(found.read_text()) if found else {}


def at_work(folder: Path) -> bool:
    """Return whether map has finished and dropout is being trained."""
    training = any(folder.glob("results/*/runs/dropout-*/checkpoint.safetensors"))
    return record(folder, "map").get("status") == "ok" and training


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_in_order(
    number: signal.Signals,
    code: int,
    bench: Callable[..., Any],
    start: Callable[..., subprocess.Popen[str]],
    left_in: Callable[[Path], list[psutil.Process]],
    wait_until: WaitUntil,
    uninterrupted: Path,
    tmp_path: Path,
) -> None:
    """130 or 143 and one line; no process is left, and the same command continues."""
    (tmp_path / "mixed.toml").write_text(SUITE)
    runner = start(tmp_path, *COMMAND)
    try:
        wait_until(lambda: at_work(tmp_path))
        assert runner.stdout
        first = runner.stdout.readline()
        below = psutil.Process(runner.pid).children(recursive=True)
        assert len(below) >= 3  # the server of forks, its tracker, the run
        runner.send_signal(number)
        out, err = runner.communicate(timeout=300)
    finally:
        runner.kill()

    assert runner.returncode == code
    assert err == "interrupted; finished runs are kept, the same command goes on\n"
    assert (first.split()[1], out) == ("ok", "")
    wait_until(lambda: not any(map(lives, below)) and not left_in(tmp_path))
    assert record(tmp_path, "map")["status"] == "ok"
    assert record(tmp_path, "dropout")["status"] == "interrupted"

    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("results/*/runs/map-*/*")}
    again = bench(tmp_path, *COMMAND)
    assert (again.returncode, again.stderr) == (0, "")
    assert [line.split()[1] for line in again.stdout.splitlines()[:2]] == ["stored", "ok"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for name in DERIVED:
        found = tmp_path / "results" / "mixed" / name
        assert found.read_bytes() == (uninterrupted / name).read_bytes(), name


def lives(process: psutil.Process) -> bool:
    """Whether a process is running and not a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


#: A method that ends in its own time, and says so: when told to stop it takes two more seconds.
SLOW_TO_STOP = '''
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from bench_uq.api import Method, network

@dataclass(frozen=True)
class Stubborn(Method):
    """A network whose training does not end when it is told to."""

    reference = "nowhere"

    def build(self, task):
        return network(task)

    def loss(self, net, inputs, targets, size, progress):
        stop = signal.signal(signal.SIGTERM, lambda *place: (leave(), stop(*place)))
        Path("begun").touch()
        while True:
            time.sleep(0.05)


def leave():
    Path("told").touch()
    time.sleep(2)
    Path("ended").touch()
'''


@pytest.mark.parametrize("signals", [1, 2])
def test_a_second_sigint_does_not_wait(
    signals: int,
    start: Callable[..., subprocess.Popen[str]],
    left_in: Callable[[Path], list[psutil.Process]],
    wait_until: WaitUntil,
    tmp_path: Path,
) -> None:
    """After one SIGINT a run may end in its own time, after the second it is killed."""
    (tmp_path / "stubborn.py").write_text(SLOW_TO_STOP)
    command = ("run", "--methods", "stubborn", "--seeds", "0", "--plugin", "stubborn.py")
    runner = start(tmp_path, *command, "--device", "cpu")

    try:
        wait_until((tmp_path / "begun").exists)
        runner.send_signal(signal.SIGINT)
        wait_until((tmp_path / "told").exists)
        if signals == 2:
            runner.send_signal(signal.SIGINT)
        assert runner.wait(300) == 130
    finally:
        runner.kill()
        runner.communicate()

    wait_until(lambda: not left_in(tmp_path))
    assert (tmp_path / "ended").exists() == (signals == 1)
    found = record(tmp_path, "stubborn")
    assert found["status"] == "interrupted"
    assert found["reason"] in ("told to stop", "the process ended before the run did")


#: The command, with a signal to itself in the midst of the start of its Nth process.
INTERRUPTED_START = """
import os
import signal
import sys
from multiprocessing import forkserver

connect, count = forkserver.connect_to_new_process, 0


def interrupted(files):
    global count
    connected = connect(files)
    count += 1
    if count == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGTERM)
    return connected


forkserver.connect_to_new_process = interrupted
from bench_uq.cli import main

main(sys.argv[2:])
"""


@pytest.mark.parametrize("start", [1, 2])
def test_a_signal_while_a_process_starts(
    start: int,
    left_in: Callable[[Path], list[psutil.Process]],
    wait_until: WaitUntil,
    tmp_path: Path,
) -> None:
    """The process of a run and that of the scores are started whole, and then stopped in order."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED_START)
    command = ("run", "--methods", "map", "--seeds", "0", "--device", "cpu", "--set", "epochs=1")
    words = [sys.executable, "interrupted.py", str(start), *command]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    assert done.returncode == 143
    assert done.stderr == "interrupted; finished runs are kept, the same command goes on\n"
    wait_until(lambda: not left_in(tmp_path))
    # The first one may be stopped before it writes a record.
    expected = {1: (None, "interrupted"), 2: ("ok",)}
    assert record(tmp_path, "map").get("status") in expected[start]
