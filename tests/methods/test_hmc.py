"""HMC against posteriors in closed form and by quadrature, and its account of its own chains."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from scipy import integrate
from torch import Tensor, nn

from bench_uq.api import Categorical, Gaussian, Task, UsageError
from bench_uq.methods._hamiltonian import Chains, StepSize, transition, warmed
from bench_uq.methods._log_joint import potential_of, prior_stds
from bench_uq.methods._samples import keep, outputs_of
from bench_uq.methods.hmc import HMC
from tests.batches import Known

NOISE, PRIOR_STD = 0.8, 0.5

#: Networks of one linear layer; of one weight whose outputs are the logits (0, w x); and of one
#: weight w whose mean is w^2 for inputs above 0.5, and w for others.
NETWORKS = {
    "linear": "nn.Sequential(nn.Flatten(), nn.Linear(2, 2))",
    "logistic": "One(lambda x, w: torch.cat([0 * x, w * x], 1))",
    "modes": "One(lambda x, w: torch.cat([torch.where(x > 0.5, w * w, w), 0 * x + 0 * w], 1))",
}
SOURCE = """
import torch
from torch import nn

class One(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.function = function

    def forward(self, inputs):
        return self.function(inputs, self.weight)

def network(task, layers):
    return NETWORK
"""


def task_with(folder: Path, name: str, features: int = 1) -> Task:
    """A task with one of the networks: regression with known noise, or two classes."""
    file = folder / f"{name}.py"
    file.write_text(SOURCE.replace("NETWORK", NETWORKS[name]))
    known = Gaussian(mean=0.0, std=1.0, noise=NOISE)
    likelihood = Categorical(2) if name == "logistic" else known
    return Task((features,), likelihood, (0.0,) * features, (1.0,) * features, str(file))


def sampled(method: HMC, task: Task, data: Known, transitions: int) -> nn.Module:
    """A network in float64 after sampling, from weights that were never trained."""
    torch.manual_seed(0)
    net = method.build(task).double()
    net.task = task
    net.epochs.fill_(transitions)
    method.finish(net.eval(), data, data)
    return net


def along(net: nn.Module, chains: int) -> Tensor:
    """All kept samples by chain, (C, n, D)."""
    assert int(net.kept) == len(net.samples)
    return net.samples.unflatten(0, (-1, chains)).transpose(0, 1)


def test_linear_regression(tmp_path, agree):
    """Mean and covariance are those of the posterior, within the spread of independent chains."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 2, generator=generator).double()
    noise = torch.randn(40, generator=generator).double()
    targets = inputs @ torch.tensor([1.0, -0.5]).double() + 0.3 + NOISE * noise

    method = HMC(chains=100, steps=12, samples=60, prior_std=PRIOR_STD, spread=2.0)
    net = sampled(method, task_with(tmp_path, "linear", 2), Known(inputs, targets), 90)
    samples = along(net, 100)

    design = torch.cat([inputs, torch.ones(40, 1).double()], 1)
    precision = design.T @ design / NOISE**2 + torch.eye(3).double() / PRIOR_STD**2
    covariance = precision.inverse()
    mean = covariance @ design.T @ targets / NOISE**2

    # Weights (2, 2) and biases (2,): of the second output the posterior is the prior.
    own, other = samples[..., [0, 1, 4]], samples[..., [2, 3, 5]]
    agree(own.mean(1), mean)
    products = (own - mean).unsqueeze(-1) * (own - mean).unsqueeze(-2)
    agree(products.mean(1), covariance)
    agree(other.mean(1), 0.0)
    agree(other.square().mean(1), PRIOR_STD**2)

    assert net.rhat < 1.05
    assert net.acceptance.item() == pytest.approx(0.8, abs=0.15)
    assert method.diagnosis(net) == ""


def test_logistic_regression(tmp_path, agree):
    """Moments of the weight and of the probabilities are those of quadrature."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 1, generator=generator).double()
    targets = (torch.rand(12, generator=generator) < (2 * inputs[:, 0]).sigmoid()).long()

    method = HMC(chains=100, steps=6, samples=60, prior_std=2.0)
    task = task_with(tmp_path, "logistic")
    net = sampled(method, task, Known(inputs, targets), 90)
    weights = along(net, 100)[..., 0]

    signed = ((2 * targets - 1) * inputs[:, 0]).tolist()

    def density(weight: float) -> float:
        """Joint density of weight and targets, up to a constant."""
        likelihoods = [1 / (1 + math.exp(-weight * one)) for one in signed]
        return math.exp(-(weight**2) / 8) * math.prod(likelihoods)

    def expectation(power: int) -> float:
        """Posterior mean of a power of the weight."""
        total = integrate.quad(density, -15, 15)[0]
        return integrate.quad(lambda weight: weight**power * density(weight), -15, 15)[0] / total

    agree(weights.mean(1), expectation(1))
    agree(weights.square().mean(1), expectation(2))
    agree((weights**3).mean(1), expectation(3))

    shown = torch.tensor([[0.7]]).double()
    with torch.no_grad():
        drawn = method.draws(net, shown, 10**6).exp()[:, 0, 1]
    torch.testing.assert_close(drawn.mean(), (0.7 * weights).sigmoid().mean())


def test_two_modes_are_found_out(tmp_path):
    """Chains that stay in the mode in which they begin have a large R-hat, and the method says so;
    within one mode they agree.
    """
    task = task_with(tmp_path, "modes")
    inputs = torch.full((200, 1), 0.9).double()
    held_out = Known(torch.full((4, 1), 0.1).double(), torch.ones(4).double())
    found = {}

    for name, spread in (("two", 1.0), ("one", 0.05)):
        method = HMC(chains=6, steps=10, prior_std=2.0, spread=spread)
        torch.manual_seed(1)
        net = method.build(task).double()
        net.task = task
        net.epochs.fill_(100)
        method.finish(net, Known(inputs, torch.ones(200).double()), held_out)
        found[name] = (net.rhat.item(), method.diagnosis(net), along(net, 6).mean(1))

    rhat, words, means = found["two"]
    assert {round(mean) for mean in means[:, 0].tolist()} == {-1, 1}
    assert rhat > 1.2
    assert f"R-hat {rhat:.2f}" in words
    rhat, words, _ = found["one"]
    assert rhat < 1.05
    assert words == ""


@pytest.mark.parametrize(
    ("transitions", "warm", "kept"),
    [
        # 14 follow the warm-up of six: the first and the last, and others evenly between.
        (20, 6, [0, 3, 6, 10, 13]),
        # Four at least, of which all are kept.
        (1, 1, [0, 1, 2, 3]),
    ],
)
def test_samples_are_spread_over_the_chains(images, monkeypatch, transitions, warm, kept):
    """Samples are the positions of all chains after some transitions, transition by transition, in
    the units of the weights; those of the warm-up are none.
    """
    positions, warmups = [], []

    def recorded(*arguments):
        trajectory = transition(*arguments)
        positions.append(trajectory.chains.positions)
        return trajectory

    def counted(potential, start, length, *rest):
        warmups.append(length)
        return warmed(potential, start, length, *rest)

    monkeypatch.setattr("bench_uq.methods.hmc.transition", recorded)
    monkeypatch.setattr("bench_uq.methods.hmc.warmed", counted)
    data = Known(torch.rand(20, 1, 8, 8), torch.arange(20) % 10)
    method = HMC(chains=2, steps=2, samples=5, prior_std="he")
    torch.manual_seed(0)
    net = method.build(images)
    net.task = images
    net.epochs.fill_(transitions)
    method.finish(net, data, data)

    assert warmups == [warm]
    assert len(positions) == max(4, transitions - warm)
    stds = prior_stds(net, "he")
    expected = torch.cat([positions[number] * stds for number in kept])
    assert int(net.kept) == 2 * len(kept)
    torch.testing.assert_close(net.samples[: len(expected)], expected, rtol=0, atol=0)
    assert len(expected.unique(dim=0)) > 2, "the chains never moved"


def test_potential_is_the_negative_log_joint(images):
    """The potential of the sampler and its gradient are those of the loss times the number of
    examples, all batches together, in units of the prior.
    """
    torch.manual_seed(0)
    method = HMC(prior_std="he")
    net = method.build(images).double()
    net.task = images
    inputs, targets = torch.rand(40, 1, 8, 8).double(), torch.arange(40) % 10
    scale = prior_stds(net, "he")
    potential = potential_of(net, scale, Known(inputs, targets))

    loss = 40 * method.loss(net, inputs, targets, 40, 0.0)
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    flat = torch.cat([values.flatten() for values in net.parameters()]).detach()
    values, slopes = potential(torch.stack([flat / scale, 0 * flat]))
    torch.testing.assert_close(values[0], loss.detach())
    expected = torch.cat([gradient.flatten() for gradient in gradients]) * scale
    torch.testing.assert_close(slopes[0], expected)


@pytest.mark.parametrize("name", ["lenet-small", "mlp-32"])
def test_recorded_operations_are_those_of_the_gradient(images, name, monkeypatch):
    """Not a bit differs from vmap of grad, at other positions than the recorded ones, also where the
    last part of the examples is smaller.
    """
    task = dataclasses.replace(images, network=name)
    torch.manual_seed(0)
    net = HMC().build(task)
    net.task = task
    scale = prior_stds(net, 1.0)
    data = Known(torch.rand(50, 1, 8, 8), torch.arange(50) % 10)
    monkeypatch.setattr("bench_uq.methods._log_joint.AT_ONCE", 40)
    potential = potential_of(net, scale, data)
    monkeypatch.setattr("bench_uq.methods._log_joint.recorded", lambda function, *_: function)
    plain = potential_of(net, scale, data)

    potential(torch.zeros(3, len(scale)))
    positions = torch.randn(3, len(scale))
    for found, expected in zip(potential(positions), plain(positions), strict=True):
        assert found.equal(expected)


def test_a_trajectory_that_runs_away_is_refused():
    """An energy that explodes or is no number leaves the chain where it was."""

    def steep(positions: Tensor) -> tuple[Tensor, Tensor]:
        return 1e8 * positions.square().sum(1) / 2, 1e8 * positions

    def broken(positions: Tensor) -> tuple[Tensor, Tensor]:
        return positions.sum(1) * math.nan, positions * math.nan

    start = torch.full((3, 2), 1e-5)
    for potential in (steep, broken):
        begun = Chains(start, *steep(start))
        moved = transition(potential, begun, 1.0, 10)
        assert (moved.error > 1000).all()
        assert (moved.acceptance == 0).all()
        assert moved.chains.positions.equal(start)


def test_small_steps_conserve_energy():
    """The error of the energy falls with the square of the step size (Neal 2011, sec. 2.3)."""

    def quartic(positions: Tensor) -> tuple[Tensor, Tensor]:
        return (positions**4).sum(1) / 4, positions**3

    start = torch.linspace(0.5, 2, 50).double().reshape(-1, 1)
    errors = []
    for steps in (20, 40, 80):
        torch.manual_seed(0)
        moved = transition(quartic, Chains(start, *quartic(start)), 2 / steps, steps)
        errors.append(moved.error.abs().mean().item())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.2)


def test_step_size_by_hand():
    """Two updates of dual averaging by the paper's symbols: gamma 0.05, t0 10, kappa 0.75."""
    size = StepSize(first=0.3, target=0.8)
    assert size.logarithm == math.log(0.3)
    size.update(0.5)
    size.update(1.0)

    shortfall = 1 / 11 * 0.3
    first = math.log(0.3) - 1 / 0.05 * shortfall
    shortfall = (1 - 1 / 12) * shortfall + 1 / 12 * (0.8 - 1.0)
    second = math.log(0.3) - math.sqrt(2) / 0.05 * shortfall
    assert size.logarithm == pytest.approx(second)
    averaged = 2**-0.75 * second + (1 - 2**-0.75) * first
    assert size.averaged == pytest.approx(averaged)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, ""),
        ({"rhat": 1.06}, "R-hat 1.06"),
        ({"rhat": math.nan}, "R-hat nan"),
        ({"acceptance": 0.31}, "acceptance 0.31"),
        ({"divergences": 0.1}, "10 % of the trajectories diverged"),
        ({"rhat": 1.5, "acceptance": 0.1}, "R-hat 1.50: the chains did not mix, acceptance 0.10"),
    ],
)
def test_diagnosis(images, facts, words):
    """The method says which of its chains' facts are not as they should be."""
    net = HMC().build(images)
    for name, value in ({"rhat": 1.01, "acceptance": 0.8, "divergences": 0.0} | facts).items():
        net.get_buffer(name).fill_(value)
    found = HMC().diagnosis(net)
    assert words in found
    assert (found == "") == (words == "")


