"""Each check fails on a plugin that breaks its requirement, and on no other plugin."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_uq.api.networks import NETWORKS
from bench_uq.plan.plugins import Plugins
from bench_uq.testing import Target, check_names, checks_of, run
from bench_uq.testing.checks import Verdict
from bench_uq.testing.targets import targets

Sound = Callable[..., str]
PLUGINS = Path(__file__).parents[1] / "plugins"

#: More imports, for plugins that break a requirement.
IMPORTS = """
import numpy as np
import torch
from torch import nn
from bench_uq.api import Categorical, Layers, Network, network, task_of
"""


def target(folder: Path, text: str) -> Target:
    """The plugin in a file of this text."""
    (folder / "mine.py").write_text(text)
    (found,) = targets([str(folder / "mine.py")], None, (), folder)
    return found


def remarks(found: Target) -> list[Verdict]:
    """The verdicts on a plugin that are neither ok nor skipped."""
    verdicts = [run(check, subjects, found) for check, subjects in checks_of(found)]
    return [verdict for verdict in verdicts if verdict.status in ("FAIL", "note")]


def broken(folder: Path, text: str) -> list[str]:
    """The checks that fail, or have a note, on the plugin in a file of this text."""
    return sorted(verdict.check.name for verdict in remarks(target(folder, text)))


@pytest.mark.parametrize("kind", ["method", "dataset", "shift", "attack", "metric", "network"])
def test_sound_plugins(kind: str, tmp_path: Path, sound: Sound) -> None:
    """The plugins that the tests below change keep every requirement."""
    assert broken(tmp_path, sound(kind)) == []


#: Check -> lines of the class's body that break it.
METHODS = {
    "suits": "def suits(self, task): return None",
    "build": """
        def build(self, task):
            net = network(task, LAYERS)
            net.register_forward_hook(lambda module, inputs, outputs: outputs[:, :1])
            return net
        """,
    "optimiser": """
        def optimiser(self, net):
            return torch.optim.Adam(list(net.parameters())[:-1], lr=1e-3)
        """,
    "loss": """
        def loss(self, net, inputs, targets, size, progress):
            return -task_of(net).likelihood.log_prob(net(inputs), targets)
        """,
    "gradients": """
        def loss(self, net, inputs, targets, size, progress):
            norms = inputs.flatten(1).norm(dim=1) * list(net.parameters())[0].sum()
            return super().loss(net, inputs, targets, size, progress) + 1e-9 * norms.square().sqrt().mean()
        """,
    "loss-alone": """
        def loss(self, net, inputs, targets, size, progress):
            loss = super().loss(net, inputs, targets, size, progress)
            loss.backward(retain_graph=True)
            return loss
        """,
    "trains": "def finish(self, net, train, held_out): raise KeyError('out of luck')",
    "state": """
        def finish(self, net, train, held_out):
            net.register_buffer("temperature", torch.ones(()))
        """,
    "restores": """
        def finish(self, net, train, held_out):
            net.factor = 0.5

        def draws(self, net, inputs, count):
            draws = super().draws(net, inputs, count) * getattr(net, "factor", 1)
            return task_of(net).likelihood.normalise(draws)
        """,
    "learns": """
        def loss(self, net, inputs, targets, size, progress):
            return super().loss(net, inputs, targets, size, progress) * 1e-3

        def optimiser(self, net):
            return torch.optim.SGD(net.parameters(), lr=1e-3)
        """,
    "architecture": """
        def build(self, task):
            outputs = task.likelihood.parameters
            size = int(np.prod(task.input_shape))
            return Network(task, [nn.Flatten(), nn.Linear(size, 40), nn.ReLU(), nn.Linear(40, outputs)])
        """,
    "held-out": """
        def finish(self, net, train, held_out):
            targets = torch.cat([targets for _, targets in held_out])
            with torch.no_grad():
                list(net.parameters())[-1].add_(1e-6 * targets.double().mean())
        """,
    "draws": "def draws(self, net, inputs, count): return super().draws(net, inputs, count).transpose(0, 1)",
    "finite": "def draws(self, net, inputs, count): return super().draws(net, inputs, count).clamp_min(-1e9) / 0",
    "normalised": "def draws(self, net, inputs, count): return super().draws(net, inputs, count) + 0.1",
    "inference": """
        def draws(self, net, inputs, count):
            if torch.is_inference_mode_enabled():
                raise RuntimeError("gradients are needed")
            return super().draws(net, inputs, count)
        """,
    "differentiable": """
        @torch.no_grad()
        def draws(self, net, inputs, count): return super().draws(net, inputs, count)
        """,
    "reproduces": """
        def draws(self, net, inputs, count):
            draws = super().draws(net, inputs, count)
            noise = torch.from_numpy(np.random.standard_normal(draws.shape).astype(np.float32))
            return task_of(net).likelihood.normalise(draws + noise)
        """,
    "seeds": """
        def draws(self, net, inputs, count):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return super().draws(net, inputs, count)
        """,
    "mode": """
        def build(self, task):
            return network(task, Layers(before_dense=nn.Dropout))
        """,
    "history": """
        def loss(self, net, inputs, targets, size, progress):
            net.early = progress < 0.9
            return super().loss(net, inputs, targets, size, progress)

        def draws(self, net, inputs, count):
            factor = 0.5 if getattr(net, "early", False) else 1
            return task_of(net).likelihood.normalise(super().draws(net, inputs, count) * factor)
        """,
    "draws-alone": """
        def build(self, task):
            net = network(task, LAYERS)
            net.register_buffer("calls", torch.zeros(()))
            return net

        def draws(self, net, inputs, count):
            net.calls += 1
            return super().draws(net, inputs, count)
        """,
    "beside": """
        def beside(self, net, inputs, draws):
            return {"score": draws[0].amax(-1), "probs": draws.exp().mean(0)}
        """,
    "nonsense": "rate: float = 0.5",
    "spelling": """
        rate: float = 0.5

        def __post_init__(self):
            if not 0 <= self.rate <= 8:
                raise ValueError(f"rate is {self.rate}")
            object.__setattr__(self, "rate", self.rate * 2)
        """,
}

#: Check -> replacements, for what no line of the body can break.
METHOD_TEXTS = {
    "docstring": ('"""A sound method."""', ""),
    "reference": ('"Mine 2020, https://example.org"', '" "'),
    "noise": (
        "dropout(inputs, 0.3, training=True)",
        "inputs * (torch.rand(inputs.shape[1:]) > 0.3)",
    ),
}


def with_body(text: str, lines: str) -> str:
    """The text of a plugin whose class, at its end, has more lines."""
    return f"{IMPORTS}{text}\n{textwrap.indent(textwrap.dedent(lines), '    ')}\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"Score": draws[0, :, 0]}', "is called 'Score'"),
        ('{"score": draws[0, :3, 0]}', "the array 'score' beside the draws is (3,)"),
        ('{"score": draws[0, :, 0] / 0}', "the array 'score' beside the draws is not finite"),
    ],
)
def test_arrays_beside_the_draws(line: str, words: str, tmp_path: Path, sound: Sound) -> None:
    """Names, shapes and numbers are those of the contract."""
    text = with_body(sound("method"), f"def beside(self, net, inputs, draws): return {line}")
    (only,) = remarks(target(tmp_path, text))
    assert (only.check.name, words in only.reason) == ("beside", True), only.reason


@pytest.mark.parametrize("check", check_names("method"))
def test_a_broken_method(check: str, tmp_path: Path, sound: Sound) -> None:
    """A method that breaks one requirement fails its check alone."""
    if check == "frozen":
        text = sound("method") + "\n\nMine.__setattr__ = object.__setattr__\n"
    elif check in METHOD_TEXTS:
        text = IMPORTS + sound("method", METHOD_TEXTS[check])
    else:
        text = with_body(sound("method"), METHODS[check])
    assert broken(tmp_path, text) == [check]


INPUTS = "rng.random((60, 1, 12, 12), np.float32)"
INDEX = '["train", "test"].index(split)'
DATASETS = {
    "cheap": ("import numpy as np", "import numpy as np\nimport sklearn"),
    "splits": (
        "    def task",
        '    splits: ClassVar[tuple[str, ...]] = ("test", "train")\n\n    def task',
    ),
    "unknown-split": (INDEX, 'split == "test"'),
    "task": ("Categorical(3))", "Categorical(3), (0.5,), (0.0,))"),
    "network": ("Categorical(3))", 'Categorical(3), network="lennet")'),
    "loads": (
        "return Examples(",
        f"return Examples({INPUTS}[1:], labels) if fold == 0 else Examples(",
    ),
    "inputs": (INPUTS, f"{INPUTS} * 255"),
    "targets": ("% 3", "% 4"),
    "arrays": ("return made(split, fold)", "return frozen(made(split, fold))"),
    "repeats": (f"default_rng({INDEX})", f"default_rng([None, {INDEX}][0])"),
    "folds": (INPUTS, f"{INPUTS}.astype(np.float64 if fold else np.float32)"),
    "disjoint": (INDEX, f"{INDEX} * 0"),
    "classes": ("% 3", '% (2 if split == "train" else 3)'),
    "files": (
        "    def task",
        '    def files(self, root):\n        return [root / "nowhere"]\n\n    def task',
    ),
}
FROZEN = """
def frozen(examples):
    examples.inputs.flags.writeable = False
    return examples
