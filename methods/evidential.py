"""Evidential networks: the outputs are a distribution over the likelihood's parameters."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Gamma
from torch.nn.functional import one_hot, softplus

from bench_uq.api import Categorical, Gaussian, Method, Task, network, task_of
from bench_uq.methods._heads import DenseHead, draws_of, numbers_of, with_head


class DirichletHead(DenseHead):
    """A Dirichlet distribution over the class probabilities of each example."""

    def drawn(self, numbers: Tensor, count: int) -> Tensor:
        """Log-probabilities (S, B, C); their probabilities have the mean alpha / sum of alpha."""
        alpha = concentration(numbers)
        # Normalised Gammas are a Dirichlet, and their logarithms do not underflow.
        gammas = Gamma(alpha, torch.ones_like(alpha), validate_args=False).rsample((count,))
        return gammas.log().log_softmax(-1)


class NormalInverseGammaHead(DenseHead):
    """A Normal-inverse-Gamma distribution over the mean and variance of each target."""

    def drawn(self, numbers: Tensor, count: int) -> Tensor:
        """(mean, log-variance) of standardised targets, (S, B, 2).

        variance ~ inverse-Gamma(alpha, beta), mean ~ N(gamma, variance / nu) (Amini et al. 2020,
        eq. 4).
        """
        mean, nu, alpha, beta = normal_inverse_gamma(numbers)
        precision = Gamma(alpha, beta, validate_args=False).rsample((count,))
        noise = torch.randn_like(precision)
        return torch.stack((mean + noise / (precision * nu).sqrt(), -precision.log()), -1)


def concentration(numbers: Tensor) -> Tensor:
    """Parameters alpha of the Dirichlet: evidence + 1, (B, C)."""
    # Unlike the paper's ReLU, exp has a gradient everywhere. Bounds keep it within float32.
    return numbers.clamp(-10, 10).exp() + 1


def normal_inverse_gamma(numbers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """gamma, nu > 0, alpha > 1 and beta > 0, (B,) each."""
    mean, nu, alpha, beta = numbers.unbind(-1)
    # Float32 underflows in softplus.
    return mean, softplus(nu) + 1e-6, softplus(alpha) + 1 + 1e-6, softplus(beta) + 1e-6


def squared_error(alpha: Tensor, truth: Tensor) -> Tensor:
    """Expected squared error of the probabilities, (B,) (Sensoy et al. 2018, eq. 5)."""
    total = alpha.sum(-1, keepdim=True)
    mean = alpha / total
    variance = mean * (1 - mean) / (total + 1)
    return ((truth - mean).square() + variance).sum(-1)


def kl_to_uniform(alpha: Tensor) -> Tensor:
    """KL(Dirichlet(alpha) || Dirichlet(1)) in nats, (B,)."""
    total = alpha.sum(-1)
    logs = total.lgamma() - alpha.lgamma().sum(-1) - math.lgamma(alpha.shape[-1])
    return logs + ((alpha - 1) * (alpha.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


def student_nll(numbers: Tensor, targets: Tensor) -> Tensor:
    """NLL in nats of the Student-t that is left without mean and variance, (B,) (Amini et al. 2020,
    eq. 8), for standardised targets.
    """
    mean, nu, alpha, beta = normal_inverse_gamma(numbers)
    omega = 2 * beta * (1 + nu)
    squares = nu * (targets - mean).square()
    return (
        0.5 * (math.pi / nu).log()
        - alpha * omega.log()
        + (alpha + 0.5) * (squares + omega).log()
        + alpha.lgamma()
        - (alpha + 0.5).lgamma()
    )


@dataclass(frozen=True)
class Evidential(Method):
    """A Dirichlet over class probabilities, or a Normal-inverse-Gamma over mean and variance.

    One network and one pass give the distribution. Draws are from it: for classes their mean tends
    to the paper's predictor alpha / sum of alpha; for real targets the mixture tends to the
    Student-t. With few draws the tails of that are lost, and the NLL of outliers is too high.

    The spread between draws is called epistemic, but it is learned from one target per input, by a
    loss that holds no posterior. It need not shrink with more data, and it depends on the weight
    of the penalty (Bengs et al. 2022, https://arxiv.org/abs/2203.06102; for real targets Meinert
    et al. 2023, https://arxiv.org/abs/2205.10060).

    Unlike in the paper, where the KL counts in full after ten epochs, its weight is 0.1 and is
    reached at the end of the training. Counted in full after a fifth of the quick suite's training
    on digits, it leaves no class with evidence.

    It is not defined where the noise is known: the distribution is over a variance that is learned.
    """

    reference: ClassVar[str] = (
        "Sensoy et al. 2018, https://arxiv.org/abs/1806.01768; "
        "regression: Amini et al. 2020, https://arxiv.org/abs/1910.02600"
    )
    title: ClassVar[str] = "Evidential"
    order: ClassVar[int] = 22
    search: ClassVar = {
        "kl_weight": {"low": 0.01, "high": 1.0, "scale": "log"},
        "evidence_weight": {"low": 1e-3, "high": 1.0, "scale": "log"},
    }

    kl_weight: float = 0.1  # for classes: of the KL to the uniform Dirichlet
    kl_warmup: float = 1.0  # share of the training over which that weight rises from 0 as a line
    evidence_weight: float = 0.01  # for real targets: of error times evidence

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kl_weight", "evidence_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite and at least 0, not {getattr(self, name)}")
        if not 0 <= self.kl_warmup <= 1:
            raise ValueError(f"kl_warmup must be in [0, 1], not {self.kl_warmup}")

    def suits(self, task: Task) -> bool:
        """Whether the task has classes, or real targets whose noise is to be learned."""
        if isinstance(task.likelihood, Gaussian):
            return math.isnan(task.likelihood.noise)
        return isinstance(task.likelihood, Categorical)

    def build(self, task: Task) -> nn.Module:
        """Build the network with the parameters of the distribution as its outputs."""
        if isinstance(task.likelihood, Gaussian):
            return with_head(network(task), lambda inputs: NormalInverseGammaHead(inputs, 4))
        classes = task.likelihood.parameters
        return with_head(network(task), lambda inputs: DirichletHead(inputs, classes))

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """For classes squared error + weight * KL, else NLL + weight * penalty in nats."""
        numbers, likelihood = numbers_of(net, inputs), task_of(net).likelihood
        if isinstance(likelihood, Gaussian):
            standardised = (targets - likelihood.mean) / likelihood.std
            return self.regression(numbers, standardised) + math.log(likelihood.std)

        alpha = concentration(numbers)
        truth = one_hot(targets, alpha.shape[-1])
        # The evidence of the true class is exempt.
        misleading = kl_to_uniform(truth + (1 - truth) * alpha)
        weight = self.kl_weight
        if progress < self.kl_warmup:
            weight *= progress / self.kl_warmup

        return (squared_error(alpha, truth) + weight * misleading).mean()

    def regression(self, numbers: Tensor, targets: Tensor) -> Tensor:
        """NLL + weight * |error| (2 nu + alpha) (Amini et al. 2020, eq. 9-10).

        Unlike the paper's, errors are in standard deviations of the targets.
        """
        mean, nu, alpha, _ = normal_inverse_gamma(numbers)
        penalty = (targets - mean).abs() * (2 * nu + alpha)
        return (student_nll(numbers, targets) + self.evidence_weight * penalty).mean()

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """Draws from the distribution over parameters."""
        return draws_of(net, inputs, count)
