"""Scores of real targets by the mean and the quantiles of the predictive mixture."""

from __future__ import annotations

import numpy as np

from bench_uq.api import QUANTILE_LEVELS, Axis, Metric, Places, Predictions

#: Ends of the central 95 % interval among the stored levels.
LOW, HIGH = QUANTILE_LEVELS.index(0.025), QUANTILE_LEVELS.index(0.975)


def rmse(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Root of the mean squared error of the predictive mean."""
    errors = predictions["mean"].astype(np.float64) - predictions["targets"]
    return float(np.sqrt(np.square(errors).mean()))


def crps(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Continuous ranked probability score: exact, or by quantiles where predictions are old."""
    if "ranked_score" in predictions:
        return float(predictions["ranked_score"].mean(dtype=np.float64))

    # The pinball loss at level t is (1 - t) times an excess over the target and t times a lack of
    # it; the larger of both terms is the positive one. The mean over levels is the midpoint rule
    # for the integral over all of them.
    excess = _excess(predictions)
    levels = np.asarray(QUANTILE_LEVELS)
    return float(2 * np.maximum((1 - levels) * excess, -levels * excess).mean())


def picp(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Share of targets inside the central 95 % interval, ends included."""
    # One comparison of the nearer end, so that NaN at either of them stays NaN.
    excess = _excess(predictions)
    return float(_not_negative(np.minimum(-excess[:, LOW], excess[:, HIGH])).mean())


def mpiw(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Mean width of the central 95 % interval."""
    quantiles = predictions["quantiles"]
    return float((quantiles[:, HIGH].astype(np.float64) - quantiles[:, LOW]).mean())


def quantile_calibration_error(
    predictions: Predictions, _clean: Predictions | None = None
) -> float:
    """Mean gap of a level and the share of targets at or below its quantile (Kuleshov 2018)."""
    observed = _not_negative(_excess(predictions)).mean(axis=0)
    return float(np.abs(observed - QUANTILE_LEVELS).mean())


def _excess(predictions: Predictions) -> np.ndarray:
    """Excess of each quantile over the target, (N, Q)."""
    return predictions["quantiles"].astype(np.float64) - predictions["targets"][:, None]


def _not_negative(values: np.ndarray) -> np.ndarray:
    """1 if a value is at least zero, else 0."""
    # NaN stays NaN; a comparison would make it False.
    return np.heaviside(values, 1.0)


_LEVELS = f"t the midpoints of {len(QUANTILE_LEVELS)} equal steps of [0, 1]"
_INTERVAL = "central 95 % interval, from the 0.025 to the 0.975 quantile of the mixture"

METRICS = (
    Metric(
        id="rmse",
        title="root mean squared error",
        compute=rmse,
        direction="lower",
        formula="sqrt(mean_n (m_n - y_n)^2), m_n the mean of the mixture, in units of the targets",
        reference="Hernández-Lobato & Adams 2015, arXiv:1502.05336",
        needs=("mean", "targets"),
        question="accuracy",
        short="RMSE",
        order=7,
        shown=Places(
            clean=2, levels=2, stress=5, ranks=2, rank_figure=3, cost_figure=3, overview=1
        ),
        axis=Axis("RMSE"),
        margin=0.1,
    ),
    Metric(
        id="crps",
        title="continuous ranked probability score",
        compute=crps,
        direction="lower",
        formula="mean_n E|Y - y_n| - E|Y - Y'|/2, Y and Y' of the mixture, in closed form, in "
        "units of the targets; of predictions stored by older versions "
        f"mean_n mean_t 2 (1[y_n < q_t] - t)(q_t - y_n), {_LEVELS}, which is about 0.02 % higher",
        reference="Gneiting & Raftery 2007, doi:10.1198/016214506000001437; of a Gaussian mixture "
        "Grimit et al. 2006, doi:10.1256/qj.05.235",
        needs=("quantiles", "targets"),
        short="CRPS",
        order=7,
        shown=Places(clean=5, ranks=5),
        margin=0.1,
    ),
    Metric(
        id="picp",
        title="prediction interval coverage probability",
        compute=picp,
        # A coverage above 0.95 is as wrong as one below.
        direction="none",
        formula=f"share of targets inside the {_INTERVAL}; best at 0.95",
        reference="Pearce et al. 2018, arXiv:1802.07167",
        needs=("quantiles", "targets"),
        bounds=(0, 1),
        short="PICP",
        order=7,
        shown=Places(clean=9, levels=5, stress=6),
        axis=Axis("PICP"),
    ),
    Metric(
        id="mpiw",
        title="mean prediction interval width",
        compute=mpiw,
        # A narrow interval is worth something only if it covers as much.
        direction="none",
        formula=f"mean width of the {_INTERVAL}, in units of the targets; narrower is better at "
        "equal picp alone",
        reference="Pearce et al. 2018, arXiv:1802.07167",
        needs=("quantiles",),
        short="MPIW",
        order=7,
        shown=Places(clean=10),
    ),
    Metric(
        id="quantile_calibration_error",
        title="quantile calibration error",
        compute=quantile_calibration_error,
        direction="lower",
        formula=f"mean_t |share of targets at or below q_t - t|, {_LEVELS}",
        reference="Kuleshov et al. 2018, arXiv:1807.00263",
        needs=("quantiles", "targets"),
        bounds=(0, 1),
        question="calibration",
        short="Quantile\nerror",
        order=7,
        shown=Places(overview=3),
    ),
)
