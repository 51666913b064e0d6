"""Means over kinds and levels are of the same places for all runs; what lacks is seen to lack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench_uq.report.tables.captions import caption
from bench_uq.report.tables.overview import by_conditions
from bench_uq.report.tables.stress import stress_tables
from bench_uq.report.tables.table import Table
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read
from bench_uq.score.stress import kept_accuracy
from bench_uq.score.summaries import summarise
from bench_uq.store.about import ConditionFacts

Build = Callable[..., Path]
ByHand = Callable[..., Results]
SNOW = "corruption[kind=snow]"


def table_of(by_hand: ByHand, scores: dict[tuple[object, ...], object]) -> Table:
    """Return the only table under stress of some scores."""
    (table,) = stress_tables(analyse(by_hand(scores))).values()
    return table


def test_kinds_of_one_thing_are_a_family(by_hand: ByHand) -> None:
    """What the option ``kind`` alone tells apart is one; what differs otherwise, or reads so, is
    not.
    """
    alone = ("fgsm", "pgd", "pgd[norm=l2]", "tint[kind=red,seed=3]")
    strange = ("a[kind=", "]kind=x[", "x[kind=a,kind=b]")
    names = [*alone, *strange, "corruption", SNOW]
    results = by_hand({("map", "accuracy", name, 1.0): 0.5 for name in names})
    expected = {name: (name,) for name in (*alone, *strange)} | {"corruption": ("corruption", SNOW)}
    assert {one.name: one.members for one in analyse(results).families} == expected


def test_who_is_attacked_on_its_own_networks_is_named(by_hand: ByHand) -> None:
    """Of a transfer attack it is a remark; where that method is not shown there is none."""
    told = "Transfer attacks are found on networks of map, for which they are no transfer."
    for methods, expected in ((("map", "mnf"), [told]), (("sgld", "mnf"), [])):
        scores = {(method, "accuracy", "transfer", 0.1): 0.5 for method in methods}
        results = by_hand(scores | {(method, "accuracy"): 0.5 for method in methods})
        facts = {"transfer": ConditionFacts(surrogate="map")}
        results = replace(results, about=replace(results.about, conditions=facts))
        (table,) = stress_tables(analyse(results)).values()
        assert [one for one in table.remarks if one.startswith("Transfer attacks")] == expected
        shown = by_conditions(analyse(results), "accuracy")
        assert shown is not None
        assert [one for one in shown.remarks if one.startswith("Transfer attacks")] == expected


def test_numbers_are_those_of_the_scores(make_results: Build, tmp_path: Path) -> None:
    """Each mean is that of all rows of a method, whatever the order they come in."""
    kinds = ("corruption", SNOW, "corruption[kind=fog,seed=1]")
    made = make_results(tmp_path / "s", seeds=(0, 1, 2), attacks=(*kinds, "fgsm"))
    results = read(made).on("digits")
    scores = results.scores
    rows = scores[(scores["metric"] == "accuracy_kept_80") & (scores["level"] > 0)]
    rows = rows.assign(condition=rows["condition"].astype(str))
    found = summarise(analyse(results).over_levels.results)
    families = {"corruption (mean of 2 kinds)": kinds[:2], kinds[2]: kinds[2:], "fgsm": ("fgsm",)}

    for title, members in families.items():
        for method in results.methods:
            own = rows[rows["condition"].isin(members) & (rows["method"] == method)]["value"]
            mean = found[method, title, None, "accuracy_kept_80"].mean
            assert mean == pytest.approx(own.mean())


def test_kinds_as_one_condition_keep_holes(by_hand: ByHand) -> None:
    """A level at which one kind has no number has none over all kinds: others may be easier."""
    scores = {("map", "accuracy", name, 1.0): 0.5 for name in ("corruption", SNOW)}
    scores |= {("map", "accuracy", "corruption", 2.0): 0.5, ("map", "accuracy", SNOW, 2.0): ""}
    found = summarise(analyse(by_hand(scores)).over_kinds.results)
    means = {(name, level): one.mean for (_, name, level, _), one in found.items()}
    assert means == {("corruption (mean of 2 kinds)", 1.0): 0.5}


def test_kinds_do_not_take_the_room_of_attacks(by_hand: ByHand) -> None:
    """Where only some conditions are drawn one of each family comes before further kinds."""
    names = [*(f"corruption[kind=k{place}]" for place in range(15)), "fgsm", "rotate"]
    shown = analyse(by_hand({("map", "accuracy", name, 1.0): 0.5 for name in names})).shown
    assert [name for name, _ in shown][:4] == ["clean", names[0], "fgsm", "rotate"]
    assert len(shown) == 1 + len(names)


def risks(*values: float) -> dict[float, float]:
    """Return risks at equal steps of coverage."""
    return {(place + 1) / len(values): value for place, value in enumerate(values)}


def test_kept_accuracy_is_the_risk_seen_from_the_other_side(by_hand: ByHand) -> None:
    """Risks of 0.1 to 0.4 at quarters of coverage are accuracies of 0.6 to 0.9 at 0 to 3/4."""
    curves = {
        ("map", 0, "risk_coverage", "fgsm", 0.1): risks(0.1, 0.2, 0.3, 0.4),
        ("map", 0, "risk_coverage"): risks(0, 0, 0, 0.1),
    }
    results = by_hand({("map", "accuracy", "fgsm", 0.1): 0.6}, curves)
    (one,) = analyse(results).families
    curve = kept_accuracy(results, "map", one, 0.1)
    np.testing.assert_allclose(curve.x, [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(curve.y, [0.6, 0.7, 0.8, 0.9])
    np.testing.assert_allclose(kept_accuracy(results, "map", None, None).y, [0.9, 1, 1, 1])
    assert not len(kept_accuracy(results, "map", one, 0.3).x)


def test_kept_accuracy_of_kinds_is_their_mean(by_hand: ByHand) -> None:
    """Kinds of risk 0.2 and 0.4 have 0.7; where one lacks the curve or the level there is none."""
    places = [
        ("corruption", 1.0),
        ("corruption", 2.0),
        ("corruption", 3.0),
        (SNOW, 1.0),
        (SNOW, 2.0),
    ]
    scores = {("map", "accuracy", *place): 0.5 for place in places}
    known = dict(zip((*places[:3], (SNOW, 1.0)), (0.2, 0.2, 0.2, 0.4), strict=True))
    curves = {("map", 0, "risk_coverage", *place): risks(y, y) for place, y in known.items()}

    results = by_hand(scores, curves)
    (one,) = analyse(results).families
    np.testing.assert_allclose(kept_accuracy(results, "map", one, 1.0).y, [0.7, 0.7])
    assert not len(kept_accuracy(results, "map", one, 2.0).x)
    assert not len(kept_accuracy(results, "map", one, 3.0).x)


def test_kept_accuracy_agrees_with_the_metric(make_results: Build, tmp_path: Path) -> None:
    """At a fifth refused the curve is the score, as both order the examples alike."""
    results = read(make_results(tmp_path / "s")).on("digits")
    (one,) = analyse(results).families
    for method in results.methods:
        curve = kept_accuracy(results, method, one, 0.1)
        mean = summarise(results)[method, "fgsm", 0.1, "accuracy_kept_80"].mean
        assert np.interp(0.2, curve.x, curve.y) == pytest.approx(mean, abs=1e-9)


@pytest.mark.parametrize(("metric", "others_keep"), [("ece", 2), ("auroc_errors_entropy", 1)])
def test_a_hole_is_that_of_its_run(by_hand: ByHand, metric: str, others_keep: int) -> None:
    """It costs its run the mean; only where a score is undefined does the place count for none."""
    values = {("map", 0.1): 0.2, ("map", 0.2): 0.4, ("dropout", 0.1): "", ("dropout", 0.2): 0.6}
    scores = {(name, metric, "fgsm", level): value for (name, level), value in values.items()}
    found = analyse(by_hand(scores))
    assert found.stress_counts["fgsm", metric] == (others_keep, 2)
    means = found.over_levels.summaries
    expected = 0.3 if others_keep == 2 else 0.4
    assert means["map", "fgsm", None, metric].mean == pytest.approx(expected)
    assert (("dropout", "fgsm", None, metric) in means) == (others_keep == 1)


def test_mean_over_kinds_and_levels_then_over_seeds(by_hand: ByHand) -> None:
    """0.8, 0.6, 0.4, 0.2 and a tenth more of each: 0.5 and 0.6 have mean 0.55 and deviation 0.071."""
    places = [("corruption", 1.0), ("corruption", 2.0), (SNOW, 1.0), (SNOW, 2.0)]
    values = zip(places, (0.8, 0.6, 0.4, 0.2), strict=True)
    scores = {("map", "accuracy", *place): [value, value + 0.1] for place, value in values}
    table = table_of(by_hand, scores)
    (cell,) = table.rows[0].cells
    assert (cell.mean, cell.spread) == ("0.55", "0.07")
    assert "under corruption, mean over 2 kinds and severity 1, 2" in caption(table)
    assert "Kinds: the default, snow." in caption(table)


def test_level_zero_is_no_stress(by_hand: ByHand) -> None:
    """The mean is over the other levels, and what has level 0 alone has no table."""
    values = {0.0: 1.0, 0.1: 0.4, 0.3: 0.2}
    table = table_of(by_hand, {("map", "accuracy", "fgsm", at): one for at, one in values.items()})
    assert table.rows[0].cells[0].mean == "0.300"
    assert "mean over ε (pixels in [0, 1]) 0.1, 0.3" in caption(table)
    assert stress_tables(analyse(by_hand({("map", "accuracy", "fgsm", 0.0): 1.0}))) == {}


@pytest.mark.parametrize(
    ("first", "second", "means", "words"),
    [
        ((0.9, 0.7, 0.5), ("", 0.8, 0.6), ["0.600", "0.700"], "over 2 of 3 levels, those at which"),
        (("",), (0.9,), ["", ""], "over 0 of 1 levels"),
    ],
)
def test_places_where_a_run_has_no_number_count_for_none(
    by_hand: ByHand, first: tuple[object], second: tuple[object], means: list[str], words: str
) -> None:
    """Where one method makes no errors nobody's AUROC of errors counts, and the caption says so."""
    scores = {}
    for name, values in (("map", first), ("mnf", second)):
        for place, value in enumerate(values):
            scores[name, "auroc_errors_entropy", "fgsm", (place + 1) / 10] = value
    table = table_of(by_hand, scores)
    assert [row.cells[0].mean for row in table.rows] == means
    assert words in caption(table)


