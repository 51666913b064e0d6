"""Means over kinds and levels are those of the same places for all runs; what is not there is seen to be missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read
from bench_uq.score.stress import kept_accuracy
from bench_uq.score.summaries import summarise

Build = Callable[..., Path]


def scores(
    *rows: tuple[str, int, str, float, float | str], metric: str = "accuracy"
) -> list[dict[str, Any]]:
    """Return scores by method, seed, condition, level and value."""
    keys = ("method", "seed", "condition", "level", "value")
    return [{**dict(zip(keys, row, strict=True)), "metric": metric} for row in rows]


def of(hand_made: Build, made: list[dict[str, Any]], **others: Any) -> Results:
    """Return results on one dataset."""
    return read(hand_made(made, **others)).on("digits")


def test_kinds_of_one_thing_are_a_family(hand_made: Build) -> None:
    """What the option ``kind`` alone tells apart is one; attacks that differ otherwise are not, nor is a lone kind."""
    names = [
        "fgsm",
        "pgd",
        "pgd[norm=l2]",
        "corruption",
        "corruption[kind=snow]",
        "tint[kind=red,seed=3]",
    ]
    results = of(hand_made, scores(*(("map", 0, name, 1.0, 0.5) for name in names)))
    assert {one.name: one.members for one in analyse(results).families} == {
        "fgsm": ("fgsm",),
        "pgd": ("pgd",),
        "pgd[norm=l2]": ("pgd[norm=l2]",),
        "corruption": ("corruption", "corruption[kind=snow]"),
        "tint[kind=red,seed=3]": ("tint[kind=red,seed=3]",),
    }


def test_names_that_are_no_grammar_are_families_of_their_own(hand_made: Build) -> None:
    """Conditions of results from elsewhere may be called anything."""
    names = ["a[kind=", "]kind=x[", "x[kind=a,kind=b]"]
    results = of(hand_made, scores(*(("map", 0, name, 1.0, 0.5) for name in names)))
    assert sorted(one.name for one in analyse(results).families) == sorted(names)


def test_numbers_are_those_of_the_scores(make_results: Build, tmp_path: Path) -> None:
    """Each mean is that of all rows of a method, whatever the order they come in."""
    kinds = ("corruption", "corruption[kind=snow]", "corruption[kind=fog,seed=1]")
    results = read(make_results(tmp_path / "s", seeds=(0, 1, 2), attacks=(*kinds, "fgsm"))).on(
        "digits"
    )
    rows = results.scores[
        (results.scores["metric"] == "accuracy_kept_80") & (results.scores["level"] > 0)
    ]
    rows = rows.assign(condition=rows["condition"].astype(str))
    found = summarise(analyse(results).over_levels.results)
    for title, members in {
        "corruption (mean of 2 kinds)": kinds[:2],
        kinds[2]: kinds[2:],
        "fgsm": ("fgsm",),
    }.items():
        for method in results.methods:
            own = rows[rows["condition"].isin(members) & (rows["method"] == method)]
            assert found[method, title, None, "accuracy_kept_80"].mean == pytest.approx(
                own["value"].mean()
            )


def test_kinds_as_one_condition_keep_holes(hand_made: Build) -> None:
    """A level at which one kind has no number has none over all kinds: the others may be easier."""
    rows = [
        ("map", 0, name, level, 0.5)
        for name in ("corruption", "corruption[kind=snow]")
        for level in (1.0, 2.0)
    ]
    rows[-1] = (*rows[-1][:-1], "")
    results = analyse(of(hand_made, scores(*rows, ("map", 0, "fgsm", 0.1, 0.2)))).over_kinds.results
    found = {(name, level): one.mean for (_, name, level, _), one in summarise(results).items()}
    assert found == {("corruption (mean of 2 kinds)", 1.0): 0.5, ("fgsm", 0.1): 0.2}


def test_kinds_do_not_take_the_room_of_attacks(hand_made: Build) -> None:
    """Where only some conditions are drawn one of each family comes before further kinds."""
    kinds = [f"corruption[kind=k{place}]" for place in range(15)]
    results = of(
        hand_made, scores(*(("map", 0, name, 1.0, 0.5) for name in (*kinds, "fgsm", "rotate")))
    )
    assert [name for name, _ in analyse(results).shown][:4] == ["clean", kinds[0], "fgsm", "rotate"]
    assert len(analyse(results).shown) == 1 + 15 + 2


def risks(condition: str, level: float | str, values: list[float]) -> list[dict[str, Any]]:
    """Return a curve of risk at equal steps of coverage."""
    return [
        {
            "method": "map",
            "seed": 0,
            "curve": "risk_coverage",
            "condition": condition,
            "level": level,
            "x": x,
            "y": y,
        }
        for x, y in zip(np.arange(1, len(values) + 1) / len(values), values, strict=True)
    ]


def test_kept_accuracy_is_the_risk_seen_from_the_other_side(hand_made: Build) -> None:
    """Risks of 0.1, 0.2, 0.3, 0.4 at quarters of coverage are accuracies of 0.6 to 0.9 at 0 to 3/4 refused."""
    made = scores(("map", 0, "fgsm", 0.1, 0.6))
    results = of(
        hand_made,
        made,
        curves=risks("fgsm", 0.1, [0.1, 0.2, 0.3, 0.4]) + risks("clean", "", [0, 0, 0, 0.1]),
    )
    (one,) = analyse(results).families
    curve = kept_accuracy(results, "map", one, 0.1)
    np.testing.assert_allclose(curve.x, [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(curve.y, [0.6, 0.7, 0.8, 0.9])
    np.testing.assert_allclose(kept_accuracy(results, "map", None, None).y, [0.9, 1, 1, 1])
    assert not len(kept_accuracy(results, "map", one, 0.3).x)


def test_kept_accuracy_of_kinds_is_their_mean(hand_made: Build) -> None:
    """Two kinds of risk 0.2 and 0.4 have 0.7; where one of them lacks the curve there is none."""
    names = ("corruption", "corruption[kind=snow]")
    made = scores(*(("map", 0, name, level, 0.5) for name in names for level in (1.0, 2.0)))
    curves = [
        *risks(names[0], 1.0, [0.2, 0.2]),
        *risks(names[1], 1.0, [0.4, 0.4]),
        *risks(names[0], 2.0, [0.2, 0.2]),
    ]
    results = of(hand_made, made, curves=curves)
    (one,) = analyse(results).families
    np.testing.assert_allclose(kept_accuracy(results, "map", one, 1.0).y, [0.7, 0.7])
    assert not len(kept_accuracy(results, "map", one, 2.0).x)


def test_kept_accuracy_agrees_with_the_metric(make_results: Build, tmp_path: Path) -> None:
    """At a fifth refused the curve is the score, where confidence and entropy order the examples alike."""
    results = read(make_results(tmp_path / "s")).on("digits")
    (one,) = analyse(results).families
    for method in results.methods:
        curve = kept_accuracy(results, method, one, 0.1)
        at = float(np.interp(0.2, curve.x, curve.y))
        assert at == pytest.approx(
            summarise(results)[method, "fgsm", 0.1, "accuracy_kept_80"].mean, abs=1e-9
        )


def test_a_level_that_a_kind_lacks_has_no_kept_accuracy(hand_made: Build) -> None:
    """Where one kind of a family was not shown a level there is no mean over its kinds, rather than one over fewer."""
    fog, stripe = "corruption[kind=fog]", "corruption[kind=stripe]"
    places = [(fog, 1.0), (fog, 3.0), (stripe, 1.0)]
    made = [row for name, level in places for row in scores(("map", 0, name, level, 0.7))]
    curves = [row for name, level in places for row in risks(name, level, [0.3, 0.3])]
    results = of(hand_made, made, curves=curves)
    (one,) = analyse(results).families
    assert len(kept_accuracy(results, "map", one, 1.0).x)
    assert not len(kept_accuracy(results, "map", one, 3.0).x)


@pytest.mark.parametrize(("metric", "others_keep"), [("ece", 2), ("auroc_errors_entropy", 1)])
def test_a_hole_is_that_of_its_run(hand_made: Build, metric: str, others_keep: int) -> None:
    """A lacking number costs its run the mean; only where a score is undefined does its place count for nobody."""
    rows = [("map", 0, "fgsm", 0.1, 0.2), ("map", 0, "fgsm", 0.2, 0.4)]
    rows += [("dropout", 0, "fgsm", 0.1, ""), ("dropout", 0, "fgsm", 0.2, 0.6)]  # type: ignore[list-item]
    found = analyse(of(hand_made, scores(*rows, metric=metric)))
    assert found.stress_counts["fgsm", metric] == (others_keep, 2)
    means = found.over_levels.summaries
    assert means["map", "fgsm", None, metric].mean == pytest.approx(
        0.3 if others_keep == 2 else 0.4
    )
    assert (("dropout", "fgsm", None, metric) in means) == (others_keep == 1)
