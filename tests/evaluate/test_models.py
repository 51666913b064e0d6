"""Trained models are evaluated as methods are, and given back as they were."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import bench_uq
from bench_uq.api.errors import UsageError
from bench_uq.datasets.digits import Digits
from bench_uq.evaluate import networks
from bench_uq.evaluate.models import levels_of

MEAN, STD = 0.3, 0.4


class Net(nn.Module):
    """Two layers with dropout and batch norm, on 8x8 digits."""

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3)
        )
        self.last = nn.Linear(32, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, outputs)."""
        return self.last(self.layers(inputs))


def arrays(split: str) -> tuple[Tensor, Tensor]:
    """Digits as tensors in [0, 1]."""
    examples = Digits().load(split, Path("data"))
    inputs = torch.tensor(examples.inputs).float()
    return inputs / 255 if examples.inputs.dtype == np.uint8 else inputs, torch.tensor(
        examples.targets
    )


def trained(inputs: Tensor, labels: Tensor, seed: int = 0) -> Net:
    """A network after 40 steps."""
    torch.manual_seed(seed)
    net = Net()
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(40):
        adam.zero_grad()
        nn.functional.cross_entropy(net(inputs), labels).backward()
        adam.step()
    return net.eval()


@pytest.fixture(scope="module")
def net() -> Net:
    """A network on pixels."""
    return trained(*arrays("train"))


@pytest.fixture(scope="module")
def normalised() -> Net:
    """A network on normalised pixels."""
    inputs, labels = arrays("train")
    return trained((inputs - MEAN) / STD, labels)


def evaluate(model, dataset="digits", **options):
    """Scores with few resamples, on the CPU."""
    return bench_uq.evaluate(model, dataset, resamples=2, **{"device": "cpu", **options})


