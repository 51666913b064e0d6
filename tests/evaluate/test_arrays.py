"""Scores of arrays are those of files and of scikit-learn; a wrong argument is told in one line."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import log_loss, roc_auc_score

import bench_uq
from bench_uq.api.errors import UsageError
from bench_uq.api.likelihoods import Categorical, Gaussian, Likelihood
from bench_uq.evaluate.arrays import others
from bench_uq.evaluate.bootstrap import interval, p_value
from bench_uq.evaluate.choice import Choice
from bench_uq.evaluate.inputs import classes
from bench_uq.evaluate.mixture import mixture
from bench_uq.evaluate.shown import hash_of
from bench_uq.metrics._netcal import expected_error
from bench_uq.metrics._per_example import resampled
from bench_uq.plan.plugins import Plugins

mpl.use("agg")

#: Four examples of three classes, by hand.
PROBS = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5], [0.3, 0.3, 0.4]])
LABELS = np.array([0, 1, 2, 0])


def made(count: int = 200, draws: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws (S, N, 3) and labels that follow their mean."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(count, 3)) + random.normal(size=(draws, count, 3))
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    cumulated = probs.mean(0).cumsum(1)
    return probs, (random.random((count, 1)) > cumulated[:, :-1]).sum(1)


def test_scores_by_hand() -> None:
    """Accuracy and NLL of four examples are those of pencil and paper."""
    scores = bench_uq.evaluate(PROBS, LABELS, resamples=10)
    assert scores["accuracy"] == 0.75
    assert scores["nll"] == pytest.approx(-np.log([0.7, 0.8, 0.5, 0.3]).mean())
    assert scores.at("examples").value == 4


@pytest.mark.parametrize(
    "form",
    [
        np.asarray,
        torch.tensor,
        lambda probs: torch.tensor(probs, requires_grad=True),
        pd.DataFrame,
        lambda probs: probs.tolist(),
        list,
    ],
)
def test_every_form_of_array_is_taken(form) -> None:
    """Arrays, tensors, frames and lists give the same scores."""
    expected = bench_uq.evaluate(PROBS, LABELS, resamples=10).to_frame()
    found = bench_uq.evaluate(form(PROBS), LABELS, resamples=10).to_frame()
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.tolist(),
        pd.Series(LABELS),
        pd.Series(LABELS.astype(float)),
        pd.DataFrame(LABELS),
        torch.tensor(LABELS),
        list(torch.tensor(LABELS)),
        pd.Series(LABELS, dtype="Int64"),
        pd.Series(LABELS, dtype="category"),
        pd.Index(LABELS),
    ],
)
def test_every_form_of_labels_is_taken(labels) -> None:
    """Labels may be whole floats, as frames make of whole numbers, and stand in a column."""
    for probs in (PROBS, pd.DataFrame(PROBS)):
        assert bench_uq.evaluate(probs, labels, resamples=2)["accuracy"] == 0.75


def test_draws_may_be_a_list_of_tensors_with_a_gradient() -> None:
    """As the members of an ensemble return them, where nobody said no_grad."""
    members = [torch.tensor(PROBS, requires_grad=True), torch.tensor(PROBS[::-1].copy())]
    expected = bench_uq.evaluate(np.stack([PROBS, PROBS[::-1]]), LABELS, resamples=2)
    assert bench_uq.evaluate(members, LABELS, resamples=2)["nll"] == expected["nll"]


def test_rows_of_pandas_go_by_their_place_unless_they_were_mixed_up() -> None:
    """A frame of probabilities and the labels of a split, whose index is another, belong together."""
    labels = pd.Series(LABELS, index=[17, 4, 99, 3])
    assert bench_uq.evaluate(pd.DataFrame(PROBS), labels, resamples=2)["accuracy"] == 0.75
    mixed = pd.Series(LABELS, index=[3, 2, 1, 0])
    with pytest.raises(ValueError, match=r"labels\.to_numpy\(\) if the rows do belong together"):
        bench_uq.evaluate(pd.DataFrame(PROBS), mixed)
    assert bench_uq.evaluate(pd.DataFrame(PROBS), mixed.to_numpy(), resamples=2)["accuracy"] == 0.75


def test_against_scikit_learn() -> None:
    """NLL and the AUROC of other data agree with scikit-learn."""
    (draws, labels), (other, _) = made(), made(seed=1)
    mean, flat = draws.mean(0), (other.mean(0) + 1 / 3) / 2
    scores = bench_uq.evaluate(mean, labels, unseen={"other": flat}, resamples=2)
    assert scores["nll"] == pytest.approx(log_loss(labels, mean))

    entropy = [-(one * np.log(one)).sum(1) for one in (flat, mean)]
    truth = np.repeat([1, 0], [len(flat), len(mean)])
    expected = roc_auc_score(truth, np.concatenate(entropy))
    assert scores.at("auroc_entropy", "other").value == pytest.approx(expected)


def test_two_classes() -> None:
    """Probabilities of class 1 alone give the scores of both columns."""
    ones, labels = np.array([0.2, 0.9, 0.6, 0.4]), [0, 1, 0, 1]
    expected = bench_uq.evaluate(np.stack([1 - ones, ones], 1), labels, resamples=5).to_frame()
    for form in (ones, ones[:, None]):
        found = bench_uq.evaluate(form, labels, binary=True, resamples=5)
        pd.testing.assert_frame_equal(found.to_frame(), expected)

    several = np.stack([ones - 0.1, ones + 0.1])
    draws = bench_uq.evaluate(ones, labels, several, binary=True, resamples=5)
    assert draws["accuracy"] == found["accuracy"]
    assert draws["epistemic"] > found["epistemic"] == 0


def test_two_classes_with_draws_of_unseen_data() -> None:
    """Draws of class 1, (S, N), of both clean and unseen data score as both columns do."""
    ones, labels = np.array([0.2, 0.9, 0.6, 0.4]), [0, 1, 0, 1]
    several = np.stack([ones - 0.1, ones + 0.1])
    other = np.array([[0.5, 0.4, 0.7], [0.3, 0.2, 0.9]])
    found = bench_uq.evaluate(
        ones, labels, several, unseen={"other": other}, binary=True, resamples=5
    )

    columns = {"other": np.stack([1 - other, other], -1)}
    both = np.stack([1 - several, several], -1)
    expected = bench_uq.evaluate(both, labels, unseen=columns, resamples=5)
    pd.testing.assert_frame_equal(found.to_frame(), expected.to_frame())
    assert not math.isnan(found.at("auroc_epistemic", "other").value)

    with pytest.raises(ValueError, match=r"shape \(3,\).* class 1, \(S, N\) for S draws"):
        bench_uq.evaluate(ones, labels, several, unseen={"other": other[0]}, binary=True)
    with pytest.raises(ValueError, match="has 1 draws, probs has 2"):
        bench_uq.evaluate(ones, labels, several, unseen={"other": other[:1]}, binary=True)


def test_draws_beside_their_mean() -> None:
    """Draws may be given alone or with their mean, and bring epistemic uncertainty."""
    draws, labels = made()
    alone = bench_uq.evaluate(draws, labels, resamples=2)
    beside = bench_uq.evaluate(draws.mean(0), labels, draws, resamples=2)
    pd.testing.assert_frame_equal(alone.to_frame(), beside.to_frame())
    assert alone["epistemic"] > 0.01
    with pytest.raises(ValueError, match="probs is not the mean of draws"):
        bench_uq.evaluate(draws[0], labels, draws)


def test_real_targets() -> None:
    """The NLL of a Gaussian is SciPy's, by variance and by standard deviation."""
    mean, std, targets = np.array([0.0, 2.0, 1.0]), np.array([1.0, 0.5, 2.0]), np.array([0.5, 1, 3])
    scores = bench_uq.evaluate(mean, targets, variance=std**2, resamples=5)
    assert scores["nll"] == pytest.approx(-norm.logpdf(targets, mean, std).mean())
    assert scores["rmse"] == pytest.approx(np.sqrt(((targets - mean) ** 2).mean()))
    other = bench_uq.evaluate(mean, targets, std=std, resamples=5)
    assert other["crps"] == pytest.approx(scores["crps"])


