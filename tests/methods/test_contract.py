"""What every method in the folder promises, none of them named here."""

from __future__ import annotations

import dataclasses
import math
from typing import get_type_hints

import pytest
import torch
from torch import Tensor, nn

from bench_uq.api import Method, Network, Task, task_of
from bench_uq.networks import split
from bench_uq.plugins import Plugins

NAMES = Plugins().names("method")
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


@pytest.fixture(params=NAMES)
def method(request: pytest.FixtureRequest) -> Method:
    """Return each method with its defaults."""
    return Plugins().spec("method", request.param).value


@pytest.fixture(params=["images", "features"])
def task(request: pytest.FixtureRequest) -> Task:
    """Return each task."""
    return request.getfixturevalue(request.param)


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
    return inputs, task.likelihood.sample(task.likelihood.normalise(task.likelihood.scale(outputs)), generator)


def drawn(method: Method, net: nn.Module, inputs: Tensor, seed: int = 2, count: int = COUNT) -> Tensor:
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


def widths(net: nn.Module, inputs: Tensor) -> list[list[tuple[int, ...]]]:
    """Return the output shapes of the stages of the network, or networks, in a method's module."""
    shapes: list[list[tuple[int, ...]]] = []
    for network in (module for module in net.modules() if isinstance(module, Network)):
        shapes.append([])
        passed = inputs
        for stage in network.stages:
            passed = stage(passed)
            shapes[-1].append(tuple(passed.shape[1:]))
    return shapes


def test_source(method):
    """A method names the paper it comes from, with a link."""
    assert "https://" in method.reference


def test_build(method, task):
    """A network maps inputs in [0, 1] to finite likelihood parameters, all of which the optimiser trains."""
    net = build(method, task)
    outputs = net(batch(task)[0])
    assert outputs.shape == (12, task.likelihood.parameters)
    assert outputs.isfinite().all()
    optimised = {id(values) for group in method.optimiser(net).param_groups for values in group["params"]}
    assert optimised == {id(values) for values in net.parameters()}


def test_loss_and_gradients(method, task):
    """The loss is a finite scalar whose gradients are finite, in every parameter, on black and white inputs too."""
    net = build(method, task)
    loss = loss_of(method, net, task, size=100)
    loss.backward()
    gradients = {name: values.grad for name, values in net.named_parameters()}
    assert loss.shape == ()
    assert loss.isfinite()
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    assert [name for name, gradient in gradients.items() if not gradient.isfinite().all()] == []
    assert any(gradient.any() for gradient in gradients.values())


def test_loss_is_nll_in_nats_per_example(method, task):
    """Of so many examples that the prior does not count, the loss is the mean NLL of a draw in nats."""
    net = build(method, task)
    inputs, targets = batch(task)
    losses = torch.stack([loss_of(method, net, task, size=10**15, seed=seed).detach() for seed in range(40)])
    nll = -task.likelihood.log_prob(drawn(method, net, inputs, count=400), targets).mean(-1)
    error = sum(sample.var(correction=0) / len(sample) for sample in (losses, nll)) ** 0.5
    assert losses.mean() == pytest.approx(nll.mean().item(), abs=5 * error.item(), rel=1e-4)


def test_prior_counts_once_for_all_examples(method, task):
    """What the loss has beside the NLL is divided by the number of training examples."""
    net = build(method, task)
    one, two, four = (loss_of(method, net, task, size).item() for size in (10, 20, 40))
    assert one - four == pytest.approx(3 * (two - four), rel=1e-3, abs=1e-5)


def test_draws(method, task):
    """Draws are (S, B, P) with 1 <= S <= count, finite, and log-probabilities of classes sum to 1."""
    net = build(method, task)
    inputs, _ = batch(task)
    for count in (1, COUNT):
        draws = drawn(method, net, inputs, count=count)
        assert draws.shape[1:] == (12, task.likelihood.parameters)
        assert 1 <= len(draws) <= count
        assert draws.isfinite().all()
        torch.testing.assert_close(task.likelihood.normalise(draws), draws)


