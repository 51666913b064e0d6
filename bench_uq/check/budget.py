"""Whether runs were made with their suite's own settings: what is promised of a suite is promised of those alone."""

from __future__ import annotations

import dataclasses
import itertools
import shlex
from pathlib import Path

from bench_uq.api.names import plain_name
from bench_uq.check.results import Run, RunKey, SuiteResults
from bench_uq.plan.suite import Suite, read_suite, shipped
from bench_uq.train.settings import Settings


def own_budget(suite: str, results: SuiteResults) -> set[RunKey]:
    """Return the runs made with the settings of a suite, by its name or file; none of a suite that is not there."""
    if suite not in shipped() and not Path(suite).is_file():
        return set()
    chosen = read_suite(suite)
    return {key for key, run in results.runs.items() if _as_in(chosen, plain_name(key[1]), run)}


def _as_in(suite: Suite, method: str, run: Run) -> bool:
    """Tell whether a run was made with the settings of its suite, and no other was asked for."""
    settings = suite.settings_of(method)
    if (run.settings.get("epochs"), run.settings.get("draws")) != (settings.epochs, settings.draws):
        return False
    words = shlex.split(run.command)
    keys = {
        word.partition("=")[0].strip()
        for before, word in itertools.pairwise(words)
        if before == "--set"
    }
    return "--network" not in words and keys.isdisjoint(
        field.name for field in dataclasses.fields(Settings)
    )
