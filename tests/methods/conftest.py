"""Small tasks, single-threaded torch, and estimates with their standard errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from bench_uq.api import Categorical, Gaussian, Task

Agree = Callable[[Tensor, "Tensor | float"], None]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep tiny tensors on one thread, where they are faster."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def images() -> Task:
    """Return a task shaped like the digits of sklearn."""
    return Task((1, 8, 8), Categorical(10), mean=(0.3,), std=(0.4,), network="lenet")


@pytest.fixture
def features() -> Task:
    """Return a regression task of five features."""
    return Task((5,), Gaussian(mean=20.0, std=3.0), mean=(0.5,) * 5, std=(0.25,) * 5, network="mlp")


@pytest.fixture
def agree() -> Agree:
    """Return a check that the mean of samples (N, ...) is what is expected, within 5 standard
    errors each.
    """

    def check(samples: Tensor, expected: Tensor | float) -> None:
        error = samples.std(0) / len(samples) ** 0.5
        distance = (samples.mean(0) - expected).abs() / error
        assert distance.max() < 5, (
            f"{distance.max():.1f} standard errors: {samples.mean(0)} is not {expected}"
        )

    return check
