"""PGD: on known answers, against an independent implementation, and what each of its options does."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from bench_uq.conditions._norms import NORMS
from bench_uq.conditions.fgsm import FGSM
from bench_uq.conditions.pgd import PGD
from bench_uq.conditions.pgd_strong import StrongPGD

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of packages that it imports by their old names
    import foolbox

LogProbs = Callable[[Tensor, int], Iterator[Tensor]]


def predictor(*nets: nn.Module) -> LogProbs:
    """Return the draws of fixed networks, one a chunk."""

    def log_probs(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        for net in nets[:draws]:
            yield net(inputs).log_softmax(-1).unsqueeze(0)

    return log_probs


def network(seed: int = 0) -> nn.Module:
    """Return an untrained network of images."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(8 * 36, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )
    net[-1].weight.data.mul_(10)
    return net.double().eval()


def batch() -> tuple[Tensor, Tensor]:
    """Return images inside (0, 1), two of them black and white, and labels."""
    images = 0.05 + 0.9 * torch.rand(
        6, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    images[0], images[1] = 0, 1
    return images, torch.arange(6)


def attack(one: PGD | FGSM, log_probs: LogProbs, *levels: float, seed: int = 3) -> list[Tensor]:
    """Return the attacked images of the batch."""
    return one(log_probs, *batch(), levels, torch.Generator().manual_seed(seed))


def nll(net: nn.Module, images: Tensor) -> Tensor:
    """Return the loss of each image of the batch."""
    with torch.no_grad():
        return nn.functional.cross_entropy(net(images), batch()[1], reduction="none")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (FGSM(), foolbox.attacks.LinfFastGradientAttack(random_start=False)),
        (FGSM(norm="l2"), foolbox.attacks.L2FastGradientAttack(random_start=False)),
        (
            PGD(steps=7, step_size=0.3, start="clean", restarts=1),
            foolbox.attacks.LinfPGD(steps=7, rel_stepsize=0.3, random_start=False),
        ),
        (
            PGD(steps=7, step_size=0.3, start="clean", norm="l2", restarts=1),
            foolbox.attacks.L2PGD(steps=7, rel_stepsize=0.3, random_start=False),
        ),
    ],
    ids=["fgsm-linf", "fgsm-l2", "pgd-linf", "pgd-l2"],
)
@pytest.mark.parametrize("epsilon", [0.02, 0.1])
def test_against_foolbox(ours, theirs, epsilon):
    """On a deterministic network each attack is that of foolbox, pixel by pixel."""
    net, (images, labels) = network(), batch()
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    epsilon *= 5 if ours.norm == "l2" else 1
    _, expected, _ = theirs(model, images, labels, epsilons=[epsilon])
    (found,) = attack(ours, predictor(net), epsilon)
    torch.testing.assert_close(found, expected[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_optimum_of_a_linear_model(norm):
    """Against a linear softmax of two classes PGD ends at the closed form: epsilon along the
    steepest way.
    """
    model = nn.Linear(3, 2, dtype=torch.float64)
    inputs = 0.3 + 0.4 * torch.rand(
        20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    targets = torch.arange(20) % 2
    method = PGD(norm=norm, steps=60, step_size=0.5)
    (found,) = method(predictor(model), inputs, targets, [0.2], torch.Generator().manual_seed(0))
    away = (model.weight[1] - model.weight[0]).detach()
    steepest = away.sign() if norm == "linf" else away / away.norm()
    expected = inputs + 0.2 * torch.where(targets[:, None] == 0, steepest, -steepest)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("start", ["random", "clean"])
def test_levels(norm, start):
    """Each level stays within epsilon and [0, 1]; level 0 is the input to the last digit, nothing
    given is changed.
    """
    net, (images, _) = network(), batch()
    levels = [0.0, 0.05, 0.5]
    found = attack(PGD(norm=norm, start=start, steps=5), predictor(net), *levels)
    assert found[0].equal(images)
    for level, changed in zip(levels, found, strict=True):
        assert changed.min() >= 0
        assert changed.max() <= 1
        change = (changed - images).flatten(1)
        size = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
        assert size.max() <= level + 1e-9
        assert not changed.requires_grad
    assert all(weights.grad is None for weights in net.parameters())


def test_levels_alone():
    """A level is the same beside others and alone, with random draws and starts too: so runs can be
    resumed.
    """
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()

    def log_probs(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        for _ in range(draws):
            yield net(nn.functional.dropout(inputs)).log_softmax(-1).unsqueeze(0)

    among = attack(PGD(steps=3, draws=2), log_probs, 0.1, 0.2)[1]
    torch.manual_seed(99)
    (alone,) = attack(PGD(steps=3, draws=2), log_probs, 0.2)
    assert among.equal(alone)
    (other,) = attack(PGD(steps=3, draws=2), log_probs, 0.2, seed=4)
    assert not other.equal(alone)


def test_more_steps_and_restarts_go_further():
    """PGD raises the loss above FGSM's on a curved network, and restarts fool more images or raise
    it further.
    """
    net = network()
    images, labels = batch()
    one, step, many = (
        attack(method, predictor(net), 0.1)[0] for method in (PGD(restarts=1), FGSM(), PGD())
    )
    assert nll(net, one).mean() > nll(net, step).mean() > nll(net, images).mean()

    with torch.no_grad():
        fell, still = (net(found).argmax(-1) != labels for found in (many, one))
    assert (fell >= still).all()
    assert (nll(net, many) >= nll(net, one) - 1e-9)[fell == still].all()


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 0.5)])
def test_as_strong_as_auto_pgd_of_its_authors(norm, epsilon):
    """On trained digits it leaves no more right than the authors' 100 steps on ten losses, but for
    one in a hundred.
    """
    from pyautoattack import AutoAttack
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.tensor(data.images / 16, dtype=torch.float32).unsqueeze(1)
    labels = torch.tensor(data.target)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(200):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(images[:1000]), labels[:1000]).backward()
        optimiser.step()

    shown, right = images[1000:1200], labels[1000:1200]
    options = {"version": "custom", "attacks": ["apgd-ce", "apgd-t"], "seed": 0}
    theirs = AutoAttack(net, norm={"linf": "Linf", "l2": "L2"}[norm], eps=epsilon, **options)
    expected, _ = theirs.run_standard_evaluation(shown, right, batch_size=200)
    rng = torch.Generator().manual_seed(0)
    (found,) = PGD(norm=norm)(predictor(net), shown, right, [epsilon], rng)
    before = PGD(norm=norm, step_size=2.5 / 20, restarts=1)
    (plain,) = before(predictor(net), shown, right, [epsilon], rng)

    with torch.no_grad():
        left = [(net(one).argmax(-1) == right).float().mean() for one in (found, expected, plain)]
    assert left[0] <= left[1] + 0.01
    assert left[0] < left[2]


