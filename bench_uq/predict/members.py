"""Predict with each network of an ensemble alone, for curves over the number of networks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bench_uq.api.task import Predictions
from bench_uq.predict.predict import Trained, whole_blocks
from bench_uq.train.resident import Resident

#: Arrays of a mixture that are kept of each member: (K, N) and, for classes, (K, N, C).
KEPT = ("log_density", "probs")


def predict_members(trained: Trained, data: tuple[Resident, Resident], count: int) -> Predictions:
    """Predict the first ``count`` test examples, 0 for all, and the held-out ones by each member.

    Arrays: ``draws`` (K,), 1 for each member that is deterministic. Only if all K are, there are
    ``log_density`` (K, N), ``probs`` (K, N, C) for classes, ``targets`` (N,), and the same of the
    held-out examples under ``held_out_...``.
    """
    tested, held_out = data
    found = {"draws": torch.tensor([draws_of(trained, net, tested) for net in trained.nets])}
    if (found["draws"] == 1).all():
        for prefix, examples, size in (("", tested, count), ("held_out_", held_out, 0)):
            # A count of 0 stands for all examples.
            own = each_member(trained, examples, min(size or len(examples), len(examples)))
            for name, values in own.items():
                found[f"{prefix}{name}"] = values

    return Predictions({name: values.cpu().numpy() for name, values in found.items()})


def draws_of(trained: Trained, net: nn.Module, data: Resident) -> int:
    """Draws of a member that is asked for two: a deterministic network has one."""
    inputs, _ = data.take(slice(0, 1))
    with torch.inference_mode():
        return len(trained.checked(trained.method.draws(net, inputs, 2), inputs))


def each_member(trained: Trained, data: Resident, count: int) -> dict[str, Tensor]:
    """Targets of the first examples, and what each member predicts of them."""
    members = []
    for net in trained.nets:
        blocks = list(blocks_of(trained, net, data, count))
        names = [name for name in KEPT if name in blocks[0]]
        members.append({name: joined(blocks, name, count) for name in names})

    found = {"targets": data.targets[:count]}
    for name in members[0]:
        found[name] = torch.stack([own[name] for own in members])
    return found


def blocks_of(
    trained: Trained, net: nn.Module, data: Resident, count: int
) -> Iterator[dict[str, Tensor]]:
    """Predictions of one member, block by block."""
    for inputs, targets in whole_blocks(data, count, trained.block):
        with torch.inference_mode():
            draws = trained.checked(trained.method.draws(net, inputs, 1), inputs)
            yield trained.task.likelihood.mixture(draws, targets)


def joined(blocks: list[dict[str, Tensor]], name: str, count: int) -> Tensor:
    """An array of the first examples, out of blocks."""
    return torch.cat([block[name] for block in blocks])[:count]