class Softmax(nn.Module):
    """A network that returns probabilities."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: Tensor) -> Tensor:
        """Probabilities (B, C)."""
        return self.net(inputs).softmax(-1)


def test_clean_scores_are_those_of_its_probabilities(net: Net) -> None:
    """A model scores as its own probabilities do; logits, log-probabilities and softmax agree."""
    inputs, labels = arrays("test")
    with torch.no_grad():
        probs = net(inputs).softmax(-1)
    expected = bench_uq.evaluate(probs, labels, resamples=2)
    log_softmax = nn.Sequential(net, nn.LogSoftmax(-1))
    for model in (net, Softmax(net), log_softmax):
        found = evaluate(model)
        for metric in ("accuracy", "nll", "ece", "brier", "entropy"):
            assert found[metric] == pytest.approx(expected[metric], abs=1e-5), metric


def test_fgsm_by_hand(net: Net) -> None:
    """FGSM moves each pixel by epsilon along the sign of the gradient; epsilon 0 is clean."""
    scores = evaluate(net, conditions={"fgsm": [0, 0.1]})
    inputs, labels = arrays("test")
    inputs = inputs.requires_grad_()
    nn.functional.cross_entropy(net(inputs), labels).backward()
    assert inputs.grad is not None
    attacked = (inputs + 0.1 * inputs.grad.sign()).clamp(0, 1)
    expected = float((net(attacked).argmax(-1) == labels).float().mean())
    assert scores.at("accuracy", "fgsm", 0.1).value == pytest.approx(expected, abs=0.006)
    assert scores.at("nll", "fgsm", 0.0).value == scores["nll"]
    assert expected < scores["accuracy"] - 0.2


def test_attacks_act_on_pixels(normalised: Net) -> None:
    """With mean and std the attack is that of a network that normalises its pixels itself."""

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = normalised

        def forward(self, inputs: Tensor) -> Tensor:
            return self.net((inputs - MEAN) / STD)

    asked = {"conditions": {"fgsm": [0.1], "rotate": [30]}, "draws": 2}
    expected = evaluate(Whole(), **asked)
    found = evaluate(normalised, mean=[MEAN], std=[STD], **asked)
    for place in (("fgsm", 0.1), ("rotate", 30)):
        assert found.at("nll", *place).value == pytest.approx(
            expected.at("nll", *place).value, rel=1e-3
        )
    largest = next(one.predictions["distance"] for one in found.shown if one.level == 0.1)
    assert largest.max() == pytest.approx(0.1, abs=1e-6)


def test_attacks_on_normalised_inputs_are_refused(normalised: Net) -> None:
    """Inputs outside [0, 1] are no pixels: the error says where the normalisation belongs."""
    inputs, labels = arrays("test")
    data = ((inputs - MEAN) / STD, labels)
    assert evaluate(normalised, data)["accuracy"] > 0.9
    with pytest.raises(ValueError, match="Leave Normalize out of the dataset, and give its mean="):
        evaluate(normalised, data, conditions={"fgsm": [0.1]})
    with pytest.raises(ValueError, match="would be normalised twice"):
        evaluate(normalised, data, mean=MEAN, std=STD)
    with pytest.raises(ValueError, match="divide them by 255"):
        evaluate(normalised, (255 * inputs, labels), conditions={"fgsm": [0.1]})


def test_mc_dropout_leaves_batch_norm_still(net: Net) -> None:
    """Only dropout layers draw; the model, its modes and its buffers come back as they were."""
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.layers[2].train()
    scores = evaluate(net, mc_dropout=True, draws=10)
    assert net.layers[2].training
    assert not net.layers[4].training
    net.eval()
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name

    assert scores.shown[0].draws == 10
    assert scores["epistemic"] > 0.005
    assert evaluate(net, draws=10)["epistemic"] == 0
    assert evaluate(net, mc_dropout=True, draws=10)["nll"] == scores["nll"]


def test_a_model_in_training_mode(net: Net) -> None:
    """It is evaluated in evaluation mode, which the table says, and stays in training mode."""
    expected = evaluate(net)["nll"]
    net.train()
    scores = evaluate(net)
    assert net.training
    net.eval()
    assert scores["nll"] == expected
    assert "was in training mode" in str(scores)


def test_an_ensemble_averages_probabilities(net: Net) -> None:
    """A list is an ensemble: the mean of its members' probabilities, one draw each."""
    other = trained(*arrays("train"), seed=1)
    scores = evaluate([net, other], conditions={"fgsm": [0.1]}, attack_images=50)
    inputs, labels = arrays("test")
    with torch.no_grad():
        draws = torch.stack([one(inputs).softmax(-1) for one in (net, other)])
    assert scores["nll"] == pytest.approx(bench_uq.evaluate(draws, labels)["nll"], rel=1e-4)
    assert scores.shown[0].draws == 2
    assert scores.at("accuracy", "fgsm", 0.1).examples == 50


def test_a_function_of_draws(net: Net) -> None:
    """Anything else is a function (inputs, draws) -> (S, B, C), attacked through its gradient."""

    def several(inputs: Tensor, draws: int) -> Tensor:
        return torch.stack([net(inputs + 0.01 * index) for index in range(draws)])

    scores = evaluate(several, conditions={"fgsm": [0.1]}, draws=3, attack_images=50)
    assert scores.shown[0].draws == 3
    assert scores.name == "several"
    assert scores.at("accuracy", "fgsm", 0.1).value < scores["accuracy"]

    def numbers(inputs: Tensor, draws: int) -> np.ndarray:
        return several(inputs, draws).detach().numpy()

    assert evaluate(numbers, draws=3)["nll"] == pytest.approx(scores["nll"], rel=1e-5)
    with pytest.raises(ValueError, match="have no gradient in its inputs"):
        evaluate(numbers, conditions={"fgsm": [0.1]})
    with pytest.raises(ValueError, match=r"not \(S, B, C\)"):
        evaluate(lambda inputs, draws: net(inputs))


