"""Work in forked processes: the same results in the same order, and errors that arrive."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench_uq.report.processes import in_processes, may_fork

SCRIPT = """
import os, sys
from bench_uq.report import processes

processes.cores = lambda: 2
found = list(processes.in_processes(lambda number: (number, os.getpid()), 6))
print([number for number, _ in found], os.getpid() in {process for _, process in found})
try:
    list(processes.in_processes(lambda number: 1 // number, 3))
except ZeroDivisionError:
    print("refused")
print("torch" in sys.modules)
"""


def test_forked_results_in_order() -> None:
    """Without torch the work is done elsewhere, in order, and its error is raised here."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines() == ["[0, 1, 2, 3, 4, 5] False", "refused", "False"]


def test_a_process_with_torch_does_the_work_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's threads would be lost in a copy of this process, so that there is none."""
    pytest.importorskip("torch")
    assert not may_fork()
    # The package is a function of the same name to those who ask bench_uq for it.
    monkeypatch.setattr(sys.modules[in_processes.__module__], "cores", lambda: 2)
    seen = list[int]()
    assert list(in_processes(lambda number: seen.append(number) or number, 4)) == [0, 1, 2, 3]
    assert seen == [0, 1, 2, 3]