def gaussians() -> np.ndarray:
    """Draws (S, N, 2) of Gaussians."""
    return np.random.default_rng(3).normal(size=(3, 50, 2))


def log_probs() -> np.ndarray:
    """Draws (S, N, 3) of log-probabilities, some of which are of 0."""
    draws = made(50)[0]
    draws[:, :5] = [0, 0.25, 0.75]
    with np.errstate(divide="ignore"):
        return np.log(draws)


@pytest.mark.parametrize(
    ("likelihood", "draws", "targets"),
    [
        (Categorical(3), log_probs(), np.arange(50) % 3),
        (Gaussian(), gaussians(), np.linspace(-2, 2, 50)),
    ],
)
def test_mixtures_are_those_of_suites(
    likelihood: Likelihood, draws: np.ndarray, targets: np.ndarray
) -> None:
    """NumPy averages draws as torch does for the runs of a suite, with and without targets."""
    expected = likelihood.mixture(torch.tensor(draws), torch.tensor(targets))
    found = mixture(likelihood, draws, targets)
    assert found.arrays.keys() == {*expected, "targets"}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-9, atol=1e-12)
    assert "log_density" not in mixture(likelihood, draws, None)


def test_interval_of_a_mean_is_normal() -> None:
    """The interval of an accuracy has the width of its normal approximation, and holds it."""
    draws, labels = made(2000)
    score = bench_uq.evaluate(draws, labels).at("accuracy")
    width = 2 * 1.96 * np.sqrt(score.value * (1 - score.value) / 2000)
    assert score.high - score.low == pytest.approx(width, rel=0.1)
    assert score.low < score.value < score.high


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 200 samples of a skewed law, about 95 % have an interval with the law's mean."""
    held = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        sample = random.exponential(size=100)
        drawn = sample[random.integers(100, size=(500, 100))].mean(1)
        low, high = interval(sample.mean(), drawn)
        held += low < 1 < high
    assert 180 <= held <= 198


