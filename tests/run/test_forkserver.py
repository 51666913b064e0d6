"""The process that runs are forked from imports what the chosen plugins import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench_uq.plan.plugins import PACKAGES
from bench_uq.plan.sources import imported_by_installed

#: Prints which of two modules a process has that is forked from the one of a suite.
SCRIPT = """
import sys
from bench_uq.run import forkserver

# Those that every run needs take seconds.
forkserver.PRELOADED = ()
forkserver.start_early({suite!r}, (), {datasets!r})

asked = ("sklearn.datasets", "matplotlib.textpath")
tell = f"import sys; print([name in sys.modules for name in {{asked}}])"
process = forkserver.context().Process(target=exec, args=(tell,))
process.start()
process.join()
"""

CASES = {
    "letters alone": ("quick", ("toy",), "[False, True]"),
    "other data than the suite's": ("mnist", ("digits",), "[True, False]"),
}


@pytest.mark.parametrize(("suite", "datasets", "has"), CASES.values(), ids=CASES)
def test_only_what_a_suite_needs_is_imported(suite, datasets, has):
    script = SCRIPT.format(suite=suite, datasets=datasets)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (run.stdout.strip(), run.stderr) == (has, "")


def test_imports_inside_functions_count():
    found = imported_by_installed("digits", PACKAGES["dataset"])

    assert {"numpy", "sklearn.datasets", "sklearn.model_selection"} <= set(found)


def test_no_plugin_imports_nothing():
    assert imported_by_installed("no plugin/here", PACKAGES["dataset"]) == ()
    assert imported_by_installed("nothing", PACKAGES["dataset"]) == ()
