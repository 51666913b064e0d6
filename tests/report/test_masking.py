"""Signs of masked gradients: by hand, and on real networks with planted ones."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench_uq.report import markdown
from bench_uq.report.page.masking import masking_section
from bench_uq.score import gradient_masking as masking
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read

PLUGIN = Path(__file__).parents[1] / "plugins" / "masking.py"
Levels = Mapping[float, float]


@pytest.fixture
def attacked(hand_made: Callable[..., Path]) -> Callable[..., Results]:
    """Return a function that makes results of one method from accuracies by condition and level, 1,000 images."""

    def make(
        accuracies: Mapping[str, Levels], unmoved: float | None = None, seeds: int = 3
    ) -> Results:
        scores: list[dict[str, Any]] = []
        for seed in range(seeds):
            place = {"method": "map", "seed": seed}
            for condition, by_level in accuracies.items():
                for level, accuracy in by_level.items():
                    here = place | {"condition": condition, "level": level}
                    scores += [here | {"metric": "accuracy", "value": accuracy}]
                    scores += [here | {"metric": "examples", "value": 1000}]
                    if unmoved is not None:
                        scores += [here | {"metric": "unmoved", "value": unmoved}]
        grid = [
            {"method": "map", "seed": seed, "curve": "entropy_ecdf", "x": math.log(10), "y": 1.0}
            for seed in range(seeds)
        ]
        return read(hand_made(scores=scores, curves=grid)).on("digits")

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
        ("falls to chance", {"pgd": RISING, "pgd[draws=1]": RISING}),
        ("falls to chance", {"pgd": STUCK, "pgd[draws=1]": STUCK}),
        ("PGD as strong as FGSM", {"fgsm": {0.0: 0.98, 0.1: 0.4, 0.2: 0.3, 0.5: 0.2}}),
        (
            "white box as strong as transfer",
            {"transfer": {0.0: 0.98, 0.1: 0.3, 0.2: 0.6, 0.5: 0.3}},
        ),
        (
            "more draws as strong as fewer",
            {"pgd[draws=1]": {0.0: 0.98, 0.1: 0.4, 0.2: 0.12, 0.5: 0.0}},
        ),
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


def test_zero_gradients_are_flagged(attacked: Callable[..., Results]) -> None:
    """A tenth of the images without a gradient is too many; a hundredth may be chance."""
    assert status(attacked(HONEST, unmoved=0.1))["gradients are not zero"] == "flagged"


def test_few_zero_gradients_are_not(attacked: Callable[..., Results]) -> None:
    assert status(attacked(HONEST, unmoved=0.01))["gradients are not zero"] == "ok"


def test_noise_is_not_flagged(attacked: Callable[..., Results]) -> None:
    """A difference that 1,000 images of one seed make by chance is none: 0.04 is below three standard errors."""
    change = {"fgsm": {0.1: 0.46}, "pgd": {0.1: 0.5}}
    assert status(attacked(change, seeds=1))["PGD as strong as FGSM"] == "ok"


def test_noise_of_many_seeds_is_smaller(attacked: Callable[..., Results]) -> None:
    """The same difference over nine seeds is no chance any more."""
    change = {"fgsm": {0.1: 0.46}, "pgd": {0.1: 0.5}}
    assert status(attacked(change, seeds=9))["PGD as strong as FGSM"] == "flagged"


def test_what_is_not_there_is_not_judged(attacked: Callable[..., Results]) -> None:
    """With FGSM alone nothing is compared; the words say what it takes."""
    found = analyse(attacked({"fgsm": HONEST["fgsm"]})).masking
    assert {verdict.status for verdict in found} == {"not judged"}
    assert all(verdict.words.startswith("needs ") for verdict in found)


def test_fgsm_may_rise_again(attacked: Callable[..., Results]) -> None:
    """That FGSM rises again at large steps is no sign: it is judged by PGD alone."""
    change = {"fgsm": {0.0: 0.98, 0.1: 0.55, 0.2: 0.5, 0.5: 0.6}}
    assert flagged(attacked(HONEST | change, unmoved=0.0)) == []


def test_other_forms_are_not_compared(attacked: Callable[..., Results]) -> None:
    """Attacks in another norm, on the own label or on the entropy are no measure of PGD in L-inf."""
    strong = {0.1: 0.0, 0.2: 0.0, 0.5: 0.0}
    others = (
        "fgsm[norm=l2]",
        "fgsm[draws=1,label=predicted]",
        "transfer[norm=l2]",
        "fgsm[objective=entropy]",
    )
    assert flagged(attacked(HONEST | dict.fromkeys(others, strong), unmoved=0.0)) == []


def test_without_attacks_there_is_nothing_to_say(attacked: Callable[..., Results]) -> None:
    """A shift is no attack."""
    assert analyse(attacked({"rotate": {10.0: 0.9, 20.0: 0.95}})).masking == []


SUITE = """
extends = "quick"
methods = ["map", "dropout", "masking", "masking[how=turn]"]
seeds = [0]
[settings]
epochs = 15
draws = 10
attack_images = 200
[conditions]
fgsm = [0, 0.1, 0.2]
pgd = [0, 0.1, 0.2, 0.5]
"pgd[draws=1]" = [0.1, 0.2]
transfer = [0.1, 0.2]
"""


def test_planted_masks_are_flagged_and_plain_networks_are_not(tmp_path: Path) -> None:
    """Rounded inputs and a turned gradient are flagged on real networks; map and dropout are in no check."""
    (tmp_path / "small.toml").write_text(SUITE)
    command = [
        sys.executable,
        "-m",
        "bench_uq",
        "run",
        "--suite",
        "small.toml",
        "--plugin",
        str(PLUGIN),
    ]
    done = subprocess.run(
        [*command, "--device", "cpu"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
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


def test_the_page_says_what_a_flag_means(attacked: Callable[..., Results]) -> None:
    """The page and the summary show the flag with its numbers and its meaning; names are escaped."""
    results = attacked(HONEST | {"transfer": {0.1: 0.3, 0.2: 0.6}}, unmoved=0.0)
    section = masking_section(analyse(results))
    assert "⚠ pgd is weaker than transfer at ε = 0.1 (accuracy 0.50 against 0.30)" in section
    assert masking.MEANING["white box as strong as transfer"] in section
    assert masking.MEANING["falls to chance"] not in section
    text = markdown.summary(analyse(results), [])
    assert "⚠ map: pgd is weaker than transfer at ε = 0.1" in text
    assert masking.MEANING["white box as strong as transfer"] in text


def test_nothing_flagged_is_said(attacked: Callable[..., Results]) -> None:
    """Where every check passes, the summary and the page say so."""
    results = attacked(HONEST, unmoved=0.0)
    assert "No sign of masked gradients" in masking_section(analyse(results))
    assert (
        "No sign of masked gradients (falls to chance, PGD as strong as FGSM"
        in markdown.summary(analyse(results), [])
    )


def test_what_it_would_take_is_said_once(attacked: Callable[..., Results]) -> None:
    """Checks that were not made are dashes, and what they need stands once beneath."""
    section = masking_section(analyse(attacked({"fgsm": HONEST["fgsm"]}, unmoved=0.0)))
    assert section.count("the same one transferred at the same levels") == 1
    assert "<td>–</td>" in section


def test_no_attack_no_section(attacked: Callable[..., Results]) -> None:
    """Without attacks nothing is asked."""
    results = attacked({"rotate": {10.0: 0.9}})
    assert masking_section(analyse(results)) == ""
    assert "Can the attacks be trusted?" not in markdown.summary(analyse(results), [])


def test_a_slow_rise_is_flagged(attacked: Callable[..., Results]) -> None:
    """Steps that are each within noise add up: every level is held against the lowest before it."""
    rising = {0.05 * step: 0.1 + 0.03 * step for step in range(1, 9)}
    assert status(attacked({"pgd": rising}, seeds=1))["falls to chance"] == "flagged"


def test_a_method_that_was_not_attacked_is_not_judged(hand_made: Callable[..., Path]) -> None:
    """Beside attacked methods, one with clean scores alone is judged by no check."""
    places = [("map", "clean", "", 0.98), ("forest", "clean", "", 0.9)]
    places += [("map", name, level, 0.9 - level) for name in HONEST for level in (0.1, 0.2)]
    keys = ("method", "condition", "level", "value")
    scores = [
        {**dict(zip(keys, row, strict=True)), "seed": 0, "metric": "accuracy"} for row in places
    ]
    found = analyse(read(hand_made(scores=scores)).on("digits")).masking
    assert {one.status for one in found if one.method == "forest"} == {"not judged"}


def test_an_attack_that_changes_nothing_is_not_judged(attacked: Callable[..., Results]) -> None:
    """Small epsilons that leave accuracy as it is may be a strong method or a lost attack: that is said, not passed."""
    (found,) = (
        one
        for one in analyse(attacked({"pgd": {0.0: 0.98, 0.01: 0.98, 0.02: 0.975}})).masking
        if one.check == "falls to chance"
    )
    assert (found.status, found.words) == (
        "not judged",
        "accuracy does not fall up to ε = 0.02: only ε = 0.5 would tell",
    )


def test_one_step_far_beyond_grey_is_not_judged(attacked: Callable[..., Results]) -> None:
    """At 0.8 FGSM with more draws may find less than with one, and PGD less than FGSM."""
    shown = {"fgsm": {0.8: 0.6}, "fgsm[draws=1]": {0.8: 0.2}, "pgd": {0.8: 0.7}}
    assert flagged(attacked(shown)) == []


def test_attacks_are_compared_on_the_seeds_that_both_have(hand_made: Callable[..., Path]) -> None:
    """One strong seed under PGD beside three under FGSM is no sign: of that seed PGD leaves less."""
    left = {("fgsm", 0): 0.7, ("fgsm", 1): 0.3, ("fgsm", 2): 0.3, ("pgd", 0): 0.6}
    place = {"method": "map", "level": 0.1}
    rows = [
        place | {"condition": condition, "seed": seed, "metric": metric, "value": value}
        for (condition, seed), accuracy in left.items()
        for metric, value in (("accuracy", accuracy), ("examples", 1000))
    ]
    results = read(hand_made(scores=rows)).on("digits")
    assert status(results)["PGD as strong as FGSM"] == "ok"
    assert flagged(results) == []
