"""Each check fails on the plugin that breaks its promise, and on no other; the command tells so in a line."""

from __future__ import annotations

import textwrap
import unittest
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench_uq.api.errors import UsageError
from bench_uq.api.networks import NETWORKS
from bench_uq.cli import main
from bench_uq.plan.plugins import Plugins
from bench_uq.testing import Target, check_names, check_plugin, checks_in, checks_of, run
from bench_uq.testing.checks import Verdict
from bench_uq.testing.targets import targets

PLUGINS = Path(__file__).parents[1] / "plugins"

HEAD = """
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Attack, Categorical, Dataset, Examples, Gaussian, Method, MissingData, Shift, Task
"""

TORCH = f"""{HEAD}
import torch
from torch import nn
from torch.nn.functional import dropout

from bench_uq.api import Layers, Network, network, task_of
"""

METHOD = f'''{TORCH}
class Masked(nn.Module):
    """Dropout that stays on."""

    def forward(self, inputs):
        return dropout(inputs, 0.3, training=True)

LAYERS = Layers(before_dense=Masked)

@dataclass(frozen=True)
class Mine(Method):
    """A method that keeps its promises but one."""

    reference: ClassVar[str] = "Mine 2020, https://example.org"

    def build(self, task):
        return network(task, LAYERS)

'''

DATASET = f'''{HEAD}
def made(split, fold):
    rng = np.random.default_rng(["train", "test"].index(split))
    labels = np.arange(60) % 3
    return Examples(rng.random((60, 1, 12, 12), np.float32), labels)

@dataclass(frozen=True)
class Mine(Dataset):
    """Noise."""

    reference: ClassVar[str] = "https://example.org"

    def task(self, root):
        return Task((1, 12, 12), Categorical(3))

    def load(self, split, root, fold=0):
        return made(split, fold)

'''

SHIFT = f'''{TORCH}
@dataclass(frozen=True)
class Mine(Shift):
    """Noise."""

    reference: ClassVar[str] = "https://example.org"

    def __call__(self, inputs, level, generator):
        return (inputs + level * torch.randn(inputs.shape, generator=generator)).clamp(0, 1)

'''

ATTACK = f'''{TORCH}
@dataclass(frozen=True)
class Mine(Attack):
    """A gradient."""

    reference: ClassVar[str] = "https://example.org"

    def suits(self, task):
        return isinstance(task.likelihood, Categorical)

    def __call__(self, log_probs, inputs, targets, levels, generator):
        shown = inputs.detach().requires_grad_()
        loss = -torch.cat(list(log_probs(shown, 2))).logsumexp(0).gather(-1, targets[:, None]).sum()
        (gradient,) = torch.autograd.grad(loss, shown)
        return [(inputs + level * gradient.sign()).clamp(0, 1) for level in levels]

'''

NETWORK = """
import math
import torch
from torch import nn

def network(task, layers):
    inputs = math.prod(task.input_shape)
    return nn.Sequential(
        nn.Flatten(),
        layers.linear(inputs, 20),
        nn.ReLU(),
        layers.before_last(),
        layers.linear(20, task.likelihood.parameters),
    )
"""


METRIC = """
from bench_uq.api import Axis, Metric, Places

def mine(predictions, clean):
    return float(predictions["probs"].max(axis=1).mean())

METRIC = Metric(
    id="mine",
    title="mean confidence",
    compute=mine,
    direction="none",
    formula="mean_n max_k p(k|x_n)",
    reference="Mine 2020",
    needs=("probs",),
    shown=Places(levels=1),
    axis=Axis("confidence"),
)
"""


def body(text: str) -> str:
    """Return lines of a class's body."""
    return textwrap.indent(textwrap.dedent(text), "    ")


def target(folder: Path, text: str) -> Target:
    """Return the plugin in a file of this text."""
    (folder / "mine.py").write_text(text)
    (found,) = targets([str(folder / "mine.py")], None, (), folder)
    return found


def verdicts(found: Target) -> list[Verdict]:
    """Return how all checks of a plugin end."""
    return [run(check, subjects, found) for check, subjects in checks_of(found)]