def test_intervals_by_hand() -> None:
    """1.96 standard deviations of the replicates around the score, within its bounds."""
    drawn = np.array([0.2, 0.4] * 50)
    reach = 1.959964 * drawn.std(ddof=1)
    # Resampling raises binned errors: the mean of the replicates is not the score.
    assert interval(0.25, drawn) == pytest.approx((0.25 - reach, 0.25 + reach), rel=1e-6)
    assert interval(0.9, drawn, (0, 1)) == pytest.approx((0.9 - reach, 1), rel=1e-6)


def test_no_interval_where_replicates_tell_nothing() -> None:
    """None of which many are NaN, none that are all one number, none of a score that is not finite."""
    drawn = np.linspace(0.2, 0.3, 100)
    assert np.isnan(interval(0.25, np.where(drawn < 0.21, np.nan, drawn))).all()
    assert np.isnan(interval(0.25, np.full(100, 0.25))).all()
    assert np.isnan(interval(math.inf, drawn)).all()
    assert p_value(0.1, np.full(100, 0.1)) == 1


def test_intervals_of_binned_errors_hold_as_often_as_they_say() -> None:
    """About 95 % of them hold the median ECE of as many examples, which percentiles miss."""
    random, ends, values = np.random.default_rng(0), [], []
    for _ in range(100):
        confidence = random.uniform(0.4, 1, 500)
        hits = (random.random(500) < confidence).astype(float)
        drawn = []
        for _ in range(100):
            chosen = random.integers(500, size=500)
            drawn.append(expected_error(confidence[chosen], hits[chosen], 15))
        values.append(expected_error(confidence, hits, 15))
        ends.append(interval(values[-1], np.array(drawn)))

    middle = np.median(values)
    assert sum(low < middle < high for low, high in ends) >= 90


