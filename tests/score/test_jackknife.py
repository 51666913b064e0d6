"""Claims for new test examples: pseudo-values by group, and the variance of crossed effects."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench_uq.api.task import Predictions
from bench_uq.plan.plugins import Plugins
from bench_uq.score.analysis import analyse
from bench_uq.score.cards import Cards
from bench_uq.score.comparisons import one_test_set
from bench_uq.score.jackknife import groups_of, is_grouped, parts, pseudo_values
from bench_uq.score.likeness import marked
from bench_uq.score.results import Results, with_groups
from bench_uq.score.score import read_scores
from bench_uq.score.statistics import compare, crossed
from bench_uq.score.stress import families, over_kinds, stressed
from bench_uq.score.summarise import summary
from bench_uq.store import derived
from bench_uq.store.derived import GROUP_COLUMNS, GROUPS

METRICS = Plugins().metrics()


def predicted(random: np.random.Generator, count: int = 400, sharp: float = 2.0) -> Predictions:
    """Predictions of three classes, right more often than not."""
    targets = random.integers(0, 3, count)
    logits = random.normal(size=(count, 3))
    logits[np.arange(count), targets] += sharp
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    return Predictions(
        {
            "probs": probs,
            "targets": targets,
            "log_density": np.log(probs[np.arange(count), targets]),
            "draw_entropy": np.zeros(count),
            "inputs": np.zeros((8, 1)),
        }
    )


def test_groups_are_of_one_size_and_the_same_for_all() -> None:
    """400 examples fall into ten groups of 40, in the same way each time."""
    assert np.bincount(groups_of(400)).tolist() == [40] * GROUPS
    assert np.array_equal(groups_of(400), groups_of(400))
    assert parts(predicted(np.random.default_rng(0), 49)) == []


@pytest.mark.parametrize("name", ["accuracy", "nll", "brier"])
def test_the_pseudo_values_of_a_mean_are_the_means_of_the_groups(name: str) -> None:
    """Of a score that is a mean over examples, each is the score of the group alone."""
    shown = predicted(np.random.default_rng(1))
    metric = METRICS[name]
    found = pseudo_values(metric, metric.compute(shown, None), parts(shown), [])

    for group, value in enumerate(found):
        own = groups_of(400) == group
        arrays = {key: array[own] for key, array in shown.arrays.items() if len(array) == 400}
        assert value == pytest.approx(metric.compute(Predictions(arrays), None), abs=1e-6)


@pytest.mark.parametrize("name", ["accuracy", "ece", "adaptive_ece", "auroc_errors_entropy"])
def test_they_vary_as_the_score_does_over_test_sets(name: str) -> None:
    """Their variance is that of the score over 300 fresh test sets, within a quarter."""
    random, metric = np.random.default_rng(2), METRICS[name]
    scores, estimates = [], []
    for _ in range(300):
        shown = predicted(random)
        scores.append(metric.compute(shown, None))
        found = pseudo_values(metric, scores[-1], parts(shown), [])
        estimates.append(np.var(found, ddof=1) / GROUPS)
    assert np.mean(estimates) == pytest.approx(np.var(scores, ddof=1), rel=0.25)


def test_an_auroc_varies_by_both_sets_of_examples() -> None:
    """200 unseen and 400 clean examples: the variance over fresh ones of both, within a quarter."""
    random, metric = np.random.default_rng(3), METRICS["auroc_entropy"]
    scores, estimates = [], []
    for _ in range(300):
        unseen, clean = predicted(random, 200, sharp=0.5), predicted(random)
        scores.append(metric.compute(unseen, clean))
        found = pseudo_values(metric, scores[-1], parts(unseen), parts(clean))
        estimates.append(np.var(found, ddof=1) / GROUPS)
    assert np.mean(estimates) == pytest.approx(np.var(scores, ddof=1), rel=0.25)


def test_every_metric_of_a_table_has_them() -> None:
    """Metrics with a direction that some table shows, and no others."""
    assert all(is_grouped(METRICS[name]) for name in ("nll", "rmse", "aupr_confidence"))
    assert not any(is_grouped(METRICS[name]) for name in ("entropy", "mce", "examples"))


def test_a_score_that_is_none_has_none() -> None:
    """An infinite score, or one that is undefined without a group, has no pseudo-values."""
    shown = predicted(np.random.default_rng(4))
    assert pseudo_values(METRICS["nll"], math.inf, parts(shown), []) == []
    assert pseudo_values(METRICS["auroc_entropy"], 0.5, parts(shown), []) == []


def anova(table: np.ndarray) -> tuple[float, float, float]:
    """Mean squares of rows, columns and the rest of a table, sum by sum."""
    rows, columns = table.shape
    whole = sum(table.flatten()) / table.size
    of_rows = [sum(row) / columns for row in table]
    of_columns = [sum(column) / rows for column in table.T]
    between = columns * sum((mean - whole) ** 2 for mean in of_rows) / (rows - 1)
    across = rows * sum((mean - whole) ** 2 for mean in of_columns) / (columns - 1)
    rest = 0.0
    for row in range(rows):
        for column in range(columns):
            rest += (table[row, column] - of_rows[row] - of_columns[column] + whole) ** 2
    return between, across, rest / (rows - 1) / (columns - 1)


def test_the_variance_is_that_of_a_two_way_analysis() -> None:
    """V = (MS of seeds + MS of examples - MS of the rest) / cells, Satterthwaite's freedom."""
    random = np.random.default_rng(5)
    table = (
        random.normal(size=(4, 1)) + 2 * random.normal(size=(1, 10)) + random.normal(size=(4, 10))
    )
    seeds, examples, rest = anova(table)
    found = crossed(table.mean(axis=1), table)
    assert found.variance == pytest.approx((seeds + examples - rest) / 40)
    freedom = (seeds + examples - rest) ** 2 / (seeds**2 / 3 + examples**2 / 9 + rest**2 / 27)
    assert found.freedom == pytest.approx(freedom)
    assert found.examples == pytest.approx((examples - rest) / (seeds + examples - rest))


