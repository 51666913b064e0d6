"""Steps on a GPU, recorded once and then replayed as a CUDA graph.

A step of a small network is many small kernels, and to launch them one by one from Python takes
several times longer than they do. A CUDA graph launches all of them at once. A recording holds
whatever Python decided while it was made, so it is made only of a loss that depends on nothing but
parameters, buffers, batch and the device's random numbers, and is held against the loss again at
the end of every epoch. See docs/decisions/022-recorded-steps.md.
"""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bench_uq.train.gradients import Gradients, Loss, Result

#: Devices on which steps are recorded. A CPU does its work when it is told to.
DEVICES = ("cuda",)

#: Losses of a recording and of Python differ by rounding at most, relatively.
ROUNDING = 1e-5

#: Parts of the rest of a training at whose progress a loss must be the same to be recorded.
LATER = (0.0, 0.1, 0.37, 0.71, 0.999)


def gradients_on(
    device: torch.device, loss: Loss, net: nn.Module, precision: str, *, several: bool = False
) -> Gradients:
    """Gradients as this device gets them fastest."""
    kind = Replayed if device.type in DEVICES else Gradients
    return kind(loss, net, precision, several=several)


def device_of(net: nn.Module) -> torch.device:
    """Device of a network."""
    return next(iter(net.state_dict().values())).device


