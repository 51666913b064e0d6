"""The gradient of the averaged predictor, and the attack that follows its sign."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench_uq.api import Categorical, Task
from bench_uq.conditions._gradients import predicted_labels, predictive_slope
from bench_uq.conditions.fgsm import FGSM
from bench_uq.methods.dropout import Dropout
from bench_uq.methods.ensemble import Ensemble
from bench_uq.predict import predict
from bench_uq.predict.predict import Trained

IMAGES = Task((1, 8, 8), Categorical(10), mean=(0.3,), std=(0.4,), network="lenet")


def predictive_gradient(*asked: Any) -> Tensor:
    """Return the gradient of its slope."""
    return predictive_slope(*asked).gradient


class Predictor:
    """Log-probabilities of fixed members, in chunks of the given sizes."""

    def __init__(self, members: Sequence[nn.Module], chunks: Sequence[int] | None = None) -> None:
        self.members, self.sizes = members, chunks or [len(members)]

    def __call__(self, inputs: Tensor, draws: int) -> Iterator[Tensor]:
        """Yield the members' log-probabilities, chunk by chunk."""
        members = iter(self.members[:draws])
        for size in self.sizes:
            chunk = [member(inputs) for member in itertools.islice(members, size)]
            yield torch.stack(chunk).log_softmax(-1)


def members(count: int = 3, sharpness: float = 3.0) -> list[nn.Module]:
    """Return sharp networks in float64 that disagree."""
    torch.manual_seed(0)
    nets = [Ensemble().build(IMAGES).double().eval() for _ in range(count)]
    for net in nets:
        net.stages[-1].weight.data.mul_(sharpness * 5)
    return nets


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return images inside (0, 1) and labels."""
    generator = torch.Generator().manual_seed(1)
    return 0.05 + 0.9 * torch.rand(6, 1, 8, 8, generator=generator, dtype=dtype), torch.arange(6)


def linear(
    weights: Sequence[Sequence[float]], bias: Sequence[float], dtype: torch.dtype
) -> nn.Module:
    """Return a linear softmax model."""
    model = nn.Linear(len(weights[0]), len(bias), dtype=dtype)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(weights))
        model.bias.copy_(torch.tensor(bias))
    return model


def test_gradient_against_autograd():
    """The gradient is autograd's of -log mean_s p(y|x, w_s), computed at once from all draws."""
    nets, (inputs, targets) = members(), batch()
    shown = inputs.clone().requires_grad_()
    probs = torch.stack([net(shown).softmax(-1) for net in nets]).mean(0)
    (expected,) = torch.autograd.grad(-probs[range(6), targets].log().sum(), shown)
    torch.testing.assert_close(predictive_gradient(Predictor(nets), inputs, targets, 3), expected)

    each = torch.stack([net(shown).log_softmax(-1) for net in nets])[:, range(6), targets]
    (mean_of_logs,) = torch.autograd.grad(-each.mean(0).sum(), shown)
    assert (mean_of_logs - expected).abs().max() > 0.1 * expected.abs().max(), (
        "the mean of the logs would pass as well"
    )


@pytest.mark.parametrize("chunks", [[3], [1, 2], [2, 1], [1, 1, 1]])
@pytest.mark.parametrize("sharpness", [3, 200])
def test_chunks_and_order_change_nothing(chunks, sharpness):
    """Draws weigh the same in whatever order and chunks they come, also hundreds of nats apart."""
    nets, (inputs, targets) = members(sharpness=sharpness), batch()
    expected = predictive_gradient(Predictor(nets), inputs, targets, 3)
    assert expected.isfinite().all()
    for order in itertools.permutations(nets):
        found = predictive_gradient(Predictor(order, chunks), inputs, targets, 3)
        torch.testing.assert_close(found, expected)


