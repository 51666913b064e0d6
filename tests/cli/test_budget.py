"""Runs at other budgets, through the command line: what a report then says of claims and marks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import done, invoke

RUN = ("run", "--methods", "map,dropout", "--device", "cpu", "--set", "test_images=128")
FORMATS = ("report", "--formats", "markdown")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with trainings of eight epochs, and with half of them for two of three seeds."""
    folder = tmp_path_factory.mktemp("both")
    done(folder, *RUN, "--seeds", "0,1,2", "--set", "epochs=8")
    done(folder, *RUN, "--seeds", "0,1", "--set", "epochs=8", "--budget", "0.5")
    return folder


def test_half_the_epochs_lie_beside_the_whole(both: Path) -> None:
    """Each method trains for half of its epochs, in a folder of its own."""
    for suite, epochs in (("quick", 8), ("quick-x0.5", 4)):
        records = [
            json.loads(path.read_text()) for path in both.glob(f"results/{suite}/runs/*/run.json")
        ]
        assert {record["settings"]["epochs"] for record in records} == {epochs}
    assert (
        "quick-x0.5/scores.csv"
        in invoke(both, *RUN, "--seeds=0", "--budget=0.5", "--set=epochs=8").stdout
    )


def test_a_report_says_what_the_other_budget_changes(both: Path) -> None:
    """After four epochs plain networks are far from done: half the epochs show it, for two seeds."""
    said = done(both, *FORMATS)
    assert "half the epochs: NLL +" in said
    assert "(2 seeds)" in said
    text = (both / "reports/quick/summary.md").read_text()
    assert "| MC dropout † |" in text
    assert text.index("## Verdict") < text.index("## Digits")


def test_a_report_with_another_budget_is_another_report(both: Path) -> None:
    """Files of a report without the other budget do not stay beside one with it."""
    half = both / "results/quick-x0.5"
    apart = ("--reports", "apart")
    half.rename(both / "away")
    done(both, *FORMATS[:2], "markdown,latex", *apart)
    (both / "away").rename(half)
    done(both, *FORMATS, *apart)
    assert (both / "apart/quick/summary.md").is_file()
    assert not (both / "apart/quick/tables").exists() or not list(
        (both / "apart/quick/tables").iterdir()
    )


def test_runs_of_other_settings_are_no_other_budget(both: Path) -> None:
    """With other batches too, half the epochs say nothing of these runs."""
    other = (*RUN, "--seeds", "0,1", "--set", "epochs=8", "--set", "batch=32", "--results", "other")
    done(both, *other)
    done(both, *other[:-4], "--set", "batch=16", "--results", "other", "--budget", "0.5")
    said = done(both, *FORMATS, "--results", "other", "--reports", "other")
    assert "half the epochs" not in said


DIAGNOSED = """
from dataclasses import dataclass
from bench_uq.api import Method, network


@dataclass(frozen=True)
class Own(Method):
    reference = "none"

    def build(self, task):
        return network(task)

    def diagnosis(self, net):
        return f"R-hat 1.3 over {len(list(net.parameters()))} arrays"
"""


def test_a_method_states_its_own_diagnosis(tmp_path: Path) -> None:
    """It stands in the line of the run, in runs.csv and in the summary; others are not marked."""
    (tmp_path / "own.py").write_text(DIAGNOSED)
    few = ("--methods", "map,own", "--seeds", "0", "--set", "epochs=1", "--plugin", "own.py")
    lines = done(tmp_path, "run", "--device", "cpu", *few).splitlines()
    told = {line.partition("-")[0]: "(R-hat 1.3 over" in line for line in lines if "  ok" in line}
    assert told == {"map": False, "own": True}
    done(tmp_path, *FORMATS)
    text = (tmp_path / "reports/quick/summary.md").read_text()
    assert "| own † |" in text
    assert "| MAP |" in text
    own = "- digits, own, seed 0: R-hat 1.3 over "
    assert own in text.split("## Not converged, as the method says")[1]


@pytest.mark.parametrize("budget", ["0", "-1", "nan", "inf", "half"])
def test_a_budget_is_a_share_above_zero(budget: str, tmp_path: Path) -> None:
    """Anything else is refused in one line, and nothing is written."""
    result = invoke(tmp_path, *RUN, "--budget", budget)
    assert result.exit_code == 2
    assert "--budget" in result.stderr
    assert result.stderr.count("Error:") == 1
    assert list(tmp_path.iterdir()) == []
