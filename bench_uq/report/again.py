"""The commands that make the runs of a report again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from bench_uq.report.frames import Results


def commands(results: Results) -> list[str]:
    """Return as few commands as there can be, none for runs trained elsewhere or by versions that did not record them.

    Files that a command names are named by their last part: where they lie is not published.
    """
    asked: dict[tuple[str, str], dict[str, set[int]]] = {}
    columns = ["command", "method", "dataset", "seed"]
    for command, method, dataset, seed in results.runs[columns].itertuples(index=False, name=None):
        if command:
            asked.setdefault((command, method), {}).setdefault(dataset, set()).add(seed)
    # Methods that share their datasets and seeds share a command, and so do datasets that share their seeds.
    shared: dict[tuple[str, tuple[str, ...], tuple[int, ...]], list[str]] = {}
    for command, method in sorted(asked, key=lambda key: (key[0], results.methods.index(key[1]))):
        by_seeds: dict[tuple[int, ...], list[str]] = {}
        for dataset, numbers in sorted(asked[command, method].items()):
            by_seeds.setdefault(tuple(sorted(numbers)), []).append(dataset)
        for seeds, datasets in by_seeds.items():
            shared.setdefault((command, tuple(datasets), seeds), []).append(method)
    return [
        f"{command} --methods {_listed(methods)} --datasets {_listed(names)} --seeds {_listed(seeds)}"
        for (command, names, seeds), methods in shared.items()
    ]


def report_command(results: Results) -> str:
    """Return the command that makes the report of these results again, narrowed as they are."""
    options = [(f"--{name}", ",".join(values)) for name, values in results.chosen.items() if values]
    options += [("--title", results.title)] if results.title else []
    return shlex.join(["bench-uq", "report", "--suite", results.suite, *(part for pair in options for part in pair)])


def _listed(values: Iterable[object]) -> str:
    """Return a comma list, quoted where a shell needs it."""
    return shlex.quote(",".join(map(str, values)))