def test_gradient_against_finite_differences():
    """The gradient is that of central differences of -log mean_s p(y|x, w_s)."""
    nets, (inputs, targets) = members(), batch()
    found = predictive_gradient(Predictor(nets, [2, 1]), inputs, targets, 3).flatten(1)

    def loss(images: Tensor) -> Tensor:
        with torch.no_grad():
            probs = torch.stack([net(images).softmax(-1) for net in nets]).mean(0)
        return -probs[range(6), targets].log()

    for pixel in range(0, 64, 7):
        step = torch.zeros(64, dtype=torch.float64)
        step[pixel] = 1e-6
        difference = (loss(inputs + step.view(1, 8, 8)) - loss(inputs - step.view(1, 8, 8))) / 2e-6
        torch.testing.assert_close(found[:, pixel], difference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rows", [2048, 12, 6])
def test_gradient_through_the_engine(monkeypatch, rows):
    """Through a trained ensemble's own chunks the gradient is that of its members, each of them
    once.
    """
    nets, (inputs, targets) = members(), batch()
    for net in nets:
        net.task = IMAGES
    expected = predictive_gradient(Predictor(nets), inputs, targets, 3)
    trained = Trained(Ensemble(members=3), IMAGES, nn.ModuleList(nets), seed=0)
    monkeypatch.setattr(predict, "draws_at_once", lambda inputs, batches: rows // len(inputs))
    torch.testing.assert_close(predictive_gradient(trained.chunks, inputs, targets, 10), expected)


def test_gradient_of_a_random_network_is_that_of_its_mean():
    """Over many draws of dropout the gradient tends to that of the exact predictive: two estimates agree, one draw
    does not.
    """
    torch.manual_seed(0)
    method = Dropout()
    net = method.build(IMAGES).double().eval()
    net.stages[-1].weight.data.mul_(10)
    trained = Trained(method, IMAGES, nn.ModuleList([net]), seed=0)
    inputs, targets = batch()
    one, other = (
        predictive_gradient(trained.chunks, inputs, targets, 4000).flatten(1) for _ in range(2)
    )
    single = predictive_gradient(trained.chunks, inputs, targets, 1).flatten(1)
    assert nn.functional.cosine_similarity(one, other).min() > 0.99
    assert nn.functional.cosine_similarity(one, single).min() < 0.9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [20.0, 60.0, 200.0])
def test_saturated_errors(gap, dtype):
    """A predictor that is wrong by ``gap`` nats has the finite gradient of its margin, w_other -
    w_true.
    """
    model = linear([[1.0, -2, 3], [2, 1, -1]], [0, gap], dtype)
    inputs = torch.full((1, 3), 0.5, dtype=dtype)
    found = predictive_gradient(Predictor([model]), inputs, torch.tensor([0]), 1)
    torch.testing.assert_close(
        found, torch.tensor([[1.0, 3, -4]], dtype=dtype), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("gap", [1.0, 5.0, 10.0, 20.0, 60.0, 200.0])
def test_saturated_successes(gap):
    """A predictor that is right by ``gap`` nats in float32 has the direction of its margin, not 0
    and not another.
    """
    model = linear([[1.0, -2, 3], [0.5, -1, 2]], [gap, 0], torch.float32)
    inputs = torch.full((1, 3), 0.5)
    found = predictive_gradient(Predictor([model]), inputs, torch.tensor([0]), 1)
    assert found.isfinite().all()
    assert found.sign().tolist() == [[-1, 1, -1]]


@pytest.mark.parametrize("gap", [1.0, 20.0, 200.0])
def test_saturated_draws_do_not_silence_the_others(gap):
    """A draw that is certain and right leaves the direction to the one that is not."""
    certain = linear([[0.0, 0, 0], [0, 0, 0]], [gap, 0], torch.float32)
    unsure = linear([[1.0, -2, 3], [2, 1, -1]], [0, 0], torch.float32)
    inputs = torch.full((1, 3), 0.5)
    for nets in ([certain, unsure], [unsure, certain]):
        found = predictive_gradient(Predictor(nets, [1, 1]), inputs, torch.tensor([0]), 2)
        assert found.sign().tolist() == [[1, 1, -1]]


@pytest.mark.parametrize("gap", [0.0, 3.0, -3.0, -30.0])
def test_fgsm_is_optimal_on_a_linear_model(gap):
    """Against a linear softmax of two classes FGSM is the closed-form optimum: x - epsilon
    sign(w_true - w_other).
    """
    model = linear([[1.0, -2, 3], [2, 1, -1]], [gap, 0], torch.float64)
    generator = torch.Generator().manual_seed(0)
    inputs = 0.3 + 0.4 * torch.rand(20, 3, generator=generator, dtype=torch.float64)
    targets = torch.arange(20) % 2
    (attacked,) = FGSM(draws=1)(Predictor([model]), inputs, targets, [0.2], generator)
    difference = (model.weight[0] - model.weight[1]).sign().detach()
    optimum = inputs - 0.2 * torch.where(targets[:, None] == 0, difference, -difference)
    torch.testing.assert_close(attacked, optimum)

    corners = torch.tensor(list(itertools.product([-0.2, 0.2], repeat=3)), dtype=torch.float64)
    with torch.no_grad():
        losses = torch.stack(
            [
                nn.functional.cross_entropy(model(inputs + corner), targets, reduction="none")
                for corner in corners
            ]
        )
        found = nn.functional.cross_entropy(model(attacked), targets, reduction="none")
    torch.testing.assert_close(found, losses.max(0).values)


def test_levels():
    """Each level moves all pixels by at most epsilon, most by exactly so, inside [0, 1], and 0 by
    nothing at all.
    """
    inputs, targets = batch(torch.float32)
    inputs[0], inputs[1] = 0, 1
    nets = [net.float() for net in members()]
    levels = [0.0, 0.03, 0.1, 1.0]

    attacked = FGSM()(Predictor(nets), inputs, targets, levels, torch.Generator())
    assert len(attacked) == len(levels)
    assert attacked[0].equal(inputs)

    direction = predictive_gradient(Predictor(nets), inputs, targets, 10).sign()
    for level, images in zip(levels, attacked, strict=True):
        assert images.shape == inputs.shape
        assert images.dtype == inputs.dtype
        assert not images.requires_grad
        assert images.min() >= 0
        assert images.max() <= 1
        assert (images - inputs).abs().max() <= level + 1e-6
        inside = (inputs > level) & (inputs < 1 - level)
        torch.testing.assert_close(images[inside], (inputs + level * direction)[inside])
    assert attacked[-1].eq(0).logical_or(attacked[-1].eq(1)).float().mean() > 0.9


def test_attack_hurts():
    """The attack raises the NLL of the averaged predictor, more so than the opposite direction or
    none.
    """
    nets, (inputs, targets) = members(), batch()

    def nll(images: Tensor) -> Tensor:
        with torch.no_grad():
            probs = torch.stack([net(images).softmax(-1) for net in nets]).mean(0)
        return -probs[range(6), targets].log()

    (attacked,) = FGSM()(Predictor(nets), inputs, targets, [0.02], torch.Generator())
    assert (nll(attacked) > nll(inputs)).all()
    assert (nll(2 * inputs - attacked) < nll(inputs)).all()


def test_predicted_labels():
    """The label is the class of highest mean probability: not of mean logarithms, and not the
    majority's.
    """
    probs = torch.tensor([[0.90, 0.05, 0.05], [0.02, 0.49, 0.49], [0.40, 0.58, 0.02]]).unsqueeze(1)
    assert probs.mean(0).argmax() == 0
    assert probs.log().mean(0).argmax() == 1
    assert probs.argmax(-1).mode(0).values == 1

    def log_probs(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        yield probs[:2].log()
        yield probs[2:].log()

    assert predicted_labels(log_probs, torch.zeros(1, 2), 3).tolist() == [0]


def test_attack_on_the_predicted_label():
    """With label=predicted the attack ignores the true labels and runs from the predictor's own."""
    nets, (inputs, targets) = members(), batch()
    own = torch.stack([net(inputs).softmax(-1) for net in nets]).mean(0).argmax(-1)
    assert (own != targets).any()
    (expected,) = FGSM()(Predictor(nets), inputs, own, [0.1], torch.Generator())
    (found,) = FGSM(label="predicted")(Predictor(nets), inputs, targets, [0.1], torch.Generator())
    (true,) = FGSM()(Predictor(nets), inputs, targets, [0.1], torch.Generator())
    assert found.equal(expected)
    assert not found.equal(true)


def test_draws_are_those_asked_for():
    """``draws`` is the number of draws that the gradient is of."""
    nets, (inputs, targets) = members(), batch()
    (one,) = FGSM(draws=1)(Predictor(nets), inputs, targets, [0.1], torch.Generator())
    (first,) = FGSM()(Predictor(nets[:1]), inputs, targets, [0.1], torch.Generator())
    assert one.equal(first)


def test_exact_log_of_the_mean():
    """Of two linear draws the gradient is the one worked by hand: shares p_s / sum p of each draw's
    own.
    """
    models = [
        linear([[1.0], [0]], [0, 0], torch.float64),
        linear([[-3.0], [0]], [0, 0], torch.float64),
    ]
    x = 0.4
    probs = [1 / (1 + math.exp(-x)), 1 / (1 + math.exp(3 * x))]
    slopes = [probs[0] * (1 - probs[0]), -3 * probs[1] * (1 - probs[1])]
    found = predictive_gradient(
        Predictor(models, [1, 1]), torch.tensor([[x]]).double(), torch.tensor([0]), 2
    )
    assert found.item() == pytest.approx(-sum(slopes) / sum(probs))


class Scattered:
    """A linear predictor whose draws scatter around it, in log-probabilities (s, B, 2)."""

    def __init__(self, scatter: float) -> None:
        self.scatter, self.asked = scatter, list[int]()

    def __call__(self, inputs: Tensor, draws: int) -> Iterator[Tensor]:
        """Yield all draws, each with a slope of its own."""
        self.asked.append(draws)
        slopes = 1 + self.scatter * torch.randn(draws, len(inputs), 50)
        # At the grey inputs all draws are equally sure, so that each has the same weight.
        logits = (slopes * (inputs - 0.5)).sum(-1)
        yield torch.stack((logits, -logits), -1).log_softmax(-1)


def test_draws_grow_until_the_direction_holds():
    """More scatter takes more draws, none no more than the first, and the step is of a steady sign."""
    inputs, targets = torch.full((64, 50), 0.5), torch.zeros(64, dtype=torch.long)
    asked = []
    for scatter in (0.0, 3.0, 20.0):
        torch.manual_seed(0)
        draw = Scattered(scatter)
        FGSM()(draw, inputs, targets, [0.1], torch.Generator())
        asked.append(max(draw.asked))
    assert asked == [10, 40, 40]

    # Members that are all there are need no second estimate.
    nets, (images, labels) = members(), batch()
    counted = Predictor(nets)
    calls = []

    def log_probs(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        calls.append(draws)
        return counted(inputs, draws)

    FGSM()(log_probs, images, labels, [0.1], torch.Generator())
    assert calls == [10]
