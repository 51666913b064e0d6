"""All that a plugin may import. What needs torch is loaded on first use: a dataset does not pay for it."""

from typing import TYPE_CHECKING, Any

from bench_uq.compressed import Bomb, gunzip, open_npz
from bench_uq.contracts import (
    Attack,
    Batches,
    Condition,
    Dataset,
    Download,
    Examples,
    LogProbs,
    Method,
    Predictions,
    Shift,
    Task,
)
from bench_uq.errors import MissingData, UsageError
from bench_uq.likelihoods import Categorical, Gaussian, Likelihood

if TYPE_CHECKING:
    from bench_uq.architectures import network
    from bench_uq.networks import Layers, Network, kl, stochastic_passes, task_of

__all__ = [
    "Attack",
    "Batches",
    "Bomb",
    "Categorical",
    "Condition",
    "Dataset",
    "Download",
    "Examples",
    "Gaussian",
    "Layers",
    "Likelihood",
    "LogProbs",
    "Method",
    "MissingData",
    "Network",
    "Predictions",
    "Shift",
    "Task",
    "UsageError",
    "gunzip",
    "kl",
    "network",
    "open_npz",
    "stochastic_passes",
    "task_of",
]


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use."""
    if name in __all__:
        from bench_uq import architectures, networks

        return getattr(architectures if name == "network" else networks, name)
    raise AttributeError(f"module 'bench_uq.api' has no attribute {name!r}")