def broken(folder: Path, text: str) -> dict[str, str]:
    """Return the reasons of the checks that fail, or have a note, on the plugin in a file of this text."""
    return {
        one.check.name: one.reason
        for one in verdicts(target(folder, text))
        if one.status in ("FAIL", "note")
    }


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
    "nonsense": "rate: float = 0.5",
    "frozen": "",
    "docstring": "",
    "reference": "",
    "spelling": """
        rate: float = 0.5

        def __post_init__(self):
            if not 0 <= self.rate <= 8:
                raise ValueError(f"rate is {self.rate}")
            object.__setattr__(self, "rate", self.rate * 2)
        """,
    "noise": "",
}

#: Replacements in the head, and text after the class, for what no body can break.
ELSEWHERE = {
    "frozen": ("", "", "Mine.__setattr__ = object.__setattr__"),
    "docstring": ('"""A method that keeps its promises but one."""', "", ""),
    "reference": ('"Mine 2020, https://example.org"', '" "', ""),
    "noise": (
        "dropout(inputs, 0.3, training=True)",
        "inputs * (torch.rand(inputs.shape[1:]) > 0.3)",
        "",
    ),
}


def bad_method(check: str) -> str:
    """Return the file of a method that breaks one promise."""
    before, after, end = ELSEWHERE.get(check, ("", "", ""))
    head = METHOD.replace(before, after) if before else METHOD
    return f"{head}{body(METHODS[check])}\n{end}\n"


@pytest.mark.parametrize("check", [check.name for check, _ in checks_in("method")])
def test_a_method_that_breaks_a_promise(check: str, tmp_path: Path) -> None:
    """A method that breaks one promise fails the check of this promise alone."""
    assert set(broken(tmp_path, bad_method(check))) == {check}


def test_sound_plugins(tmp_path: Path) -> None:
    """What the broken plugins are made of breaks nothing."""
    for index, text in enumerate((METHOD, DATASET, SHIFT, ATTACK, METRIC, NETWORK)):
        (folder := tmp_path / str(index)).mkdir()
        assert broken(folder, text) == {}


def changed(text: str, before: str, after: str) -> str:
    """Return a text with one replacement, which must be one."""
    assert before in text
    return text.replace(before, after)


