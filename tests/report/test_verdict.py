"""The verdict in a few sentences and the overview beside it, of results by hand."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench_uq
from bench_uq.plan.suite import read_suite
from bench_uq.report.conclusions import conclusions
from bench_uq.report.latex import fragments
from bench_uq.report.markdown import summary
from bench_uq.report.page import page
from bench_uq.report.page.cost_chart import _ticks, cost_chart
from bench_uq.report.page.leaderboard import leaderboard_data
from bench_uq.report.page.overview import overview_section
from bench_uq.report.tables.captions import caption
from bench_uq.report.tables.overview import by_conditions, by_questions, telling_level
from bench_uq.score import doubts, questions
from bench_uq.score import verdict as verdicts
from bench_uq.score.analysis import analyse
from bench_uq.score.front import front
from bench_uq.score.leading import by_rank, held
from bench_uq.score.markdown_text import escape
from bench_uq.score.published import Reference
from bench_uq.score.questions import answers
from bench_uq.score.results import Results, named
from bench_uq.score.rounding import plain
from bench_uq.score.statistics import detectable_difference
from bench_uq.score.verdict import verdict
from bench_uq.score.wording import PREDICTION, mean_of, paid_by

ByHand = Callable[..., Results]
REPO = Path(__file__).parents[2]
#: Studies of which the repository has scores and a summary.
STUDIES = sorted(
    path.parent.name
    for path in REPO.glob("results/*/scores.csv.gz")
    if (REPO / "reports" / path.parent.name).is_dir()
)
GOOD, CLOSE, BAD = [0.90, 0.91, 0.92, 0.93], [0.90, 0.89, 0.92, 0.91], [0.50, 0.51, 0.53, 0.53]
SCORES = {
    ("map", "accuracy"): CLOSE,
    ("mnf", "accuracy"): GOOD,
    ("sgld", "accuracy"): BAD,
    ("map", "nll"): [1.0, 1.1, 1.2, 1.1],
    ("mnf", "nll"): [0.1, 0.2, 0.1, 0.2],
    ("sgld", "nll"): [1.5, 1.3, 1.5, 1.5],
}
SECONDS = {"map": 2, "mnf": 20, "sgld": 200}


def runs(**changed: dict[str, str]) -> list[dict[str, object]]:
    """Four runs of each method with its seconds."""
    found = []
    for method, seconds in SECONDS.items():
        for seed in range(4):
            run = {"method": method, "seed": seed, "train_seconds": seconds}
            found.append(run | (changed.get(method, {}) if seed == 3 else {}))
    return found


def test_the_best_by_how_much_and_at_what_cost(by_hand: ByHand) -> None:
    """The leader with its scores, the losers with their distance, and the trade of cost."""
    said = verdict(analyse(by_hand(SCORES, runs=runs()))).sentences
    leading = (
        "mnf ranks best on average, and is best, or not significantly worse than the best, in all 2 "
        "scores (4 shared seeds"
    )
    assert said[0].startswith(leading)
    assert said[1] == (
        "Its scores (best of the others): accuracy 0.915 (map 0.905), NLL 0.15 (map 1.10)."
    )
    assert said[2] == (
        "Significantly worse than the best: in accuracy, sgld by 0.397; "
        "in NLL, map by 0.95 and sgld by 1.30."
    )
    assert said[3] == (
        "Cheaper: map trains a seed in 2 s instead of 20 s, "
        "and takes 1.6 times as long to predict, but is worse in NLL, alone of "
        "these scores."
    )


def test_a_cheaper_equal_is_named(by_hand: ByHand) -> None:
    """Of methods that are not significantly different, the cheapest is recommended."""
    both = {key: value for key, value in SCORES.items() if key[1] == "accuracy"}
    costly = {"map": 20, "mnf": 2, "sgld": 200}
    paid = list[dict[str, object]]()
    for method, seconds in costly.items():
        paid += [{"method": method, "seed": seed, "train_seconds": seconds} for seed in range(4)]
    said = verdict(
        analyse(by_hand(both | {("map", "accuracy"): GOOD, ("mnf", "accuracy"): CLOSE}, runs=paid))
    ).sentences
    assert said[0].startswith("map ranks best")
    assert said[-2:] == (
        "mnf is not significantly worse than the best in these scores either.",
        "The cheapest of these, mnf, trains a seed in 2 s instead of 20 s, and predicts 1.6 times "
        "as fast.",
    )


def test_the_leader_is_no_method_that_is_last_elsewhere(by_hand: ByHand) -> None:
    """Where nothing tells methods apart, the best mean rank leads, not the most first places."""
    places = {
        "accuracy": ("map", "mnf", "sgld"),
        "nll": ("map", "mnf", "sgld"),
        "ece": ("mnf", "sgld", "map"),
        "aurc": ("sgld", "mnf", "map"),
    }
    scores = {}
    for metric, order in places.items():
        for place, name in enumerate(order):
            worse = -0.001 * place if metric == "accuracy" else 0.001 * place
            noise = [0.3, 0.4, 0.5, 0.6] if name == "map" else [0.6, 0.4, 0.3, 0.5]
            scores[name, metric] = [value + worse for value in noise]

    said = verdict(analyse(by_hand(scores))).sentences
    assert said[0].startswith("mnf ranks best on average, and is best, or not significantly worse")
    assert " in all 4 scores" in said[0]


def test_a_noisy_method_does_not_lead(by_hand: ByHand) -> None:
    """Not to be told from the best for its spread is no merit: the last in all scores leads not."""
    better = [0.90, 0.91, 0.92, 0.91]
    scores = {}
    for metric, order in {
        "nll": ("mnf", "map"),
        "ece": ("mnf", "map"),
        "aurc": ("map", "mnf"),
    }.items():
        for place, name in enumerate(order):
            # Differences that are all one number would tell nothing.
            noise = [0.0, 0.001, 0.002, 0.001] if name == "map" else [0.0] * 4
            shifted = [value / 10 + 0.05 * place for value in better]
            scores[name, metric] = [a + b for a, b in zip(shifted, noise, strict=True)]
        scores["sgld", metric] = [0.01, 3.0, 0.02, 2.0]
    said = verdict(analyse(by_hand(scores))).sentences
    assert said[0].startswith("mnf ranks best on average")
    assert "in 2 of 3 scores" in said[0]
    assert "But in AURC map (0.0920) is significantly better." in said[0]


def test_equal_means_share_a_rank(by_hand: ByHand) -> None:
    """Of two equal methods the cheaper leads, whatever their names."""
    for names in (("map", "mnf"), ("zmap", "mnf"), ("mnf", "map")):
        cheap, dear = names
        scores = dict.fromkeys(itertools.product(names, ("accuracy", "nll")), GOOD)
        prices = itertools.product(((cheap, 1), (dear, 9)), range(4))
        paid = [{"method": m, "seed": s, "train_seconds": seconds} for (m, seconds), s in prices]
        said = verdict(analyse(by_hand(scores, runs=paid))).sentences
        assert said[0].startswith(f"{cheap} ranks best"), names


def test_who_lacks_a_score_is_not_called_worse(by_hand: ByHand) -> None:
    """A cheaper method that was not compared in all scores is no rival; the leader has all."""
    scores = {key: value for key, value in SCORES.items() if key != ("sgld", "nll")}
    scores["sgld", "accuracy"] = [0.99, 0.99, 0.98, 0.99]
    cheap = list[dict[str, object]]()
    for name, seconds in {"map": 5, "mnf": 20, "sgld": 1}.items():
        cheap += [{"method": name, "seed": s, "train_seconds": seconds} for s in range(4)]
    said = verdict(analyse(by_hand(scores, runs=cheap))).sentences
    assert said[0].startswith("mnf ranks best on average")
    assert "In NLL" not in said[-1]
    assert "sgld" not in said[-1]


def test_turned_claims_are_no_ties(by_hand: ByHand) -> None:
    """A method against which a claim turned is neither equal nor undecided: a remark has it."""
    analysis = analyse(by_hand(SCORES, runs=runs()))
    changed = []
    for one in answers(analysis):
        found = one.comparison
        assert found is not None
        turned = dict.fromkeys(found.worse, 0.5)
        tied = (*found.tied, *turned)
        changed.append(replace(one, comparison=replace(found, tied=tied, worse={}, turned=turned)))

    assert doubts.open_answers(changed) == []
    assert held(changed, "sgld") == []
    (told,) = doubts.turned_claims(analysis, changed)
    assert told.startswith(
        "Not claimed, because it turns at another budget: accuracy of sgld; NLL of "
    )
    assert "map and sgld" in told


def test_masked_methods_lead_no_attack(by_hand: ByHand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method whose gradients look masked has no answer on attacks, and a remark names it."""
    scores = dict(SCORES)
    for name, values in (("map", CLOSE), ("mnf", BAD), ("sgld", GOOD)):
        for level in (0.1, 0.2):
            scores[name, "accuracy", "fgsm", level] = values
    monkeypatch.setattr(questions, "masked", lambda analysis: frozenset({"sgld"}))
    monkeypatch.setattr(doubts, "masked", lambda analysis: frozenset({"sgld"}))

    analysis = analyse(by_hand(scores))
    (attack,) = [one for one in answers(analysis) if one.question.name == "attacks"]
    assert set(attack.summaries) == {"map", "mnf"}
    assert attack.comparison is not None
    assert attack.comparison.best == "map"
    told = verdict(analysis).remarks
    assert any("says nothing of sgld" in text for text in told)


