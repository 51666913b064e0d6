"""State of a training: a network as it is stored; optimiser and random generators until its end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from safetensors.torch import save
from torch import nn

from bench_uq.train.recorded import device_of, noise_of, set_noise


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
    return {
        **random_numbers(net),
        "finished": [dict(each.state_dict()) for each in nets],
        "net": dict(net.state_dict()),
        "optimiser": optimiser.state_dict(),
        "shuffling": shuffling.get_state(),
        "history": [dataclasses.asdict(row) for row in rows],
    }


def put_back(
    state: Any, net: nn.Module, optimiser: torch.optim.Optimizer, shuffling: torch.Generator
) -> None:
    """Restore the member in training, its optimiser and every random generator."""
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    shuffling.set_state(state["shuffling"])
    go_on(state, net)


def state_together(
    nets: Sequence[nn.Module],
    optimiser: torch.optim.Optimizer,
    shuffling: Sequence[torch.Generator],
    epochs: int,
) -> dict[str, Any]:
    """State of networks that are trained as one batch, of which ``epochs`` are done.

    Without the curves, which are those of runs.
    """
    return {
        **random_numbers(nets[0]),
        "nets": [dict(net.state_dict()) for net in nets],
        "optimiser": optimiser.state_dict(),
        "shuffling": [one.get_state() for one in shuffling],
        "epochs": epochs,
    }


def put_back_together(
    state: Any,
    nets: Sequence[nn.Module],
    optimiser: torch.optim.Optimizer,
    shuffling: Sequence[torch.Generator],
) -> None:
    """Restore networks that are trained as one batch, in place, and all that goes with them."""
    for net, values in zip(nets, state["nets"], strict=True):
        net.load_state_dict(values)
    optimiser.load_state_dict(state["optimiser"])
    for one, order in zip(shuffling, state["shuffling"], strict=True):
        one.set_state(order)
    go_on(state, nets[0])


def random_numbers(net: nn.Module) -> dict[str, Any]:
    """Kind of device that a network is on, and the states of torch's random numbers.

    Without these a resumed training would see other noise.
    """
    device = device_of(net)
    return {
        "device": device.type,
        "noise": torch.get_rng_state(),
        "device_noise": noise_of(device) if device.type == "cuda" else None,
    }


def go_on(state: Any, net: nn.Module) -> None:
    """Let torch's random numbers go on from a state."""
    torch.set_rng_state(state["noise"])
    if state["device_noise"] is not None:
        set_noise(device_of(net), state["device_noise"])
