"""Predict with trained networks under a condition, averaged over draws by the likelihood."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench_uq.api.condition import Condition, LogProbs
from bench_uq.api.layers import (
    Base,
    Network,
    draws_at_once,
    is_flat_before_noise,
    layers_of,
    shares,
)
from bench_uq.api.method import Method
from bench_uq.api.task import ARRAYS, Predictions, Task
from bench_uq.predict.memory import advising
from bench_uq.train.resident import Resident, laid_out
from bench_uq.train.seeds import seed_of
from bench_uq.train.settings import BLOCK

#: Batches of draws that are traced at once for a gradient. The deterministic stages then run, and
#: are walked back, once for all of them. More would need more memory and, from ten draws of 128
#: images of 28x28 on, gain nothing.
TRACED_BATCHES = 10

#: Names that arrays beside the mixture may have.
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

#: Inputs kept beside the predictions, for figures.
KEPT_INPUTS = 8


class BadDraws(Exception):
    """Draws or changed inputs of a plugin do not keep the contract."""


@dataclass(frozen=True)
class Trained:
    """A trained method: its networks in evaluation, one per member, and the seed of its run.

    The noise of ``block`` examples comes from one stream. Examples are predicted in whole blocks,
    so that no number depends on how many examples are asked for.
    """

    method: Method
    task: Task
    nets: nn.ModuleList
    seed: int
    block: int = BLOCK

    def draws(self, inputs: Tensor, count: int) -> Tensor:
        """At most ``count`` draws of all members, (S, B, P)."""
        return self.drawn(inputs, count)[0]

    def drawn(self, inputs: Tensor, count: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Draws of all members, (S, B, P), and the mean of the arrays that these give beside."""
        found, extras = [], list[dict[str, Tensor]]()
        for net, share in shares(self.nets, count):
            draws = self.checked(self.method.draws(net, inputs, share), inputs)
            found.append(draws)
            extras.append(checked_beside(self.method.beside(net, inputs, draws), inputs))

        beside = {}
        for name in extras[0]:
            beside[name] = torch.stack([extra[name] for extra in extras]).mean(0)
        return torch.cat(found), beside

    def chunks(self, inputs: Tensor, count: int) -> Iterator[Tensor]:
        """Draws in chunks (s, B, P) that fit the memory, differentiable in the inputs (LogProbs).

        Where more than one draw is asked for, each of several members gives at least one, so that
        the gradient of an ensemble is exact; also of one that a method stands on, in every chunk.
        """
        members = self.members()
        # A deterministic network asked for two draws shows that it has one.
        at_once = max(2, members // len(self.nets), draws_at_once(inputs, TRACED_BATCHES))
        wanted = max(count, members) if count > 1 else count

        # The arithmetic of an attack returns images of one channel in the contiguous layout. Noise
        # that has the layout of images would be other noise in another one, and the predictions
        # that are stored would have to be made again.
        if self.noise_is_flat():
            inputs = laid_out(inputs)

        for net, share in shares(self.nets, wanted):
            if self.method.averages:
                at_once = share
            for start in range(0, share, at_once):
                asked = min(at_once, share - start)
                chunk = self.checked(self.method.draws(net, inputs, asked), inputs)
                yield chunk

                if len(chunk) < asked:
                    # A deterministic network, or all stored snapshots, has no more.
                    break

    def noise_is_flat(self) -> bool:
        """Whether no layer may draw noise before images are flattened.

        Noise that a method draws outside its layers is not seen.
        """
        networks = [layer for layer in layers_of(self.nets) if isinstance(layer, Network)]
        return bool(networks) and all(map(is_flat_before_noise, networks))

    def members(self) -> int:
        """Networks that give draws: those of the base, if the method stands on one."""
        # A base may stand on a base: the one with the most networks counts.
        bases = [layer for layer in layers_of(self.nets) if isinstance(layer, Base)]
        return max([len(self.nets), *(len(base.nets) for base in bases)])

    def checked(self, draws: Tensor, inputs: Tensor) -> Tensor:
        """Raise BadDraws for draws that are not finite, normalised and (S, B, P)."""
        expected = (len(inputs), self.task.likelihood.parameters)

        if draws.dim() != 3 or draws.shape[1:] != expected or len(draws) == 0:
            raise BadDraws(f"draws are {tuple(draws.shape)}, not (S, {expected[0]}, {expected[1]})")
        if not torch.isfinite(draws).all():
            raise BadDraws("draws are not finite")
        if not torch.allclose(self.task.likelihood.normalise(draws), draws, atol=1e-3):
            raise BadDraws("draws are not normalised: log-probabilities over classes must sum to 1")

        return draws


def checked_beside(arrays: dict[str, Tensor], inputs: Tensor) -> dict[str, Tensor]:
    """Arrays of ``Method.beside`` in float32; raise BadDraws for those that break the contract."""
    for name, values in arrays.items():
        if not NAME.fullmatch(name) or name in ARRAYS:
            allowed = "a-z, 0-9 and _, and none of the names of Predictions"
            raise BadDraws(f"an array beside the draws is called {name!r}, not by {allowed}")
        if values.dim() == 0 or len(values) != len(inputs):
            shape = tuple(values.shape)
            raise BadDraws(
                f"the array {name!r} beside the draws is {shape}, not ({len(inputs)}, ...)"
            )
        if not torch.isfinite(values).all():
            raise BadDraws(f"the array {name!r} beside the draws is not finite")
    return {name: values.float() for name, values in arrays.items()}


@dataclass(frozen=True)
class Change:
    """An attack or shift, the levels to apply, and the networks that it is computed on.

    ``name`` spells out every option; the random stream of the condition depends on it.
    """

    condition: Condition
    name: str
    levels: Sequence[float]
    seen: Trained


def predict(
    trained: Trained, data: Resident, count: int, draws: int, *, labelled: bool
) -> Predictions:
    """Predict the first ``count`` examples; ``labelled`` if their targets belong to the task."""
    blocks, shown = [], []

    with advising(trained.block):
        for index, (inputs, targets) in enumerate(whole_blocks(data, count, trained.block)):
            labels = targets if labelled else None
            blocks.append(predict_block(trained, inputs, labels, draws, index))
            shown.append(kept(inputs, index))

        return joined(blocks, count, torch.cat(shown)[:count])


def predict_changed(
    trained: Trained, change: Change, data: Resident, count: int, draws: int
) -> list[Predictions]:
    """Predict the first ``count`` examples under an attack or shift, once per level.

    The random stream of the condition is its own. A changed input is fixed before it is judged.
    """
    levels = change.levels
    blocks: list[list[dict[str, Tensor]]] = [[] for _ in levels]
    shown: list[list[Tensor]] = [[] for _ in levels]

    with advising(trained.block):
        for index, (inputs, targets) in enumerate(whole_blocks(data, count, trained.block)):
            changed, asked = change_block(trained, change, inputs, targets, index)
            for at, level in enumerate(levels):
                images = laid_out(check_changed(changed[at], inputs, level))
                block = predict_block(trained, images, targets, draws, index)
                distance = (images - inputs).abs().flatten(1).amax(1)
                block["distance"] = distance
                if asked:
                    block["attack_draws"] = torch.full_like(distance, asked)
                blocks[at].append(block)
                shown[at].append(kept(images, index))

        found = []
        for part, first in zip(blocks, shown, strict=True):
            found.append(joined(part, count, torch.cat(first)[:count]))
        return found


def change_block(
    trained: Trained, change: Change, inputs: Tensor, targets: Tensor, index: int
) -> tuple[list[Tensor], int]:
    """Changed inputs of one block, one batch per level, with the noise of a stream of their own.

    The number is that of the draws behind a gradient, the most of all; 0 if none was asked for.
    """
    seed = seed_of(trained.seed, "condition", change.name, index)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)

    counts = [0]
    log_probs = counting(change.seen.chunks, counts)
    changed = change.condition.changed(log_probs, inputs, targets, change.levels, generator)
    return [images.detach() for images in changed], max(counts)