def test_a_run_without_a_place_has_no_mean(by_hand: ByHand) -> None:
    """A level that a seed was never scored at leaves this seed out, and the cell says of how many
    it is.
    """
    scores = {("map", "accuracy", "fgsm", 0.1): [0.5, 0.6], ("map", "accuracy", "fgsm", 0.3): [0.5]}
    (cell,) = table_of(by_hand, scores).rows[0].cells
    assert (cell.mean, cell.values) == ("0.500", "n=1")


def test_best_and_tied_are_found_as_in_other_tables(by_hand: ByHand) -> None:
    """What is worse by far more than the seeds differ is not in bold, what is tied is."""
    means = {"map": 0.2, "dropout": 0.8, "mnf": 0.8001}
    noise = np.random.default_rng(0).normal(0, 0.01, (3, 6))
    scores = {}
    for (name, mean), own in zip(means.items(), noise, strict=True):
        for level in (0.1, 0.3):
            scores[name, "accuracy", "fgsm", level] = (mean + own - level / 10).tolist()
    best = {row.method: row.cells[0].best for row in table_of(by_hand, scores).rows}
    assert best == {"map": False, "dropout": True, "mnf": True}


def test_captions_count_examples_and_levels(by_hand: ByHand) -> None:
    """Examples are counted where all places have as many; many levels are told by their ends."""
    scores = {("map", "accuracy", "fgsm", level): 0.2 for level in (0.1, 0.3)}
    counts = {("map", "examples", "fgsm", level): 1000 for level in (0.1, 0.3)}
    text = caption(table_of(by_hand, scores | counts))
    assert "under fgsm (1,000 examples), mean over" in text
    counts["map", "examples", "fgsm", 0.1] = 500
    assert "examples" not in caption(table_of(by_hand, scores | counts))

    many = {("map", "accuracy", "rotate", 15.0 * step): 0.5 for step in range(13)}
    text = caption(table_of(by_hand, many))
    assert "mean over angle (degrees) from 15 to 180 (12 levels)" in text


