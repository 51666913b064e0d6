"""Samples of the weights in a buffer of the network, and the draws that they give."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench_uq.api import task_of

#: Ends of the names under which norm layers keep statistics of the activations. They belong to the
#: weights with which they were measured.
STATISTICS = ("running_mean", "running_var")


def make_room(net: nn.Module, samples: int) -> None:
    """Allocate that many states of the network, (samples, D), at 4 bytes a number, and a count."""
    width = sum(values.numel() for values in state_of(net).values())
    net.register_buffer("samples", torch.zeros(samples, width))
    net.register_buffer("kept", torch.zeros((), dtype=torch.long))


def state_of(net: nn.Module) -> dict[str, Tensor]:
    """All that a sample holds, by name: the parameters and the statistics of norm layers."""
    state: dict[str, Tensor] = dict(net.named_parameters())
    for name, values in net.named_buffers():
        if name.endswith(STATISTICS):
            state[name] = values
    return state


def row_of(net: nn.Module) -> Tensor:
    """The present state as one row, (D,)."""
    return torch.cat([values.detach().flatten() for values in state_of(net).values()])


def keep(net: nn.Module, rows: Tensor) -> None:
    """Store states (n, D) behind those that are kept."""
    kept = net.get_buffer("kept")
    start = int(kept)
    net.get_buffer("samples")[start : start + len(rows)] = rows
    kept += len(rows)


def due(progress: float, cycles: int, start: float) -> float:
    """Share of all samples that are due when an epoch ends, (0, 1]; 0 if none is taken there.

    Each of equal cycles takes its part after its share ``start``, evenly in time.
    """
    # Rounded, so that the end of a cycle does not fall into the next one.
    done = round(cycles * progress, 9)
    cycle = math.ceil(done) - 1
    sampled = (done - cycle - start) / (1 - start)
    return (cycle + sampled) / cycles if sampled > 0 else 0.0


def outputs_of(net: nn.Module, row: Tensor, inputs: Tensor) -> Tensor:
    """Outputs (B, P) of the network in the state of a row (D,)."""
    state, start = {}, 0
    for name, values in state_of(net).items():
        state[name] = row[start : start + values.numel()].view(values.shape)
        start += values.numel()
    return cast(Tensor, functional_call(net, state, (inputs,)))


def draws_of(net: nn.Module, inputs: Tensor, count: int) -> Tensor:
    """A draw for each sample, (S, B, P), or for ``count`` of them at random.

    As long as no sample is kept, the present weights give the one draw.
    """
    normalise = task_of(net).likelihood.normalise
    rows = net.get_buffer("samples")[: int(net.get_buffer("kept"))]
    if len(rows) == 0:
        return normalise(net(inputs)).unsqueeze(0)

    if count < len(rows):
        rows = rows[torch.randperm(len(rows))[:count].to(rows.device)]
    # One after the other, as members of an ensemble: as one batch with weights of their own,
    # convolutions are slower on a CPU.
    return torch.stack([normalise(outputs_of(net, row, inputs)) for row in rows])
