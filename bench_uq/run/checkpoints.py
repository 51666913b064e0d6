"""Where a training stands: stored now and then, so that one that was interrupted goes on from there, bit for bit."""

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


@dataclass
class Checkpoints:
    """The checkpoint of one run in its folder, at most one every so many seconds.

    It holds its own hash: a process may be killed after it replaced a checkpoint, before the record says so.
    """

    folder: store.RunFolder
    every: float
    last: float = field(default_factory=time.perf_counter)
    unwritten: bool = False  # one could not be written, which has been said

    @property
    def due(self) -> bool:
        """Return whether it is time for the next one."""
        return time.perf_counter() - self.last >= self.every

    def save(self, state: Mapping[str, Any]) -> None:
        """Store what is nested in ``state``, in place of the one before; a state that cannot be stored is left out.

        Where there is no room for one, the training goes on without, and the one before stays.
        """
        tensors: list[Tensor] = []
        try:
            plain = json.dumps(flattened(state, tensors))
        except TypeError:  # the optimiser of a plugin: it trains without checkpoints
            self.every = math.inf
            return
        tensors = [tensor.detach().cpu().contiguous() for tensor in tensors]
        named = {str(index): tensor for index, tensor in enumerate(tensors)}
        try:
            self.folder.add_file(
                NAME, save(named, {"state": plain, "sha256": hash_of(plain, tensors)})
            )
        except store.CannotWrite as error:
            if not self.unwritten:
                store.say(f"{self.folder.path.name}: trained without a checkpoint: {error}")
            self.unwritten = True
        self.last = time.perf_counter()

    def load(self) -> Any:
        """Return the state that was stored last, None without a whole one; a damaged one is set aside."""
        path = self.folder.path / NAME
        if not os.path.lexists(path):
            return None
        try:
            if not path.is_file():
                raise ValueError("it is no file")
            with safe_open(path, framework="pt") as file:
                tensors = [file.get_tensor(str(index)) for index in range(len(file.keys()))]
                facts = file.metadata() or {}
            if facts.get("sha256") != hash_of(facts.get("state", ""), tensors):
                raise ValueError("its hash is another one")
            return nested(json.loads(facts["state"]), tensors)
        except (
            OSError,
            ValueError,
            SafetensorError,
            KeyError,
            IndexError,
            TypeError,
            AttributeError,
            RuntimeError,
        ):
            store.set_aside(path)  # the last four of one that was made to look whole
            return None

    def remove(self) -> None:
        """Delete the checkpoint, if any: the training has ended, or is to be done again."""
        if NAME in self.folder.record().get("files", {}):
            self.folder.forget([NAME])
        (self.folder.path / NAME).unlink(missing_ok=True)


def hash_of(plain: str, tensors: Iterable[Tensor]) -> str:
    """Return the hash of all that a checkpoint holds."""
    digest = hashlib.sha256(plain.encode())
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def flattened(value: Any, tensors: list[Tensor]) -> Any:
    """Return nested data as JSON can hold it, with its tensors moved to the list."""
    if isinstance(value, Tensor):
        tensors.append(value.clone())  # safetensors refuses tensors that share memory
        return {"tensor": len(tensors) - 1}
    if isinstance(value, Mapping):
        return {"mapping": [[key, flattened(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [flattened(item, tensors) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be stored in a checkpoint")


def nested(value: Any, tensors: Sequence[Tensor]) -> Any:
    """Return what ``flattened`` was given."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "mapping":
        return {key: nested(item, tensors) for key, item in content}
    items = [nested(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
