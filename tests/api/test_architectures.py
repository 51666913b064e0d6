"""Networks of torchvision and timm: the numbers of these packages, and the layers of methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from bench_uq.api import Categorical, Gaussian, Task
from bench_uq.api.architecture_names import shown_network, with_weights
from bench_uq.api.architectures import require_weights
from bench_uq.api.errors import UsageError
from bench_uq.api.layers import Network, split
from bench_uq.api.task import Examples
from bench_uq.plan.plugins import Plugins
from bench_uq.train.posthoc import fit
from bench_uq.train.resident import Resident
from tests.cli.commands import done, invoke
from tests.of_classes import of_classes

NAME = "torchvision:resnet18"


def task(name: str, channels: int = 3, side: int = 32) -> Task:
    """Images of four classes."""
    return Task((channels, side, side), Categorical(4), (0.5,) * channels, (0.25,) * channels, name)


def built(name: str, method: str = "map", channels: int = 3) -> Network:
    """The untrained network of a method, in evaluation."""
    torch.manual_seed(0)
    net = Plugins().spec("method", method).value.build(task(name, channels))
    assert isinstance(net, Network)
    return net.eval()


def moved(model: nn.Module) -> nn.Module:
    """A model whose statistics of batch normalisation are not those of the start."""
    model.train()
    with torch.no_grad():
        model(torch.rand(8, 3, 32, 32))
    return model.eval()


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    """A ResNet-18 of torchvision for four classes."""
    torch.manual_seed(1)
    return moved(torchvision.models.resnet18(num_classes=4))


@pytest.fixture(scope="module")
def weights(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its state dict."""
    file = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_file(theirs.state_dict(), file)
    return file


@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:resnet18"])
def test_outputs_are_those_of_the_package(name: str) -> None:
    """With the same random numbers the features are those of the package, on normalised images."""
    package = name.partition(":")[0]
    torch.manual_seed(0)
    if package == "timm":
        model = timm.create_model("resnet18", num_classes=4)
    else:
        model = torchvision.models.get_model("resnet18", num_classes=4)
    images, net = torch.rand(2, 3, 32, 32), built(name)
    # The last layer is the method's own.
    model.fc.load_state_dict(net.stages[-1].state_dict())
    with torch.no_grad():
        expected = model.eval()((images - 0.5) / 0.25)
        torch.testing.assert_close(net(images), expected)


def test_weights_of_a_file(theirs: nn.Module, weights: Path) -> None:
    """A state dict gives the outputs of its model; grey images are repeated and resized."""
    images = torch.rand(2, 1, 8, 8)
    large = nn.functional.interpolate((images - 0.5) / 0.25, (40, 40), mode="bilinear")
    with torch.no_grad():
        expected = theirs(large.repeat(1, 3, 1, 1))
        net = built(f"{NAME}[size=40,weights={weights}]", channels=1)
        torch.testing.assert_close(net(images), expected)


