"""The commands that make a report again, and its runs."""

from __future__ import annotations

import shlex

from bench_uq.score import reproduce as again
from bench_uq.score.results import Results


def commands(results: Results) -> list[str]:
    """Return as few commands as there can be, the methods in the order of the report."""
    columns = ["command", "method", "dataset", "seed"]
    runs = results.runs[columns].itertuples(index=False, name=None)
    return again.commands(sorted(runs, key=lambda run: results.methods.index(run[1])))


def report_command(results: Results) -> str:
    """Return the command that makes the report of these results again, narrowed as they are."""
    options = [(f"--{name}", ",".join(values)) for name, values in results.chosen.items() if values]
    options += [("--title", results.title)] if results.title else []
    return shlex.join(
        [
            "bench-uq",
            "report",
            "--suite",
            results.suite,
            *(part for pair in options for part in pair),
        ]
    )
