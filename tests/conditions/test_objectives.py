"""The gradients of the objectives beside the reported predictor's loss: of the expected loss, and
of the entropy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench_uq.conditions._gradients import (
    NoGradient,
    entropy_slope,
    expected_slope,
    log_mean,
    predictive_slope,
)
from bench_uq.conditions.fgsm import FGSM


def entropy_gradient(*asked: Any) -> Tensor:
    """Return the gradient of its slope."""
    return entropy_slope(*asked).gradient


def expected_gradient(*asked: Any) -> Tensor:
    """Return the gradient of its slope."""
    return expected_slope(*asked).gradient


def predictive_gradient(*asked: Any) -> Tensor:
    """Return the gradient of its slope."""
    return predictive_slope(*asked).gradient


LogProbs = Callable[[Tensor, int], Iterator[Tensor]]


def predictor(nets: Sequence[nn.Module]) -> LogProbs:
    """Return the draws of fixed networks, one a chunk."""

    def log_probs(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        for net in nets[:draws]:
            yield net(inputs).log_softmax(-1).unsqueeze(0)

    return log_probs


def networks(count: int = 3, scale: float = 4.0) -> list[nn.Module]:
    """Return networks in float64 that disagree."""
    torch.manual_seed(0)
    nets = [
        nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double() for _ in range(count)
    ]
    for net in nets:
        net[-1].weight.data.mul_(scale)  # type: ignore[index]
    return nets


def batch() -> tuple[Tensor, Tensor]:
    """Return features and labels."""
    return torch.rand(
        5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    ), torch.arange(5) % 4


def stacked(nets: Sequence[nn.Module], inputs: Tensor) -> Tensor:
    """Return all draws at once, (S, B, C)."""
    return torch.stack([net(inputs).log_softmax(-1) for net in nets])


def expected_loss(nets: Sequence[nn.Module], inputs: Tensor, targets: Tensor) -> Tensor:
    """Return minus the mean of the log-probabilities of the targets, (B,)."""
    return -stacked(nets, inputs)[:, range(len(targets)), targets].mean(0)


def entropy(nets: Sequence[nn.Module], inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the entropy of the mean, (B,)."""
    del targets
    mean = stacked(nets, inputs).exp().mean(0)
    return -(mean * mean.log()).sum(-1)


