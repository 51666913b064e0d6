"""The command line, as a newcomer meets it: real files, and processes where they are the point."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from bench_uq import __version__, read_scores
from bench_uq.cli import main
from bench_uq.plan.suite import read_suite
from bench_uq.run.suite import Choices, reproducing
from tests.warm import Warm

PLUGINS = Path(__file__).parents[1] / "plugins"


def sizes(*settings: str) -> tuple[str, ...]:
    """Settings as options, on the CPU."""
    options = []
    for setting in settings:
        options += ["--set", setting]
    return (*options, "--device", "cpu")


SMALL = ("run", "--methods", "map,mnf[flows=1]", "--seeds", "0,1", *sizes("epochs=3", "draws=5"))


def bench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run bench-uq as a process in a folder."""
    command = [sys.executable, "-m", "bench_uq", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900)


def invoke(*arguments: str, cwd: Path = Path()) -> Result:
    """Run bench-uq within this process in a folder."""
    with contextlib.chdir(cwd):
        return CliRunner().invoke(main, list(arguments))


def done(*arguments: str, cwd: Path) -> str:
    """Return what a command prints that ends well."""
    result = invoke(*arguments, cwd=cwd)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which a small quick suite was run."""
    folder = tmp_path_factory.mktemp("finished")
    made = bench(*SMALL, cwd=folder)
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""  # silent when piped
    assert len(made.stdout.splitlines()) == 5
    return folder


@pytest.fixture
def suite(finished: Path, tmp_path: Path) -> Path:
    """Copy of its results to change."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "results" / "quick"


def contents(folder: Path, *names: str) -> dict[str, bytes]:
    """Content of files below a folder, by path."""
    paths = []
    for name in names:
        paths += sorted(folder.rglob(name))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


DERIVED = ("scores.csv", "curves.csv.gz", "groups.csv.gz", "environment.json")
DERIVED += ("examples.npz", "about.json")


def test_derived_files(suite: Path) -> None:
    """A run leaves every score of every condition, all in [0, 1] where they are shares."""
    scores = read_scores(suite)
    assert set(scores.condition) == {"clean", "fgsm", "fgsm[draws=1]", "worst", "letters"}
    assert set(scores.method) == {"map", "mnf[flows=1]"}
    assert {"accuracy", "nll", "brier", "ece", "ece_if_calibrated"} <= set(scores.metric)
    unseen = set(scores[scores.condition == "letters"].metric)
    assert {"auroc_entropy", "aupr_epistemic", "fpr95_confidence"} <= unseen
    assert "accuracy" not in unseen
    shares = scores[scores.metric.isin(["accuracy", "ece", "auroc_entropy"])].value
    assert shares.between(0, 1).all()

    runs = pd.read_csv(suite / "runs.csv")
    assert len(runs) == 4
    facts = runs[["network", "epochs", "draws"]].drop_duplicates()
    assert facts.to_numpy().tolist() == [["lenet", 3, 5]]
    assert (runs.seconds_per_1000 > 0).all()
    (command,) = set(runs.command)
    assert command == "bench-uq run --suite quick --device cpu --set epochs=3 --set draws=5"
    assert json.loads((suite / "environment.json").read_text())[0]["torch"]

    about = json.loads((suite / "about.json").read_text())
    assert about["methods"] == {"map": 0, "mnf[flows=1]": 4}
    assert about["priors"] == {"map": True, "mnf[flows=1]": True}
    assert about["starts"] == {"map": "", "mnf[flows=1]": "He et al. 2015"}
    assert about["conditions"]["fgsm"]["level_name"] == "ε"
    assert set(about["conditions"]) == {"fgsm", "fgsm[draws=1]", "worst"}
    assert (suite / "examples.npz").stat().st_size < 500_000


def test_epsilon_zero_reproduces_the_clean_scores(suite: Path) -> None:
    """Every score of FGSM at 0 equals the clean one to the last digit."""
    scores = read_scores(suite)
    columns = ["method", "seed", "metric"]
    clean = scores[scores.condition == "clean"].set_index(columns).value
    attacked = scores[(scores.condition == "fgsm") & (scores.level == 0)].set_index(columns).value
    assert (attacked.loc[clean.index] == clean).all()


def test_what_is_stored_is_not_made_again(suite: Path) -> None:
    """Nothing is trained, and no byte changes; scores are rebuilt from predictions alone."""
    before = contents(suite, "*")
    lines = done(*SMALL, cwd=suite.parents[1]).splitlines()
    assert [line.split()[1:] for line in lines[:-1]] == [["stored"]] * 4
    assert contents(suite, "*") == before

    for path in [suite / name for name in DERIVED] + list(suite.rglob("scored.json")):
        path.unlink()
    done("score", cwd=suite.parents[1])
    assert contents(suite, *DERIVED) == {name: before[name] for name in sorted(DERIVED)}