def counting(log_probs: LogProbs, counts: list[int]) -> LogProbs:
    """The same draws; the number of those with a gradient is added to the counts, call by call."""

    def counted(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        count = 0
        for chunk in log_probs(inputs, draws):
            count += len(chunk)
            yield chunk
        if inputs.requires_grad:
            counts.append(count)

    return counted


def predict_block(
    trained: Trained, inputs: Tensor, targets: Tensor | None, draws: int, index: int
) -> dict[str, Tensor]:
    """Mixture of one block; its noise depends on the run's seed and the block, on no condition."""
    torch.manual_seed(seed_of(trained.seed, "predict", index))

    with torch.inference_mode():
        drawn, beside = trained.drawn(inputs, draws)
        stored = trained.task.likelihood.mixture(drawn, targets) | beside

    if targets is not None:
        stored["targets"] = targets
    return stored


def whole_blocks(data: Resident, count: int, block: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks that hold the first ``count`` examples; the last is whole if the data reach."""
    for start in range(0, count, block):
        yield data.take(slice(start, start + block))


def kept(inputs: Tensor, index: int) -> Tensor:
    """Inputs of a block to keep: the first few of all, or all of a single feature, for curves."""
    if inputs.shape[1:] == (1,):
        return inputs
    # A view instead of a clone would keep the whole block in memory.
    return inputs[: 0 if index else KEPT_INPUTS].clone()


def check_changed(images: Tensor, inputs: Tensor, level: float) -> Tensor:
    """Raise BadDraws for changed inputs of another shape, not finite, or outside [0, 1]."""
    same_shape = images.shape == inputs.shape

    if not same_shape or not torch.isfinite(images).all() or images.min() < 0 or images.max() > 1:
        raise BadDraws(
            f"a condition at level {level} gave inputs of another shape, not finite or "
            "outside [0, 1]"
        )
    return images


def joined(blocks: Sequence[dict[str, Tensor]], count: int, shown: Tensor) -> Predictions:
    """Join blocks into arrays of the first ``count`` examples."""
    arrays = {}
    for name in blocks[0]:
        whole = torch.cat([block[name] for block in blocks])
        arrays[name] = whole[:count].cpu().numpy()

    arrays["inputs"] = np.ascontiguousarray(shown.cpu().numpy())
    return Predictions(arrays)
