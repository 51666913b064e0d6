"""Warnings about whole results: runs that are not alike, copies of runs, and runs of old code."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pandas as pd

from bench_uq.score.likeness import COPY
from bench_uq.score.reproduce import commands
from bench_uq.score.results import Results, read_runs
from bench_uq.score.stale import plugin_files, stale
from bench_uq.store import say

#: Scores and curves that no warning needs.
NOTHING = pd.DataFrame(columns=["dataset"])
#: A run as commands take it: its command, method, dataset and seed.
Due = tuple[str, str, str, int]


def tell(folder: Path, plugins: Collection[Path] = ()) -> None:
    """Print the warnings about a suite's folder on stderr."""
    changed = stale(folder, plugins)
    say_of(Results(folder.name, read_runs(folder), NOTHING, NOTHING, folder=folder, stale=changed))


def say_of(results: Results) -> None:
    """Print the warnings about results on stderr."""
    # Unlike a report, which may be published, the terminal names the folder of the results.
    where = results.folder.parent if results.folder else Path("results")
    option = "" if where == Path("results") else f" --results {shlex.quote(str(where))}"
    lines = banner(results, option)
    files = plugin_files(results.folder) if lines and results.folder else []
    for line in lines:
        say(f"warning: {located(line, files)}")


def located(command: str, files: Iterable[Path]) -> str:
    """A command with the user's plugins where they lie: stored commands have only their names."""
    for file in files:
        if file.is_file():
            near = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
            found = f"--plugin {shlex.quote(str(near))}"
            command = command.replace(f"--plugin {shlex.quote(file.name)}", found)
    return command


def banner(results: Results, option: str = "") -> list[str]:
    """All warnings, each with its dataset, and the commands that make runs alike or new.

    ``option`` is added to the commands.
    """
    lines = []
    for dataset in results.datasets:
        lines += [f"{dataset}: {sentence}" for sentence in warnings(results.on(dataset))]
    for command in remedies(results):
        lines.append(f"to mend this: {command}{option}")
    return lines


def warnings(results: Results) -> list[str]:
    """Sentences on the runs on one dataset that are not averaged, not compared, or stale."""
    (dataset,) = results.datasets
    sentences = []
    out = results.runs[results.runs["left_out"] != ""]
    for (method, reason), own in out.groupby(["method", "left_out"], observed=True, sort=False):
        sentences.append(f"Left out of all means: {method}, {_seeds(own['seed'])} ({reason}).")

    apart = results.apart(dataset)
    if apart:
        named = ", ".join(method for method in results.methods if method in apart)
        facts = "; ".join(map(str, results.differences[dataset]))
        sentences.append(f"Not alike, so not compared: {named} ({facts}).")

    unknown = results.runs[_unrecorded(results.runs)]["method"]
    if len(unknown):
        named = ", ".join(method for method in results.methods if method in set(unknown))
        sentences.append(
            "Run by an earlier version, which did not record its code, so that changes since then "
            f"are not known: {named}."
        )

    changed: dict[tuple[str, ...], dict[str, None]] = {}
    for (place, method, _), parts in results.stale.items():
        if place == dataset and method in results.methods:
            changed.setdefault(parts, {})[method] = None
    for parts, methods in changed.items():
        which = ", ".join(parts)
        sentences.append(f"Stale, run before a change of the {which}: {', '.join(methods)}.")
    return sentences


def _unrecorded(runs: pd.DataFrame) -> pd.Series:
    """Whether each finished run is of a version that kept no facts of the code."""
    own = runs["command"].str.startswith("bench-uq run") & (runs["status"] == "ok")
    return own & (runs["facts"].fillna("") == "")


def remedies(results: Results) -> list[str]:
    """As few commands as possible that make all runs alike, and of the present code."""
    due = list[Due]()
    for dataset in results.datasets:
        runs = results.runs[results.runs["dataset"] == dataset]
        kept = runs[runs["left_out"] == ""]
        apart = results.apart(dataset)
        mixed = runs[(runs["left_out"] != "") & ~runs["left_out"].str.startswith(COPY)]

        # What lies on the disk now may be neither of two versions: all are run, the stored ones
        # in no time.
        if apart:
            alike = kept[~kept["method"].isin(apart)]
            due += _under(_command(alike if len(alike) else kept), runs)
        else:
            for method in mixed["method"].unique():
                own = kept[kept["method"] == method]
                due += _under(_command(own), runs[runs["method"] == method])

        due += _stale(results, runs)
    return commands(dict.fromkeys(due))


def _under(command: str, runs: pd.DataFrame) -> Iterator[Due]:
    """Runs under one command; those of models trained elsewhere have none."""
    own = runs[runs["command"] != ""]
    for key in own[["method", "dataset", "seed"]].itertuples(index=False, name=None):
        yield (command, *key)


def _stale(results: Results, runs: pd.DataFrame) -> Iterator[Due]:
    """Stale runs under their own commands."""
    columns = runs[["command", "method", "dataset", "seed"]]
    for command, method, dataset, seed in columns.itertuples(index=False, name=None):
        if (dataset, method, seed) in results.stale:
            yield command, method, dataset, seed


def _command(runs: pd.DataFrame) -> str:
    """The command of most runs; of equal counts the first of the alphabet."""
    known = runs.loc[runs["command"] != "", "command"]
    return str(known.mode().iloc[0]) if len(known) else ""


def _seeds(seeds: Iterable[int]) -> str:
    """Seeds in words, those in a row by the first and the last."""
    numbers = sorted(seeds)
    if len(numbers) == 1:
        return f"seed {numbers[0]}"
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"seeds {numbers[0]}–{numbers[-1]}"
    return f"seeds {', '.join(map(str, numbers))}"
