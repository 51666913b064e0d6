"""Predictions: what is averaged, and that no number depends on how the work is cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench_uq.api import layers
from bench_uq.api.condition import Shift
from bench_uq.api.layers import Network, is_flat_before_noise, is_random, shares
from bench_uq.api.likelihoods import Categorical, Gaussian
from bench_uq.api.method import Method
from bench_uq.api.task import Examples, Task
from bench_uq.plan.plugins import Plugins
from bench_uq.predict import predict as predict_module
from bench_uq.predict.predict import BadDraws, Change, Trained, predict, predict_changed
from bench_uq.testing.method_trials import bases_of
from bench_uq.train.loop import build
from bench_uq.train.posthoc import build_all
from bench_uq.train.resident import Resident
from tests.of_classes import of_classes

TASK = Task((1, 8, 8), Categorical(10), (0.3,), (0.4,), "lenet")
CPU = torch.device("cpu")


class Scaled(Shift):
    """Inputs times the level."""

    reference = "none"

    def __call__(
        self, inputs: torch.Tensor, level: float, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the scaled inputs."""
        return inputs * level


def resident(count: int = 300) -> Resident:
    """Return random images."""
    rng = np.random.default_rng(0)
    return Resident(
        Examples(rng.random((count, 1, 8, 8), dtype=np.float32), rng.integers(0, 10, count)),
        CPU,
        128,
    )


def trained(text: str) -> Trained:
    """Return an untrained method as if trained."""
    torch.manual_seed(0)
    method = Plugins().spec("method", text).value
    nets = build_all([method, *bases_of(method, Plugins())], TASK, CPU).eval()
    return Trained(method, TASK, nets, seed=3)


def test_fewer_examples_are_a_prefix() -> None:
    """Predictions for the first examples are those of all, cut: noise belongs to blocks of
    examples.
    """
    whole = predict(trained("mnf"), resident(), 300, 5, labelled=True)
    part = predict(trained("mnf"), resident(), 130, 5, labelled=True)
    assert np.array_equal(whole["probs"][:130], part["probs"])
    assert len(part) == 130


@pytest.mark.parametrize("name", [*of_classes(), *of_classes(based=True)])
def test_epsilon_zero_is_clean(name: str) -> None:
    """FGSM at epsilon 0 gives the clean predictions, bit for bit."""
    model, data = trained(name), resident()
    clean = predict(model, data, 300, 5, labelled=True)
    fgsm = Plugins().spec("condition", "fgsm").value
    none, some = predict_changed(model, Change(fgsm, "fgsm", [0.0, 0.2], model), data, 200, 5)
    for key in ("probs", "draw_entropy", "log_density", "targets"):
        assert np.array_equal(none[key], clean[key][:200])
    assert np.array_equal(none["inputs"], clean["inputs"])
    assert some["log_density"].mean() < none["log_density"].mean()


def test_attack_does_not_depend_on_the_other_levels() -> None:
    """A level attacked alone gives what it gives among others."""
    model, data, fgsm = trained("dropout"), resident(), Plugins().spec("condition", "fgsm").value
    among = predict_changed(model, Change(fgsm, "fgsm", [0.1, 0.2], model), data, 150, 5)[1]
    alone = predict_changed(model, Change(fgsm, "fgsm", [0.2], model), data, 150, 5)[0]
    assert np.array_equal(among["probs"], alone["probs"])


def test_density_is_the_log_of_the_mean() -> None:
    """The stored log density is that of the averaged probabilities."""
    stored = predict(trained("dropout"), resident(), 300, 9, labelled=True)
    probs = stored["probs"][np.arange(300), stored["targets"]]
    assert np.allclose(stored["log_density"], np.log(probs), atol=1e-5)


def test_unseen_data_have_no_targets() -> None:
    """Labels that are not of the task are not stored."""
    stored = predict(trained("map"), resident(), 100, 9, labelled=False)
    assert "targets" not in stored
    assert "log_density" not in stored


