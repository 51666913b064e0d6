"""State of a training: a network as it is stored; optimiser and random generators until its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from safetensors.torch import save
from torch import nn


class Checkpoints(Protocol):
    """Storage for the state of a training, so that an interrupted one can continue from it."""

    @property
    def due(self) -> bool:
        """Whether it is time to save the state again."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Store a state in place of the one before."""

    def load(self) -> Any:
        """State stored last, or None."""


def stored(net: nn.Module) -> bytes:
    """Values of a network as a safetensors file; what layers share stands under each of its names.

    A strict load into a network that shares the same restores all of it.
    """
    # Copies, because safetensors refuses tensors that share memory or are not contiguous.
    order = torch.contiguous_format
    state = net.state_dict().items()
    return save({name: value.detach().cpu().clone(memory_format=order) for name, value in state})


def state_of(
    nets: Iterable[nn.Module],
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    shuffling: torch.Generator,
    rows: Any,
) -> dict[str, Any]:
    """All that the rest of a training depends on.

    ``nets`` are the members that are finished, ``net`` the one in training.
    """
    device = next(iter(net.state_dict().values())).device

    # Without the random states a resumed training would see other noise and another order.
    return {
        "device": device.type,
        "finished": [dict(each.state_dict()) for each in nets],
        "net": dict(net.state_dict()),
        "optimiser": optimiser.state_dict(),
        "shuffling": shuffling.get_state(),
        "noise": torch.get_rng_state(),
        "device_noise": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "history": [dataclasses.asdict(row) for row in rows],
    }


def put_back(
    state: Any, net: nn.Module, optimiser: torch.optim.Optimizer, shuffling: torch.Generator
) -> None:
    """Restore the member in training, its optimiser and every random generator."""
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    shuffling.set_state(state["shuffling"])
    torch.set_rng_state(state["noise"])

    if state["device_noise"] is not None:
        device = next(iter(net.state_dict().values())).device
        torch.cuda.set_rng_state(state["device_noise"], device)
