"""Runs of a plan, divided among the jobs of an array that need not communicate."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench_uq.api.errors import UsageError

if TYPE_CHECKING:
    from bench_uq.store import PlannedRun


def read_shard(text: str) -> tuple[int, int]:
    """K and N of ``K/N``, the K-th of N shards."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", text)
    if not match or int(match[1]) > int(match[2]):
        raise UsageError(
            f"--shard must be K/N, whole numbers with K from 1 to N, as in 2/3, not {text!r}"
        )
    return int(match[1]), int(match[2])


def shard_of(plan: Sequence[PlannedRun], part: int, count: int) -> list[PlannedRun]:
    """Runs of shard ``part`` of ``count``, in the plan's order.

    Every run is in one shard. Shards differ by at most one run, and by at most one run of each
    method. The order of the plan does not matter.
    """
    ordered = sorted(plan, key=lambda run: (run.method, run.dataset, run.seed))

    # After a turn all shards have had the same number of runs. Without the further step, the next
    # method's slow dataset would go to the shard that has this one's. Whole seeds stay together
    # where possible, so that a run finds the networks that it attacks in its own shard.
    turn = math.lcm(count, *Counter(run.method for run in ordered).values())
    step = max(Counter((run.method, run.dataset) for run in ordered).values())

    mine = set()
    for place, run in enumerate(ordered):
        if (place + place // turn * step) % count == part - 1:
            mine.add(run.name)
    # In the order of the plan, as it is run without shards.
    return [run for run in plan if run.name in mine]
