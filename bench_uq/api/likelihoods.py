"""Likelihoods: from the outputs of a network to a distribution over targets.

Shapes as in api/task.py. Torch is imported on use, so that datasets can name a likelihood cheaply.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from torch import Generator, Tensor

#: Levels at which the quantiles of a regression mixture are stored: the midpoints of 100 equal
#: steps. The mean of twice the pinball loss over them is then the CRPS by the midpoint rule.
QUANTILE_LEVELS = tuple((2 * k + 1) / 200 for k in range(100))

#: Stands for the logarithm of a probability of zero.
LOG_ZERO = -1e4
#: Rounding errors of float64 in a sum of numbers near 1.
ROUNDING = 1e-14

#: Steps of float32 that a standard deviation must span, so that rounding changes no score.
COARSE = 100


class Likelihood(ABC):
    """A family of distributions over targets; a draw holds its P parameters per example."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """P, the number of outputs of the network."""

    @abstractmethod
    def check(self, targets: np.ndarray) -> None:
        """Raise ValueError for targets (N,) that this likelihood is not defined for."""

    def fitted(self, targets: np.ndarray) -> Likelihood:
        """This likelihood with the scales of the training targets (N,); by default it has none."""
        del targets
        return self

    @abstractmethod
    def scale(self, outputs: Tensor) -> Tensor:
        """Turn a network's outputs (..., B, P) into parameters in the units of the targets."""

    @abstractmethod
    def normalise(self, outputs: Tensor) -> Tensor:
        """Normalise parameters (..., B, P); a second time changes nothing."""

    @abstractmethod
    def log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """log p(target) in nats, (..., B), for network outputs or draws (..., B, P)."""

    @abstractmethod
    def mixture(self, draws: Tensor, targets: Tensor | None) -> dict[str, Tensor]:
        """Average draws (S, B, P) into the arrays stored of the predictive mixture, (B, ...) each,
        in the type of the draws.

        ``log_density`` is log mean_s p(target | draw s), the log of the mean; it needs the targets.
        """

    @abstractmethod
    def sample(self, draws: Tensor, generator: Generator | None = None) -> Tensor:
        """Draw one target per row of parameters: (..., B, P) -> (..., B)."""


