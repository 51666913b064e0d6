"""First inputs of each condition, with predictions, for figures: ``examples.npz`` of a suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench_uq.api.archives import open_npz
from bench_uq.api.names import level_key
from bench_uq.store.derived import checked

EXAMPLES = "examples.npz"

#: Pairs of names in the file: of an array that is left out, and of one that is equal.
SAME = "same"


@dataclass(frozen=True)
class Example:
    """The first inputs that one run was evaluated on in one condition, and its predictions."""

    dataset: str
    method: str
    seed: int
    condition: str
    level: float | None
    inputs: np.ndarray  # (N, ...), uint8 in 0..255 where they lie in [0, 1]
    probs: np.ndarray | None  # (N, C), of classes
    targets: np.ndarray | None  # (N,), where they belong to the task


def without_copies(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Keep the first by name of equal arrays; ``same`` lists each other name with that name.

    Shifted inputs are the same for all methods, and so are targets.
    """
    first, kept, same = dict[tuple[Any, ...], str](), dict[str, np.ndarray](), []
    for name, array in sorted(arrays.items()):
        content = (array.dtype.str, array.shape, array.tobytes())
        equal = first.setdefault(content, name)
        if equal == name:
            kept[name] = array
        else:
            same.append((name, equal))
    return {**kept, SAME: np.array(same)} if same else kept


def read_examples(path: Path) -> list[Example]:
    """Stored examples; empty without the file. Nothing is unpickled."""
    if not path.exists():
        return []
    with checked(path), open_npz(path) as arrays:
        stored = {name: arrays[name] for name in arrays.files}
        # Results of older versions hold every array.
        for name, equal in stored.pop(SAME, np.empty((0, 2), str)).tolist():
            stored[name] = stored[equal]

        found: dict[tuple[str, ...], dict[str, np.ndarray]] = {}
        for key in sorted(stored):
            *place, name = key.split("|")
            if len(place) == 5:  # else a plugin's name holds the separator
                found.setdefault(tuple(place), {})[name] = stored[key]
        return [_example(place, own) for place, own in found.items() if "inputs" in own]


def _example(place: tuple[str, ...], arrays: dict[str, np.ndarray]) -> Example:
    """Example from its arrays, after a look at every one of them."""
    names = [part.replace("%7C", "|").replace("%25", "%") for part in place]
    dataset, method, seed, condition, level = names
    known = {}
    for name, axes in {"inputs": None, "probs": 2, "targets": 1}.items():
        if name in arrays:
            known[name] = arrays[name]
            _check_array(known[name], axes, f"{name} of {method} on {condition}")
    if len({len(array) for array in known.values()}) != 1:
        raise ValueError(f"the arrays of {method} on {condition} differ in length")

    return Example(
        dataset=dataset,
        method=method,
        seed=int(seed),
        condition=condition,
        level=level_key(float(level)) if level else None,
        inputs=known["inputs"],
        probs=known.get("probs"),
        targets=known.get("targets"),
    )


def _check_array(array: Any, axes: int | None, name: str) -> None:
    """Require finite numbers with so many axes; inputs may have any number of them but one."""
    # A member of the archive may be any file.
    numbers = isinstance(array, np.ndarray) and array.dtype.kind in "fiu" and array.size
    if not numbers or not (array.ndim == axes if axes else array.ndim > 1):
        raise ValueError(f"{name} are no numbers of the right shape")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} are not finite")
