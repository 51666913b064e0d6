"""One network per task, built from the layers that a method injects.

Methods therefore never differ in architecture.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from bench_uq.api.architecture_names import is_architecture, shown_network
from bench_uq.api.architectures import architecture
from bench_uq.api.errors import UsageError, one_line, unknown
from bench_uq.api.layers import Layers, Network
from bench_uq.api.likelihoods import Categorical
from bench_uq.api.task import Task
from bench_uq.api.user_files import load_network


def mlp(task: Task, layers: Layers, hidden: tuple[int, ...] = (100,)) -> Network:
    """Dense layers with ReLU, by default one hidden layer of 100 units."""
    sizes = (math.prod(task.input_shape), *hidden)
    stages: list[nn.Module] = [nn.Flatten()]

    for index, (before, after) in enumerate(itertools.pairwise(sizes)):
        # No dropout, for example, on the inputs themselves.
        if index:
            stages.append(layers.before_dense())
        stages += [layers.linear(before, after), nn.ReLU()]

    return Network(task, [*stages, *last(task, layers, sizes[-1])])


def mlp_32(task: Task, layers: Layers) -> Network:
    """One hidden layer of 32 units with ReLU, small enough for Hamiltonian Monte Carlo."""
    return mlp(task, layers, (32,))


def mlp_50(task: Task, layers: Layers) -> Network:
    """One hidden layer of 50 units with ReLU, for tables (Hernández-Lobato & Adams 2015)."""
    return mlp(task, layers, (50,))


def lenet(task: Task, layers: Layers, widths: tuple[int, int, int] | None = None) -> Network:
    """LeNet-5 in its Caffe form with ReLU, 20-50-500, without padding (LeCun et al. 1998; Louizos &
    Welling 2017); images under 16 pixels get 16-32-100 with kernels of 3 and 2 and one pooling.
    """
    channels, *size = task.input_shape
    kernels, pools = (5, 5), (2, 2)
    if min(size) < 16:
        kernels, pools = (3, 2), (2, 1)
    if widths is None:
        widths = (20, 50, 500) if min(size) >= 16 else (16, 32, 100)

    stages: list[nn.Module] = []
    for width, kernel, pool in zip(widths[:2], kernels, pools, strict=True):
        stages.append(layers.conv(channels, width, kernel))
        if pool > 1:
            # Pooling before ReLU gives the same numbers as after it, on a quarter of them.
            stages.append(nn.MaxPool2d(pool))
        stages.append(nn.ReLU())
        channels, size = width, [(side - kernel + 1) // pool for side in size]

    flat = channels * size[0] * size[1]
    stages += [nn.Flatten(), layers.before_dense(), layers.linear(flat, widths[2]), nn.ReLU()]
    return Network(task, [*stages, *last(task, layers, widths[2])])


def lenet_wide(task: Task, layers: Layers) -> Network:
    """The LeNet of Louizos & Welling 2017 for CIFAR, 192-192-1000, without padding."""
    if len(task.input_shape) != 3 or min(task.input_shape[1:]) < 16:
        shape = "x".join(map(str, task.input_shape[1:] or task.input_shape))
        raise UsageError(f"lenet-wide is for images of at least 16x16, not {shape}")

    return lenet(task, layers, (192, 192, 1000))


def lenet_small(task: Task, layers: Layers) -> Network:
    """LeNet of 6-12-24 units."""
    return lenet(task, layers, (6, 12, 24))


def resnet18(task: Task, layers: Layers) -> Network:
    """ResNet-18 for images of about 32x32: a 3x3 stem without pooling, widths 64 to 512 (He et al.
    2016).
    """
    stages: list[nn.Module] = [
        layers.conv(task.input_shape[0], 64, 3, stride=1, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
    ]

    before = 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        stages += [Residual(layers, before, width, stride), Residual(layers, width, width, 1)]
        before = width

    # Pooled to one number per channel, so images of any size fit.
    stages += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *last(task, layers, before)]
    return Network(task, stages)


class Residual(nn.Module):
    """Two 3x3 convolutions with batch normalisation beside a shortcut (He et al. 2016, fig. 2 and
    option B).
    """

    random = False

    def __init__(self, layers: Layers, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            layers.conv(before, after, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            layers.conv(after, after, 3, stride=1, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )

        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            projection = layers.conv(before, after, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(after))

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (B, after, H / stride, W / stride)."""
        return nn.functional.relu(self.convs(inputs) + self.shortcut(inputs))


def last(task: Task, layers: Layers, width: int) -> list[nn.Module]:
    """Stages from the last hidden layer to the P outputs."""
    return [layers.before_last(), layers.linear(width, task.likelihood.parameters)]


#: Networks that a task, a suite or ``--network`` can name.
NETWORKS: dict[str, Callable[[Task, Layers], nn.Module]] = {
    "lenet": lenet,
    "lenet-small": lenet_small,
    "lenet-wide": lenet_wide,
    "mlp": mlp,
    "mlp-32": mlp_32,
    "mlp-50": mlp_50,
    "resnet18": resnet18,
}


def chosen(task: Task) -> str:
    """Name or file of a task's network; by default lenet for images and mlp for features."""
    if task.network:
        return task.network
    return "lenet" if len(task.input_shape) == 3 else "mlp"


def builder(name: str) -> Callable[[Task, Layers], nn.Module]:
    """Function that builds a network: of NETWORKS, of another package, or in a Python file."""
    if name.endswith(".py"):
        return load_network(Path(name))
    if is_architecture(name):
        return architecture(name)
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS, "; also torchvision:NAME and timm:NAME")
    return NETWORKS[name]


def network(task: Task, layers: Layers | None = None) -> Network:
    """Build the task's network from these layers.

    A user's module that is no Network is put between the scaling of inputs and the likelihood.
    """
    built = builder(chosen(task))(task, layers or Layers())
    return built if isinstance(built, Network) else Network(task, [built])


def check_network(task: Task, *, logits: bool = True) -> None:
    """Build a task's network from plain layers and try two inputs; raise UsageError if it fails.

    With ``logits``, it must not end in a softmax.
    """
    name, expected = shown_network(chosen(task)), (2, task.likelihood.parameters)
    # Scales that the training examples decide are not known yet.
    task = dataclasses.replace(task, mean=task.mean or (0.0,), std=task.std or (1.0,))

    # Building draws initial values; the caller's random state must not move.
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            outputs = network(task).eval()(torch.zeros(2, *task.input_shape))
    except UsageError:
        raise
    except Exception as error:
        shape = "x".join(map(str, task.input_shape))
        raise UsageError(
            f"network {name!r} fails on inputs of {shape}: {one_line(error)}"
        ) from error

    if outputs.shape != expected:
        raise UsageError(
            f"network {name!r} puts out {tuple(outputs.shape)} for 2 inputs, not {expected}"
        )

    if logits and (reason := double_softmax(task, outputs)):
        raise UsageError(f"network {name!r} {reason}")


def double_softmax(task: Task, outputs: Tensor) -> str:
    """Why outputs (B, P) for classes are no logits; empty if they are."""
    sums = outputs.sum(-1)
    # Outputs for real targets may be anything.
    if not isinstance(task.likelihood, Categorical) or bool((outputs < 0).any()):
        return ""
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-5):
        return ""
    return (
        "puts out probabilities (rows sum to 1), not logits: leave out its last softmax, because a "
        "second one would flatten them"
    )
