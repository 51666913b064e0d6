"""Scoring a million predictions of ten classes: all our metrics, against single ones of others.

``all`` is every metric and curve of clean data, ``all, against clean`` those of stressed data with
the scores that separate the two; netcal's and torchmetrics' ECE take the same arrays as ours.
"""

from __future__ import annotations

import contextlib
import io

import numpy as np
import torch

from bench_uq.api.task import Predictions
from bench_uq.plan.plugins import Plugins
from bench_uq.score.curves import curves
from benchmarks import peers, rounds

METRICS = Plugins().metrics()


def predictions(count: int, classes: int, sharpness: float, seed: int) -> Predictions:
    """Random predictions that are right more often than not."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.standard_normal((count, classes)).astype(np.float32)
    targets = rng.integers(0, classes, count)
    logits[np.arange(count), targets] += 3
    probs = np.exp(logits - logits.max(1, keepdims=True))
    probs /= probs.sum(1, keepdims=True)

    entropy = -(probs * np.log(probs + 1e-12)).sum(1)
    return Predictions(
        {
            "probs": probs,
            "targets": targets,
            "log_density": np.log(probs[np.arange(count), targets]),
            "distance": rng.random(count, dtype=np.float32),
            "draw_entropy": (0.9 * entropy).astype(np.float32),
        }
    )


def everything(shown: Predictions, clean: Predictions | None) -> None:
    """Compute all scores and curves of a condition, without values kept from before."""
    fresh = Predictions(shown.arrays)
    for metric in METRICS.values():
        if metric.applies(fresh, clean):
            metric.compute(fresh, clean)
    curves(fresh)


def netcal_ece(shown: Predictions) -> float:
    """ECE of the whole arrays by netcal, called as in its documentation."""
    with contextlib.redirect_stdout(io.StringIO()):
        from netcal.metrics import ECE

        return float(ECE(15).measure(shown["probs"], shown["targets"]))


def torchmetrics_ece(shown: Predictions) -> rounds.Work:
    """ECE of the same arrays, as tensors, by torchmetrics."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    probs, targets = torch.from_numpy(shown["probs"]), torch.from_numpy(shown["targets"])
    classes = probs.shape[1]
    return lambda: multiclass_calibration_error(probs, targets, num_classes=classes, n_bins=15)


def main() -> None:
    parser = rounds.parser(__doc__, "score.csv", rounds=5)
    parser.add_argument("--examples", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=10)
    arguments = parser.parse_args()
    count, classes = arguments.examples, arguments.classes
    clean = predictions(count, classes, 2.0, 0)
    stressed = predictions(count, classes, 1.5, 1)

    subjects: dict[str, rounds.Work] = {
        "all": lambda: everything(clean, None),
        "all, against clean": lambda: everything(stressed, Predictions(clean.arrays)),
        "ece": lambda: METRICS["ece"].compute(Predictions(clean.arrays), None),
        "netcal ECE": lambda: netcal_ece(clean),
    }
    if peers.installed("torchmetrics"):
        subjects["torchmetrics ECE"] = torchmetrics_ece(clean)

    measured = rounds.interleaved(subjects, arguments.rounds)
    made = rounds.rows("score", measured, dict.fromkeys(subjects, "netcal ECE"))
    print(f"{count:,} predictions of {classes} classes, numpy {np.__version__}")
    rounds.show(made)
    rounds.write(arguments.out, made)


if __name__ == "__main__":
    main()
