"""The list of metrics and their cards."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bench_uq.api.errors import UsageError
from bench_uq.api.metric import Metric, card
from bench_uq.api.task import Predictions
from bench_uq.plan.plugins import Plugins

SCORES = ("entropy", "epistemic", "confidence")
DETECTION = [f"{summary}_{score}" for summary in ("auroc", "aupr", "fpr95") for score in SCORES]
REGRESSION = ["rmse", "crps", "picp", "mpiw", "quantile_calibration_error"]
CALIBRATION = ["ece", "ece_if_calibrated", "adaptive_ece", "classwise_ece", "mce"]
UNCERTAINTY = ["entropy", "aleatoric", "epistemic"]
ERRORS = ["entropy_right", "entropy_wrong", "auroc_errors_entropy"]
COVERED = ["coverage_at_risk_1", "coverage_at_risk_5"]
SELECTIVE = ["aurc", "augrc", *COVERED, "accuracy_kept_80", "accuracy_kept_50"]
SHOWN = ["accuracy", "nll", "brier", *CALIBRATION, *UNCERTAINTY, *DETECTION, *ERRORS, *SELECTIVE]
IDS = [*SHOWN, *REGRESSION, "examples", "unmoved"]
METRICS = list(Plugins().metrics().values())
each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.id)


def regressed() -> Predictions:
    """Return predictions of real targets."""
    quantiles = np.sort(np.random.default_rng(0).normal(size=(5, 100)), axis=1)
    names = ("mean", "variance", "draw_variance", "targets", "log_density")
    return Predictions(
        {**{name: np.zeros(5, np.float32) for name in names}, "quantiles": quantiles}
    )


def shown(metric: Metric, classified) -> Predictions:
    """Return predictions that a metric is of, under a shift."""
    source = regressed() if metric.id in REGRESSION else classified()
    return Predictions({**source.arrays, "distance": np.ones(len(source), np.float32)})


def applicable(predictions: Predictions, clean: Predictions | None) -> list[Metric]:
    """Metrics whose arrays are all there."""
    return [metric for metric in METRICS if metric.applies(predictions, clean)]


def ids(metrics: list[Metric]) -> list[str]:
    """Return the ids of metrics."""
    return [metric.id for metric in metrics]


def test_all_are_there_in_order():
    """The metrics are those promised, once each, in a fixed order."""
    assert ids(METRICS) == IDS


@each_metric
def test_cards_are_complete(metric):
    """Every card says what is computed, from what, which way is better, and who defined it."""
    assert metric.title
    assert metric.formula
    assert metric.needs or metric.id == "examples"  # a count needs no array
    assert metric.direction in ("lower", "higher", "none")
    assert metric.id == "examples" or any(
        year in metric.reference for year in map(str, range(1950, 2030))
    )
    assert (metric.positive is not None) == (
        metric.id in DETECTION or metric.id == "auroc_errors_entropy"
    )
    assert metric.against_clean == (metric.id in DETECTION)
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
    ranked = {"auroc_errors_entropy", *COVERED, "accuracy_kept_80", "accuracy_kept_50"}
    assert higher == {"accuracy", *(id for id in DETECTION if not id.startswith("fpr95")), *ranked}
    assert neither == {
        "ece_if_calibrated",
        *UNCERTAINTY,
        "entropy_right",
        "entropy_wrong",
        "picp",
        *IDS[-2:],
    }


def test_find_answers_with_the_known_ones():
    """A known id finds its metric; a misspelt one is a usage error with the nearest and all the others."""
    assert Plugins().spec("metric", "ece").value.id == "ece"
    with pytest.raises(
        UsageError, match=r"unknown metric 'breir'; did you mean 'brier'\? \(known: .*accuracy.*mce"
    ):
        Plugins().spec("metric", "breir")


def test_applicable_to_labels(classified):
    """Labels and clean predictions bring every metric but those of real targets; without clean no detection."""
    clean, stressed = classified(), classified(seed=1)
    assert ids(applicable(stressed, clean)) == [*SHOWN, "examples"]
    assert ids(applicable(stressed, None)) == [
        id for id in [*SHOWN, "examples"] if id not in DETECTION
    ]


def test_applicable_under_attack(classified):
    """What an attack or shift changed has every metric of labels, and the share that it left as it was."""
    attacked = Predictions({**classified(seed=1).arrays, "distance": np.full(500, 0.1, np.float32)})
    assert ids(applicable(attacked, classified())) == [*SHOWN, "examples", "unmoved"]


def test_applicable_to_unseen_data(classified):
    """Unseen data, whose labels are of no class, brings uncertainty and detection alone."""
    unseen = Predictions({name: classified()[name] for name in ("probs", "draw_entropy")})
    assert ids(applicable(unseen, classified())) == [*UNCERTAINTY, *DETECTION, "examples"]


def test_applicable_needs_the_arrays_of_clean_too(classified):
    """A detection metric is left out where the clean predictions lack an array that it needs."""
    clean = Predictions({"probs": classified()["probs"]})
    found = ids(applicable(classified(), clean))
    assert "auroc_entropy" in found
    assert "auroc_epistemic" not in found


def test_applicable_to_real_targets():
    """Real targets bring the NLL and the metrics of regression."""
    assert ids(applicable(regressed(), regressed())) == ["nll", *REGRESSION, "examples"]


def test_applicable_metrics_compute(classified):
    """Each applicable metric is a finite Python float that a second call repeats."""
    for predictions, clean in ((classified(), classified(seed=1)), (regressed(), regressed())):
        for metric in applicable(predictions, clean):
            value = metric.compute(predictions, clean)
            assert type(value) is float
            assert np.isfinite(value)
            assert metric.compute(predictions, clean) == value


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_degenerate_labels(classified, classes, count):
    """One example, one class present, certain and uniform predictions: every metric is finite, none negative.

    But for those of right and wrong predictions where there are none of these.
    """
    arrays = classified(count=count, classes=classes).arrays
    certain = np.eye(classes, dtype=np.float32)[np.zeros(count, int)]
    for probs in (arrays["probs"], certain, np.full_like(certain, 1 / classes)):
        for label in (0, 1):
            predictions = Predictions({**arrays, "probs": probs, "targets": np.full(count, label)})
            values = {
                metric.id: metric.compute(predictions, predictions)
                for metric in applicable(predictions, None)
            }
            accuracy = values["accuracy"]
            lacking = (
                {"entropy_right"}
                if accuracy == 0
                else {"entropy_wrong"}
                if accuracy == 1
                else set()
            )
            lacking |= {"auroc_errors_entropy"} if lacking else set()
            assert {
                name for name, value in values.items() if not (np.isfinite(value) and value >= 0)
            } == lacking


@each_metric
def test_nan_is_never_lost(metric, classified):
    """One NaN in an array that a metric needs makes the metric NaN: nothing is dropped silently."""
    source = shown(metric, classified)
    for name in set(metric.needs) - {"targets"}:
        damaged = np.array(source[name])
        damaged[(1, 2)[: damaged.ndim]] = np.nan  # of quantiles, the lower end of the interval
        assert np.isnan(metric.compute(Predictions({**source.arrays, name: damaged}), source))
        if metric.against_clean:
            assert np.isnan(metric.compute(source, Predictions({**source.arrays, name: damaged})))


@each_metric
def test_predictions_are_left_as_they_were(metric, classified):
    """No metric writes into the arrays that it is given."""
    source = shown(metric, classified)
    for array in source.arrays.values():
        array.setflags(write=False)
    metric.compute(source, source)


def test_import_is_light():
    """Importing the metrics and printing every card loads none of torch, netcal, scikit-learn and scipy."""
    code = (
        "import sys, bench_uq.score.curves; from bench_uq.plan.plugins import Plugins; "
        "from bench_uq.api import card; [card(one) for one in Plugins().metrics().values()];"
        "print([name for name in ('torch', 'netcal', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
