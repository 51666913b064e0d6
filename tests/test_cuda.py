"""The same promises on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bench_uq.config import Settings
from bench_uq.contracts import Examples, Task
from bench_uq.data import Resident
from bench_uq.likelihoods import Categorical
from bench_uq.plugins import Plugins
from bench_uq.predict import Change, Trained, predict, predict_changed
from bench_uq.train import train

pytestmark = pytest.mark.cuda
TASK = Task((1, 28, 28), Categorical(3), (0.5,), (0.3,), "lenet")


@pytest.fixture
def data() -> Resident:
    """Return bytes on the GPU whose brightness tells their class."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 300)
    inputs = (rng.integers(0, 80, (300, 1, 28, 28)) + 85 * targets[:, None, None, None]).astype(np.uint8)
    return Resident(Examples(inputs, targets), torch.device("cuda"), 32)


@pytest.mark.parametrize("name", Plugins().names("method"))
def test_methods_learn(name: str, data: Resident) -> None:
    """Every method trains on the GPU, learns, restores bit for bit, and epsilon 0 gives its clean predictions."""
    method = Plugins().spec("method", name).value
    nets, history = train(method, TASK, (data, data), Settings(epochs=5, batch=32), 0)
    assert history[-1].nll < history[0].nll
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
        predict(Trained(method, TASK, again, 0), data, 300, 5, labelled=True)["probs"], clean["probs"]
    )
