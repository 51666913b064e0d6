"""Methods with the same prior have the same log joint of weights and data, to the last constant."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from bench_uq.api import Method, Task
from bench_uq.methods.csgmcmc import CyclicalSGMCMC
from bench_uq.methods.dropout import Dropout
from bench_uq.methods.fge import FGE
from bench_uq.methods.hmc import HMC
from bench_uq.methods.laplace import Laplace
from bench_uq.methods.map import MAP
from bench_uq.methods.mean_field import MeanField
from bench_uq.methods.mnf import MNF
from bench_uq.methods.rank1 import Rank1
from bench_uq.methods.sghmc import SGHMC
from bench_uq.methods.sgld import SGLD
from bench_uq.methods.snapshot import Snapshot
from bench_uq.methods.swag import SWAG

SIZE = 9
KINDS = [MAP, SGLD, SGHMC, CyclicalSGMCMC, HMC, Snapshot, FGE]


@pytest.fixture(params=["images", "features"])
def task(request: pytest.FixtureRequest) -> Task:
    """Return each task."""
    found: Task = request.getfixturevalue(request.param)
    return found


def examples(task: Task) -> tuple[Tensor, Tensor]:
    """Inputs and targets of all examples, in float64."""
    torch.manual_seed(1)
    inputs = torch.rand(SIZE, *task.input_shape, dtype=torch.float64)
    targets = 20 + 3 * torch.randn(SIZE, dtype=torch.float64)
    return inputs, torch.arange(SIZE) if len(task.input_shape) == 3 else targets


def flat_gradient(value: Tensor, net: nn.Module) -> Tensor:
    """Gradient of a value in all weights and biases, (D,)."""
    gradients = torch.autograd.grad(value, list(net.parameters()))
    return torch.cat([gradient.flatten() for gradient in gradients])


def with_weights(method: Method, task: Task, seed: int) -> nn.Module:
    """A network of the method in float64, with weights that the seed decides."""
    net = method.build(task).double().eval()
    net.task = task
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in net.named_parameters():
            if "log_variance" not in name:
                drawn = torch.randn(values.shape, generator=generator, dtype=torch.float64)
                values.copy_(0.2 * drawn)
    return net


def normal(std: float) -> Normal:
    """N(0, std^2) in float64."""
    return Normal(torch.zeros((), dtype=torch.float64), torch.tensor(std, dtype=torch.float64))


def log_joint(task: Task, prior_std: float, seed: int) -> Tensor:
    """Log joint density from torch's distributions and the outputs of the plain network."""
    net = with_weights(MAP(), task, seed)
    inputs, targets = examples(task)
    outputs = net(inputs)
    prior = normal(prior_std)
    total = sum(prior.log_prob(values).sum() for values in net.parameters())
    if len(task.input_shape) == 3:
        return total - nn.functional.cross_entropy(outputs, targets, reduction="sum")
    mean, log_variance = outputs.unbind(-1)
    return total + Normal(mean, (log_variance / 2).exp()).log_prob(targets).sum()


