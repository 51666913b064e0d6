"""The same promises on a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench_uq.api.likelihoods import Categorical
from bench_uq.api.task import Examples, Task
from bench_uq.methods.map import MAP
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Change, Trained, predict, predict_changed
from bench_uq.testing.method_trials import bases_of
from bench_uq.train import recorded
from bench_uq.train.batched import train_together
from bench_uq.train.epoch import Diverged
from bench_uq.train.loop import train
from bench_uq.train.posthoc import build_all, fit
from bench_uq.train.recorded import Replayed
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from tests.of_classes import of_classes

pytestmark = pytest.mark.cuda
TASK = Task((1, 28, 28), Categorical(3), (0.5,), (0.3,), "lenet")


@pytest.fixture
def data() -> Resident:
    """Return bytes on the GPU whose brightness tells their class."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 300)
    inputs = (rng.integers(0, 80, (300, 1, 28, 28)) + 85 * targets[:, None, None, None]).astype(
        np.uint8
    )
    return Resident(Examples(inputs, targets), torch.device("cuda"), 32)


@pytest.mark.parametrize("name", of_classes())
def test_methods_learn(name: str, data: Resident) -> None:
    """Every method trains on the GPU and restores bit for bit; epsilon 0 is clean."""
    method = Plugins().spec("method", name).value
    nets, history = train(method, TASK, (data, data), Settings(epochs=5, batch=32), 0)
    assert history[-1].loss < history[0].loss
    trained = Trained(method, TASK, nets, 0)
    clean = predict(trained, data, 300, 5, labelled=True)
    assert (clean["probs"].argmax(1) == clean["targets"]).mean() > 0.8

    fgsm = Plugins().spec("condition", "fgsm").value
    none, some = predict_changed(trained, Change(fgsm, "fgsm", [0.0, 0.3], trained), data, 300, 5)
    assert np.array_equal(none["probs"], clean["probs"])
    assert some["log_density"].mean() < clean["log_density"].mean()

    again = nn.ModuleList(method.build(TASK).cuda().eval() for _ in nets)
    again.load_state_dict(nets.state_dict())
    for net in again:
        net.task = TASK
    assert np.array_equal(
        predict(Trained(method, TASK, again, 0), data, 300, 5, labelled=True)["probs"],
        clean["probs"],
    )


@pytest.mark.parametrize("name", of_classes(based=True))
def test_methods_fit_to_their_base(name: str, data: Resident) -> None:
    """Every post-hoc method is fitted on the GPU to a base that was trained there, and restores."""
    method = Plugins().spec("method", name).value
    chain = [method, *bases_of(method, Plugins())]
    below, _ = train(chain[-1], TASK, (data, data), Settings(epochs=5, batch=32), 0)
    nets = fit(chain, TASK, (data, data), below.state_dict(), 0)
    clean = predict(Trained(method, TASK, nets, 0), data, 300, 5, labelled=True)
    assert (clean["probs"].argmax(1) == clean["targets"]).mean() > 0.6

    again = build_all(chain, TASK, torch.device("cuda")).eval()
    again.load_state_dict(nets.state_dict())
    restored = predict(Trained(method, TASK, again, 0), data, 300, 5, labelled=True)
    assert np.array_equal(restored["probs"], clean["probs"])