def test_methods_of_one_price(by_hand: ByHand) -> None:
    """A leader that costs as much as another is among the cheapest."""
    same = list[dict[str, object]]()
    for name in SECONDS:
        same += [{"method": name, "seed": seed, "train_seconds": 2} for seed in range(4)]
    said = verdict(analyse(by_hand(SCORES, runs=same))).sentences
    assert said[-1] == "mnf is also the cheapest to train: 2 s a seed."


def test_what_is_unsure_comes_with_a_remedy(by_hand: ByHand) -> None:
    """Failed runs by their status, and about how many seeds would decide."""
    failed = {"status": "oom", "reason": "too large"}
    scores = {key: value[:3] if key[0] == "sgld" else value for key, value in SCORES.items()}
    told = verdict(analyse(by_hand(scores, runs=runs(sgld=failed)))).remarks
    (finished,) = [text for text in told if text.startswith("Not finished")]
    assert finished.startswith("Not finished: 1 of 12 runs (1 oom), of sgld (")


def test_how_many_seeds_would_decide(by_hand: ByHand) -> None:
    """Of an undecided score the seeds that its largest difference takes, by the law of the test."""
    close = {
        ("map", "accuracy"): [0.90, 0.94, 0.91, 0.95],
        ("mnf", "accuracy"): [0.93, 0.92, 0.95, 0.94],
    }
    analysis = analyse(by_hand(close))
    (answer,) = answers(analysis)
    found = answer.comparison
    assert found is not None
    assert not found.worse
    size = plain(found.detectable, 2)
    hint = "in brackets the gap that 4 seeds find in 80 % of cases"
    expected = f"Undecided ({hint}): accuracy ({size})."
    assert expected in verdict(analysis).sentences

    (told,) = [text for text in verdict(analysis).remarks if text.startswith("With about ")]
    seeds = int(told.split()[2])
    gap, spread = found.behind["map"], found.error * 2  # four seeds
    assert detectable_difference(spread, seeds) <= gap < detectable_difference(spread, seeds - 1)
    (asked,) = re.findall(r"\(bench-uq run .*--seeds (\S+)\)", told)
    assert read_suite("quick", {"seeds": [asked]}).seeds == tuple(range(seeds))


