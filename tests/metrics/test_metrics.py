"""The list of metrics and their cards."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bench_uq.api.errors import UsageError
from bench_uq.api.metric import Metric, card
from bench_uq.api.task import Predictions
from bench_uq.plan.plugins import Plugins
from bench_uq.testing import checks_in, checks_of, run
from bench_uq.testing.targets import targets

SCORES = ("entropy", "epistemic", "confidence")
OWN = ["auroc_own", "aupr_own", "fpr95_own"]  # of methods with an OOD score of their own
SUMMARIES = ("auroc", "aupr", "fpr95")
DETECTION = [f"{summary}_{score}" for summary, score in product(SUMMARIES, SCORES)]
REGRESSION = ["rmse", "crps", "picp", "mpiw", "quantile_calibration_error"]
CALIBRATION = ["ece", "ece_if_calibrated", "adaptive_ece", "classwise_ece", "mce"]
UNCERTAINTY = ["entropy", "aleatoric", "epistemic"]
ERRORS = ["entropy_right", "entropy_wrong", "auroc_errors_entropy"]
COVERED = ["coverage_at_risk_1", "coverage_at_risk_5"]
KEPT = [f"accuracy_kept_{kept}" for kept in ("80", "50", "80_confidence", "50_confidence")]
SELECTIVE = ["aurc", "augrc", *COVERED, *KEPT]
SHOWN = ["accuracy", "nll", "brier", *CALIBRATION, *UNCERTAINTY, *DETECTION, *ERRORS, *SELECTIVE]
IDS = [*SHOWN, *REGRESSION, "examples", "unmoved", "attack_draws"]
METRICS = list(Plugins().metrics().values())
each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.id)


def regressed() -> Predictions:
    """Return predictions of real targets."""
    quantiles = np.sort(np.random.default_rng(0).normal(size=(5, 100)), axis=1)
    names = ("mean", "variance", "draw_variance", "targets", "log_density")
    return Predictions(
        {**{name: np.zeros(5, np.float32) for name in names}, "quantiles": quantiles}
    )


def applicable(predictions: Predictions, clean: Predictions | None) -> list[Metric]:
    """Metrics whose arrays are all there."""
    return [metric for metric in METRICS if metric.applies(predictions, clean)]


def ids(metrics: list[Metric]) -> list[str]:
    """Return the ids of metrics."""
    return [metric.id for metric in metrics]


def known(metrics: list[Metric]) -> list[str]:
    """Return the ids of those metrics that this file knows."""
    return [id for id in ids(metrics) if id in IDS]


def test_all_are_there_in_order():
    """The metrics promised are there, once each, in a fixed order; others may stand among them."""
    assert known(METRICS) == IDS


@each_metric
def test_cards_are_complete(metric):
    """Every card says what is computed from what, and who defined it, where each of these is due."""
    # A count needs no array, a floor none but those of the reference.
    assert metric.needs or metric.needs_of_reference or metric.id == "examples"
    years = map(str, range(1950, 2030))
    assert metric.id == "examples" or any(year in metric.reference for year in years)
    told_apart = metric.id in (*DETECTION, *OWN, "auroc_errors_entropy")
    assert (metric.positive is not None) == told_apart
    assert metric.against_clean == (metric.id in (*DETECTION, *OWN))
    assert (metric.bins is not None) == (metric.id in CALIBRATION)


@each_metric
def test_cards_are_printed_whole(metric):
    """The printed card holds every part, one a line, aligned."""
    lines = card(metric).splitlines()
    assert lines[0] == f"{metric.id}: {metric.title}"
    assert all(line[:2] == "  " and line[11:13] == "  " and line[13] != " " for line in lines[1:])
    for part in (metric.formula, metric.reference, metric.bins, metric.positive):
        assert part is None or any(line.endswith(part) for line in lines)


def test_directions():
    """The direction of each kind of metric is the one its name implies."""
    higher = {metric.id for metric in METRICS if metric.direction == "higher"}
    neither = {metric.id for metric in METRICS if metric.direction == "none"}
    ranked = {"auroc_errors_entropy", *COVERED, *KEPT}
    assert higher & set(IDS) == {
        "accuracy",
        *(id for id in DETECTION if not id.startswith("fpr95")),
        *ranked,
    }
    entropies = {*UNCERTAINTY, "entropy_right", "entropy_wrong"}
    assert neither & set(IDS) == {"ece_if_calibrated", *entropies, "picp", "mpiw", *IDS[-3:]}


def test_find_answers_with_the_known_ones():
    """A known id finds its metric; a misspelt one is a usage error with the nearest and all the
    others.
    """
    assert Plugins().spec("metric", "ece").value.id == "ece"
    with pytest.raises(
        UsageError, match=r"unknown metric 'breir'; did you mean 'brier'\? \(known: .*accuracy.*mce"
    ):
        Plugins().spec("metric", "breir")


def test_what_applies_to_what(classified):
    """Labels bring every metric but those of real targets, and detection beside clean predictions.

    Unseen data, whose labels are of no class, bring uncertainty and detection alone.
    """
    clean, stressed = classified(), classified(seed=1)
    labels = [*SHOWN, "examples"]
    assert known(applicable(stressed, clean)) == labels
    assert known(applicable(stressed, None)) == [id for id in labels if id not in DETECTION]
    attacked = Predictions({**stressed.arrays, "distance": np.full(500, 0.1, np.float32)})
    assert known(applicable(attacked, clean)) == [*labels, "unmoved"]
    unseen = Predictions({name: stressed[name] for name in ("probs", "draw_entropy")})
    assert known(applicable(unseen, clean)) == [*UNCERTAINTY, *DETECTION, "examples"]
    assert known(applicable(regressed(), regressed())) == ["nll", *REGRESSION, "examples"]

    lacking = applicable(stressed, Predictions({"probs": clean["probs"]}))
    assert "auroc_entropy" in ids(lacking)
    assert "auroc_epistemic" not in ids(lacking)


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_degenerate_labels(classified, classes, count):
    """One example, one class present, certain and uniform predictions: every metric is finite, none negative.

    But for those of right and wrong predictions where there are none of these.
    """
    arrays = classified(count=count, classes=classes).arrays
    certain = np.eye(classes, dtype=np.float32)[np.zeros(count, int)]
    absent = {0: "entropy_right", 1: "entropy_wrong"}  # by accuracy
    for probs in (arrays["probs"], certain, np.full_like(certain, 1 / classes)):
        for label in (0, 1):
            predictions = Predictions({**arrays, "probs": probs, "targets": np.full(count, label)})
            found = applicable(predictions, None)
            values = {metric.id: metric.compute(predictions, predictions) for metric in found}
            lacking = {name for name, value in values.items() if not 0 <= value < np.inf}
            none = absent.get(values["accuracy"])
            assert lacking == ({none, "auroc_errors_entropy"} if none else set())


@pytest.mark.parametrize("check", [check.name for check, _ in checks_in("metric")])
@each_metric
def test_checks(metric, check):
    """Each metric keeps each promise: finite, repeatable, NaN where an array has one, writing
    nothing.
    """
    (target,) = targets([metric.id], "metric", (), Path())
    verdict = next(run(one, given, target) for one, given in checks_of(target) if one.name == check)
    allowed = ("ok", "note") if metric.id == "examples" else ("ok",)  # a count has no author
    assert verdict.status in allowed, verdict.reason


def test_import_is_light():
    """Importing the metrics and printing every card loads none of torch, netcal, scikit-learn and
    scipy.
    """
    code = (
        "import sys, bench_uq.score.curves; from bench_uq.plan.plugins import Plugins; "
        "from bench_uq.api import card; [card(one) for one in Plugins().metrics().values()];"
        "print([name for name in ('torch', 'netcal', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