def test_the_gradients_where_no_image_falls():
    """They are 21 of the first climb and 11 of each of four others, and of the strong form 560."""
    net, (images, _) = network(), batch()
    asked = 0

    def counted(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        nonlocal asked
        asked += inputs.requires_grad
        yield from predictor(net)(inputs, draws)

    labels = net(images).argmax(-1)
    for attack, gradients in ((PGD(draws=1), 21 + 4 * 11), (StrongPGD(draws=1), 101 + 9 * 51)):
        asked = 0
        attack(counted, images, labels, [1e-6], torch.Generator().manual_seed(0))
        assert asked == gradients


def test_the_strong_form():
    """It is PGD of more steps and restarts, and leaves no more right."""
    net = network()
    images, labels = batch()
    found = {}
    for attack in (StrongPGD(), PGD(steps=100, restarts=10), PGD()):
        rng = torch.Generator().manual_seed(0)
        (found[attack],) = attack(predictor(net), images, labels, [0.1], rng)
    strong, same, plain = found.values()
    assert strong.equal(same)
    with torch.no_grad():
        right = [(net(one).argmax(-1) == labels).sum() for one in (strong, plain)]
    assert right[0] <= right[1]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_fill_the_ball(norm):
    """Starts are uniform in the ball: their size to the power of the dimension, or each pixel, is
    spread evenly.
    """
    like = torch.zeros(4000, 1, 2, 2, dtype=torch.float64)
    drawn = NORMS[norm].random(like, torch.Generator().manual_seed(0)).flatten(1)
    size = drawn.norm(dim=1) ** 4 if norm == "l2" else (drawn.flatten() + 1) / 2
    assert size.max() <= 1
    deciles = torch.quantile(size[:4000], torch.arange(1, 10, dtype=torch.float64) / 10)
    torch.testing.assert_close(
        deciles, torch.arange(1, 10, dtype=torch.float64) / 10, rtol=0, atol=0.04
    )
    assert drawn.mean(0).abs().max() < 0.05


def test_l2_steps_of_tiny_gradients():
    """Gradients whose squares vanish in float32 still have length 1; those that are 0 move nothing."""
    gradient = torch.tensor([[3e-30, 4e-30], [3.0, 4.0], [0.0, 0.0]])
    expected = torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.0, 0.0]])
    torch.testing.assert_close(NORMS["l2"].steepest(gradient), expected)


def test_entropy_objective_of_restarts():
    """Restarts that lower the entropy keep the lowest one."""
    net = network()

    def entropy(images: Tensor) -> Tensor:
        with torch.no_grad():
            logs = net(images).log_softmax(-1)
        return -(logs.exp() * logs).sum(-1)

    options = {"objective": "entropy", "entropy": "lower", "steps": 3}
    (one,) = attack(PGD(**options, restarts=1), predictor(net), 0.1)
    (many,) = attack(PGD(**options), predictor(net), 0.1)
    assert (entropy(many) <= entropy(one) + 1e-9).all()
    assert (entropy(many) < entropy(one) - 1e-6).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"restarts": 0}, "restarts must be at least 1, not 0"),
        ({"step_size": -0.1}, "step_size must be a share of epsilon"),
        ({"step_size": math.nan}, "step_size must be a share of epsilon"),
        ({"step_size": math.inf}, "step_size must be a share of epsilon"),
        ({"draws": -1}, "draws must be at least 1, or 0 for enough, not -1"),
    ],
)
def test_nonsense_is_refused(options, words):
    """Options without meaning are refused."""
    with pytest.raises(ValueError, match=words):
        PGD(**options)
