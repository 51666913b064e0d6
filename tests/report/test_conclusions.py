"""What is said of wins, ties and what the seeds cannot tell, by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_uq.report.conclusions import conclusions
from bench_uq.score.analysis import analyse
from bench_uq.score.results import read


def scored(
    method: str, values: list[float], metric: str = "accuracy", **where: Any
) -> list[dict[str, Any]]:
    return [
        {"method": method, "seed": seed, "metric": metric, "value": value, **where}
        for seed, value in enumerate(values)
    ]


GOOD, CLOSE, BAD = [0.90, 0.91, 0.92, 0.93], [0.91, 0.90, 0.92, 0.92], [0.50, 0.51, 0.53, 0.53]


def test_win_tie_and_loss(hand_made: Callable[..., Path]) -> None:
    """The best with its mean, what is tied with it, and by how much the loser is behind."""
    folder = hand_made([*scored("map", GOOD), *scored("mnf", CLOSE), *scored("sgld", BAD)])
    said, how = conclusions(analyse(read(folder)))
    assert said.startswith(
        "Accuracy: map is best (0.915), not significantly better than mnf; significantly better "
        "than sgld by 0.4; smallest difference found with 80 % power: 0.0"
    )
    assert "at least 4 shared seeds" in how
    assert "Holm over all pairs of a score, 5 %" in how


def test_what_the_seeds_cannot_tell(hand_made: Callable[..., Path]) -> None:
    """Two close methods are no win for either, and the size of what would be seen is told."""
    said, _ = conclusions(analyse(read(hand_made([*scored("map", GOOD), *scored("mnf", CLOSE)]))))
    assert said.startswith(
        "Accuracy: map is best (0.915), not significantly better than mnf; smallest difference "
        "found with 80 % power: 0.0"
    )


def test_unconverged_methods_are_named_and_not_ordered(hand_made: Callable[..., Path]) -> None:
    """The unconverged one is in no sentence but the one that says so."""
    runs = [{"method": "sgld", "seed": 0, "converged": False}]
    scores = [*scored("map", GOOD), *scored("mnf", CLOSE), *scored("sgld", [0.99] * 4)]
    said, silent, _ = conclusions(analyse(read(hand_made(scores, runs=runs))))
    assert "sgld" not in said
    assert silent == "Not compared, because not converged: sgld."
    runs.append({"method": "mnf", "seed": 1, "converged": False})
    nothing, silent = conclusions(analyse(read(hand_made(scores, runs=runs, folder="two"))))
    assert nothing.startswith("No comparison is made: it needs two converged methods")
    assert silent == "Not compared, because not converged: mnf, sgld."


def test_attacks_are_told_at_their_strongest(hand_made: Callable[..., Path]) -> None:
    """The sentence names the condition and its level, and one on the clean data stands before it."""
    attacked = [
        row
        for level, values in ((0.1, (GOOD, CLOSE)), (0.3, (GOOD, BAD)))
        for method, own in zip(("map", "mnf"), values, strict=True)
        for row in scored(method, own, condition="fgsm", level=level)
    ]
    clean = [*scored("map", GOOD), *scored("mnf", CLOSE)]
    one, other, _ = conclusions(analyse(read(hand_made([*clean, *attacked]))))
    assert one.startswith("Accuracy: map is best (0.915), not significantly better than mnf")
    assert other.startswith(
        "Accuracy, fgsm at ε = 0.3: map is best (0.915); significantly better than mnf by 0.4"
    )


def test_a_hole_among_finished_seeds_is_compared_with_none(hand_made: Callable[..., Path]) -> None:
    """A method whose score is missing for a finished seed is in no claim: the others might flatter it."""
    scores = [*scored("map", GOOD), *scored("mnf", CLOSE), *scored("sgld", [0.99, 0.99, 0.99])]
    scores.append({"method": "sgld", "seed": 3, "metric": "accuracy", "value": ""})
    said, how = conclusions(analyse(read(hand_made(scores))))
    assert said.startswith(
        "Accuracy: map is best (0.915), not significantly better than mnf; not compared with sgld;"
    )
    assert "at least 4 shared seeds" in how


def test_the_fewest_shared_seeds_are_told(hand_made: Callable[..., Path]) -> None:
    """A score that fewer seeds share makes the sentence smaller, not larger."""
    nll = [*scored("map", [0.1, 0.2], "nll"), *scored("mnf", [0.2, 0.4], "nll")]
    *_, how = conclusions(
        analyse(read(hand_made([*scored("map", GOOD), *scored("mnf", CLOSE), *nll])))
    )
    assert "at least 2 shared seeds" in how


def test_below_chance_nobody_is_best(hand_made: Callable[..., Path]) -> None:
    """At the strongest level both are right less often than chance, so the sentence is of the level before."""
    scores = [
        row
        for level, values in (
            (0.1, (GOOD, BAD)),
            (0.5, ([0.09, 0.08, 0.08, 0.07], [0.01, 0.02, 0.02, 0.01])),
        )
        for method, own in zip(("map", "mnf"), values, strict=True)
        for row in scored(method, own, condition="fgsm", level=level)
    ]
    curves = [
        {"method": "map", "seed": 0, "curve": "entropy_ecdf", "x": x, "y": 1.0}
        for x in (0.0, 2.302585)
    ]
    said, _ = conclusions(analyse(read(hand_made(scores, curves))))
    assert said.startswith("Accuracy, fgsm at ε = 0.1: map is best (0.915)")


def test_kinds_of_one_thing_are_told_as_their_mean(hand_made: Callable[..., Path]) -> None:
    """Two sentences tell of a family, however many kinds it has."""
    rows = [
        {
            "method": method,
            "seed": seed,
            "condition": condition,
            "level": level,
            "metric": metric,
            "value": value,
        }
        for method, mean in (("map", 0.2), ("mnf", 0.8))
        for seed in range(4)
        for condition in ("corruption", "corruption[kind=snow]", "corruption[kind=spatter]")
        for level in (1.0, 2.0)
        for metric in ("accuracy", "accuracy_kept_80", "nll")
        for value in [mean + seed / 100 + (method == "map") * seed / 90]
    ]
    told = conclusions(analyse(read(hand_made(rows)).on("digits")))
    assert [sentence.partition(" best")[0] for sentence in told[:-1]] == [
        "Accuracy, corruption (mean of 3 kinds): mnf is",
        "Accuracy (80 % kept), corruption (mean of 3 kinds): mnf is",
    ]