def test_the_command_of_a_remedy_is_that_of_the_runs(by_hand: ByHand) -> None:
    """Of another suite than the default one; where runs were made by several, of none."""
    made = "bench-uq run --suite mine --device cpu"
    analysis = analyse(by_hand(SCORES, runs=[{**one, "command": made} for one in runs()]))
    (told,) = [text for text in verdict(analysis).remarks if "twice the epochs" in text]
    assert told.endswith(f"({made} --budget 0.5, or --budget 2).")

    half = [{**one, "command": f"{made} --budget 0.5 --set epochs=9"} for one in runs()]
    said = "\n".join(verdict(analyse(by_hand(SCORES, runs=half))).all)
    assert f"{made} --set epochs=9 --budget 0.5, or --budget 2" in said

    several = [{**one, "command": f"{made} --set epochs={one['seed']}"} for one in runs()]
    (told,) = [
        text
        for text in verdict(analyse(by_hand(SCORES, runs=several))).remarks
        if "twice the epochs" in text
    ]
    assert "(bench-uq run --budget" in told


def test_nothing_is_claimed_of_one_method(by_hand: ByHand) -> None:
    """One method has nothing to be better than."""
    (said,) = verdict(analyse(by_hand({("map", "accuracy"): GOOD}))).sentences
    assert said.startswith("No comparison is made")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.000089, "0.000089"),
        (0.99423, "0.994"),
        (1234.5, "1,234"),
        (12.0, "12"),
        (float("inf"), "∞"),
    ],
)
def test_numbers_are_never_powers_of_ten(value: float, text: str) -> None:
    """Three digits in plain figures."""
    assert plain(value, 3) == text


def test_methods_by_questions_the_best_first(by_hand: ByHand) -> None:
    """Rows in the order of the verdict; the costs stand last."""
    shown = by_questions(analyse(by_hand(SCORES, runs=runs())))
    assert shown is not None
    assert [row.method for row in shown.rows] == ["mnf", "map", "sgld"]
    metrics = [column.metric for column in shown.columns]
    assert metrics == ["accuracy", "nll", "train_seconds", "seconds_per_1000"]
    bold = list[list[bool]]()
    for row in shown.rows:
        bold.append([cell.best for cell in row.cells[:2]])
    assert bold == [[True, True], [True, False], [False, False]]


def test_conditions_by_methods_at_the_level_that_tells_most(by_hand: ByHand) -> None:
    """Of two levels that at which the means differ most, with the best in bold."""
    scores = {key: value for key, value in SCORES.items() if key[1] == "accuracy"}
    for method, weak, strong in (("map", BAD, BAD), ("mnf", GOOD, BAD), ("sgld", BAD, BAD)):
        scores[method, "accuracy", "fgsm", 0.1] = weak
        scores[method, "accuracy", "fgsm", 0.3] = strong
    analysis = analyse(by_hand(scores))
    assert telling_level(analysis, "fgsm", "accuracy") == 0.1
    shown = by_conditions(analysis, "accuracy")
    assert shown is not None
    assert [row.name for row in shown.rows] == ["clean", "fgsm, ε = 0.1"]
    assert [cell.best for cell in shown.rows[1].cells] == [False, True, False]


def test_conditions_mark_methods_that_did_not_converge(by_hand: ByHand) -> None:
    """A dagger behind the name of the column, and a remark with the name."""
    scores = dict(SCORES)
    for name, values in (("map", CLOSE), ("mnf", GOOD), ("sgld", BAD)):
        scores[name, "accuracy", "rotate", 5.0] = values
    table = by_conditions(
        analyse(by_hand(scores, runs=runs(sgld={"diagnosis": "R-hat 1.2"}))), "accuracy"
    )
    assert table is not None
    assert [column.card.heading for column in table.columns] == ["map", "mnf", "sgld †"]
    assert table.remarks[-1] == "† Not converged: sgld."