def test_members_share_the_draws() -> None:
    """At most as many draws as asked for are made, shared out over the members."""
    model = trained("mnf[members=3]")
    assert [share for _, share in shares(model.nets, 7)] == [3, 2, 2]
    assert [share for _, share in shares(model.nets, 2)] == [1, 1]
    assert model.draws(resident().take(slice(0, 4))[0], 7).shape == (7, 4, 10)
    assert trained("ensemble").draws(resident().take(slice(0, 4))[0], 100).shape == (5, 4, 10)


def test_chunks_are_the_draws() -> None:
    """Draws in chunks are as many as asked for, and one for a deterministic network."""
    inputs = resident().take(slice(0, 128))[0]
    assert sum(len(chunk) for chunk in trained("mnf").chunks(inputs, 40)) == 40
    assert [len(chunk) for chunk in trained("ensemble").chunks(inputs, 40)] == [1] * 5


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (2, 7), (10, 7), (21, 7)])
def test_chunks_hold_every_member(asked: int, given: int) -> None:
    """Where more than one draw is asked for, every member of an ensemble gives one: its gradient is
    exact.
    """
    inputs = resident(4).take(slice(0, 4))[0]
    assert len(torch.cat(list(trained("ensemble[members=7]").chunks(inputs, asked)))) == given


def layouts(model: Trained) -> set[int]:
    """Return the strides of channels in the inputs of plain convolutions, as they will be seen."""
    seen = set[int]()
    for layer in model.nets.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _, inputs, __: seen.add(inputs[0].stride(1)))
    return seen


@pytest.mark.parametrize("name", of_classes())
def test_images_are_laid_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions see contiguous images of one channel as those of a prediction, and no draw
    becomes another; where noise may have the layout of images, they stay as they are.
    """
    model = trained(name)
    seen = layouts(model)
    images = resident(6).take(slice(0, 6))[0].clone(memory_format=torch.contiguous_format)

    def draws() -> torch.Tensor:
        torch.manual_seed(0)
        return torch.cat(list(model.chunks(images, 2)))

    found, flat = draws(), model.noise_is_flat()
    assert flat == (not is_random(model.nets[0].stages[1]))
    assert seen == {1} if flat else 1 not in seen
    monkeypatch.setattr(predict_module, "laid_out", lambda inputs: inputs)
    assert torch.allclose(found, draws(), atol=1e-4)


@pytest.mark.parametrize("name", ["fgsm", "pgd[steps=2]", "pgd[steps=2,norm=l2]"])
def test_images_under_attack_are_laid_out(name: str) -> None:
    """The arithmetic of an attack returns contiguous images, which its gradients do not see."""
    model, attack = trained("map"), Plugins().spec("condition", name).value
    seen = layouts(model)
    predict_changed(model, Change(attack, name, [0.1], model), resident(20), 20, 1)
    assert seen == {1}


def test_noise_may_have_the_layout_of_images() -> None:
    """It does if any layer draws before images are flattened, not only the first."""

    class Noisy(nn.Module):
        """A layer that says nothing."""

    def flat(*stages: nn.Module) -> bool:
        return is_flat_before_noise(Network(TASK, stages))

    convolution = nn.Conv2d(1, 2, 3)
    assert flat(convolution, nn.Flatten(), Noisy())
    assert flat(convolution, nn.Flatten())
    assert not flat(convolution, Noisy(), nn.Flatten())
    assert not flat(convolution, Noisy())


@pytest.mark.parametrize(
    "name", ["temperature[base=ensemble]", "laplace[base=ensemble,predictive=mc]"]
)
@pytest.mark.parametrize("batches", [1, 10])
def test_every_member_below(name: str, batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of a method that stands on an ensemble is that of all members, however few draws
    the memory allows at once.
    """
    monkeypatch.setattr(layers, "NUMBERS_AT_ONCE", {"cpu": 1})
    monkeypatch.setattr(predict_module, "TRACED_BATCHES", batches)
    model = trained(name)
    inputs = resident(4).take(slice(0, 4))[0]

    torch.cat(list(model.chunks(inputs, 2))).sum().backward()
    reached = [bool(net.stages[-1].weight.grad.abs().sum()) for net in model.nets[0].base.nets]
    assert reached == [True] * 5


