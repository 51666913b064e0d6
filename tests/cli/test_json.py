"""Commands that print results also print JSON alone, and score-predictions prints its scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import log_loss

from bench_uq.cli import main
from bench_uq.plan.suite import read_suite
from bench_uq.train.settings import MEANINGS, Settings


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: str, code: int = 0) -> str:
    """Run a command in this process and return what it prints."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


PROBS, LABELS = np.array([0.2, 0.9, 0.6, 0.4]), np.array([0, 1, 0, 1])
NAMED = ("--name", "mine", "--dataset", "two")


def test_score_predictions_prints_two_classes() -> None:
    """Probabilities of class 1, in an npz or a CSV file, are scored and printed, or given as JSON."""
    np.savez("two.npz", probs=PROBS, labels=LABELS)
    lines = ["label,prob", *(f"{y},{p}" for y, p in zip(LABELS, PROBS, strict=True))]
    Path("two.csv").write_text("\n".join(lines))
    nll = log_loss(LABELS, PROBS)
    for file in ("two.npz", "two.csv"):
        output = invoke("score-predictions", file, *NAMED, "--binary")
        assert f"NLL ↓           {nll:.3f}" in output, output
        found = json.loads(invoke("score-predictions", file, *NAMED, "--binary", "--json"))
        values = {one["metric"]: one["value"] for one in found["scores"]}
        assert values["nll"] == pytest.approx(nll)
        assert values["accuracy"] == 0.5
        assert (found["method"], found["dataset"], found["seed"]) == ("mine", "two", 0)

    said = invoke("score-predictions", "two.npz", *NAMED, code=2)
    assert "--binary if these are the probabilities of class 1 of two" in said
    np.savez("both.npz", probs=np.stack([1 - PROBS, PROBS], 1), labels=LABELS)
    assert "column prob" in invoke("score-predictions", "both.npz", *NAMED, "--binary", code=2)


def test_check_compare_and_report_as_json() -> None:
    """Verdicts, differences, and the files and sentences of a report are JSON without other text."""
    np.savez("two.npz", probs=PROBS, labels=LABELS)
    invoke("score-predictions", "two.npz", *NAMED, "--binary")
    invoke("baseline", "--out", "b.csv")
    assert "verdict" in json.loads(invoke("check", "--baseline", "b.csv", "--json"))
    assert json.loads(invoke("compare", "results/quick", "b.csv", "--json", "--all"))["title"]
    found = json.loads(invoke("report", "--formats", "markdown", "--json"))
    assert "reports/quick/summary.md" in found["files"]
    assert found["verdict"]


def test_lists_as_json() -> None:
    """A list is an object by name."""
    assert json.loads(invoke("list", "methods", "map", "--json")).keys() == {"map"}


def test_the_machine_as_json() -> None:
    """The findings of doctor by section, and whether bench-uq can run."""
    found = json.loads(invoke("doctor", "--json"))
    assert found["can_run"] is True
    names = [one["name"] for one in found["sections"]["packages"]]
    assert {"torch", "numpy"} <= set(names)


def test_settings_are_listed_with_default_and_meaning() -> None:
    """Every setting has a line with its default and its meaning."""
    assert MEANINGS.keys() == Settings.__dataclass_fields__.keys()
    lines = invoke("list", "settings").splitlines()
    assert [line.split()[:2] for line in lines] == [
        [name, str(getattr(Settings, name))] for name in MEANINGS
    ]
    assert all(meaning in line for meaning, line in zip(MEANINGS.values(), lines, strict=True))


def test_a_suite_is_listed_in_full() -> None:
    """A suite asked for by name shows its methods, seeds, settings and every condition."""
    suite, text = read_suite("quick"), invoke("list", "suites", "quick")
    assert ", ".join(suite.methods) in text
    assert f"epochs = {suite.settings.epochs}" in text
    for condition, levels in suite.conditions.items():
        assert f"condition   {condition}  {', '.join(map(str, levels))}".rstrip() in text
    assert "methods  " not in invoke("list", "suites")
