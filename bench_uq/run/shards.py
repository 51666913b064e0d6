"""The runs of a plan dealt out to the jobs of an array, which need not talk to each other."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench_uq.api.errors import UsageError

if TYPE_CHECKING:
    from bench_uq.plan.runs import Run


def read_shard(text: str) -> tuple[int, int]:
    """Return K and N of ``K/N``, the K-th of N shards."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", text)
    if not match or int(match[1]) > int(match[2]):
        raise UsageError(
            f"--shard must be K/N, whole numbers with K from 1 to N, as in 2/3, not {text!r}"
        )
    return int(match[1]), int(match[2])


def shard_of(plan: Sequence[Run], part: int, count: int) -> list[Run]:
    """Return the runs of a plan that shard ``part`` of ``count`` does, in the plan's order.

    Every run is in one shard. No two shards differ by more than one run, nor by more than one of any method. The same
    runs are dealt alike whatever the order that they come in.
    """
    ordered = sorted(plan, key=lambda run: (run.method, run.dataset, run.seed))
    # When all shards are through with a method at once, dealing goes on as many shards further as a dataset has seeds:
    # else the next method's slow dataset would go where this one's went. Whole seeds for each shard stay whole, so that
    # a run finds the networks there that it attacks.
    turn = math.lcm(count, *Counter(run.method for run in ordered).values())
    step = max(Counter((run.method, run.dataset) for run in ordered).values())
    mine = {
        run.name
        for place, run in enumerate(ordered)
        if (place + place // turn * step) % count == part - 1
    }
    return [run for run in plan if run.name in mine]