def test_examples_that_add_nothing_leave_students_test() -> None:
    """If examples vary less than seeds by examples do, the test is that over seeds."""
    table = np.array([[1.0, 2.0], [4.0, 3.0], [6.0, 5.5]])
    found = crossed(table.mean(axis=1), table)
    assert (found.freedom, found.examples) == (2, 0.0)
    assert found.variance == pytest.approx(np.var([1.5, 3.5, 5.75], ddof=1) / 3)


def test_a_difference_between_these_examples_is_no_claim() -> None:
    """Five seeds agree that b is 0.02 behind, by two groups of the ten: seeds alone would claim it."""
    values = {
        "a": {seed: 0.95 + 0.001 * seed for seed in range(5)},
        "b": {seed: 0.93 + 0.0012 * seed for seed in range(5)},
    }
    alone = compare(values, "higher")
    assert alone is not None
    assert (list(alone.worse), alone.crossed) == (["b"], False)

    spread = np.array([0.1, 0.1] + [0.0] * 8)
    groups = {
        "a": {seed: np.full(10, value) for seed, value in values["a"].items()},
        "b": {seed: values["a"][seed] - spread * (1 - 0.01 * seed) for seed in range(5)},
    }
    both = compare(values, "higher", groups)
    assert both is not None
    assert both.crossed
    assert (both.tied, both.worse) == (("a", "b"), {})
    assert both.examples > 0.9

    # V is the variance of 0.098 in two of ten groups: 9 degrees of freedom, t about 1.5.
    of_groups = float(np.var(0.098 * np.array([1.0, 1.0] + [0.0] * 8), ddof=1)) / 10
    assert 0.0196 / math.sqrt(of_groups) == pytest.approx(1.5, abs=0.01)
    assert 2 * stats.t.sf(1.5, 9) > 0.15


def hand(labels: list[str], groups: Callable[[str, int], np.ndarray] | None) -> Results:
    """Accuracies of two methods over five seeds, b behind by 0.02 on each."""
    rows = []
    for method, lead in (("a", 0.0), ("b", -0.02)):
        for seed in range(5):
            value = 0.95 + lead + 0.001 * seed * (1 + 10 * abs(lead))
            row = ["digits", method, seed, "clean", math.nan, "accuracy", value, f"{method}{seed}"]
            if groups is not None:
                row += list(groups(method, seed))
            rows.append(row)

    columns = derived.COLUMNS[derived.SCORES].split()
    scores = pd.DataFrame(rows, columns=[*columns, *(GROUP_COLUMNS if groups else ())])
    runs = scores[["dataset", "method", "seed", "run"]].drop_duplicates()
    runs = runs.assign(status="ok", diagnosis="", train_seconds=1.0, epochs=20.0)
    runs = marked(runs.assign(labels=[labels[seed] for seed in runs["seed"]]))
    return Results("hand", runs, scores, scores.iloc[:0])


def two_groups(method: str, seed: int) -> np.ndarray:
    """Of b two groups are behind by 0.1."""
    behind = np.array([0.1, 0.1] + [0.0] * 8) * (1 - 0.01 * seed)
    return 0.95 + 0.001 * seed - behind * (method == "b")


