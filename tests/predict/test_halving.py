"""Out of memory while predicting: the batch is halved, and no number changes."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from bench_uq.api.condition import Shift
from bench_uq.api.layers import Normalise
from bench_uq.api.likelihoods import Categorical, Gaussian
from bench_uq.api.method import Method
from bench_uq.api.task import Examples, Predictions, Task
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.halving import NotHalved, is_out_of_memory
from bench_uq.predict.predict import Change, Trained, predict, predict_changed
from bench_uq.train.loop import build
from bench_uq.train.resident import Resident

TASK = Task((1, 8, 8), Categorical(10), (0.3,), (0.4,), "lenet")
CPU = torch.device("cpu")
PLUGINS = Path(__file__).parents[1] / "plugins"
SAID = "memory ran out: the batch is halved while predicting, with the same results\n"

#: More draws than go through a network of a block of 128 images of 8x8 at once.
DRAWS = 30


def resident(count: int = 150) -> Resident:
    """Return random images, a block and a part of one."""
    rng = np.random.default_rng(0)
    return Resident(
        Examples(rng.random((count, 1, 8, 8), dtype=np.float32), rng.integers(0, 10, count)),
        CPU,
        128,
    )


def trained(method: Method, task: Task = TASK) -> Trained:
    """Return an untrained method as if trained."""
    torch.manual_seed(0)
    return Trained(
        method,
        task,
        nn.ModuleList(build(method, task, CPU) for _ in range(method.members)).eval(),
        3,
    )


def named(text: str) -> Trained:
    """Return a method of the folder as if trained."""
    return trained(Plugins().spec("method", text).value)


def short(model: Trained, most: int, besides: int = 0) -> Trained:
    """Return a method whose networks run out of memory with more than so many examples, or ``besides``."""
    model = dataclasses.replace(model, nets=type(model.nets)(model.nets).eval())

    def check(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        if len(given[0]) > most and len(given[0]) != besides:
            raise torch.OutOfMemoryError(f"CUDA out of memory: {len(given[0])} rows")

    for layer in [layer for layer in model.nets.modules() if isinstance(layer, Normalise)]:
        layer.register_forward_pre_hook(check)
    return model


def same(one: Predictions, other: Predictions, atol: float = 1e-5) -> None:
    """Check that two predictions are the same but for rounding."""
    assert set(one.arrays) == set(other.arrays)
    for name in one.arrays:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-4, atol=atol, err_msg=name)


@pytest.mark.parametrize("most", [64, 9])
@pytest.mark.parametrize("name", Plugins().names("method"))
def test_every_method(name: str, most: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever number of examples fits, odd or few, every method's predictions are those of whole blocks."""
    whole = predict(named(name), resident(), 150, DRAWS, labelled=True)
    assert capfd.readouterr().err == ""
    model = short(named(name), most)
    parts = predict(model, resident(), 150, DRAWS, labelled=True)
    same(parts, whole)
    same(predict(model, resident(), 100, DRAWS, labelled=True), whole.first(100))
    assert capfd.readouterr().err == SAID  # once


@pytest.mark.parametrize("name", ["mean-field", "mnf"])
def test_one_example_left_over(name: str) -> None:
    """Where two examples fit none is alone: a layer may draw noise in another order for a single image."""
    rng = np.random.default_rng(0)
    images = rng.random((43, 1, 28, 28), dtype=np.float32)
    data = Resident(Examples(images, rng.integers(0, 10, 43)), CPU, 128)
    method = Plugins().spec("method", name).value
    task = dataclasses.replace(TASK, input_shape=(1, 28, 28))
    whole = predict(trained(method, task), data, 43, 3, labelled=True)
    same(predict(short(trained(method, task), 2, besides=4), data, 43, 3, labelled=True), whole)


def tables() -> tuple[Resident, Task]:
    """Return examples of a regression, and its task."""
    x = np.random.default_rng(0).random((150, 3), dtype=np.float32)
    return Resident(Examples(x, x[:, 0]), CPU, 128), Task(
        (3,), Gaussian(0.0, 1.0), (0.5,) * 3, (0.3,) * 3, "mlp"
    )