def test_networks_that_cannot_be_sampled(images):
    """Batch normalisation and too many parameters are refused in one line, before any training."""
    norm = Task((1, 8, 8), Categorical(4), mean=(0.5,), std=(0.3,), network="resnet18")
    method = HMC(max_parameters=10**8)
    assert method.suits(norm) is False
    with pytest.raises(UsageError, match="batch normalisation"):
        method.build(norm)

    small = HMC(max_parameters=16_149)
    assert small.suits(images) is False
    assert HMC(max_parameters=16_150).suits(images) is True
    with pytest.raises(UsageError, match="16,150 parameters, beyond max_parameters=16149") as told:
        small.build(images)
    assert "\n" not in str(told.value)


def test_suits_leaves_the_random_state_alone(images):
    """Asking for the size of a network draws no random number of the caller."""
    torch.manual_seed(0)
    before = torch.get_rng_state()
    HMC().suits(images)
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("chains", 0),
        ("steps", 0),
        ("samples", 0),
        ("chains", 1001),
        ("steps", 100_001),
        ("samples", 10_001),
        ("spread", 10.1),
        ("max_parameters", 0),
        ("warmup", 0.0),
        ("warmup", 1.0),
        ("accept", 1.0),
        ("spread", -0.1),
        ("spread", math.inf),
    ],
)
def test_options(option, value):
    """Options out of their range are refused by name."""
    with pytest.raises(ValueError, match=option):
        HMC(**{option: value})


