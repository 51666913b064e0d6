"""Calibration errors: the distance of stated confidence from the share of hits, per bin."""

from __future__ import annotations

import numpy as np

from bench_uq.api import Axis, Metric, Places, Predictions
from bench_uq.metrics import _netcal as netcal_adapter
from bench_uq.metrics._per_example import confidence, correct

#: As in Guo et al. 2017.
BINS = 15
#: Simulated test sets behind ece_if_calibrated.
REPLICATES = 200


def ece(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Expected calibration error of the top label, bins of equal width (Naeini 2015)."""
    return netcal_adapter.expected_error(confidence(predictions), correct(predictions), BINS)


def ece_if_calibrated(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Mean ECE of a calibrated model with exactly these confidences (Bröcker & Smith 2007)."""
    stated = confidence(predictions)
    bins = netcal_adapter.equal_width_bins(stated, BINS)
    # A fixed seed: the same confidences have the same floor.
    generator = np.random.default_rng(0)

    errors = []
    for _ in range(REPLICATES):
        hits = generator.random(len(stated)) < stated
        # The sum over a bin is |B_b| (acc(B_b) - conf(B_b)): its size cancels out.
        gaps = np.bincount(bins, weights=hits - stated)
        errors.append(np.abs(gaps).sum() / len(stated))
    return float(np.mean(errors))


def adaptive_ece(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Expected calibration error, bins of equal mass (Nguyen & O'Connor 2015)."""
    return netcal_adapter.equal_mass_error(confidence(predictions), correct(predictions), BINS)


def classwise_ece(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Mean over classes of the ECE of p(k|x) against 1[y = k] (Kull 2019)."""
    # Float32 probabilities can exceed 1 by a rounding.
    probs = np.minimum(predictions["probs"].astype(np.float64), 1.0)
    is_class = predictions["targets"][:, None] == np.arange(probs.shape[1])

    errors = []
    for probability, hits in zip(probs.T, is_class.T.astype(np.float64), strict=True):
        errors.append(netcal_adapter.expected_error(probability, hits, BINS))
    return float(np.mean(errors))


def mce(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Largest calibration error of a bin of equal width (Naeini 2015)."""
    return netcal_adapter.maximum_error(confidence(predictions), correct(predictions), BINS)


_EDGES = "an edge belongs to the bin above it, [lo, hi), and 1 to the last; in Guo et al. (lo, hi]"
_TOP_LABEL = f"{BINS} of equal width in [0, 1] on the confidence max_k p(k|x); {_EDGES}"

METRICS = (
    Metric(
        id="ece",
        title="expected calibration error",
        compute=ece,
        direction="lower",
        formula="sum_b |B_b|/N |acc(B_b) - conf(B_b)|; positive at small N even if calibrated",
        reference="Naeini et al. 2015, AAAI; Guo et al. 2017, arXiv:1706.04599",
        needs=("probs", "targets"),
        bins=_TOP_LABEL,
        bounds=(0, 1),
        # The ECE of few examples is positive even if the model is calibrated.
        companion="ece_if_calibrated",
        question="calibration",
        short="ECE",
        order=2,
        shown=Places(
            clean=6, levels=4, level_tables=3, stress=7, ranks=6, rank_figure=4, overview=3
        ),
        axis=Axis("ECE", form="from zero"),
        margin=0.25,
    ),
    Metric(
        id="ece_if_calibrated",
        title="ECE floor: the ECE that a perfectly calibrated model would show at this N",
        compute=ece_if_calibrated,
        direction="none",
        formula=f"mean ECE of {REPLICATES} simulations of hit_n ~ Bernoulli(max_k p(k|x_n)), "
        "fixed seed",
        reference="Bröcker & Smith 2007, doi:10.1175/WAF993.1; "
        "Vaicenavicius et al. 2019, arXiv:1902.06977",
        needs=("probs", "targets"),
        bins=_TOP_LABEL,
        bounds=(0, 1),
        short="ECE\nfloor",
        note="ECE floor: expected ECE if calibrated, on as many examples.",
        order=2,
        shown=Places(clean=7, level_tables=4, stress=8),
    ),
    Metric(
        id="adaptive_ece",
        title="adaptive expected calibration error",
        compute=adaptive_ece,
        direction="lower",
        formula="sum_b |B_b|/N |acc(B_b) - conf(B_b)|",
        reference="Nguyen & O'Connor 2015, arXiv:1508.05154; Nixon et al. 2019, arXiv:1904.01685",
        needs=("probs", "targets"),
        bins=f"{BINS} of equal mass on the confidence max_k p(k|x); equal confidences share a bin",
        bounds=(0, 1),
        short="Adaptive\nECE",
        order=2,
        shown=Places(clean=8),
    ),
    Metric(
        id="classwise_ece",
        title="classwise expected calibration error",
        compute=classwise_ece,
        direction="lower",
        formula="mean_k sum_b |B_bk|/N |mean 1[y = k] - mean p(k|x)|, over every class",
        reference="Kull et al. 2019, arXiv:1910.12656; Nixon et al. 2019, arXiv:1904.01685",
        needs=("probs", "targets"),
        bins=f"{BINS} of equal width in [0, 1] on p(k|x), for each class k; {_EDGES}",
        bounds=(0, 1),
        order=2,
    ),
    Metric(
        id="mce",
        title="maximum calibration error",
        compute=mce,
        direction="lower",
        formula="max_b |acc(B_b) - conf(B_b)| over the bins that are not empty",
        reference="Naeini et al. 2015, AAAI",
        needs=("probs", "targets"),
        bins=_TOP_LABEL,
        bounds=(0, 1),
        order=2,
    ),
)
