"""All that a plugin may import."""

from bench_uq.contracts import Attack, Batches, Dataset, Examples, LogProbs, Method, Predictions, Shift, Task
from bench_uq.errors import MissingData
from bench_uq.likelihoods import Categorical, Gaussian, Likelihood

__all__ = [
    "Attack",
    "Batches",
    "Categorical",
    "Dataset",
    "Examples",
    "Gaussian",
    "Likelihood",
    "LogProbs",
    "Method",
    "MissingData",
    "Predictions",
    "Shift",
    "Task",
]
