"""Matrix Gaussian posteriors: correlations among the inputs and among the outputs of a layer."""

import functools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from bench_uq.api import Layers, Task, network
from bench_uq.methods._flipped import bias_noise, flipped, one_by_one
from bench_uq.methods._gaussian import GaussianConvolution, GaussianDense, GaussianWeights
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._variational import Variational


@dataclass(frozen=True)
class Covariance:
    """D^1/2 (I + F F^T) D^1/2 over n numbers, with D = exp(log_variance) and F (n, rank)."""

    log_variance: Tensor  # (n,)
    factor: Tensor  # (n, rank)

    @property
    def std(self) -> Tensor:
        """D^1/2, (n,)."""
        return (0.5 * self.log_variance).exp()

    def trace(self) -> Tensor:
        """Sum of the variances."""
        return self.log_variance.exp().dot(1 + self.factor.square().sum(1))

    def log_det(self) -> Tensor:
        """Log-determinant, by that of a matrix of the rank."""
        inner = self.factor.T @ self.factor
        inner = inner + torch.eye(len(inner), dtype=inner.dtype, device=inner.device)
        # Unlike cholesky, it does not wait for a GPU; inner is positive definite.
        root = torch.linalg.cholesky_ex(inner).L
        return self.log_variance.sum() + 2 * root.diagonal().log().sum()

    def quadratic(self, inputs: Tensor) -> Tensor:
        """Variance of the products of rows (B, n) with numbers of this covariance, (B, 1)."""
        scaled = inputs * self.std
        squares = scaled.square().sum(1) + (scaled @ self.factor).square().sum(1)
        return squares.unsqueeze(1)

    def sample(self, count: int) -> Tensor:
        """Draw ``count`` rows from N(0, covariance), (count, n)."""
        size, rank = self.factor.shape
        options: dict[str, Any] = {"dtype": self.factor.dtype, "device": self.factor.device}
        shared = torch.randn(count, rank, **options)
        return (torch.randn(count, size, **options) + shared @ self.factor.T) * self.std


class MatrixWeights(GaussianWeights):
    """W ~ MN(M, U, V): cov(W_ij, W_kl) = V_ik U_jl over outputs i, k and inputs j, l.

    A kernel is the matrix of its filters, (out, in k k). Unlike the paper's experiments, whose
    covariances are diagonal and whose pseudo-data correlate the weights, U and V have a low rank
    beside their diagonal, and there are no pseudo-data. Biases are independent Gaussians.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        bias: bool = True,
        *,
        rank: int = 2,
        start_log_variance: float = -9.0,
        **options: Any,
    ) -> None:
        start = start_log_variance
        super().__init__(shape, bias, start_log_variance=start, max_std=math.inf, **options)
        self.sizes = math.prod(shape[1:]), shape[0]

        # In place of one for each weight those of U, and then of V.
        of_inputs, of_outputs = torch.full(self.sizes[:1], start), torch.zeros(self.sizes[1])
        self.weight_log_variance = nn.Parameter(torch.cat((of_inputs, of_outputs)))
        # Not at 0, where the gradient would be 0 too.
        factors = 0.1 * torch.randn(sum(self.sizes), rank) / math.sqrt(max(1, rank))
        self.factors = nn.Parameter(factors)

    def covariances(self) -> tuple[Covariance, Covariance]:
        """U of the inputs and V of the outputs."""
        variances = self.log_variance.split(self.sizes)
        factors = self.factors.split(self.sizes)
        return Covariance(variances[0], factors[0]), Covariance(variances[1], factors[1])

    def kl(self) -> Tensor:
        """KL(posterior || N(0, prior_std^2)) of weights and biases, in nats."""
        of_inputs, of_outputs = self.covariances()
        # Of the Kronecker product of V and U the trace is the product of theirs, and the
        # log-determinant the sum of theirs, each times the size of the other.
        precision = 1 / self.prior_std**2
        total = self.mean.numel()

        log_det = len(self.mean) * of_inputs.log_det()
        log_det = log_det + total / len(self.mean) * of_outputs.log_det()
        squares = of_inputs.trace() * of_outputs.trace() + self.mean.square().sum()
        return (
            0.5 * (precision * squares - total * (1 + math.log(precision)) - log_det)
            + self.bias_kl()
        )


class MatrixLinear(GaussianDense, MatrixWeights):
    """A dense layer: (B, in) -> (B, out)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs under fresh weights for each example, N(M x, (x^T U x) V)."""
        of_inputs, of_outputs = self.covariances()
        # A number that keeps the root of zero differentiable.
        std = (of_inputs.quadratic(inputs) + 1e-16).sqrt()
        mean = linear(inputs, self.mean, self.bias_mean) + bias_noise(self, inputs)
        return torch.addcmul(mean, std, of_outputs.sample(len(inputs)))


class MatrixConv2d(GaussianConvolution, MatrixWeights):
    """A convolution: (B, in, H, W) -> (B, out, H', W')."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs under one kernel for each example.

        The kernel is V^1/2 G of rows G ~ N(0, U), of which each may change its sign.
        """
        of_inputs, of_outputs = self.covariances()
        out, rank = of_outputs.factor.shape
        # A row for each output, and one for each column of the factor, which outputs share.
        rows = of_inputs.sample(out + rank).reshape(-1, *self.mean.shape[1:])
        noise, shared = flipped(self.convolved(inputs, rows, None)).split((out, rank), dim=1)

        correlated = torch.einsum("brhw,or->bohw", shared, of_outputs.factor)
        mean = self.convolved(inputs, self.mean, self.bias_mean)
        std = of_outputs.std[:, None, None]
        return mean + (noise + correlated) * std + bias_noise(self, inputs)[..., None, None]


@dataclass(frozen=True)
class MatrixGaussian(Variational):
    """Weights whose covariance is a Kronecker product of inputs' and outputs' covariances."""

    reference: ClassVar[str] = "Louizos & Welling 2016, https://arxiv.org/abs/1603.04733"
    title: ClassVar[str] = "Matrix Gaussian"
    order: ClassVar[int] = 14

    rank: int = 2  # of U and of V beside their diagonals; 0 for diagonals
    prior_std: PriorStd = 1.0
    start_log_variance: float = -9.0
    variance_rate: float = 0.0  # Adam's rate for the log-variances; 0: three times that of the rest
    kl_weight: float = 1.0
    kl_warmup: float = 0.0

    # No field: a product of two variances has no cap for each weight.
    max_std = math.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 0:
            raise ValueError(f"rank must be at least 0, not {self.rank}")

    def build(self, task: Task) -> nn.Module:
        """Build the network with matrix Gaussian weights."""
        options: dict[str, Any] = {
            "rank": self.rank,
            "prior_std": self.prior_std,
            "start_log_variance": self.start_log_variance,
        }
        linear = functools.partial(MatrixLinear, **options)
        conv = functools.partial(MatrixConv2d, **options)
        return network(task, Layers(linear=linear, conv=conv))

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """``count`` passes (S, B, P), each under kernels of its own."""
        return one_by_one(net, inputs, count)
