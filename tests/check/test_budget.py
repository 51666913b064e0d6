"""Which runs were made with their suite's own settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench_uq.check.budget import own_budget
from bench_uq.check.results import SuiteResults

MakeResults = Callable[..., SuiteResults]
OWN = {"network": "lenet", "epochs": 60, "draws": 50}
PLAIN = "bench-uq run --suite quick"


@pytest.mark.parametrize(
    ("settings", "command", "own"),
    [
        (OWN, PLAIN, True),
        (OWN, f"{PLAIN} --set mnf.flows=4 --device cpu", True),
        ({**OWN, "epochs": 3}, PLAIN, False),
        ({**OWN, "draws": 3}, PLAIN, False),
        (OWN, f"{PLAIN} --set train_images=100", False),
        (OWN, f"{PLAIN} --set 'epochs=60'", False),
        (OWN, f"{PLAIN} --network wide.py", False),
        ({}, "", False),
    ],
)
def test_own_budget(
    make_results: MakeResults, settings: dict[str, object], command: str, own: bool
) -> None:
    """By epochs, draws, and the settings and the network that the command asked for."""
    side = make_results(
        {"nll": [0.1]}, runs={("map", 0): {"settings": settings, "command": command}}
    )
    assert own_budget("quick", side) == (set(side.runs) if own else set())


def test_a_suite_that_is_not_there_promises_nothing(
    make_results: MakeResults, tmp_path: Path
) -> None:
    """A name without a file has no settings; a file has its own."""
    side = make_results({"nll": [0.1]}, runs={("map", 0): {"settings": OWN, "command": PLAIN}})
    assert own_budget("theirs", side) == set()
    (tmp_path / "short.toml").write_text('extends = "quick"\n[settings]\nepochs = 3\n')
    assert own_budget(str(tmp_path / "short.toml"), side) == set()
    (tmp_path / "same.toml").write_text('extends = "quick"\n')
    assert own_budget(str(tmp_path / "same.toml"), side) == set(side.runs)
