"""Laplace against closed forms, numerical integration and explicit Jacobians."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from bench_uq.api import Base, Batches, Categorical, Gaussian, Method, Network, Task, UsageError
from bench_uq.methods._curvature import Diagonal, Full, Kronecker, fisher_root
from bench_uq.methods._laplace import Posterior, chosen, evidence
from bench_uq.methods.dropout import Dropout
from bench_uq.methods.laplace import GRID, Laplace, closed_form
from bench_uq.methods.map import MAP
from bench_uq.methods.snapshot import Snapshot

NOISE = 0.5
LINEAR = Task((3,), Gaussian(mean=0.0, std=1.0, noise=NOISE), mean=(0.0,) * 3, std=(1.0,) * 3)
REAL = Task((3,), Gaussian(mean=5.0, std=2.0), mean=(0.5,) * 3, std=(0.3,) * 3)
CLASSES = Task((3,), Categorical(3), mean=(0.0,) * 3, std=(1.0,) * 3)
IMAGES = Task((2, 4, 4), Categorical(3), mean=(0.0,) * 2, std=(1.0,) * 2)


class Known(Batches):
    """Examples in batches of 7."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.inputs.split(7), self.targets.split(7), strict=True)


def made(task: Task, stages: list[nn.Module]) -> Network:
    """A network of these stages in evaluation."""
    return Network(task, stages).eval()


def fitted(method: Laplace, nets: list[Network], train: Batches) -> nn.Module:
    """The method on plain networks, as the engine fits it."""
    base = Base(MAP().draws, nn.ModuleList(nets))
    net = method.build_on(nets[0].task, base)
    net.task = nets[0].task
    torch.manual_seed(0)
    method.finish(net.eval(), train, train)
    return net


def posterior_of(net: Network, kind: type, inputs: Tensor, layers: str = "all") -> Posterior:
    """The posterior of one network with the curvature of some inputs and a prior of N(0, 1)."""
    posterior = Posterior(chosen(net, layers), kind)
    posterior.fit(net, [(part, part) for part in inputs.split(5)])
    return posterior


@pytest.fixture
def regression() -> tuple[np.ndarray, np.ndarray]:
    """Inputs with a column of ones (N, 4), and targets (N,)."""
    rng = np.random.default_rng(0)
    inputs = np.append(rng.normal(size=(20, 3)), np.ones((20, 1)), axis=1)
    return inputs, inputs @ rng.normal(size=4) + NOISE * rng.normal(size=20)


