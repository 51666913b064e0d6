"""A misbehaving plugin ends its own run with a reason; other runs keep their bits."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

PLUGINS = Path(__file__).parents[1] / "plugins"
SETTINGS = """
datasets = ["digits"]
seeds = [0]

[settings]
epochs = 1
batch = 32
train_images = 160
test_images = 40
attack_images = 40
draws = 3

[conditions]
fgsm = [0.1]
"""
HEALTHY = ("map", "dropout")
TIME = "20"

Bench = Callable[..., Any]
WaitUntil = Callable[[Callable[[], Any]], Any]


def line(name: str, where: str) -> str:
    """Return how a reason names the last line of a plugin's file that holds a text."""
    lines = (PLUGINS / "misbehaving.py").read_text().splitlines()
    (number,) = [number for number, text in enumerate(lines, 1) if name in text]
    return f"(misbehaving.py, line {number}, in {where})"


RAISED = "raise ValueError(f"
FORKED = {"fork", "fork-stay", "fork-exit", "draws-fork"}

#: How it misbehaves -> the status and the reason of its run; None: it is none the worse for it.
ENDINGS: dict[str, tuple[str, str] | None] = {
    "not": None,
    "nan": ("diverged", "the training loss is nan in epoch 1"),
    "inf": ("diverged", "the training loss is inf in epoch 1"),
    "memory": (
        "oom",
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 1 EiB. " + line("1 EiB", "grasp"),
    ),
    "error": ("failed", "KeyError: 'out of luck' " + line("    raise error", "throw")),
    "vector": ("failed", "RuntimeError: grad can be implicitly created only for scalar outputs"),
    **{
        how: ("failed", f"ValueError: in {how} " + line(RAISED, "at"))
        for how in ("build", "optimiser", "observe", "finish", "draws")
    },
    "draws-shape": ("failed", "BadDraws: draws are (1, 127, 10), not (S, 128, 10)"),
    "draws-nan": ("failed", "BadDraws: draws are not finite"),
    "draws-unnormalised": (
        "failed",
        "BadDraws: draws are not normalised: log-probabilities over classes must sum to 1",
    ),
    "print": None,
    **dict.fromkeys(sorted(FORKED)),
    "sys-exit": ("failed", "SystemExit: 3 " + line("sys.exit(3)", "<lambda>")),
    "sys-exit-well": ("failed", "SystemExit " + line("DONE[self.how]()", "loss")),
    "os-exit": ("failed", "its process exited with 0"),
    "abort": ("failed", "its process was killed by SIGABRT"),
    "kill": ("failed", "its process was killed by SIGKILL"),
    "terminate": ("interrupted", "told to stop"),
    "keyboard": ("failed", "KeyboardInterrupt " + line("    raise error", "throw")),
    "base": ("failed", "OfItsOwn: not an Exception " + line("    raise error", "throw")),
}
SLEEPING = ("sleep", "sleep-deaf", "sleep-on")
LATE = ("failed", f"took longer than the {TIME} s of --timeout")


def run(
    bench: Bench, folder: Path, methods: list[str], *arguments: str, settings: str = SETTINGS
) -> Any:
    """Run methods on a suite in a folder, with both files of plugins."""
    (folder / "trial.toml").write_text(f"methods = {json.dumps(methods)}\n{settings}")
    plugins = []
    for file in ("misbehaving.py", "meddling.py"):
        plugins += ["--plugin", str(PLUGINS / file)]
    return bench(folder, "run", "--suite", "trial.toml", "--device", "cpu", *plugins, *arguments)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a derived file."""
    with (folder / "results" / "trial" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def scores(folder: Path, method: str) -> list[tuple[str, ...]]:
    """Return all scores of a method as they are written, without its name."""
    left_out = ("method", "run")
    found = []
    for row in rows(folder, "scores.csv"):
        if row["method"] == method:
            found.append(tuple(value for key, value in row.items() if key not in left_out))
    return found


def name_of(how: str) -> str:
    """Return the method's name in results."""
    return "misbehaving" if how == "not" else f"misbehaving[how={how}]"


def check(folder: Path, done: Any, endings: dict[str, tuple[str, str] | None]) -> None:
    """Check that each run is a row with its ending, and that no traceback is shown."""
    assert done.returncode == int(any(endings.values())), done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    found = {row["method"]: (row["status"], row["reason"]) for row in rows(folder, "runs.csv")}
    assert found == {method: ending or ("ok", "") for method, ending in endings.items()}
    shown = done.stdout.splitlines()
    assert len(shown) == len(endings) + 1
    assert shown[-1].startswith("scores: ")
    names = {row["run"] for row in rows(folder, "runs.csv")}
    assert {text.split("  ")[0] for text in shown[:-1]} == names
    for method, ending in endings.items():
        assert bool(scores(folder, method)) == (ending is None), method