def test_a_posterior_starts_at_the_weights(theirs: nn.Module, weights: Path) -> None:
    """Every dense layer and convolution of mean-field has the weights of the file as its mean."""
    net = built(f"{NAME}[weights={weights}]", "mean-field")
    exchanged = [part for part in net.modules() if hasattr(part, "weight_log_variance")]
    known = [part for part in theirs.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len(exchanged) == len(known) == 21
    for ours, one in zip(exchanged, known, strict=True):
        assert torch.equal(ours.weight, one.weight)


def test_a_frozen_network_trains_its_last_layer(theirs: nn.Module, weights: Path) -> None:
    """Two parameters; a step of training moves nothing else, not even batch normalisation."""
    name = f"{NAME}[weights={weights},frozen=true]"
    for method in ("map", "mnf"):
        net = built(name, method)
        plugin = Plugins().spec("method", method).value
        before = {key: value.clone() for key, value in net.state_dict().items()}
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        net.train()
        plugin.loss(net, torch.rand(8, 3, 32, 32), torch.arange(8) % 4, 100, 0.0).backward()
        optimizer.step()

        after = net.state_dict()
        changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
        assert changed == {key for key, _ in net.named_parameters()}
        assert all(key.startswith("stages.4.") for key in changed)

    plain = built(name)
    assert [tuple(one.shape) for one in plain.parameters()] == [(4, 512), (4,)]
    # The features are computed once for all draws.
    shared, drawn = split(built(name, "mean-field"))
    assert (len(shared), len(drawn)) == (4, 1)


@pytest.mark.parametrize("structure", ["kron", "diag"])
def test_laplace_of_all_layers_is_of_those_that_are_trained(
    structure: str, small: tuple[nn.Module, Path]
) -> None:
    """Of a frozen network that is the last one; nothing frozen has a posterior."""
    frozen = task(f"{SMALL}[size=32,weights={small[1]},frozen=true]")
    base = Plugins().spec("method", "map").value
    examples = Examples(np.random.default_rng(0).random((24, 3, 32, 32), "f"), np.arange(24) % 4)
    data = Resident(examples, torch.device("cpu"), 8)
    torch.manual_seed(0)
    values = nn.ModuleList([base.build(frozen)]).state_dict()

    drawn = []
    for layers in ("all", "last"):
        name = f"laplace[layers={layers},structure={structure},predictive=mc]"
        chain = [Plugins().spec("method", name).value, base]
        (net,) = fit(chain, frozen, (data, data), values, 0)
        torch.manual_seed(1)
        drawn.append(chain[0].draws(net, data.take(slice(0, 4))[0], 3))
    assert torch.equal(*drawn)
    assert drawn[0].std(0).min() > 0


def test_a_last_layer_for_other_classes_is_left(theirs: nn.Module, tmp_path: Path) -> None:
    """Pretrained for ten classes, features are taken and the last layer starts anew."""
    ten = moved(torchvision.models.resnet18(num_classes=10))
    save_file(ten.state_dict(), tmp_path / "ten.safetensors")
    net = built(f"{NAME}[weights={tmp_path / 'ten.safetensors'}]")
    model = net.stages[2].model
    assert torch.equal(model.conv1.weight, ten.conv1.weight)
    assert tuple(net.stages[-1].weight.shape) == (4, 512)


@pytest.mark.parametrize(
    ("name", "method", "told"),
    [
        ("torchvision:rsnet18", "map", "near it: resnet18"),
        ("timm:rsnet18", "map", "near it: resnet18"),
        ("torchvision:squeezenet1_0", "map", "ends in no dense layer"),
        ("torchvision:mobilenet_v2", "mean-field", "convolution in groups"),
        ("torchvision:vit_b_16[size=224]", "mean-field", "a NonDynamicallyQuantizableLinear"),
        ("torchvision:swin_t[size=64]", "mean-field", "without calling them"),
        ("timm:nf_resnet26", "mean-field", "a ScaledStdConv2d"),
        ("torchvision:googlenet", "map", "has outputs beside its last"),
        (f"{NAME}[weights=a,b.safetensors]", "map", "not of the form option=value"),
        (f"{NAME}[size=-1]", "map", "size must be at least 0"),
        (f"{NAME}[sise=8]", "map", "did you mean 'size'"),
        (f"{NAME}[frozen=true]", "map", "frozen needs weights"),
        (f"{NAME}[weights=mine.pth]", "map", "weights are a .safetensors file"),
        (f"{NAME}[weights=nowhere.safetensors]", "map", "no file 'nowhere.safetensors'"),
        ("torchvison:resnet18", "map", "unknown network"),
    ],
)
def test_mistakes(name: str, method: str, told: str) -> None:
    """Each is one line that says what is wrong."""
    with pytest.raises(UsageError, match=told) as caught:
        built(name, method)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    """Of another network, or damaged."""
    save_file(torchvision.models.resnet34().state_dict(), tmp_path / "other.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"12345678")
    for name, told in (("other", "does not fit the network"), ("damaged", "is damaged")):
        with pytest.raises(UsageError, match=told) as caught:
            built(f"{NAME}[weights={tmp_path / name}.safetensors]")
        assert "\n" not in str(caught.value)


def test_the_network_is_named_and_not_its_weights(tmp_path: Path) -> None:
    """An architecture without a dense layer is to blame, whatever file its weights come from."""
    save_file({"one": torch.ones(1)}, tmp_path / "some.safetensors")
    told = "^torchvision:squeezenet1_0 ends in no dense layer"
    with pytest.raises(UsageError, match=told):
        built(f"torchvision:squeezenet1_0[weights={tmp_path / 'some.safetensors'}]")


def test_tables_have_no_architecture() -> None:
    """These networks are for images."""
    table = Task((3,), Gaussian(), (0.0,), (1.0,), NAME)
    with pytest.raises(UsageError, match="is for images"):
        Plugins().spec("method", "map").value.build(table)


def test_from_the_command_line(tmp_path: Path) -> None:
    """Run, score, and tell the network by the name of its file; other weights are another run."""
    for name in ("one", "two"):
        model = moved(torchvision.models.resnet18(num_classes=10))
        save_file(model.state_dict(), tmp_path / f"{name}.safetensors")
    small = ("--seeds", "0", "--set", "epochs=1", "--set", "train_images=64", "--set")
    small = (*small, "attack_images=8", "--set", "test_images=40", "--set", "draws=2")

    def run(name: str) -> pd.DataFrame:
        network = f"{NAME}[weights={name}.safetensors,frozen=true]"
        command = ("run", "--methods", "map,laplace", "--network", network, "--device", "cpu")
        done(tmp_path, *command, *small)
        return pd.read_csv(tmp_path / "results/quick/runs.csv")

    first = run("one")
    assert list(first["network"]) == [f"{NAME}[weights=one.safetensors,frozen=true]"] * 2
    assert list(first["status"]) == ["ok", "ok"]
    assert str(tmp_path) not in (tmp_path / "results/quick/runs.csv").read_text()
    assert set(first["parameters"]) == {5130}

    assert len(run("one")) == 2
    # Others in the file, under its name or another's, are other networks.
    assert len(run("two")) == 4
    (tmp_path / "two.safetensors").replace(tmp_path / "one.safetensors")
    assert len(run("one")) == 6

    refused = invoke(
        tmp_path, "run", "--methods", "map", "--network", f"{NAME}[weights=x.safetensors]"
    )
    assert refused.exit_code == 2
    assert "no file" in refused.output
    assert refused.output.count("\n") == 1


SMALL = "timm:test_resnet"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """The smallest network of timm, whose statistics are not those of the start, and its file."""
    torch.manual_seed(2)
    model = moved(timm.create_model("test_resnet", num_classes=4))
    file = tmp_path_factory.mktemp("small") / "small.safetensors"
    save_file(model.state_dict(), file)
    return model, file


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("method", of_classes())
def test_every_method_has_the_weights_or_refuses(
    method: str, frozen: bool, small: tuple[nn.Module, Path]
) -> None:
    """Frozen, it trains the last layer alone; and statistics that are averaged anew stay."""
    model, file = small
    one = task(f"{SMALL}[size=32,weights={file},frozen={frozen}]".lower())
    plugin = Plugins().spec("method", method).value
    torch.manual_seed(0)
    net, refusal = None, ""
    try:
        net = plugin.build(one)
        require_weights(method, net, one)
    except UsageError as error:
        refusal = str(error)
    if refusal:
        assert method in {"packed", "mimo", "hmc"}, refusal

    if net is None or refusal or not frozen:
        return
    assert {name.partition(".")[2][:2] for name, _ in net.named_parameters()} <= {"3.", "4."}
    statistics = {name: value for name, value in model.state_dict().items() if "running" in name}
    torch.optim.swa_utils.update_bn([torch.rand(4, 3, 32, 32)], net)
    after = net.state_dict()
    for name, value in statistics.items():
        assert torch.equal(after[f"stages.2.model.{name}"], value)


def test_names_of_weights(weights: Path, tmp_path: Path) -> None:
    """Results name the file alone; a path that the name cannot hold is refused."""
    name = f"{NAME}[size=40,weights={weights}]"
    assert shown_network(name) == f"{NAME}[size=40,weights=mine.safetensors]"
    with pytest.raises(UsageError, match="a path with a comma"):
        with_weights(name, tmp_path / "a,b" / "mine.safetensors")
