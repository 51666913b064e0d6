"""Out of memory while predicting ends a run with the block to set; blocks own their noise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from bench_uq.api import Categorical, Examples, Task
from bench_uq.api.layers import Normalise
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.memory import OutOfMemory, is_out_of_memory
from bench_uq.predict.predict import Change, Trained, predict, predict_changed
from bench_uq.train.loop import build
from bench_uq.train.resident import Resident

TASK = Task((1, 8, 8), Categorical(10), (0.3,), (0.4,), "lenet")
CPU = torch.device("cpu")


@pytest.fixture
def data() -> Resident:
    """Random images: a block and a part of one."""
    rng = np.random.default_rng(0)
    images = rng.random((150, 1, 8, 8), dtype=np.float32)
    return Resident(Examples(images, rng.integers(0, 10, 150)), CPU, 128)


@pytest.fixture
def dropout() -> Trained:
    """An untrained network with dropout."""
    torch.manual_seed(0)
    method = Plugins().spec("method", "dropout").value
    return Trained(method, TASK, nn.ModuleList([build(method, TASK, CPU)]).eval(), 3)


def limited(model: Trained, most: int, error: Exception) -> Trained:
    """The same networks, which raise an error for more than ``most`` examples at once."""

    def check(layer: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if len(given[0]) > most:
            raise error

    for layer in model.nets.modules():
        if isinstance(layer, Normalise):
            layer.register_forward_pre_hook(check)
    return model


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_the_block_to_set_is_named(dropout: Trained, data: Resident, error: Exception) -> None:
    """Every kind of error that says so ends as OutOfMemory, with half of the block as advice."""
    with pytest.raises(OutOfMemory, match="a block of 128 examples does not fit: set block=64"):
        predict(limited(dropout, 64, error), data, 150, 5, labelled=True)


def test_attacks_too(dropout: Trained, data: Resident) -> None:
    """An attack that does not fit names the block too."""
    fgsm = Plugins().spec("condition", "fgsm").value
    model = limited(dropout, 64, MemoryError())
    with pytest.raises(OutOfMemory, match="set block=64"):
        predict_changed(model, Change(fgsm, "fgsm", [0.1], model), data, 150, 5)


def test_there_is_no_smaller_block(dropout: Trained, data: Resident) -> None:
    """A block of one example has none below it."""
    model = limited(dataclasses.replace(dropout, block=1), 0, MemoryError())
    with pytest.raises(OutOfMemory, match="there is no smaller block"):
        predict(model, data, 1, 5, labelled=True)


def test_other_errors_pass(dropout: Trained, data: Resident) -> None:
    """An error of another kind is raised as it is."""
    with pytest.raises(KeyError, match="its own"):
        predict(limited(dropout, 64, KeyError("its own")), data, 150, 5, labelled=True)
    assert not is_out_of_memory(RuntimeError("singular matrix"))


def test_a_block_owns_its_noise(dropout: Trained, data: Resident) -> None:
    """The first examples of equal blocks are equal; another block draws other noise."""
    half = dataclasses.replace(dropout, block=64)
    whole, few = (predict(half, data, count, 5, labelled=True) for count in (150, 70))
    other = predict(dropout, data, 150, 5, labelled=True)
    np.testing.assert_array_equal(whole["probs"][:70], few["probs"])
    np.testing.assert_array_equal(whole["targets"], other["targets"])
    assert not np.array_equal(whole["probs"], other["probs"])