def test_a_failed_method_takes_no_seed_from_a_condition(by_hand: ByHand) -> None:
    """n is that of the method with most seeds; one with fewer says so, a failed one has a dash."""
    scores = {
        ("map", "accuracy"): GOOD[:3],
        ("map", "accuracy", "fgsm", 0.1): BAD[:3],
        ("mnf", "accuracy"): GOOD[:2],
        ("mnf", "accuracy", "fgsm", 0.1): BAD[:2],
    }
    failed = [{"method": "sgld", "seed": 0, "status": "failed", "reason": "no memory"}]
    shown = by_conditions(analyse(by_hand(scores, runs=failed)), "accuracy")
    assert shown is not None
    for row in shown.rows:
        assert str(row.seeds) == "3"
        assert [cell.values for cell in row.cells] == ["", "n=2", ""]
        assert not row.cells[2].mean
    assert "over 3 seeds (n)" in caption(shown)


def test_the_page_shows_groups_and_the_front(by_hand: ByHand) -> None:
    """A class for each rank group; the dearer and worse method is not on the front."""
    analysis = analyse(by_hand(SCORES, runs=runs()))
    text = overview_section(analysis)
    assert text.count('<td class="best">') == 2
    assert text.count('<td class="tied">') == 1
    assert text.count('<td class="worse">') + text.count('<td class="far">') == 3
    assert "On the Pareto front: map, mnf." in cost_chart(analysis)
    assert "line: the Pareto front." in cost_chart(analysis)


def test_a_long_name_stays_in_the_chart(by_hand: ByHand) -> None:
    """It stands left of its mark where it has no room on the right."""
    scores = {key: value for key, value in SCORES.items() if key[0] != "sgld"}
    analysis = analyse(by_hand(scores, runs=[one for one in runs() if one["method"] != "sgld"]))
    assert 'text-anchor="end">mnf<' not in cost_chart(analysis)

    titled = named(
        analysis.results, {"mnf": "A method with a very long name, which is the dearest"}
    )
    assert 'text-anchor="end">A method with a very long name' in cost_chart(analyse(titled))


def test_the_front_by_hand() -> None:
    """A point that costs more and is no better is beaten; equal points stay."""
    points = {"a": (1.0, 3.0), "b": (2.0, 3.0), "c": (2.0, 1.0), "d": (2.0, 1.0), "e": (9.0, 2.0)}
    assert front(points) == ["a", "c", "d"]


def test_a_leader_among_many_is_no_winner(by_hand: ByHand) -> None:
    """With eight others that are nowhere worse the verdict begins with that, and names none."""
    rng = np.random.default_rng(0)
    scores = {}
    for number in range(10):
        scores[f"m{number}", "accuracy"] = (0.9 + 0.02 * rng.random(4)).tolist()
    first, *others = verdict(analyse(by_hand(scores))).sentences
    start = "No clear winner: 4 seeds do not tell 10 of 10 methods from the best in the score. "
    assert first.startswith(start)
    assert " ranks best on average, and is best, or not" in first
    assert not [one for one in others if "not significantly worse than the best in these" in one]

    few = {key: values for key, values in scores.items() if key[0] in ("m0", "m1", "m2")}
    assert "No clear winner" not in verdict(analyse(by_hand(few))).sentences[0]


def test_a_score_at_one_level_is_no_mean(by_hand: ByHand) -> None:
    """One level other than 0 is named; "mean" and its remark stand where several are averaged."""
    scores = {key: value for key, value in SCORES.items() if key[1] == "accuracy"}
    for name, values in (("map", CLOSE), ("mnf", GOOD), ("sgld", BAD)):
        scores[name, "accuracy", "fgsm", 0.0] = values
        scores[name, "accuracy", "fgsm", 0.1] = values
    analysis = analyse(by_hand(scores))
    said = str(verdict(analysis))
    assert "accuracy under fgsm at 0.1: 0.915" in said
    assert "mean accuracy" not in said
    assert "Means over" not in page(analysis)

    shown = by_questions(analysis)
    assert shown is not None
    assert shown.columns[1].under == "fgsm at 0.1"
    assert not [text for text in shown.remarks if "means over" in text]

    for name, values in (("map", CLOSE), ("mnf", GOOD), ("sgld", BAD)):
        scores[name, "accuracy", "rotate", 15.0] = values
        scores[name, "accuracy", "rotate", 30.0] = values
    analysis = analyse(by_hand(scores))
    assert "mean accuracy under rotate 0.915" in str(verdict(analysis))
    shown = by_questions(analysis)
    assert shown is not None
    told = "means over their levels other than 0, where the heading names no level."
    assert shown.remarks[0].endswith(told)
    assert "Means over" in page(analysis)


LOW, HIGH = [0.10, 0.12, 0.11, 0.12], [0.30, 0.32, 0.33, 0.31]


def under_stress(condition: str, *levels: float) -> dict[tuple[Any, ...], list[float]]:
    """Return scores at levels where mnf has the best accuracy, and map alone a low ECE."""
    scores = dict[tuple[Any, ...], list[float]]()
    for level in levels:
        for name, accuracy, ece in (("map", CLOSE, LOW), ("mnf", GOOD, HIGH), ("sgld", BAD, HIGH)):
            scores[name, "accuracy", condition, level] = accuracy
            scores[name, "ece", condition, level] = ece
    return scores


