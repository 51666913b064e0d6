"""Runs on many machines, through dask.distributed."""

from bench_uq.api.errors import BenchUQError


class SchedulerLost(BenchUQError):
    """The scheduler of a cluster no longer answers; finished runs are kept."""