def test_classes_are_normalised(method, images):
    """The probabilities of the classes sum to 1 in every draw."""
    draws = drawn(method, build(method, images), batch(images)[0])
    torch.testing.assert_close(draws.exp().sum(-1), torch.ones(draws.shape[:-1]))


def test_chunks_of_many_draws(method, images):
    """More draws than go through at once are as many draws, each its own."""
    draws = drawn(method, build(method, images), batch(images, size=300)[0], count=10)
    if is_random(build(method, images)):
        assert len(draws) == 10
    assert len(draws.flatten(1).unique(dim=0)) == len(draws)


def test_seeds(method, task):
    """The same seed gives the same draws; another seed gives others exactly where something is random."""
    net = build(method, task)
    inputs, _ = batch(task)
    draws = drawn(method, net, inputs, seed=5)
    assert drawn(method, net, inputs, seed=5).equal(draws)
    assert drawn(method, net, inputs, seed=6).equal(draws) == (not is_random(net))
    assert (len(draws) == COUNT) == is_random(net)


def test_examples_of_a_batch_have_noise_of_their_own(method, task):
    """Equal inputs in a batch get unequal draws where something is random, and equal ones where nothing is."""
    net = build(method, task)
    draws = drawn(method, net, batch(task)[0][5:6].repeat(2, *(1,) * len(task.input_shape)))
    if is_random(net):
        assert not draws[:, 0].equal(draws[:, 1])
    else:
        torch.testing.assert_close(draws[:, 0], draws[:, 1])


def test_state_restores_draws(method, task):
    """A strict load of the state into a fresh network restores its draws exactly."""
    net, other = build(method, task, seed=0), build(method, task, seed=1)
    loss_of(method, net, task, size=100).backward()
    method.optimiser(net).step()
    inputs, _ = batch(task)
    before = drawn(method, net, inputs)
    assert not drawn(method, other, inputs).equal(before)
    other.load_state_dict({name: values.clone() for name, values in net.state_dict().items()}, strict=True)
    assert drawn(method, other, inputs).equal(before)


def test_evaluation_forgets_training_mode(method, task):
    """Draws in evaluation are the same before and after a spell, and a pass, in training mode."""
    net = build(method, task)
    inputs, _ = batch(task)
    before = drawn(method, net, inputs)
    loss_of(method, net, task, size=100)  # switches to train()
    assert drawn(method, net, inputs).equal(before)


def test_loss_leaves_gradients_alone(method, task):
    """The loss by itself writes no gradient into a parameter, nor into the inputs."""
    net = build(method, task)
    inputs, targets = batch(task)
    method.loss(net, inputs, targets, 100, 0.5)
    assert all(values.grad is None for values in net.parameters())
    assert not inputs.requires_grad


def test_architecture(method, task):
    """Methods never differ in architecture: the stages are as wide as those of the plain network."""
    inputs, _ = batch(task)
    plain = widths(build(Plugins().spec("method", "map").value, task), inputs)
    found = widths(build(method, task), inputs)
    assert found
    assert found == plain * len(found)


def test_task_is_that_of_the_build(method, task):
    """A network knows the task that it was built for."""
    assert task_of(build(method, task)) == task


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        (name, option, value)
        for name in NAMES
        for option, kind in get_type_hints(type(Plugins().spec("method", name).value)).items()
        if option in {field.name for field in dataclasses.fields(Plugins().spec("method", name).value)}
        for value in [*NONSENSE.get(option, []), *([math.nan] if kind is float else [])]
    ],
)
def test_nonsense_is_refused(name, option, value):
    """An option without meaning, nan among them, is a ValueError that names the option."""
    with pytest.raises(ValueError, match=option):
        type(Plugins().spec("method", name).value)(**{option: value})


@pytest.mark.parametrize("name", NAMES)
def test_options_are_frozen(name):
    """Options cannot change after a method is made."""
    method = Plugins().spec("method", name).value
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.members = 2
