"""Recorded steps, with a recording that needs no GPU: it computes the step as it stood."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench_uq.train.gradients import Gradients
from bench_uq.train.recorded import Recording, Replayed, gradients_on

LOSS = Callable[[nn.Module, Tensor, Tensor, float], Tensor]


class Frozen:
    """A step computed on the recorded tensors, at the recorded progress, with a recorded factor."""

    def __init__(self, own: Gradients, inputs: Tensor, targets: Tensor, progress: float) -> None:
        self.inputs, self.targets = inputs.clone(), targets.clone()
        self.own, self.progress = own, progress
        self.count, self.replays = FACTOR[0], 0

    def replay(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the step with what Python knew when it was recorded."""
        self.replays += 1
        self.inputs.copy_(inputs)
        self.targets.copy_(targets)
        now, FACTOR[0] = FACTOR[0], self.count
        losses = Gradients.__call__(self.own, self.inputs, self.targets, self.progress)
        FACTOR[0] = now
        return losses


#: What a loss may keep in Python.
FACTOR = [1.0]


def squares(net: nn.Module, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
    """A loss with noise of the device and a buffer that a step changes."""
    return (net(inputs).squeeze(1) - targets).square().mean()


def warming(net: nn.Module, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
    """A loss that depends on the progress for the first half."""
    return squares(net, inputs, targets, progress) * min(1.0, 2 * progress)


def counting(net: nn.Module, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
    """A loss that counts its steps in Python."""
    FACTOR[0] *= 0.9
    return squares(net, inputs, targets, progress) * FACTOR[0]


def drawing(net: nn.Module, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
    """A loss that draws in Python."""
    return squares(net, inputs, targets, progress) * (1 + random.random())


def trained(loss: LOSS, epochs: int = 4, record: Any = None) -> tuple[dict[str, Tensor], Any]:
    """Train a small network in batches of 8, 8, 8 and 5; return its values and the gradients."""
    torch.manual_seed(0)
    random.seed(0)
    FACTOR[0] = 1.0
    net = nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1)
    )
    inputs, targets = torch.randn(29, 3), torch.randn(29)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    shuffling = torch.Generator().manual_seed(0)

    own = Gradients(partial(loss, net), net, "float32")
    if record:
        own = Replayed(partial(loss, net), net, "float32", record=record)

    def work(epoch: int) -> None:
        for number, index in enumerate(torch.randperm(29, generator=shuffling).split(8)):
            own(inputs[index], targets[index], (epoch + number / 4) / epochs)
            optimiser.step()

    for epoch in range(epochs):
        own.epoch(partial(work, epoch), optimiser, [shuffling])
    return net.state_dict(), own


@pytest.mark.parametrize("loss", [squares, warming])
def test_replays_train_as_steps_do(loss: LOSS) -> None:
    """A recorded training ends with the same bits: noise, buffers, odd batches, warm-up."""
    plain, _ = trained(loss)
    replayed, own = trained(loss, record=Frozen)
    assert own.recording.replays > 3
    for name, value in plain.items():
        assert torch.equal(replayed[name], value), name


def test_recording_waits_until_the_progress_no_longer_matters() -> None:
    """The warm-up is computed: 2 of 4 epochs, of whose rest 6 full batches are replayed."""
    _, own = trained(warming, record=Frozen)
    # And one replay at the end of each epoch, held against the loss.
    assert own.recording.replays == 6 + 2


def test_what_python_changes_is_found_and_undone() -> None:
    """An epoch whose recording proved wrong is done again; it ends where it would have."""
    plain, _ = trained(squares)

    class Wrong(Frozen):
        def replay(self, inputs: Tensor, targets: Tensor) -> Tensor:
            return super().replay(inputs, targets) * 2

    replayed, own = trained(squares, record=Wrong)
    assert own.recording is None
    assert "changes" in own.refused
    for name, value in plain.items():
        assert torch.equal(replayed[name], value), name


def test_loss_that_counts_is_not_replayed_on() -> None:
    """A factor that falls with every step is frozen in a recording, which is dropped."""
    _, own = trained(counting, record=Frozen)
    assert own.recording is None


def test_noise_of_the_host_is_refused() -> None:
    """A loss that draws in Python would repeat one number for ever."""
    _, own = trained(drawing, record=Frozen)
    assert "on the CPU" in own.refused
    assert own.recording is None


def test_failed_recording_is_refused() -> None:
    """An operation that cannot be recorded costs nothing but the speed."""

    def fails(*given: Any) -> Recording:
        raise RuntimeError("operation not permitted when stream is capturing")

    plain, _ = trained(squares)
    replayed, own = trained(squares, record=fails)
    assert "not permitted" in own.refused
    for name, value in plain.items():
        assert torch.equal(replayed[name], value), name


def test_a_cpu_records_nothing() -> None:
    """On a CPU there is nothing to gain."""
    net = nn.Linear(1, 1)
    own = gradients_on(torch.device("cpu"), partial(squares, net), net, "float32")
    assert type(own) is Gradients
