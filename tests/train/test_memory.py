"""The memory of a network in training, by hand and for every method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn

from bench_uq.api import Categorical, Method
from bench_uq.api.layers import Network
from bench_uq.api.task import Examples, Task
from bench_uq.plan.plugins import Plugins
from bench_uq.train.memory import free, of_training
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from tests.of_classes import of_classes

TASK = Task((1, 8, 8), Categorical(10), (0.3,), (0.4,))
CPU = torch.device("cpu")


def data(batch: int) -> Resident:
    """Return examples of zeros."""
    images = torch.zeros(300, 1, 8, 8, dtype=torch.uint8).numpy()
    return Resident(Examples(images, torch.zeros(300, dtype=torch.long).numpy()), CPU, batch)


@dataclass(frozen=True)
class Sigmoids(Method):
    """A dense layer and a sigmoid, whose output the backward pass needs."""

    reference: ClassVar[str] = "nowhere"

    def build(self, task: Task) -> nn.Module:
        """Return the network."""
        return Network(task, nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Sigmoid()))


def test_parts_of_a_network_by_hand() -> None:
    """Four copies of 650 parameters, and per example 64 inputs, ten outputs of the sigmoid and ten
    log probabilities; the labels are there anyway.
    """
    found = {batch: of_training(Sigmoids(), TASK, data(batch), Settings()) for batch in (50, 100)}

    each = (found[100] - found[50]) / 50
    assert each == 4 * (64 + 10 + 10)
    # Mean and standard deviation of the inputs, and a scalar of the loss.
    assert found[50] - 50 * each == 4 * 4 * 650 + 3 * 4


@pytest.mark.parametrize("name", of_classes())
def test_every_method_has_an_estimate(name: str) -> None:
    """It grows with the batch, and is larger than four copies of the parameters."""
    method = Plugins().spec("method", name).value
    parameters = sum(one.nbytes for one in method.build(TASK).parameters())
    small, large = (of_training(method, TASK, data(size), Settings()) for size in (32, 64))

    assert 4 * parameters < small < large


def test_a_cpu_has_no_bound() -> None:
    assert free(CPU) == float("inf")