class Items(torch.utils.data.Dataset):
    """Items of any form."""

    def __init__(self, items: list) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int):
        return self.items[index]


def test_every_form_of_dataset(net: Net) -> None:
    """A dataset by name, a tuple, a torch Dataset, a loader and rows with columns agree."""
    inputs, labels = arrays("test")
    pairs = list(zip(inputs, labels.tolist(), strict=True))
    rows = [{"image": one, "label": label} for one, label in pairs]
    forms = [
        (inputs, labels),
        (inputs.numpy(), labels.numpy()),
        TensorDataset(inputs, labels),
        DataLoader(TensorDataset(inputs, labels), batch_size=100),
        DataLoader(Items(rows), batch_size=50),
        Items(pairs),
        Items(rows),
    ]
    expected = evaluate(net)
    for form in forms:
        assert evaluate(net, form)["nll"] == pytest.approx(expected["nll"], rel=1e-6)


def test_pictures_are_read() -> None:
    """Pictures of Pillow become bytes in [0, 1], channels first."""
    from PIL import Image

    pictures = [Image.new("RGB", (8, 8), (255, 0, 51)), Image.new("RGB", (8, 8), (0, 255, 102))]

    class Mean(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            assert inputs.shape[1:] == (3, 8, 8)
            return 9 * inputs.mean((2, 3))

    scores = evaluate(Mean(), Items(list(zip(pictures, [0, 1], strict=True))))
    assert scores["accuracy"] == 1
    expected = np.exp([9, 0, 1.8]) / np.exp([9, 0, 1.8]).sum()
    np.testing.assert_allclose(scores.clean["probs"][0], expected, rtol=1e-4)


class Rows:
    """Rows with columns, as a Dataset of Hugging Face: no class of torch, known by its columns."""

    def __init__(self, columns: dict[str, list]) -> None:
        self.columns = columns

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict:
        return {name: column[index] for name, column in self.columns.items()}


def test_rows_of_hugging_face() -> None:
    """A dataset with columns of pictures and labels scores as its bytes do, whatever their names."""
    from PIL import Image

    random = np.random.default_rng(0)
    grey = random.integers(256, size=(12, 8, 8), dtype=np.uint8)
    labels = random.integers(10, size=12)
    pictures = [Image.fromarray(one) for one in grey]
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    expected = evaluate(net, (grey[:, None], labels))

    for names in (("image", "label"), ("img", "fine_label")):
        rows = Rows(dict(zip(names, (pictures, labels.tolist()), strict=True)))
        assert evaluate(net, rows)["nll"] == expected["nll"]
    unseen = evaluate(net, rows, unseen={"bare": Rows({"image": pictures})})
    assert unseen.at("auroc_entropy", "bare").value == 0.5

    with pytest.raises(ValueError, match="unknown columns 'image, class'"):
        evaluate(net, Rows({"image": pictures, "class": labels.tolist()}))
    with pytest.raises(ValueError, match="unknown columns 'file, label'"):
        evaluate(net, Rows({"file": ["a"] * 12, "label": labels.tolist()}))


def test_unseen_data(net: Net) -> None:
    """Unseen data go by name, or as data of the caller's own, with or without labels."""
    letters, _ = arrays("test")
    flipped = letters.flip(-1)
    scores = evaluate(
        net, conditions=["letters"], unseen={"flipped": flipped, "same": (flipped, [0] * 360)}
    )
    assert scores.at("auroc_entropy", "letters").value > 0.6
    assert scores.at("auroc_entropy", "flipped").value == scores.at("auroc_entropy", "same").value
    with pytest.raises(ValueError, match="resize them"):
        evaluate(net, unseen={"small": flipped[..., :4]})


def test_wrong_unseen_data(net: Net) -> None:
    """Unseen data have a name of their own, are given once, and are pixels where data are stressed."""
    inputs, _ = arrays("test")
    for name, told in (("clean", "cannot be called 'clean'"), ("O o", "O o"), ("", "unseen data")):
        with pytest.raises(ValueError, match=told):
            evaluate(net, unseen={name: inputs})
    with pytest.raises(ValueError, match="'letters' are given twice"):
        evaluate(net, conditions=["letters"], unseen={"letters": inputs})

    other = {"other": 2 * inputs - 1}
    assert evaluate(net, unseen=other).at("auroc_entropy", "other").examples == 360
    with pytest.raises(ValueError, match=r"lie in \[-1, 1\].* no distance of pixels"):
        evaluate(net, unseen=other, conditions={"fgsm": [0.1]})
    with pytest.raises(ValueError, match="would be normalised twice"):
        evaluate(net, unseen=other, mean=MEAN, std=STD)


def test_inputs_are_on_the_chosen_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function gets its inputs on the device that was asked for, at first and to predict."""
    found = []

    def stops(inputs: Tensor, draws: int) -> Tensor:
        found.append(inputs.device.type)
        raise RuntimeError("seen")

    # No machine lacks the device "meta": it holds shapes alone, so that nothing can be computed.
    for device in ("cpu", "meta"):
        with pytest.raises(ValueError, match=r"the model fails on inputs .*: seen"):
            evaluate(stops, device=device)
    assert found == ["cpu", "meta"]

    # Without the look at the first outputs, the next call is one that predicts.
    monkeypatch.setattr(networks, "probe", lambda net, inputs: 10)
    with pytest.raises(RuntimeError, match="seen"):
        evaluate(stops, device="meta")
    assert found == ["cpu", "meta", "meta"]


def test_a_missing_gpu_is_told_in_one_line(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no GPU, cuda is refused, and auto is the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"^no CUDA device here \(--device auto .*\)$"):
        evaluate(net, device="cuda")
    assert evaluate(net, device="auto")["nll"] == evaluate(net)["nll"]


def test_two_classes() -> None:
    """One logit or probability per example is class 1 where binary is said."""
    inputs, labels = arrays("test")
    binary = (labels > 4).long()
    scores = {}
    torch.manual_seed(0)
    net = Net(1).eval()
    for name, model in {
        "column": net,
        "none": nn.Sequential(net, nn.Flatten(0)),
        "probs": nn.Sequential(net, nn.Sigmoid()),
    }.items():
        scores[name] = evaluate(model, (inputs, binary), binary=True)["nll"]
    with torch.no_grad():
        expected = nn.functional.binary_cross_entropy_with_logits(net(inputs)[:, 0], binary.float())
    assert scores == pytest.approx(dict.fromkeys(scores, float(expected)), rel=1e-4)
    with pytest.raises(ValueError, match="give binary=True"):
        evaluate(net, (inputs, binary))


class Returns(nn.Module):
    """A network whose output is wrapped."""

    def __init__(self, net: nn.Module, wrap) -> None:
        super().__init__()
        self.net, self.wrap = net, wrap

    def forward(self, inputs: Tensor):
        """Outputs in their wrapping."""
        return self.wrap(self.net(inputs))


def test_outputs_in_parts(net: Net) -> None:
    """A tuple or dict is refused with what it holds, and read where the part is said."""
    of_dict = Returns(net, lambda found: {"logits": found, "features": None})
    of_tuple = Returns(net, lambda found: (found, None))
    with pytest.raises(ValueError, match=r"returns a dict with 'logits', 'features'.*output="):
        evaluate(of_dict)
    with pytest.raises(ValueError, match="returns a tuple, not one tensor"):
        evaluate(of_tuple)
    with pytest.raises(ValueError, match="a dict with 'logits', 'features', without 'scores'"):
        evaluate(of_dict, output="scores")
    expected = evaluate(net)["nll"]
    assert evaluate(of_dict, output="logits")["nll"] == expected
    assert evaluate(of_tuple, output=0)["nll"] == expected


def test_outputs_as_attributes(net: Net) -> None:
    """An object of a model's own is refused with what it holds, and its attribute is read."""
    of_object = Returns(net, lambda found: SimpleNamespace(logits=found))
    with pytest.raises(ValueError, match=r"returns a SimpleNamespace with 'logits', not one"):
        evaluate(of_object)
    assert evaluate(of_object, output="logits")["nll"] == evaluate(net)["nll"]


def test_numbers_that_are_not_as_called(net: Net) -> None:
    """Logits called probabilities, and the other way round, are refused; so are other words."""
    soft = Returns(net, lambda found: found.softmax(-1))
    for model, outputs, told in (
        (net, "probs", "the model's numbers are no probabilities"),
        (soft, "logits", "these are probabilities, which a second softmax would flatten"),
        (net, "logit", "unknown outputs 'logit'; did you mean 'logits'"),
    ):
        with pytest.raises(ValueError, match=told):
            evaluate(model, outputs=outputs)
    assert evaluate(soft, outputs="probs")["nll"] == pytest.approx(evaluate(net)["nll"], rel=1e-4)


def test_dropout_that_cannot_be_switched_off(net: Net) -> None:
    """Noise in evaluation is refused, and is draws where a function says so."""
    noisy = Returns(net, lambda found: nn.functional.dropout(found, 0.5))
    with pytest.raises(ValueError, match=r"gives other outputs each time.*give a function"):
        evaluate(noisy)

    def draws(inputs: Tensor, count: int) -> Tensor:
        return torch.stack([noisy(inputs) for _ in range(count)])

    assert evaluate(draws, draws=3)["epistemic"] > 0


def test_wrong_models_and_data(net: Net) -> None:
    """Each mistake is one ValueError of one line that says what to do."""
    inputs, labels = arrays("test")
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    three = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    nan = Returns(net, lambda found: found * torch.nan)
    mistakes = [
        ((plain, "digits"), {"mc_dropout": True}, "no dropout layer"),
        ((net, None), {}, "a model needs a dataset"),
        ((net, (inputs[:, :, :4], labels)), {}, "the model fails on inputs of shape"),
        ((net, (inputs, labels[:9])), {}, "360 inputs and 9 labels"),
        ((three, "digits"), {}, "labels: row .* the model has the classes 0 to 2"),
        ((nan, "digits"), {}, "not finite"),
        (([net, three], "digits"), {}, "differ in their number of classes: 3, 10"),
        ((net, (inputs * torch.nan, labels)), {}, "row 0 holds a number that is not finite"),
        ((net, "digits"), {"conditions": {"fgsm": []}}, "needs levels"),
        ((net, "digits"), {"conditions": {"fgms": [0.1]}}, "did you mean 'fgsm'"),
        ((net, "digits"), {"conditions": {"transfer": [0.1]}}, "which a suite trains"),
        ((net, "digits"), {"mean": 0.1}, "give both"),
        ((net, "digits"), {"mean": [0.1] * 3, "std": [1] * 3}, "mean has 3 numbers.*inputs have 1"),
        ((Net, "digits"), {}, "Net is a class, not a model: make one, Net"),
        ((net, "digits"), {"mean": 0.1, "std": 0}, "not above 0"),
        ((net, "digits"), {"device": "gpu9"}, "unknown device"),
        ((net, "digits"), {"variance": [0.1]}, "variance is of predictions"),
        ((net, "digits"), {"draws": 0}, "their number, at least 1, not 0"),
        ((net, "digits"), {"draws": inputs}, "their number, not a Tensor"),
        ((net, "digits"), {"mean": 33.3, "std": 78.6}, "divide mean and std by 255"),
        ((net, "digits"), {"mean": "imagenet", "std": 1}, "mean must be finite numbers"),
        ((net, "digits"), {"mean": 0.1, "std": np.nan}, "std must be finite numbers"),
        ((net, "digits"), {"device": None}, "device is auto, cpu or cuda, not None"),
        ((net, "digits"), {"attack_images": -1}, "attack_images must be at least 0, not -1"),
        ((net, "digits"), {"test_images": 0.5}, "test_images must be a whole number"),
        ((net, "digits"), {"conditions": {"fgsm": 8}}, "not 8: divide those of .* by 255"),
        ((net, "digits"), {"conditions": {"pgd": [-0.1]}}, "at least 0, not -0.1"),
        ((net, "digits"), {"conditions": {"fgsm": np.nan}}, "must be finite"),
        ((net, "digits"), {"conditions": {3: [0.1]}}, "conditions are names with levels"),
        ((net, "digits"), {"conditions": {"letters": [0.1]}}, "'letters' are data, which have no"),
        ((net.state_dict(), "digits"), {}, "if it is the state dict of a model, load it"),
        (("net.pt", "digits"), {}, "is the text 'net.pt'.*or the loaded model"),
        (([net, "net.pt"], "digits"), {}, "the ensemble holds a str, which is no model"),
        ((net, {"train": labels, "test": labels}), {}, "give one of its splits.*dataset.'test'"),
        ((net, "digts"), {}, "did you mean 'digits'"),
        ((net, "cubic"), {}, "real targets"),
        ((net, inputs), {}, "is no dataset"),
        ((net, Items([(inputs[0],)])), {}, "no pairs"),
        ((net, Items([])), {}, "no examples"),
        ((nn.Identity(), "digits"), {}, "class scores"),
    ]
    for given, options, told in mistakes:
        with pytest.raises(UsageError, match=told) as caught:
            evaluate(*given, **options)
        assert "\n" not in str(caught.value)
        assert isinstance(caught.value, ValueError)


def test_a_model_that_fails_is_told_what_it_may_want() -> None:
    """Channels that are last or missing, and a function of other arguments, are named."""
    conv = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 10))
    labels = np.zeros(4, int)
    for shape, told in (((4, 8, 8, 3), "np.moveaxis"), ((4, 8, 8), r"images\[:, None\]")):
        with pytest.raises(ValueError, match=f"the model fails on inputs of shape.*{told}"):
            evaluate(conv, (np.ones(shape), labels))
    with pytest.raises(ValueError, match=r"a function takes inputs and a number of draws"):
        evaluate(lambda inputs: inputs, (np.ones((4, 8)), labels))


