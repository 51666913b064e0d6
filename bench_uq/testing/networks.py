"""What a network promises: it is built from the layers of any method, and maps inputs to likelihood parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any

import torch
from torch import nn

from bench_uq.api.errors import UsageError, one_line
from bench_uq.api.layers import Layers
from bench_uq.api.likelihoods import Categorical, Gaussian
from bench_uq.api.method import Method
from bench_uq.api.networks import builder, check_network, network
from bench_uq.api.task import Task
from bench_uq.plan.plugins import Plugins
from bench_uq.testing import Broken, Note, NotReached, Target, require
from bench_uq.testing.method_trials import same
from bench_uq.train.loop import build

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class NetworkTrial:
    """One network on one task that it was made for."""

    def __init__(self, task: Task, methods: dict[str, Method]) -> None:
        self.task, self.methods = task, methods
        self.where = f"inputs of {'x'.join(map(str, task.input_shape))}"
        self.inputs = torch.rand(4, *task.input_shape, generator=torch.Generator().manual_seed(1))
        self.inputs[0], self.inputs[1] = 0, 1
        labels = isinstance(task.likelihood, Categorical)
        self.targets = torch.arange(4) if labels else torch.linspace(-1, 1, 4)

    def plain(self, seed: int = 0) -> nn.Module:
        """Return the network of plain layers, in evaluation."""
        torch.manual_seed(seed)
        return network(self.task).eval()

    @cached_property
    def misfit(self) -> str:
        """Why the network does not take the task's inputs, empty where it does."""
        try:
            check_network(self.task)
        except UsageError as error:
            return str(error)
        return ""


@lru_cache(maxsize=1)
def subjects(target: Target) -> Sequence[NetworkTrial]:
    """Return the network on the smallest inputs of each kind that it takes; where there are none, on images."""
    images = [
        Task(shape, Categorical(10), (0.5,) * shape[0], (0.3,) * shape[0], target.name)
        for shape in ((1, 8, 8), (1, 28, 28), (3, 32, 32))
    ]
    features = Task((5,), Gaussian(0.0, 1.0), (0.5,) * 5, (0.3,) * 5, target.name)
    trials = [NetworkTrial(task, methods()) for task in (*images, features)]
    fit = [
        next((trial for trial in trials[:3] if not trial.misfit), None),
        trials[3] if not trials[3].misfit else None,
    ]
    return [trial for trial in fit if trial] or trials[:3]


@lru_cache(maxsize=1)
def methods() -> dict[str, Method]:
    """Return all methods but those of the user's files and broken ones."""
    known, found = Plugins(), {}
    for name in known.names("method"):
        with contextlib.suppress(UsageError):
            found[name] = known.spec("method", name).value
    return found


def needed(trial: NetworkTrial) -> None:
    """Go on only where the network takes its inputs."""
    if trial.misfit:
        raise NotReached("'builds' fails")


def check_builds(trial: NetworkTrial) -> None:
    """From plain layers it maps inputs (B, ...) to finite outputs (B, P)."""
    require(not trial.misfit, trial.misfit)
    outputs = trial.plain()(trial.inputs)
    require(bool(outputs.isfinite().all()), "some outputs are not finite")


def check_layers(trial: NetworkTrial) -> None:
    """It is built from the layers that it is given, so that methods can inject theirs."""
    needed(trial)
    made: list[nn.Module] = []

    def recorded(make: Callable[..., nn.Module], *arguments: Any, **options: Any) -> nn.Module:
        made.append(make(*arguments, **options))
        return made[-1]

    layers = Layers(linear=partial(recorded, nn.Linear), conv=partial(recorded, nn.Conv2d))
    net = builder(trial.task.network)(trial.task, layers)
    injected = {id(layer) for layer in made}
    held = [layer for layer in net.modules() if isinstance(layer, LAYERS)]
    require(
        any(id(layer) in injected for layer in held),
        "none of its layers comes from 'layers': layers.linear(...)",
    )
    own = [type(layer).__name__ for layer in held if id(layer) not in injected]
    if own:
        raise Note(
            f"{', '.join(own)} does not come from 'layers': it is deterministic for every method"
        )


def check_still(trial: NetworkTrial) -> None:
    """From plain layers it is deterministic in evaluation, and a row does not depend on the others of its batch."""
    needed(trial)
    net = trial.plain()
    require(
        steady(trial, net),
        "outputs differ from call to call: noise belongs into the layers of a method",
    )
    with torch.no_grad():
        close = torch.allclose(net(trial.inputs)[:1], net(trial.inputs[:1]), rtol=1e-3, atol=1e-4)
    require(close, "the output for a row changes with the rest of its batch")


def steady(trial: NetworkTrial, net: nn.Module) -> bool:
    """Return whether the same inputs have the same outputs again."""
    with torch.no_grad():
        return same(net(trial.inputs), net(trial.inputs))


def check_restores(trial: NetworkTrial) -> None:
    """A strict load of its state into a fresh build restores it."""
    needed(trial)
    net, fresh = trial.plain(0), trial.plain(1)
    if not steady(trial, net):
        raise NotReached("'still' fails")
    fresh.load_state_dict(net.state_dict(), strict=True)
    with torch.no_grad():
        require(
            same(net(trial.inputs), fresh(trial.inputs)), "a restored network gives other outputs"
        )


def check_gradients(trial: NetworkTrial) -> None:
    """From the layers of every method, each parameter has a finite gradient."""
    needed(trial)
    for name, method in suited(trial).items():
        torch.manual_seed(0)
        net = build(method, trial.task, torch.device("cpu")).train()
        try:
            method.loss(net, trial.inputs, trial.targets, 100, 0.5).backward()
        except Exception as error:
            raise Broken(f"a step fails with the layers of {name}: {one_line(error)}") from error
        for parameter, values in net.named_parameters():
            require(values.grad is not None, f"{parameter} is not used, with the layers of {name}")
            finite = values.grad is not None and bool(values.grad.isfinite().all())
            require(finite, f"the gradient of {parameter} is not finite, with the layers of {name}")


def suited(trial: NetworkTrial) -> dict[str, Method]:
    """Return the methods that there are for the task."""
    return {name: method for name, method in trial.methods.items() if method.suits(trial.task)}


def check_draws(trial: NetworkTrial) -> None:
    """From the layers of every method, draws are finite and of the right shape."""
    needed(trial)
    for name, method in suited(trial).items():
        torch.manual_seed(0)
        net = build(method, trial.task, torch.device("cpu")).eval()
        method.observe(net, 1.0)  # what keeps snapshots has none before an epoch
        with torch.inference_mode():
            draws = method.draws(net, trial.inputs, 3)
        expected = (len(trial.inputs), trial.task.likelihood.parameters)
        require(
            draws.shape[1:] == expected, f"draws are {tuple(draws.shape)} with the layers of {name}"
        )
        require(bool(draws.isfinite().all()), f"draws are not finite with the layers of {name}")
