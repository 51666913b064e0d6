"""What the engine and its plugins promise each other.

Shapes, said once: N examples, B of them in a batch, C classes, S draws, P likelihood parameters.
Draws are (S, B, P): log-probabilities for classes (P = C), (mean, log-variance) for a Gaussian (P = 2).
Units: nats, probabilities and pixels in [0, 1], epsilon in pixel units, seconds.

This module does not import torch, so that scoring and reporting can use its data without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench_uq.likelihoods import Likelihood

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn
    from torch.optim import Optimizer


@dataclass(frozen=True)
class Examples:
    """Inputs with their targets, as arrays in memory."""

    inputs: np.ndarray  # (N, *input_shape), uint8 in 0..255 or float32 in [0, 1]
    targets: np.ndarray  # (N,), int64 class labels or float32 values

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: slice | np.ndarray) -> Examples:
        return Examples(self.inputs[index], self.targets[index])


@dataclass(frozen=True)
class Task:
    """What a network must map to what: everything a method may know of a dataset."""

    input_shape: tuple[int, ...]  # (channels, height, width) of images, (features,) of tables
    likelihood: Likelihood
    mean: tuple[
        float, ...
    ] = ()  # of the inputs in [0, 1], one a channel or feature; left out: of the training inputs
    std: tuple[float, ...] = ()
    network: str = (
        ""  # in architectures.py, or a file with one; left out: lenet for images, mlp for features
    )


@dataclass(frozen=True)
class Predictions:
    """What is stored of one trained network on one condition and level: a mixture over its draws.

    ``arrays`` holds, for classes: ``probs`` (N, C) float32, ``draw_entropy`` (N,) mean entropy of the draws in nats,
    and where the labels belong to the classes ``targets`` (N,) and ``log_density`` (N,), the log of the mean
    probability of the true class; for real targets: ``mean``, ``variance``, ``draw_variance``, ``targets``,
    ``log_density`` (N,) and ``quantiles`` (N, Q) at likelihoods.QUANTILE_LEVELS. Of networks that
    bench-uq trained also ``inputs`` as they were shown, the first few or, of a single feature, all; under an attack or
    shift ``distance`` (N,) float32, the largest change of an input's numbers from the clean ones.
    """

    arrays: Mapping[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def __len__(self) -> int:
        return len(self.arrays["probs"] if "probs" in self.arrays else self.arrays["mean"])

    def first(self, count: int) -> Predictions:
        """Return the predictions for the first ``count`` examples."""
        return Predictions({name: array[:count] for name, array in self.arrays.items()})


@dataclass(frozen=True)
class Method(ABC):
    """A way to get a predictive distribution; the options are the fields of the subclass.

    ``members`` networks are built, seeded, shuffled and trained by the engine, each alone, and their draws joined.
    A network's ``task`` attribute is the Task it was built for; the engine sets it after ``build``.
    """

    reference: ClassVar[str]  # paper and link

    members: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        if self.members < 1:
            raise ValueError(f"members must be at least 1, not {self.members}")

    def suits(self, task: Task) -> bool:
        """Return whether there is such a method for this task; by default for all."""
        del task
        return True

    @abstractmethod
    def build(self, task: Task) -> nn.Module:
        """Return an untrained network, inputs (B, *input_shape) in [0, 1] -> outputs (B, P).

        Allocates every parameter and buffer there will ever be: a strict load of the state restores a trained method.
        """

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Return the training loss in nats per example: mean NLL + KL / size, with ``size`` training examples.

        ``progress`` is the share of the training done, in [0, 1).
        """
        from bench_uq.networks import kl, task_of

        nll = -task_of(net).likelihood.log_prob(net(inputs), targets).mean()
        return nll + kl(net) / size

    def optimiser(self, net: nn.Module) -> Optimizer:
        """Return the optimiser of all parameters: Adam at 1e-3."""
        from torch.optim import Adam

        return Adam(net.parameters(), lr=1e-3, fused=True)

    def observe(self, net: nn.Module, progress: float) -> None:
        """Look at the network after each epoch and keep what is needed in its buffers; by default nothing."""

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Adjust values after training (a temperature, a Laplace fit), never the structure; by default nothing.

        ``train`` and ``held_out`` can be walked any number of times and give (inputs, targets) on the net's device.
        """

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """Return at most ``count`` draws of the likelihood parameters, (S, B, P).

        Calls add up: two of 5 draws are as good as one of 10, so a method with stored networks that is asked for
        fewer of them picks at random. By default stochastic passes, or one where nothing in the network is random.
        """
        from bench_uq.networks import stochastic_passes

        return stochastic_passes(net, inputs, count)


class Batches(ABC):
    """Examples on the device, in batches, to walk any number of times."""

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs (B, *input_shape) in [0, 1] and targets (B,)."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of examples, not of batches."""


