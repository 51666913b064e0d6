"""MNF with the conjugate r, against closed forms, explicit weights and a posterior that is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence
from torch.nn.functional import one_hot

from bench_uq.api import Task
from bench_uq.api.likelihoods import Categorical
from bench_uq.methods.mnf.layers import one_flow
from bench_uq.methods.mnf_conjugate import ConjugateConv2d, ConjugateLinear, ConjugateMNF

Layer = ConjugateLinear | ConjugateConv2d


def made(kind: str, **options: object) -> Layer:
    """A small layer, in float64, whose parameters are away from their start."""
    torch.manual_seed(0)
    options = {"bias": False, "max_std": math.inf, "start_log_variance": -1.0, **options}
    cls, shape = (ConjugateLinear, (3, 2)) if kind == "dense" else (ConjugateConv2d, (2, 3, 2))
    layer = cls(*shape, **options).double()

    with torch.no_grad():
        for name, values in layer.named_parameters():
            if name != "r_log_factor":
                values += 0.4 * torch.randn_like(values)
    return layer


def kls(layer: Layer, count: int) -> Tensor:
    """``count`` draws of the layer's estimate."""
    with torch.no_grad():
        return torch.vmap(lambda _: layer.kl(), randomness="different")(torch.empty(count))


def exact_kl(layer: Layer) -> float:
    """KL(q(W) || N(0, I)) where z has no flow: q(W) is Gaussian, diagonal plus rank dim."""
    dim = len(layer.z_mean)
    shape = [1] * layer.mean.dim()
    shape[layer.z_axis] = -1

    columns = []
    for place in range(dim):
        only = one_hot(torch.tensor(place), dim).double().reshape(shape)
        columns.append((layer.mean * only).flatten())
    factors = torch.stack(columns, 1)

    spread = factors * layer.z_log_variance.exp() @ factors.T
    covariance = spread + layer.log_variance.exp().flatten().diag()
    centre = (layer.mean * layer.z_mean.reshape(shape)).flatten()
    prior = MultivariateNormal(torch.zeros_like(centre), torch.eye(len(centre)).double())
    return kl_divergence(MultivariateNormal(centre, covariance), prior).item()


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_without_a_flow_the_bound_is_the_kl_itself(kind: str) -> None:
    """Not above it, as with any other r."""
    layer = made(kind, flows=0)
    draws = kls(layer, 40_000)

    error = (draws.std() / math.sqrt(len(draws))).item()
    assert error < 0.04
    assert draws.mean().item() == pytest.approx(exact_kl(layer), abs=4 * error)

    with torch.no_grad():
        layer.r_log_factor.fill_(2.0)
    draws = kls(layer, 40_000)
    assert draws.mean().item() > exact_kl(layer) + 10 * error


@pytest.mark.parametrize("masks", ["fixed", "fresh"])
def test_r_is_a_density_of_z(masks: str) -> None:
    """For one s, and masks held, exp(log r) sums to 1 over a grid of z_T."""
    torch.manual_seed(5)
    layer = ConjugateLinear(2, 3, masks=masks, hidden=5, start_log_variance=-1.0).double()
    with torch.no_grad():
        for values in layer.flow_q.parameters():
            values += 0.3 * torch.randn_like(values)

    # Fine enough for z_0, from which the grid of z_T follows.
    line = torch.linspace(-4, 6, 601, dtype=torch.float64)
    start = torch.cartesian_prod(line, line)
    if masks == "fresh":
        held = [torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 0.0]).double()]
    else:
        held = list(layer.flow_q.masks.double())
    end = start
    for step, mask in zip(layer.flow_q.steps, held, strict=True):
        end = step.move(end, mask)

    found = []
    for seen in ([0.9, 1.2], [0.2, -0.4]):
        path = type(layer.through(start[:1]))(start, end, held)
        with torch.no_grad():
            ratio = layer.log_ratio(path, torch.tensor([seen]).double())
            # Of z_0, so that no determinant is needed: r(z_T) dz_T = r(z_0) dz_0.
            constant = 0.5 * (math.log(2 * math.pi) + layer.z_log_variance + 1).sum()
            densities = (ratio - constant).exp()
        assert (densities.sum() * (line[1] - line[0]) ** 2).item() == pytest.approx(1, abs=1e-3)
        found.append(densities)
    assert (found[0] - found[1]).abs().max() > 0.1


@pytest.mark.parametrize("masks", ["fixed", "fresh"])
def test_back_leads_where_through_came_from(masks: str) -> None:
    """Under the same masks, and no further than z_0 is looked for."""
    layer = made("dense", masks=masks, hidden=5)
    path = layer.through(layer.start_z(50))
    deviations = (path.start - layer.z_mean) * (-0.5 * layer.z_log_variance).exp()
    assert deviations.abs().max() < 5

    torch.testing.assert_close(layer.back(path.end, path.masks), path.start)
    far = layer.back(path.end + 1e6, path.masks)
    assert torch.isfinite(far).all()
    assert ((far - layer.z_mean).abs() <= 5.001 * (0.5 * layer.z_log_variance).exp()).all()