def test_resampled_predictions_score_as_if_they_were_new() -> None:
    """What is taken along of each example is what would be computed of it again."""
    draws, labels = made()
    given = classes(draws, labels, "probs")
    predictions = mixture(given.likelihood, given.draws, given.targets)
    index = np.random.default_rng(0).integers(200, size=200)
    metrics = [one for one in Plugins().metrics().values() if one.applies(predictions, None)]
    for metric in metrics:
        metric.compute(predictions, None)

    anew = type(predictions)({name: array[index] for name, array in predictions.arrays.items()})
    for metric in metrics:
        again = metric.compute(resampled(predictions, index), None)
        np.testing.assert_equal(again, metric.compute(anew, None), err_msg=metric.id)


def test_the_same_call_gives_the_same_intervals() -> None:
    """The seed decides the resamples."""
    draws, labels = made()
    one, two, three = (
        bench_uq.evaluate(draws, labels, resamples=20, seed=seed).to_frame() for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(three)


def test_tables() -> None:
    """A notebook, LaTeX and the terminal show the score with its interval, and how it was made."""
    draws, labels = made()
    scores = bench_uq.evaluate(draws, labels, unseen={"a_b": draws}, resamples=20, name="<mine>")
    accuracy = scores.at("accuracy")
    cell = f"{accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}]"
    for text in (scores._repr_html_(), str(scores), scores.to_latex(["accuracy"])):
        assert cell in text
    assert "&lt;mine&gt;" in scores._repr_html_()
    assert "bootstrap over examples (20 resamples)" in str(scores)
    assert r"a\_b" in scores.to_latex()
    lines = scores.to_latex(["accuracy"]).splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}"
    assert lines[2] == r"condition & clean & a\_b \\"
    assert lines[4] == rf"Accuracy $\uparrow$ & {cell} &  \\"
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        scores.to_latex(["acuracy"])


def test_figures_hold_the_numbers() -> None:
    """The curves on the axes are the scores: the whole accuracy, and all examples at the end."""
    draws, labels = made()
    scores = bench_uq.evaluate(draws, labels, unseen={"other": draws[:, :50]}, resamples=2)
    rejection = scores.plot.rejection()
    assert rejection.lines[0].get_ydata()[-1] == pytest.approx(scores["accuracy"])
    entropy = scores.plot.entropy()
    assert [line.get_label() for line in entropy.lines] == ["clean", "other"]
    assert entropy.lines[1].get_ydata()[-1] == 1
    reliability = scores.plot.reliability()
    assert f"ECE {scores['ece']:.3f}" in reliability.get_title()
    assert scores.plot.entropy(reliability) is reliability
    with pytest.raises(ValueError, match="axes is one panel of matplotlib, not a ndarray"):
        scores.plot.entropy(np.array([reliability, entropy]))
    mpl.pyplot.close("all")


