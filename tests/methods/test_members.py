"""Ensembles in one training: their members, and a budget that is that of one network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from bench_uq.api import Categorical, Task
from bench_uq.api.errors import UsageError
from bench_uq.methods._members import of_rows
from bench_uq.plan.plugins import Plugins
from bench_uq.testing.method_trials import digits
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings

TASK = Task((1, 8, 8), Categorical(10), mean=(0.3,), std=(0.4,), network="lenet")
#: Epochs of the training, the last batch of each smaller than the others.
SETTINGS = Settings(epochs=12, batch=32, learning_rate=0.01, schedule="cosine")
#: Members of each method at its defaults.
MEMBERS = {
    "batch-ensemble": 4,
    "fge[start=0.5]": 6,
    "masksembles": 4,
    "mimo": 3,
    "packed": 4,
    "snapshot": 5,
}

Trained = tuple[torch.nn.Module, list[int], int]


@contextmanager
def counted(name: str) -> Iterator[tuple[list[int], list[int]]]:
    """Sizes of the batches that the losses of a method get, and a number for each step."""
    method = type(Plugins().spec("method", name).value)
    batches, steps = list[int](), list[int]()
    loss = method.loss

    def watched(self, net, inputs, targets, size, progress):
        batches.append(len(inputs))
        return loss(self, net, inputs, targets, size, progress)

    handle = register_optimizer_step_post_hook(lambda *_: steps.append(len(steps)))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(method, "loss", watched)
            yield batches, steps
    finally:
        handle.remove()


# Tests share the networks, which none of them changes.
@cache
def trained(name: str) -> Trained:
    """A network after a training, the sizes of its batches and the number of its steps."""
    examples, cpu = digits(), torch.device("cpu")
    data = Resident(examples[:300], cpu, SETTINGS.batch), Resident(examples[300:400], cpu, 128)
    with counted(name) as (batches, steps):
        nets, _ = train(Plugins().spec("method", name).value, TASK, data, SETTINGS, 0)
    return nets[0], batches, len(steps)


@pytest.mark.parametrize("name", MEMBERS)
def test_budget_and_members(name: str) -> None:
    """A training takes the steps and the examples of one network, and ends with members that
    differ.
    """
    net, batches, steps = trained(name)
    _, of_map, steps_of_map = trained("map")
    assert batches == of_map
    assert steps == steps_of_map == 12 * 10

    inputs = torch.from_numpy(digits().inputs[400:600])
    with torch.no_grad():
        probs = Plugins().spec("method", name).value.draws(net, inputs, 20).exp()
    assert len(probs) == MEMBERS[name]

    for one in range(len(probs)):
        for other in range(one):
            assert (probs[one] - probs[other]).abs().max() > 1e-3


@pytest.mark.parametrize("name", MEMBERS)
def test_fewer_draws_are_members_at_random(name: str) -> None:
    """Two draws are two different members, and each member is picked as often as the others."""
    net, *_ = trained(name)
    method = Plugins().spec("method", name).value
    inputs = torch.from_numpy(digits().inputs[400:410])
    times = torch.zeros(MEMBERS[name])
    trials = 200

    with torch.inference_mode():
        all_draws = method.draws(net, inputs, 20)
        for seed in range(trials):
            torch.manual_seed(seed)
            draws = method.draws(net, inputs, 2)
            gaps = (draws[:, None] - all_draws).abs().amax((2, 3))  # (2, M)
            chosen = (gaps < 1e-5).nonzero()[:, 1]
            assert len(chosen.unique()) == 2
            times[chosen] += 1

    share = 2 / MEMBERS[name]
    error = (share * (1 - share) / trials) ** 0.5
    assert (times / trials - share).abs().max() < 4 * error


@pytest.mark.parametrize("members", [1, 3, 4])
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 12, 13])
@pytest.mark.parametrize("size", [(), (2, 5)])
def test_rows_are_shared_in_blocks(members: int, rows: int, size: tuple[int, ...]) -> None:
    """Rows go to members in blocks, in order, whose sizes differ by one at most."""
    values = torch.arange(members * 3.0).reshape(members, 3)
    found = of_rows(values, torch.zeros(rows, 3, *size))
    assert found.shape == (rows, 3, *(1,) * len(size))

    owners = found.flatten(1)[:, 0] / 3
    assert owners.equal(owners.sort().values)
    counts = torch.bincount(owners.long(), minlength=members)
    assert counts.max() - counts.min() <= 1
    assert found.flatten(1).equal(values[owners.long()])


@pytest.mark.parametrize("name", ["packed", "mimo"])
@pytest.mark.parametrize(
    "stages",
    [
        "layers.linear(64, 10)",
        "layers.linear(64, 8), nn.Unflatten(1, (8, 1, 1)), layers.conv(8, 10, 1), nn.Flatten()",
    ],
)
def test_networks_without_two_ends_are_refused(name: str, stages: str, tmp_path: Path) -> None:
    """A network of one layer, or without a dense layer at its end, is refused in one line."""
    assert "several layers, the last of them dense" in refusal(name, stages, tmp_path)


def refusal(name: str, stages: str, folder: Path) -> str:
    """Words with which a method refuses a network of these stages."""
    lines = [
        "from torch import nn",
        "def network(task, layers):",
        f"    return nn.Sequential(nn.Flatten(), {stages})",
    ]
    (folder / "mine.py").write_text("\n".join(lines))
    task = Task((1, 8, 8), Categorical(10), (0.3,), (0.4,), str(folder / "mine.py"))
    with pytest.raises(UsageError) as caught:
        Plugins().spec("method", name).value.build(task)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("stages", "layer"),
    [
        ("layers.linear(64, 8), nn.LayerNorm(8), layers.linear(8, 10)", "LayerNorm"),
        ("layers.linear(64, 8), nn.Linear(8, 8, bias=False), layers.linear(8, 10)", "Linear"),
    ],
)
def test_packed_refuses_layers_that_it_cannot_split(
    stages: str, layer: str, tmp_path: Path
) -> None:
    """A layer whose values cannot be grouped would mix the members: it is refused by its name."""
    assert refusal("packed", stages, tmp_path).endswith(f"a layer {layer} into groups")


@pytest.mark.parametrize("name", ["batch-ensemble", "masksembles", "packed", "mimo"])
def test_loss_is_the_mean_over_members(name: str) -> None:
    """In the mean over the noise of the loss, each member counts as much as each other."""
    method = Plugins().spec("method", name).value
    torch.manual_seed(0)
    net = method.build(TASK).double()
    inputs, targets = torch.rand(1, 1, 8, 8).double().expand(12, -1, -1, -1), torch.arange(12) % 10

    # Equal inputs, so that of several inputs at once it does not matter which they are.
    losses = list[Tensor]()
    for _ in range(400):
        losses.append(method.loss(net, inputs, targets, 100, 0.0).detach())
    draws = method.draws(net, inputs, 20)
    expected = -TASK.likelihood.log_prob(draws, targets).mean()

    spread = torch.stack(losses)
    error = spread.std() / len(losses) ** 0.5
    assert (spread.mean() - expected).abs() < 4 * error + 1e-9
