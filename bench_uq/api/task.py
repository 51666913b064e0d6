"""Data that the engine and its plugins exchange: examples, tasks, predictions, batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench_uq.api.likelihoods import Likelihood

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Inputs with their targets, as arrays in memory."""

    inputs: np.ndarray  # (N, *input_shape), uint8 in 0..255 or float32 in [0, 1]
    targets: np.ndarray  # (N,), int64 class labels or float32 values

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: slice | np.ndarray) -> Examples:
        return Examples(self.inputs[index], self.targets[index])


@dataclass(frozen=True)
class Task:
    """What a network must map to what: everything a method may know of a dataset."""

    input_shape: tuple[int, ...]  # (channels, height, width) of images, (features,) of tables
    likelihood: Likelihood
    mean: tuple[
        float, ...
    ] = ()  # of the inputs in [0, 1], one a channel or feature; left out: of the training inputs
    std: tuple[float, ...] = ()
    network: str = (
        ""  # in architectures.py, or a file with one; left out: lenet for images, mlp for features
    )


@dataclass(frozen=True)
class Predictions:
    """What is stored of one trained network on one condition and level: a mixture over its draws.

    ``arrays`` holds, for classes: ``probs`` (N, C) float32, ``draw_entropy`` (N,) mean entropy of the draws in nats,
    and where the labels belong to the classes ``targets`` (N,) and ``log_density`` (N,), the log of the mean
    probability of the true class; for real targets: ``mean``, ``variance``, ``draw_variance``, ``targets``,
    ``log_density`` (N,) and ``quantiles`` (N, Q) at likelihoods.QUANTILE_LEVELS. Of networks that
    bench-uq trained also ``inputs`` as they were shown, the first few or, of a single feature, all; under an attack or
    shift ``distance`` (N,) float32, the largest change of an input's numbers from the clean ones.
    """

    arrays: Mapping[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __len__(self) -> int:
        return len(self.arrays["probs"] if "probs" in self.arrays else self.arrays["mean"])

    def first(self, count: int) -> Predictions:
        """Return the predictions for the first ``count`` examples."""
        return Predictions({name: array[:count] for name, array in self.arrays.items()})


class Batches(ABC):
    """Examples on the device, in batches, to walk any number of times."""

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs (B, *input_shape) in [0, 1] and targets (B,)."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of examples, not of batches."""
