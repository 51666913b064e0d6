"""Checks on the networks of a base, and their shares of the draws."""

from __future__ import annotations

import torch
from torch import Tensor

from bench_uq.api import Base, Network, UsageError, task_of


def plain_networks(base: Base) -> list[Network]:
    """The networks of a base, one for each member; refuse those that are no plain networks."""
    found = []
    for net in base.nets:
        # Those of a subclass hold more than the weights of one network.
        if type(net) is not Network:
            raise UsageError("the base must train plain networks, as map and ensemble do")
        found.append(net)
    return found


def check_predictions(base: Base, inputs: Tensor) -> None:
    """Refuse a base whose draws are not the outputs of its networks, as those of dropout."""
    with torch.no_grad():
        for net in base.nets:
            expected = task_of(net).likelihood.normalise(net(inputs))
            if not torch.allclose(base.drawn(net, inputs, 1)[0], expected, atol=1e-4):
                raise UsageError("the base must predict by one pass, as map and ensemble do")


def shared(count: int, members: int) -> list[int]:
    """Numbers of draws of the members, which differ by one at most; some take one more by chance.

    A draw or two are therefore not always those of the first members.
    """
    each, rest = divmod(count, members)
    counts = torch.full((members,), each)
    counts[torch.randperm(members)[:rest]] += 1
    return counts.tolist()