def test_new_conditions_use_the_trained_network(suite: Path) -> None:
    """A new epsilon in another suite takes over the network, bit for bit and without training."""
    text = 'extends = "quick"\n[conditions]\nfgsm = [0, 0.15]\n'
    (suite.parents[1] / "other.toml").write_text(text)
    done(*SMALL, "--suite", "other.toml", cwd=suite.parents[1])
    other = suite.parent / "other"
    # the curves hold seconds: trained again, they would differ
    for name in ("network.safetensors", "training.csv"):
        assert contents(other, name) == contents(suite, name)
    scores, before = read_scores(other), read_scores(suite)
    assert set(scores[scores.condition == "fgsm"].level) == {0.0, 0.15}
    clean = [frame[frame.condition == "clean"].value.to_numpy() for frame in (scores, before)]
    assert (clean[0] == clean[1]).all()


def test_damaged_files_are_made_again(suite: Path) -> None:
    """Damaged networks and predictions are set aside and made again, with the same scores."""
    before = contents(suite, "scores.csv", "network.safetensors", "clean-*.npz")
    folders = sorted((suite / "runs").glob("m*"))
    for path in (folders[0] / "network.safetensors", next(folders[1].glob("clean-*"))):
        path.write_bytes(path.read_bytes()[:-1] + b"\0\0")
    (folders[2] / "training.csv").unlink()
    done("score", cwd=suite.parents[1])  # scores of damaged predictions are those from before
    again = bench(*SMALL, cwd=suite.parents[1])
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("set aside") == 2
    assert (folders[2] / "training.csv").is_file()
    assert contents(suite, "scores.csv", "network.safetensors", "clean-*.npz") == before


