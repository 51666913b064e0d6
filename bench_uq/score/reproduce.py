"""The commands that reproduce runs, and a report."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from bench_uq.score.results import Results


def commands(runs: Iterable[tuple[str, str, str, int]]) -> list[str]:
    """As few commands as possible for runs of (command, method, dataset, seed), in their order.

    Runs without a command were trained elsewhere, or by versions that did not record it: no
    command reproduces them. Files in a command are named by their last part: where they lie is
    not published.
    """
    asked: dict[tuple[str, str], dict[str, set[int]]] = {}
    for command, method, dataset, seed in runs:
        if command:
            asked.setdefault((command, method), {}).setdefault(dataset, set()).add(seed)

    # Methods that share their datasets and seeds share a command, and so do datasets.
    shared: dict[tuple[str, tuple[str, ...], tuple[int, ...]], list[str]] = {}
    for command, method in sorted(asked, key=lambda key: key[0]):
        by_seeds: dict[tuple[int, ...], list[str]] = {}
        for dataset, numbers in sorted(asked[command, method].items()):
            by_seeds.setdefault(tuple(sorted(numbers)), []).append(dataset)
        for seeds, datasets in by_seeds.items():
            shared.setdefault((command, tuple(datasets), seeds), []).append(method)

    lines = []
    for (command, names, seeds), methods in shared.items():
        options = f"--datasets {listed(names)} --seeds {listed(seeds)}"
        lines.append(f"{command} --methods {listed(methods)} {options}")
    return lines


def listed(values: Iterable[object]) -> str:
    """A comma list, quoted if a shell needs it."""
    return shlex.quote(",".join(map(str, values)))


def run_commands(results: Results) -> list[str]:
    """The commands that reproduce the runs, the methods in the order of the report."""
    columns = ["command", "method", "dataset", "seed"]
    runs = results.runs[columns].itertuples(index=False, name=None)
    return commands(sorted(runs, key=lambda run: results.methods.index(run[1])))


def report_command(results: Results) -> str:
    """The command that reproduces the report of these results, narrowed as they are."""
    parts = ["bench-uq", "report", "--suite", results.suite]
    for name, values in results.chosen.items():
        if values:
            parts += [f"--{name}", ",".join(values)]
    if results.title:
        parts += ["--title", results.title]
    return shlex.join(parts)
