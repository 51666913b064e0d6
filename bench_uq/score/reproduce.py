"""The commands that make runs again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable


def commands(runs: Iterable[tuple[str, str, str, int]]) -> list[str]:
    """Return as few commands as there can be for runs of (command, method, dataset, seed), methods in their order.

    Runs without a command were trained elsewhere, or by versions that did not record it: none makes them. Files that a
    command names are named by their last part: where they lie is not published.
    """
    asked: dict[tuple[str, str], dict[str, set[int]]] = {}
    for command, method, dataset, seed in runs:
        if command:
            asked.setdefault((command, method), {}).setdefault(dataset, set()).add(seed)
    # Methods that share their datasets and seeds share a command, and so do datasets that share their seeds.
    shared: dict[tuple[str, tuple[str, ...], tuple[int, ...]], list[str]] = {}
    for command, method in sorted(asked, key=lambda key: key[0]):
        by_seeds: dict[tuple[int, ...], list[str]] = {}
        for dataset, numbers in sorted(asked[command, method].items()):
            by_seeds.setdefault(tuple(sorted(numbers)), []).append(dataset)
        for seeds, datasets in by_seeds.items():
            shared.setdefault((command, tuple(datasets), seeds), []).append(method)
    return [
        f"{command} --methods {listed(methods)} --datasets {listed(names)} --seeds {listed(seeds)}"
        for (command, names, seeds), methods in shared.items()
    ]


def listed(values: Iterable[object]) -> str:
    """Return a comma list, quoted where a shell needs it."""
    return shlex.quote(",".join(map(str, values)))
