"""Runs are scored in a process beside those that train."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench_uq import store
from bench_uq.run.beside import beside

SLOW = """
import pathlib
import time

pathlib.Path({mark!r}).touch()
time.sleep(60)
"""


HALF = """
import os
import signal

from bench_uq.run import beside

signal.signal(signal.SIGTERM, beside.leave)


class Archive:
    def __init__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        self.writing = False

    def __del__(self):
        self.writing


Archive()
"""


def test_told_to_stop_while_it_opens_an_archive_it_is_silent() -> None:
    """An object that is half made when the signal comes ends without a traceback."""
    done = subprocess.run([sys.executable, "-c", HALF], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_told_to_stop_while_it_loads_plugins_it_is_silent(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A suite may end before the scorer has begun; what a user imports is not blamed for it."""
    folder, mark = tmp_path / "suite", tmp_path / "importing"
    store.merge_plan(folder, [], "nothing", None)
    file = tmp_path / "slow.py"
    file.write_text(SLOW.format(mark=str(mark)))

    with beside(folder, (file,)) as scored:
        scored("any")
        start = time.monotonic()
        while not mark.exists():
            assert time.monotonic() < start + 60
            time.sleep(0.05)
    assert capfd.readouterr().err == ""
