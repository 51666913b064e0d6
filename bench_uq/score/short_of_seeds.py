"""Methods of fewer seeds than others have on a dataset, and the commands that run the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench_uq.score.analysis import Analysis
from bench_uq.score.reproduce import commands


@dataclass(frozen=True)
class Short:
    """A method with the number of its finished seeds, and the seeds that it lacks."""

    method: str
    finished: int
    missing: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.finished} of {self.finished + len(self.missing)} seeds"


def short_of_seeds(analysis: Analysis) -> list[Short]:
    """The methods that lack seeds which the method of most seeds has finished on this dataset.

    Methods that are not alike, and those without any finished seed, are told of elsewhere.
    """
    runs = analysis.results.runs
    # A run that finished and was left out is there already: a warning says why.
    finished = runs[runs["status"] == "ok"]
    seeds = dict[str, set[int]]()
    for method, seed in zip(finished["method"], finished["seed"], strict=True):
        seeds.setdefault(str(method), set()).add(int(seed))
    most = max(seeds.values(), key=len, default=set[int]())
    apart = analysis.results.apart(analysis.dataset)

    found = list[Short]()
    for method in analysis.methods:
        missing = most - seeds.get(method, most)
        if missing and method not in apart:
            found.append(Short(method, len(seeds[method] & most), tuple(sorted(missing))))
    return found


def to_run(analysis: Analysis, short: Iterable[Short]) -> list[str]:
    """The commands that run the missing seeds of some methods; none of those trained elsewhere."""
    runs = analysis.results.runs
    due = list[tuple[str, str, str, int]]()
    for one in short:
        own = runs.loc[runs["method"] == one.method, "command"].dropna()
        # Of several commands that of most runs, of equal counts the first of the alphabet.
        known = own[own.str.startswith("bench-uq run")].mode()
        for made in known[:1]:
            due += [(str(made), one.method, analysis.dataset, seed) for seed in one.missing]
    return commands(due)
