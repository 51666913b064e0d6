"""What networks are made of, and how draws go through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from bench_uq.api.task import Task

#: Numbers (draws x examples x size of one) that enter the random part of a network at once: 128 images of 28x28 on a
#: CPU, where LeNet's layers then stay within the caches (benchmarks.draws); more on a GPU.
NUMBERS_AT_ONCE = {"cpu": 128 * 784, "cuda": 8192 * 784}


@dataclass(frozen=True)
class Layers:
    """What a network is built from; the defaults make the plain deterministic one."""

    linear: Callable[[int, int], nn.Module] = nn.Linear  # (inputs, outputs)
    #: (channels in, channels out, kernel size) and by keyword stride, padding, bias
    conv: Callable[..., nn.Module] = nn.Conv2d
    before_dense: Callable[[], nn.Module] = (
        nn.Identity
    )  # before each dense layer but one that sees the inputs
    before_last: Callable[[], nn.Module] = (
        nn.Identity
    )  # before the last dense layer; left out: before_dense

    def __post_init__(self) -> None:
        if self.before_last is nn.Identity:
            object.__setattr__(self, "before_last", self.before_dense)


class Normalise(nn.Module):
    """Shift and scale inputs in [0, 1] per channel or feature; the first layer, so that attacks act on pixels."""

    random = False
    mean: Tensor
    scale: Tensor

    def __init__(self, task: Task) -> None:
        super().__init__()
        shape = (-1,) + (1,) * (len(task.input_shape) - 1)
        self.register_buffer("mean", torch.tensor(task.mean).reshape(shape))
        self.register_buffer("scale", 1 / torch.tensor(task.std).reshape(shape))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return inputs of zero mean and unit variance."""
        return (inputs - self.mean) * self.scale


class Network(nn.Module):
    """Stages in sequence, then the likelihood's units: (B, *input_shape) in [0, 1] -> (B, P)."""

    def __init__(self, task: Task, stages: Iterable[nn.Module]) -> None:
        super().__init__()
        self.task = task
        self.stages = nn.Sequential(Normalise(task), *stages)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return likelihood parameters, log-probabilities up to a constant for classes."""
        return self.task.likelihood.scale(self.stages(inputs))


def task_of(net: nn.Module) -> Task:
    """Return the task that a network was built for."""
    task = net.task
    assert isinstance(task, Task)
    return task


def kl(net: nn.Module) -> Tensor | float:
    """Return the sum over all layers with a ``kl()`` of their KL(posterior || prior), in nats; 0 without one.

    A network with a ``kl()`` of its own answers for all of its layers.
    """
    if callable(own := getattr(net, "kl", None)):
        return cast(Tensor, own())
    divergences = (getattr(layer, "kl", None) for layer in net.modules())
    return sum(divergence() for divergence in divergences if callable(divergence))


def is_random(stage: nn.Module) -> bool:
    """Return whether a stage may draw noise in evaluation.

    Only torch's own layers, and those that say ``random = False``, are known not to: a layer of a plugin that says
    nothing is run once a draw, which is never wrong.
    """
    return any(
        not type(layer).__module__.startswith("torch.nn.") and getattr(layer, "random", True)
        for layer in stage.modules()
    )


def split(net: nn.Module) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the deterministic stages before the first random one, and the rest."""
    stages = list(net.stages) if isinstance(net, Network) else [net]
    first = next((index for index, stage in enumerate(stages) if is_random(stage)), len(stages))
    return nn.Sequential(*stages[:first]), nn.Sequential(*stages[first:])


def stochastic_passes(net: nn.Module, inputs: Tensor, count: int) -> Tensor:
    """Return ``count`` draws (S, B, P), or one where nothing in the network is random.

    The deterministic stages run once, and so does what the draws of the first random one share, where it tells it
    apart (``repeated``); the others run on several draws at a time, as one larger batch.
    """
    before, after = split(net)
    shared = before(inputs)
    if len(after) == 0:
        return finished(net, shared).unsqueeze(0)
    copies, rest = repeated(after[0], shared), after[1:]
    at_once = draws_at_once(shared)
    passes = []
    for start in range(0, count, at_once):
        draws = min(at_once, count - start)
        passes.append(finished(net, rest(copies(draws))).unflatten(0, (draws, len(inputs))))
    return torch.cat(passes)


def repeated(stage: nn.Module, inputs: Tensor) -> Callable[[int], Tensor]:
    """Return a function that gives a stage's outputs for so many copies of the inputs, (count * B, ...).

    A stage with a ``repeated(inputs)`` of its own computes what all copies share once.
    """
    if callable(own := getattr(stage, "repeated", None)):
        return cast("Callable[[int], Tensor]", own(inputs))
    # cat keeps the memory format of images, which expand and reshape would lose.
    return lambda count: stage(torch.cat([inputs] * count))


def draws_at_once(inputs: Tensor, batches: int = 1) -> int:
    """Return how many draws of a batch go through a network as one larger batch, or as several of them."""
    budget = NUMBERS_AT_ONCE.get(inputs.device.type, NUMBERS_AT_ONCE["cpu"])
    return max(1, batches * budget // max(1, inputs.numel()))


def finished(net: nn.Module, outputs: Tensor) -> Tensor:
    """Turn the outputs of the last stage into normalised likelihood parameters."""
    likelihood = task_of(net).likelihood
    return likelihood.normalise(likelihood.scale(outputs) if isinstance(net, Network) else outputs)
