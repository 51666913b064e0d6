"""Calibration maps of averaged predictions, against SciPy and on a base of known miscalibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, logsumexp
from torch import Tensor, nn

from bench_uq.api import Base, Batches, Categorical, Method, PostHoc, Task
from bench_uq.methods.dirichlet import Dirichlet
from bench_uq.methods.dropout import Dropout
from bench_uq.methods.map import MAP
from bench_uq.methods.temperature import Temperature
from bench_uq.methods.vector_scaling import VectorScaling
from tests.batches import Known, Untouchable

CLASSES = 4
TASK = Task((4,), Categorical(CLASSES), mean=(0.5,) * 4, std=(0.2,) * 4, network="mlp")

#: Maps without a penalty, with the map of NumPy from parameters to scaled log-probabilities and
#: the parameters at which it changes nothing.
MAPS: dict[str, tuple[PostHoc, Callable, np.ndarray]] = {
    "temperature": (Temperature(spread=float("inf")), lambda x, v: x / np.exp(v[0]), np.zeros(1)),
    "vector-scaling": (
        VectorScaling(spread=float("inf")),
        lambda x, v: x * v[:CLASSES] + v[CLASSES:],
        np.repeat([1.0, 0.0], CLASSES),
    ),
    "dirichlet": (
        Dirichlet(off_diagonal=0.0, spread=float("inf")),
        lambda x, v: x @ v[CLASSES:].reshape(CLASSES, CLASSES).T + v[:CLASSES],
        np.concatenate([np.zeros(CLASSES), np.eye(CLASSES).ravel()]),
    ),
}


def base_of(method: Method, members: int = 1, factor: float = 1.0) -> Base:
    """A base of random networks whose outputs are ``factor`` times those that are calibrated."""
    nets = []
    for seed in range(members):
        torch.manual_seed(seed)
        net = method.build(TASK).eval()
        net.task = TASK
        with torch.no_grad():
            for values in net.stages[-1].parameters():
                values.mul_(10 * factor)
        nets.append(net.requires_grad_(False))
    return Base(method.draws, nn.ModuleList(nets))


def sampled(base: Base, size: int, factor: float, seed: int = 1) -> Known:
    """Inputs, with labels from the mean of the base's draws whose logits are divided again."""
    torch.manual_seed(seed)
    inputs = torch.rand(size, 4)
    draws = (base.draws(inputs, 20) / factor).softmax(-1).mean(0)
    return Known(inputs, draws.multinomial(1).squeeze(1), size=200)


def fitted(method: PostHoc, base: Base, held_out: Batches) -> nn.Module:
    """The method on a base, as the engine fits it, without training examples."""
    net = method.build_on(TASK, base)
    net.task = TASK
    torch.manual_seed(2)
    method.finish(net.eval(), Untouchable(), held_out)
    return net


def log_average(draws: Tensor) -> np.ndarray:
    """Log of the mean probabilities (B, C) of draws (S, B, C), by NumPy."""
    return logsumexp(draws.double().numpy(), axis=0) - np.log(len(draws))


def nll(scaled: np.ndarray, targets: np.ndarray) -> float:
    """Mean NLL in nats, by NumPy."""
    return -log_softmax(scaled, axis=1)[np.arange(len(targets)), targets].mean()


def ece(probs: Tensor, targets: Tensor) -> float:
    """Expected calibration error of probabilities (B, C), over 15 bins of equal width."""
    confidence, guess = probs.max(-1)
    gaps = []
    for low in torch.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            accuracy = (guess == targets)[inside].double().mean()
            gaps.append(inside.double().mean() * (accuracy - confidence[inside].mean()).abs())
    return float(sum(gaps))


@pytest.mark.parametrize("name", MAPS)
def test_optimum_is_that_of_scipy(name: str) -> None:
    """Without a penalty, the fitted map has the lowest NLL that SciPy finds from the identity."""
    method, scale, start = MAPS[name]
    base = base_of(MAP(), factor=2)
    held_out = sampled(base, 1500, 2)
    log_probs = log_average(base.draws(held_out.inputs, 1))
    targets = held_out.targets.numpy()

    best = minimize(lambda values: nll(scale(log_probs, values), targets), start, tol=1e-8)
    net = fitted(method, base, held_out)
    found = log_average(method.draws(net, held_out.inputs, 1))

    assert nll(found, targets) == pytest.approx(best.fun, abs=2e-5)
    expected = log_softmax(scale(log_probs, best.x), axis=1)
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert nll(log_probs, targets) > best.fun + 0.01, "nothing was to be gained"


@pytest.mark.parametrize("spread", [0.05, 1.0])
def test_temperature_is_the_mode_of_its_posterior(spread: float) -> None:
    """The prior counts once for all examples: the sum of the NLL and of -log N(log T; 0, spread^2)
    is lowest.
    """
    base = base_of(MAP(), factor=3)
    held_out = sampled(base, 80, 3)
    log_probs, targets = log_average(base.draws(held_out.inputs, 1)), held_out.targets.numpy()

    def loss(log_temperature: float) -> float:
        total = 80 * nll(log_probs / np.exp(log_temperature), targets)
        return total + log_temperature**2 / (2 * spread**2)

    best = minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9})
    found = fitted(Temperature(spread=spread), base, held_out).log_temperature.item()
    assert found == pytest.approx(best.x, abs=1e-4)


