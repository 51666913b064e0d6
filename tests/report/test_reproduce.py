"""The commands that make the runs of a report again."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench_uq.score.reproduce import report_command, run_commands
from bench_uq.score.results import Results, read, select


def test_runs_that_were_asked_for_together_share_a_command(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """All methods on all datasets and seeds are one command, whose names a shell takes as they are."""
    names = ("mnf", "map", "mean-field[prior=log-uniform]")
    shown = {"datasets": ("mnist", "digits"), "unseen": (), "attacks": ()}
    (command,) = run_commands(read(make_results(tmp_path / "quick", names, (1, 0), **shown)))
    assert shlex.split(command) == [
        *("bench-uq", "run", "--suite", "quick", "--methods"),
        *("map,mnf,mean-field[prior=log-uniform]", "--datasets", "digits,mnist", "--seeds", "0,1"),
    ]


def test_other_seeds_and_other_settings_are_other_commands(hand_made: Callable[..., Path]) -> None:
    """Every run is made by exactly one command, and what was trained elsewhere by none."""
    asked = [("map", 0), ("map", 1), ("mnf", 0), ("sgld", 0), ("theirs", 0)]
    commands = [
        *["bench-uq run --suite quick"] * 3,
        "bench-uq run --suite quick --set epochs=9",
        "",
    ]
    runs = [
        {"method": method, "seed": seed, "command": command}
        for (method, seed), command in zip(asked, commands, strict=True)
    ]

    assert run_commands(read(hand_made(runs=runs))) == [
        "bench-uq run --suite quick --methods map --datasets digits --seeds 0,1",
        "bench-uq run --suite quick --methods mnf --datasets digits --seeds 0",
        "bench-uq run --suite quick --set epochs=9 --methods sgld --datasets digits --seeds 0",
    ]


def test_a_narrowed_report_is_made_again_as_narrow(told: Results) -> None:
    """Methods, datasets, metrics and title stand in the command, quoted where a shell needs it."""
    assert report_command(told) == "bench-uq report --suite story"
    some = select(told, methods=["map", "mnf"], datasets=["digits"], metrics=["nll"])
    assert shlex.split(report_command(replace(some, title="It's mine"))) == [
        *("bench-uq", "report", "--suite", "story", "--methods", "map,mnf", "--datasets", "digits"),
        *("--metrics", "nll", "--title", "It's mine"),
    ]