MISTAKES = [
    ((PROBS, LABELS[:3]), {}, "labels has the shape .3,., the predictions are of 4 examples"),
    ((PROBS, [0, 1, 2, 3]), {}, "row 3: label 3 is not 0 to 2"),
    ((PROBS, [1, 2, 3, 1]), {}, "label 3 is not 0 to 2: these labels begin at 1, subtract 1"),
    ((PROBS, [0, 1, 2, -1]), {}, "row 3: label -1"),
    ((PROBS, [0, 1, 2, np.nan]), {}, "labels: row 3 is NaN"),
    ((PROBS, [0, 1, 2, 0.5]), {}, "labels must be whole numbers"),
    ((PROBS, ["a", "b", "c", "a"]), {}, "np.searchsorted"),
    ((PROBS, pd.Series(["a", "b", "c", "a"])), {}, "labels are texts, such as 'a': give the place"),
    ((PROBS, [0, 1, None, 1]), {}, r"labels: row 2 is missing \(None\)"),
    ((PROBS, pd.Series([0, 1, 2, pd.NA], dtype=object)), {}, r"labels: row 3 is missing \(<NA>\)"),
    ((PROBS, {"labels": LABELS}), {}, "labels is a dict"),
    ((PROBS, "labels.csv"), {}, "labels is the text 'labels.csv'"),
    ((LABELS, PROBS), {}, r"swapped: evaluate\(probs, labels\)"),
    ((LABELS % 2, PROBS[:, 0]), {"binary": True}, r"swapped: evaluate\(probs, labels\)"),
    ((PROBS[:, 0], [1, -1, 1, -1]), {"binary": True}, r"-1 and 1, give \(labels \+ 1\) // 2"),
    ((PROBS, None), {}, "labels are missing"),
    ((np.where(PROBS > 0.7, np.nan, PROBS), LABELS), {}, "row 1: probs are not finite"),
    ((PROBS * 9 - 3, LABELS), {}, "these look like logits: apply softmax"),
    ((PROBS * 100, LABELS), {}, "look like percentages: divide by 100"),
    ((pd.DataFrame(PROBS).assign(label=[1, 1, 2, 1]), LABELS), {}, "without the last column they"),
    ((pd.DataFrame(PROBS).reset_index(), LABELS), {}, "without the first column they do: leave"),
    ((pd.DataFrame(PROBS).assign(name="x"), LABELS), {}, "probs holds str, not numbers"),
    ((pd.DataFrame(PROBS).astype(object).mask(PROBS > 0.7, pd.NA), LABELS), {}, "missing value"),
    ((PROBS * 0.9, LABELS), {}, "divide each row by its sum"),
    ((np.full((3, 5), 1 / 3), [0, 1, 2]), {}, "the columns do: transpose it"),
    ((PROBS, np.eye(3)[LABELS]), {}, "one-hot, .4, 3.: give labels.argmax"),
    (({"probs": PROBS}, LABELS), {}, "the first argument is a dict: give one of its entries"),
    (("probs.csv", LABELS), {}, "is the text 'probs.csv'.*bench-uq score-predictions"),
    (([], LABELS), {}, "an empty list is neither predictions nor an ensemble"),
    ((PROBS, LABELS), {"unseen": PROBS}, "unseen takes data by name"),
    (([1.0], [1.0]), {"std": [1.0], "variance": [1.0]}, "variance or std, not both"),
    ((np.log(PROBS), LABELS), {}, "these look like log-probabilities: apply exp"),
    ((PROBS[:, 0], LABELS % 2), {}, "give binary=True"),
    ((PROBS, LABELS), {"binary": True}, "leave binary out"),
    (([-3.0, 2.0], [0, 1]), {"binary": True}, "apply the sigmoid"),
    ((PROBS[0, 0], LABELS), {}, "not .N, C."),
    (([[0.5, 0.5], [1.0]], [0, 1]), {}, "differ in length"),
    ((PROBS[:, :1], LABELS * 0), {}, "sums to|give every class a column"),
    ((np.array([["a", "b"]], object), [0]), {}, "holds str, not numbers"),
    ((PROBS[:0], LABELS[:0]), {}, "empty"),
    ((PROBS, LABELS), {"draws": 20}, "draws is a number, which models take"),
    ((PROBS, LABELS), {"draws": PROBS}, "draws has the shape .4, 3., not .S, 4, 3."),
    ((PROBS, LABELS), {"unseen": {"o": PROBS[:, :2] / PROBS[:, :2].sum(1)[:, None]}}, "2 classes"),
    ((PROBS, LABELS), {"unseen": {"o": np.stack([PROBS, PROBS])}}, "has 2 draws, probs has 1"),
    ((PROBS, LABELS), {"unseen": {"o": PROBS * 9 - 3}}, "unseen 'o': row 0 sums to .*softmax"),
    ((PROBS, LABELS), {"unseen": {"clean": PROBS}}, "cannot be called 'clean'"),
    ((PROBS, LABELS), {"unseen": {"O o": PROBS}}, "'O o' is no name for a dataset"),
    ((PROBS, LABELS), {"unseen": {3: PROBS}}, "names of unseen data are texts, not 3"),
    ((PROBS, LABELS), {"unseen": {"o": (PROBS, LABELS)}}, "give its predictions alone, no labels"),
    ((PROBS, LABELS), {"conditions": {"fgsm": [0.1]}}, "conditions: only for models"),
    ((PROBS, LABELS), {"resamples": 1}, "resamples must be at least 2, not 1"),
    ((PROBS, LABELS), {"resamples": "20"}, "resamples must be a whole number, not '20'"),
    ((PROBS, LABELS), {"seed": -1}, "seed must be at least 0, not -1"),
    ((PROBS, LABELS), {"seed": 0.5}, "seed must be a whole number, not 0.5"),
    (([1.0, 2.0], None), {"std": 1.0}, "targets are missing"),
    (
        (pd.Series([1.0, 2.0]), pd.Series([1.0, 2.0], index=[1, 0])),
        {"std": 1.0},
        "targets have the index of mean in another order",
    ),
    (([1.0, 2.0], [1.0, 2.0]), {"variance": [1.0, 0.0]}, "variance 0 is not positive"),
    (([1.0, 2.0], [1.0]), {"std": [1.0, 1.0]}, "targets has the shape"),
    (([1.0], [1.0]), {"std": [1.0], "unseen": {"o": [1.0]}}, "are of classes"),
    (
        (pd.DataFrame(PROBS), pd.Series(LABELS, index=[3, 2, 1, 0])),
        {},
        "labels have the index of probs in another order",
    ),
]


