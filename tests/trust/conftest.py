"""Shared by the tests of trust: a copy of the code, and the command line as processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.warm import Warm

REPO = Path(__file__).resolve().parents[2]

#: Seconds after which a process is taken to hang.
HANGS = 300

Start = Callable[..., subprocess.Popen[str]]
Bench = Callable[..., subprocess.CompletedProcess[str]]


def copied(folder: Path) -> Path:
    """Return a folder to import a copy of bench-uq from."""
    package = folder / "bench_uq"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPO / "bench_uq", package, ignore=ignored)
    for part in ("methods", "datasets", "conditions", "metrics"):
        shutil.copytree(REPO / part, package / part, ignore=ignored)
    return folder


@pytest.fixture(scope="session")
def own_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the code, because a file saved meanwhile would change the keys of runs."""
    return copied(tmp_path_factory.mktemp("code"))


@pytest.fixture
def other_code(tmp_path: Path) -> Path:
    """Return another copy of the code, to be changed."""
    return copied(tmp_path / "other_code")


@pytest.fixture(scope="session")
def start(own_code: Path) -> Start:
    """Return what starts bench-uq in a folder, as the head of a session of its own."""

    def start(
        folder: Path, *arguments: str, code: Path | str = own_code, **options: Any
    ) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bench_uq", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(code)}
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return Warm(
            command, cwd=folder, env=environment, text=True, start_new_session=True, **piped
        )

    return start


@pytest.fixture(scope="session")
def bench(start: Start) -> Bench:
    """Return what runs bench-uq in a folder to its end."""

    def bench(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        process = start(folder, *arguments, **options)
        try:
            out, err = process.communicate(timeout=HANGS)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return bench


#: Where it is in the path, the process that runs are forked from needs 40 s to import.
SLOW_IMPORTS = """import time
from multiprocessing import forkserver
main = forkserver.main
def slow(*arguments, **named):
    time.sleep(40)
    main(*arguments, **named)
forkserver.main = slow
"""


@pytest.fixture
def slow_imports(tmp_path: Path) -> Path:
    """Return a folder for PYTHONPATH that lets the process that runs are forked from import slowly."""
    folder = tmp_path / "slow_imports"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SLOW_IMPORTS)
    return folder


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], Any]], Any]:
    """Return what waits for something to be so, and returns it."""

    def wait_until(happens: Callable[[], Any]) -> Any:
        until = time.monotonic() + HANGS
        while not (found := happens()):
            if time.monotonic() > until:
                raise AssertionError("waited in vain")
            time.sleep(0.01)
        return found

    return wait_until


@pytest.fixture(scope="session")
def left_in() -> Callable[[Path], list[psutil.Process]]:
    """Return what lists the processes that work in a folder, whoever their parents are."""

    def left_in(folder: Path) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    return left_in


@pytest.fixture(scope="session")
def holder() -> Callable[[Path], int | None]:
    """Return what finds the process that is at work on a run: the one that holds its lock."""

    def holder(run: Path) -> int | None:
        lock = run.parent / ".locks" / f"{run.name}.lock"
        if not lock.exists():
            return None

        number = lock.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if (
                "FLOCK" in fields
                and "->" not in fields
                and fields[-3].rsplit(":", 1)[1] == str(number)
            ):
                return int(fields[-4])
        return None

    return holder


#: Kills the process of a run right after its third checkpoint has replaced the second.
KILL_AFTER_REPLACING = """
import os
import signal

from bench_uq import store
from bench_uq.run import checkpoints

replaced = 0


def add_file(self, name, content, **changes):
    global replaced
    replaced += name == checkpoints.NAME
    if replaced == 3:
        store.write_bytes(self.path / name, content)
        os.kill(os.getpid(), signal.SIGKILL)
    added(self, name, content, **changes)


added, store.RunFolder.add_file = store.RunFolder.add_file, add_file
"""


@pytest.fixture(scope="session")
def killing_code(own_code: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Import path of code that kills each run between a checkpoint and its record."""
    folder = tmp_path_factory.mktemp("killing")
    (folder / "sitecustomize.py").write_text(KILL_AFTER_REPLACING)
    return f"{folder}{os.pathsep}{own_code}"