def test_folds_are_tested_over_seeds_alone() -> None:
    """Where each seed has examples of its own, these vary with the seeds already."""
    place = ("clean", None, "accuracy")
    shared = analyse(hand(["x"] * 5, two_groups)).on("digits").comparisons[place]
    folds = analyse(hand(list("vwxyz"), two_groups)).on("digits").comparisons[place]
    older = analyse(hand(["x"] * 5, None)).on("digits").comparisons[place]
    assert (shared.crossed, folds.crossed, older.crossed) == (True, False, False)
    assert (list(shared.worse), list(folds.worse), list(older.worse)) == ([], ["b"], ["b"])
    assert one_test_set(hand(["x"] * 5, None))
    assert not one_test_set(hand(list("vwxyz"), None))


def test_groups_stand_beside_their_scores(tmp_path: Path) -> None:
    """A score without groups keeps its row; levels that are missing are one."""
    scores = tmp_path / "scores.csv"
    scores.write_text(
        "dataset,method,seed,condition,level,metric,value,run\n"
        "d,a,0,clean,,nll,0.5,r\nd,a,0,fgsm,0.1,nll,1.5,r\nd,a,0,clean,,mce,0.1,r\n"
    )
    groups = tmp_path / "groups.csv"
    numbers = [",".join(map(str, range(start, start + GROUPS))) for start in (1, 20)]
    groups.write_text(
        f"dataset,method,seed,condition,level,metric,{','.join(GROUP_COLUMNS)},run\n"
        f"d,a,0,clean,,nll,{numbers[0]},r\nd,a,0,fgsm,0.1,nll,{numbers[1]},r\n"
    )
    packed = tmp_path / derived.BY_GROUP
    packed.write_bytes(gzip.compress(groups.read_bytes()))

    found = with_groups(derived.table(scores), packed)
    assert found["value"].tolist() == [0.5, 1.5, 0.1]
    assert found["group_9"].tolist()[:2] == [10.0, 29.0]
    assert math.isnan(found["group_0"][2])


def test_a_frame_of_scores_is_judged_as_its_folder_is(tmp_path: Path) -> None:
    """What read_scores returns knows the groups too: the difference between these examples is tied."""
    given = hand(["x"] * 5, two_groups).scores
    columns = derived.COLUMNS[derived.SCORES].split()
    given[columns].to_csv(tmp_path / derived.SCORES, index=False)
    given.drop(columns="value").to_csv(tmp_path / derived.BY_GROUP, index=False)

    scores = read_scores(tmp_path)
    runs = scores[["dataset", "method", "seed"]].assign(labels="x")
    scores.attrs["runs"] = runs.to_dict("records")
    assert summary(scores)["verdict"].tolist() == ["best", "tied"]
    scores.attrs.pop("groups")
    assert summary(scores)["verdict"].tolist() == ["best", "worse"]


def attacked(condition: str, level: float, values: tuple[float, float]) -> list[object]:
    """A row of one run under stress: its value, and the same pseudo-value in every group."""
    value, pseudo = values
    return ["d", "a", 0, condition, level, "accuracy", value, "r", *[pseudo] * GROUPS]


def test_means_under_stress_are_of_groups_too() -> None:
    """Over levels and over kinds: 0.5 and 0.7 give 0.6, their groups of 0.2 and 0.6 give 0.4."""
    rows = [attacked("fgsm", 0.1, (0.5, 0.2)), attacked("fgsm", 0.2, (0.7, 0.6))]
    rows += [attacked("corruption[kind=fog]", 1.0, (0.5, 0.2))]
    rows += [attacked("corruption[kind=scale]", 1.0, (0.7, math.nan))]
    columns = [*derived.COLUMNS[derived.SCORES].split(), *GROUP_COLUMNS]
    scores = pd.DataFrame(rows, columns=columns)
    results = Results("hand", scores[["dataset"]], scores, scores.iloc[:0])
    every = families(
        {"fgsm": [0.1, 0.2], "corruption[kind=fog]": [1.0], "corruption[kind=scale]": [1.0]}
    )

    means = stressed(results, every, Cards()).results.scores.set_index("condition")
    assert means.loc["fgsm", "value"] == pytest.approx(0.6)
    assert means.loc["fgsm", "group_3"] == pytest.approx(0.4)
    # A kind without groups leaves none to the mean.
    kinds = over_kinds(results, every).scores.set_index("condition")
    both = "corruption (mean of 2 kinds)"
    assert kinds.loc[both, "value"] == means.loc[both, "value"] == pytest.approx(0.6)
    assert math.isnan(kinds.loc[both, "group_3"])
    assert math.isnan(means.loc[both, "group_3"])
