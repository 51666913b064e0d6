"""No step of a method asks for a value: on a GPU it would wait for all that is under way."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench_uq.api import Categorical
from bench_uq.api.task import Task
from bench_uq.plan.plugins import Plugins
from bench_uq.train.gradients import Gradients
from bench_uq.train.loop import build, gradients_of
from bench_uq.train.settings import Settings
from tests.of_classes import of_classes

TASK = Task((1, 8, 8), Categorical(10), (0.3,), (0.4,))

#: What reads values, as do float(), int(), bool() and tolist().
READING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal")


class Refusing(TorchDispatchMode):
    """Raises an error where an operation reads values."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Pass all other operations on."""
        name = operation.name().removeprefix("aten::").partition(".")[0]
        assert name not in READING, operation
        masks = [one for one in args[1] if one is not None] if name.startswith("index") else []
        assert not any(one.dtype == torch.bool for one in masks), operation
        return operation(*args, **(kwargs or {}))


def step_of(name: str, device: str) -> tuple[Gradients, torch.optim.Optimizer, Tensor, Tensor]:
    """Gradients and optimiser of a method, and a batch."""
    method = Plugins().spec("method", name).value
    net = build(method, TASK, torch.device(device)).train()
    inputs = torch.rand(32, *TASK.input_shape, device=device)
    targets = torch.randint(10, (32,), device=device)
    optimiser = method.optimiser(net) if device == "cpu" else None
    return gradients_of(method, net, 1000, Settings()), optimiser, inputs, targets


@pytest.mark.parametrize("name", of_classes())
def test_gradients_need_no_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They can be had of tensors that have a shape alone."""
    # There is no other precision of such tensors.
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())
    gradients, _, inputs, targets = step_of(name, "meta")

    assert gradients(inputs, targets, 0.5).is_meta
    grads = [one.grad for one in gradients.net.parameters() if one.grad is not None]
    assert grads
    assert all(one.is_meta for one in grads)


@pytest.mark.parametrize("name", of_classes())
def test_optimisers_read_no_value(name: str) -> None:
    """But for the first step of an epoch, in which some read their clock."""
    gradients, optimiser, inputs, targets = step_of(name, "cpu")
    gradients(inputs, targets, 0.5)
    optimiser.step()

    gradients(inputs, targets, 0.5)
    with Refusing():
        optimiser.step()


@pytest.mark.parametrize("read", [float, bool, Tensor.tolist, lambda one: one[one > 0]])
def test_values_that_are_read_are_found(read: Any) -> None:
    with pytest.raises((NotImplementedError, RuntimeError)):
        read(torch.ones(1, device="meta"))

    # On a CPU tolist() is no operation.
    if read is not Tensor.tolist:
        with pytest.raises(AssertionError), Refusing():
            read(torch.ones(1))