@pytest.mark.parametrize(
    ("gradient", "value"), [(expected_gradient, expected_loss), (entropy_gradient, entropy)]
)
def test_gradients_against_autograd_and_differences(gradient, value):
    """Streamed over chunks, each gradient is autograd's of the objective at once, and that of
    central differences.
    """
    nets, (inputs, targets) = networks(), batch()
    shown = inputs.clone().requires_grad_()
    (expected,) = torch.autograd.grad(value(nets, shown, targets).sum(), shown)

    found = gradient(predictor(nets), inputs, targets, 3)
    torch.testing.assert_close(found, expected)
    other = predictive_gradient(predictor(nets), inputs, targets, 3)
    assert (found - other).abs().max() > 0.1 * found.abs().max(), (
        "the predictive gradient would pass as well"
    )

    for feature in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[feature] = 1e-6
        difference = (
            value(nets, inputs + step, targets) - value(nets, inputs - step, targets)
        ) / 2e-6
        torch.testing.assert_close(found[:, feature], difference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gap", [1.0, 20.0, 60.0, 200.0])
def test_certain_networks_keep_their_direction(gap):
    """Where float32 rounds the top class to 1, entropy and expected loss still have the direction
    of the logits.
    """
    model = nn.Linear(3, 2)
    model.weight.data, model.bias.data = (
        torch.tensor([[1.0, -2, 3], [0.5, -1, 2]]),
        torch.tensor([gap, 0.0]),
    )
    inputs = torch.full((1, 3), 0.5)
    for gradient in (entropy_gradient, expected_gradient):
        found = gradient(predictor([model]), inputs, torch.tensor([0]), 1)
        assert found.isfinite().all()
        assert found.sign().tolist() == [[-1, 1, -1]]


def test_entropy_where_draws_are_sure_of_different_classes():
    """The way up is not lost in rounding where each draw is sure, by 30 nats, of not one and the
    same class.
    """
    torch.manual_seed(5)
    nets = [nn.Linear(6, 4, dtype=torch.float64) for _ in range(3)]
    for sure, net in zip((0, 0, 1), nets, strict=True):
        net.bias.data = torch.zeros(4, dtype=torch.float64).index_fill(0, torch.tensor(sure), 30.0)
    inputs, targets = batch()
    shown = inputs.clone().requires_grad_()
    (expected,) = torch.autograd.grad(entropy(nets, shown, targets).sum(), shown)
    found = entropy_gradient(predictor([net.float() for net in nets]), inputs.float(), targets, 3)
    torch.testing.assert_close(
        found.double(), expected, rtol=0.02, atol=0.02 * float(expected.abs().max())
    )


def test_no_way_up_from_equal_classes():
    """Where all classes are equally probable the entropy is highest, and its gradient 0."""
    model = nn.Linear(3, 2)
    model.weight.data, model.bias.data = torch.ones(2, 3), torch.zeros(2)
    found = entropy_gradient(
        predictor([model, model]), torch.full((2, 3), 0.5), torch.zeros(2, dtype=torch.long), 2
    )
    assert found.equal(torch.zeros(2, 3))


def test_entropy_is_of_the_same_draws():
    """Both passes go through the same draws: the gradient is that of the entropy of one set of
    noise.
    """
    net = nn.Linear(6, 4, dtype=torch.float64)

    def log_probs(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        for _ in range(draws):
            yield (
                (3 * net(inputs) + torch.randn(len(inputs), 4, dtype=torch.float64))
                .log_softmax(-1)
                .unsqueeze(0)
            )

    inputs, targets = batch()
    torch.manual_seed(7)
    found = entropy_gradient(log_probs, inputs, targets, 4)
    torch.manual_seed(7)
    shown = inputs.clone().requires_grad_()
    mean = log_mean(log_probs, shown, 4)
    (expected,) = torch.autograd.grad(-(mean.exp() * mean).sum(), shown)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("way", "sign"), [("raise", 1), ("lower", -1)])
def test_attacks_on_the_entropy(way, sign):
    """An attack on the entropy raises or lowers it, for each example."""
    nets, (inputs, targets) = networks(), batch()
    attack = FGSM(objective="entropy", entropy=way)
    (changed,) = attack(predictor(nets), inputs, targets, [0.001], torch.Generator())
    assert (sign * (entropy(nets, changed, targets) - entropy(nets, inputs, targets)) > 0).all()


def test_log_mean_by_hand():
    """Of draws (1/2, 1/2) and (1/10, 9/10), the mean is (3/10, 7/10)."""

    def log_probs(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        yield torch.tensor([[[0.5, 0.5]]]).log()
        yield torch.tensor([[[0.1, 0.9]]]).log()

    torch.testing.assert_close(
        log_mean(log_probs, torch.zeros(1, 1), 2).exp(), torch.tensor([[0.3, 0.7]])
    )


@pytest.mark.parametrize("objective", ["predictive", "expected", "entropy"])
def test_draws_without_a_gradient(objective):
    """Draws that cannot be traced back to the inputs are refused in words."""

    def log_probs(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        yield inputs.detach().log_softmax(-1).unsqueeze(0)

    with pytest.raises(NoGradient, match="no gradient in the inputs"):
        FGSM(objective=objective)(log_probs, *batch(), [0.1], torch.Generator())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "entropy", "label": "predicted"}, "has no label"),
        ({"entropy": "lower"}, "goes with objective=entropy"),
        ({"draws": -1}, "draws must be at least 1, or 0 for enough, not -1"),
    ],
)
def test_nonsense_is_refused(options, words):
    """Options that say nothing together are refused."""
    with pytest.raises(ValueError, match=words):
        FGSM(**options)