def test_a_dataset_that_fails_is_told_in_one_line(net: Net) -> None:
    """An item that cannot be read is named, and a loader of pictures is answered with its dataset."""
    from PIL import Image

    class Lost(Items):
        def __getitem__(self, index: int):
            raise FileNotFoundError(f"no picture {index}")

    with pytest.raises(ValueError, match="the dataset fails: FileNotFoundError: no picture 0"):
        evaluate(net, Lost([0]))
    pictures = Items([(Image.new("L", (8, 8)), 0)])
    with pytest.raises(ValueError, match="give the Dataset itself"):
        evaluate(net, DataLoader(pictures))
    assert evaluate(net, pictures).to_frame().examples[0] == 1


def test_outputs_without_a_gradient_are_not_attacked(net: Net) -> None:
    """An attack that has nothing to follow is refused for networks as for functions."""
    for wrap in (Tensor.detach, lambda found: nn.functional.one_hot(found.argmax(1), 10)):
        blind = Returns(net, wrap)
        assert evaluate(blind)["accuracy"] == evaluate(net)["accuracy"]
        with pytest.raises(ValueError, match="the model's outputs have no gradient"):
            evaluate(blind, conditions={"fgsm": [0.1]})


def test_numbers_that_are_no_scores_of_classes(net: Net) -> None:
    """Predicted classes and complex numbers are refused; numbers after a sigmoid are noted."""
    for wrap, told in (
        (lambda found: found.argmax(1), "whole numbers .16,., such as predicted classes"),
        (lambda found: found + 0j, "complex numbers"),
    ):
        with pytest.raises(ValueError, match=told):
            evaluate(Returns(net, wrap))
    assert "as after a sigmoid" in str(evaluate(Returns(net, Tensor.sigmoid)))
    assert "sigmoid" not in str(evaluate(net))