@pytest.mark.parametrize("kind", [Temperature, VectorScaling, Dirichlet])
@pytest.mark.parametrize("spread", [0.0, -1.0, 1e-7, 1e7, float("nan")])
def test_spread_has_bounds(kind: type[PostHoc], spread: float) -> None:
    """A standard deviation whose square is 0, or that is no number, is refused in one line."""
    with pytest.raises(ValueError, match=r"^spread must be in \[1e-6, 1e6\] or inf, not .*$"):
        kind(spread=spread)


@pytest.mark.parametrize("kind", [Temperature, VectorScaling, Dirichlet])
def test_spread_at_its_bounds(kind: type[PostHoc]) -> None:
    """The narrowest prior leaves the predictions as they are, and the widest is as good as none."""
    base = base_of(MAP(), factor=2)
    held_out = sampled(base, 300, 2)
    strengths = {"off_diagonal": 0.01} if kind is Dirichlet else {}

    found = {}
    for spread in (1e-6, 1e6, float("inf")):
        method = kind(spread=spread, **strengths)
        found[spread] = fitted(method, base, held_out).values()
    for start, values in zip(kind().start(CLASSES).values(), found[1e-6], strict=True):
        # Dirichlet has no prior off the diagonal.
        kept = values.diag().diag() if values.dim() == 2 else values
        if kind is not Dirichlet or values.dim() == 2:
            torch.testing.assert_close(kept, start, atol=1e-4, rtol=0)
    for widest, without in zip(found[1e6], found[float("inf")], strict=True):
        torch.testing.assert_close(widest, without, atol=1e-2, rtol=0)


def test_temperature_finds_the_factor_and_lowers_the_ece() -> None:
    """Of logits three times too large the temperature is 3, and new examples are calibrated."""
    base = base_of(MAP(), factor=3)
    net = fitted(Temperature(), base, sampled(base, 4000, 3))
    assert net.log_temperature.exp().item() == pytest.approx(3, rel=0.1)

    new = sampled(base, 4000, 3, seed=5)
    before = base.draws(new.inputs, 1)[0].exp()
    after = Temperature().draws(net, new.inputs, 1)[0].exp()

    assert ece(before, new.targets) > 0.1
    assert ece(after, new.targets) < 0.04
    assert after.argmax(-1).equal(before.argmax(-1))


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("method", [MAP(), Dropout(rate=0.3)], ids=["ensemble", "dropout"])
def test_the_average_of_all_draws_is_scaled(name: str, method: Method) -> None:
    """Of an ensemble and of a random base there is one draw, the map of the averaged draws."""
    members = 3 if isinstance(method, MAP) else 1
    base = base_of(method, members, factor=2)
    scaling, scale, _ = MAPS[name]
    net = fitted(scaling, base, sampled(base, 600, 2))
    inputs = torch.rand(7, 4)

    torch.manual_seed(4)
    log_probs = log_average(base.draws(inputs, 9))
    torch.manual_seed(4)
    draws = scaling.draws(net, inputs, 9)

    assert draws.shape == (1, 7, CLASSES)
    values = values_of(name, net)
    expected = log_softmax(scale(log_probs, values), axis=1)
    np.testing.assert_allclose(draws[0].numpy(), expected, rtol=1e-4, atol=1e-4)


def test_random_bases_are_averaged_over_fifty_draws_for_the_fit() -> None:
    """The temperature is the best one for the averages of 50 draws of dropout, not for a draw."""
    base = base_of(Dropout(rate=0.5), factor=2)
    held_out = sampled(base, 600, 2)
    net = fitted(Temperature(), base, held_out)

    torch.manual_seed(2)
    parts = [log_average(base.draws(inputs, 50)) for inputs, _ in held_out]
    log_probs, targets = np.concatenate(parts), held_out.targets.numpy()
    best = minimize(lambda value: nll(log_probs / np.exp(value[0]), targets), np.zeros(1))
    assert net.log_temperature.item() == pytest.approx(best.x[0], abs=1e-3)


def values_of(name: str, net: nn.Module) -> np.ndarray:
    """The fitted parameters in the order of MAPS."""
    names: Sequence[str] = {
        "temperature": ("log_temperature",),
        "vector-scaling": ("factors", "offsets"),
        "dirichlet": ("offsets", "matrix"),
    }[name]
    values = [net.get_buffer(one).double().numpy().ravel() for one in names]
    return np.concatenate(values)


@pytest.mark.parametrize("method", [Temperature(), VectorScaling(), Dirichlet(off_diagonal=1.0)])
def test_other_held_out_examples_give_another_map(method: PostHoc) -> None:
    """The map is that of the held-out examples, and no example of the base's training is seen."""
    base = base_of(MAP(), factor=2)
    inputs = torch.rand(3, 4)
    found = []
    for factor in (1.0, 4.0):
        net = fitted(method, base, sampled(base, 600, factor))
        found.append(method.draws(net, inputs, 1).exp().amax(-1).mean())
    assert found[0] > found[1] + 0.05, "labels from flatter probabilities give a flatter map"