INPUTS = "rng.random((60, 1, 12, 12), np.float32)"
DATASETS = {
    "cheap": ("import numpy as np", "import numpy as np\nimport sklearn"),
    "splits": (
        "    def task",
        '    splits: ClassVar[tuple[str, ...]] = ("test", "train")\n\n    def task',
    ),
    "unknown-split": ('["train", "test"].index(split)', 'split == "test"'),
    "task": ("Categorical(3))", "Categorical(3), (0.5,), (0.0,))"),
    "network": ("Categorical(3))", 'Categorical(3), network="lennet")'),
    "loads": (
        "return Examples(",
        "return Examples(" + INPUTS + "[1:], labels) if fold == 0 else Examples(",
    ),
    "inputs": (INPUTS, f"{INPUTS} * 255"),
    "targets": ("% 3", "% 4"),
    "arrays": ("return made(split, fold)", "return frozen(made(split, fold))"),
    "repeats": (
        'default_rng(["train", "test"].index(split))',
        'default_rng([None, ["train", "test"].index(split)][0])',
    ),
    "folds": (INPUTS, f"{INPUTS}.astype(np.float64 if fold else np.float32)"),
    "disjoint": ('["train", "test"].index(split)', '["train", "test"].index(split) * 0'),
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


@pytest.mark.parametrize(
    "check", [check.name for check, module in checks_in("dataset") if "datasets" in module.__name__]
)
def test_a_dataset_that_breaks_a_promise(check: str, tmp_path: Path) -> None:
    """A dataset that breaks one promise fails the check of this promise alone."""
    assert set(broken(tmp_path, changed(DATASET, *DATASETS[check]) + FROZEN)) == {check}


def test_arrays_that_a_dataset_keeps(tmp_path: Path) -> None:
    """A dataset that hands out the arrays that it keeps is told of: what a user does to them stays."""
    text = "from functools import cache\n" + changed(DATASET, "def made", "@cache\ndef made")
    assert set(broken(tmp_path, text)) == {"repeats"}


NOISE = "torch.randn(inputs.shape, generator=generator)"
CONDITIONS = {
    "suits": (
        ATTACK,
        "return isinstance(task.likelihood, Categorical)",
        "return isinstance(task.likelihood, Categorical) and 'yes'",
    ),
    "shape": (SHIFT, ".clamp(0, 1)", ".clamp(0, 1).double()"),
    "range": (SHIFT, ".clamp(0, 1)", ""),
    "zero": (ATTACK, "level * gradient", "(level + 0.01) * gradient"),
    "repeats": (
        SHIFT,
        NOISE,
        "torch.from_numpy(np.random.standard_normal(inputs.shape).astype(np.float32))",
    ),
    "levels": (ATTACK, "level * gradient", "level * torch.rand(1, generator=generator) * gradient"),
    "changes": (SHIFT, "inputs + level * " + NOISE, "inputs"),
    "alone": (
        ATTACK,
        "(gradient,) = torch.autograd.grad(loss, shown)",
        "loss.backward(); gradient = shown.grad",
    ),
}


@pytest.mark.parametrize(
    "check",
    [check.name for check, module in checks_in("condition") if "conditions" in module.__name__],
)
def test_a_condition_that_breaks_a_promise(check: str, tmp_path: Path) -> None:
    """An attack or a shift that breaks one promise fails the check of this promise alone."""
    assert set(broken(tmp_path, changed(*CONDITIONS[check]))) == {check}


def test_inputs_changed_in_place(tmp_path: Path) -> None:
    """A shift that changes the inputs that it is given is told of, as are its levels, which then depend on others."""
    text = changed(
        SHIFT,
        "(inputs + level * torch.randn(inputs.shape, generator=generator))",
        "inputs.mul_(0.9)",
    )
    assert set(broken(tmp_path, text)) == {"alone", "levels"}


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


@pytest.mark.parametrize("check", [check.name for check, _ in checks_in("metric")])
def test_a_metric_that_breaks_a_promise(check: str, tmp_path: Path) -> None:
    """A metric that breaks one promise fails the check of this promise alone."""
    assert set(broken(tmp_path, changed(METRIC, *METRICS[check]))) == {check}


def test_metrics_of_one_file(tmp_path: Path) -> None:
    """All metrics of a file are tested, each under its id."""
    text = changed(METRIC, "METRIC = Metric(", "METRICS = tuple(Metric(")
    text = text.replace('id="mine"', "id=name").rstrip(")\n") + '\n) for name in ("a", "b"))\n'
    (tmp_path / "two.py").write_text(text)
    found = targets([str(tmp_path / "two.py")], None, (), tmp_path)
    assert [(one.kind, one.name) for one in found] == [("metric", "a"), ("metric", "b")]


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


@pytest.mark.parametrize("check", [check.name for check, _ in checks_in("network")])
def test_a_network_that_breaks_a_promise(check: str, tmp_path: Path) -> None:
    """A network that breaks one promise fails the check of this promise alone."""
    assert set(broken(tmp_path, changed(NETWORK, *NETWORKS_BROKEN[check]) + MODULES)) == {check}


def test_layers_beside_those_given(tmp_path: Path) -> None:
    """A network with a layer of its own beside those that it is given gets a note, and passes."""
    found = verdicts(target(tmp_path, changed(NETWORK, FIRST, "nn.Linear(inputs, 20)")))
    assert [(one.check.name, one.status) for one in found if one.status != "ok"] == [
        ("layers", "note")
    ]


@pytest.mark.parametrize("name", ["lenet", "mlp"])
def test_networks_of_the_engine(name: str, tmp_path: Path) -> None:
    """The small networks of the engine keep every promise."""
    found = Target("network", name, Path(NETWORKS[name].__code__.co_filename), Plugins(), tmp_path)
    assert [(one.check.name, one.reason) for one in verdicts(found) if one.status != "ok"] == []


def invoke(*arguments: str) -> Result:
    """Run bench-uq test-plugin."""
    return CliRunner().invoke(main, ["test-plugin", *arguments])


def test_verdicts_in_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sound plugin gets a header, a line a check and a summary, exit 0, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(SHIFT)
    done = invoke("mine.py")
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0] == "condition mine"
    assert lines[-1] == f"mine: {len(lines) - 2} requirements, all hold"
    assert all(line.startswith("  ok ") for line in lines[1:-1])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_failures_in_words(tmp_path: Path) -> None:
    """A broken promise is FAIL with the reason under it, and exit 1."""
    (tmp_path / "mine.py").write_text(changed(SHIFT, ".clamp(0, 1)", ""))
    done = invoke(str(tmp_path / "mine.py"))
    lines = done.stdout.splitlines()
    at = next(index for index, line in enumerate(lines) if line.split()[0] == "FAIL")
    assert done.exit_code == 1
    assert lines[at].split()[1] == "range"
    assert lines[at + 1].strip().startswith("on inputs of 1x8x8: level 0.1 gives inputs in [")
    assert lines[-1].endswith("1 fail (range)")