@dataclass(frozen=True)
class Download:
    """A file that ``bench-uq prepare`` can fetch; nothing else ever fetches one."""

    path: str  # where it belongs, below the root of the data
    urls: tuple[str, ...]  # tried in this order
    md5: str = ""  # of the file as it is fetched
    sha256: str = ""  # of what it holds: of a .gz file, of its content
    unpack: bool = False  # a tar archive: its members are laid out beside it, and it is kept


@dataclass(frozen=True)
class Dataset(ABC):
    """Examples to train and test on; the options are the fields of the subclass."""

    reference: ClassVar[str]
    splits: ClassVar[tuple[str, ...]] = ("train", "test")  # unseen data may have "test" alone
    #: Datasets, by plain name, whose test examples these are, changed, in their order: shown with these labels. Shown
    #: to networks of any other dataset they are unseen.
    shift_of: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Check the options: a subclass raises ValueError for those without meaning."""

    @abstractmethod
    def task(self, root: Path) -> Task:
        """Return the task, from the files under ``root`` where it depends on them."""

    @abstractmethod
    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Return one of ``splits``; files that are missing raise MissingData.

        ``fold`` is the run's seed, for datasets without a fixed test split.
        """

    def files(self, root: Path) -> Sequence[Path] | None:
        """Return all files that the examples come from, none where they come from installed packages alone.

        Examples are then taken as known while no file and no package changed; None, the default, loads them each time.
        """
        del root
        return None

    def downloads(self) -> Sequence[Download]:
        """Return what ``bench-uq prepare`` can fetch, by default nothing: the user puts the files there."""
        return ()


#: (inputs (B, ...), draws) -> chunks (s, B, P) of at most ``draws`` draws in all, differentiable in the inputs.
#: Unlike one (S, B, P) array, chunks keep the memory of an attack from growing with S.
LogProbs = Callable[["Tensor", int], Iterator["Tensor"]]


@dataclass(frozen=True)
class Condition(ABC):
    """What changes the inputs that a trained network is shown; the options are the fields of the subclass.

    An option that is a word of Python's own has its field with ``_`` behind: ``transfer[from=map]`` sets ``from_``.
    """

    reference: ClassVar[str]
    size: ClassVar[str] = (
        "test_images"  # the setting that says how many of the test images it is shown
    )

    def suits(self, task: Task) -> bool:
        """Return whether it can be shown to networks of this task; by default to all."""
        del task
        return True

    def check_level(self, level: float) -> None:
        """Raise ValueError, saying what is allowed, for a level without meaning; levels are finite and at least 0."""

    def surrogate(self) -> str:
        """Return the method, with options, whose networks ``log_probs`` are of; empty, the default: the judged ones.

        The engine trains it on the same dataset with the same seed, where it is not trained yet.
        """
        return ""

    @abstractmethod
    def changed(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Return one batch of inputs per level, shaped like ``inputs``; how the engine calls every condition."""


@dataclass(frozen=True)
class Attack(Condition):
    """A search for inputs within a distance of the true ones on which the reported predictor does badly.

    ``levels`` are epsilons in pixel units; results are clipped to [0, 1].
    """

    size: ClassVar[str] = "attack_images"

    @abstractmethod
    def __call__(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Return one batch of inputs per level, shaped like ``inputs``; ``generator`` is a CPU one."""

    def changed(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Attack at all levels at once: one gradient can serve them all."""
        return self(log_probs, inputs, targets, levels, generator)


@dataclass(frozen=True)
class Shift(Condition):
    """A change of the inputs that keeps their labels: a rotation, a corruption."""

    size: ClassVar[str] = "shift_images"

    @abstractmethod
    def __call__(self, inputs: Tensor, level: float, generator: Generator) -> Tensor:
        """Return the changed inputs, shaped like ``inputs``, in [0, 1]; ``generator`` is a CPU one."""

    def changed(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Shift level by level, each from the same state of the generator."""
        state = generator.get_state()
        return [self(inputs, level, generator.set_state(state)) for level in levels]