def test_columns_answer_what_the_uncertainty_is_worth(told: Results, by_hand: ByHand) -> None:
    """For each attack and shift; no ECE is without that of a calibrated model, though not scored."""
    tables = stress_tables(analyse(told.on("digits")))
    assert len(tables) == 3
    for table in tables.values():
        assert [column.metric for column in table.columns] == [
            *("accuracy", "accuracy_kept_80", "auroc_errors_entropy", "auroc_entropy"),
            *("ece", "ece_if_calibrated"),
        ]
    assert "mean over angle (degrees) 30, 60, 90, 120, 150, 180" in caption(tables["rotate"])
    table = table_of(by_hand, {("map", "ece", "fgsm", 0.1): 0.2})
    assert [column.metric for column in table.columns] == ["ece", "ece_if_calibrated"]


def test_captions_of_attacks_name_their_draws(by_hand: ByHand) -> None:
    """The caption says that accuracy is a bound, and the most draws behind a method's gradients."""
    scores: dict[tuple[object, ...], object] = {}
    for level, draws in ((0.1, 10.0), (0.2, 80.0)):
        scores["dropout", "accuracy", "fgsm", level] = 0.5
        scores["dropout", "attack_draws", "fgsm", level] = draws
    remarks = " ".join(table_of(by_hand, scores).remarks)
    assert "upper bound" in remarks
    assert "Draws behind a gradient: 80 (dropout)." in remarks
    assert "Draws" not in " ".join(
        table_of(by_hand, {("map", "accuracy", "rotate", 30.0): 0.5}).remarks
    )
