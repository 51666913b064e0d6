"""The contract: all that a plugin may import.

Names that need torch are loaded on first use, so that a dataset or metric does not pay for it.
"""

from typing import TYPE_CHECKING, Any

from bench_uq.api.archives import Bomb, gunzip, open_npz, room
from bench_uq.api.condition import GRADIENT_ATTACK, Attack, Condition, LogProbs, Search, Shift
from bench_uq.api.dataset import Dataset, Download
from bench_uq.api.errors import MissingData, UsageError, unknown
from bench_uq.api.likelihoods import QUANTILE_LEVELS, Categorical, Gaussian, Likelihood
from bench_uq.api.method import Method
from bench_uq.api.metric import Axis, Direction, Metric, Places, card
from bench_uq.api.task import Batches, Examples, Predictions, Task, single

if TYPE_CHECKING:
    from bench_uq.api.layers import Base, Layers, Network, kl, layers_of, stochastic_passes, task_of
    from bench_uq.api.networks import network
    from bench_uq.api.posthoc import PostHoc

__all__ = [
    "GRADIENT_ATTACK",
    "QUANTILE_LEVELS",
    "Attack",
    "Axis",
    "Base",
    "Batches",
    "Bomb",
    "Categorical",
    "Condition",
    "Dataset",
    "Direction",
    "Download",
    "Examples",
    "Gaussian",
    "Layers",
    "Likelihood",
    "LogProbs",
    "Method",
    "Metric",
    "MissingData",
    "Network",
    "Places",
    "PostHoc",
    "Predictions",
    "Search",
    "Shift",
    "Task",
    "UsageError",
    "card",
    "gunzip",
    "kl",
    "layers_of",
    "network",
    "open_npz",
    "room",
    "single",
    "stochastic_passes",
    "task_of",
    "unknown",
]


def __getattr__(name: str) -> Any:
    """Load a name that needs torch on first use."""
    if name in __all__:
        from bench_uq.api import layers, networks, posthoc

        places = {"network": networks, "PostHoc": posthoc}
        return getattr(places.get(name, layers), name)
    raise AttributeError(f"module 'bench_uq.api' has no attribute {name!r}")
