"""What every method in the folder promises, none of them named here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch
from torch import Tensor, nn

from bench_uq.api import Categorical, Gaussian, Method, Task
from bench_uq.api import layers as networks
from bench_uq.api.layers import split
from bench_uq.plan.plugins import Plugins
from bench_uq.testing import checks_in, checks_of, run
from bench_uq.testing.targets import targets

NAMES = Plugins().names("method")
#: Those that train networks of their own.
TRAINED = [name for name in NAMES if not Plugins().spec("method", name).value.base]
COUNT = 6

#: Options that make no sense, refused by every method that has them.
NONSENSE = {
    "members": [0, -1],
    "prior_std": [0.0, -1.0],
    "max_std": [0.0, -0.5],
    "rate": [1.5, 1.0, -0.1],
    "flows": [-1],
    "hidden": [0],
    "adversarial_epsilon": [-0.1, 1.5],
    "start_log_variance": [math.inf, -math.inf],
    "z_mean": [math.inf],
}


#: Options that shorten the trial of a method that has them, and change no promise.
SHORT = {"steps": 5, "members": 2, "base": "ensemble[members=2]"}


#: Why the loss of a method is not the mean NLL of its draws.
OTHER_LOSS = {
    "evidential": "the expected squared error under a Dirichlet, or the NLL of a Student's t",
    "het": "an NLL weighted by the variance",
    "mdn": "the NLL of the whole mixture, of which draws are parts",
    "quantile": "the pinball loss",
}


def suited() -> Iterator[tuple[str, str]]:
    """Yield each method and the name of each task that it is defined for."""
    tasks = {"images": Task((1, 8, 8), Categorical(10)), "features": Task((5,), Gaussian())}
    for name, (kind, one) in product(TRAINED, tasks.items()):
        if Plugins().spec("method", name).value.suits(one):
            yield name, kind


@pytest.fixture(params=list(suited()), ids="-".join)
def pair(request: pytest.FixtureRequest) -> tuple[Method, Task]:
    """Return each method with its defaults, and each task that suits it."""
    name, kind = request.param
    return Plugins().spec("method", name).value, request.getfixturevalue(kind)


@pytest.fixture
def method(pair: tuple[Method, Task]) -> Method:
    """Return the method of a pair."""
    return pair[0]


@pytest.fixture
def task(pair: tuple[Method, Task]) -> Task:
    """Return the task of a pair."""
    return pair[1]


def build(method: Method, task: Task, seed: int = 0) -> nn.Module:
    """Build as the engine does."""
    torch.manual_seed(seed)
    net = method.build(task)
    net.task = task
    return net


def is_random(net: nn.Module) -> bool:
    """Return whether the engine runs any stage of a network once a draw."""
    return len(split(net)[1]) > 0


def batch(task: Task, size: int = 12) -> tuple[Tensor, Tensor]:
    """Return inputs in [0, 1], the first black and the second white, and targets."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(size, *task.input_shape, generator=generator)
    inputs[0], inputs[1] = 0, 1
    outputs = torch.zeros(size, task.likelihood.parameters)
    return inputs, task.likelihood.sample(
        task.likelihood.normalise(task.likelihood.scale(outputs)), generator
    )


def drawn(
    method: Method, net: nn.Module, inputs: Tensor, seed: int = 2, count: int = COUNT
) -> Tensor:
    """Return draws of a network in evaluation."""
    net.eval()
    torch.manual_seed(seed)
    with torch.inference_mode():
        return method.draws(net, inputs, count).clone()


def loss_of(method: Method, net: nn.Module, task: Task, size: int, seed: int = 3) -> Tensor:
    """Return the training loss."""
    net.train()
    torch.manual_seed(seed)
    return method.loss(net, *batch(task), size, 0.0)


def shortened(name: str) -> str:
    """The name of a method with the options that shorten its trial."""
    method = Plugins().spec("method", name).value
    longer = {option for option in SHORT if getattr(method, option, 1) not in (1, SHORT[option])}
    # Of the bases one alone is of several networks.
    if method.base != "ensemble":
        longer.discard("base")
    options = [f"{option}={value}" for option, value in SHORT.items() if option in longer]
    return f"{name}[{','.join(options)}]" if options else name


