"""The command line, as a newcomer meets it: real processes, real files."""

from __future__ import annotations

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
from click.testing import CliRunner

from bench_uq import __version__, read_scores
from bench_uq.cli import main
from bench_uq.plan.suite import read_suite
from bench_uq.run.suite import Choices, reproducing

PLUGINS = Path(__file__).parents[1] / "plugins"
SMALL = (
    "run",
    "--methods",
    "map,mnf[flows=1]",
    "--seeds",
    "0,1",
    "--set",
    "epochs=3",
    "--set",
    "draws=5",
    "--device",
    "cpu",
)


def bench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run bench-uq in a folder."""
    command = [sys.executable, "-m", "bench_uq", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which a small quick suite was run."""
    folder = tmp_path_factory.mktemp("finished")
    done = bench(*SMALL, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # silent when piped
    assert len(done.stdout.splitlines()) == 5
    return folder


@pytest.fixture
def suite(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder to change."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "results" / "quick"


def contents(folder: Path, *names: str) -> dict[str, bytes]:
    """Return the bytes of files below a folder, by path."""
    paths = [path for name in names for path in sorted(folder.rglob(name)) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


DERIVED = ("scores.csv", "curves.csv.gz", "environment.json", "examples.npz", "about.json")


def test_derived_files(suite: Path) -> None:
    """A run leaves every score of every condition, all in [0, 1] where they are shares."""
    scores = read_scores(suite)
    assert set(scores.condition) == {"clean", "fgsm", "letters"}
    assert set(scores.method) == {"map", "mnf[flows=1]"}
    assert {"accuracy", "nll", "brier", "ece", "ece_if_calibrated"} <= set(scores.metric)
    assert {"auroc_entropy", "aupr_epistemic", "fpr95_confidence"} <= set(
        scores[scores.condition == "letters"].metric
    )
    assert "accuracy" not in set(scores[scores.condition == "letters"].metric)
    shares = scores[scores.metric.isin(["accuracy", "ece", "auroc_entropy"])].value
    assert shares.between(0, 1).all()
    runs = pd.read_csv(suite / "runs.csv")
    assert len(runs) == 4
    assert runs[["network", "epochs", "draws"]].drop_duplicates().to_numpy().tolist() == [
        ["lenet", 3, 5]
    ]
    assert (runs.seconds_per_1000 > 0).all()
    assert set(runs.command) == {
        "bench-uq run --suite quick --device cpu --set epochs=3 --set draws=5"
    }
    assert json.loads((suite / "environment.json").read_text())[0]["torch"]
    about = json.loads((suite / "about.json").read_text())
    assert set(about["methods"]) == set(scores.method)
    assert about["conditions"]["fgsm"]["level_name"] == "ε"
    assert set(about["conditions"]) == {"fgsm"}
    assert (suite / "examples.npz").stat().st_size < 500_000


def test_epsilon_zero_reproduces_the_clean_scores(suite: Path) -> None:
    """Every score of FGSM at 0 equals the clean one to the last digit."""
    scores = read_scores(suite)
    columns = ["method", "seed", "metric"]
    clean = scores[scores.condition == "clean"].set_index(columns).value
    attacked = scores[(scores.condition == "fgsm") & (scores.level == 0)].set_index(columns).value
    assert (attacked.loc[clean.index] == clean).all()


def test_repeating_computes_nothing(suite: Path) -> None:
    """With everything stored nothing is trained, and no derived byte changes."""
    before = contents(suite, "*")
    done = bench(*SMALL, cwd=suite.parents[1])
    assert [line.split()[1:] for line in done.stdout.splitlines()[:-1]] == [["stored"]] * 4
    assert contents(suite, "*") == before


def test_scores_rebuild_to_the_same_bytes(suite: Path) -> None:
    """bench-uq score makes the same bytes from the stored predictions alone."""
    before = contents(suite, *DERIVED)
    for path in [suite / name for name in DERIVED] + list(suite.rglob("scored.json")):
        path.unlink()
    assert bench("score", cwd=suite.parents[1]).returncode == 0
    assert contents(suite, *DERIVED) == before


def test_new_conditions_use_the_trained_network(suite: Path) -> None:
    """A new epsilon in another suite takes over the network, bit for bit and without training."""
    text = 'extends = "quick"\n[conditions]\nfgsm = [0, 0.15]\n'
    (suite.parents[1] / "other.toml").write_text(text)
    done = bench(*SMALL, "--suite", "other.toml", cwd=suite.parents[1])
    assert done.returncode == 0, done.stderr
    other = suite.parent / "other"
    # the curves hold seconds: trained again, they would differ
    for name in ("network.safetensors", "training.csv"):
        assert contents(other, name) == contents(suite, name)
    scores, before = read_scores(other), read_scores(suite)
    assert set(scores.level.dropna()) == {0.0, 0.15}
    clean = [frame[frame.condition == "clean"].value.to_numpy() for frame in (scores, before)]
    assert (clean[0] == clean[1]).all()


def test_damaged_files_are_made_again(suite: Path) -> None:
    """A damaged network and damaged predictions are set aside and made again, with the same scores."""
    before = contents(suite, "scores.csv", "network.safetensors", "clean-*.npz")
    folders = sorted((suite / "runs").glob("m*"))
    for path in (folders[0] / "network.safetensors", next(folders[1].glob("clean-*"))):
        path.write_bytes(path.read_bytes()[:-1] + b"\0\0")
    (folders[2] / "training.csv").unlink()
    score = bench("score", cwd=suite.parents[1])
    assert score.returncode == 0, (
        score.stderr
    )  # scores of damaged predictions are those from before
    done = bench(*SMALL, cwd=suite.parents[1])
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("set aside") == 2
    assert (folders[2] / "training.csv").is_file()
    assert contents(suite, "scores.csv", "network.safetensors", "clean-*.npz") == before


def test_killed_suite_goes_on(suite: Path, tmp_path: Path) -> None:
    """A suite killed between two epochs, then with SIGINT (130), ends with an uninterrupted one's scores."""
    folder = tmp_path / "again"
    folder.mkdir()
    command = [sys.executable, "-m", "bench_uq", *SMALL, "--checkpoint-every", "0"]
    for number, code, file in (
        (signal.SIGKILL, -9, "checkpoint.safetensors"),
        (signal.SIGINT, 130, "run.json"),
    ):
        start = time.time()
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(folder / "results" / "quick" / "runs", file, start)
        process.send_signal(number)
        assert process.wait(60) == code
    assert none_left(folder)
    assert bench(*SMALL, cwd=folder).returncode == 0
    assert contents(folder / "results" / "quick", *DERIVED) == contents(suite, *DERIVED)
    assert not list(folder.rglob("checkpoint.safetensors"))


def test_two_runners_share_a_folder(suite: Path, tmp_path: Path) -> None:
    """Two runners on one folder do every run once, and both end well with the scores of one."""
    folder = tmp_path / "shared"
    folder.mkdir()
    command = [sys.executable, "-m", "bench_uq", *SMALL]
    runners = [
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outputs = [runner.communicate(timeout=300)[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0]
    assert all(output.count("ok  trained") + output.count("stored") == 4 for output in outputs)
    assert sum(output.count("ok  trained") for output in outputs) == 4
    assert contents(folder / "results" / "quick", *DERIVED) == contents(suite, *DERIVED)


def wait_for(folder: Path, name: str, since: float) -> None:
    """Wait until a run has begun."""
    for _ in range(900):
        if any(path.stat().st_mtime > since for path in folder.rglob(name)):
            return
        time.sleep(0.1)
    raise AssertionError("no run began")


def none_left(folder: Path) -> bool:
    """Return whether every process of a suite is soon gone."""
    for _ in range(150):
        if not children_of(folder):
            return True
        time.sleep(0.1)
    return False


def children_of(folder: Path) -> list[str]:
    """Return the processes that still work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            found += [path.parent.name] if path.readlink() == folder else []
        except OSError:
            continue
    return found


def test_plugins_of_the_user(tmp_path: Path) -> None:
    """Temperature scaling, SWAG and SGLD train, predict, are saved and restored with no change of the engine."""
    files = [
        part
        for name in ("temperature", "swag", "sgld")
        for part in ("--plugin", str(PLUGINS / f"{name}.py"))
    ]
    command = ("run", *files, "--methods", "temperature,swag,sgld[members=2]", "--seeds", "0", "--set", "epochs=6",
               "--set", "draws=8", "--device", "cpu")  # fmt: skip
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    suite = tmp_path / "results" / "quick"
    scores = read_scores(suite)
    accuracy = (
        scores[(scores.condition == "clean") & (scores.metric == "accuracy")]
        .set_index("method")
        .value
    )
    assert (accuracy > 0.6).all()
    epistemic = (
        scores[(scores.condition == "letters") & (scores.metric == "epistemic")]
        .set_index("method")
        .value
    )
    assert epistemic["temperature"] == 0
    assert (epistemic[["swag", "sgld[members=2]"]] > 0).all()
    before = contents(suite, "*.npz", "network.safetensors")
    for path in suite.rglob("clean-*.npz"):
        path.unlink()
    assert bench(*command, cwd=tmp_path).returncode == 0
    assert contents(suite, "*.npz", "network.safetensors") == before


def test_failures_are_rows(tmp_path: Path) -> None:
    """Runs that diverge, raise, are killed or give no numbers are rows with their reason; the others go on; exit 1."""
    hows = ("diverge", "raise", "kill", "nan", "exit", "print", "grow")
    methods = ",".join(["map", *(f"unlucky[how={how}]" for how in hows)])
    plugin = ("--plugin", str(PLUGINS / "unlucky.py"))
    done = bench("run", *plugin, "--methods", methods, "--seeds", "0", "--set", "epochs=2", "--set", "draws=2",
                 "--device", "cpu", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "chatter" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    with (tmp_path / "results/quick/runs.csv").open() as file:
        rows = {row["method"]: (row["status"], row["reason"]) for row in csv.DictReader(file)}
    assert rows["map"] == ("ok", "")
    assert rows["unlucky[how=print]"] == ("ok", "")
    assert rows["unlucky[how=diverge]"] == ("diverged", "the training loss is nan in epoch 2")
    assert rows["unlucky"] == ("failed", "KeyError: 'out of luck' (unlucky.py, line 30, in loss)")
    assert rows["unlucky[how=kill]"] == ("failed", "its process was killed by SIGKILL")
    assert rows["unlucky[how=exit]"] == ("failed", "its process exited with 7")
    assert rows["unlucky[how=nan]"] == ("failed", "BadDraws: draws are not finite")
    grown = "ChangedState: after training the state has other names or shapes than after build: allocate in build"
    assert rows["unlucky[how=grow]"] == ("failed", grown)


def test_mnist(tmp_path: Path, data_root: Path) -> None:
    """The MNIST suite runs on the real files, learns, and tells notMNIST from MNIST better than chance."""
    sizes = [part for size in ("epochs=2", "train_images=4000", "test_images=500", "attack_images=100", "draws=3")
             for part in ("--set", size)]  # fmt: skip
    command = ("run", "--suite", "mnist", "--methods", "map,mnf", "--seeds", "0", *sizes, "--data-dir", str(data_root),
               "--device", "cpu")  # fmt: skip
    done = bench(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    scores = read_scores(tmp_path / "results" / "mnist")
    picked = scores[scores.level.isna()].set_index(["method", "condition", "metric"]).value
    for method in ("map", "mnf"):
        assert picked[method, "clean", "accuracy"] > 0.85
        assert picked[method, "notmnist", "auroc_entropy"] > 0.7
    examples = (
        scores[(scores.condition == "fgsm") & (scores.metric == "accuracy")]
        .groupby("level")
        .value.mean()
    )
    assert examples[0.3] < examples[0]


def test_resnet(tmp_path: Path) -> None:
    """Every method of the quick suite trains ResNet-18, and an epsilon of 0 is clean under its batch normalisation."""
    sizes = [part for size in ("epochs=1", "train_images=32", "test_images=16", "attack_images=16", "draws=2")
             for part in ("--set", size)]  # fmt: skip
    done = bench(
        "run", "--network", "resnet18", "--seeds", "0", *sizes, "--device", "cpu", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr + done.stdout
    scores = read_scores(tmp_path / "results" / "quick").set_index(["method", "metric"])
    assert len(set(scores.index.get_level_values("method"))) == 5
    clean, attacked = (
        scores[scores.condition == "clean"],
        scores[(scores.condition == "fgsm") & (scores.level == 0)],
    )
    assert (clean.value == attacked.value.loc[clean.index]).all()
    runs = pd.read_csv(tmp_path / "results" / "quick" / "runs.csv").set_index("method")
    assert (
        runs.parameters["map"] == 11_172_810
    )  # of one channel in; batch normalisation counts, its statistics do not
    assert runs.parameters["ensemble"] == 5 * runs.parameters["map"]


def invoke(*arguments: str) -> tuple[int, str]:
    """Return the exit code and what is printed."""
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


def test_errors_of_plugins_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that raises while a run is planned or estimated is told of in one line, and --debug shows where."""
    monkeypatch.chdir(tmp_path)
    arguments = (
        "run",
        "--dry-run",
        "--plugin",
        str(PLUGINS / "unlucky.py"),
        "--methods",
        "unlucky",
        "--device",
        "cpu",
    )
    code, output = invoke(*arguments)
    assert (code, output.splitlines()[-1]) == (
        1,
        "Error: KeyError: 'out of luck' (bench-uq --debug shows where)",
    )
    assert "Traceback" not in output


def test_dry_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--dry-run prints every run with an estimate, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    code, output = invoke(
        "run", "--dry-run", "--methods", "map,ensemble", "--seeds", "0,1", "--device", "cpu"
    )
    assert code == 0
    assert output.count("to do, about") == 4
    assert output.splitlines()[-1].startswith("4 runs, about ")
    assert list(tmp_path.iterdir()) == []


def test_lists() -> None:
    """Every list names what there is."""
    for what, words in (
        ("methods", ("mnf:", "flows=2", "arxiv.org")),
        ("datasets", ("digits:", "notmnist:")),
        ("conditions", ("fgsm:", "unseen data")),
        ("suites", ("quick", "mnist")),
        ("networks", ("lenet: LeNet-5", "resnet18: ResNet-18")),
        ("metrics", ("ece_if_calibrated", "positive")),
    ):
        code, output = invoke("list", what)
        assert code == 0
        assert all(word in output for word in words)


def test_lists_of_some() -> None:
    """A list can be asked for by name."""
    code, output = invoke("list", "metrics", "ece", "nll")
    assert code == 0
    assert [line for line in output.splitlines() if not line.startswith(" ") and line] == [
        "ece: expected calibration error",
        "nll: negative log-likelihood",
    ]


def test_version() -> None:
    """--version prints the version."""
    assert __version__ in invoke("--version")[1]


def test_the_command_that_repeats_a_run() -> None:
    """Options of methods are in their names, those of conditions only in the command; paths lose their folders."""
    choices = Choices(
        network="/home/alice/wide.py",
        plugins=(Path("/home/alice/mine.py"),),
        assignments=("epochs=3", "mnf.hidden=60", "fgsm.draws=5"),
    )
    command = reproducing(choices, read_suite("quick"))
    assert command == (
        "bench-uq run --suite quick --network wide.py --plugin mine.py --set epochs=3 --set fgsm.draws=5"
    )