def test_killed_suite_goes_on(suite: Path, tmp_path: Path) -> None:
    """A suite that is killed, and later interrupted, ends with the scores of another one."""
    folder = tmp_path / "again"
    folder.mkdir()
    command = [sys.executable, "-m", "bench_uq", *SMALL, "--checkpoint-every", "0"]
    for number, code, file in (
        (signal.SIGKILL, -9, "checkpoint.safetensors"),
        (signal.SIGINT, 130, "run.json"),
    ):
        start = time.time()
        process = Warm(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(folder / "results" / "quick" / "runs", file, start)
        process.send_signal(number)
        assert process.wait(300) == code

    assert none_left(folder)
    done(*SMALL, cwd=folder)
    assert contents(folder / "results" / "quick", *DERIVED) == contents(suite, *DERIVED)
    assert not list(folder.rglob("checkpoint.safetensors"))


def test_two_runners_share_a_folder(suite: Path, tmp_path: Path) -> None:
    """Two runners on one folder do every run once, and both end well with the scores of one."""
    folder = tmp_path / "shared"
    folder.mkdir()
    command = [sys.executable, "-m", "bench_uq", *SMALL]
    runners = [Warm(command, cwd=folder, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [runner.communicate(timeout=900)[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0]
    assert all(output.count("ok  trained") + output.count("stored") == 4 for output in outputs)
    assert sum(output.count("ok  trained") for output in outputs) == 4
    assert contents(folder / "results" / "quick", *DERIVED) == contents(suite, *DERIVED)


def wait_for(folder: Path, name: str, since: float) -> None:
    """Wait until a run has begun."""
    for _ in range(3000):
        if any(path.stat().st_mtime > since for path in folder.rglob(name)):
            return
        time.sleep(0.1)
    raise AssertionError("no run began")


def none_left(folder: Path) -> bool:
    """Whether every process of a suite ends soon."""
    for _ in range(150):
        if not children_of(folder):
            return True
        time.sleep(0.1)
    return False


def children_of(folder: Path) -> list[str]:
    """Processes that still work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            found += [path.parent.name] if path.readlink() == folder else []
        except OSError:
            continue
    return found


def test_plugins_of_the_user(tmp_path: Path) -> None:
    """Methods in files of the user train, predict, and are saved and restored."""
    plugins = []
    for name in ("my_temperature", "my_swag", "my_sgld"):
        plugins += ["--plugin", str(PLUGINS / f"{name}.py")]
    methods = ("--methods", "my-temperature,my-swag,my-sgld[members=2]", "--seeds", "0")
    command = ("run", *plugins, *methods, *sizes("epochs=6", "draws=8"))
    refused = bench(*command, cwd=tmp_path)
    assert "lacks 'lr' (--set METHOD.learning_rate=0 --set METHOD.schedule=" in refused.stdout
    own = ("--set", "my-sgld.learning_rate=0", "--set", "my-sgld.schedule=constant")
    command = (*command, *own)
    done(*command, cwd=tmp_path)

    suite = tmp_path / "results" / "quick"
    scores = read_scores(suite).set_index(["condition", "metric", "method"]).value.sort_index()
    assert (scores["clean", "accuracy"] > 0.6).all()
    epistemic = scores["letters", "epistemic"]
    assert epistemic["my-temperature"] == 0
    assert (epistemic[["my-swag", "my-sgld[members=2]"]] > 0).all()

    before = contents(suite, "*.npz", "network.safetensors")
    for path in suite.rglob("clean-*.npz"):
        path.unlink()
    done(*command, cwd=tmp_path)
    assert contents(suite, "*.npz", "network.safetensors") == before


def test_failures_are_rows(tmp_path: Path) -> None:
    """Runs that fail are rows with their reason, and the others continue; exit code 1."""
    hows = ("diverge", "raise", "kill", "nan", "exit", "print", "grow")
    methods = ",".join(["map", *(f"unlucky[how={how}]" for how in hows)])
    plugin = ("--plugin", str(PLUGINS / "unlucky.py"))
    size = sizes("epochs=2", "draws=2")
    made = bench("run", *plugin, "--methods", methods, "--seeds", "0", *size, cwd=tmp_path)
    assert made.returncode == 1, made.stderr
    assert "chatter" not in made.stdout
    assert "Traceback" not in made.stdout + made.stderr

    with (tmp_path / "results/quick/runs.csv").open() as file:
        rows = {row["method"]: (row["status"], row["reason"]) for row in csv.DictReader(file)}
    assert rows.pop("map") == rows.pop("unlucky[how=print]") == ("ok", "")
    expected = {
        "unlucky[how=diverge]": ("diverged", "epoch 2"),
        "unlucky": ("failed", "KeyError: 'out of luck' (unlucky.py, line 30, in loss)"),
        "unlucky[how=kill]": ("failed", "SIGKILL"),
        "unlucky[how=exit]": ("failed", "exited with 7"),
        "unlucky[how=nan]": ("failed", "BadDraws"),
        "unlucky[how=grow]": ("failed", "ChangedState"),
    }
    assert rows.keys() == expected.keys()
    for method, (status, words) in expected.items():
        assert rows[method][0] == status
        assert words in rows[method][1]


def test_mnist(tmp_path: Path, data_root: Path) -> None:
    """The MNIST suite learns on the real files, and tells notMNIST from MNIST."""
    size = sizes("epochs=2", "train_images=4000", "test_images=500", "attack_images=100", "draws=3")
    command = ("run", "--suite", "mnist", "--methods", "map,mnf", "--seeds", "0", *size)
    done(*command, "--data-dir", str(data_root), cwd=tmp_path)

    scores = read_scores(tmp_path / "results" / "mnist")
    picked = scores[scores.level.isna()].set_index(["method", "condition", "metric"]).value
    for method in ("map", "mnf"):
        assert picked[method, "clean", "accuracy"] > 0.85
        assert picked[method, "notmnist", "auroc_entropy"] > 0.7
    attacked = scores[(scores.condition == "fgsm") & (scores.metric == "accuracy")]
    accuracy = attacked.groupby("level").value.mean()
    assert accuracy[0.3] < accuracy[0]


def test_resnet(tmp_path: Path) -> None:
    """Every method of the quick suite trains ResNet-18; FGSM at 0 is clean under batch norm."""
    # Gradients of as many draws as they need would take a minute each of such a network.
    (tmp_path / "few.toml").write_text(
        'methods = ["map", "dropout", "ensemble", "mean-field", "mnf"]\n'
        'datasets = ["digits"]\nseeds = [0]\n[conditions]\n"fgsm[draws=2]" = [0, 0.1]\n'
    )
    size = sizes("epochs=1", "train_images=32", "test_images=16", "attack_images=16", "draws=2")
    asked = ("--suite", "few.toml", "--network", "resnet18")
    done("run", *asked, *size, cwd=tmp_path)

    scores = read_scores(tmp_path / "results" / "few").set_index(["method", "metric"])
    assert len(set(scores.index.get_level_values("method"))) == 5
    clean = scores[scores.condition == "clean"].value
    attacked = scores[(scores.condition == "fgsm[draws=2]") & (scores.level == 0)].value
    assert (clean == attacked.loc[clean.index]).all()

    parameters = pd.read_csv(tmp_path / "results/few/runs.csv").set_index("method").parameters
    # One channel in; the weights of batch normalisation count, its statistics do not.
    assert parameters["map"] == 11_172_810
    assert parameters["ensemble"] == 5 * parameters["map"]


def test_recipes(tmp_path: Path) -> None:
    """A recipe is in the table of runs, in captions and on the page; runs of two are not compared."""
    short = ("run", "--methods", "map,dropout", "--seeds", "0", *sizes("epochs=1", "draws=2"))
    recipe = ["--set", "schedule=cosine", "--set", "learning_rate=0.003"]
    recipe += ["--set", "dropout.clip=1", "--set", "warmup=0.1"]
    done(*short, *recipe, cwd=tmp_path)
    runs = pd.read_csv(tmp_path / "results/quick/runs.csv").set_index("method")
    assert runs.loc["dropout", ["schedule", "learning_rate", "clip"]].tolist() == [
        "cosine",
        0.003,
        1,
    ]
    assert runs.loc["map", ["schedule", "warmup", "clip"]].tolist() == ["cosine", 0.1, 0]

    done("report", "--formats", "markdown,html", cwd=tmp_path)
    summary = (tmp_path / "reports/quick/summary.md").read_text()
    words = "learning rate 0.003, cosine schedule, warm-up 0.1"
    assert f"recipe: {words} (MAP), {words}, gradients clipped at 1 (others)" in summary
    assert "Not alike" not in summary
    html = (tmp_path / "reports/quick/index.html").read_text()
    assert "learning rate 0.003, schedule cosine, warm-up 0.1" in html
    assert ">Clipped at<" in html

    done(*short[:2], "map", *short[3:], cwd=tmp_path)
    done("report", "--formats", "markdown", cwd=tmp_path)
    told = (tmp_path / "reports/quick/summary.md").read_text()
    assert "warmup: 0.1 (dropout), 0 (map)" in told
    assert "learning\\_rate: 0.003 (dropout), 0.02 (map)" in told


def test_dry_run(tmp_path: Path) -> None:
    """It prints every run with an estimate, or the error of a plugin in one line; it writes
    nothing.
    """
    runs = ("run", "--dry-run", "--device", "cpu", "--seeds", "0,1")
    output = done(*runs, "--methods", "map,ensemble", cwd=tmp_path)
    assert output.count("to do, about") == 4
    assert output.splitlines()[-1].startswith("4 runs, about ")

    plugin = ("--plugin", str(PLUGINS / "unlucky.py"))
    broken = invoke(*runs, *plugin, "--methods", "unlucky", cwd=tmp_path)
    assert broken.exit_code == 1
    line = broken.output.splitlines()[-1]
    assert line.startswith("Error: KeyError: 'out of luck'")
    assert "--debug" in line
    assert "Traceback" not in broken.output
    assert list(tmp_path.iterdir()) == []


def test_lists_and_version(tmp_path: Path) -> None:
    """Every list names what can be chosen, or only what is asked for by name."""
    lists = {
        "methods": ("mnf:", "flows=2", "arxiv.org"),
        "datasets": ("digits:", "notmnist:"),
        "conditions": ("fgsm:", "out-of-distribution data"),
        "suites": ("quick", "mnist"),
        "networks": ("lenet: LeNet-5", "resnet18: ResNet-18"),
        "metrics": ("ece_if_calibrated", "positive"),
    }

    for what, words in lists.items():
        output = done("list", what, cwd=tmp_path)
        assert not [word for word in words if word not in output]

    lines = done("list", "metrics", "ece", "nll", cwd=tmp_path).splitlines()
    heads = [line for line in lines if line and not line.startswith(" ")]
    assert [head.partition(":")[0] for head in heads] == ["ece", "nll"]
    assert __version__ in done("--version", cwd=tmp_path)


def test_the_command_that_reproduces_a_run() -> None:
    """Options of methods are in their names; those of conditions, and settings of methods, are in the
    command.
    """
    choices = Choices(
        network="/home/alice/wide.py",
        plugins=(Path("/home/alice/mine.py"),),
        assignments=("epochs=3", "mnf.hidden=60", "mnf.epochs=4", "fgsm.draws=5"),
    )
    command = reproducing(choices, read_suite("quick"))
    files = "--network wide.py --plugin mine.py"
    settings = "--set epochs=3 --set mnf.epochs=4 --set fgsm.draws=5"
    assert command == f"bench-uq run --suite quick {files} {settings}"
