"""The networks that tasks, suites and users name, built from the layers of any method."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load
from torch import nn

from bench_uq.api import Categorical, Gaussian, Layers, Network, Task
from bench_uq.api.errors import UsageError, one_line
from bench_uq.api.layers import split
from bench_uq.api.networks import NETWORKS, check_network, lenet_wide, network, resnet18
from bench_uq.plan.plugins import Plugins
from bench_uq.train.state import stored
from tests.of_classes import of_classes

COLOUR = Task((3, 32, 32), Categorical(10), (0.5,) * 3, (0.25,) * 3, "resnet18")
TINY = Task((1, 8, 8), Categorical(4), (0.3,), (0.4,), "resnet18")

WIDE = """
from torch import nn

def network(task, layers):
    \"\"\"A network of a user: any module, from the layers it is given.\"\"\"
    width = 64
    return nn.Sequential(
        nn.Flatten(), layers.linear(width, 30), nn.Tanh(), layers.before_dense(),
        layers.linear(30, task.likelihood.parameters),
    )
"""

SHARED = """
from torch import nn

class Tied(nn.Module):
    def __init__(self, task, layers):
        super().__init__()
        self.first, self.block = layers.linear(64, 9), layers.linear(9, 9)
        self.a, self.b = nn.Linear(9, 9), nn.Linear(9, 9)
        TIE
        self.drop, self.last = layers.before_last(), layers.linear(9, task.likelihood.parameters)

    def forward(self, x):
        x = self.block(self.first(x.flatten(1)).relu()).relu()
        x = self.again(self.b(self.a(x).relu())).relu()
        return self.last(self.drop(x))

def network(task, layers):
    return Tied(task, layers)
"""


def test_every_network_describes_itself() -> None:
    """No two networks have one description, and none has that of functools.partial."""
    texts = [build.__doc__ or "" for build in NETWORKS.values()]
    assert all(texts)
    assert len(set(texts)) == len(texts)
    assert not [text for text in texts if "partial(" in text]


@pytest.mark.parametrize(("name", "width"), [("mlp-32", 32), ("mlp-50", 50)])
def test_small_dense_networks(name: str, width: int) -> None:
    """The number in the name is the width of the one hidden layer."""
    built = network(Task((3,), Gaussian(), (0.0,), (1.0,), name))
    dense = [module for module in built.modules() if isinstance(module, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in dense] == [(3, width), (width, 2)]


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Return the file of a user's network."""
    file = tmp_path / "wide.py"
    file.write_text(WIDE)
    return file


def built(task: Task, method: str = "map") -> nn.Module:
    """Return a method's untrained network."""
    torch.manual_seed(0)
    net = Plugins().spec("method", method).value.build(task)
    net.task = task
    return net


def test_resnet18_has_the_known_size() -> None:
    """With ten classes and a 3x3 stem ResNet-18 has 11,173,962 parameters, as published codes for
    CIFAR-10 count.
    """
    assert sum(weights.numel() for weights in resnet18(COLOUR, Layers()).parameters()) == 11_173_962


def test_lenet_wide_has_the_known_weights() -> None:
    """The LeNet for CIFAR has 192-192-1000 units: 5,747,394 parameters for ten classes of 3x32x32
    images.
    """
    weights = list(lenet_wide(COLOUR, Layers()).parameters())
    shapes = [tuple(values.shape) for values in weights if values.dim() > 1]
    assert shapes == [(192, 3, 5, 5), (192, 192, 5, 5), (1000, 4800), (10, 1000)]
    assert sum(values.numel() for values in weights) == 5_747_394