@pytest.mark.parametrize(
    "name", ["pgd[steps=2]", "pgd[steps=2,norm=l2,restarts=2]", "fgsm[objective=entropy]"]
)
def test_attacks_alone_and_among_others(name: str) -> None:
    """A level is the same to the last bit whatever others stand beside it, so that a run can be
    resumed.
    """
    model, data = trained("dropout"), resident(150)
    attack = Plugins().spec("condition", name).value
    among = predict_changed(model, Change(attack, name, [0.1, 0.2], model), data, 150, 5)[1]
    alone = predict_changed(model, Change(attack, name, [0.2], model), data, 150, 5)[0]
    assert np.array_equal(among["probs"], alone["probs"])
    assert np.array_equal(among["distance"], alone["distance"])
    assert (among["distance"] > 0).all()


def test_distances_are_the_largest_change() -> None:
    """The distance is that of the pixel that moved most, and 0 where nothing moved."""
    data = resident()
    found = predict_changed(
        trained("map"), Change(Scaled(), "scaled", [1.0, 0.5], trained("map")), data, 290, 1
    )
    assert (found[0]["distance"] == 0).all()
    brightest = data.take(slice(None))[0].flatten(1).amax(1)[:290].numpy()
    np.testing.assert_allclose(found[1]["distance"], brightest / 2, rtol=1e-6)


def bad(make: Any) -> Trained:
    """Return a method whose draws are what ``make`` returns."""

    class Bad(Method):
        reference = "none"

        def build(self, task: Task) -> nn.Module:
            return nn.Linear(1, 1)

        def draws(self, net: nn.Module, inputs: torch.Tensor, count: int) -> torch.Tensor:
            return make(len(inputs))

    return Trained(Bad(), TASK, nn.ModuleList([nn.Linear(1, 1)]), 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda count: torch.zeros(count, 10), "not \\(S"),
        (lambda count: torch.zeros(2, count, 9), "not \\(S"),
        (lambda count: torch.full((2, count, 10), math.nan), "finite"),
        (lambda count: torch.zeros(2, count, 10), "normalised"),
    ],
)
def test_bad_draws(make: Any, words: str) -> None:
    """Draws of another shape, not finite or not normalised are refused."""
    with pytest.raises(BadDraws, match=words):
        predict(bad(make), resident(), 10, 2, labelled=True)


def test_all_inputs_of_one_feature_are_kept() -> None:
    """Of images the first few are kept as shown; of a single feature every one, in order, attacked
    or not.
    """
    assert np.array_equal(
        predict(trained("map"), resident(), 300, 1, labelled=True)["inputs"],
        resident().inputs[:8].numpy(),
    )
    x = np.random.default_rng(0).random((300, 1), dtype=np.float32)
    data = Resident(Examples(x, x[:, 0]), CPU, 128)
    task = Task((1,), Gaussian(0.0, 1.0), (0.5,), (0.3,), "mlp")
    method = Plugins().spec("method", "map").value
    model = Trained(method, task, nn.ModuleList([build(method, task, CPU)]).eval(), seed=3)
    assert np.array_equal(predict(model, data, 290, 1, labelled=True)["inputs"], x[:290])

    scaled = predict_changed(model, Change(Scaled(), "scaled", [1.0, 0.5], model), data, 290, 1)
    for level, stored in zip((1.0, 0.5), scaled, strict=True):
        assert np.array_equal(stored["inputs"], level * x[:290])