def test_where_the_leader_is_worse_under_stress(by_hand: ByHand) -> None:
    """Calibration under a shift is no score of the verdict, which yet says who is better there."""
    scores = dict(SCORES) | under_stress("rotate", 15.0, 30.0)
    for level in (15.0, 30.0):
        for name in ("map", "mnf", "sgld"):
            # It has no question of its own, and the leader is worse in it too.
            kept = HIGH if name == "map" else LOW
            scores[name, "accuracy_kept_80", "rotate", level] = kept
    said = verdict(analyse(by_hand(scores))).sentences
    assert said[0].startswith("mnf ranks best")
    told = "Elsewhere it is significantly worse: in mean ECE under rotate, 0.315 (map 0.113)."
    assert said[0].endswith(f" {told}")

    for level in (15.0, 30.0):
        scores["mnf", "ece", "rotate", level] = LOW
    assert "Elsewhere" not in str(verdict(analyse(by_hand(scores))))


def test_a_masked_method_is_no_measure_elsewhere(
    by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader is not called worse than a method whose gradients look masked."""
    scores = dict(SCORES) | under_stress("fgsm", 0.1, 0.2)
    told = "in mean ECE under fgsm, 0.315 (map 0.113)"
    assert told in str(verdict(analyse(by_hand(scores))))
    for module in (questions, doubts, verdicts):
        monkeypatch.setattr(module, "masked", lambda analysis: frozenset({"map"}))
    assert "Elsewhere" not in str(verdict(analyse(by_hand(scores))))


def test_a_family_of_kinds_is_named_without_their_number(by_hand: ByHand) -> None:
    """The verdict and the overview say corruption; that it is a mean over kinds is a remark."""
    scores = {key: value for key, value in SCORES.items() if key[1] == "accuracy"}
    for name, values in (("map", CLOSE), ("mnf", GOOD), ("sgld", BAD)):
        for kind in ("snow", "fog"):
            for level in (1.0, 3.0):
                scores[name, "accuracy", f"corruption[kind={kind}]", level] = values
    analysis = analyse(by_hand(scores))
    assert "mean accuracy under corruption 0.915" in str(verdict(analysis))
    shown = by_questions(analysis)
    assert shown is not None
    assert shown.columns[1].under == "corruption"
    assert shown.remarks[0].endswith("means over their kinds and levels other than 0.")


def test_the_axis_of_costs_has_a_number_in_its_room(by_hand: ByHand) -> None:
    """The dearest of 2 to 990 s stands left of 1,000, for which the axis has room."""
    paid = list[dict[str, object]]()
    for method, seconds in (("map", 2), ("mnf", 100), ("sgld", 990)):
        paid += [{"method": method, "seed": seed, "train_seconds": seconds} for seed in range(4)]
    text = cost_chart(analyse(by_hand(SCORES, runs=paid)))
    assert 'text-anchor="middle">1,000</text>' in text
    assert "training a seed (s), logarithmic" in text


def test_attacks_that_nothing_was_held_against(by_hand: ByHand) -> None:
    """A doubt says so; without attacks there is none."""
    doubt = "Not checked: whether the attacks find what they could"
    scores = dict(SCORES)
    assert doubt not in str(verdict(analyse(by_hand(scores))))
    for name, values in (("map", CLOSE), ("mnf", GOOD), ("sgld", BAD)):
        scores[name, "accuracy", "fgsm", 0.1] = values
    analysis = analyse(by_hand(scores))
    assert {one.status for one in analysis.masking} == {"not judged"}
    assert doubt in str(verdict(analysis))


def test_who_lacks_seeds_is_named_with_what_to_run(by_hand: ByHand) -> None:
    """One seed is compared with none, fewer than the others with all: both are told of."""
    scores = {("map", "accuracy"): GOOD, ("mnf", "accuracy"): CLOSE, ("sgld", "accuracy"): [0.5]}
    scores["swag", "accuracy"] = CLOSE[:3]
    made = {"command": "bench-uq run --suite mine"}
    ran = list[dict[str, object]]()
    for name, count in {"map": 4, "mnf": 4, "sgld": 1, "swag": 3}.items():
        ran += [{"method": name, "seed": seed, **made} for seed in range(count)]

    said = verdict(analyse(by_hand(scores, runs=ran)))
    assert said.sentences[0].endswith("Not compared, for want of seeds: sgld (1 of 4 seeds).")
    (told,) = [text for text in said.remarks if text.startswith("Fewer seeds")]
    assert told == (
        "Fewer seeds than others have, which hides differences: sgld (1 of 4 seeds) and swag (3 of "
        "4 seeds); bench-uq run --suite mine --methods sgld --datasets digits --seeds 1,2,3 and "
        "bench-uq run --suite mine --methods swag --datasets digits --seeds 3 add them."
    )

    alike = {key: value for key, value in scores.items() if key[0] in ("map", "mnf")}
    assert "seeds than others" not in str(verdict(analyse(by_hand(alike))))


def test_no_difference_shows_beyond_what_a_score_can_differ_by(by_hand: ByHand) -> None:
    """Two noisy seeds: verdict, conclusions and page say so, and name no impossible number."""
    scores = {("map", "accuracy"): [0.2, 0.6], ("mnf", "accuracy"): [0.5, 0.3]}
    scores |= {("map", "nll"): [0.2, 0.6], ("mnf", "nll"): [0.5, 0.3]}
    analysis = analyse(by_hand(scores))
    comparison = analysis.comparisons["clean", None, "accuracy"]
    assert comparison.detectable > 0.6  # the best is at 0.4

    (told,) = [text for text in verdict(analysis).sentences if text.startswith("Undecided")]
    # No bound holds an NLL.
    size = plain(analysis.comparisons["clean", None, "nll"].detectable, 2)
    assert told.endswith(f": accuracy (no gap), NLL ({size}).")

    one, other, *_ = conclusions(analysis)
    assert one.endswith("; no difference would be found with 80 % power.")
    assert other.endswith(f"smallest difference found with 80 % power: {size}.")

    (group,) = leaderboard_data(analysis)["groups"]
    assert list(group["verdicts"].values()) == ["none", size]


def many(count: int) -> dict[tuple[str, str], list[float]]:
    """As many methods, the first of them clearly the best and the last clearly worse."""
    rng, scores = np.random.default_rng(1), {}
    for number in range(count):
        level = {0: 0.95, count - 1: 0.5}.get(number, 0.9)
        spread = 0.001 if number in (0, count - 1) else 0.1
        scores[f"m{number}", "accuracy"] = (level + spread * (rng.random(4) - 0.5)).tolist()
    return scores


def test_of_many_methods_the_best_alone_is_bold(by_hand: ByHand) -> None:
    """Beyond eight, bold is the best, italics are the worse; up to eight the usual rule holds."""
    analysis = analyse(by_hand(many(10)))
    comparison = analysis.comparisons["clean", None, "accuracy"]
    assert len(comparison.tied) > 5
    assert comparison.worse

    table = by_questions(analysis)
    assert table is not None
    cells = {row.method: row.cells[0] for row in table.rows}
    assert [name for name, cell in cells.items() if cell.best] == [comparison.best]
    assert {name for name, cell in cells.items() if cell.worse} == set(comparison.worse)

    rule = "Bold: best; italic: significantly worse than the best; others: not significantly "
    assert rule in caption(table)
    assert f"**{cells[comparison.best].mean}" in summary(analysis, [])
    last = cells["m9"].mean
    assert f"| *{last}" in summary(analysis, [])
    assert rf"\textit{{{last}}}" in fragments(analysis)["digits.tex"]
    assert f"<em>{last}</em>" in page(analysis)

    few = analyse(by_hand(many(8)))
    table = by_questions(few)
    assert table is not None
    bold = {row.method for row in table.rows if row.cells[0].best}
    assert bold == set(few.comparisons["clean", None, "accuracy"].tied)
    assert not any(row.cells[0].worse for row in table.rows)
    assert "italic" not in caption(table)


def test_the_overview_begins_with_the_leader(by_hand: ByHand) -> None:
    """A noisy method that is nowhere significantly worse does not stand before the leader."""
    scores = {
        ("map", "nll"): [0.10, 0.11, 0.12, 0.11],
        ("map", "ece"): [0.06, 0.06, 0.06, 0.061],
        ("mnf", "nll"): [0.20, 0.21, 0.22, 0.21],
        ("mnf", "ece"): [0.05, 0.05, 0.05, 0.051],
        ("sgld", "nll"): [0.01, 3.0, 0.02, 2.0],
        ("sgld", "ece"): [0.01, 0.9, 0.02, 0.9],
    }
    analysis = analyse(by_hand(scores))
    leader = verdict(analysis).sentences[0].split()[0]
    assert leader != "sgld"
    shown = by_questions(analysis)
    assert shown is not None
    assert shown.rows[0].method == leader
    assert shown.rows[-1].method == "sgld"


def test_the_chart_of_many_methods_shows_the_front(by_hand: ByHand) -> None:
    """Names, colours and ranges are of the methods on the front; the others are grey marks."""
    scores = {}
    paid = list[dict[str, object]]()
    for number in range(20):
        name = f"m{number:02}"
        # Two on the front: the cheapest, and the best, which is dearer.
        level = {0: 0.3, 7: 0.1}.get(number, 0.5)
        scores[name, "nll"] = [level, level + 0.01, level - 0.01]
        for seed in range(3):
            paid.append({"method": name, "seed": seed, "train_seconds": 1 + number})
    text = cost_chart(analyse(by_hand(scores, runs=paid)))
    assert "On the Pareto front: m00, m07." in text
    assert text.count('fill="#a9b0b8"') == 18
    assert re.findall(r">(m\d\d)</text>", text) == ["m00", "m07"]
    ranges = re.findall(r'<path d="M[\d.]+ ([\d.]+)V([\d.]+)" stroke="#(\w+)"', text)
    assert {color for low, high, color in ranges if low == high} == {"a9b0b8"}
    assert sum(low != high for low, high, _ in ranges) == 2


def test_names_of_the_cost_chart_stand_beside_its_front(by_hand: ByHand) -> None:
    """The front leads right from the cheapest mark, whose name would stand there."""
    scores = {("map", "nll"): [0.5, 0.5], ("mnf", "nll"): [0.1, 0.1]}
    paid = [
        {"method": name, "seed": seed, "train_seconds": seconds}
        for (name, seconds), seed in itertools.product((("map", 10.0), ("mnf", 100.0)), range(2))
    ]
    text = cost_chart(analyse(by_hand(scores, runs=paid)))
    (path,) = re.findall(r'class="front" d="M([^"]*)"', text)
    cheapest, corner, _ = path.split("L")
    level = float(cheapest.split()[1])
    assert corner.endswith(f" {level}")
    (found,) = re.findall(r'<text x="[\d.]+" y="([\d.]+)" text-anchor="\w+">map<', text)
    assert not level < float(found) < level + 12


def test_the_nearest_cheaper_rival_is_named_before_the_cheapest(by_hand: ByHand) -> None:
    """Of the cheaper methods the one that is worse in the fewest scores, then the cheapest."""
    good, bad = [0.10, 0.12, 0.11, 0.12], [2.0, 2.2, 2.1, 2.3]
    scores = {}
    for metric in ("nll", "ece", "aurc"):
        scores["sgld", metric] = good
        scores["mnf", metric] = bad if metric == "ece" else [0.11, 0.12, 0.12, 0.12]
        scores["map", metric] = bad
    said = verdict(analyse(by_hand(scores, runs=runs()))).sentences
    (told,) = [one for one in said if one.startswith("Cheaper")]
    assert told.startswith("Cheaper: mnf trains a seed in 20 s instead of 200 s")
    assert told.endswith(
        "but is worse in ECE, alone of these scores; map, the cheapest, trains one in 2 s, but is "
        "worse in NLL, ECE and AURC."
    )


def test_a_tie_that_is_further_behind_is_explained(by_hand: ByHand) -> None:
    """A method that varies much may be tied behind one that is worse: that is said, with both."""
    scores = {
        ("map", "nll"): [0.50, 0.51, 0.52, 0.51],
        ("mnf", "nll"): [0.10, 0.11, 0.10, 0.11],
        ("sgld", "nll"): [0.1, 3.0, 0.2, 2.0],
    }
    told = verdict(analyse(by_hand(scores))).remarks
    expected = (
        "Further from the best than a method that is significantly worse, and not called so because "
        "they vary more from seed to seed: NLL of sgld (1.325), beside 0.510 of map."
    )
    assert expected in told

    del scores["sgld", "nll"]
    assert not any("vary more" in one for one in verdict(analyse(by_hand(scores))).remarks)


def test_who_says_so_has_not_converged(by_hand: ByHand) -> None:
    """A method's own diagnosis, which marks it in tables, is among the doubts."""
    told = verdict(analyse(by_hand(SCORES, runs=runs(sgld={"diagnosis": "R-hat 1.2"})))).remarks
    assert "Not converged by their own account (†): sgld." in told


def test_a_test_error_above_the_published_one_is_named(by_hand: ByHand) -> None:
    """Ours in %, the closest of several published values; nobody who is below it."""
    results = by_hand(SCORES)
    known = {"dataset": "digits", "condition": "clean", "level": "", "spread": "", "notes": ""}
    references = []
    for method, value in (("mnf", "5"), ("mnf", "6.5"), ("map", "12"), ("sgld", "40")):
        references.append(
            Reference(
                **known,
                method=method,
                metric="test_error",
                value=value,
                source=f"A paper of {value}",
                certainty="seen",
            )
        )
    told = verdict(analyse(replace(results, references=tuple(references)))).remarks
    (named_,) = [one for one in told if one.startswith("Above the published test error")]
    assert "sgld (48.2 instead of 40) and mnf (8.50 instead of 6.5); the section" in named_


def test_neighbours_of_one_score_name_it_once(by_hand: ByHand) -> None:
    """Means under several shifts are of one score, which stands before the first."""
    scores = dict(SCORES)
    for condition in ("rotate", "translate"):
        for name, values in (("map", CLOSE), ("mnf", GOOD), ("sgld", BAD)):
            for level in (5.0, 10.0):
                scores[name, "accuracy", condition, level] = values
    said = verdict(analyse(by_hand(scores))).sentences
    assert "mean accuracy under rotate 0.915 (map 0.905), translate 0.915 (map 0.905)" in said[1]


@pytest.mark.parametrize("suite", STUDIES)
def test_committed_summaries_begin_with_the_verdict(suite: str) -> None:
    """The summary of a study in the repository says what its scores say today."""
    told = bench_uq.verdict(REPO / "results" / suite)
    lines = (REPO / "reports" / suite / "summary.md").read_text().splitlines()
    for sentence in told.all:
        assert f"- {escape(sentence)}" in lines, sentence


def test_an_overview_of_many_methods_folds(by_hand: ByHand) -> None:
    """The rows after the twelfth are a body of their own with a button, where more than four are."""
    for count in (16, 17):
        scores = {(f"m{n:02}", "accuracy"): [0.5 + 0.01 * n, 0.51 + 0.01 * n] for n in range(count)}
        section = overview_section(analyse(by_hand(scores)))
        folded = re.findall(r'<tbody class="rest">(.*?)</tbody>', section)
        assert [part.count("<tr>") for part in folded] == ([5] if count == 17 else [])
        assert ("Show all 17 methods" in section) == (count == 17)
        assert "<tbody><tr>" in section


def test_colours_follow_the_gap_to_the_best(by_hand: ByHand) -> None:
    """Worse by a fifth of the widest gap is worse; by all of it, or nearly, is far behind."""
    noise = np.random.default_rng(0).normal(0, 0.002, (4, 4))
    scores = {}
    for place, (name, mean) in enumerate(
        {"mnf": 0.1, "map": 0.3, "sgld": 1.05, "swag": 1.1}.items()
    ):
        scores[name, "nll"] = list(mean + noise[place])
    text = overview_section(analyse(by_hand(scores)))
    for name, group in (("mnf", "best"), ("map", "worse"), ("sgld", "far"), ("swag", "far")):
        assert re.search(rf'>{name}</th><td class="{group}">', text), name


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0.26, 0.34, True, [0.26, 0.28, 0.3, 0.32, 0.34]),
        (236, 974, True, [300, 500, 700]),
        (2.2, 21, True, [3, 5, 7, 10, 15, 20]),
        (1, 1000, True, [1, 10, 100, 1000]),
        (0.05, 0.31, False, [0.1, 0.2, 0.3]),
        (7, 7, True, [7]),
    ],
)
def test_ticks_are_few_and_round(low: float, high: float, log: bool, expected: list[float]) -> None:
    """At most six, also where the ends are near each other or decades apart."""
    assert _ticks(low, high, log=log) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ([1.0, 3.0, 1.5, 2.5], ", and predicts about as fast"),
        ([1.0] * 4, ", and predicts 1.6 times as fast"),
        ([20.0, 0.1, 0.1, 0.1], "."),
    ],
)
def test_times_within_their_spread_are_equal(
    seconds: list[float], said: str, by_hand: ByHand
) -> None:
    """A difference of prices that is smaller than their spread over the seeds is none."""
    paid = list[dict[str, object]]()
    for seed, own in enumerate(seconds):
        paid.append({"method": "map", "seed": seed, "train_seconds": 2, PREDICTION: own})
        paid.append({"method": "mnf", "seed": seed, "train_seconds": 20, PREDICTION: 1.6})
    scores = {key: value for key, value in SCORES.items() if key == ("mnf", "accuracy")}
    scores["map", "accuracy"] = CLOSE
    told = str(verdict(analyse(by_hand(scores, runs=paid))))
    assert f"trains a seed in 2 s instead of 20 s{said}" in told


