"""The layers of MNF against explicit draws of their weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from bench_uq.api import Task, kl
from bench_uq.api.likelihoods import Categorical
from bench_uq.methods.mean_field import MeanFieldConv2d, MeanFieldLinear
from bench_uq.methods.mnf import MNF, MNFConv2d, MNFLinear
from bench_uq.methods.mnf.layers import one_flow
from bench_uq.plan.plugins import Plugins

Layer = MNFLinear | MNFConv2d

MAKERS: dict[str, Callable[..., Layer]] = {
    "dense": lambda **options: MNFLinear(3, 2, **options),
    "conv": lambda **options: MNFConv2d(2, 3, 2, **options),
}
INPUTS = {"dense": (3,), "conv": (2, 3, 3)}


def spread(layer: Layer, seed: int = 1) -> Layer:
    """Move all parameters away from their start, in float64, so that every term of the bound counts.

    r sees much of the weights, and sees them vary: contractions of both signs, large means, filters unlike each other.
    """
    torch.manual_seed(seed)
    layer = layer.double()

    with torch.no_grad():
        for name, values in layer.named_parameters():
            values += (0.2 if "flow" in name else 0.4) * torch.randn_like(values)
        layer.weight_log_variance += torch.linspace(-1.5, 0.7, len(layer.mean)).reshape(
            -1, *(1,) * (layer.mean.dim() - 1)
        )
        layer.contraction.copy_(torch.linspace(-0.8, 1.6, len(layer.contraction)))
        layer.r_log_precision.copy_(torch.linspace(-0.5, 0.7, len(layer.r_mean)))
        layer.r_mean.fill_(
            1 if layer.head == "sigmoid" else 2
        )  # a deviation below 1 makes more of distances, and noise
    return layer


def make(kind: str, **options: object) -> Layer:
    """Return a small layer with wide weights."""
    torch.manual_seed(0)
    return spread(
        MAKERS[kind](**{"hidden": 4, "start_log_variance": -0.7, "max_std": math.inf, **options})
    )


def frozen_z(layer: Layer) -> Layer:
    """Hold z at 1 and hide the weights from r: what is left is mean-field."""
    with torch.no_grad():
        layer.z_mean.fill_(1)
        layer.z_log_variance.fill_(-60)
        layer.contraction.zero_()
    return layer


def twin(layer: Layer) -> nn.Module:
    """Return the mean-field layer with the same weights."""
    cls = MeanFieldLinear if isinstance(layer, MNFLinear) else MeanFieldConv2d
    shape = (layer.mean.shape[1], layer.mean.shape[0], *layer.mean.shape[2:3])
    other = cls(
        *shape, prior_std=layer.prior_std, max_std=math.exp(layer.max_log_variance / 2)
    ).double()
    with torch.no_grad():
        for name, values in other.named_parameters():
            values.copy_(layer.get_parameter(name))
    return other


def repeat(function: Callable[[], Tensor], count: int) -> Tensor:
    """Return the results of ``count`` calls, each with noise of its own, (count, ...)."""
    return torch.vmap(lambda _: function(), randomness="different")(torch.empty(count))


def draw_z(layer: Layer, count: int) -> tuple[Tensor, Tensor]:
    """Return explicit z_T (count, dim) and log q(z_T) (count,), density for density."""
    start = Normal(layer.z_mean, (0.5 * layer.z_log_variance).exp())
    z = start.sample((count,))
    moved, log_det = layer.flow_q(z)
    return moved, start.log_prob(z).sum(-1) - log_det


def draw_weights(layer: Layer, z: Tensor) -> Tensor:
    """Return explicit weights W ~ q(W|z), (count, *shape): z_i scales input i of a dense layer,
    filter i of a conv.
    """
    factor = z[:, None, :] if isinstance(layer, MNFLinear) else z[:, :, None, None, None]
    return factor * layer.mean + (0.5 * layer.log_variance).exp() * torch.randn(
        len(z), *layer.mean.shape, dtype=z.dtype
    )


def log_q_of_weights(layer: Layer, weights: Tensor, z: Tensor) -> Tensor:
    """Return log q(W|z), (count,), weight by weight."""
    std = (0.5 * layer.log_variance).exp()
    total = torch.zeros(len(z), dtype=z.dtype)
    for index in torch.cartesian_prod(*(torch.arange(size) for size in layer.mean.shape)).tolist():
        factor = z[:, index[1] if isinstance(layer, MNFLinear) else index[0]]
        at = tuple(index)
        total += Normal(factor * layer.mean[at], std[at]).log_prob(weights[(slice(None), *at)])
    return total


def log_r(layer: Layer, z: Tensor, weights: Tensor) -> Tensor:
    """Return log r(z|W), (count,), from explicit weights by the sums of eqs 8-12, one unit of a
    after the other.
    """
    units = []
    if isinstance(layer, MNFLinear):
        for output in range(weights.shape[1]):
            seen = sum(
                layer.contraction[i] * weights[:, output, i] for i in range(weights.shape[2])
            )
            units.append(torch.tanh(seen))
    else:
        _, filters, channels, rows, columns = weights.shape
        for channel in range(channels):
            for row in range(rows):
                for column in range(columns):
                    units.append(
                        sum(
                            layer.contraction[k] * weights[:, k, channel, row, column]
                            for k in range(filters)
                        )
                    )

    z_b, log_det = layer.flow_r(z)
    total = log_det
    for i in range(z.shape[1]):
        mean = sum(layer.r_mean[i] * unit for unit in units) / len(units)
        scale = sum(layer.r_log_precision[i] * unit for unit in units) / len(units)
        std = 1 / (1 + (-scale).exp()) if layer.head == "sigmoid" else (-0.5 * scale).exp()
        total = total + Normal(mean, std).log_prob(z_b[:, i])
    return total


def bound_by_draws(layer: Layer, count: int) -> Tensor:
    """Return draws of log q(W|z) - log p(W) + log q(z) - log r(z|W), biases included, (count,)."""
    z, log_q_z = draw_z(layer, count)
    weights = draw_weights(layer, z)
    prior = Normal(0.0, layer.prior_std)
    value = log_q_of_weights(layer, weights, z) - prior.log_prob(weights).flatten(1).sum(-1)
    value += log_q_z - log_r(layer, z, weights)
    if layer.bias_mean is not None:
        posterior = Normal(layer.bias_mean, (0.5 * layer.bias_log_variance).exp())
        value += kl_divergence(
            posterior, Normal(torch.zeros_like(layer.bias_mean), layer.prior_std)
        ).sum()
    return value


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"flows": 0},
        {"flows": 1, "bias": False},
        {"prior_std": 0.5},
        {"max_std": 0.6},
        {"masks": "fixed"},
        {"head": "sigmoid"},
    ],
    ids=["default", "no-flow", "no-bias", "narrow-prior", "capped", "fixed-masks", "sigmoid"],
)
def test_kl_against_explicit_weights(kind, options):
    """The mean of kl() is that of the bound's integrand under explicit weights, within 5 standard
    errors.
    """
    layer = make(kind, **options)
    torch.manual_seed(7)
    with torch.no_grad():
        ours = repeat(layer.kl, 100_000)
        explicit = bound_by_draws(layer, 100_000)
    error = (ours.var() / len(ours) + explicit.var() / len(explicit)).sqrt()
    assert error < 0.05, "too noisy to tell a wrong constant"
    assert ours.mean() == pytest.approx(explicit.mean().item(), abs=5 * error.item())


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("head", ["precision", "sigmoid"])
def test_r_of_known_weights(kind, head):
    """Where weights do not vary, log r(z|W) is that of explicit weights to rounding, under either
    head.
    """
    layer = make(kind, head=head, masks="fixed")
    with torch.no_grad():
        layer.weight_log_variance.fill_(-80)
        for z in torch.randn(5, 1, len(layer.z_mean), dtype=torch.float64):
            expected = log_r(layer, z, draw_weights(layer, z))
            assert layer.log_r(z).item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("kind", MAKERS)
def test_what_r_sees(kind, agree):
    """The contraction that r sees has the mean, variance and, between units, covariance of explicit
    weights'.
    """
    layer = make(kind)
    z = torch.randn(1, len(layer.z_mean), dtype=torch.float64)
    torch.manual_seed(3)

    with torch.no_grad():
        weights = draw_weights(layer, z.expand(100_000, -1))
        if kind == "dense":
            explicit = torch.einsum("i,boi->bo", layer.contraction, weights)
            ours = repeat(lambda: layer.contracted(z), 20_000).atanh()
        else:
            explicit = torch.einsum("f,bfchw->bchw", layer.contraction, weights).flatten(1)
            ours = repeat(lambda: layer.contracted(z), 20_000)

    agree(ours, explicit.mean(0))
    centred = ours - explicit.mean(0)
    agree(torch.einsum("bi,bj->bij", centred, centred), torch.cov(explicit.T))


@pytest.mark.parametrize("kind", MAKERS)
def test_kl_without_z_is_mean_field(kind):
    """With z held at 1 and nothing for r to see, the KL is mean-field's plus the two densities of
    z, to rounding.
    """
    layer = frozen_z(make(kind, flows=0, prior_std=0.7))
    dim = len(layer.z_mean)
    log_q = -0.5 * dim * (math.log(2 * math.pi) - 60 + 1)
    log_r = -0.5 * dim * (math.log(2 * math.pi) + 1)
    assert layer.kl().item() == pytest.approx(twin(layer).kl().item() + log_q - log_r, rel=1e-9)


@pytest.mark.parametrize("kind", MAKERS)
def test_forward_without_z_is_mean_field(kind, agree):
    """With z held at 1, outputs have the mean and variance of mean-field's, which are known in
    closed form.
    """
    layer = frozen_z(make(kind, flows=0))
    inputs = torch.randn(1, *INPUTS[kind]).double()
    operation = nn.functional.linear if kind == "dense" else nn.functional.conv2d

    with torch.no_grad():
        mean = operation(inputs, layer.mean, layer.bias_mean)[0]
        variance = operation(
            inputs.square(), layer.log_variance.exp(), layer.bias_log_variance.exp()
        )[0]

        many = inputs.expand(20_000, *inputs.shape[1:])
        for net in (layer, twin(layer)):
            outputs = net(many)
            agree(outputs, mean)
            agree((outputs - mean).square(), variance)


def test_dense_outputs_against_explicit_weights(agree):
    """Outputs of a dense layer have the mean, variance and covariance across units of explicit
    weights and z.
    """
    layer = make("dense")
    inputs = torch.tensor([[0.5, -1.0, 2.0]]).double()

    torch.manual_seed(11)
    with torch.no_grad():
        outputs = layer(inputs.expand(100_000, -1))
        z, _ = draw_z(layer, 400_000)
        biases = Normal(layer.bias_mean, (0.5 * layer.bias_log_variance).exp()).sample((400_000,))
        explicit = draw_weights(layer, z) @ inputs[0] + biases

    agree(outputs, explicit.mean(0))
    centred = outputs - explicit.mean(0)
    covariance = torch.cov(explicit.T)
    agree(torch.einsum("bi,bj->bij", centred, centred), covariance)
    assert covariance[0, 1].abs() > 0.2, "a covariance too small to show"


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["plain", "channels-last"]
)
def test_conv_outputs_against_explicit_weights(memory_format, agree):
    """Outputs of a convolution have, at each position, the mean and variance of explicit weights
    and z.
    """
    layer = make("conv").to(memory_format=memory_format)
    torch.manual_seed(12)
    inputs = torch.randn(1, 2, 3, 3, dtype=torch.float64)
    patches = nn.functional.unfold(inputs, 2)[0]  # (in * k * k, positions)

    with torch.no_grad():
        outputs = layer(
            inputs.expand(50_000, -1, -1, -1).contiguous(memory_format=memory_format)
        ).flatten(2)
        z, _ = draw_z(layer, 200_000)
        biases = Normal(layer.bias_mean, (0.5 * layer.bias_log_variance).exp()).sample((200_000,))
        explicit = draw_weights(layer, z).flatten(2) @ patches + biases[:, :, None]

    agree(outputs, explicit.mean(0))
    agree((outputs - explicit.mean(0)).square(), explicit.var(0))


def test_filters_share_z_over_positions(agree):
    """The part of a convolution's noise that comes from z is the same factor at all positions of a
    map.
    """
    layer = make("conv", start_log_variance=-80.0, bias=False)
    inputs = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_log_variance.fill_(-80)
        outputs = layer(inputs.expand(50, -1, -1, -1))
        plain = nn.functional.conv2d(inputs, layer.mean)
    factors = outputs / plain
    torch.testing.assert_close(
        factors, factors[:, :, :1, :1].expand_as(factors), rtol=1e-4, atol=1e-4
    )
    assert factors[:, :, 0, 0].std(0).min() > 0.05


@pytest.mark.parametrize("kind", MAKERS)
def test_z_is_per_example(kind):
    """Equal examples of a batch have unequal z: their outputs differ where the weights given z have
    no variance.
    """
    layer = make(kind)
    with torch.no_grad():
        layer.weight_log_variance.fill_(-80)
        layer.bias_log_variance.fill_(-80)
        outputs = layer(torch.ones(6, *INPUTS[kind]).double()).flatten(1)
    assert torch.pdist(outputs).min() > 1e-3


@pytest.mark.parametrize("kind", MAKERS)
def test_bias_is_outside_z(kind):
    """Where z is 0 and nothing varies, the output is the bias."""
    layer = make(kind, flows=0)
    with torch.no_grad():
        layer.z_mean.zero_()
        for values in (layer.z_log_variance, layer.weight_log_variance, layer.bias_log_variance):
            values.fill_(-80)
        outputs = layer(torch.ones(2, *INPUTS[kind]).double())
    expected = layer.bias_mean.reshape(1, -1, *(1,) * (outputs.dim() - 2)).expand_as(outputs)
    torch.testing.assert_close(outputs, expected.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", MAKERS)
def test_cap_holds_in_outputs_and_kl(kind):
    """A standard deviation above max_std is max_std in the outputs, and in the KL."""
    results = []
    for log_variance in (3, 2 * math.log(0.5)):
        layer = make(kind, max_std=0.5)
        layer.weight_log_variance.data.fill_(log_variance)
        torch.manual_seed(4)
        results.append((layer(torch.ones(5, *INPUTS[kind]).double()), layer.kl()))
    torch.testing.assert_close(*results, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("bias", [True, False])
def test_kl_alone_has_gradients(kind, bias):
    """kl() needs no forward before it, and gives every parameter of the layer a finite gradient
    that is not all 0.
    """
    layer = make(kind, bias=bias)
    torch.manual_seed(0)
    sum(layer.kl() for _ in range(20)).backward()
    for name, values in layer.named_parameters():
        assert values.grad is not None, name
        assert values.grad.isfinite().all(), name
        assert values.grad.any(), name
    assert any(name == "bias_mean" for name, _ in layer.named_parameters()) == bias


@pytest.mark.parametrize("kind", MAKERS)
def test_without_bias_and_input(kind):
    """Without biases, inputs of zero give outputs of zero and finite gradients."""
    layer = MAKERS[kind](bias=False)
    outputs = layer(torch.zeros(4, *INPUTS[kind]))
    outputs.sum().backward()
    assert outputs.abs().max() < 1e-6
    gradients = [values.grad for values in layer.parameters() if values.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("kind", MAKERS)
def test_kl_of_a_known_start(kind):
    """At the start, sigma = exp(-4.5), the KL is about -log sigma - 1/2 = 4 nats a weight or bias,
    in float32.
    """
    torch.manual_seed(0)
    layer = MNFLinear(40, 400) if kind == "dense" else MNFConv2d(60, 30, 3)
    value = repeat(layer.kl, 20).mean().item()
    assert value / (layer.mean.numel() + layer.bias_mean.numel()) == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("flows", [0, 1, 2])
def test_one_input_and_one_filter(flows):
    """A z of one dimension, under any number of flow steps, has finite outputs and a finite KL."""
    torch.manual_seed(0)
    for layer, inputs in [
        (MNFLinear(1, 2, flows=flows, hidden=1), torch.ones(3, 1)),
        (MNFConv2d(1, 1, 1, flows=flows, hidden=1), torch.ones(3, 1, 2, 2)),
    ]:
        assert layer(inputs).isfinite().all()
        assert layer.kl().isfinite()
        assert layer.kl().shape == ()


def test_start():
    """Log-variances start at -9, means as He et al., z at 1 with variance 0.1; r's flow has twice
    q's hidden units.
    """
    torch.manual_seed(0)
    layer = MNFLinear(300, 200).requires_grad_(False)
    assert layer.log_variance.mean().item() == pytest.approx(-9, abs=1e-4)
    assert layer.log_variance.std().item() == pytest.approx(1e-3, rel=0.05)
    assert layer.mean.std().item() == pytest.approx(math.sqrt(2 / 300), rel=0.02)
    assert layer.z_mean.eq(1).all()
    torch.testing.assert_close(layer.z_log_variance.exp(), torch.full((300,), 0.1))
    steps = (*layer.flow_q.steps, *layer.flow_r.steps)
    assert [step.inner.out_features for step in steps] == [50, 50, 100, 100]
    assert [len(MNFConv2d(2, 3, 2).z_mean), len(MNFLinear(2, 3).z_mean)] == [3, 2]


@pytest.mark.parametrize("masks", ["fresh", "fixed"])
@pytest.mark.parametrize("head", ["precision", "sigmoid"])
def test_options_reach_the_layers(masks, head, images):
    """Masks and head of the method are those of every layer that it builds, masks in the flow of q
    and of r.
    """
    modules = MNF(masks=masks, head=head).build(images).modules()
    layers = [module for module in modules if hasattr(module, "kl")]
    assert [layer.head for layer in layers] == [head] * 4
    for layer in layers:
        for flow in (layer.flow_q, layer.flow_r):
            assert (flow.masks is not None) == (masks == "fixed")


def test_kl_of_a_network_is_the_sum_of_its_layers(images):
    """Every layer of LeNet, dense or convolution, enters the network's KL once."""
    torch.manual_seed(0)
    net = MNF().build(images)
    layers = [module for module in net.modules() if isinstance(module, MNFLinear | MNFConv2d)]
    assert len(layers) == 4
    torch.manual_seed(1)
    expected = sum(layer.kl() for layer in layers)
    torch.manual_seed(1)
    torch.testing.assert_close(kl(net), expected)
    assert len([name for name, _ in net.named_parameters() if name.endswith("bias_mean")]) == 4


