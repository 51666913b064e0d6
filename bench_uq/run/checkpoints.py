"""State of a training, stored now and then, so that an interrupted one continues bit for bit."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bench_uq import store

NAME = "checkpoint.safetensors"

#: That of runs whose networks are trained as one batch, in the folder of the first of them.
GROUP = "group.safetensors"

#: Errors of a damaged checkpoint. The last four come from one that was made to look whole.
DAMAGED = (
    *(OSError, ValueError, SafetensorError, KeyError),
    *(IndexError, TypeError, AttributeError, RuntimeError),
)


@dataclass
class Checkpoints:
    """The checkpoint of one run in its folder, at most one per ``every`` seconds.

    That of several runs names them; it is only loaded for the same.
    """

    folder: store.RunFolder
    every: float
    runs: tuple[str, ...] = ()
    last: float = field(default_factory=time.perf_counter)
    unwritten: bool = False  # whether the user was told that one could not be written

    @property
    def name(self) -> str:
        """Name of the file."""
        return GROUP if self.runs else NAME

    @property
    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return time.perf_counter() - self.last >= self.every

    def save(self, state: Mapping[str, Any]) -> None:
        """Store nested data in place of the checkpoint before.

        If the disk is full, the one before stays, and the training continues without.
        """
        tensors: list[Tensor] = []
        try:
            plain = json.dumps(flattened({**state, "runs": list(self.runs)}, tensors))
        except TypeError:
            # A plugin's optimiser may hold objects: it is then trained without checkpoints.
            self.every = math.inf
            return

        # safetensors refuses memory that is not contiguous.
        tensors = [tensor.contiguous() for tensor in tensors]
        named = {str(index): tensor for index, tensor in enumerate(tensors)}
        # The content carries its own hash: a process may be killed after it replaced a checkpoint
        # and before the record says so.
        content = save(named, {"state": plain, "sha256": hash_of(plain, tensors)})
        try:
            self.folder.add_file(self.name, content)
        except store.CannotWrite as error:
            # Said once: on a full disk every checkpoint fails in the same way.
            if not self.unwritten:
                store.say(f"{self.folder.path.name}: trained without a checkpoint: {error}")
            self.unwritten = True
        self.last = time.perf_counter()

    def load(self) -> Any:
        """State that was stored last, or None; a damaged checkpoint is set aside."""
        path = self.folder.path / self.name
        if not os.path.lexists(path):
            return None

        try:
            if not path.is_file():
                raise ValueError("it is not a file")
            with safe_open(path, framework="pt") as file:
                tensors = [file.get_tensor(str(index)) for index in range(len(file.keys()))]
                facts = file.metadata() or {}
            if facts.get("sha256") != hash_of(facts.get("state", ""), tensors):
                raise ValueError("its hash does not match")
            state = nested(json.loads(facts["state"]), tensors)
            return state if state.get("runs", []) == list(self.runs) else None
        except DAMAGED:
            store.set_aside(path)
            return None

    def remove(self) -> None:
        """Delete the run's checkpoints: the training has ended, or is done anew.

        Also that of runs with which it was begun as one batch, if it is in this folder.
        """
        record = self.folder.record()
        for name in (NAME, GROUP):
            # The record forgets it first, so that it never names a file that is gone.
            if record.has(name):
                self.folder.forget([name])
            (self.folder.path / name).unlink(missing_ok=True)


def hash_of(plain: str, tensors: Iterable[Tensor]) -> str:
    """Hash of the content of a checkpoint."""
    digest = hashlib.sha256(plain.encode())
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        # Bytes, because NumPy has no bfloat16.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def flattened(value: Any, tensors: list[Tensor]) -> Any:
    """Nested data as JSON can hold it, with its tensors moved to the list."""
    if isinstance(value, Tensor):
        # Copies, because safetensors refuses tensors that share memory; those of a GPU leave it.
        tensors.append(value.detach().to("cpu", copy=True))
        return {"tensor": len(tensors) - 1}
    if isinstance(value, Mapping):
        # Pairs, because the keys of an optimiser's state are numbers, which JSON would turn into
        # text.
        return {"mapping": [[key, flattened(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [flattened(item, tensors) for item in value]}

    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be stored in a checkpoint")


def nested(value: Any, tensors: Sequence[Tensor]) -> Any:
    """Nested data from the result of ``flattened``."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "mapping":
        return {key: nested(item, tensors) for key, item in content}
    items = [nested(item, tensors) for item in content]
    # An optimiser's betas, for example, are a tuple, and must come back as one.
    if kind == "tuple":
        return tuple(items)
    return items
