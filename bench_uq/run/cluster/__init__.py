"""Runs on many machines, through dask.distributed."""