def test_crashes_name_the_line(tmp_path: Path) -> None:
    """An exception is FAIL with its type, its words and the plugin's own line; --debug shows the traceback."""
    text = METHOD + body(
        "def finish(self, net, train, held_out):\n    raise KeyError('out of luck')\n"
    )
    (tmp_path / "mine.py").write_text(text)
    line = text.splitlines().index("        raise KeyError('out of luck')") + 1
    done = invoke(str(tmp_path / "mine.py"))
    assert done.exit_code == 1
    assert f"KeyError: 'out of luck' (mine.py, line {line}, in finish)" in done.stdout
    assert "Traceback" not in done.stdout
    debug = CliRunner().invoke(main, ["--debug", "test-plugin", str(tmp_path / "mine.py")])
    assert "Traceback" in debug.stdout


def test_what_plugins_print(tmp_path: Path) -> None:
    """What a plugin prints goes to stderr, at import and in checks; one that calls exit is a failure."""
    text = (
        changed(SHIFT, "        return (", "        print('chatter')\n        return (")
        + "\nprint('hello')\n"
    )
    (tmp_path / "mine.py").write_text(text)
    done = invoke(str(tmp_path / "mine.py"))
    assert done.exit_code == 0
    assert "chatter" not in done.stdout
    assert "hello" not in done.stdout
    assert "chatter" in done.stderr
    (tmp_path / "other.py").write_text(
        changed(SHIFT, "        return (", "        raise SystemExit(0)\n        return (")
    )
    done = invoke(str(tmp_path / "other.py"))
    assert done.exit_code == 1
    assert "SystemExit: 0 (other.py, line" in done.stdout


def test_missing_data_are_skipped(tmp_path: Path) -> None:
    """What needs data that are not there is skipped, not failed; the summary says why."""
    text = changed(
        DATASET, "return made(split, fold)", 'raise MissingData("mine", [root / "cats.bin"])'
    )
    (tmp_path / "mine.py").write_text(text)
    done = invoke(str(tmp_path / "mine.py"), "--data-dir", "nowhere")
    assert done.exit_code == 0
    assert "skipped: mine: missing nowhere/cats.bin (set --data-dir" in done.stdout.splitlines()[-1]
    assert "FAIL" not in done.stdout


def test_options_and_names(tmp_path: Path) -> None:
    """Names take options in brackets; --plugin brings more; a file may hold several kinds, --kind picks one."""
    (tmp_path / "mine.py").write_text(
        SHIFT + DATASET.removeprefix(HEAD).replace("class Mine", "class Cats")
    )
    file = str(tmp_path / "mine.py")
    assert invoke("fgsm[draws=2]").stdout.splitlines()[0] == "condition fgsm[draws=2]"
    assert (
        invoke("mine", "--plugin", file, "--kind", "condition").stdout.splitlines()[0]
        == "condition mine"
    )
    both = [
        line
        for line in invoke(file).stdout.splitlines()
        if line in ("dataset mine", "condition mine")
    ]
    assert sorted(both) == ["condition mine", "dataset mine"]