def mode(
    inputs: np.ndarray, targets: np.ndarray, precision: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (4,) and covariance (4, 4) of the posterior of Bayesian linear regression."""
    covariance = np.linalg.inv(inputs.T @ inputs / NOISE**2 + precision * np.eye(4))
    return covariance @ inputs.T @ targets / NOISE**2, covariance


def regressor(weights: np.ndarray) -> Network:
    """A linear network with these weights for the mean; its log-variance is that of the noise."""
    net = made(LINEAR, [nn.Linear(3, 2)])
    with torch.no_grad():
        net.stages[-1].weight.zero_()
        net.stages[-1].bias.zero_()
        net.stages[-1].weight[0] = torch.from_numpy(weights[:3])
        net.stages[-1].bias[0] = weights[3]
    return net


def known(inputs: np.ndarray, targets: np.ndarray) -> Known:
    """The examples without their column of ones."""
    return Known(torch.from_numpy(inputs[:, :3]).float(), torch.from_numpy(targets).float())


@pytest.mark.parametrize("structure", ["full", "kron"])
def test_linear_regression_has_its_closed_form(regression, structure, agree) -> None:
    """Draws have the mean and covariance of Bayesian linear regression; the closed form has its
    predictive variance.
    """
    inputs, targets = regression
    weights, covariance = mode(inputs, targets, 1 / 0.7**2)
    options = {"structure": structure, "prior_std": 0.7}
    method = Laplace(**options)
    net = fitted(method, [regressor(weights)], known(inputs, targets))
    shown = torch.tensor([[0.5, -2.0, 1.0], [3.0, 1.0, 0.0]])
    rows = np.append(shown.numpy(), np.ones((2, 1)), axis=1)
    expected = torch.from_numpy(rows @ covariance @ rows.T)

    torch.manual_seed(1)
    with torch.no_grad():
        draws = method.draws(net, shown, 10_000)[..., 0].double()
    centred = draws - torch.from_numpy(rows @ weights)
    agree(draws, torch.from_numpy(rows @ weights))
    agree(centred.unsqueeze(2) * centred.unsqueeze(1), expected)

    (exact,) = Laplace(**options, predictive="probit").draws(net, shown, 5)
    torch.testing.assert_close(
        exact[:, 1].exp().double(), expected.diag() + NOISE**2, rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("precision", [0.01, 1.0, 50.0])
def test_marginal_likelihood_has_its_closed_form(regression, precision: float) -> None:
    """In Bayesian linear regression, the NLL at the mode and the evidence make log N(y; 0, S)."""
    inputs, targets = regression
    weights, _ = mode(inputs, targets, precision)
    net = regressor(weights)
    posterior = posterior_of(net, Full, known(inputs, targets).inputs, "last")
    values = posterior.blocks[0].values.flatten().double()

    squares = torch.tensor((weights**2).sum())
    log_prob = stats.norm.logpdf(targets, inputs @ weights, NOISE).sum()
    found = log_prob + evidence(values, squares, math.log(precision))

    scale = NOISE**2 * np.eye(20) + inputs @ inputs.T / precision
    assert found == pytest.approx(stats.multivariate_normal.logpdf(targets, cov=scale), rel=1e-4)


@pytest.mark.parametrize("structure", ["full", "kron", "diag"])
def test_prior_is_that_of_the_highest_marginal_likelihood(structure) -> None:
    """At fixed weights and curvature, SciPy finds the same precision from the determinant."""
    torch.manual_seed(2)
    net, inputs = made(CLASSES, [nn.Linear(3, 3)]), torch.randn(30, 3)
    posterior = fitted(
        Laplace(structure=structure), [net], Known(inputs, torch.zeros(30))
    ).posteriors[0]

    curvature = explicit(net, inputs).numpy()
    if structure == "diag":
        curvature = np.diag(np.diag(curvature))
    if structure == "kron":
        curvature = kronecker(net, inputs).numpy()
    weights = torch.cat([values.flatten() for values in net.parameters()]).detach().double().numpy()

    def negative(log_precision: float) -> float:
        precision = np.exp(log_precision)
        whole = curvature + precision * np.eye(12)
        prior = stats.norm.logpdf(weights, scale=precision**-0.5).sum()
        return np.linalg.slogdet(whole)[1] / 2 - prior

    best = minimize_scalar(negative, bounds=(-6, 6), method="bounded", options={"xatol": 1e-6})
    assert math.log(posterior.precision) == pytest.approx(best.x, abs=1e-3)


def explicit(net: Network, inputs: Tensor) -> Tensor:
    """Gauss-Newton matrix (D, D) of all parameters, by automatic Jacobians and, for classes, by
    the Hessian of the NLL in the logits.
    """
    net = net.double()
    values = {name: value.detach() for name, value in net.named_parameters()}
    total = 0
    for one in inputs.double().split(1):
        jacobians = jacrev(lambda values, one=one: functional_call(net, values, (one,))[0])(values)
        jacobian = torch.cat([part.flatten(1) for part in jacobians.values()], 1)
        probs = net(one)[0].detach().softmax(-1)
        hessian = probs.diag() - torch.outer(probs, probs)
        total = total + jacobian.T @ hessian @ jacobian
    net.float()
    return total


def kronecker(net: Network, inputs: Tensor) -> Tensor:
    """Kronecker approximation (D, D) for one dense layer, weights first and biases last."""
    rows = torch.cat([inputs, torch.ones(len(inputs), 1)], 1).double()
    probs = net(inputs).detach().double().softmax(-1)
    outs = (probs.diag_embed() - probs.unsqueeze(2) * probs.unsqueeze(1)).sum(0)
    whole = torch.kron(outs, rows.T @ rows) / len(inputs)
    # From (output, input) with the bias as the last input.
    order = torch.arange(12).view(3, 4)
    index = torch.cat([order[:, :3].flatten(), order[:, 3]])
    return whole[index][:, index]


def test_logistic_regression_against_numerical_integration() -> None:
    """With one weight for each of two classes, only their difference counts: its variance and the
    predictions are near those of the exact posterior.
    """
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=80)
    targets = (rng.random(80) < 1 / (1 + np.exp(-1.5 * inputs))).astype(int)
    # Two weights N(0, 2^2) have a difference N(0, 8).
    grid = np.linspace(-3, 8, 20_001)
    signs = 2 * targets - 1
    log_density = -np.logaddexp(0, -np.outer(grid, signs * inputs)).sum(1) - grid**2 / 16
    density = np.exp(log_density - log_density.max())
    density /= density.sum()

    task = Task((1,), Categorical(2), mean=(0.0,), std=(1.0,))
    net = made(task, [nn.Linear(1, 2, bias=False)])
    best = grid[log_density.argmax()]
    with torch.no_grad():
        net.stages[-1].weight.copy_(torch.tensor([[-best / 2], [best / 2]]))
    train = Known(torch.from_numpy(inputs).float().unsqueeze(1), torch.from_numpy(targets))

    shown = np.array([-2.0, 0.3, 1.0, 4.0])
    expected = (density[:, None] / (1 + np.exp(-np.outer(grid, shown)))).sum(0)
    for predictive in ("glm", "mc"):
        method = Laplace(structure="full", prior_std=2.0, predictive=predictive)
        laplace = fitted(method, [net], train)
        with torch.no_grad():
            draws = method.draws(laplace, torch.from_numpy(shown).float().unsqueeze(1), 4000)
        np.testing.assert_allclose(draws.exp().mean(0)[:, 1], expected, atol=0.015)

    mean = (density * grid).sum()
    exact = (density * (grid - mean) ** 2).sum()
    deviations = laplace.posteriors[0].blocks[0].sample(20_000, torch.tensor(0.25))
    found = (deviations[:, 1] - deviations[:, 0]).var().item()
    assert found == pytest.approx(exact, rel=0.15)


def test_probit_by_hand() -> None:
    """Logits are divided by sqrt(1 + pi v / 8): with v = 24 / pi by 2, with v = 0 by 1."""
    net = made(CLASSES, [nn.Linear(3, 3)])
    variance = torch.tensor([[24 / math.pi, 0.0, 24 / math.pi]])
    probs = closed_form(net, torch.tensor([[2.0, 1.0, 0.0]]), variance).exp()
    expected = torch.tensor([[math.e, math.e, 1.0]]) / (2 * math.e + 1)
    torch.testing.assert_close(probs, expected)


def test_full_and_diagonal_are_those_of_explicit_jacobians() -> None:
    """The curvature of a dense layer is J^T H J, and its diagonal, with biases in their places."""
    torch.manual_seed(4)
    net, inputs = made(CLASSES, [nn.Linear(3, 3)]), torch.randn(12, 3)
    curvature = explicit(net, inputs)
    order = torch.arange(12)
    index = torch.cat([order[:9].view(3, 3), order[9:].view(3, 1)], 1).flatten()
    expected = curvature[index][:, index]

    (full,) = posterior_of(net, Full, inputs).blocks
    whole = full.directions @ full.values.flatten().diag() @ full.directions.T
    torch.testing.assert_close(whole.double(), expected, rtol=1e-4, atol=1e-4)

    (diagonal,) = posterior_of(net, Diagonal, inputs).blocks
    torch.testing.assert_close(
        diagonal.values.flatten().double(), expected.diag(), rtol=1e-4, atol=1e-6
    )


def test_diagonal_of_a_convolution_is_that_of_explicit_jacobians() -> None:
    """Gradients of the positions of an example are summed before they are squared."""
    torch.manual_seed(5)
    layers = [
        nn.Conv2d(2, 3, 2, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(27, 3),
    ]
    net, inputs = made(IMAGES, layers), torch.rand(6, 2, 4, 4)
    diagonal = explicit(net, inputs).diag()

    found = []
    for block in posterior_of(net, Diagonal, inputs).blocks:
        found += [block.values[:, :-1].flatten(), block.values[:, -1]]
    torch.testing.assert_close(torch.cat(found).double(), diagonal, rtol=1e-3, atol=1e-6)


def test_kronecker_is_exact_for_one_example() -> None:
    """For one example all blocks of dense layers are products, and variances are exact."""
    torch.manual_seed(6)
    net, inputs = made(CLASSES, [nn.Linear(3, 3)]), torch.randn(1, 3)
    shown = torch.randn(5, 3)
    variances = []
    for kind in (Full, Kronecker):
        posterior = posterior_of(net, kind, inputs, "last")
        variances.append(posterior.variance(net, shown)[1])
    torch.testing.assert_close(*variances, rtol=1e-4, atol=1e-5)


def test_kronecker_of_a_convolution_by_hand() -> None:
    """Its factors are sums over examples and positions, of the outputs divided by the positions."""
    torch.manual_seed(7)
    net = made(IMAGES, [nn.Conv2d(2, 3, 3, bias=False), nn.Flatten(), nn.Linear(12, 3)])
    images = torch.rand(4, 2, 4, 4)
    block = posterior_of(net, Kronecker, images).blocks[0]
    last = net.stages[-1].weight.detach().view(3, 3, 2, 2)
    probs = net(images).detach().softmax(-1)

    ins, outs = torch.zeros(18, 18), torch.zeros(3, 3)
    for row in range(2):
        for column in range(2):
            patches = images[:, :, row : row + 3, column : column + 3].flatten(1)
            ins += patches.T @ patches
            gradients = last[:, :, row, column]
            for one in probs:
                hessian = one.diag() - torch.outer(one, one)
                outs += gradients.T @ hessian @ gradients / 4

    product = torch.kron(outs, ins) / 4
    basis = torch.kron(block.outs, block.ins)
    found = basis @ block.values.flatten().diag() @ basis.T
    torch.testing.assert_close(found, product, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [Diagonal, Kronecker])
def test_linearised_draws_have_the_moments_of_explicit_jacobians(kind, agree) -> None:
    """Draws of the linearised network have the mean f and the covariance J S J^T, with S of the
    samples of the weights; the variance in closed form is its diagonal.
    """
    torch.manual_seed(8)
    net = made(REAL, [nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)])
    posterior = posterior_of(net, kind, torch.rand(9, 3))
    shown = torch.rand(2, 3)
    values = {name: value.detach() for name, value in net.named_parameters()}
    jacobians = jacrev(lambda values: functional_call(net, values, (shown,)).flatten())(values)

    covariance = torch.zeros(4, 4)
    for name, block in zip(posterior.names, posterior.blocks, strict=True):
        parts = (jacobians[f"{name}.weight"], jacobians[f"{name}.bias"].unsqueeze(-1))
        jacobian = torch.cat(parts, -1)
        if kind is Kronecker:
            jacobian = torch.einsum("koi,op,ij->kpj", jacobian, block.outs, block.ins)
        weighed = jacobian / (block.values + 1)
        covariance += weighed.flatten(1) @ jacobian.flatten(1).T

    torch.manual_seed(9)
    with torch.no_grad():
        draws = posterior.draws(net, shown, 3000, linear=True).flatten(1)
        outputs, variance = posterior.variance(net, shown)
    agree(draws, net(shown).detach().flatten())
    centred = draws - net(shown).detach().flatten()
    agree(centred.unsqueeze(2) * centred.unsqueeze(1), covariance)
    torch.testing.assert_close(outputs, net(shown).detach())
    torch.testing.assert_close(variance.flatten(), covariance.diag(), rtol=1e-3, atol=1e-5)


def test_fisher_is_the_expected_square_of_the_gradients(agree) -> None:
    """L L^T is the mean of the outer products of gradients of log p(y), over targets of the model,
    for classes and for mean and log-variance.
    """
    for task, row in ((CLASSES, [1.0, -0.5, 0.2]), (REAL, [0.3, 0.8])):
        outputs = torch.tensor([row]).expand(30_000, -1).clone().requires_grad_()
        torch.manual_seed(10)
        targets = task.likelihood.sample(task.likelihood.normalise(outputs.detach()))
        (gradients,) = torch.autograd.grad(
            task.likelihood.log_prob(outputs, targets).sum(), outputs
        )
        root = fisher_root(task.likelihood, outputs.detach()[:1])[:, 0]
        agree(gradients.unsqueeze(2) * gradients.unsqueeze(1), root.T @ root)


def test_members_of_an_ensemble_have_a_posterior_each() -> None:
    """Draws are shared among the members, around the outputs of each."""
    torch.manual_seed(11)
    nets = [made(CLASSES, [nn.Linear(3, 3)]) for _ in range(3)]
    train = Known(torch.randn(20, 3), torch.zeros(20))
    method = Laplace(prior_std=1e-4)
    net = fitted(method, nets, train)
    shown = torch.randn(4, 3)

    draws = method.draws(net, shown, 7).detach()
    counts = []
    for own in nets:
        outputs = own(shown).log_softmax(-1)
        counts.append(sum(torch.allclose(draw, outputs, atol=1e-2) for draw in draws))
    assert sorted(counts) == [2, 2, 3]

    precisions = [each.precision.item() for each in fitted(Laplace(), nets, train).posteriors]
    assert len(set(precisions)) == 3


def test_held_out_examples_choose_the_prior() -> None:
    """The chosen precision has the lowest NLL of all that are tried."""
    torch.manual_seed(12)
    net = made(CLASSES, [nn.Linear(3, 3)])
    with torch.no_grad():
        net.stages[-1].weight.mul_(8)
    inputs = torch.randn(40, 3)
    held_out = Known(inputs, (net(inputs) / 3).softmax(-1).multinomial(1).squeeze(1))
    method = Laplace(prior_std="held-out", predictive="probit")
    posterior = fitted(method, [net], held_out).posteriors[0]

    losses = {}
    for precision in GRID:
        outputs, _ = posterior.variance(net, inputs)
        scale = posterior.blocks[0].values + precision
        jacobian = torch.cat([inputs, torch.ones(40, 1)], 1) @ posterior.blocks[0].ins
        variance = (jacobian.square().unsqueeze(1) / scale).sum(-1)
        variance = variance @ posterior.blocks[0].outs.square().T
        scaled = outputs / (1 + math.pi / 8 * variance).sqrt()
        losses[precision] = nn.functional.cross_entropy(scaled, held_out.targets).item()
    assert posterior.precision.item() == pytest.approx(min(losses, key=losses.__getitem__))
    assert min(GRID) < posterior.precision.item() < max(GRID)


@pytest.mark.parametrize(
    ("layers", "predictive"), [("all", "glm"), ("all", "probit"), ("last", "probit")]
)
def test_gradients_in_the_inputs(layers: str, predictive: str) -> None:
    """Draws have the gradient in the inputs that finite differences have, and work in inference."""
    torch.manual_seed(13)
    net = made(CLASSES, [nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)])
    method = Laplace(layers=layers, predictive=predictive)
    laplace = fitted(method, [net], Known(torch.randn(9, 3), torch.zeros(9)))
    shown = torch.randn(1, 3).requires_grad_()

    def output(inputs: Tensor) -> Tensor:
        torch.manual_seed(1)
        return method.draws(laplace, inputs, 2)[0, 0, 0]

    (gradient,) = torch.autograd.grad(output(shown), shown)
    with torch.inference_mode():
        steps = 0.05 * torch.eye(3).unsqueeze(1)
        slopes = [(output(shown + step) - output(shown - step)) / 0.1 for step in steps]
    torch.testing.assert_close(gradient[0], torch.stack(slopes).clone(), rtol=0.05, atol=0.01)


@pytest.mark.parametrize(
    ("method", "words"), [(Dropout(), "one pass"), (Snapshot(), "plain networks")]
)
def test_other_bases_are_refused(method: Method, words: str) -> None:
    """Networks that draw noise, and those that hold several, have no such posterior."""
    net = method.build(CLASSES).eval()
    net.task = CLASSES
    base = Base(method.draws, nn.ModuleList([net]))
    train = Known(torch.randn(9, 3), torch.zeros(9))
    with pytest.raises(UsageError, match=words):
        Laplace().finish(Laplace().build_on(CLASSES, base), train, train)


@pytest.mark.parametrize(
    "options", [{"prior_std": 0.0}, {"prior_std": math.nan}, {"layers": "all", "structure": "full"}]
)
def test_nonsense_is_refused(options) -> None:
    """Priors without width, and the whole curvature of all layers, are no options."""
    with pytest.raises(ValueError, match=r"prior_std|structure"):
        Laplace(**options)


def test_it_says_whether_held_out_examples_choose_its_prior() -> None:
    """Only then is it given half of them, and the other half calibrates scores."""
    assert Laplace(prior_std="held-out").fits_held_out
    assert not Laplace().fits_held_out
    assert not Laplace(prior_std=0.5).fits_held_out
