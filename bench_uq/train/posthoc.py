"""Networks of methods that start from those of another, their base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from bench_uq.api.layers import Base
from bench_uq.api.method import Method
from bench_uq.api.task import Task
from bench_uq.train.loop import build, finished
from bench_uq.train.resident import Resident
from bench_uq.train.seeds import seed_of

#: A method, its base, the base of that, and so on.
Chain = Sequence[Method]


def build_all(chain: Chain, task: Task, device: torch.device) -> nn.ModuleList:
    """Untrained networks of a method: one for each member, or one on those of its base."""
    method, *below = chain
    if below:
        return nn.ModuleList([build_on(chain, task, device)[0]])
    return nn.ModuleList(build(method, task, device) for _ in range(method.members))


def build_on(chain: Chain, task: Task, device: torch.device) -> tuple[nn.Module, Base]:
    """An untrained network of a method with a base, and the networks of the base in it."""
    method, *below = chain
    base = Base(below[0].draws, build_all(below, task, device))
    net = method.build_on(task, base)
    net.task = task  # type: ignore[assignment]  # a Task is neither tensor nor module
    return net.to(device), base


def fit(
    chain: Chain,
    task: Task,
    data: tuple[Resident, Resident],
    values: Mapping[str, Any],
    seed: int,
) -> nn.ModuleList:
    """Build a method on its trained base, whose state is ``values``, and let it finish."""
    # Values that are drawn in build are those of the seed, as of networks that are trained.
    torch.manual_seed(seed_of(seed, "build", 0))
    net, base = build_on(chain, task, data[0].inputs.device)
    base.nets.load_state_dict(dict(values), strict=True)
    return nn.ModuleList([finished(chain[0], net, data, seed, 0)])