@pytest.mark.parametrize("name", ["mean-field", "dropout"])
def test_regression(name: str) -> None:
    """Moments and quantiles of a regression are those of whole blocks."""
    data, task = tables()
    method = Plugins().spec("method", name).value
    whole = predict(trained(method, task), data, 150, DRAWS, labelled=True)
    same(predict(short(trained(method, task), 37), data, 150, DRAWS, labelled=True), whole)


ATTACKS = ("fgsm", "fgsm[objective=entropy]", "pgd[steps=3]", "pgd[steps=2,norm=l2,restarts=2]")
SHIFTS = ("rotate", "translate", "corruption", "corruption[kind=glass-blur]")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("dropout", text) for text in (*ATTACKS, *SHIFTS)),
        *((name, text) for name in ("mnf", "ensemble[members=2]") for text in ATTACKS[::3]),
    ],
)
def test_changed_inputs(name: str, text: str) -> None:
    """Attacks and shifts in parts start where whole blocks start and follow the same draws, inputs included."""
    condition = Plugins().spec("condition", text).value
    levels = {"rotate": [0.0, 40.0], "corruption": [0.0, 3.0]}.get(
        text.partition("[")[0], [0.0, 0.1, 0.2]
    )

    def changed(model: Trained, condition: Any) -> list[Predictions]:
        return predict_changed(model, Change(condition, text, levels, model), resident(75), 70, 3)

    whole = changed(named(name), condition)
    if isinstance(condition, Shift):
        condition = Short(condition, 21)
    for one, other in zip(changed(short(named(name), 21), condition), whole, strict=True):
        same(one, other, atol=2e-5)
    assert not isinstance(condition, Short) or condition.failed


class Short(Shift):
    """A shift that runs out of memory with more than so many examples."""

    reference = "none"

    def __init__(self, shift: Shift, most: int) -> None:
        self.__dict__.update(shift=shift, most=most, failed=[])

    def __call__(self, inputs: Tensor, level: float, generator: Generator) -> Tensor:
        """Return the shifted inputs."""
        if len(inputs) > self.__dict__["most"]:
            self.__dict__["failed"].append(len(inputs))
            raise MemoryError
        return self.__dict__["shift"](inputs, level, generator)

    failed = property(lambda self: self.__dict__["failed"])