@pytest.fixture
def left_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[int]]:
    """Function that finds the processes that a command left behind, whatever their names."""
    monkeypatch.setenv("STARTED_BY_TEST", str(tmp_path))

    def left() -> list[int]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                ours = process.environ().get("STARTED_BY_TEST") == str(tmp_path)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        return found

    return left


@pytest.fixture(scope="module")
def alone(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the healthy methods were run with no other and no plugin."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "trial.toml").write_text(f"methods = {json.dumps(HEALTHY)}\n{SETTINGS}")
    done = bench(folder, "run", "--suite", "trial.toml", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    return folder


def test_each_ends_its_own_run(
    bench: Bench,
    alone: Path,
    tmp_path: Path,
    left_over: Callable[[], list[int]],
    wait_until: WaitUntil,
) -> None:
    """Whatever a plugin does, its run is a row with a reason; others score as without it."""
    methods = [HEALTHY[0], *map(name_of, ENDINGS), "meddling", HEALTHY[1]]
    done = run(bench, tmp_path, methods, "--jobs", "2")
    endings = {
        **dict.fromkeys((*HEALTHY, "meddling")),
        **{name_of(how): ending for how, ending in ENDINGS.items()},
    }
    check(tmp_path, done, endings)

    for method in HEALTHY:
        assert scores(tmp_path, method) == scores(alone, method)
    for how in (*FORKED, "print"):
        assert scores(tmp_path, name_of(how)) == scores(tmp_path, name_of("not")), how
    assert "a copy goes on" not in done.stderr
    for words in ("by print", "by write", "by a program", "on stderr"):
        assert done.stderr.count(f"chatter {words}\n") == 1
    wait_until(lambda: not left_over())


COPIED = """
import os, subprocess, sys
from contextlib import ExitStack
from pathlib import Path
from bench_uq.store import run_folder

script = sys.argv[1]
with ExitStack() as stack:
    assert stack.enter_context(run_folder(Path(), "one").locked())
    if os.fork() == 0:
        stack.close()
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
    subprocess.run([sys.executable, "-c", script], check=True)
"""
LOCKED = """
from pathlib import Path
from bench_uq.store import run_folder

with run_folder(Path(), "one").locked() as mine:
    print(mine)
"""


def test_a_copy_leaves_the_lock(tmp_path: Path) -> None:
    """A fork of a run's process that ends does not release the shared lock."""
    command = [sys.executable, "-c", COPIED, LOCKED]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["0", "False"], done.stderr


def test_sleepers_are_stopped(
    bench: Bench,
    alone: Path,
    tmp_path: Path,
    left_over: Callable[[], list[int]],
    wait_until: WaitUntil,
) -> None:
    """A run that sleeps, deaf to SIGTERM or not, is stopped at --timeout; others finish."""
    methods = [*map(name_of, SLEEPING), "map"]
    done = run(bench, tmp_path, methods, "--jobs", "4", "--timeout", TIME)
    check(tmp_path, done, {"map": None, **dict.fromkeys(map(name_of, SLEEPING), LATE)})
    assert scores(tmp_path, "map") == scores(alone, "map")
    wait_until(lambda: not left_over())


def test_imports_are_no_part_of_the_time_limit(
    bench: Bench, own_code: Path, slow_imports: Path, tmp_path: Path
) -> None:
    """Imports that take longer than --timeout stop no run."""
    (tmp_path / "trial.toml").write_text(f'methods = ["map"]\n{SETTINGS}')
    arguments = ("run", "--suite", "trial.toml", "--device", "cpu", "--timeout", TIME)
    done = bench(tmp_path, *arguments, code=f"{slow_imports}:{own_code}")
    check(tmp_path, done, {"map": None})


def test_attacked_networks_are_not_meddled_with(bench: Bench, alone: Path, tmp_path: Path) -> None:
    """Networks that another method's process trains, to attack them, have the same bits."""
    settings = SETTINGS.replace("fgsm = [0.1]", '"transfer[steps=1]" = [0.1]')
    done = run(bench, tmp_path, ["meddling"], settings=settings)
    assert "Traceback" not in done.stdout + done.stderr
    (network,) = tmp_path.glob("results/trial/runs/map-*/network.safetensors")
    (own,) = alone.glob("results/trial/runs/map-*/network.safetensors")
    assert network.read_bytes() == own.read_bytes()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("class Own(BaseException): pass\nraise Own('of its own')", "Own: of its own"),
    ],
)
def test_failing_imports(bench: Bench, tmp_path: Path, content: str, said: str) -> None:
    """A plugin that cannot be imported is one line and exit code 2, and nothing is written."""
    (tmp_path / "bad.py").write_text(f"print('chatter')\n{content}\n")
    done = bench(tmp_path, "run", "--methods", "map,bad", "--plugin", "bad.py")
    assert done.returncode == 2
    assert done.stdout == ""
    *before, last = done.stderr.splitlines()
    assert before == ["chatter"]
    assert last.startswith(f"Error: plugin bad.py fails at import: {said}")
    assert not (tmp_path / "results").exists()
