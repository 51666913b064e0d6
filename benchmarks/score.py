"""Scoring a million predictions of ten classes: all of our metrics and curves, against single ones of others.

``all`` is every metric and curve of clean data, ``all, against clean`` those of stressed data with what tells the two
apart; netcal's and torchmetrics' ECE of the same arrays beside ours, which netcal computes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bench_uq.api.task import Predictions
from bench_uq.metrics import applicable, find
from bench_uq.score.curves import curves
from benchmarks import peers, rounds


def predictions(count: int, classes: int, sharpness: float, seed: int) -> Predictions:
    """Return predictions that are right more often than not."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.standard_normal((count, classes)).astype(np.float32)
    targets = rng.integers(0, classes, count)
    logits[np.arange(count), targets] += 3
    probs = np.exp(logits - logits.max(1, keepdims=True))
    probs /= probs.sum(1, keepdims=True)
    entropy = -(probs * np.log(probs + 1e-12)).sum(1)
    density, distance = (
        np.log(probs[np.arange(count), targets]),
        rng.random(count, dtype=np.float32),
    )
    arrays = {"probs": probs, "targets": targets, "log_density": density, "distance": distance}
    return Predictions({**arrays, "draw_entropy": (0.9 * entropy).astype(np.float32)})


def everything(shown: Predictions, clean: Predictions | None) -> None:
    """Compute all that a condition is scored by, nothing kept from before."""
    fresh = Predictions(shown.arrays)
    for metric in applicable(fresh, clean):
        metric.compute(fresh, clean)
    curves(fresh, clean)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/score.csv"))
    arguments = parser.parse_args()
    clean = predictions(arguments.examples, arguments.classes, 2.0, 0)
    stressed = predictions(arguments.examples, arguments.classes, 1.5, 1)
    subjects: dict[str, Callable[[], object]] = {
        "all": lambda: everything(clean, None),
        "all, against clean": lambda: everything(stressed, Predictions(clean.arrays)),
        "ece": lambda: find("ece").compute(Predictions(clean.arrays), None),
        "netcal ECE": lambda: netcal_ece(clean),
    }
    if peers.installed("torchmetrics"):
        subjects["torchmetrics ECE"] = torchmetrics_ece(clean)
    measured = rounds.interleaved(subjects, arguments.rounds)
    made = rounds.rows("score", measured, dict.fromkeys(subjects, "netcal ECE"))
    print(
        f"{arguments.examples:,} predictions of {arguments.classes} classes, numpy {np.__version__}"
    )
    rounds.show(made)
    rounds.write(arguments.out, made)


def netcal_ece(shown: Predictions) -> float:
    """Return netcal's ECE of the whole arrays, as its documentation calls it."""
    with contextlib.redirect_stdout(io.StringIO()):
        from netcal.metrics import ECE

        return float(ECE(15).measure(shown["probs"], shown["targets"]))


def torchmetrics_ece(shown: Predictions) -> Callable[[], object]:
    """Return torchmetrics' ECE of the same arrays as tensors."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    probs, targets = torch.from_numpy(shown["probs"]), torch.from_numpy(shown["targets"])
    return lambda: multiclass_calibration_error(
        probs, targets, num_classes=probs.shape[1], n_bins=15
    )


if __name__ == "__main__":
    main()