@pytest.mark.parametrize("kind", ["dense", "convolution"])
@pytest.mark.parametrize("masks", ["fixed", "fresh"])
def test_what_r_sees_is_of_the_weights(kind: str, masks: str) -> None:
    """The estimate of ``kl`` is that of explicit draws of the weights, from which s is computed."""
    layer, count = made(kind, masks=masks, hidden=5), 40_000
    shape = [1] * layer.mean.dim()
    shape[layer.z_axis] = -1
    others = [axis for axis in range(layer.mean.dim()) if axis != layer.z_axis]

    with torch.no_grad():
        path = layer.through(layer.start_z(count))
        variances = layer.log_variance.exp()
        means = layer.mean * path.end.reshape(count, *shape)
        weights = means + variances.sqrt() * torch.randn_like(means)

        # The least squares of each z given its weights alone.
        told = (weights * layer.mean / variances).sum([1 + axis for axis in others])
        seen = told / (layer.mean.square() / variances).sum(others)
        given = 0.5 * (variances + means.square() - 1 - variances.log()).flatten(1).sum(1)
        drawn = given - layer.log_ratio(path, seen)
    draws = kls(layer, count)

    error = math.sqrt((drawn.var().item() + draws.var().item()) / count)
    assert drawn.mean().item() == pytest.approx(draws.mean().item(), abs=4 * error)


def test_it_finds_correlations_that_mean_field_cannot_have() -> None:
    """Of the nats between mean-field's best bound and the evidence most, and never more.

    Linear regression of two inputs with a correlation of 0.9 and a normal prior: the weights' posterior
    is a correlated Gaussian.
    """
    torch.manual_seed(1)
    factor = torch.linalg.cholesky(torch.tensor([[1.0, 0.9], [0.9, 1.0]]).double())
    inputs = torch.linalg.qr(torch.randn(20, 2).double())[0] * math.sqrt(20) @ factor.T
    targets = inputs @ torch.tensor([[0.8], [-0.3]]).double() + torch.randn(20, 1).double()

    marginal = multivariate_normal(cov=inputs @ inputs.T + torch.eye(20))
    evidence = marginal.logpdf(targets.squeeze(1))
    precision = (torch.eye(2) + inputs.T @ inputs).numpy()
    lost = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    assert lost > 0.5

    layer = ConjugateLinear(2, 1, bias=False, max_std=math.inf, hidden=16, masks="fixed").double()
    optimiser = torch.optim.Adam(layer.parameters(), 0.02, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 800)

    def bounds(count: int) -> Tensor:
        squares = (targets - layer(inputs.repeat(count, 1)).view(count, 20, 1)).square()
        likelihoods = -0.5 * (squares + math.log(2 * math.pi)).sum((1, 2))
        draws = torch.vmap(lambda _: layer.kl(), randomness="different")(torch.empty(count))
        return likelihoods - draws

    for _ in range(800):
        optimiser.zero_grad()
        (-bounds(16).mean()).backward()
        optimiser.step()
        schedule.step()

    with torch.no_grad():
        found = bounds(20_000)
    error = (found.std() / math.sqrt(len(found))).item()
    assert found.mean().item() < evidence + 4 * error
    assert found.mean().item() > evidence - lost + 0.7 * lost


def test_the_pass_of_the_outputs_leaves_a_z_for_the_kl() -> None:
    """A z of its own, none of those of the outputs; the estimate has the law of one drawn anew."""
    layer = made("dense", masks="fresh")
    inputs = torch.randn(4, 3).double()

    with torch.no_grad(), one_flow(layer):
        drawn = layer.sample_z(4)
        assert len(drawn) == 4
        assert layer.spare is not None
        assert not torch.isclose(drawn, layer.spare.end).all(1).any()
        layer.kl()
        assert layer.spare is None

    def after_outputs() -> Tensor:
        with one_flow(layer):
            layer(inputs)
            assert layer.spare is not None
            return layer.kl()

    with torch.no_grad():
        shared = torch.vmap(lambda _: after_outputs(), randomness="different")(torch.empty(20_000))
    alone = kls(layer, 20_000)
    error = math.sqrt((shared.var().item() + alone.var().item()) / len(alone))
    assert shared.mean().item() == pytest.approx(alone.mean().item(), abs=4 * error)
    assert shared.std().item() == pytest.approx(alone.std().item(), rel=0.1)


def test_a_loss_that_fails_leaves_no_z_behind() -> None:
    """The next estimate would be of a z that an earlier q has drawn."""
    layer = made("dense")

    def failing() -> None:
        with one_flow(layer):
            layer(torch.randn(4, 3).double())
            assert layer.spare is not None
            raise MemoryError

    with pytest.raises(MemoryError):
        failing()
    assert layer.spare is None
    layer.kl().backward()


def test_it_has_fewer_parameters_than_mnf_and_no_head() -> None:
    """r has one number for each z; a head of its own is refused."""
    net = ConjugateMNF().build(Task((4,), Categorical(2)))
    names = [name for name, _ in net.named_parameters() if name.rpartition(".")[2][:2] == "r_"]
    assert names
    assert all(name.endswith("r_log_factor") for name in names)
    assert not any("flow_r" in name for name, _ in net.named_parameters())
    with pytest.raises(ValueError, match="head must be precision, not sigmoid"):
        ConjugateMNF(head="sigmoid")