#: Methods whose loss changes with the progress of the whole training, at options by which it does
#: not: a recorded step would repeat one moment of it.
STEADY = {"evidential": "evidential[kl_warmup=0]"}


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", [STEADY.get(name, name) for name in of_classes()])
def test_steps_are_recorded(
    name: str, together: bool, data: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of every method can be recorded, and replays train as launching them does."""
    made, keep = list[Replayed](), Replayed.__init__

    def kept(self: Replayed, *given: Any, **options: Any) -> None:
        keep(self, *given, **options)
        made.append(self)

    monkeypatch.setattr(Replayed, "__init__", kept)
    method = Plugins().spec("method", name).value
    settings = Settings(epochs=3, batch=32, schedule="cosine")

    def curves() -> list[float]:
        if together:
            outcomes = train_together(method, [TASK] * 2, [(data, data)] * 2, settings, [0, 1])
            losses = []
            for found in outcomes:
                losses += [row.loss for row in found[1]]
            return losses
        return [row.loss for row in train(method, TASK, (data, data), settings, 0)[1]]

    replayed = curves()
    assert made
    assert [(own.refused, own.recording is None) for own in made] == [("", False)] * len(made)
    monkeypatch.setattr(recorded, "DEVICES", ())
    assert replayed == pytest.approx(curves(), rel=2e-3)


@dataclass(frozen=True)
class Odd(MAP):
    """A loss that no recording can hold: it counts its steps, or waits for the GPU."""

    waits: bool = False

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """The usual loss times a factor that Python keeps."""
        loss = super().loss(net, inputs, targets, size, progress)
        if self.waits:
            return loss * (1 + min(1.0, loss.item()))
        net.count = getattr(net, "count", 0) + 1  # type: ignore[assignment]
        return loss * (1 + 0.5 ** int(net.count))  # type: ignore[arg-type]


@pytest.mark.parametrize("waits", [False, True])
def test_odd_losses_are_not_replayed(
    waits: bool, data: Resident, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that a recording would freeze or that waits for the GPU trains all the same."""
    method, settings = Odd(waits=waits), Settings(epochs=3, batch=32)
    _, history = train(method, TASK, (data, data), settings, 0)
    assert history[-1].loss < history[0].loss
    if waits:
        monkeypatch.setattr(recorded, "DEVICES", ())
        again = train(method, TASK, (data, data), settings, 0)[1]
        assert [row.loss for row in history] == pytest.approx([row.loss for row in again], rel=2e-3)


@pytest.mark.parametrize(
    "text",
    [
        "pgd[steps=3]",
        "pgd[steps=3,norm=l2,restarts=2]",
        "fgsm[objective=entropy]",
        "fgsm[objective=expected]",
    ],
)
def test_attacks_on_random_networks(text: str, data: Resident) -> None:
    """An attack is the same alone and among other levels, and stays in its ball."""
    method = Plugins().spec("method", "dropout").value
    torch.manual_seed(0)
    nets = nn.ModuleList([method.build(TASK).cuda().eval()])
    nets[0].task = TASK
    trained, attack = Trained(method, TASK, nets, 0), Plugins().spec("condition", text).value
    _, among = predict_changed(trained, Change(attack, text, [0.1, 0.2], trained), data, 200, 5)
    (alone,) = predict_changed(trained, Change(attack, text, [0.2], trained), data, 200, 5)
    assert np.array_equal(among["probs"], alone["probs"])
    assert 0 < alone["distance"].max() <= 0.2 + 1e-6


def test_shifts_are_those_of_the_cpu(data: Resident) -> None:
    """Rotations, translations and corruptions on the GPU are those on the CPU but for rounding."""
    inputs = data.take(slice(0, 16))[0]
    for text, level in (("rotate", 40.0), ("translate", 0.2), ("corruption[kind=fog]", 3.0)):
        shift = Plugins().spec("condition", text).value
        here, there = (
            shift(one, level, torch.Generator().manual_seed(1)) for one in (inputs, inputs.cpu())
        )
        torch.testing.assert_close(here.cpu(), there, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", of_classes())
def test_seeds_train_together(name: str, data: Resident) -> None:
    """Seeds of every method, and members of an ensemble, learn as one batch of networks."""
    method = Plugins().spec("method", name).value
    outcomes = train_together(
        method, [TASK] * 2, [(data, data)] * 2, Settings(epochs=5, batch=32), [0, 1]
    )

    states = []
    for outcome in outcomes:
        assert not isinstance(outcome, Diverged)
        nets, history = outcome
        assert history[-1].loss < history[0].loss
        found = predict(Trained(method, TASK, nets, 0), data, 300, 5, labelled=True)
        assert (found["probs"].argmax(1) == found["targets"]).mean() > 0.8
        states.append(nets.state_dict())

    assert any(not torch.equal(states[0][key], states[1][key]) for key in states[0])
