"""Arrays of a user's file to draws and targets of a likelihood, every value checked.

Shapes as in api/task.py: N examples, C classes, S draws.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench_uq.api.errors import UsageError
from bench_uq.api.likelihoods import Categorical, Gaussian, Likelihood
from bench_uq.api.task import Predictions
from bench_uq.run.imported.files import CLASSES, SPREADS, Raw, read_arrays

#: How far rounded probabilities may lie below 0 or above 1, and their sum from 1: half a percent,
#: as ten classes of three digits do. They are normalised, and beyond ROUNDING that is told.
TOLERANCE, ROUNDING = 5e-3, 1e-5

#: Examples that are averaged at a time, which bounds the memory and changes no number.
BLOCK = 1024


@dataclass(frozen=True)
class Outputs:
    """Draws (S, N, P) of a file, not yet normalised, and targets (N,) if they count."""

    path: Path
    sha256: str
    likelihood: Likelihood
    draws: np.ndarray
    targets: np.ndarray | None
    place: Callable[[int, int], str]
    # Whether draws are the first axis of an array: by mistake it may be that of the examples.
    stacked: bool = False
    note: str = ""  # what was done to its numbers

    def mixture(self) -> Predictions:
        """Average the draws as those of any run are averaged."""
        import torch

        blocks = []
        for start in range(0, self.draws.shape[1], BLOCK):
            block = slice(start, start + BLOCK)
            draws = self.likelihood.normalise(torch.from_numpy(self.draws[:, block].copy()))
            targets = None
            if self.targets is not None:
                targets = torch.from_numpy(self.targets[block])
            blocks.append(self.likelihood.mixture(draws, targets))

        arrays = {}
        for name in blocks[0]:
            arrays[name] = torch.cat([block[name] for block in blocks]).numpy()
        if self.targets is not None:
            arrays["targets"] = self.targets
        return Predictions(arrays)


def read(path: Path, *, labelled: bool, binary: bool = False) -> Outputs:
    """Read a file of predictions; with ``labelled`` its targets count.

    With ``binary`` probabilities are those of class 1 of two classes, (N,).
    """
    try:
        if not path.is_file():
            raise UsageError(f"no file {str(path)!r}")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error}") from error

    raw = read_arrays(path, content, labelled=labelled)
    if binary:
        raw = both_classes(raw)
    likelihood, draws = real_draws(raw) if is_regression(raw) else class_draws(raw)
    targets = checked_targets(raw, likelihood, draws) if labelled else None

    digest = hashlib.sha256(content).hexdigest()
    # In a CSV file columns name example and draw.
    axes = next(raw.arrays[name].ndim for name in (*CLASSES, "mean") if name in raw.arrays)
    stacked = path.suffix == ".npz" and axes == draws.ndim - (
        not isinstance(likelihood, Categorical)
    )
    return Outputs(path, digest, likelihood, draws, targets, raw.place, stacked, rounded(raw))


def both_classes(raw: Raw) -> Raw:
    """Probabilities of class 1, (N,) or (N, 1), as those of both classes, (N, 2)."""
    values = floats(raw, "probs") if "probs" in raw.arrays else np.empty((0, 0))
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise UsageError(
            f"{raw.path}: --binary is for probs of class 1, (N,), in a CSV file the column prob"
        )
    probs = np.stack([1 - values, values], axis=-1)
    return dataclasses.replace(raw, arrays={**raw.arrays, "probs": probs})


def is_regression(raw: Raw) -> bool:
    """Whether a file holds real predictions; it must hold one form of one kind."""
    forms = [name for name in CLASSES if name in raw.arrays]
    spreads = [name for name in SPREADS if name in raw.arrays]
    real = [name for name in ("mean", *spreads) if name in raw.arrays]

    for several in (forms, spreads):
        if len(several) > 1:
            raise UsageError(f"{raw.path} holds {' and '.join(several)}: one of them says it all")
    if forms and real:
        raise UsageError(
            f"{raw.path} holds {forms[0]} of classes and {real[0]} of real targets: "
            "it is one or the other"
        )
    if not forms and len(real) < 2:
        raise UsageError(
            f"{raw.path} holds neither {', '.join(CLASSES)} of classes nor mean with variance "
            "or std"
        )
    return bool(real)


def class_draws(raw: Raw) -> tuple[Likelihood, np.ndarray]:
    """Likelihood and draws (S, N, C): log-probabilities, or logits, which are normalised later."""
    name = next(name for name in CLASSES if name in raw.arrays)
    values = floats(raw, name)
    if values.ndim not in (2, 3):
        hint = ""
        if values.ndim == 1 and name == "probs":
            hint = "; --binary if these are the probabilities of class 1 of two"
        raise UsageError(
            f"{raw.path}: {name} has the shape {values.shape}, not (N, C), or (S, N, C) for S "
            f"draws{hint}"
        )
    if values.ndim == 2:
        values = values[None]
    classes = values.shape[2]
    if classes < 2:
        raise UsageError(f"{raw.path}: {name} has {classes} class: give every class a column")

    # A log-probability of -inf is a probability of 0.
    fine = np.isfinite(values)
    if name == "log_probs":
        fine |= np.isneginf(values)
    refuse(raw, ~fine.all(-1), lambda at: f"{name} are not finite")
    shares = fitting(values)
    if name == "logits" and shares["probs"] == 1:
        raise UsageError(
            f"{raw.path}: every row of logits is non-negative and sums to 1: these are "
            "probabilities, and a second softmax would flatten them; call them probs"
        )
    if name == "logits":
        return Categorical(classes), values

    # A log-probability above 1 is as wrong as 1, and does not overflow.
    probs = values if name == "probs" else np.exp(np.minimum(values, 1))
    # A few bad rows make no logits of the others.
    form = max(shares, key=lambda one: shares[one]) if max(shares.values()) > 0.5 else "logits"
    hint = "" if form == name else f"; they look like {form}: call them so"
    # Shares of something, whose softmax would be flat.
    if form == "logits" and name == "probs" and values.min() >= 0 and values.max() <= 1:
        hint = "; divide each row by its sum, if they are probabilities"
    check_probs(raw, probs, hint)
    if name == "log_probs":
        return Categorical(classes), values
    # The logarithm of a probability of 0 is -inf, which is meant.
    with np.errstate(divide="ignore"):
        return Categorical(classes), np.log(np.maximum(values, 0))


def fitting(values: np.ndarray) -> dict[str, float]:
    """Share of the rows (S, N, C) that are probabilities, and that are log-probabilities."""
    shares = {}
    for name, probs in (("probs", values), ("log_probs", np.exp(np.minimum(values, 1)))):
        sums = abs(probs.sum(-1) - 1) <= TOLERANCE
        shares[name] = float((sums & (probs >= -TOLERANCE).all(-1)).mean())
    return shares


def check_probs(raw: Raw, probs: np.ndarray, advice: str) -> None:
    """Refuse probabilities (S, N, C) outside of [0, 1], or that do not sum to 1."""
    sums, within = probs.sum(-1), f"(within {TOLERANCE:g}){advice}"
    # A sum in binary must not be what decides about 0.995.
    allowed = TOLERANCE + 1e-9

    refuse(
        raw,
        np.any(probs < -allowed, axis=-1),
        lambda at: f"probability {probs[at].min():g} is negative {within}",
    )
    refuse(
        raw,
        np.any(probs > 1 + allowed, axis=-1),
        lambda at: f"probability {probs[at].max():g} exceeds 1 {within}",
    )
    refuse(
        raw,
        abs(sums - 1) > allowed,
        lambda at: f"the probabilities sum to {sums[at]:.6g}, not 1 {within}",
    )


def rounded(raw: Raw) -> str:
    """Note on rows of probabilities that are rounded, and so are normalised; otherwise empty."""
    name = next((name for name in ("probs", "log_probs") if name in raw.arrays), None)
    if name is None:
        return ""

    values = floats(raw, name)
    probs = values if name == "probs" else np.exp(values)
    off = np.maximum(abs(probs.sum(-1) - 1), -probs.min(-1))
    count = int((off > ROUNDING).sum())
    if not count:
        return ""
    return (
        f"{raw.path}: {count} of {off.size} rows of {name} are probabilities that sum to 1 "
        f"within {TOLERANCE:g} only (off by up to {off.max():.2g}); they were normalised"
    )


def real_draws(raw: Raw) -> tuple[Likelihood, np.ndarray]:
    """Likelihood and draws (S, N, 2), mean and log-variance."""
    name = next(name for name in SPREADS if name in raw.arrays)
    mean, spread = floats(raw, "mean"), floats(raw, name)
    if mean.shape != spread.shape or mean.ndim not in (1, 2):
        raise UsageError(
            f"{raw.path}: mean has the shape {mean.shape} and {name} {spread.shape}, "
            "not both (N,) or (S, N)"
        )
    if mean.ndim == 1:
        mean, spread = mean[None], spread[None]

    refuse(raw, ~np.isfinite(mean), lambda at: "mean is not finite")
    refuse(raw, ~np.isfinite(spread), lambda at: f"{name} is not finite")
    refuse(raw, spread <= 0, lambda at: f"{name} {spread[at]:g} is not positive")
    log_variance = np.log(spread) * (2 if name == "std" else 1)

    # Squares of such numbers are still finite in double precision.
    limits = np.finfo(np.float32)
    low, high = np.log(limits.tiny), np.log(limits.max)
    beyond = (abs(mean) > limits.max) | (log_variance < low) | (log_variance > high)
    refuse(
        raw,
        beyond,
        lambda at: f"mean {mean[at]:g} or {name} {spread[at]:g} is beyond single precision",
    )
    return Gaussian(), np.stack([mean, log_variance], axis=-1)


def checked_targets(raw: Raw, likelihood: Likelihood, draws: np.ndarray) -> np.ndarray:
    """Targets (N,) of draws (S, N, P), in the type of the likelihood."""
    name, other = "targets", "labels"
    if isinstance(likelihood, Categorical):
        name, other = other, name
    if other in raw.arrays:
        raise UsageError(f"{raw.path} holds {other}: what belongs to its predictions are {name}")
    if name not in raw.arrays:
        raise UsageError(f"{raw.path} holds no {name} (only out-of-distribution data need none)")

    values, (several, count, _) = raw.arrays[name], draws.shape
    if values.shape != (count,):
        hint = ""
        if values.shape == (several,):
            hint = f"; their first axis is that of the draws, here {several}"
        raise UsageError(
            f"{raw.path}: {name} has the shape {values.shape}, "
            f"the predictions are of {count} examples{hint}"
        )

    if not isinstance(likelihood, Categorical):
        values = floats(raw, name)
        fine = abs(values) <= np.finfo(np.float32).max
        refuse(
            raw,
            ~fine[None],
            lambda at: f"target {values[at[1]]:g} is not finite, or beyond single precision",
        )
        return values

    if values.dtype.kind not in "iu":
        raise UsageError(f"{raw.path}: labels must be whole numbers (int64), not {values.dtype}")
    outside = (values < 0) | (values >= likelihood.classes)
    last, hint = likelihood.classes - 1, ""
    if values.min() == 1 and values.max() == likelihood.classes:
        hint = ": these labels begin at 1, subtract 1"
    if set(np.unique(values)) == {-1, 1} and last == 1:
        hint = ": these labels are -1 and 1, give (labels + 1) // 2"
    refuse(raw, outside[None], lambda at: f"label {values[at[1]]} is not 0 to {last}{hint}")
    return values.astype(np.int64)


def floats(raw: Raw, name: str) -> np.ndarray:
    """An array in double precision; other values than numbers, and an empty array, are refused."""
    values = raw.arrays[name]
    if values.dtype.kind not in "iuf":
        raise UsageError(f"{raw.path}: {name} must be real numbers, not {values.dtype}")
    if values.size == 0:
        raise UsageError(f"{raw.path}: {name} is empty, its shape is {values.shape}")
    return values.astype(np.float64)


def refuse(raw: Raw, bad: np.ndarray, reason: Callable[[tuple[int, int]], str]) -> None:
    """Name the first bad row of (S, N), and why; draw by draw, the first draw first."""
    if bad.any():
        draw, row = (int(index) for index in np.argwhere(bad)[0])
        raise UsageError(f"{raw.path}: {raw.place(draw, row)}: {reason((draw, row))}")
