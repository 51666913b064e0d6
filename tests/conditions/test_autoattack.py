"""AutoAttack by its authors' package: as strong as it should be, within epsilon, repeatable."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from bench_uq.api import Categorical, Gaussian, Task
from bench_uq.api.errors import UsageError
from bench_uq.conditions.autoattack import AutoAttack, Averaged, fixed
from bench_uq.conditions.pgd import PGD

IMAGES = Task((1, 8, 8), Categorical(10))


def digits(rate: float = 0.2) -> tuple[Callable[[Tensor, int], Iterator[Tensor]], Tensor, Tensor]:
    """Return a network of some dropout that has learned the first digits, with images and labels."""
    from sklearn.datasets import load_digits

    images = torch.tensor(load_digits().images / 16, dtype=torch.float32).unsqueeze(1)
    labels = torch.tensor(load_digits().target)
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(rate), nn.Linear(64, 10)
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(images[:1000]), labels[:1000]).backward()
        optimiser.step()

    def log_probs(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        for _ in range(draws):
            yield net(inputs).log_softmax(-1).unsqueeze(0)

    return log_probs, images[1000:1064], labels[1000:1064]


def accuracy(
    log_probs: Callable[[Tensor, int], Iterator[Tensor]], images: Tensor, labels: Tensor
) -> float:
    """Return the accuracy of the mean of 50 draws."""
    torch.manual_seed(5)
    with torch.no_grad():
        probs = torch.cat(list(log_probs(images, 50))).exp().mean(0)
    return float((probs.argmax(-1) == labels).float().mean())


@pytest.mark.parametrize("rate", [0.0, 0.2])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_as_strong_as_pgd(norm, rate):
    """It stays within epsilon and leaves no more right than PGD does, up to images that the noise
    of draws decides.
    """
    log_probs, images, labels = digits(rate)
    level = 0.1 if norm == "linf" else 0.6
    same, changed = AutoAttack(norm=norm, steps=30 if rate else 100)(
        log_probs, images, labels, [0.0, level], torch.Generator()
    )
    (other,) = PGD(norm=norm)(log_probs, images, labels, [level], torch.Generator().manual_seed(0))
    assert same.equal(images)
    change = (changed - images).flatten(1)
    assert (change.abs().amax(1) if norm == "linf" else change.norm(dim=1)).max() <= level + 1e-5
    found, theirs, clean = (accuracy(log_probs, one, labels) for one in (changed, other, images))
    assert found <= theirs + (8 / 64 if rate else 0)
    assert found < clean - 0.2


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_standard_version(norm):
    """For a fixed network the images are those of the package's standard version, to the bit.

    Both make a tenth of its steps.
    """
    from pyautoattack import AutoAttack as Package

    log_probs, images, labels = digits(0.0)
    images, labels = images[:4], labels[:4]
    level = 0.1 if norm == "linf" else 0.6
    (found,) = AutoAttack(norm=norm, steps=10)(
        log_probs, images, labels, [level], torch.Generator().manual_seed(3)
    )
    seed = int(torch.randint(2**31, (1,), generator=torch.Generator().manual_seed(3)))
    name = {"linf": "Linf", "l2": "L2"}[norm]
    theirs = Package(Averaged(log_probs, 10), norm=name, eps=level, version="standard", seed=seed)
    for part in (theirs.apgd, theirs.apgd_targeted, theirs.fab):
        part.n_iter = part.n_iter // 10
    theirs.square.n_queries = theirs.square.n_queries // 10
    expected, _ = theirs.run_standard_evaluation(images, labels, batch_size=4)
    assert not expected.equal(images)
    assert found.equal(expected.clamp(0, 1))


@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_a_fixed_network_is_told_from_a_random_one(rate, caplog):
    """Two predictions of dropout differ, and the randomised mode attacks it, without a warning."""
    log_probs, images, labels = digits(rate)
    assert fixed(log_probs, images, 10) == (rate == 0)
    images, labels = images[:4], labels[:4]
    version = "rand" if rate else "standard"
    one, two = (
        AutoAttack(steps=5, version=version)(
            log_probs, images, labels, [0.2], torch.Generator().manual_seed(1)
        )[0]
        for version in ("auto", version)
    )
    assert one.equal(two)
    assert "randomized" not in caplog.text


@pytest.mark.parametrize("classes", [3, 4, 12])
def test_tables_and_few_classes(classes):
    """Of a linear network on rows it leaves what the best attack, in closed form, leaves."""
    torch.manual_seed(0)
    net = nn.Linear(5, classes, bias=False)
    rows = torch.rand(40, 5)

    def log_probs(inputs: Tensor, draws: int) -> Iterator[Tensor]:
        yield net(inputs - 0.5).log_softmax(-1).unsqueeze(0)

    labels = net(rows - 0.5).argmax(-1)
    level = 0.05
    with torch.no_grad():
        # Toward another class every feature moves to the end of its range.
        toward = (net.weight - net.weight[labels].unsqueeze(1)).sign()
        ends = (rows.unsqueeze(1) + level * toward).clamp(0, 1)
        logits = ((ends - 0.5).unsqueeze(2) * net.weight).sum(-1)
        robust = (logits.argmax(-1) == labels.unsqueeze(1)).all(1)

    (found,) = AutoAttack(steps=50)(log_probs, rows, labels, [level], torch.Generator())
    assert (found - rows).abs().max() <= level + 1e-5
    assert 0.2 < robust.float().mean() < 0.9
    assert accuracy(log_probs, found, labels) == pytest.approx(float(robust.float().mean()))


def test_repeats():
    """The generator decides everything."""
    log_probs, images, labels = digits()
    attack = AutoAttack(steps=3)
    one, two, three = (
        attack(log_probs, images, labels, [0.1], torch.Generator().manual_seed(seed))[0]
        for seed in (1, 1, 2)
    )
    assert one.equal(two)
    assert not one.equal(three)


def test_suits():
    """It is for three classes or more."""
    assert AutoAttack().suits(IMAGES)
    assert not AutoAttack().suits(Task((1, 8, 8), Categorical(2)))
    assert not AutoAttack().suits(Task((5,), Gaussian(0.0, 1.0)))


def test_without_its_package(monkeypatch):
    """Without the package one line says what to install, before anything is trained."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'bench-uq\[autoattack\]'"):
        AutoAttack().suits(IMAGES)


@pytest.mark.parametrize("option", ["draws", "calls", "steps"])
def test_nonsense_is_refused(option):
    """Nothing of it can be done less than once."""
    with pytest.raises(ValueError, match=f"{option} must be at least 1, not 0"):
        AutoAttack(**{option: 0})
