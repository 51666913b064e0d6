"""The memory that networks need in training, known before many of them train side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from bench_uq.api.method import Method
from bench_uq.api.task import Task
from bench_uq.train.loop import build, gradients_of
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings

#: Copies of a parameter in training: its value, its gradient, and the two moments of Adam.
COPIES = 4


def of_training(method: Method, task: Task, data: Resident, settings: Settings) -> int:
    """Bytes of one network in training, measured on the loss of one batch.

    They are those of its parameters with gradients and moments, of its buffers, and of what the
    backward pass keeps. What libraries and the backward pass itself take for a moment is not
    counted.
    """
    net = build(method, task, data.inputs.device).train()
    inputs, targets = data.take(slice(0, data.batch))
    losses = gradients_of(method, net, len(data), settings).losses(inputs, targets, 0.5)

    there = [*net.state_dict().values(), data.inputs, data.targets]
    own = {one.untyped_storage().data_ptr() for one in there}
    kept = dict[int, int]()
    for tensor in kept_for(losses):
        storage = tensor.untyped_storage()
        # Several operations keep the same tensor, or views of it.
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()

    parameters = sum(one.nbytes for one in net.parameters())
    buffers = sum(one.nbytes for one in net.buffers())
    return COPIES * parameters + buffers + sum(kept.values())


def kept_for(losses: Tensor) -> Iterator[Tensor]:
    """Tensors that the backward pass of losses will need."""
    waiting, seen = [losses.grad_fn], set[Any]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting += [following for following, _ in node.next_functions]

        # PyTorch's operations name what they keep, those written in Python hold it in a list.
        found = [getattr(node, name) for name in dir(node) if name.startswith("_saved_")]
        for value in [*found, *getattr(node, "saved_tensors", ())]:
            tensors = value if isinstance(value, (list, tuple)) else [value]
            yield from (one for one in tensors if isinstance(one, Tensor))


def free(device: torch.device) -> float:
    """Bytes that are free on a device; without a bound on a CPU."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf
