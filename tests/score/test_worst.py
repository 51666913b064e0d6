"""The worst case over attacks: image by image, by hand and through the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench_uq import read_scores
from bench_uq.api.condition import Search
from bench_uq.api.task import Predictions
from bench_uq.cli import main
from bench_uq.score.worst import over_attacks, worst
from bench_uq.store import Evaluation
from bench_uq.store.about import About, ConditionFacts

SUITE = """
extends = "quick"
methods = ["map"]
seeds = [0]
[settings]
epochs = 3
attack_images = 60
[conditions]
fgsm = [0, 0.1]
"pgd[steps=3]" = [0, 0.1]
"fgsm[norm=l2]" = [0.1]
"""


def attacked(*probs: list[float]) -> Predictions:
    """Return predictions of images whose label is 0."""
    mixture = np.array(probs)
    own = {"probs": mixture, "draw_entropy": np.arange(len(probs)) + mixture[0, 0]}
    own |= {"mutual_information": mixture[:, 0] / 2}
    own |= {"targets": np.zeros(len(probs), int), "log_density": np.log(mixture[:, 0])}
    return Predictions(own)


def test_worst_by_hand() -> None:
    """A fooled image counts, though its label is more probable; else the least probable label."""
    one = attacked([0.4, 0.3, 0.3], [0.9, 0.1, 0.0], [0.2, 0.8, 0.0])
    two = attacked([0.45, 0.5, 0.05], [0.8, 0.2, 0.0], [0.1, 0.9, 0.0])
    found = worst([one, two])
    assert found["probs"][:, 0].tolist() == [0.45, 0.8, 0.1]
    assert found["draw_entropy"].tolist() == [0.45, 1.45, 2.45]
    assert found["mutual_information"].tolist() == [0.225, 0.4, 0.05]

    # An older attack stored none: the worst case has none either, not that of the others.
    older = Predictions({name: two[name] for name in two.arrays if name != "mutual_information"})
    assert "mutual_information" not in worst([one, older])


def test_levels_that_print_alike_are_one() -> None:
    """0.15 of one attack and 0.1 + 0.05 of another have a worst case, at the level of the first."""
    images = attacked([0.4, 0.3, 0.3], [0.9, 0.1, 0.0])
    asked = [
        Evaluation("fgsm", "condition", 0.1 + 0.05, "a"),
        Evaluation("pgd", "condition", 0.15, "b"),
    ]
    facts = ConditionFacts(search=Search("linf"))
    ((place, _),) = over_attacks(
        asked, {"a": images, "b": images}, About({}, {"fgsm": facts, "pgd": facts})
    )
    assert (place.condition, place.level) == ("worst", 0.1 + 0.05)
    assert place.level != 0.15


def test_worst_is_a_condition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of ``worst`` are where two attacks share a norm and level, and are no better than
    theirs.
    """
    (tmp_path / "small.toml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", "--suite", "small.toml", "--device", "cpu"])
    assert done.exit_code == 0, done.output

    scores = read_scores(tmp_path / "results" / "small")
    accuracy = scores[scores["metric"] == "accuracy"].set_index(["condition", "level"])["value"]
    assert list(accuracy.loc["worst"].index) == [0.1]
    assert "worst[norm=l2]" not in accuracy.index
    both = accuracy["fgsm", 0.1], accuracy["pgd[steps=3]", 0.1]
    assert accuracy["worst", 0.1] <= min(both)
    assert (
        CliRunner().invoke(main, ["report", "--suite", "small", "--formats", "markdown"]).exit_code
        == 0
    )