@pytest.mark.parametrize(("leading", "said"), [(20, "cheapest of these"), (2.02, "also the cheap")])
def test_about_equal_prices_are_one(leading: float, said: str, by_hand: ByHand) -> None:
    """Of two that train in about the same time that which predicts faster; a leader at about the
    lowest price is the cheapest.
    """
    tied = {"map": GOOD, "mnf": CLOSE, "sgld": CLOSE}
    scores = {(name, "accuracy"): values for name, values in tied.items()}
    predicting = paid_by(analyse(by_hand(scores, runs=runs())), PREDICTION)
    fast, slow = sorted(("mnf", "sgld"), key=lambda name: predicting[name])
    assert predicting[fast] < predicting[slow]

    # The slower one is the cheaper by a hundredth.
    paid = list[dict[str, object]]()
    for method, price in {"map": leading, fast: 2.03, slow: 2.01}.items():
        paid += [{"method": method, "seed": seed, "train_seconds": price} for seed in range(4)]
    *_, told = verdict(analyse(by_hand(scores, runs=paid))).sentences
    assert said in told
    assert (fast if leading > 3 else "map") in told


def test_what_is_written_alike_is_not_further_behind(by_hand: ByHand) -> None:
    """A tied method whose mean reads as that of one that is worse is not named beside it."""
    far = [0.1, 3.0, 0.2, 2.0]
    scores = {
        ("map", "nll"): [1.3247, 1.3252, 1.3246, 1.3243],
        ("mnf", "nll"): [0.10, 0.11, 0.10, 0.11],
        ("sgld", "nll"): far,
    }
    analysis = analyse(by_hand(scores))
    (answer,) = [one for one in answers(analysis) if one.comparison is not None]
    found = answer.comparison
    assert found is not None
    assert found.behind["sgld"] > found.behind["map"]
    assert mean_of(answer, "sgld") == mean_of(answer, "map")
    assert not any("vary more" in one for one in verdict(analysis).remarks)


def test_the_chart_of_many_names_the_leader(by_hand: ByHand) -> None:
    """Of 14 methods the one that ranks best has its name, though a cheaper one has a lower NLL."""
    scores, paid = {}, list[dict[str, object]]()
    for number in range(14):
        name = f"m{number}"
        scores[name, "nll"] = [0.5 + number / 10] * 4
        scores[name, "accuracy"] = [0.6 - number / 50] * 4
        price = 10 if number == 1 else 1 + number
        paid += [{"method": name, "seed": seed, "train_seconds": price} for seed in range(4)]
    # Second in NLL, and dear, but the first in accuracy.
    scores["m1", "accuracy"], scores["m0", "accuracy"] = [0.9] * 4, [0.1] * 4
    analysis = analyse(by_hand(scores, runs=paid))
    (leader, *_) = by_rank(analysis, [one for one in answers(analysis) if one.comparison])
    text = cost_chart(analysis)
    assert leader == "m1"
    assert "On the Pareto front: m0." in text
    assert "; the Pareto front is m0 alone." in text
    assert "line:" not in text
    assert ">m1</text>" in text
    assert ">m2</text>" not in text