def test_only_scores_are_compared() -> None:
    """Arrays are refused with what compare takes."""
    scores = bench_uq.evaluate(PROBS, LABELS, resamples=2)
    for both in ((scores, PROBS), (PROBS, scores)):
        with pytest.raises(ValueError, match="compare takes what evaluate returns, not a ndarray"):
            bench_uq.compare(*both)


@pytest.mark.parametrize(("given", "options", "told"), MISTAKES)
def test_a_wrong_argument_is_told_in_one_line(given, options, told) -> None:
    """Bad input is a ValueError, also a UsageError, of one line that says what to do."""
    with pytest.raises(ValueError, match=told) as caught:
        bench_uq.evaluate(*given, **options)
    assert isinstance(caught.value, UsageError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"conditions": ["fgsm"]}, "conditions"),
        ({"mean": np.zeros(3)}, "mean"),
        ({"outputs": "logits"}, "outputs"),
        ({"output": 0}, "output"),
        ({"mc_dropout": True}, "mc_dropout"),
        ({"device": "cpu"}, "device"),
        ({"test_images": 5}, "test_images, attack_images, shift_images"),
        ({"attack_images": 5}, "test_images, attack_images, shift_images"),
        ({"mc_dropout": True, "device": "cpu"}, "mc_dropout, device"),
    ],
)
def test_arguments_of_models_are_refused_for_arrays(options, told: str) -> None:
    """An argument without use is named as the caller spells it, also where its value is false."""
    with pytest.raises(ValueError, match=f"^{told}: only for models"):
        bench_uq.evaluate(PROBS, LABELS, **options)


