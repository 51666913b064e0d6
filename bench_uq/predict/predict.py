"""Trained networks and a condition -> Predictions; the only place where draws are averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from bench_uq.api.condition import Condition
from bench_uq.api.layers import draws_at_once
from bench_uq.api.method import Method
from bench_uq.api.task import Predictions, Task
from bench_uq.predict.halving import Room, Work
from bench_uq.train.resident import Resident, laid_out
from bench_uq.train.seeds import seed_of

#: Examples whose noise comes from one stream. Everything is predicted in whole blocks, so that neither the number of
#: examples asked for nor the memory of the machine changes a number.
BLOCK = 128

#: Batches of draws that are traced at once for a gradient: what is deterministic runs, and is walked back, once for all
#: of them. More would need more memory and, from ten draws of 128 images of 28x28 on, gain nothing.
TRACED_BATCHES = 10

#: Share of the numbers of changed inputs that may differ where the rounding of a gradient next to 0 turns its sign.
SIGNS = 0.01

#: Inputs kept beside the predictions, for figures.
KEPT_INPUTS = 8


class BadDraws(Exception):
    """A method's draws are not what the contract says."""


@dataclass(frozen=True)
class Trained:
    """A trained method: its networks in evaluation, one a member, the run's seed and the memory it has room in."""

    method: Method
    task: Task
    nets: nn.ModuleList
    seed: int
    room: Room = field(default_factory=Room, compare=False, repr=False)

    def shares(self, count: int) -> Iterator[tuple[nn.Module, int]]:
        """Yield each member with its share of the draws; the first get what does not divide evenly."""
        each, rest = divmod(count, len(self.nets))
        for index, net in enumerate(self.nets):
            if each + (index < rest):
                yield net, each + (index < rest)

    def draws(self, inputs: Tensor, count: int) -> Tensor:
        """Return at most ``count`` draws of all members, (S, B, P)."""
        return torch.cat(
            [
                self.checked(self.method.draws(net, inputs, share), inputs)
                for net, share in self.shares(count)
            ]
        )

    def chunks(self, inputs: Tensor, count: int) -> Iterator[Tensor]:
        """Yield as many draws in chunks (s, B, P) that fit the memory, differentiable in the inputs (LogProbs).

        Of several members each gives one draw at least where more than one is asked for: their gradient is exact.
        """
        # Asked for two, a deterministic network shows that it has one.
        at_once = max(2, draws_at_once(inputs, TRACED_BATCHES))
        for net, share in self.shares(max(count, len(self.nets)) if count > 1 else count):
            for start in range(0, share, at_once):
                asked = min(at_once, share - start)
                chunk = self.checked(self.method.draws(net, inputs, asked), inputs)
                yield chunk
                if len(chunk) < asked:
                    break  # it has no more: a deterministic network, or stored snapshots

    def checked(self, draws: Tensor, inputs: Tensor) -> Tensor:
        """Return draws that are what the contract says."""
        expected = (len(inputs), self.task.likelihood.parameters)
        if draws.dim() != 3 or draws.shape[1:] != expected or len(draws) == 0:
            raise BadDraws(f"draws are {tuple(draws.shape)}, not (S, {expected[0]}, {expected[1]})")
        if not torch.isfinite(draws).all():
            raise BadDraws("draws are not finite")
        if not torch.allclose(self.task.likelihood.normalise(draws), draws, atol=1e-3):
            raise BadDraws("draws are not normalised: log-probabilities over classes must sum to 1")
        return draws


def predict(
    trained: Trained, data: Resident, count: int, draws: int, *, labelled: bool
) -> Predictions:
    """Return the predictions for the first ``count`` examples; ``labelled`` when their targets belong to the task."""
    blocks, shown = [], []
    for index, (inputs, targets) in enumerate(whole_blocks(data, count)):
        blocks.append(predict_block(trained, inputs, targets if labelled else None, draws, index))
        shown.append(kept(inputs, index))
    return joined(blocks, count, torch.cat(shown)[:count])


@dataclass(frozen=True)
class Change:
    """An attack or shift by its name, which its random stream is of, at some levels; ``seen`` are whose networks."""

    condition: Condition
    name: str
    levels: Sequence[float]
    seen: Trained