@dataclass(frozen=True)
class Categorical(Likelihood):
    """Class labels; a draw is log-probabilities over C = P classes."""

    classes: int

    @property
    def parameters(self) -> int:
        """One log-probability per class."""
        return self.classes

    def check(self, targets: np.ndarray) -> None:
        """Require labels 0 to C - 1."""
        if targets.dtype != np.int64:
            raise ValueError(f"labels must be int64, not {targets.dtype}")
        if not (targets.min() >= 0 and targets.max() < self.classes):
            raise ValueError(
                f"labels are {targets.min()} to {targets.max()}, not 0 to {self.classes - 1}"
            )

    def scale(self, outputs: Tensor) -> Tensor:
        """Logits as they are."""
        return outputs

    def normalise(self, outputs: Tensor) -> Tensor:
        """Log-softmax, which leaves log-probabilities as they are."""
        return outputs.log_softmax(-1)

    def log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of the true class."""
        from torch.nn.functional import cross_entropy

        if outputs.dim() == 2:
            # One kernel for the log-softmax and the choice of the class.
            return -cross_entropy(outputs, targets, reduction="none")
        index = targets.expand(outputs.shape[:-1]).unsqueeze(-1)
        return self.normalise(outputs).gather(-1, index).squeeze(-1)

    def mixture(self, draws: Tensor, targets: Tensor | None) -> dict[str, Tensor]:
        """Mean ``probs`` (B, C), mean entropy ``draw_entropy`` (B,), ``mutual_information`` (B,) of
        label and draw, and ``log_density``.
        """
        # A probability of zero has a log-probability of -inf, and 0 * -inf is nan.
        log_probs = draws.double()
        finite = log_probs.clamp_min(LOG_ZERO)
        probs = log_probs.exp()
        # The mean of probabilities, not of their logarithms, is the mixture's.
        log_mean = log_probs.logsumexp(0) - math.log(len(log_probs))
        stored = {
            "probs": log_mean.exp(),
            "draw_entropy": -(probs * finite).sum(-1).mean(0),
            "mutual_information": self.divergence(probs, finite - log_mean.clamp_min(LOG_ZERO)),
        }

        if targets is not None:
            stored["log_density"] = log_mean.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        return {name: value.to(draws.dtype) for name, value in stored.items()}

    def divergence(self, probs: Tensor, log_ratio: Tensor) -> Tensor:
        """Mean over the draws of KL(draw || mixture) in nats, (S, B, C) -> (B,), from the draws and
        their log-ratio to the mixture.
        """
        # Not as a difference of entropies: where draws nearly agree it is lost in their rounding.
        # Of each class the mean over draws is at least 0, as p log p is convex.
        gaps = (probs * log_ratio).mean(0).clamp_min(0).sum(-1)
        # Draws that are equal differ from their mean by rounding alone.
        return gaps.where(gaps > ROUNDING * (1 + math.log(self.classes)), 0)

    def sample(self, draws: Tensor, generator: Generator | None = None) -> Tensor:
        """Draw class labels."""
        probs = draws.exp()
        rows = probs.reshape(-1, self.classes)
        return rows.multinomial(1, generator=generator).reshape(probs.shape[:-1])


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Real targets; a draw is (mean, log-variance) in the units of the targets.

    The network works on standardised targets: its outputs are (mean, log-variance) of
    (y - mean) / std. By default mean and std are those of the training targets. If the standard
    deviation of the ``noise`` is given, in the units of the targets, it replaces the network's
    second output.
    """

    mean: float = math.nan
    std: float = math.nan
    noise: float = math.nan

    #: Bounds of log-variances on the standardised scale, so that exp never overflows.
    bounds: ClassVar[tuple[float, float]] = (-14.0, 14.0)

    def __post_init__(self) -> None:
        if self.noise <= 0:
            raise ValueError(f"noise must be above 0, not {self.noise}")

    @property
    def parameters(self) -> int:
        """Mean and log-variance."""
        return 2

    def check(self, targets: np.ndarray) -> None:
        """Require finite float32 numbers."""
        if targets.dtype != np.float32:
            raise ValueError(f"real targets must be float32, not {targets.dtype}")
        if not np.isfinite(targets).all():
            raise ValueError("some targets are not finite")

        spread, step = float(targets.std(dtype=np.float64)), float(np.spacing(abs(targets).max()))
        if 0 < spread < COARSE * step:
            raise ValueError(
                f"the standard deviation of the targets is {spread:.3g}, where float32 goes in "
                f"steps of {step:.3g}: subtract an offset"
            )

    def fitted(self, targets: np.ndarray) -> Gaussian:
        """This likelihood with the mean and std of the targets, unless it has its own."""
        found = self
        if math.isnan(self.mean):
            # Float64, because a sum of many float32 numbers loses digits.
            found = dataclasses.replace(found, mean=float(targets.mean(dtype=np.float64)))

        if math.isnan(self.std):
            std = float(targets.std(dtype=np.float64))
            if std == 0:
                raise ValueError(f"all targets are {targets[0]}")
            found = dataclasses.replace(found, std=std)

        return found

    def scale(self, outputs: Tensor) -> Tensor:
        """Turn (mean, log-variance) of standardised targets into those of the targets."""
        import torch

        mean, log_variance = outputs.unbind(-1)
        low, high = self.bounds
        if math.isnan(self.noise):
            # Clamped before the scale of the targets is added, which may be anything.
            log_variance = log_variance.clamp(low, high) + 2 * math.log(self.std)
        else:
            log_variance = torch.full_like(mean, 2 * math.log(self.noise))
        return torch.stack((mean * self.std + self.mean, log_variance), -1)

    def normalise(self, outputs: Tensor) -> Tensor:
        """Draws as they are: the parameters of a Gaussian have no normalising constraint."""
        return outputs

    def log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Log-density of the targets, in nats of their own units."""
        mean, log_variance = outputs.unbind(-1)
        squared = (targets - mean).square() * (-log_variance).exp()
        return -0.5 * (math.log(2 * math.pi) + log_variance + squared)

    def mixture(self, draws: Tensor, targets: Tensor | None) -> dict[str, Tensor]:
        """``mean``, ``variance`` (law of total variance), ``draw_variance`` (mean over draws), (B,)
        each, ``quantiles`` (B, Q) at QUANTILE_LEVELS, ``log_density`` and the CRPS
        ``ranked_score``, (B,) each.
        """
        # Float64: the variance of means that nearly agree is a difference of large numbers.
        mean, log_variance = draws.double().unbind(-1)
        variance = log_variance.exp()
        stored = {
            "mean": mean.mean(0),
            "variance": variance.mean(0) + mean.var(0, correction=0),
            "draw_variance": variance.mean(0),
            "quantiles": self.quantiles(mean, variance.sqrt()),
        }

        if targets is not None:
            log_prob = self.log_prob(draws.double(), targets)
            stored["log_density"] = log_prob.logsumexp(0) - math.log(len(draws))
            stored["ranked_score"] = self.crps(mean, variance.sqrt(), targets)
        return {name: value.to(draws.dtype) for name, value in stored.items()}

    def quantiles(self, mean: Tensor, std: Tensor) -> Tensor:
        """Invert the mixture's distribution function by bisection: (S, B) moments -> (B, Q)."""
        import torch

        levels = mean.new_tensor(QUANTILE_LEVELS)
        # Eight standard deviations leave less than 1e-15 of each component outside.
        low = (mean - 8 * std).amin(0).unsqueeze(-1).expand(-1, len(levels))
        high = (mean + 8 * std).amax(0).unsqueeze(-1).expand(-1, len(levels))
        # Each step halves the bracket: 50 of them reach the precision of float64.
        for _ in range(50):
            middle = (low + high) / 2
            scaled = (middle - mean.unsqueeze(-1)) / std.unsqueeze(-1)
            below = torch.special.ndtr(scaled).mean(0) < levels
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)

        return (low + high) / 2

    def crps(self, mean: Tensor, std: Tensor, targets: Tensor) -> Tensor:
        """CRPS of the mixture, E|X - y| - E|X - X'| / 2, in closed form (Grimit et al. 2006):
        (S, B) moments and (B,) targets -> (B,).
        """
        import torch

        def size(gap: Tensor, std: Tensor) -> Tensor:
            """E|N(gap, std^2)|."""
            scaled = gap / std
            density = (-scaled.square() / 2).exp() / math.sqrt(2 * math.pi)
            return gap * (2 * torch.special.ndtr(scaled) - 1) + 2 * std * density

        found = size(targets - mean, std).mean(0)
        # Draw by draw, because all pairs of draws at once would take S times the memory.
        for one_mean, one_std in zip(mean, std, strict=True):
            apart = size(mean - one_mean, torch.hypot(std, one_std)).mean(0)
            found = found - apart / (2 * len(mean))
        return found

    def sample(self, draws: Tensor, generator: Generator | None = None) -> Tensor:
        """Draw one real target per row."""
        import torch

        mean, log_variance = draws.unbind(-1)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return mean + (0.5 * log_variance).exp() * noise