class Recording(Protocol):
    """A step as it was recorded."""

    inputs: Tensor
    targets: Tensor

    def replay(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Losses of another batch of the same shape; the gradients are left in the parameters."""


class Graph:
    """A step as a CUDA graph."""

    def __init__(self, gradients: Gradients, inputs: Tensor, targets: Tensor, progress: float):
        self.inputs, self.targets = inputs.clone(), targets.clone()
        self.graph = torch.cuda.CUDAGraph()

        # Nothing is computed yet, and no random number drawn.
        with torch.cuda.graph(self.graph, stream=side_stream(inputs.device)):
            self.losses = Gradients.__call__(gradients, self.inputs, self.targets, progress)

        self.gradients = [(one, one.grad) for one in gradients.net.parameters()]

    def replay(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Launch the graph on another batch."""
        self.inputs.copy_(inputs)
        self.targets.copy_(targets)
        self.graph.replay()

        # A batch of another shape has left gradients of its own.
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        return self.losses


#: Makes a recording of a step on this batch, at this share of the training.
Record = Callable[[Gradients, Tensor, Tensor, float], Recording]


class Replayed(Gradients):
    """Recorded at the second batch of a shape; batches of other shapes are computed as ever.

    ``refused`` says why a loss is not recorded, and is empty as long as it may be.
    """

    def __init__(
        self,
        loss: Loss,
        net: nn.Module,
        precision: str,
        *,
        several: bool = False,
        record: Record = Graph,
    ) -> None:
        super().__init__(loss, net, precision, several=several)

        self.record = record
        self.recording: Recording | None = None
        self.refused = ""
        self.shape: torch.Size | None = None
        self.waiting = False  # until the next epoch: the loss still depends on the progress
        self.progress = 0.0

    def __call__(self, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
        """Replay the step, or record it first, or compute it."""
        self.progress = progress
        known = inputs.shape == self.shape
        if known and not (self.recording or self.refused or self.waiting):
            self.prepare(inputs, targets, progress)

        if known and self.recording:
            return self.recording.replay(inputs, targets)
        # The first batch is computed: libraries get ready in it, which no recording may hold.
        self.shape = self.shape or inputs.shape
        return super().__call__(inputs, targets, progress)

    def prepare(self, inputs: Tensor, targets: Tensor, progress: float) -> None:
        """Record the step, if a replay would be the same as a computed one."""
        with unchanged(self.net, inputs.device):
            step = partial(Gradients.__call__, self, inputs, targets, progress)
            self.refused = obstacle(step, inputs.device)
        if self.refused:
            return

        shares = [progress + (1 - progress) * part for part in LATER]
        losses = [self.same_noise(inputs, targets, share) for share in shares]
        self.waiting = not all(torch.equal(losses[0], each) for each in losses[1:])
        if self.waiting:
            return

        try:
            self.recording = self.record(self, inputs, targets, progress)
        except RuntimeError as error:
            self.refused = str(error)

    def same_noise(self, inputs: Tensor, targets: Tensor, progress: float) -> Tensor:
        """Losses by the random numbers that come next, which stay the next."""
        with unchanged(self.net, inputs.device):
            return self.losses(inputs, targets, progress).detach()

    def epoch(
        self,
        work: Callable[[], Result],
        optimiser: torch.optim.Optimizer,
        shuffling: Sequence[torch.Generator],
    ) -> Result:
        """Do the work of an epoch, and do it again without the recording if that was wrong."""
        self.waiting = False
        if self.refused:
            return work()

        restore = snapshot(self.net, optimiser, shuffling)
        found = work()
        if self.holds():
            return found

        restore()
        self.recording, self.refused = None, "the loss depends on something that a step changes"
        return work()

    def holds(self) -> bool:
        """Whether a replay still gives the loss of the method, on the batch replayed last."""
        if not self.recording:
            return True

        inputs, targets = self.recording.inputs, self.recording.targets
        with unchanged(self.net, inputs.device):
            replayed = self.recording.replay(inputs, targets).clone()
        computed = self.same_noise(inputs, targets, self.progress)
        return torch.allclose(replayed, computed, rtol=ROUNDING, atol=1e-8, equal_nan=True)


def side_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which steps are tried and recorded."""
    if device not in _STREAMS:
        _STREAMS[device] = torch.cuda.Stream(device)
    return _STREAMS[device]


_STREAMS = dict[torch.device, "torch.cuda.Stream"]()


@contextmanager
def unchanged(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Undo what a trial does to the buffers of a network and to the device's random numbers."""
    noise = noise_of(device)
    buffers = [buffer.clone() for buffer in net.buffers()]
    try:
        yield
    finally:
        set_noise(device, noise)
        with torch.no_grad():
            for buffer, before in zip(net.buffers(), buffers, strict=True):
                buffer.copy_(before)


def noise_of(device: torch.device) -> Tensor:
    """State of the device's random numbers."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def set_noise(device: torch.device, state: Tensor) -> None:
    """Let the device's random numbers go on from a state."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


def snapshot(
    net: nn.Module, optimiser: torch.optim.Optimizer, shuffling: Sequence[torch.Generator]
) -> Callable[[], None]:
    """Copy all that an epoch changes; return the function that puts it back."""
    device = device_of(net)
    values, steps = copy.deepcopy((net.state_dict(), optimiser.state_dict()))
    orders = [generator.get_state() for generator in shuffling]
    noise = noise_of(device)

    def restore() -> None:
        net.load_state_dict(values)
        optimiser.load_state_dict(steps)
        set_noise(device, noise)
        for generator, order in zip(shuffling, orders, strict=True):
            generator.set_state(order)

    return restore


def obstacle(step: Callable[[], object], device: torch.device) -> str:
    """Why a step cannot be recorded, or nothing: it waits for the device, or draws elsewhere."""
    before = host_noise(device)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with watched(device):
            step()

    if host_noise(device) != before:
        return "the loss draws random numbers on the CPU"
    # Not torch's remark that its search for them is young.
    if any("called a synchronizing" in str(one.message) for one in said):
        return "the loss waits for the GPU"
    return ""


@contextmanager
def watched(device: torch.device) -> Iterator[None]:
    """Let torch warn of whatever waits for a GPU, on the stream for trials."""
    if device.type != "cuda":
        yield
        return

    before = torch.cuda.get_sync_debug_mode()
    stream, current = side_stream(device), torch.cuda.current_stream(device)
    stream.wait_stream(current)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
        current.wait_stream(stream)


def host_noise(device: torch.device) -> Any:
    """States of the random numbers of Python, NumPy and torch that the device does not draw."""
    # Unpacked, because arrays do not compare to one answer.
    legacy = np.random.get_state(legacy=False)
    key, place = legacy["state"]["key"].tobytes(), legacy["state"]["pos"]
    own = b"" if device.type == "cpu" else torch.get_rng_state().numpy().tobytes()
    return random.getstate(), key, place, legacy["gauss"], own