def test_a_task_that_a_method_refuses(tmp_path: Path) -> None:
    """A method for classes alone is not tried on real targets."""
    text = METHOD + body(
        "def suits(self, task): return isinstance(task.likelihood, Categorical)\n\n"
        "def draws(self, net, inputs, count):\n"
        "    assert inputs.dim() == 4, 'a table'\n"
        "    return super().draws(net, inputs, count)\n"
    )
    assert broken(tmp_path, text) == {}


@pytest.mark.parametrize("name", ["temperature", "swag", "sgld"])
def test_plugins_that_others_might_write(name: str) -> None:
    """Post-hoc scaling, weight averages and a sampler with snapshots pass."""
    done = invoke(str(PLUGINS / f"{name}.py"))
    assert done.exit_code == 0, done.stdout
    assert "skipped" not in done.stdout


def test_a_method_for_classes_alone(tmp_path: Path) -> None:
    """An exception on real targets alone is a note that names suits(task), not a failure."""
    (tmp_path / "mine.py").write_text(
        (PLUGINS / "temperature.py").read_text().replace("def suits", "def suited")
    )
    (found,) = targets([str(tmp_path / "mine.py")], None, (), Path())
    (note,) = (one for one in verdicts(found) if one.status != "ok")
    assert (note.check.name, note.status) == ("trains", "note")
    assert "suits(task) must return False" in note.reason


def test_from_pytest(tmp_path: Path) -> None:
    """A sound plugin passes, a broken one raises its reasons, and a check that cannot run skips."""
    (tmp_path / "mine.py").write_text(changed(SHIFT, ".clamp(0, 1)", ""))
    for check in set(check_names("condition")) - {"range"}:
        check_plugin(tmp_path / "mine.py", check)
    for only in ("range", ""):
        with pytest.raises(AssertionError, match=r"^mine: range: on inputs of 1x8x8: level"):
            check_plugin(tmp_path / "mine.py", only)
    with pytest.raises(UsageError, match="did you mean 'range'"):
        check_plugin(tmp_path / "mine.py", "rnage")

    (tmp_path / "other.py").write_text(changed(SHIFT, ".clamp(0, 1)", ".clamp(0, 1).double()"))
    with pytest.raises(unittest.SkipTest, match="'shape' fails"):
        check_plugin(tmp_path / "other.py", "range")


TWO = SHIFT + SHIFT.removeprefix(TORCH).replace("class Mine", "class Other")


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("", ["mnff"], "did you mean 'mnf'?"),
        ("", ["fgsm", "--kind", "method"], "unknown method 'fgsm'"),
        ("", ["mnf[flow=1]"], "did you mean 'flows'?"),
        ("", ["nope.py"], "no plugin file 'nope.py'"),
        ("", ["npz"], "say which"),
        ("", [], "NAME|FILE"),
        (
            "x = 1",
            ["mine.py"],
            "no Method, Dataset, Condition or Metric of its own, and no function network",
        ),
        ("1/0", ["mine.py"], "fails at import: ZeroDivisionError"),
        (METHOD.replace("def build", "def make"), ["mine.py"], "lacks build"),
        (
            METHOD.replace("@dataclass(frozen=True)\nclass Mine", "class Mine"),
            ["mine.py"],
            "put @dataclass",
        ),
        (f"{METHOD}    sizes: list = None\n", ["mine.py"], "of type list"),
        (f"{METHOD}    size: int = 0.5\n", ["mine.py"], "must be of type int"),
        (TWO, ["mine.py"], "must define one condition, it defines 2"),
        (SHIFT, ["mine.py", "--kind", "dataset"], "holds no dataset, it holds a condition"),
    ],
)
def test_mistakes(
    text: str, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be checked at all is told in one line, exit 2, before any check is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(text)
    done = invoke(*arguments)
    assert done.exit_code == 2, done.output
    assert words in done.output
    assert [line[:7] for line in done.output.splitlines()] == ["Error: "]
