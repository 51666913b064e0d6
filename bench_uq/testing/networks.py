"""Requirements of a network: the layers of any method, and the outputs that its task needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any

import torch
from safetensors.torch import load
from torch import nn

from bench_uq.api.errors import UsageError, one_line
from bench_uq.api.layers import Layers
from bench_uq.api.likelihoods import Categorical, Gaussian
from bench_uq.api.method import Method
from bench_uq.api.networks import builder, check_network, double_softmax, network
from bench_uq.api.task import Task
from bench_uq.plan.plugins import Plugins
from bench_uq.testing.contract import Broken, Note, NotReached, Target, require
from bench_uq.testing.tensors import inputs_of, same, shape_text, targets_of
from bench_uq.train.loop import build
from bench_uq.train.state import stored

#: Layers that hold weights, of which methods bring their own.
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class NetworkTrial:
    """One network on one task that it was made for."""

    def __init__(self, task: Task) -> None:
        self.task, self.where = task, shape_text(task)
        self.inputs, self.targets = inputs_of(task, 4), targets_of(task, 4)

    def needed(self) -> None:
        """Stop a check unless check_builds holds."""
        if self.misfit:
            raise NotReached("'builds' fails")

    def plain(self, seed: int = 0) -> nn.Module:
        """The network of plain layers, in evaluation."""
        self.needed()
        torch.manual_seed(seed)
        return network(self.task).eval()

    @cached_property
    def misfit(self) -> str:
        """Why the network rejects the task's inputs; empty if it accepts them."""
        try:
            check_network(self.task, logits=False)
        except UsageError as error:
            return str(error)
        return ""

    def steady(self, net: nn.Module) -> bool:
        """Whether the same inputs give the same outputs again."""
        with torch.no_grad():
            return same(net(self.inputs), net(self.inputs))

    def built(self) -> Iterator[tuple[str, Method, nn.Module]]:
        """The network with the layers of each method that suits the task."""
        self.needed()
        for name, method in methods().items():
            if not method.suits(self.task):
                continue
            torch.manual_seed(0)
            # A method may refuse a network, for its size or for its layers.
            try:
                net = build(method, self.task, torch.device("cpu"))
            except UsageError:
                continue
            yield name, method, net


@lru_cache(maxsize=1)
def subjects(target: Target) -> Sequence[NetworkTrial]:
    """The network on the smallest images and on the features that it accepts; else on images."""
    images = []
    for shape in ((1, 8, 8), (1, 28, 28), (3, 32, 32)):
        mean, std = (0.5,) * shape[0], (0.3,) * shape[0]
        images.append(NetworkTrial(Task(shape, Categorical(10), mean, std, target.name)))
    features = Task((5,), Gaussian(0.0, 1.0), (0.5,) * 5, (0.3,) * 5, target.name)

    # The smallest that it accepts is the fastest; without one, any shows the error.
    smallest = next((trial for trial in images if not trial.misfit), images[0])
    fit = [trial for trial in (smallest, NetworkTrial(features)) if not trial.misfit]
    return fit or images


@lru_cache(maxsize=1)
def methods() -> dict[str, Method]:
    """All sound methods that train networks, without those in files of the user."""
    known, found = Plugins(), dict[str, Method]()
    for name in known.names("method"):
        with contextlib.suppress(UsageError):
            method = known.spec("method", name).value
            # One with a base has the networks of that.
            if not method.base:
                found[name] = method
    return found


def check_builds(trial: NetworkTrial) -> None:
    """From plain layers it maps inputs (B, ...) to finite outputs (B, P), for classes logits."""
    require(not trial.misfit, trial.misfit)
    outputs = trial.plain()(trial.inputs)
    require(outputs.isfinite().all(), "some outputs are not finite")
    reason = double_softmax(trial.task, outputs)
    require(not reason, reason)


def check_layers(trial: NetworkTrial) -> None:
    """It is built from the given layers, so that methods can inject theirs."""
    trial.needed()
    made: list[nn.Module] = []

    def recorded(make: Callable[..., nn.Module], *arguments: Any, **options: Any) -> nn.Module:
        # Layers are told apart by identity: a network may make equal ones itself.
        made.append(make(*arguments, **options))
        return made[-1]

    layers = Layers(linear=partial(recorded, nn.Linear), conv=partial(recorded, nn.Conv2d))
    try:
        net = builder(trial.task.network)(trial.task, layers)
    except UsageError as error:
        raise Note(f"methods with layers of their own refuse it: {error}") from None
    injected = set(map(id, made))
    held = [layer for layer in net.modules() if isinstance(layer, LAYERS)]
    own = [type(layer).__name__ for layer in held if id(layer) not in injected]

    require(len(own) < len(held), "none of its layers comes from 'layers': layers.linear(...)")
    if own:
        advice = "it is deterministic for every method"
        raise Note(f"{', '.join(dict.fromkeys(own))} does not come from 'layers': {advice}")


def check_still(trial: NetworkTrial) -> None:
    """From plain layers it is deterministic in evaluation, each row apart from the others."""
    net = trial.plain()
    advice = "noise belongs in the layers of a method"
    require(trial.steady(net), f"outputs differ from call to call: {advice}")
    # Batches of other sizes may sum in another order, so rows are only nearly equal.
    with torch.no_grad():
        close = torch.allclose(net(trial.inputs)[:1], net(trial.inputs[:1]), rtol=1e-3, atol=1e-4)
    require(close, "the output for a row changes with the rest of its batch")


def check_restores(trial: NetworkTrial) -> None:
    """Loading its stored state restores a fresh network, with the layers of every method."""
    net, fresh = trial.plain(0), trial.plain(1)
    if not trial.steady(net):
        raise NotReached("'still' fails")

    fresh.load_state_dict(load(stored(net)), strict=True)
    with torch.no_grad():
        equal = same(net(trial.inputs), fresh(trial.inputs))
    require(equal, "a restored network gives other outputs")

    for name, _, injected in trial.built():
        try:
            injected.load_state_dict(load(stored(injected)), strict=True)
        except Exception as error:
            raise Broken(
                f"it is not restored with the layers of {name}: {one_line(error)}"
            ) from error


def check_gradients(trial: NetworkTrial) -> None:
    """From the layers of every method, each parameter has a finite gradient."""
    for name, method, net in trial.built():
        layers = f"with the layers of {name}"
        try:
            method.loss(net.train(), trial.inputs, trial.targets, 100, 0.5).backward()
        except Exception as error:
            raise Broken(f"a step fails {layers}: {one_line(error)}") from error

        for parameter, values in net.named_parameters():
            # A parameter without a gradient is never trained.
            if values.grad is None:
                raise Broken(f"{parameter} is not used, {layers}")
            finite = values.grad.isfinite().all()
            require(finite, f"the gradient of {parameter} is not finite, {layers}")


def check_draws(trial: NetworkTrial) -> None:
    """From the layers of every method, draws are finite and of the right shape."""
    expected = len(trial.inputs), trial.task.likelihood.parameters
    for name, method, net in trial.built():
        # Methods that keep snapshots have none before an epoch.
        method.observe(net.eval(), 1.0)
        with torch.inference_mode():
            draws = method.draws(net, trial.inputs, 3)

        shape, layers = tuple(draws.shape), f"with the layers of {name}"
        require(shape[1:] == expected, f"draws are {shape} {layers}")
        require(draws.isfinite().all(), f"draws are not finite {layers}")
