"""Predictions of one model under its conditions, as they are scored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from bench_uq.api.errors import BadValue, UsageError
from bench_uq.api.likelihoods import Categorical, Gaussian, Likelihood
from bench_uq.api.metric import Metric
from bench_uq.api.names import check_name
from bench_uq.api.task import Predictions
from bench_uq.plan.plugins import Plugins

#: Name of data as they are.
CLEAN = "clean"

Kind = Literal["clean", "condition", "unseen"]


def place_of(condition: str, level: float | None) -> str:
    """A condition and its level for people: ``fgsm 0.1``."""
    return condition if level is None else f"{condition} {level:g}"


def check_unseen_name(name: str) -> None:
    """Require a name that out-of-distribution data may have in results."""
    if name == CLEAN:
        raise BadValue(f"unseen data cannot be called {CLEAN!r}")
    if not isinstance(name, str):
        raise BadValue(f"names of unseen data are texts, not {name!r}")
    try:
        check_name("dataset of unseen data", name)
    except UsageError as error:
        raise BadValue(str(error)) from error


def hash_of(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of arrays with their names, in place of that of a file."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        # Type and shape too: the same bytes may be another array.
        found.update(f"{name}{array.dtype}{array.shape}".encode())
        found.update(array.data)
    return found.hexdigest()


@dataclass(frozen=True)
class Shown:
    """Predictions of a model that was shown a condition at a level.

    ``draws`` is the number of draws that each prediction averages, ``full`` the name of the
    condition with every option.
    """

    condition: str
    kind: Kind
    level: float | None
    predictions: Predictions
    draws: int
    full: str

    @property
    def title(self) -> str:
        """Name for people."""
        return place_of(self.condition, self.level)


@dataclass(frozen=True)
class Evaluated:
    """Everything that a model predicted, the conditions as they were given.

    ``source`` is the hash of the predictions, ``dataset`` the name of the test data if bench-uq
    knows them, ``device`` where the model predicted.
    """

    name: str
    shown: tuple[Shown, ...]
    notes: tuple[str, ...] = ()
    source: str = ""
    dataset: str = ""
    plugins: Plugins = field(default_factory=Plugins, repr=False)
    device: str = "cpu"

    @cached_property
    def cards(self) -> dict[str, Metric]:
        """All metrics by id."""
        return self.plugins.metrics()

    @cached_property
    def clean(self) -> Predictions | None:
        """Predictions of clean data."""
        return next((one.predictions for one in self.shown if one.kind == CLEAN), None)

    @cached_property
    def likelihood(self) -> Likelihood:
        """Likelihood of the targets."""
        predictions = self.shown[0].predictions
        if "probs" in predictions:
            return Categorical(predictions["probs"].shape[1])
        return Gaussian()
