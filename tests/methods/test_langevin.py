"""SGLD and SGHMC against the laws of their chains, in closed form."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench_uq.api import Categorical, Gaussian, Method, Task
from bench_uq.methods.csgmcmc import CyclicalSGMCMC
from bench_uq.methods.sghmc import SGHMC
from bench_uq.methods.sgld import SGLD
from bench_uq.train.batched import Loss, of_all, stack
from bench_uq.train.recipe import begin
from bench_uq.train.settings import Settings

#: Examples, and the standard deviation of the noise of their targets.
SIZE, NOISE = 48, 0.8

PRIOR_STD = 0.5

LINEAR = """
from torch import nn

def network(task, layers):
    return nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
"""


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Linear regression with known noise: the second output of the network counts for nothing."""
    file = tmp_path / "linear.py"
    file.write_text(LINEAR)
    likelihood = Gaussian(mean=0.0, std=1.0, noise=NOISE)
    return Task((2,), likelihood, mean=(0.0, 0.0), std=(1.0, 1.0), network=str(file))


def examples(spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Inputs (N, 2), 0 at a spread of 0, and targets (N,), in float64."""
    generator = torch.Generator().manual_seed(0)
    inputs = spread * torch.randn(SIZE, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(SIZE, generator=generator, dtype=torch.float64)
    return inputs, inputs @ torch.tensor([1.0, -0.5]).double() + 0.3 + NOISE * noise


def posterior(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3,) and covariance (3, 3) of two weights and the bias (Bishop 2006, eq. 3.50, 3.51)."""
    design = torch.cat([inputs, torch.ones(len(inputs), 1).double()], 1)
    precision = design.T @ design / NOISE**2 + torch.eye(3).double() / PRIOR_STD**2
    covariance = precision.inverse()
    return covariance @ design.T @ targets / NOISE**2, covariance


class Bunch:
    """Many chains of a method as one batch of networks, as the engine trains several seeds."""

    def __init__(self, method: Method, task: Task, chains: int) -> None:
        torch.manual_seed(1)
        net = method.build(task).double()
        net.task = task
        self.net = stack([net] * chains)
        self.losses = of_all(Loss(method, self.net, SIZE))
        self.optimiser = method.optimiser(self.net)
        self.inputs, self.targets = examples()

    @property
    def weights(self) -> Tensor:
        """Weights and bias of the first output, (chains, 3)."""
        layer = next(one for one in self.net.modules() if isinstance(one, nn.Linear))
        weights = [layer.weight[:, 0], layer.bias[:, :1]]
        return torch.cat(weights, 1).detach().clone()

    def start(self, mean: Tensor, covariance: Tensor) -> None:
        """Let the first outputs begin at draws from a Gaussian."""
        lower = torch.linalg.cholesky(covariance)
        layer = next(one for one in self.net.modules() if isinstance(one, nn.Linear))
        drawn = mean + torch.randn(len(layer.weight), 3).double() @ lower.T
        with torch.no_grad():
            layer.weight[:, 0], layer.bias[:, 0] = drawn[:, :2], drawn[:, 2]

    def run(self, steps: int, batch: int) -> None:
        """Take steps, each chain with batches of its own."""
        chains = len(self.weights)
        for _ in range(steps):
            chosen = torch.randint(SIZE, (chains, batch))
            self.optimiser.zero_grad()
            self.losses(self.inputs[chosen], self.targets[chosen], 0.0).sum().backward()
            self.optimiser.step()


@pytest.mark.parametrize(("batch", "temperature"), [(4, 0.2), (16, 1.0)])
@pytest.mark.parametrize("kind", [SGLD, SGHMC])
def test_gaussian_target(task, kind, batch, temperature):
    """The stationary law of a mean of Gaussian numbers is the closed form of the chain, the noise
    of its batches included: with small steps the posterior at its temperature.
    """
    step, friction = (0.02, 1.0) if kind is SGLD else (0.004, 0.25)
    options = {"friction": friction} if kind is SGHMC else {}
    method = kind(step_size=step, prior_std=PRIOR_STD, temperature=temperature, **options)
    bunch = Bunch(method, task, 2000)
    # Without inputs the bias is all that the targets depend on.
    bunch.inputs, bunch.targets = examples(spread=0.0)

    mean, covariance = posterior(bunch.inputs, bunch.targets)
    exact = covariance[2, 2].item()
    curvature = 1 / (SIZE * exact)
    scatter = bunch.targets.var(correction=0).item() / NOISE**4 / batch
    fresh = step**2 * scatter + 2 * friction * temperature * step / SIZE
    momentum = 1 - friction
    expected = fresh * (1 + momentum)
    expected /= step * curvature * friction * (2 * (1 + momentum) - step * curvature)

    # Many times longer than the chain remembers: about 1 / (step * curvature), times the friction.
    bunch.start(mean, 4 * temperature * covariance)
    bunch.run(250, batch)
    found = bunch.weights[:, 2]
    assert found.mean().item() == pytest.approx(mean[2].item(), abs=5 * (expected / 2000) ** 0.5)
    assert found.var().item() == pytest.approx(expected, rel=5 * (2 / 2000) ** 0.5)
    if temperature == 1:
        assert expected == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize(("kind", "batch"), [(SGLD, 24), (SGHMC, 6)])
def test_linear_regression(task, kind, batch):
    """Mean and covariance of the weights are those of the posterior, for small batches and large,
    from chains that begin elsewhere.
    """
    step = 0.01 if kind is SGLD else 0.001
    method = kind(step_size=step, prior_std=PRIOR_STD)
    bunch = Bunch(method, task, 1000)
    mean, covariance = posterior(*examples())
    bunch.start(mean + 0.2, 4 * covariance)

    bunch.run(400, batch)
    seen = []
    for _ in range(3):
        bunch.run(70, batch)
        seen.append(bunch.weights)

    # Chains are independent of each other: the mean of each is one sample.
    means = torch.stack(seen).mean(0)
    error = means.std(0) / len(means) ** 0.5
    assert ((means.mean(0) - mean).abs() < 5 * error).all()

    found = torch.cat(seen).T.cov()
    scale = covariance.diag().sqrt()
    # The noise of the gradients adds at most 7 % here, three samples of 1,000 chains err by 3 %.
    assert ((found - covariance) / scale / scale.unsqueeze(1)).abs().max() < 0.07 + 4 * 0.03


def test_step_by_hand(task):
    """Two steps are those of Chen et al. 2014, eq. 15, with eta = step_size / N, and U of all
    examples.
    """
    friction, step, temperature = 0.3, 0.02, 0.5
    method = SGHMC(step_size=step, friction=friction, temperature=temperature, prior_std=PRIOR_STD)
    torch.manual_seed(0)
    net = method.build(task).double()
    net.task = task
    optimiser = method.optimiser(net)
    inputs, targets = examples()

    weights = [values.detach().clone() for values in net.parameters()]
    velocity = [torch.zeros_like(values) for values in weights]
    torch.manual_seed(5)
    expected = []
    for _ in range(2):
        found = [values.clone().requires_grad_() for values in weights]
        outputs = (inputs @ found[0].T + found[1])[:, 0]
        potential = ((targets - outputs) ** 2).sum() / (2 * NOISE**2)
        for values in found:
            potential = potential + values.square().sum() / (2 * PRIOR_STD**2)
        gradients = torch.autograd.grad(potential, found)

        eta = step / SIZE
        for at, gradient in enumerate(gradients):
            # Its sign turned: of the same law.
            noise = math.sqrt(2 * friction * temperature * eta) * torch.randn_like(weights[at])
            velocity[at] = (1 - friction) * velocity[at] - eta * gradient - noise
            weights[at] = weights[at] + velocity[at]
        expected.append([values.clone() for values in weights])

    torch.manual_seed(5)
    for after in expected:
        optimiser.zero_grad()
        method.loss(net, inputs, targets, SIZE, 0.0).backward()
        optimiser.step()
        torch.testing.assert_close([values.detach() for values in net.parameters()], after)


@pytest.mark.parametrize(("step", "friction"), [(0.2, 1.0), (0.03, 0.3)])
def test_long_gradients_are_cut(task, step, friction):
    """A gradient moves the weights of its own network by at most 1, momentum included; the share of
    those that were longer is kept, and said if it is more than a twentieth.
    """
    method = SGHMC(step_size=step, friction=friction, temperature=1e-20)
    bunch = Bunch(method, task, 3)
    before = [values.detach().clone() for values in bunch.net.parameters()]
    for values in bunch.net.parameters():
        values.grad = torch.zeros_like(values)
        # The squares of the six weights of each network sum to 6, 600 and 0.06.
        values.grad += torch.tensor([1.0, 10.0, 0.1]).reshape(3, *[1] * (values.dim() - 1))

    bunch.losses(*(part.expand(3, *part.shape) for part in examples()), 0.0)
    bunch.optimiser.step()
    moved = 0.0
    for values, old in zip(bunch.net.parameters(), before, strict=True):
        moved = moved + (values.detach() - old).flatten(1).square().sum(1)

    expected = torch.tensor([6.0, 600.0, 0.06]).double().sqrt() * step
    expected = torch.minimum(expected, torch.tensor(friction).double())
    torch.testing.assert_close(moved.sqrt(), expected)
    cut = (expected >= friction).double() / 100
    assert cut.tolist() == [0, 0.01, 0]
    torch.testing.assert_close(bunch.net.cut, cut)


def test_friction_one_is_sgld(task):
    """SGHMC without momentum takes the steps of SGLD."""
    found = []
    for method in (SGLD(step_size=0.03), SGHMC(step_size=0.03, friction=1.0)):
        bunch = Bunch(method, task, 3)
        bunch.run(5, 8)
        found.append(bunch.weights)
    assert found[0].equal(found[1])


@pytest.mark.parametrize("kind", [SGLD, SGHMC, CyclicalSGMCMC])
def test_the_rate_is_the_methods_own(images, kind):
    """The learning rate of a recipe, meant for Adam, leaves the step size alone."""
    optimiser = kind(step_size=0.07).optimiser(kind().build(images))
    begin(optimiser, Settings(learning_rate=0.5, schedule="cosine"))
    assert [group["lr"] for group in optimiser.param_groups] == [0.07]


def test_temperature_of_the_weights(task):
    """The temperature is <w, dU/dw> / D, which is 1 in the mean over exact samples of the
    posterior; finish leaves the weights alone.
    """
    method = SGLD(prior_std=PRIOR_STD)
    net = method.build(task).double()
    net.task = task
    inputs, targets = examples()
    mean, covariance = posterior(inputs, targets)
    lower = torch.linalg.cholesky(covariance)

    class Data(list):  # type: ignore[type-arg]
        """Batches of unequal sizes."""

        def __len__(self) -> int:
            return SIZE

    batches = Data(zip(inputs.split(30), targets.split(30), strict=True))
    layer = next(one for one in net.modules() if isinstance(one, nn.Linear))
    torch.manual_seed(3)
    heats = []
    for _ in range(400):
        drawn = mean + lower @ torch.randn(3).double()
        # The weights of the second output have the law of the prior.
        other = PRIOR_STD * torch.randn(3).double()
        with torch.no_grad():
            layer.weight[0], layer.bias[0] = drawn[:2], drawn[2]
            layer.weight[1], layer.bias[1] = other[:2], other[2]
        before = layer.weight.detach().clone()
        method.finish(net, batches, batches)

        assert layer.weight.equal(before)
        own = drawn @ covariance.inverse() @ (drawn - mean)
        torch.testing.assert_close(net.heat, (own + other.square().sum() / PRIOR_STD**2) / 6)
        heats.append(net.heat.clone())

    found = torch.stack(heats)
    assert (found.mean() - 1).abs() < 5 * found.std() / len(found) ** 0.5


@pytest.mark.parametrize(
    ("heat", "temperature", "fine"),
    [(1.0, 1.0, True), (0.85, 1.0, True), (0.05, 1.0, False), (1.5, 1.0, False), (0.1, 0.1, True)],
)
def test_diagnosis(images, heat, temperature, fine):
    """A chain whose weights are a fifth from its temperature says so, with both numbers."""
    method = SGLD(temperature=temperature)
    net = method.build(images)
    net.heat.fill_(heat)
    found = method.diagnosis(net)
    assert (found == "") == fine
    if not fine:
        assert f"{heat:.2f} instead of {temperature:g}" in found


def test_diagnosis_of_cut_gradients(images):
    """A chain that cut more than a twentieth of its last gradients says so."""
    net = SGLD().build(images)
    net.heat.fill_(1.0)
    net.cut.fill_(0.04)
    assert SGLD().diagnosis(net) == ""
    net.cut.fill_(0.3)
    assert SGLD().diagnosis(net) == "30 % of the last gradients were cut: too long steps"


@pytest.mark.parametrize("kind", [SGLD, SGHMC, CyclicalSGMCMC])
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("samples", 0),
        ("samples", 10_001),
        ("step_size", 0.0),
        ("step_size", math.inf),
        ("temperature", 0.0),
        ("temperature", math.inf),
    ],
)
def test_options(kind, option, value):
    """Options out of their range are refused by name."""
    with pytest.raises(ValueError, match=option):
        kind(**{option: value})


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (SGHMC, "friction", 0.0),
        (CyclicalSGMCMC, "friction", 1.1),
        (SGLD, "burn_in", 1.0),
        (SGHMC, "burn_in", -0.1),
        (CyclicalSGMCMC, "exploration", 1.0),
        (CyclicalSGMCMC, "cycles", 0),
    ],
)
def test_own_options(kind, option, value):
    """Options of one method out of their range are refused by name."""
    with pytest.raises(ValueError, match=option):
        kind(**{option: value})


def test_statistics_of_norm_layers_belong_to_a_sample():
    """A kept sample predicts with the statistics of its epoch, in evaluation as then."""
    task = Task((1, 8, 8), Categorical(3), mean=(0.5,), std=(0.3,), network="resnet18")
    method = SGLD(samples=2)
    torch.manual_seed(0)
    net = method.build(task)
    net.task = task
    images = torch.rand(4, 1, 8, 8)
    expected = []
    with torch.no_grad():
        for progress in (0.75, 1.0):
            net.train()(torch.rand(8, 1, 8, 8) + progress)
            expected.append(net.eval()(images).log_softmax(-1))
            method.observe(net, progress)
        net.train()(torch.rand(8, 1, 8, 8))
        torch.testing.assert_close(method.draws(net.eval(), images, 2), torch.stack(expected))
