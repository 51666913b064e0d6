"""Layers that networks are built from, and how draws go through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from bench_uq.api.task import Task

#: Numbers (draws x examples x size of an example) that enter the random part of a network at once.
#: On a CPU these are 128 images of 28x28, for which the layers of LeNet stay within the caches
#: (benchmarks.draws); a GPU takes more.
NUMBERS_AT_ONCE = {"cpu": 128 * 784, "cuda": 8192 * 784}


@dataclass(frozen=True)
class Layers:
    """Layers that a method injects into a network; the defaults make it deterministic.

    ``linear`` takes (inputs, outputs); ``conv`` takes (channels in, channels out, kernel size) and
    by keyword stride, padding and bias. ``before_dense`` comes before each dense layer except one
    that sees the inputs; ``before_last`` before the last dense layer, by default the same.
    """

    linear: Callable[[int, int], nn.Module] = nn.Linear
    conv: Callable[..., nn.Module] = nn.Conv2d
    before_dense: Callable[[], nn.Module] = nn.Identity
    before_last: Callable[[], nn.Module] = nn.Identity

    def __post_init__(self) -> None:
        # nn.Identity as the default tells a layer that was left out from one that was given.
        if self.before_last is nn.Identity:
            object.__setattr__(self, "before_last", self.before_dense)


class Normalise(nn.Module):
    """Shift and scale inputs in [0, 1] per channel or feature.

    It is the first layer of a network, so that attacks act on pixels.
    """

    random = False
    mean: Tensor
    scale: Tensor

    def __init__(self, task: Task) -> None:
        super().__init__()
        # One number per channel broadcasts over the pixels of (B, C, H, W).
        shape = (-1,) + (1,) * (len(task.input_shape) - 1)
        self.register_buffer("mean", torch.tensor(task.mean).reshape(shape))
        self.register_buffer("scale", 1 / torch.tensor(task.std).reshape(shape))

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs of zero mean and unit variance."""
        return (inputs - self.mean) * self.scale


class Network(nn.Module):
    """Stages in sequence, then the units of the likelihood.

    Inputs (B, *input_shape) in [0, 1], outputs (B, P).
    """

    def __init__(self, task: Task, stages: Iterable[nn.Module]) -> None:
        super().__init__()
        self.task = task
        self.stages = nn.Sequential(Normalise(task), *stages)

    def forward(self, inputs: Tensor) -> Tensor:
        """Likelihood parameters (B, P); for classes, log-probabilities up to a constant."""
        # Last, so that a network learns on the standardised scale of the targets.
        return self.task.likelihood.scale(self.stages(inputs))


def task_of(net: nn.Module) -> Task:
    """Task that a network was built for."""
    task = net.task
    assert isinstance(task, Task)
    return task


def layers_of(net: nn.Module) -> Iterator[nn.Module]:
    """All layers of a network, each once, in the order of ``net.modules()``.

    That spells the name of every layer, which takes a while in every step of a training.
    """
    seen, waiting = set[nn.Module](), [net]
    while waiting:
        layer = waiting.pop()
        if layer not in seen:
            seen.add(layer)
            yield layer
            waiting += reversed(list(layer.children()))


def kl(net: nn.Module) -> Tensor | float:
    """Sum of KL(posterior || prior) over all layers with a ``kl()``, in nats; 0 without any.

    If the network has a ``kl()`` of its own, that is the sum.
    """
    # A method may share work among its layers, and so sum them itself.
    if callable(own := getattr(net, "kl", None)):
        return cast(Tensor, own())

    divergences = (getattr(layer, "kl", None) for layer in layers_of(net))
    return sum(divergence() for divergence in divergences if callable(divergence))


def shares(nets: nn.ModuleList, count: int) -> Iterator[tuple[nn.Module, int]]:
    """Each member with its share of the draws; the first members take the remainder."""
    each, rest = divmod(count, len(nets))
    for index, net in enumerate(nets):
        share = each + (index < rest)
        if share:
            yield net, share


class Base(nn.Module):
    """The trained networks of another method, one for each member, and their draws.

    ``drawn`` is the ``draws`` of that method.
    """

    def __init__(self, drawn: Callable[[nn.Module, Tensor, int], Tensor], nets: nn.ModuleList):
        super().__init__()
        self.drawn, self.nets = drawn, nets

    def draws(self, inputs: Tensor, count: int) -> Tensor:
        """At most ``count`` draws, (S, B, P), of all members, or of as many at random."""
        nets = self.nets
        if count < len(nets):
            # Always the first ones would make calls that add up to more leave out the others.
            picked = torch.randperm(len(nets))[:count]
            nets = nn.ModuleList(nets[index] for index in picked.tolist())

        found = []
        for net, share in shares(nets, count):
            found.append(self.drawn(net, inputs, share))
        return torch.cat(found)