def test_one_number_that_looks_like_a_probability_at_first() -> None:
    """Logits of two classes that only begin within [0, 1] are not taken for probabilities."""
    inputs = np.full((40, 1), 0.5, np.float32)
    inputs[30:] = 3
    labels = (inputs[:, 0] > 1).astype(int)
    with pytest.raises(ValueError, match=r"for the first 16 examples lie in .* outputs='logits'"):
        evaluate(nn.Identity(), (inputs, labels), binary=True)
    assert evaluate(nn.Identity(), (inputs, labels), binary=True, outputs="logits")["nll"] > 0


@pytest.mark.parametrize("precision", [torch.float64, torch.bfloat16])
def test_a_model_in_another_precision(net: Net, precision: torch.dtype) -> None:
    """Inputs are given in the precision of the weights, and attacks go through it."""
    other = copy.deepcopy(net).to(precision)
    scores = evaluate(other, conditions={"fgsm": [0.1]}, attack_images=50)
    expected = evaluate(net, conditions={"fgsm": [0.1]}, attack_images=50)
    assert scores["nll"] == pytest.approx(expected["nll"], rel=0.05)
    found = scores.at("accuracy", "fgsm", 0.1).value
    assert found == pytest.approx(expected.at("accuracy", "fgsm", 0.1).value, abs=0.05)


