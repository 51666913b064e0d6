"""Fingerprints of datasets, remembered so that unchanged files are read once."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.plan.examples import (
    check_task,
    content_hash,
    empty,
    leaking,
    limits,
    load,
    sparing,
    within_unit,
)
from bench_uq.plan.plugins import Spec
from bench_uq.store.environment import package_versions

#: Digits of the hashes that results hold.
SHORT = 8


@dataclass(frozen=True)
class Content:
    """Facts of a split that a plan needs."""

    hash: str
    unit: bool  # whether all inputs lie in [0, 1]
    enough: int  # number of first examples that hold every class; 0 without classes
    range: list[float]  # smallest and largest input; of bytes in units of 255
    remarks: list[str]  # what readers of results must know of the data
    size: int  # number of examples


class Contents:
    """Splits of datasets, remembered while their files and all packages stay the same."""

    def __init__(self, root: Path, remembered: Path) -> None:
        self.root = root
        self.remembered = remembered
        known = store.read_json(remembered)
        self.known: dict[str, Any] = known if isinstance(known, dict) else {}

        #: Remarks on all data so far, by the name of the dataset.
        self.remarks: dict[str, list[str]] = {}

        self.of = functools.cache(self._of)
        # A folder of images has many files, which are the same for every seed.
        self.stats = functools.cache(self._stats)

    def _of(self, spec: Spec, split: str, seed: int) -> Content:
        content = self._content(spec, split, seed)
        self.remarks.setdefault(spec.name, [])
        for remark in content.remarks:
            self.remark(spec, remark)
        return content

    def remark(self, spec: Spec, text: str) -> None:
        """Keep a remark on the data of a dataset, once."""
        told = self.remarks.setdefault(spec.name, [])
        if text not in told:
            told.append(text)

    def _content(self, spec: Spec, split: str, seed: int) -> Content:
        stats = self.stats(spec)
        if stats is None or split not in spec.value.splits:
            return self.loaded(spec, split, seed)

        # Packages count, because datasets such as digits come from them.
        key = digest([spec.full, spec.source_hash, split, seed, stats, package_versions()])
        known = self.known.get(key)
        # A file of an older version may hold other fields.
        fields = {field.name for field in dataclasses.fields(Content)}
        if not isinstance(known, dict) or set(known) != fields:
            self.known[key] = dataclasses.asdict(self.loaded(spec, split, seed))

        return Content(**self.known[key])

    def _stats(self, spec: Spec) -> list[list[Any]] | None:
        files = spec.value.files(self.root)
        if files is None:
            return None
        if not all(isinstance(path, Path) for path in files):
            raise UsageError(f"{spec.name}: files() must return a list of pathlib.Path")

        stats = []
        for path in files:
            # Missing files are for the dataset to report when it is loaded.
            if not path.is_file():
                return None
            stat = path.stat()
            stats.append([str(path.absolute()), stat.st_size, stat.st_mtime_ns])
        return stats

    def loaded(self, spec: Spec, split: str, seed: int) -> Content:
        """Load a split and check it; refuse training targets that are all the same."""
        examples = load(spec.value, split, self.root, seed)
        check_task(spec.value, spec.value.task(self.root), examples)

        targets = examples.targets
        # Nothing can be learned of them, and a standard deviation of 0 divides by zero.
        if split == "train" and (targets == targets[0]).all():
            raise UsageError(f"{spec.name}: all targets of the training split are {targets[0]}")

        unit, remarks = within_unit(examples), [*examples.remarks, *empty(examples, split)]
        if split == "train":
            remarks += [*leaking(examples), *sparing(examples, spec.value.task(self.root))]
        return Content(
            content_hash(examples),
            unit,
            enough(targets),
            limits(examples),
            remarks,
            len(examples),
        )

    def remember(self) -> None:
        """Store the facts for the next plan."""
        # Unchanged facts are not written, so that planning writes nothing the second time.
        if self.known != store.read_json(self.remembered):
            store.write_json(self.remembered, self.known)


def enough(targets: np.ndarray) -> int:
    """Number of first targets that hold every class; 0 for real targets."""
    if targets.dtype != np.int64:
        return 0

    # np.unique gives the first place of each class.
    _, first = np.unique(targets, return_index=True)
    return int(np.max(first)) + 1


def digest(value: Any) -> str:
    """Hash of plain data, independent of the order of keys."""
    # NaN is refused, because it is no JSON and differs from itself.
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
