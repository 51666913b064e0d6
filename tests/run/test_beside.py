"""Runs are scored in a process beside those that train."""

from __future__ import annotations

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
