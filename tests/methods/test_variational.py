"""The weight of the KL and its warm-up, for every method with a Gaussian posterior."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench_uq.api import Categorical, Task, kl
from bench_uq.methods.mean_field import MeanField
from bench_uq.methods.mnf import MNF
from bench_uq.plan.plugins import Plugins

TASK = Task((4,), Categorical(3), (0.5,) * 4, (0.3,) * 4)
KINDS = (MeanField, MNF)


def penalty(method: Any, progress: float) -> tuple[float, float]:
    """Return the loss by which the KL exceeds the NLL, and KL / size, of the same draws."""
    torch.manual_seed(0)
    net = method.build(TASK)
    net.task = TASK
    inputs, targets = torch.rand(8, 4), torch.zeros(8, dtype=torch.long)

    losses = []
    for size in (50, 10**12):
        torch.manual_seed(1)
        losses.append(method.loss(net, inputs, targets, size, progress).item())
    whole, nll = losses
    torch.manual_seed(1)
    plain = type(method)()
    return whole - nll, plain.loss(net, inputs, targets, 50, progress).item() - nll


@pytest.mark.parametrize("kind", KINDS)
def test_the_kl_is_weighted(kind: Any) -> None:
    """The loss is NLL + weight * KL / size; in a warm-up the weight rises from 0 as a line."""
    for options, progress, weight in (
        ({"kl_weight": 0.1}, 0.5, 0.1),
        ({"kl_warmup": 0.4}, 0.1, 0.25),
        ({"kl_warmup": 0.4, "kl_weight": 0.5}, 0.3, 0.375),
        ({"kl_warmup": 0.4}, 0.4, 1.0),
        ({"kl_warmup": 0.4}, 0.0, 0.0),
    ):
        found, full = penalty(kind(**options), progress)
        assert found == pytest.approx(weight * full, rel=1e-3, abs=1e-5)
    net = kind().build(TASK)
    assert kl(net) > 0


@pytest.mark.parametrize("name", ["mean-field", "mnf"])
def test_a_cold_posterior_has_a_name_of_its_own(name: str) -> None:
    """A weight other than 1 stands in the name, however it was set; the card says whose it is."""
    plugins = Plugins()
    assert plugins.spec("method", name).name == name
    assert plugins.spec("method", name, {"kl_weight": 0.1}).name == f"{name}[kl_weight=0.1]"
    assert "Wenzel" in plugins.spec("method", name).value.reference


@pytest.mark.parametrize("option", [{"kl_weight": -1.0}, {"kl_warmup": 1.5}])
def test_nonsense_is_refused(option: dict[str, float]) -> None:
    """A weight is at least 0, a share at most 1."""
    for kind in KINDS:
        with pytest.raises(ValueError, match=next(iter(option))):
            kind(**option)