def test_lenet_small_keeps_its_widths_on_small_images() -> None:
    """6-12-24 units at every size, where lenet itself shrinks under 16 pixels."""
    for size, kernel, flat in ((8, 3, 48), (28, 5, 192)):
        task = Task((1, size, size), Categorical(10), network="lenet-small")
        weights = [values for values in network(task).parameters() if values.dim() > 1]
        shapes = [tuple(values.shape) for values in weights]
        assert shapes[0] == (6, 1, kernel, kernel)
        assert shapes[2:] == [(24, flat), (10, 24)]


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 16, 40)])
def test_lenet_wide_takes_images_from_16(shape: tuple[int, ...]) -> None:
    """Images of at least 16x16 have an output for each class."""
    check_network(Task(shape, Categorical(4), network="lenet-wide"))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 15), (3, 15, 32)])
def test_lenet_wide_refuses_small_images(shape: tuple[int, ...]) -> None:
    """Smaller images are refused in one line with their size, where lenet would shrink without a
    word.
    """
    with pytest.raises(UsageError) as caught:
        check_network(Task(shape, Categorical(4), network="lenet-wide"))
    assert (
        str(caught.value)
        == f"lenet-wide is for images of at least 16x16, not {shape[1]}x{shape[2]}"
    )


def test_resnet18_computes_what_torchvision_does() -> None:
    """With its weights carried over, and its stem exchanged, torchvision's ResNet-18 gives the same
    outputs.
    """
    from torchvision.models import resnet18 as reference

    theirs = reference(num_classes=10)
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    ours = resnet18(COLOUR, Layers())
    mine = {
        name: value for name, value in ours.state_dict().items() if not name.startswith("stages.0.")
    }
    pairs = zip(mine.items(), theirs.state_dict().values(), strict=True)
    carried = {name: source.clone() for (name, _), source in pairs}
    ours.load_state_dict(carried, strict=False)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            ours.eval()(images), theirs.eval()((images - 0.5) / 0.25), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("method", of_classes())
@pytest.mark.parametrize("file", [False, True])
def test_every_method_takes_every_network(method: str, file: bool, wide: Path) -> None:
    """ResNet-18 and a user's network are built, trained a step and drawn from by every method that
    does not refuse so many weights.
    """
    task = Task(
        TINY.input_shape, TINY.likelihood, TINY.mean, TINY.std, str(wide) if file else "resnet18"
    )
    plugin = Plugins().spec("method", method).value
    # Eleven million weights may be too many; of a user's network nobody knows.
    net, refusal = None, ""
    try:
        net = built(task, method)
    except UsageError as error:
        refusal = str(error)
    if net is None:
        assert "11,169,732 parameters" in refusal
        return
    images, labels = torch.rand(6, 1, 8, 8), torch.arange(6) % 4

    net.train()
    plugin.loss(net, images, labels, 100, 0.0).backward()
    assert all(
        weights.grad is not None and weights.grad.isfinite().all() for weights in net.parameters()
    )

    with torch.inference_mode():
        draws = plugin.draws(net.eval(), images, 3)
    assert draws.shape[1:] == (6, 4)
    torch.testing.assert_close(draws.exp().sum(-1), torch.ones(draws.shape[:2]))


@pytest.mark.parametrize("method", of_classes())
@pytest.mark.parametrize(
    "tie", ["self.again = self.block", "self.again = self.b; self.b.weight = self.a.weight"]
)
def test_shared_values_are_stored_and_restored(method: str, tie: str, tmp_path: Path) -> None:
    """A layer registered twice, or a weight of two layers, is stored and restored as it was."""
    (tmp_path / "mine.py").write_text(SHARED.replace("TIE", tie))
    task = dataclasses.replace(TINY, network=str(tmp_path / "mine.py"))
    plugin, net, images = (
        Plugins().spec("method", method).value,
        built(task, method),
        torch.rand(3, 1, 8, 8),
    )
    with torch.no_grad():
        for values in net.parameters():
            values.add_(0.1)
    restored = built(task, method)
    restored.load_state_dict(load(stored(net)), strict=True)

    assert len(list(restored.parameters())) == len(list(net.parameters()))
    draws = []
    for one in (net, restored):
        torch.manual_seed(0)
        with torch.inference_mode():
            draws.append(plugin.draws(one.eval(), images, 2))
    assert draws[0].equal(draws[1])