def stochastic_passes(net: nn.Module, inputs: Tensor, count: int) -> Tensor:
    """``count`` draws (S, B, P), or one draw if nothing in the network is random.

    The deterministic stages run once. So does the part of the first random stage that all draws
    share, if the stage has a ``repeated``. The other stages run on several draws at a time, as one
    larger batch.
    """
    before, after = split(net)
    shared = before(inputs)
    if len(after) == 0:
        return finished(net, shared).unsqueeze(0)

    # Several draws as one batch fill the vector units; too many would leave the caches.
    copies, rest = repeated(after[0], shared), after[1:]
    at_once = draws_at_once(shared)
    passes = []
    for start in range(0, count, at_once):
        draws = min(at_once, count - start)
        outputs = finished(net, rest(copies(draws)))
        passes.append(outputs.unflatten(0, (draws, len(inputs))))

    return torch.cat(passes)


def split(net: nn.Module) -> tuple[nn.Sequential, nn.Sequential]:
    """Split a network into the deterministic stages before the first random one, and the rest."""
    stages = list(net.stages) if isinstance(net, Network) else [net]
    # Stages before the first random one give the same outputs for every draw.
    first = 0
    while first < len(stages) and not is_random(stages[first]):
        first += 1

    return nn.Sequential(*stages[:first]), nn.Sequential(*stages[first:])


def is_flat_before_noise(net: Network) -> bool:
    """Whether every stage that may draw noise comes after a stage that flattens its inputs."""
    before, after = split(net)
    return len(after) == 0 or any(isinstance(stage, nn.Flatten) for stage in before)


def frozen_stages(net: nn.Module) -> list[nn.Module]:
    """The stages up to the last frozen one of every outermost sequence in a network.

    A stage that says ``frozen = True`` is never trained, draws no noise, and gives the same outputs
    in training as in evaluation; so must the stages before it. If one of these has weights to
    train, there are none. Sequences of one network, such as copies from earlier in its training,
    share their values.
    """
    found = list[nn.Module]()
    for part in _outermost(net):
        stages = list(part)
        frozen = [index for index, one in enumerate(stages) if is_frozen(one)]
        first = nn.ModuleList(stages[: max(frozen, default=-1) + 1])
        # Passed over, weights would stay as they were built.
        if not any(weight.requires_grad for weight in first.parameters()):
            found += first
    return found


def _outermost(net: nn.Module) -> Iterator[nn.Sequential]:
    """The sequences of a network that lie in no other sequence."""
    if isinstance(net, nn.Sequential):
        yield net
        return
    for part in net.children():
        yield from _outermost(part)


def is_frozen(stage: nn.Module) -> bool:
    """Whether a stage says that it is never trained."""
    return bool(getattr(stage, "frozen", False))


def is_random(stage: nn.Module) -> bool:
    """Whether a stage may draw noise in evaluation.

    Only torch's own layers, and layers that say ``random = False``, are known not to. A layer of a
    plugin that says nothing runs once per draw, which is never wrong.
    """
    for layer in stage.modules():
        own = not type(layer).__module__.startswith("torch.nn.")
        if own and getattr(layer, "random", True):
            return True

    return False


def repeated(stage: nn.Module, inputs: Tensor) -> Callable[[int], Tensor]:
    """Function from a count to a stage's outputs for that many copies, (count * B, ...).

    A stage with a ``repeated(inputs)`` of its own computes once what all copies share.
    """
    if callable(own := getattr(stage, "repeated", None)):
        return cast("Callable[[int], Tensor]", own(inputs))
    # Unlike expand and reshape, cat keeps the memory format of images.
    return lambda count: stage(torch.cat([inputs] * count))


def draws_at_once(inputs: Tensor, batches: int = 1) -> int:
    """Draws of a batch that go through a network as one larger batch, or as ``batches`` of them."""
    budget = NUMBERS_AT_ONCE.get(inputs.device.type, NUMBERS_AT_ONCE["cpu"])
    return max(1, batches * budget // max(1, inputs.numel()))


def finished(net: nn.Module, outputs: Tensor) -> Tensor:
    """Turn the outputs of the last stage into normalised likelihood parameters."""
    likelihood = task_of(net).likelihood
    if isinstance(net, Network):
        outputs = likelihood.scale(outputs)
    return likelihood.normalise(outputs)
