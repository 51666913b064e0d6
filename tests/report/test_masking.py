"""Signs of masked gradients: by hand, and on real networks with planted ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench_uq.cli import main
from bench_uq.report import markdown
from bench_uq.report.page.masking import masking_section
from bench_uq.score import gradient_masking as masking
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read

PLUGIN = Path(__file__).parents[1] / "plugins" / "masking.py"
Levels = Mapping[float, float]


@pytest.fixture
def attacked(by_hand: Callable[..., Results]) -> Callable[..., Results]:
    """Return a function that gives results of one method on 1,000 images.

    They are accuracies by condition and level, alike for all seeds.
    """

    def make(
        accuracies: Mapping[str, Levels], unmoved: float | None = None, seeds: int = 3
    ) -> Results:
        scores: dict[tuple[Any, ...], list[float]] = {}
        for condition, by_level in accuracies.items():
            for level, accuracy in by_level.items():
                scores["map", "accuracy", condition, level] = [accuracy] * seeds
                scores["map", "examples", condition, level] = [1000.0] * seeds
                if unmoved is not None:
                    scores["map", "unmoved", condition, level] = [unmoved] * seeds
        ten_classes = {math.log(10): 1.0}
        return by_hand(
            scores, {("map", seed, "entropy_ecdf"): ten_classes for seed in range(seeds)}
        )

    return make


def flagged(results: Results) -> list[masking.Verdict]:
    """Return what is flagged on one dataset."""
    return [one for one in analyse(results).masking if one.status == "flagged"]


def status(results: Results) -> dict[str, str]:
    """Return how each check ended."""
    return {verdict.check: verdict.status for verdict in analyse(results).masking}


HONEST = {
    "fgsm": {0.0: 0.98, 0.1: 0.6, 0.2: 0.3, 0.5: 0.2},
    "pgd": {0.0: 0.98, 0.1: 0.5, 0.2: 0.1, 0.5: 0.0},
    "pgd[draws=1]": {0.0: 0.98, 0.1: 0.51, 0.2: 0.12, 0.5: 0.0},
    "autoattack": {0.0: 0.98, 0.1: 0.49, 0.2: 0.1, 0.5: 0.0},
    "transfer": {0.0: 0.98, 0.1: 0.8, 0.2: 0.6, 0.5: 0.3},
}


def test_an_honest_method_passes(attacked: Callable[..., Results]) -> None:
    """Attacks that order as they must are flagged in no check, and every check is made."""
    assert set(status(attacked(HONEST, unmoved=0.0)).values()) == {"ok"}


RISING = {0.0: 0.98, 0.1: 0.2, 0.2: 0.3, 0.5: 0.0}
STUCK = {0.0: 0.98, 0.1: 0.5, 0.2: 0.28, 0.5: 0.2}


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("falls to chance", dict.fromkeys(("pgd", "pgd[draws=1]", "autoattack"), RISING)),
        ("falls to chance", dict.fromkeys(("pgd", "pgd[draws=1]", "autoattack"), STUCK)),
        ("PGD as strong as FGSM", {"fgsm": {0.0: 0.98, 0.1: 0.4, 0.2: 0.3, 0.5: 0.2}}),
        (
            "white box as strong as transfer",
            {"transfer": {0.0: 0.98, 0.1: 0.3, 0.2: 0.6, 0.5: 0.3}},
        ),
        (
            "more draws as strong as fewer",
            {"pgd[draws=1]": {0.0: 0.98, 0.1: 0.4, 0.2: 0.12, 0.5: 0.0}},
        ),
        ("as strong as a longer search", {"autoattack": {0.1: 0.4, 0.2: 0.1}}),
    ],
)
def test_each_sign_is_flagged(
    attacked: Callable[..., Results], check: str, change: Mapping[str, Levels]
) -> None:
    """What is out of order is flagged by its own check alone, in words with both numbers."""
    results = attacked(HONEST | change, unmoved=0.0)
    (verdict,) = flagged(results)
    assert (verdict.method, verdict.check) == ("map", check)
    assert "ε = 0." in verdict.words
    assert check in masking.MEANING


@pytest.mark.parametrize(("unmoved", "expected"), [(0.1, "flagged"), (0.01, "ok")])
def test_zero_gradients(attacked: Callable[..., Results], unmoved: float, expected: str) -> None:
    """A tenth of the images without a gradient is too many; a hundredth may be chance."""
    assert status(attacked(HONEST, unmoved=unmoved))["gradients are not zero"] == expected


@pytest.mark.parametrize(("seeds", "expected"), [(1, "ok"), (9, "flagged")])
def test_noise_is_not_flagged(attacked: Callable[..., Results], seeds: int, expected: str) -> None:
    """0.04 is below three standard errors of 1,000 images of one seed, and no chance over nine."""
    results = attacked({"fgsm": {0.1: 0.46}, "pgd": {0.1: 0.5}}, seeds=seeds)
    assert status(results)["PGD as strong as FGSM"] == expected


def test_a_slow_rise_is_flagged(attacked: Callable[..., Results]) -> None:
    """Steps each within noise add up: every level is held against the lowest before it."""
    rising = {0.05 * step: 0.1 + 0.03 * step for step in range(1, 9)}
    assert status(attacked({"pgd": rising}, seeds=1))["falls to chance"] == "flagged"


STRONG = {0.1: 0.0, 0.2: 0.0, 0.5: 0.0}
OTHERS = ("fgsm[norm=l2]", "fgsm[draws=1,label=predicted]", "transfer[norm=l2]")


@pytest.mark.parametrize(
    "shown",
    [
        # FGSM may rise again at large steps, and is judged by PGD alone.
        HONEST | {"fgsm": {0.0: 0.98, 0.1: 0.55, 0.2: 0.5, 0.5: 0.6}},
        # Attacks in another norm, on the own label or on the entropy are no measure of PGD.
        HONEST | dict.fromkeys((*OTHERS, "fgsm[objective=entropy]"), STRONG),
        # Far beyond grey one step with more draws may find less than with one, and PGD less.
        {"fgsm": {0.8: 0.6}, "fgsm[draws=1]": {0.8: 0.2}, "pgd": {0.8: 0.7}},
    ],
)
def test_what_proves_nothing_is_not_flagged(
    attacked: Callable[..., Results], shown: Mapping[str, Levels]
) -> None:
    assert flagged(attacked(shown, unmoved=0.0)) == []


def test_what_is_not_there_is_not_judged(
    attacked: Callable[..., Results], by_hand: Callable[..., Results]
) -> None:
    """With FGSM alone nothing is compared, nor is a method that was never attacked."""
    found = analyse(attacked({"fgsm": HONEST["fgsm"]})).masking
    assert {verdict.status for verdict in found} == {"not judged"}
    assert all(verdict.words.startswith("needs ") for verdict in found)

    scores = {("map", "accuracy"): 0.98, ("forest", "accuracy"): 0.9}
    places = product(HONEST, (0.1, 0.2))
    scores |= {("map", "accuracy", name, at): 0.9 - at for name, at in places}
    found = analyse(by_hand(scores)).masking
    assert {one.status for one in found if one.method == "forest"} == {"not judged"}


def test_an_attack_that_changes_nothing_is_not_judged(attacked: Callable[..., Results]) -> None:
    """Small epsilons may meet a strong method or be a lost attack: that is said, not passed."""
    found = analyse(attacked({"pgd": {0.0: 0.98, 0.01: 0.98, 0.02: 0.975}})).masking
    (one,) = (one for one in found if one.check == "falls to chance")
    words = "accuracy does not fall up to ε = 0.02: only ε = 0.5 would tell"
    assert (one.status, one.words) == ("not judged", words)


def test_attacks_are_compared_on_the_seeds_that_both_have(
    by_hand: Callable[..., Results],
) -> None:
    """One strong seed under PGD beside three under FGSM is no sign: there PGD leaves less."""
    scores = {("map", "accuracy", "fgsm", 0.1): [0.7, 0.3, 0.3]}
    scores["map", "accuracy", "pgd", 0.1] = [0.6]
    scores |= {("map", "examples", name, 0.1): [1000.0] * 3 for name in ("fgsm", "pgd")}
    results = by_hand(scores)
    assert status(results)["PGD as strong as FGSM"] == "ok"
    assert flagged(results) == []


SUITE = """
extends = "quick"
methods = ["map", "dropout", "masking", "masking[how=turn]"]
seeds = [0]
[settings]
epochs = 15
learning_rate = 0
schedule = "constant"
draws = 10
attack_images = 200
[conditions]
fgsm = [0, 0.1, 0.2]
pgd = [0, 0.1, 0.2, 0.5]
"pgd[draws=1]" = [0.1, 0.2]
"pgd[steps=40]" = [0.1]
transfer = [0.1, 0.2]
"""


def test_planted_masks_are_flagged_and_plain_networks_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounded inputs and a turned gradient are flagged; map and dropout are in no check."""
    (tmp_path / "small.toml").write_text(SUITE)
    monkeypatch.chdir(tmp_path)
    command = ["run", "--suite", "small.toml", "--plugin", str(PLUGIN), "--device", "cpu"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    results = read(tmp_path / "results" / "small").on("digits")
    verdicts = analyse(results).masking
    found: dict[str, set[str]] = {method: set() for method in results.methods}
    for verdict in verdicts:
        if verdict.status == "flagged":
            found[verdict.method].add(verdict.check)

    assert found["map"] == found["dropout"] == set()
    assert {
        "gradients are not zero",
        "white box as strong as transfer",
        "falls to chance",
    } <= found["masking"]
    assert {"white box as strong as transfer", "falls to chance"} <= found["masking[how=turn]"]
    judged = {verdict.check for verdict in verdicts if verdict.status != "not judged"}
    assert judged == set(masking.CHECKS)


def test_page_and_summary_say_what_a_flag_means(attacked: Callable[..., Results]) -> None:
    """Both show the flag with its numbers and its meaning, or that there is no sign."""
    analysis = analyse(attacked(HONEST | {"transfer": {0.1: 0.3, 0.2: 0.6}}, unmoved=0.0))
    section, text = masking_section(analysis), markdown.summary(analysis, [])
    assert "⚠ pgd is weaker than transfer at ε = 0.1 (accuracy 0.50 against 0.30)" in section
    assert "⚠ map: pgd is weaker than transfer at ε = 0.1" in text
    meaning = masking.MEANING["white box as strong as transfer"]
    assert meaning in section
    assert meaning in text
    assert masking.MEANING["falls to chance"] not in section

    analysis = analyse(attacked(HONEST, unmoved=0.0))
    told = "6 of 6 checks possible, no sign of masked gradients"
    assert told in masking_section(analysis)
    assert told in markdown.summary(analysis, [])


def test_page_and_summary_say_what_was_not_asked(attacked: Callable[..., Results]) -> None:
    """Checks that were not made stand beneath, with their needs; a shift is no attack."""
    few = analyse(attacked({"fgsm": HONEST["fgsm"]}, unmoved=0.0))
    text = markdown.summary(few, [])
    assert "- 1 of 6 checks possible, too few to rule out masked gradients." in text
    assert text.count("- Not possible: ") == 5
    none = markdown.summary(analyse(attacked({"fgsm": HONEST["fgsm"]})), [])
    assert "- 0 of 6 checks possible, nothing is known of masked gradients." in none
    section = masking_section(few)
    assert "digits: 1 of 6 checks possible, too few" in section
    assert section.count("the same one transferred at the same levels") == 1
    assert section.count('<th scope="col">') == 2  # the method, and the check that was made
    assert "<td>✓</td>" in section

    analysis = analyse(attacked({"rotate": {10.0: 0.9, 20.0: 0.95}}))
    assert analysis.masking == []
    assert masking_section(analysis) == ""
    assert "Can the attacks be trusted?" not in markdown.summary(analysis, [])