def predict_changed(
    trained: Trained, change: Change, data: Resident, count: int, draws: int
) -> list[Predictions]:
    """Return the predictions for the first ``count`` examples under an attack or shift, one a level.

    The condition's random stream is its own; each changed input is fixed before it is judged.
    """
    levels = change.levels
    blocks: list[list[dict[str, Tensor]]] = [[] for _ in levels]
    shown: list[list[Tensor]] = [[] for _ in levels]
    for index, (inputs, targets) in enumerate(whole_blocks(data, count)):
        for at, images in enumerate(change_block(trained, change, inputs, targets, index)):
            images = laid_out(check_changed(images, inputs, levels[at]))
            block = predict_block(trained, images, targets, draws, index)
            blocks[at].append(block | {"distance": (images - inputs).abs().flatten(1).amax(1)})
            shown[at].append(kept(images, index))
    return [
        joined(part, count, torch.cat(inputs)[:count])
        for part, inputs in zip(blocks, shown, strict=True)
    ]


def change_block(
    trained: Trained, change: Change, inputs: Tensor, targets: Tensor, index: int
) -> list[Tensor]:
    """Return the changed inputs of one block, one batch a level; a stream of its own makes its noise."""
    seed = seed_of(trained.seed, "condition", change.name, index)

    def compute(start: int, stop: int) -> list[Tensor]:
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        shown, labels = inputs[start:stop], targets[start:stop]
        changed = change.condition.changed(
            change.seen.chunks, shown, labels, change.levels, generator
        )
        return [images.detach() for images in changed]

    work = Work(f"{change.name} at {[*change.levels]}", compute, compute, SIGNS)
    return trained.room.done(work, len(inputs))


def kept(inputs: Tensor, index: int) -> Tensor:
    """Return what is kept of a block's inputs: the first few of all, or every one of a single feature, for curves."""
    if inputs.shape[1:] == (1,):
        return inputs
    return inputs[: 0 if index else KEPT_INPUTS].clone()  # a view would keep the whole block


def check_changed(images: Tensor, inputs: Tensor, level: float) -> Tensor:
    """Return changed inputs, refusing ones outside [0, 1] or of another shape."""
    if (
        images.shape != inputs.shape
        or not torch.isfinite(images).all()
        or images.min() < 0
        or images.max() > 1
    ):
        raise BadDraws(
            f"a condition at level {level} gave inputs of another shape, not finite or outside [0, 1]"
        )
    return images


def whole_blocks(data: Resident, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the blocks that hold the first ``count`` examples, the last one whole where there are examples for it."""
    for start in range(0, count, BLOCK):
        yield data.take(slice(start, start + BLOCK))


def predict_block(
    trained: Trained, inputs: Tensor, targets: Tensor | None, draws: int, index: int
) -> dict[str, Tensor]:
    """Return the mixture of one block; its noise depends on the run seed and the block alone, on no condition."""
    likelihood, names = trained.task.likelihood, list[str]()

    def drawn(start: int, stop: int) -> Tensor:
        torch.manual_seed(seed_of(trained.seed, "predict", index))
        return trained.draws(inputs[start:stop], draws)

    def compute(start: int, stop: int) -> list[Tensor]:
        # In parts without inference mode, in which an operation hides the random ones that it is made of.
        with torch.inference_mode(stop - start == len(inputs)), torch.no_grad():
            stored = likelihood.mixture(
                drawn(start, stop), None if targets is None else targets[start:stop]
            )
        names[:] = stored
        return list(stored.values())

    @torch.no_grad()
    def evidence(start: int, stop: int) -> list[Tensor]:
        return [drawn(start, stop).transpose(0, 1)]

    found = trained.room.done(Work(f"{draws} draws", compute, evidence), len(inputs))
    stored = dict(zip(names, found, strict=True))
    if targets is not None:
        stored["targets"] = targets
    return stored


def joined(blocks: Sequence[dict[str, Tensor]], count: int, shown: Tensor) -> Predictions:
    """Join the blocks into arrays of the first ``count`` examples."""
    arrays = {
        name: torch.cat([block[name] for block in blocks])[:count].cpu().numpy()
        for name in blocks[0]
    }
    return Predictions({**arrays, "inputs": np.ascontiguousarray(shown.cpu().numpy())})