"""
OPTIONS = {"docstring", "reference", "frozen", "nonsense", "spelling"}  # tested with methods


@pytest.mark.parametrize("check", [name for name in check_names("dataset") if name not in OPTIONS])
def test_a_broken_dataset(check: str, tmp_path: Path, sound: Sound) -> None:
    """A dataset that breaks one requirement fails its check alone."""
    assert broken(tmp_path, sound("dataset", DATASETS[check]) + FROZEN) == [check]


def test_arrays_that_a_dataset_keeps(tmp_path: Path, sound: Sound) -> None:
    """A dataset that returns its stored arrays fails: changes by a user stay in them."""
    text = "from functools import cache\n" + sound("dataset", ("def made", "@cache\ndef made"))
    assert broken(tmp_path, text) == ["repeats"]


NOISE = "torch.randn(inputs.shape, generator=generator)"
SUITS = "return isinstance(task.likelihood, Categorical)"
CONDITIONS = {
    "suits": ("attack", SUITS, f"{SUITS} and 'yes'"),
    "words": ("shift", "    def __call__", "    unit = 'a\\nb'\n\n    def __call__"),
    "shape": ("shift", ".clamp(0, 1)", ".clamp(0, 1).double()"),
    "range": ("shift", ".clamp(0, 1)", ""),
    "zero": ("attack", "level * gradient", "(level + 0.01) * gradient"),
    "repeats": (
        "shift",
        NOISE,
        "torch.from_numpy(np.random.standard_normal(inputs.shape).astype(np.float32))",
    ),
    "levels": (
        "attack",
        "level * gradient",
        "level * torch.rand(1, generator=generator) * gradient",
    ),
    "changes": ("shift", f"inputs + level * {NOISE}", "inputs"),
    "alone": (
        "attack",
        "(gradient,) = torch.autograd.grad(loss, shown)",
        "loss.backward(); gradient = shown.grad",
    ),
}


@pytest.mark.parametrize(
    "check", [name for name in check_names("condition") if name not in OPTIONS]
)
def test_a_broken_condition(check: str, tmp_path: Path, sound: Sound) -> None:
    """An attack or a shift that breaks one requirement fails its check alone."""
    kind, old, new = CONDITIONS[check]
    assert broken(tmp_path, IMPORTS + sound(kind, (old, new))) == [check]


def test_inputs_changed_in_place(tmp_path: Path, sound: Sound) -> None:
    """A shift that changes the given inputs fails, as do its levels, which then affect another."""
    text = sound("shift", (f"(inputs + level * {NOISE})", "inputs.mul_(0.9)"))
    assert broken(tmp_path, text) == ["alone", "levels"]


MEAN = 'predictions["probs"].max(axis=1).mean()'
METRICS = {
    "card": ('formula="mean_n max_k p(k|x_n)"', 'formula=" "'),
    "places": ('    axis=Axis("confidence"),\n', ""),
    "needs": ('needs=("probs",)', 'needs=("probs", "logits")'),
    "finite": (MEAN, f"{MEAN} - 2"),
    "repeats": (MEAN, f"{MEAN} - __import__('random').random() / 9"),
    "nan": ('predictions["probs"].max(axis=1)', 'predictions["probs"][:1].max(axis=1)'),
    "alone": (
        f"    return float({MEAN})",
        f'    predictions["probs"].sort(axis=1)\n    return float({MEAN})',
    ),
}


@pytest.mark.parametrize("check", check_names("metric"))
def test_a_broken_metric(check: str, tmp_path: Path, sound: Sound) -> None:
    """A metric that breaks one requirement fails its check alone."""
    assert broken(tmp_path, sound("metric", METRICS[check])) == [check]


FIRST = "layers.linear(inputs, 20)"
NETWORKS_BROKEN = {
    "builds": (FIRST, "layers.linear(inputs + 1, 20)"),
    "layers": ("layers.linear", "nn.Linear"),
    "still": ("nn.ReLU()", "Noisy()"),
    "restores": (FIRST, f"{FIRST}, Hidden()"),
    "gradients": (FIRST, f"{FIRST}, Idle()"),
    "draws": (FIRST, f"{FIRST}, Trap()"),
}
MODULES = """
class Noisy(nn.Module):
    def forward(self, inputs):
        return inputs + 0.1 * torch.randn_like(inputs)

class Hidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = torch.rand(())

    def forward(self, inputs):
        return inputs * self.factor

class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, inputs):
        return inputs

class Trap(nn.Module):
    def forward(self, inputs):
        return inputs / (not torch.is_inference_mode_enabled())
"""


@pytest.mark.parametrize("check", check_names("network"))
def test_a_broken_network(check: str, tmp_path: Path, sound: Sound) -> None:
    """A network that breaks one requirement fails its check alone."""
    text = sound("network", NETWORKS_BROKEN[check])
    assert broken(tmp_path, f"import torch\n{text}{MODULES}") == [check]


def test_a_network_that_ends_in_a_softmax(tmp_path: Path, sound: Sound) -> None:
    """Probabilities in place of logits fail the check of the outputs, on the task of classes."""
    last = "task.likelihood.parameters),"
    found = remarks(target(tmp_path, sound("network", (last, f"{last} nn.Softmax(1),"))))
    assert [(one.check.name, one.status) for one in found] == [("builds", "FAIL")]
    assert "leave out its last softmax" in found[0].reason


def test_layers_beside_those_given(tmp_path: Path, sound: Sound) -> None:
    """A layer of the network's own beside the given layers is a note."""
    found = remarks(target(tmp_path, sound("network", (FIRST, "nn.Linear(inputs, 20)"))))
    assert [(one.check.name, one.status) for one in found] == [("layers", "note")]


@pytest.mark.parametrize("name", ["lenet", "mlp"])
def test_networks_of_the_engine(name: str, tmp_path: Path) -> None:
    """The small networks of the engine keep every requirement."""
    file = Path(NETWORKS[name].__code__.co_filename)
    assert remarks(Target("network", name, file, Plugins(), tmp_path)) == []


def test_a_task_that_a_method_refuses(tmp_path: Path, sound: Sound) -> None:
    """A method for classes alone is not tried on real targets."""
    lines = """
        def suits(self, task):
            return isinstance(task.likelihood, Categorical)

        def draws(self, net, inputs, count):
            assert inputs.dim() == 4, "a table"
            return super().draws(net, inputs, count)
        """
    assert broken(tmp_path, with_body(sound("method"), lines)) == []


def test_a_method_for_classes_alone(tmp_path: Path) -> None:
    """An exception on real targets alone is a note that names suits(task), not a failure."""
    text = (PLUGINS / "my_temperature.py").read_text().replace("def suits", "def suited")
    (note,) = remarks(target(tmp_path, text))
    assert (note.check.name, note.status) == ("trains", "note")
    assert "suits(task)" in note.reason
