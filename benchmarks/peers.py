"""Alternatives to bench-uq: the same LeNet in plain PyTorch, in bayesian-torch and in blitz.

The last two come with ``pip install 'bench-uq[bench]'``; a package that is missing is left out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

Make = Callable[..., nn.Module]
Step = Callable[[], None]
Shape = tuple[int, int, int]  # channels, height, width
Widths = tuple[int, int, int]

#: Number of training examples, which divides the KL.
SIZE = 60_000


def lenet(conv: Make, linear: Make, shape: Shape, widths: Widths) -> nn.Module:
    """LeNet as in tutorials, from any layers: twice convolution, ReLU, pooling; then two dense."""
    channels, side = shape[0], shape[1]
    flat = widths[1] * (((side - 4) // 2 - 4) // 2) ** 2
    return nn.Sequential(
        *(conv(channels, widths[0], 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(conv(widths[0], widths[1], 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), linear(flat, widths[2]), nn.ReLU(), linear(widths[2], 10)),
    )


def shape_of(images: Tensor) -> Shape:
    """Shape of one image of (N, channels, height, width)."""
    channels, height, width = images.shape[1:]
    return channels, height, width


def plain(shape: Shape, widths: Widths) -> nn.Module:
    """The network of plain layers, contiguous."""
    return lenet(nn.Conv2d, nn.Linear, shape, widths)


def stepping(
    net: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor
) -> Step:
    """A training step with fused Adam on one batch."""
    net.to(inputs.device)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        loss(inputs, targets).backward()
        optimiser.step()

    return step


def plain_step(inputs: Tensor, targets: Tensor, widths: Widths) -> Step:
    """A step of plain layers on a batch in memory."""
    net = plain(shape_of(inputs), widths)
    return stepping(net, lambda x, y: cross_entropy(net(x), y), inputs, targets)


def loop_step(images: Tensor, targets: Tensor, batch: int, widths: Widths, device: str) -> Step:
    """A step of a tutorial's loop: a shuffling DataLoader over images scaled to [0, 1]."""
    net = plain(shape_of(images), widths).to(device)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    batches = endless(DataLoader(TensorDataset(images.float() / 255, targets), batch, shuffle=True))

    def step() -> None:
        inputs, labels = next(batches)
        optimiser.zero_grad()
        cross_entropy(net(inputs.to(device)), labels.to(device)).backward()
        optimiser.step()

    return step


def endless(loader: DataLoader[tuple[Tensor, ...]]) -> Iterator[list[Tensor]]:
    """Batches, epoch after epoch."""
    while True:
        yield from loader


class WithKL(nn.Module):
    """A network of bayesian-torch's layers, which return outputs and KL."""

    def __init__(self, stages: nn.Module) -> None:
        super().__init__()
        self.stages = stages

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and the sum of the KLs."""
        total = torch.zeros((), device=inputs.device)
        for stage in self.stages.children():
            inputs = stage(inputs)
            if isinstance(inputs, tuple):
                inputs, divergence = inputs
                total = total + divergence
        return inputs, total


def bayesian_torch_net(kind: str, shape: Shape, widths: Widths) -> nn.Module:
    """The network of bayesian-torch's layers; ``kind`` is Flipout or Reparameterization."""
    from bayesian_torch import layers

    conv, linear = getattr(layers, f"Conv2d{kind}"), getattr(layers, f"Linear{kind}")
    return WithKL(lenet(conv, linear, shape, widths))


def bayesian_torch_step(kind: str, inputs: Tensor, targets: Tensor, widths: Widths) -> Step:
    """A step of bayesian-torch; ``kind`` is Flipout or Reparameterization."""
    net = bayesian_torch_net(kind, shape_of(inputs), widths)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        outputs, divergence = net(x)
        return cross_entropy(outputs, y) + divergence / SIZE

    return stepping(net, loss, inputs, targets)


def blitz_step(inputs: Tensor, targets: Tensor, widths: Widths) -> Step:
    """A step of blitz: one sample of its ELBO."""
    with contextlib.redirect_stdout(io.StringIO()):  # its import prints
        from blitz.modules import BayesianConv2d, BayesianLinear
        from blitz.utils import variational_estimator

    def conv(before: int, after: int, kernel: int) -> nn.Module:
        return BayesianConv2d(before, after, (kernel, kernel))

    stages = lenet(conv, BayesianLinear, shape_of(inputs), widths)

    @variational_estimator
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stages = stages

        def forward(self, x: Tensor) -> Tensor:
            outputs: Tensor = self.stages(x)
            return outputs

    net, criterion = Net(), nn.CrossEntropyLoss()

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return net.sample_elbo(  # type: ignore[operator]
            inputs=x, labels=y, criterion=criterion, sample_nbr=1, complexity_cost_weight=1 / SIZE
        )

    return stepping(net, loss, inputs, targets)


def installed(module: str) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(module) is not None