def test_the_kl_of_a_loss_has_the_law_of_one_alone() -> None:
    """Where the z of the KL goes through the flow beside those of the outputs, its mean and spread
    are the same.
    """
    torch.manual_seed(0)
    layer = MNFLinear(6, 4)
    layer.flow_q.steps[0].shift.bias.data.normal_()
    inputs = torch.rand(3, 6)

    def beside() -> Tensor:
        with one_flow(layer):
            layer(inputs)
            assert layer.spare is not None
            divergence = layer.kl()
            assert layer.spare is None, "a second KL would have the same z"
            return divergence

    with torch.no_grad():
        alone = torch.stack([layer.kl() for _ in range(4000)])
        shared = torch.stack([beside() for _ in range(4000)])
    error = (alone.var() / 4000 + shared.var() / 4000).sqrt()
    assert (alone.mean() - shared.mean()).abs() < 4 * error
    assert torch.allclose(alone.std(), shared.std(), rtol=0.1)
    assert layer.spare is None
    assert not layer.sharing


def test_the_loss_is_differentiated_through_both_paths() -> None:
    """The loss of one pass through the flows has a gradient in every parameter, twice in a row."""
    method = Plugins().spec("method", "mnf").value
    net = method.build(Task((1, 8, 8), Categorical(10), (0.3,), (0.4,), "lenet"))
    for _ in range(2):
        net.zero_grad()
        method.loss(net, torch.rand(4, 1, 8, 8), torch.arange(4), 100, 0.0).backward()
        assert all(
            values.grad is not None and values.grad.isfinite().all() for values in net.parameters()
        )
