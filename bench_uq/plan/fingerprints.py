"""What is in datasets, told by hash and remembered, so that unchanged files are read once."""

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
from bench_uq.plan.examples import check_task, content_hash, load, within_unit
from bench_uq.plan.plugins import Spec
from bench_uq.store.environment import package_versions


@dataclass(frozen=True)
class Content:
    """What a plan must know of a split."""

    hash: str
    unit: bool  # whether all inputs lie in [0, 1]
    enough: int  # how many of the first examples hold every class that there is; 0 where there are no classes


class Contents:
    """The splits of datasets, remembered while their files and all packages stay as they are."""

    def __init__(self, root: Path, remembered: Path) -> None:
        self.root = root
        self.remembered = remembered
        known = store.read_json(remembered)
        self.known: dict[str, Any] = known if isinstance(known, dict) else {}
        self.of = functools.cache(self._of)
        self.stats = functools.cache(
            self._stats
        )  # of folders of images there are many, the same for every seed

    def _stats(self, spec: Spec) -> list[list[Any]] | None:
        files = spec.value.files(self.root)
        if files is not None and not all(isinstance(path, Path) for path in files):
            raise UsageError(f"{spec.name}: files() must return a list of pathlib.Path")
        if files is None or not all(path.is_file() for path in files):
            return None
        return [
            [str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns] for path in files
        ]

    def _of(self, spec: Spec, split: str, seed: int) -> Content:
        stats = self.stats(spec)
        if stats is None or split not in spec.value.splits:
            return self.loaded(spec, split, seed)
        key = digest([spec.full, spec.source_hash, split, seed, stats, package_versions()])
        known = self.known.get(key)
        if not isinstance(known, dict) or set(known) != {
            field.name for field in dataclasses.fields(Content)
        }:
            self.known[key] = dataclasses.asdict(self.loaded(spec, split, seed))
        return Content(**self.known[key])

    def loaded(self, spec: Spec, split: str, seed: int) -> Content:
        """Return what is in a split that is loaded to be looked at; one that nothing can be learned from is refused."""
        examples = load(spec.value, split, self.root, seed)
        check_task(spec.value, spec.value.task(self.root), examples)
        if split == "train" and (examples.targets == examples.targets[0]).all():
            raise UsageError(
                f"{spec.name}: all targets of the training split are {examples.targets[0]}"
            )
        return Content(content_hash(examples), within_unit(examples), enough(examples.targets))

    def remember(self) -> None:
        """Store what is known for the next plan."""
        if self.known != store.read_json(self.remembered):
            store.write_json(self.remembered, self.known)


def enough(targets: np.ndarray) -> int:
    """Return how many of the first targets hold every class that there is, 0 for real ones."""
    if targets.dtype != np.int64:
        return 0
    return int(np.max(np.unique(targets, return_index=True)[1])) + 1


def digest(value: Any) -> str:
    """Hash plain data, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()