def test_real_targets_in_columns_and_one_spread_for_all() -> None:
    """Columns (N, 1), as models return them, and a standard deviation that all examples share."""
    mean, targets = np.array([1.0, 2.0, 3.0]), np.array([1.1, 1.8, 3.3])
    expected = bench_uq.evaluate(mean, targets, std=np.full(3, 0.2), resamples=2)
    columns = (mean[:, None], targets[:, None])

    for given, std in (((mean, targets), 0.2), (columns, 0.2), (columns, np.full((3, 1), 0.2))):
        assert bench_uq.evaluate(*given, std=std, resamples=2)["crps"] == expected["crps"]
    # Three draws of one example are no column.
    draws = bench_uq.evaluate(mean[:, None], [1.1], std=np.full((3, 1), 0.2), resamples=2)
    assert len(draws.clean["mean"]) == 1


def test_one_metric_may_be_a_text() -> None:
    """A name stands for a list of one, in tables and comparisons."""
    one = bench_uq.evaluate(PROBS, LABELS, resamples=2, name="one")
    other = bench_uq.evaluate(PROBS[::-1].copy(), LABELS, resamples=2, name="other")
    assert one.to_latex("nll") == one.to_latex(["nll"])
    found = bench_uq.compare(one, other, metrics="nll")
    assert [difference.metric for difference in found.differences] == ["nll"]


def test_arguments_at_their_default_are_not_refused() -> None:
    """The default, written out, is no other choice; an empty mapping of conditions is none."""
    plain = {"conditions": {}, "outputs": "auto", "device": "auto", "mc_dropout": False}
    scores = bench_uq.evaluate(PROBS, LABELS, resamples=2, mean=None, output=None, **plain)
    assert scores["accuracy"] == 0.75
    assert Choice().given(vars(Choice())) == []
    assert Choice(std=PROBS, output=0).given(["std", "output", "mean"]) == ["std", "output"]


def test_a_forest_is_asked_for_its_probabilities() -> None:
    """A model of scikit-learn is answered with the call that works."""

    class Forest:
        predict_proba = None

    with pytest.raises(ValueError, match=r"evaluate\(model\.predict_proba\(inputs\), labels\)"):
        bench_uq.evaluate(Forest(), "digits")


def test_rounded_probabilities_are_noted() -> None:
    """Probabilities of three digits are normalised, and the table says so."""
    scores = bench_uq.evaluate([[0.333, 0.333, 0.333]], [0], resamples=2)
    assert "they were normalised" in str(scores)
    assert scores["nll"] == pytest.approx(np.log(3))


def test_unseen_data_need_the_classes_of_the_others() -> None:
    """Predictions of other data are checked like those of the test data."""
    clean = classes(PROBS, LABELS, "probs")
    assert others({"one": PROBS[:2]}, clean, binary=False)["one"].targets is None


def test_unknown_places_of_a_score() -> None:
    """A metric, condition or level without a score is answered with the known ones."""
    scores = bench_uq.evaluate(PROBS, LABELS, resamples=2)
    with pytest.raises(UsageError, match="unknown condition 'fgsm'"):
        scores.at("accuracy", "fgsm", 0.1)
    with pytest.raises(UsageError, match="did you mean 'brier'"):
        scores["briar"]


def test_the_source_is_of_every_name_type_shape_and_byte() -> None:
    """Equal arrays have one hash in any order of the names; another name, type or shape has its own."""
    ones = np.ones((2, 3))
    expected = hash_of({"a": ones, "b": LABELS})
    assert hash_of({"b": LABELS, "a": np.asfortranarray(ones)}) == expected
    others = [
        {"a": ones},
        {"aa": ones, "b": LABELS},
        {"a": ones.T, "b": LABELS},
        {"a": ones.view(np.int64), "b": LABELS},
        {"a": ones + 1, "b": LABELS},
    ]
    assert len({expected, *map(hash_of, others)}) == 6

    frame = bench_uq.evaluate(pd.DataFrame(PROBS), LABELS, resamples=2)
    assert frame.source == bench_uq.evaluate(PROBS.tolist(), LABELS.tolist(), resamples=2).source
    assert frame.source != bench_uq.evaluate(PROBS, LABELS[::-1], resamples=2).source