def test_an_error_always_has_a_reason() -> None:
    """Empty lines at the start of a message are no reason; without a message its type is one."""
    assert one_line(RuntimeError("\n  Some tensors share memory\nmore")) == (
        "RuntimeError: Some tensors share memory"
    )
    assert one_line(AssertionError()) == "AssertionError"


def test_batch_normalisation_is_still_when_predicting() -> None:
    """The prediction for an image does not depend on the others in its batch."""
    net = built(TINY).eval()
    images = torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(net(images)[:1], net(images[:1]), rtol=1e-4, atol=1e-5)


def test_deterministic_residual_blocks_run_once() -> None:
    """Under MC-dropout only what follows the last pooling of ResNet-18 runs once a draw."""
    before, after = split(built(TINY, "dropout"))
    assert len(after) == 2
    assert sum(weights.numel() for weights in before.parameters()) > 11_000_000
    assert len(split(built(TINY, "mean-field"))[0]) == 1  # its first convolution draws


@pytest.mark.parametrize(("shape", "name"), [((1, 8, 8), "Conv2d"), ((5,), "Linear")])
def test_default_network(shape: tuple[int, ...], name: str) -> None:
    """A task that names no network gets LeNet for images and the MLP for features."""
    net = network(Task(shape, Categorical(3), (0.5,), (0.5,)))
    assert type(net.stages[1 if len(shape) == 3 else 2]).__name__ == name


def test_network_of_a_user_gets_scaled_inputs_and_likelihood(wide: Path) -> None:
    """A plain module is put between the normalised inputs and the likelihood's scale."""
    net = network(Task((64,), Gaussian(100.0, 5.0), (0.5,), (0.5,), str(wide)))
    assert isinstance(net, Network)
    with torch.no_grad():
        net.stages[-1][-1].weight.zero_()
        net.stages[-1][-1].bias.zero_()
        assert net(torch.rand(2, 64))[:, 0].tolist() == [100.0, 100.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", r"holds no function network\(task, layers\)"),
        ("from bench_uq.api import network", r"holds no function network\(task, layers\)"),
        ("import nothing_of_that_name", "fails at import: ModuleNotFoundError"),
        (
            "def network(task):\n    return 1",
            "network 'mine.py' fails on inputs of 1x8x8: TypeError",
        ),
        (
            WIDE.replace("width = 64", "width = 63"),
            "network 'mine.py' fails on inputs of 1x8x8: RuntimeError",
        ),
        (
            WIDE.replace("task.likelihood.parameters", "7"),
            r"network 'mine.py' puts out \(2, 7\) for 2 inputs",
        ),
        ("def network(task, layers):\n    return None", "network 'mine.py' fails"),
        (
            WIDE.replace("parameters),", "parameters), nn.Softmax(1),"),
            "network 'mine.py' puts out probabilities .* leave out its last softmax",
        ),
    ],
)
def test_mistakes_in_a_network_are_told(text: str, words: str, tmp_path: Path) -> None:
    """A file that gives no network for the task is a mistake told in one line, before anything is
    trained.
    """
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        check_network(Task((1, 8, 8), Categorical(4), network=str(file)))
    assert "\n" not in str(caught.value)


def test_a_last_log_softmax_is_harmless(tmp_path: Path) -> None:
    """Log-probabilities are logits."""
    file = tmp_path / "mine.py"
    file.write_text(WIDE.replace("parameters),", "parameters), nn.LogSoftmax(1),"))
    check_network(Task((1, 8, 8), Categorical(4), network=str(file)))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet18", "network 'resnet18' fails on inputs of 5"),
        ("lenet-wide", "images of at least 16x16, not 5$"),
    ],
)
def test_images_alone_for_convolutions(name: str, words: str) -> None:
    """A network of convolutions on a table of features is refused in one line."""
    with pytest.raises(UsageError, match=words):
        check_network(Task((5,), Gaussian(), network=name))