class Noise(nn.Module):
    """Outputs that are noise alone."""

    def __init__(self, draw: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.draw = draw

    def forward(self, inputs: Tensor) -> Tensor:
        """Return noise shaped (B, 10)."""
        return self.draw(inputs.flatten(1)[:, :10])


@dataclasses.dataclass(frozen=True)
class Drawing(Method):
    """A network whose outputs are what a function draws."""

    reference = "none"

    draw: Callable[[Tensor], Tensor] = torch.randn_like

    def build(self, task: Task) -> nn.Module:
        """Return the network."""
        net = Plugins().spec("method", "map").value.build(task)
        net.stages = nn.Sequential(net.stages[0], Noise(self.draw))
        return net


def permuted(x: Tensor) -> Tensor:
    """Return noise laid out in memory with the examples last."""
    return torch.empty(x.shape[1], len(x)).t().normal_()


PER_EXAMPLE: dict[str, Callable[[Tensor], Tensor]] = {
    "randn_like": torch.randn_like,
    "rand": lambda x: torch.rand(x.shape),
    "randint": lambda x: torch.randint(0, 9, (len(x), 10)).float(),
    "randint_like": lambda x: torch.randint_like(x, 7),
    "normal_": lambda x: torch.empty_like(x).normal_(),
    "uniform_": lambda x: torch.empty(len(x), 10, dtype=torch.float64).uniform_().float(),
    "exponential_": lambda x: torch.empty_like(x).exponential_(),
    "bernoulli_": lambda x: torch.empty_like(x).bernoulli_(0.3),
    "bernoulli": lambda x: torch.bernoulli(torch.full_like(x, 0.4)),
    "normal": lambda x: torch.normal(x, torch.ones_like(x)),
    "normal of a mean": lambda x: torch.normal(x, 2.0),
    "native_dropout": lambda x: torch.native_dropout(torch.ones_like(x), 0.4, True)[0],
    "dropout": lambda x: nn.functional.dropout(torch.ones_like(x), 0.4, True),
    "feature dropout": lambda x: nn.functional.dropout2d(
        torch.ones(len(x), 10, 2, 2), 0.4, True
    ).mean((2, 3)),
    "alpha dropout": lambda x: nn.functional.alpha_dropout(torch.ones_like(x), 0.4, True),
    "multinomial": lambda x: torch.multinomial(torch.ones(len(x), 20), 10).float(),
    "channels_last": lambda x: (
        torch.empty(len(x), 2, 5, 1).to(memory_format=torch.channels_last).normal_().flatten(1)
    ),
    "examples last": lambda x: torch.randn(2, 5, len(x)).permute(2, 0, 1).flatten(1),
    "permuted": permuted,
    "one number": lambda x: torch.randn(len(x), 1).expand(-1, 10) * torch.arange(10),
    "several": lambda x: (
        torch.randn_like(x) * torch.rand(len(x), 1)
        + torch.randn(10) * torch.randn(64, 10)[:10].sum()
    ),
    "vmap": lambda x: torch.vmap(lambda row: torch.randn_like(row), randomness="different")(x),
}


@pytest.mark.parametrize("most", [63, 2])
@pytest.mark.parametrize("name", PER_EXAMPLE)
def test_noise_to_the_last_bit(name: str, most: int) -> None:
    """The noise of examples is that of the whole block to the last bit, however torch is asked for it.

    Beside noise of the network, of a size that could be one of examples, which all parts share.
    """
    model = trained(Drawing(draw=PER_EXAMPLE[name]))
    with_parts = short(trained(Drawing(draw=PER_EXAMPLE[name])), most)
    whole = predict(model, resident(), 150, DRAWS, labelled=True)
    parts = predict(with_parts, resident(), 150, DRAWS, labelled=True)
    for array in whole.arrays:
        assert np.array_equal(whole[array], parts[array]), array
    assert whole["probs"].std() > 0


REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "poisson": lambda x: torch.poisson(x + 1),
    "permutation": lambda x: x[torch.randperm(len(x))],
    "examples together": lambda x: x - x.mean(0) + torch.randn_like(x),
    "one more": lambda x: torch.randn(len(x) + 1, 10)[1:],
    "example-major": lambda x: torch.randn(len(x) * 3, 10).unflatten(0, (len(x), 3)).sum(1),
    "by value": lambda x: torch.randn_like(x) if x[0, 0] > 0.5 else x + torch.randn(1),
    "by number": lambda x: torch.randn_like(x) + (torch.randn(1) if len(x) > 30 else 0),
    "numpy": lambda x: (
        torch.from_numpy(np.random.default_rng(0).normal(size=(len(x), 10))).float() + x[:1]
    ),
    "hidden": lambda x: hidden(x),
}


