"""bench-uq evaluate makes a model of a file and its weights, and stores it into a suite."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

import bench_uq
from bench_uq.api.user_files import load_module
from bench_uq.cli import main
from bench_uq.run.imported import make_run, storing
from bench_uq.store import Plan

FILE = """
from torch import nn


def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def text():
    return "none"


def fails():
    raise KeyError("no config")
"""
NAMED = ("--name", "mine", "--dataset", "digits", "--device", "cpu")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of its own, with a file of models and weights of one."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(FILE)
    torch.manual_seed(0)
    save_file(load_module(Path("mine.py")).build().state_dict(), "net.safetensors")


def invoke(*arguments: str, model: str = "mine.py:build", code: int = 0) -> str:
    """Run the command in this process and return what it prints."""
    # The last of several counts, so that arguments may replace the names.
    given = ["evaluate", "--model", model, *NAMED, *arguments]
    if "--weights" not in arguments:
        given += ["--weights", "net.safetensors"]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == code, result.output
    return result.output


def test_a_model_of_a_file_scores_as_in_python() -> None:
    """The scores are those of the model with these weights; saved, they are those of the suite."""
    fgsm = ("--condition", "fgsm[draws=1]=0", "--condition", "fgsm[draws=1]=0.1")
    few = (*fgsm, "--condition", "letters", "--attack-images", "20")
    rows = json.loads(invoke(*few, "--json", "--save"))
    found = {(row["condition"], row["level"], row["metric"]): row["value"] for row in rows}

    torch.manual_seed(0)
    model = load_module(Path("mine.py")).build()
    expected = bench_uq.evaluate(model, "digits", device="cpu", resamples=2)
    assert found["clean", None, "nll"] == pytest.approx(expected["nll"])
    assert found["fgsm[draws=1]", 0.1, "nll"] > found["fgsm[draws=1]", 0.0, "nll"]
    assert ("letters", None, "auroc_entropy") in found

    scores = bench_uq.read_scores("results/quick")
    stored = scores[(scores.condition == "clean") & (scores.metric == "nll")].value
    assert stored.tolist() == [found["clean", None, "nll"]]


@pytest.mark.parametrize(
    ("arguments", "model", "told"),
    [
        ((), "mine.py", "--model takes FILE.py:factory"),
        ((), "mine.py:builds", "holds no function 'builds' (it holds build, small, text, fails)"),
        ((), "mine.py:text", "makes a str, not an nn.Module"),
        ((), "mine.py:fails", "fails: KeyError: 'no config'"),
        ((), "mine.py:small", "net.safetensors does not fit the model"),
        (("--weights", "net.pt"), "mine.py:build", "weights are a .safetensors file"),
        (("--weights", "no.safetensors"), "mine.py:build", "no file 'no.safetensors'"),
        (("--condition", "fgsm=x"), "mine.py:build", "--condition takes NAME=LEVEL"),
        (("--condition", "fgsm"), "mine.py:build", "needs levels"),
        (("--condition", "fgsm=0.1", "--mean", "0.5"), "mine.py:build", "give both"),
        (("--mean", "0.5,x", "--std", "1"), "mine.py:build", "--mean takes numbers, A,B,..., not"),
        (("--seed", str(2**63)), "mine.py:build", f"{2**63} is not in the range"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], model: str, told: str) -> None:
    """Each mistake is one line, exit code 2, and nothing is written."""
    output = invoke(*arguments, "--save", model=model, code=2)
    assert told in output
    assert len(output.splitlines()) == 1
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--name", "map"), "'map' is a method of bench-uq: choose another --name"),
        (("--name", "o o"), "o o"),
        (("--name", "taken"), "'taken' is a method that bench-uq ran itself"),
        (("--dataset", "digitz"), "did you mean 'digits'"),
        (("--suite", "quick-validation"), "scored on the test split"),
    ],
)
def test_names_are_checked_before_the_model_is_made(
    arguments: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that nothing can be stored under is told first: the missing weights are never read."""
    run = make_run("taken", ("digits", "digits"), 0, ())
    monkeypatch.setattr(
        storing, "read_plan", lambda _: Plan({run.name: replace(run, name="taken-digits-s0")})
    )
    output = invoke(*arguments, "--weights", "no.safetensors", "--save", code=2)
    assert told in output
    assert len(output.splitlines()) == 1
    assert not Path("results").exists()
    assert "no.safetensors" in invoke(*arguments, "--weights", "no.safetensors", code=2)


EXPORTED = """
import torch


def build():
    return torch.export.load("net.pt2").module()
"""


def test_a_factory_may_load_an_exported_program() -> None:
    """Its scores, under attack too, are those of the network; no other file is read as a program."""
    net = load_module(Path("mine.py")).build().eval()
    sizes = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(net, (torch.rand(4, 1, 8, 8),), dynamic_shapes=sizes)
    torch.export.save(exported, "net.pt2")
    Path("exported.py").write_text(EXPORTED)

    command = ["evaluate", "--model", "exported.py:build", *NAMED, "--condition", "fgsm=0.1"]
    result = CliRunner().invoke(main, [*command, "--json"])
    assert result.exit_code == 0, result.output
    assert "weights: as exported.py:build makes them" in result.stderr
    assert "training mode" not in result.output
    found = {}
    for one in json.loads(result.stdout):
        if one["metric"] in ("nll", "accuracy"):
            found[one["condition"], one["metric"]] = one["value"]

    expected = bench_uq.evaluate(net, "digits", conditions={"fgsm": [0.1]}, resamples=2)
    assert len(found) == 4
    for (condition, metric), value in found.items():
        level = None if condition == "clean" else 0.1
        assert value == pytest.approx(expected.at(metric, condition, level).value, rel=1e-5)


@pytest.mark.parametrize("file", ["net.pt2", "net.pt", "net.pth", "here/net.ts"])
def test_files_of_whole_models_are_refused(file: str) -> None:
    """Torch unpickles them, so they are not opened; the line says how to give the model."""
    Path("here").mkdir()
    Path(file).write_bytes(b"")
    said = invoke(model=file, code=2)
    assert said.startswith(f"Error: {file}: a whole model is pickled")
    assert "--model FILE.py:factory" in said
    assert said.count("\n") == 1