def test_mixtures_of_the_chains(images):
    """Each chain's mixture is that of its own samples, also where fewer draws were asked for; their
    mean is the whole.
    """
    torch.manual_seed(0)
    method = HMC(chains=2, samples=3)
    net = method.build(images)
    net.task = images
    inputs = torch.rand(4, 1, 8, 8)
    # As long as no sample is kept, both chains are at the weights of the network.
    start = method.beside(net, inputs, method.draws(net, inputs, 6))
    assert start["chain_probs"][:, 0].equal(start["chain_probs"][:, 1])

    rows = 0.3 * torch.randn(6, net.get_buffer("samples").shape[1])
    for number in range(3):
        keep(net, rows[2 * number : 2 * number + 2])
    with torch.no_grad():
        draws = method.draws(net, inputs, 6)
        found = method.beside(net, inputs, draws)
        few = method.beside(net, inputs, method.draws(net, inputs, 2))

    assert found["chain_probs"].shape == (4, 2, 10)
    torch.testing.assert_close(found["chain_probs"].mean(1), draws.exp().mean(0))
    for chain in range(2):
        with torch.no_grad():
            own = [outputs_of(net, row, inputs).softmax(-1) for row in rows[chain::2]]
        torch.testing.assert_close(found["chain_probs"][:, chain], torch.stack(own).mean(0))
    for name, values in few.items():
        torch.testing.assert_close(values, found[name])


@pytest.mark.parametrize(("rhat", "fails"), [(1.0, False), (1.09, False), (1.2, True)])
def test_chains_that_disagree_are_no_result(images, rhat, fails):
    """Beyond an R-hat of 1.1 the run fails with it, also where it is no number."""
    net = HMC().build(images)
    for value, wanted in ((rhat, fails), (math.nan, True)):
        net.rhat.fill_(value)
        assert bool(HMC().failure(net)) == wanted
    net.rhat.fill_(1.2)
    assert "R-hat 1.20: the chains disagree" in HMC().failure(net)
    assert HMC().measured(net)["rhat"] == pytest.approx(1.2)
    assert HMC(chains=3).replicas == 3