@torch.inference_mode()
def hidden(x: Tensor) -> Tensor:
    """Return noise in a mode in which dropout hides what it is made of."""
    return nn.functional.dropout(x, 0.5)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_where_it_would_be_wrong(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Where the noise or the outputs of one example depend on the others, memory has run out, with the reason."""
    model = short(trained(Drawing(draw=REFUSED[name])), 21)
    with pytest.raises(
        NotHalved, match=r"cannot be halved \(.+\): OutOfMemoryError: CUDA out of memory"
    ) as caught:
        predict(model, resident(), 150, DRAWS, labelled=True)
    assert is_out_of_memory(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["swag", "sgld"])
@pytest.mark.parametrize("most", [64, 9])
def test_noise_of_weights(name: str, most: int) -> None:
    """Weights that are drawn once a pass are the same for all parts, although their sizes are multiples of theirs."""

    def model() -> Trained:
        found = trained(Plugins((PLUGINS / f"{name}.py",)).spec("method", name).value)
        for buffer_name, buffer in found.nets[0].named_buffers():
            if buffer_name in ("second", "count") or buffer_name.startswith("kept_"):
                torch.manual_seed(len(buffer_name))
                buffer.copy_(
                    torch.rand(buffer.shape) / 5 if buffer.is_floating_point() else torch.tensor(5)
                )
        return found

    whole = predict(model(), resident(), 150, 6, labelled=True)
    same(predict(short(model(), most), resident(), 150, 6, labelled=True), whole)


def test_room_is_found_once() -> None:
    """Blocks after one that was halved are not tried whole again, and the memory of a failed attempt is let go of."""
    sizes = list[int]()
    alive = list[Any]()

    class Held:
        """A mark on what a failed attempt holds."""

    def draw(x: Tensor) -> Tensor:
        sizes.append(len(x) // 12 if len(x) % 12 == 0 else len(x))
        return torch.randn_like(x)

    model = trained(Drawing(draw=draw))
    tried = list[int]()

    def check(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        import weakref

        held = Held()
        assert all(mark() is None for mark in alive)
        tried.append(len(given[0]))
        if len(given[0]) > 40:
            alive.append(weakref.ref(held))
            raise MemoryError

    model.nets[0].stages[0].register_forward_pre_hook(check)
    predict(model, resident(384), 384, 2, labelled=True)
    assert tried == [128, 2, 4, 2, 2, 64, *[32] * 12]
    assert len(alive) == 2


@pytest.mark.parametrize(("most", "examples"), [(0, 1), (1, 2)])
def test_too_little_for_any_part(most: int, examples: int) -> None:
    """Where one example does not fit, or not two to hold parts against, it is the error that it was."""
    model = short(named("dropout"), most)
    with pytest.raises(torch.OutOfMemoryError, match=r"^CUDA out of memory: \d+ rows$"):
        predict(model, resident(), 150, DRAWS, labelled=True)
    with pytest.raises(torch.OutOfMemoryError, match=rf"^CUDA out of memory: {examples} rows$"):
        predict(model, resident(examples), examples, DRAWS, labelled=True)


def test_other_errors_are_not_taken_for_it() -> None:
    """What is not out of memory is raised as it is, from a part of a block too."""

    def draw(x: Tensor) -> Tensor:
        if len(x) > 12 * 64:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory"
            )
        if len(x) > 12 * 30:
            raise KeyError("of its own")
        return torch.randn_like(x)

    with pytest.raises(KeyError, match="of its own"):
        predict(trained(Drawing(draw=draw)), resident(), 150, DRAWS, labelled=True)


LIMITED = """
import resource, sys
import numpy as np, torch
from torch import nn
sys.path.insert(0, {tests!r})
from test_halving import Drawing, TASK, predict, resident, trained

def wide(x):
    return (x[:, :1] * torch.ones(1, 1_000_000)).cumsum(1)[:, -10:].sin() + torch.randn_like(x)

torch.set_num_threads(1)
model = trained(Drawing(draw=wide))
if sys.argv[1] == "limited":
    predict(trained(Drawing(draw=lambda x: x)), resident(), 5, 1, labelled=True)  # starts what takes memory once
    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + 600_000_000, resource.RLIM_INFINITY))
found = predict(model, resident(), 150, 2, labelled=True)
np.save(sys.argv[2], found["probs"])
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the address space is limited on Linux alone"
)
def test_memory_that_really_runs_out(tmp_path: Path) -> None:
    """In an address space too small for a block the predictions are those with all the memory there is."""
    script = tmp_path / "limited.py"
    script.write_text(LIMITED.format(tests=str(Path(__file__).parents[1])))
    said = []
    for how in ("limited", "free"):
        command = [sys.executable, script, how, tmp_path / f"{how}.npy"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        said.append(done.stderr)
    assert said == [SAID, ""]
    assert np.array_equal(np.load(tmp_path / "limited.npy"), np.load(tmp_path / "free.npy"))
