"""Order in which runs start."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from bench_uq.run.job import Job, needed

Kind = tuple[str, str]


def kind(job: Job) -> Kind:
    """Method and dataset: runs of one kind take about as long."""
    return job.run.method, job.run.dataset


def wanted(jobs: Sequence[Job]) -> set[str]:
    """Names of the runs whose networks any job starts from or attacks."""
    return set[str]().union(*map(needed, jobs))


class Waiting:
    """Jobs to start, the longest first as far as known, so that no long one is left for last.

    Runs whose networks others need start first, then kinds of which none has ended yet. Jobs wait
    in one line per kind, so that the next is found without looking at all of them.
    """

    def __init__(self, waiting: Sequence[tuple[Job, ...]], wanted: set[str]) -> None:
        self.wanted = wanted  # names of runs
        self.lines = dict[tuple[bool, Kind], deque[tuple[Job, ...]]]()
        self.seconds = dict[Kind, float]()  # of the last run of each kind
        for jobs in waiting:
            self.put(jobs)

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))

    def put(self, jobs: tuple[Job, ...]) -> None:
        """Add jobs behind others of their kind."""
        # Runs that need a network wait until it is trained.
        first = any(job.run.name in self.wanted for job in jobs)
        self.lines.setdefault((first, kind(jobs[0])), deque()).append(jobs)

    def take(self) -> tuple[Job, ...]:
        """Remove and return the jobs to start next."""

        def urgency(line: tuple[bool, Kind]) -> tuple[bool, float]:
            return line[0], self.seconds.get(line[1], math.inf)

        # A kind that has not ended yet may be the longest, so it counts as infinitely long.
        first = max(self.lines, key=urgency)
        jobs = self.lines[first].popleft()
        if not self.lines[first]:
            del self.lines[first]
        return jobs
