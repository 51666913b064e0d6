"""Arrays of a user's file -> draws and targets of a likelihood, after a look at every value.

Shapes as in contracts.py: N examples, C classes, S draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench_uq.api.errors import UsageError
from bench_uq.api.likelihoods import Categorical, Gaussian, Likelihood
from bench_uq.api.task import Predictions
from bench_uq.run.imported.files import CLASSES, SPREADS, Raw, read_arrays

#: How far the probabilities of an example may sum to something else than 1.
TOLERANCE = 1e-3
#: Examples that are averaged at a time, which bounds the memory and changes no number.
BLOCK = 1024


@dataclass(frozen=True)
class Outputs:
    """What a file says: draws (S, N, P) not yet normalised, and targets (N,) where they count."""

    path: Path
    sha256: str
    likelihood: Likelihood
    draws: np.ndarray
    targets: np.ndarray | None
    place: Callable[[int, int], str]

    def mixture(self) -> Predictions:
        """Average the draws as those of any run are averaged."""
        import torch

        blocks = []
        for start in range(0, self.draws.shape[1], BLOCK):
            block = slice(start, start + BLOCK)
            draws = self.likelihood.normalise(torch.from_numpy(self.draws[:, block].copy()))
            targets = None if self.targets is None else torch.from_numpy(self.targets[block])
            blocks.append(self.likelihood.mixture(draws, targets))
        arrays = {name: torch.cat([block[name] for block in blocks]).numpy() for name in blocks[0]}
        return Predictions(arrays if self.targets is None else {**arrays, "targets": self.targets})


def read(path: Path, *, labelled: bool, clean: bool = False) -> Outputs:
    """Return what a file says; ``labelled`` where its targets count, ``clean`` where there must be several classes."""
    try:
        if not path.is_file():
            raise UsageError(f"no file {str(path)!r}")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error}") from error
    raw = read_arrays(path, content, labelled=labelled)
    likelihood, draws = real_draws(path, raw) if regression(path, raw) else class_draws(path, raw)
    targets = checked_targets(path, raw, likelihood, draws.shape[1]) if labelled else None
    if (
        clean
        and isinstance(likelihood, Categorical)
        and targets is not None
        and (targets == targets[0]).all()
    ):
        raise UsageError(f"{path}: all labels are {targets[0]}")
    return Outputs(path, hashlib.sha256(content).hexdigest(), likelihood, draws, targets, raw.place)


def regression(path: Path, raw: Raw) -> bool:
    """Return whether a file holds real predictions, after seeing that it holds one form of one kind."""
    forms = [name for name in CLASSES if name in raw.arrays]
    spreads = [name for name in SPREADS if name in raw.arrays]
    for several in (forms, spreads):
        if len(several) > 1:
            raise UsageError(f"{path} holds {' and '.join(several)}: one of them says it all")
    real = [name for name in ("mean", *spreads) if name in raw.arrays]
    if forms and real:
        raise UsageError(
            f"{path} holds {forms[0]} of classes and {real[0]} of real targets: it is one or the other"
        )
    if not forms and len(real) < 2:
        raise UsageError(
            f"{path} holds neither {', '.join(CLASSES)} of classes nor mean with variance or std"
        )
    return bool(real)


def class_draws(path: Path, raw: Raw) -> tuple[Likelihood, np.ndarray]:
    """Return the likelihood and draws (S, N, C): log-probabilities, or logits, which normalising makes them."""
    name = next(name for name in CLASSES if name in raw.arrays)
    values = floats(path, name, raw.arrays[name])
    if values.ndim not in (2, 3):
        raise UsageError(
            f"{path}: {name} has the shape {values.shape}, not (N, C), or (S, N, C) for S draws"
        )
    values = values if values.ndim == 3 else values[None]
    if values.shape[2] < 2:
        raise UsageError(f"{path}: {name} has {values.shape[2]} class: give every class a column")
    fine = np.isfinite(values) | (np.isneginf(values) if name == "log_probs" else False)
    refuse(path, raw, ~fine.all(-1), lambda at: f"{name} are not finite")
    if name == "logits":
        return Categorical(values.shape[2]), values
    probs = (
        values if name == "probs" else np.exp(np.minimum(values, 1))
    )  # e is as wrong as what is larger
    refuse(
        path,
        raw,
        np.any(probs < 0, axis=-1),
        lambda at: f"probability {probs[at].min():g} is negative",
    )
    refuse(
        path,
        raw,
        np.any(probs > 1 + TOLERANCE, axis=-1),
        lambda at: f"probability {probs[at].max():g} exceeds 1",
    )
    sums = probs.sum(-1)
    refuse(
        path,
        raw,
        abs(sums - 1) > TOLERANCE,
        lambda at: f"the probabilities sum to {sums[at]:.6g}, not 1",
    )
    if name == "log_probs":
        return Categorical(values.shape[2]), values
    with np.errstate(divide="ignore"):
        return Categorical(values.shape[2]), np.log(values)


def real_draws(path: Path, raw: Raw) -> tuple[Likelihood, np.ndarray]:
    """Return the likelihood and draws (S, N, 2), mean and log-variance."""
    name = next(name for name in SPREADS if name in raw.arrays)
    mean, spread = (floats(path, key, raw.arrays[key]) for key in ("mean", name))
    if mean.shape != spread.shape or mean.ndim not in (1, 2):
        raise UsageError(
            f"{path}: mean has the shape {mean.shape} and {name} {spread.shape}, not both (N,) or (S, N)"
        )
    mean, spread = (values if values.ndim == 2 else values[None] for values in (mean, spread))
    for key, values in (("mean", mean), (name, spread)):
        refuse(path, raw, ~np.isfinite(values), lambda at, key=key: f"{key} is not finite")  # type: ignore[misc]
    refuse(path, raw, spread <= 0, lambda at: f"{name} {spread[at]:g} is not positive")
    log_variance = np.log(spread) * (2 if name == "std" else 1)
    limits = np.finfo(np.float32)  # what is stored
    beyond = (
        (abs(mean) > limits.max)
        | (log_variance < np.log(limits.tiny))
        | (log_variance > np.log(limits.max))
    )
    refuse(
        path,
        raw,
        beyond,
        lambda at: f"mean {mean[at]:g} or {name} {spread[at]:g} is beyond single precision",
    )
    return Gaussian(), np.stack([mean, log_variance], axis=-1)


def checked_targets(path: Path, raw: Raw, likelihood: Likelihood, count: int) -> np.ndarray:
    """Return the targets (N,) in the type of the likelihood."""
    name, other = (
        ("labels", "targets") if isinstance(likelihood, Categorical) else ("targets", "labels")
    )
    if other in raw.arrays:
        raise UsageError(f"{path} holds {other}: what belongs to its predictions are {name}")
    if name not in raw.arrays:
        raise UsageError(f"{path} holds no {name} (only unseen data need none)")
    values = raw.arrays[name]
    if values.shape != (count,):
        raise UsageError(
            f"{path}: {name} has the shape {values.shape}, the predictions are of {count} examples"
        )
    if not isinstance(likelihood, Categorical):
        values = floats(path, name, values)
        refuse(
            path,
            raw,
            ~(abs(values) <= np.finfo(np.float32).max)[None],
            lambda at: f"target {values[at[1]]:g} is no finite float32",
        )
        return values.astype(np.float32)
    if values.dtype.kind not in "iu":
        raise UsageError(f"{path}: labels must be whole numbers (int64), not {values.dtype}")
    outside = (values < 0) | (values >= likelihood.classes)
    refuse(
        path,
        raw,
        outside[None],
        lambda at: f"label {values[at[1]]} is not 0 to {likelihood.classes - 1}",
    )
    return values.astype(np.int64)


def floats(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    """Return numbers in double precision, refusing what is none and what is empty."""
    if values.dtype.kind not in "iuf":
        raise UsageError(f"{path}: {name} must be real numbers, not {values.dtype}")
    if values.size == 0:
        raise UsageError(f"{path}: {name} is empty, its shape is {values.shape}")
    return values.astype(np.float64)


def refuse(path: Path, raw: Raw, bad: np.ndarray, reason: Callable[[tuple[int, int]], str]) -> None:
    """Name the first row that is bad, (S, N), and why; draw by draw, the first draw first."""
    if bad.any():
        draw, row = (int(index) for index in np.argwhere(bad)[0])
        raise UsageError(f"{path}: {raw.place(draw, row)}: {reason((draw, row))}")