def test_forms_of_an_ensemble_and_of_a_number_of_draws(net: Net) -> None:
    """A ModuleList is a list, a number of NumPy is a number, and a level counts once."""
    expected = evaluate([net, net])
    found = evaluate(nn.ModuleList([net, net]), conditions={"rotate": [10, 10]})
    assert found["nll"] == expected["nll"]
    assert [one.title for one in found.shown] == ["clean", "rotate 10"]
    mc = evaluate(net, mc_dropout=True, draws=np.int64(3))
    assert mc.shown[0].draws == 3


def test_pandas_as_a_dataset() -> None:
    """Features and labels of pandas are read, without a warning, and refused if mixed up."""
    features = pd.DataFrame(np.random.default_rng(0).random((12, 4)))
    labels = pd.Series(np.arange(12) % 3)
    assert evaluate(nn.Linear(4, 3), (features, labels)).to_frame().examples[0] == 12
    with pytest.raises(ValueError, match="labels have the index of inputs in another order"):
        evaluate(nn.Linear(4, 3), (features, labels[::-1]))


def test_probabilities_under_attack_are_noted(net: Net) -> None:
    """Probabilities round to 0 and 1, where gradients vanish: the table says so."""
    scores = evaluate(Softmax(net), conditions={"fgsm": [0.1]}, attack_images=20)
    assert "logits are safer" in str(scores)
    assert "safer" not in str(evaluate(net, conditions={"fgsm": [0.1]}, attack_images=20))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, ()),
        (0.1, (0.1,)),
        (1, (1.0,)),
        ([0.1, 0.2], (0.1, 0.2)),
        ((0.1,), (0.1,)),
        ({0.1}, (0.1,)),
        ((level for level in (0.1, 0.2)), (0.1, 0.2)),
        (np.array([0.1, 0.2]), (0.1, 0.2)),
        (np.float64(0.1), (0.1,)),
        (np.array(0.1), (0.1,)),
    ],
)
def test_levels_in_any_form(given, found) -> None:
    """One level or several, as people have them."""
    assert levels_of("fgsm", given) == found


@pytest.mark.parametrize("given", ["abc", ["a"], [[0.1], [0.2]], [None]])
def test_levels_are_numbers(given) -> None:
    """Anything else is one line."""
    with pytest.raises(ValueError, match="levels of 'fgsm' are numbers"):
        levels_of("fgsm", given)
