"""What is said of wins, ties and what the seeds cannot tell, by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench_uq.report.conclusions import conclusions
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results

ByHand = Callable[..., Results]
GOOD, CLOSE, BAD = [0.90, 0.91, 0.92, 0.93], [0.91, 0.90, 0.92, 0.92], [0.50, 0.51, 0.53, 0.53]
TWO = {("map", "accuracy"): GOOD, ("mnf", "accuracy"): CLOSE}
TIE = "Accuracy: map is best (0.915), not significantly better than mnf; "


def test_wins_ties_and_losses(by_hand: ByHand) -> None:
    """The best with its mean, what is tied with it, by how much the loser is behind, and power."""
    said, *_, how, _ = conclusions(analyse(by_hand({**TWO, ("sgld", "accuracy"): BAD})))
    power = "smallest difference found with 80 % power: 0.0"
    assert said.startswith(f"{TIE}significantly better than sgld by 0.4; {power}")
    assert "at least 4 shared seeds" in how
    assert "Holm over all pairs of a score, 5 %" in how
    said, *_ = conclusions(analyse(by_hand(TWO)))
    assert said.startswith(TIE + power)


def test_more_methods_make_fewer_claims(by_hand: ByHand) -> None:
    """A difference that is significant between two is not among six, and the sentence says why."""
    ahead, behind = [0.93, 0.95, 0.94, 0.96], [0.90, 0.94, 0.92, 0.93]
    two = {("map", "accuracy"): ahead, ("mnf", "accuracy"): behind}
    others = {(f"m{number}", "accuracy"): behind for number in range(4)}
    for scores, told in (
        (two, "map is best (0.945); significantly better than mnf by 0.022"),
        (two | others, "map is best (0.945), not significantly better than any other method"),
    ):
        said, *_, how, _ = conclusions(analyse(by_hand(scores)))
        assert said.startswith(f"Accuracy: {told}")
        assert "the more methods are compared, the larger a difference must be to be claimed" in how


def test_many_ties_are_counted(by_hand: ByHand) -> None:
    """Of six methods that tie the best stands alone; with a loser the five others are counted."""
    close = {(f"m{number}", "accuracy"): CLOSE for number in range(5)}
    (first, *_) = conclusions(analyse(by_hand({("map", "accuracy"): GOOD, **close})))
    assert first.startswith(
        "Accuracy: map is best (0.915), not significantly better than any other method."
    )
    scores = {("map", "accuracy"): GOOD, **close, ("sgld", "accuracy"): BAD}
    (first, *_) = conclusions(analyse(by_hand(scores)))
    assert first.startswith(
        "Accuracy: map is best (0.915), not significantly better than 5 others; "
        "significantly better than sgld by 0.4; "
    )


def test_prices_of_many_are_told_by_the_extremes(by_hand: ByHand) -> None:
    """Nine methods: the cheapest and the dearest; eight: each."""
    for count in (8, 9):
        names = [f"m{number}" for number in range(count)]
        runs = []
        for number, name in enumerate(names):
            runs += [
                {"method": name, "seed": seed, "train_seconds": number + 1} for seed in range(4)
            ]
        scores = {(name, "accuracy"): GOOD for name in names}
        said = conclusions(analyse(by_hand(scores, runs=runs)))
        (cost,) = [sentence for sentence in said if sentence.startswith("Cost")]
        if count == 9:
            assert cost == "Cost: training a seed took from m0 1 s to m8 9 s."
        else:
            assert "m3 4 s" in cost


def test_other_budgets_mark_methods_and_check_claims(by_hand: ByHand) -> None:
    """A method that half the epochs leave far behind is compared, and named with its change."""
    scores = {**TWO, ("sgld", "accuracy"): BAD}
    results = by_hand(scores)
    unknown = "Not known is whether these claims hold at another budget"
    assert any(sentence.startswith(unknown) for sentence in conclusions(analyse(results)))

    half = by_hand({**TWO, ("sgld", "accuracy"): [0.40, 0.41, 0.42, 0.43]})
    said = conclusions(analyse(replace(results, others={0.5: half})))
    assert "significantly better than sgld by 0.4" in said[0]
    change = "sgld (half the epochs: Accuracy -0.1 ± 0.0025 (4 seeds))"
    assert said[1] == f"Compared at this budget, but not converged: {change}."
    assert said[2] == "At half the epochs 1 of 1 claims have the same sign."


def test_the_price_is_told(by_hand: ByHand) -> None:
    """Seconds of training for a seed, for each method that was trained here."""
    runs = [{"method": "map", "seed": seed, "train_seconds": 2 + seed} for seed in range(4)]
    runs += [{"method": "mnf", "seed": seed, "train_seconds": ""} for seed in range(4)]
    said = conclusions(analyse(by_hand(TWO, runs=runs)))
    assert "Cost: training a seed took map 3.5 s." in said


def test_attacks_are_told_at_their_strongest(by_hand: ByHand) -> None:
    """The sentence names the condition and its level, and one on the clean data is before it."""
    scores = {
        **TWO,
        ("map", "accuracy", "fgsm", 0.1): GOOD,
        ("mnf", "accuracy", "fgsm", 0.1): CLOSE,
    }
    scores |= {("map", "accuracy", "fgsm", 0.3): GOOD, ("mnf", "accuracy", "fgsm", 0.3): BAD}
    one, other, *_ = conclusions(analyse(by_hand(scores)))
    assert one.startswith(TIE)
    best = "Accuracy, fgsm at ε = 0.3: map is best (0.915); significantly better than mnf by 0.4"
    assert other.startswith(best)


def test_missing_seeds_make_no_claim_larger(by_hand: ByHand) -> None:
    """Whose score lacks a finished seed is in no claim; the fewest shared seeds are told."""
    *said, how, _ = conclusions(analyse(by_hand({**TWO, ("sgld", "accuracy"): [0.99] * 3 + [""]})))
    said = said[0]
    assert said.startswith(f"{TIE}not compared with sgld;")
    assert "at least 4 shared seeds" in how
    fewer = {("map", "nll"): [0.1, 0.2], ("mnf", "nll"): [0.2, 0.4]}
    *_, how, _ = conclusions(analyse(by_hand({**TWO, **fewer})))
    assert "at least 2 shared seeds" in how


def test_below_chance_nobody_is_best(by_hand: ByHand) -> None:
    """Where both are right less often than chance, the sentence is of the level before."""
    scores = {
        ("map", "accuracy", "fgsm", 0.1): GOOD,
        ("mnf", "accuracy", "fgsm", 0.1): BAD,
        ("map", "accuracy", "fgsm", 0.5): [0.09, 0.08, 0.08, 0.07],
        ("mnf", "accuracy", "fgsm", 0.5): [0.01, 0.02, 0.02, 0.01],
    }
    ten_classes = {("map", 0, "entropy_ecdf"): {0.0: 1.0, 2.302585: 1.0}}
    said, *_ = conclusions(analyse(by_hand(scores, ten_classes)))
    assert said.startswith("Accuracy, fgsm at ε = 0.1: map is best (0.915)")


def test_kinds_of_one_thing_are_told_as_their_mean(by_hand: ByHand) -> None:
    """Two sentences tell of a family, however many kinds it has."""
    scores = {}
    for condition in ("corruption", "corruption[kind=snow]", "corruption[kind=spatter]"):
        for metric in ("accuracy", "accuracy_kept_80", "nll"):
            for level in (1.0, 2.0):
                place = (metric, condition, level)
                scores["map", *place] = [0.2 + seed / 100 + seed / 90 for seed in range(4)]
                scores["mnf", *place] = [0.8 + seed / 100 for seed in range(4)]
    told = conclusions(analyse(by_hand(scores)))
    assert [sentence.partition(" best")[0] for sentence in told[:2]] == [
        "Accuracy, corruption (mean of 3 kinds): mnf is",
        "Accuracy (80 % kept), corruption (mean of 3 kinds): mnf is",
    ]


def test_means_over_kinds_and_levels_are_checked_at_other_budgets(by_hand: ByHand) -> None:
    """Of the mean over two kinds and two levels, and of one kind at its levels, a claim turns too."""

    def scores(lead: float) -> dict[tuple[object, ...], list[float]]:
        found: dict[tuple[object, ...], list[float]] = {}
        for condition in ("corruption", "corruption[kind=snow]"):
            for level in (1.0, 2.0):
                found["map", "accuracy", condition, level] = [0.5 + seed / 90 for seed in range(4)]
                own = [0.5 + lead + seed / 100 for seed in range(4)]
                found["mnf", "accuracy", condition, level] = own
        return found

    whole, half = by_hand(scores(0.4)), by_hand(scores(-0.4))
    analysis = analyse(replace(whole, others={0.5: half}))
    for part in (analysis, analysis.over_levels, analysis.over_kinds):
        claims = [
            claim for (_, _, metric), claim in part.comparisons.items() if metric == "accuracy"
        ]
        assert claims
        assert all(claim.turned == {"map": 0.5} and not claim.worse for claim in claims)