@pytest.mark.parametrize("prior_std", [1.0, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_the_log_joint(task, kind, prior_std):
    """Losses at random weights are -log joint / N, up to one constant that is the same for all
    methods and weights.
    """
    method = kind(prior_std=prior_std)
    inputs, targets = examples(task)
    count = sum(values.numel() for values in MAP().build(task).parameters())
    constant = normal(prior_std).log_prob(torch.zeros((), dtype=torch.float64)) * count

    for seed in range(3):
        loss = method.loss(with_weights(method, task, seed), inputs, targets, SIZE, 0.0)
        torch.testing.assert_close(-SIZE * loss + constant, log_joint(task, prior_std, seed))


@pytest.mark.parametrize("prior_std", [1.0, 0.3])
def test_batches_add_up(task, prior_std):
    """The mean of the losses of batches, weighed by their examples, is that of all examples."""
    inputs, targets = examples(task)
    for kind in KINDS:
        method = kind(prior_std=prior_std)
        net = with_weights(method, task, 0)
        total = torch.zeros((), dtype=torch.float64)
        for part in (slice(0, 4), slice(4, 9)):
            own = method.loss(net, inputs[part], targets[part], SIZE, 0.0)
            total = total + own * len(inputs[part]) / SIZE
        torch.testing.assert_close(total, method.loss(net, inputs, targets, SIZE, 0.0))


@pytest.mark.parametrize("prior_std", [1.0, 0.3])
def test_mean_field_has_the_same_joint(task, prior_std):
    """With weights of no variance to speak of, the losses of mean-field at two sets of means differ
    as the log joint does.
    """
    method = MeanField(prior_std=prior_std, start_log_variance=-60.0)
    inputs, targets = examples(task)
    losses, joints = [], []
    for seed in range(2):
        net = with_weights(method, task, seed)
        with torch.no_grad():
            for name, values in net.named_parameters():
                if "log_variance" in name:
                    values.fill_(-60.0)
        losses.append(method.loss(net, inputs, targets, SIZE, 0.0))
        joints.append(log_joint(task, prior_std, seed))

    difference = SIZE * (losses[0] - losses[1])
    torch.testing.assert_close(difference, joints[1] - joints[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prior_std", [1.0, 0.3])
def test_mnf_has_the_same_joint(task, prior_std):
    """With weights of no variance, a z that is 1, and an r that sees no weights, the losses of mnf
    at two sets of means differ as the log joint does.
    """
    method = MNF(prior_std=prior_std, start_log_variance=-60.0, flows=0)
    inputs, targets = examples(task)
    losses, joints = [], []
    for seed in range(2):
        net = method.build(task).double().eval()
        net.task = task
        own = dict(net.named_parameters())
        # The names of the means are those of torch's weights, in the same order.
        means = [values for name, values in own.items() if name.endswith((".mean", "bias_mean"))]
        plain = list(with_weights(MAP(), task, seed).parameters())
        with torch.no_grad():
            for name, values in own.items():
                if "log_variance" in name:
                    values.fill_(-60.0)
                if name.endswith((".contraction", ".r_mean", ".r_log_precision")):
                    values.zero_()
            for mean, weights in zip(means, plain, strict=True):
                mean.copy_(weights)

        torch.manual_seed(0)
        losses.append(method.loss(net, inputs, targets, SIZE, 0.0))
        joints.append(log_joint(task, prior_std, seed))

    difference = SIZE * (losses[0] - losses[1])
    torch.testing.assert_close(difference, joints[1] - joints[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prior_std", [1.0, 0.3])
def test_swag_descends_the_same_joint(task, prior_std):
    """A first step of the walk is along the gradient of the log joint / N."""
    inputs, targets = examples(task)
    net = with_weights(MAP(), task, 0)
    before = torch.cat([values.detach().flatten() for values in net.parameters()])
    optimiser = SWAG(prior_std=prior_std, rate=1e-3).sgd(net, SIZE)
    (-task.likelihood.log_prob(net(inputs), targets).mean()).backward()
    optimiser.step()
    after = torch.cat([values.detach().flatten() for values in net.parameters()])

    again = with_weights(MAP(), task, 0)
    outputs = again(inputs)
    value = task.likelihood.log_prob(outputs, targets).sum()
    prior = normal(prior_std)
    value = value + sum(prior.log_prob(values).sum() for values in again.parameters())
    torch.testing.assert_close((after - before) / 1e-3, flat_gradient(value, again) / SIZE)


def test_methods_say_that_they_share_it():
    """Methods of one prior and likelihood have equal words for it, and others have not."""
    alike = [MAP(), SGLD(), SGHMC(), CyclicalSGMCMC(), HMC(), MeanField(), MNF(), SWAG()]
    alike += [Laplace(prior_std=1.0), MAP(members=3), MeanField(sampling="weights")]
    assert {method.posterior for method in alike} == {"N(0, 1.0^2)"}

    others = [
        MAP(prior_std=0.5),
        SGLD(temperature=0.1),
        MeanField(kl_weight=0.1),
        MeanField(prior="log-uniform"),
        Laplace(),
        Rank1(),
        Dropout(),
    ]
    words = [method.posterior for method in others]
    assert len({*words, "N(0, 1.0^2)"}) == 8
