"""Fixtures for all tests."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from filelock import FileLock

torch.set_num_threads(
    1
)  # tests run side by side: threads of their own only get in each other's way

# Processes that tests kill, or whose disk is full, would leave half of a compiled file.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

REPO = Path(__file__).resolve().parents[1]
UNPACK = REPO.parent / "shared" / "data" / "unpack.py"


def pytest_configure(config: pytest.Config) -> None:
    """Compile the code once, and not in each of the hundreds of processes that tests start."""
    if not hasattr(config, "workerinput"):
        for folder in ("bench_uq", "methods", "datasets", "conditions", "metrics"):
            compileall.compile_dir(REPO / folder, quiet=1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure on CI, where every tool and all data must be there."""
    del item
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped on CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def absent() -> Callable[[str], NoReturn]:
    """Function to call without data: it skips, but fails on CI, where they must be there."""
    return pytest.fail if os.environ.get("CI") == "true" else pytest.skip


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of real data: BENCH_UQ_DATA, else .data/, filled once by all workers."""
    if chosen := os.environ.get("BENCH_UQ_DATA"):
        return Path(chosen)
    folder = REPO / ".data"
    if UNPACK.is_file():
        folder.mkdir(exist_ok=True)
        with FileLock(folder / "lock"):
            subprocess.run(
                [sys.executable, UNPACK, folder], check=True
            )  # leaves alone what is there
    return folder


@pytest.fixture(scope="session")
def data_root(data_folder: Path, absent: Callable[[str], NoReturn]) -> Path:
    """Return the folder that holds real data."""
    return (
        data_folder
        if data_folder.is_dir()
        else absent(f"no data in {data_folder}; set BENCH_UQ_DATA")
    )
