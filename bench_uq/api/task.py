"""Data that the engine and its plugins exchange.

Shapes: N examples, B examples in a batch, C classes, S draws, P likelihood parameters.
Draws are (S, B, P): log-probabilities for classes (P = C), (mean, log-variance) for a Gaussian
(P = 2). Units: nats; probabilities and pixels in [0, 1]; epsilon in pixel units; seconds.

Like all contracts but layers and networks, this module does not import torch, so that scoring and
reporting can use its data without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench_uq.api.errors import UsageError
from bench_uq.api.likelihoods import COARSE, Likelihood

if TYPE_CHECKING:
    from torch import Tensor


#: Names of the arrays of predictions that the engine itself stores.
ARRAYS = (
    *("probs", "draw_entropy", "mutual_information"),
    *("mean", "variance", "draw_variance", "quantiles", "ranked_score"),
    *("targets", "log_density", "inputs", "distance", "attack_draws"),
)


@dataclass(frozen=True)
class Examples:
    """Inputs with their targets, as arrays in memory."""

    inputs: np.ndarray  # (N, *input_shape), uint8 in 0..255 or float32 in [0, 1]
    targets: np.ndarray  # (N,), int64 class labels or float32 values
    remarks: tuple[str, ...] = ()  # what readers of results must know of these data, a line each

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: slice | np.ndarray) -> Examples:
        return Examples(self.inputs[index], self.targets[index])


def single(columns: np.ndarray, what: str) -> np.ndarray:
    """Convert columns (N, F) to float32; refuse one whose spread float32 would lose."""
    largest, spread = np.abs(columns).max(axis=0), columns.std(axis=0)
    # Beyond the range of float32, where the spacing is NaN, the caller has words of its own.
    with np.errstate(over="ignore", invalid="ignore"):
        converted = np.ascontiguousarray(columns, np.float32)
        steps = np.spacing(largest.astype(np.float32)).astype(np.float64)

    # A spread that is a rounding of float64 is that of a constant.
    lost = np.flatnonzero((spread < COARSE * steps) & (spread > 1e-12 * largest))
    if len(lost):
        at = int(lost[0])
        raise UsageError(
            f"{what} {at + 1}: a standard deviation of {spread[at]:.3g} at values up to "
            f"{largest[at]:.6g}, where float32 goes in steps of {steps[at]:.3g}: subtract an offset"
        )
    return converted


@dataclass(frozen=True)
class Task:
    """Shape of the inputs, likelihood of the targets: everything a method may know of a dataset.

    ``mean`` and ``std`` scale the inputs, one number per channel or feature; if they are left out,
    those of the training inputs are used. ``network`` names a network of api/networks.py or a file
    with one; if it is left out, images get ``lenet`` and features ``mlp``.
    """

    input_shape: tuple[int, ...]  # (channels, height, width) of images, (features,) of tables
    likelihood: Likelihood
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    network: str = ""


@dataclass(frozen=True)
class Predictions:
    """Stored predictions of one run under one condition at one level: a mixture over its draws.

    Numbers are float32, or float64 where they come from a file of the user.

    Arrays for classes: ``probs`` (N, C); ``draw_entropy`` (N,), the mean entropy of the draws in
    nats; ``mutual_information`` (N,) of label and draw, in nats, which older versions did not
    store; and, if the labels belong to the classes, ``targets`` (N,) and ``log_density`` (N,), the
    log of the mean probability of the true class.

    Arrays for real targets: ``mean``, ``variance``, ``draw_variance``, ``targets`` and
    ``log_density``, (N,) each, and ``quantiles`` (N, Q) at likelihoods.QUANTILE_LEVELS. Older
    versions stored no ``ranked_score`` (N,), the CRPS, to which the quantiles come close.

    Networks that bench-uq trained add ``inputs`` as they were shown: the first few, or all of a
    single feature. Attacks and shifts add ``distance`` (N,) float32, the largest change of any
    number of an input from the clean one; attacks add ``attack_draws`` (N,), the draws behind one
    gradient. Methods may add arrays of their own (``Method.beside``), such as ``chain_probs``
    (N, M, C), the mean probabilities of each of M chains.
    """

    arrays: Mapping[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __len__(self) -> int:
        return len(self.arrays["probs"] if "probs" in self.arrays else self.arrays["mean"])

    def first(self, count: int) -> Predictions:
        """Predictions for the first ``count`` examples."""
        return Predictions({name: array[:count] for name, array in self.arrays.items()})


class Batches(ABC):
    """Examples on the device, in batches, to iterate over any number of times."""

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs (B, *input_shape) in [0, 1] and targets (B,)."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples, not of batches."""