@pytest.mark.parametrize("check", [check.name for check, _ in checks_in("method")])
@pytest.mark.parametrize("name", NAMES)
def test_checks(name, check):
    """Each method keeps each promise, on images and on a table with real targets where it suits
    them.
    """
    (target,) = targets([shortened(name)], "method", (), Path())
    verdict = next(
        run(one, subjects, target) for one, subjects in checks_of(target) if one.name == check
    )
    assert (verdict.status, verdict.reason) == ("ok", "")


@pytest.mark.parametrize(
    "pair", [one for one in suited() if one[0] not in OTHER_LOSS], indirect=True, ids="-".join
)
def test_loss_is_nll_in_nats_per_example(method, task):
    """Of so many examples that the prior does not count, the loss is the mean NLL of a draw in
    nats.
    """
    net = build(method, task)
    inputs, targets = batch(task)
    losses = torch.stack(
        [loss_of(method, net, task, size=10**15, seed=seed).detach() for seed in range(40)]
    )
    nll = -task.likelihood.log_prob(drawn(method, net, inputs, count=400), targets).mean(-1)
    error = sum(sample.var(correction=0) / len(sample) for sample in (losses, nll)) ** 0.5
    assert losses.mean() == pytest.approx(nll.mean().item(), abs=5 * error.item(), rel=1e-4)


def test_prior_counts_once_for_all_examples(method, task):
    """What the loss has beside the NLL is divided by the number of training examples."""
    net = build(method, task)
    one, two, four = (loss_of(method, net, task, size).item() for size in (10, 20, 40))
    assert one - four == pytest.approx(3 * (two - four), rel=1e-3, abs=1e-5)


def test_chunks_of_many_draws(method, task):
    """More draws than go through at once are as many draws, each its own."""
    draws = drawn(method, build(method, task), batch(task, size=300)[0], count=10)
    if is_random(build(method, task)):
        assert len(draws) == len(draws.flatten(1).unique(dim=0)) == 10


def test_seeds(method, task):
    """The same seed gives the same draws; another seed gives others exactly where something is
    random.
    """
    net = build(method, task)
    inputs, _ = batch(task)
    draws = drawn(method, net, inputs, seed=5)
    assert drawn(method, net, inputs, seed=5).equal(draws)
    assert drawn(method, net, inputs, seed=6).equal(draws) == (not is_random(net))
    assert (len(draws) == COUNT) == is_random(net)


def test_examples_of_a_batch_have_noise_of_their_own(method, task):
    """Equal inputs in a batch get unequal draws where something is random, and equal ones where
    nothing is.
    """
    net = build(method, task)
    draws = drawn(method, net, batch(task)[0][5:6].repeat(2, *(1,) * len(task.input_shape)))
    if is_random(net):
        assert not draws[:, 0].equal(draws[:, 1])
    else:
        torch.testing.assert_close(draws[:, 0], draws[:, 1])


def nonsense() -> Iterator[tuple[str, str, Any]]:
    """Yield a method, an option of it and a value without meaning."""
    for name in NAMES:
        method = type(Plugins().spec("method", name).value)
        options = {field.name for field in dataclasses.fields(method)}
        for option, kind in get_type_hints(method).items():
            if option in options:
                values = [*NONSENSE.get(option, []), *([math.nan] if kind is float else [])]
                yield from product([name], [option], values)


@pytest.mark.parametrize(("name", "option", "value"), list(nonsense()))
def test_nonsense_is_refused(name, option, value):
    """An option without meaning, nan among them, is a ValueError that names the option."""
    with pytest.raises(ValueError, match=option):
        type(Plugins().spec("method", name).value)(**{option: value})


@pytest.mark.parametrize("grads", [False, True])
def test_what_copies_share_is_computed_once_with_the_same_result(
    method: Method, task: Task, monkeypatch: pytest.MonkeyPatch, grads: bool
) -> None:
    """Draws whose first random layer tells apart what they share are those of a batch of copies,
    gradients included.
    """
    net, shape = build(method, task).eval(), (5, *task.input_shape)
    inputs = torch.rand(shape)
    inputs = inputs.to(memory_format=torch.channels_last) if len(shape) == 4 else inputs

    def drawn() -> list[Tensor]:
        torch.manual_seed(1)
        shown = inputs.clone().requires_grad_(grads)
        with torch.set_grad_enabled(grads):
            draws = method.draws(net, shown, COUNT)
        return [draws, *(torch.autograd.grad(draws.square().sum(), shown) if grads else ())]

    fast = drawn()
    monkeypatch.setattr(
        networks, "repeated", lambda stage, some: lambda count: stage(torch.cat([some] * count))
    )
    for one, other in zip(fast, drawn(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
