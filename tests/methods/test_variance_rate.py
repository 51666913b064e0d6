"""The rates at which the variational methods train: one for log-variances of weights and biases,
one for the rest.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from bench_uq.api import Categorical, Method, Task
from bench_uq.methods.mean_field import MeanField
from bench_uq.methods.mnf import MNF
from bench_uq.train.recipe import begin
from bench_uq.train.settings import Settings

METHODS: list[type[MeanField] | type[MNF]] = [MeanField, MNF]
#: What the networks' layers call their log-variances; that of MNF's z is none of them.
VARIANCES = ("weight_log_variance", "bias_log_variance")
TASKS = {
    "lenet": Task((1, 8, 8), Categorical(10), mean=(0.3,), std=(0.4,), network="lenet"),
    "mlp": Task((5,), Categorical(3), mean=(0.5,) * 5, std=(0.25,) * 5, network="mlp"),
    "resnet18": Task(
        (1, 8, 8), Categorical(4), mean=(0.3,), std=(0.4,), network="resnet18"
    ),  # layers without biases
}


def built(method: Method, task: str) -> nn.Module:
    """Return an untrained network."""
    torch.manual_seed(0)
    return method.build(TASKS[task])


def rate(name: str, variance_rate: float) -> float:
    """Return the rate that a parameter is to be trained at."""
    return variance_rate if name.endswith(VARIANCES) else 1e-3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", TASKS)
def test_every_parameter_has_one_rate(method, task):
    """Log-variances of all weights and biases have variance_rate, all else 1e-3, and nothing is in
    two groups.
    """
    net = built(method(variance_rate=0.05), task)
    names = {id(values): name for name, values in net.named_parameters()}
    optimiser = method(variance_rate=0.05).optimiser(net)
    rates = []
    for group in optimiser.param_groups:
        rates += [(names[id(values)], group["lr"]) for values in group["params"]]
    assert sorted(rates) == sorted((name, rate(name, 0.05)) for name in names.values())

    layers = sum(
        isinstance(module, nn.Module) and hasattr(module, "weight_log_variance")
        for module in net.modules()
    )
    at_variance_rate = [name for name, value in rates if value == 0.05]
    assert sum(name.endswith("weight_log_variance") for name in at_variance_rate) == layers > 1
    if method is MNF:
        assert (
            sum(name.endswith("z_log_variance") and value == 1e-3 for name, value in rates)
            == layers
        )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("option", [{}, {"variance_rate": 0.05}])
def test_a_first_step_is_as_long_as_the_rate(method, option):
    """Adam's first step moves every number by its rate: 3e-3 for log-variances unless another is
    asked for.
    """
    method = method(**option)
    net = built(method, "mlp")
    optimiser = method.optimiser(net)
    before = {name: values.detach().clone() for name, values in net.named_parameters()}
    for values in net.parameters():
        values.grad = torch.ones_like(values)
    optimiser.step()
    for name, values in net.named_parameters():
        moved = before[name] - values.detach()
        expected = torch.full_like(moved, rate(name, option.get("variance_rate", 3e-3)))
        torch.testing.assert_close(moved, expected, rtol=2e-3, atol=0, msg=name)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [-1e-3, 1.5, float("nan"), float("inf")])
def test_rates_that_are_none_are_refused(method, value):
    """A rate is at least 0 and at most 1."""
    with pytest.raises(ValueError, match=r"variance_rate must be in \[0, 1\]"):
        method(variance_rate=value)
    assert dataclasses.replace(method(), variance_rate=1.0).variance_rate == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("option", "expected"), [({}, 3e-2), ({"variance_rate": 5e-3}, 5e-3)])
def test_the_learning_rate_moves_the_rate_of_log_variances(method, option, expected):
    """By default they keep three times the rate of the rest; a rate that was given stays."""
    made = method(**option)
    optimiser = made.optimiser(built(made, "mlp"))
    begin(optimiser, Settings(learning_rate=1e-2))
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([1e-2, expected])
