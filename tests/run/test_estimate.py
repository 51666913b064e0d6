"""An estimate counts what attacks ask of a network, whoever they are."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from bench_uq.api import Batches, Method
from bench_uq.api.likelihoods import Categorical
from bench_uq.api.task import Examples, Task
from bench_uq.cli import main
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Trained
from bench_uq.run import estimate
from bench_uq.run.estimate import passes_of, timed_finish
from bench_uq.run.job import Job
from bench_uq.store import Evaluation
from bench_uq.train.resident import Resident


@pytest.mark.parametrize(
    ("name", "levels", "expected"),
    [
        ("fgsm", [0, 0.1, 0.2], {(10, True): 2}),
        ("fgsm[label=predicted,draws=1]", [0.1], {(1, True): 1, (1, False): 1}),
        ("pgd[steps=3,restarts=1]", [0, 0.1, 0.2], {(10, True): 2 + 2 * 4}),
        (
            "pgd[steps=3,restarts=2,draws=4,objective=entropy]",
            [0.1],
            {(4, True): 4 + 3, (4, False): 4 + 3 + 3},
        ),
        ("rotate", [15, 30], {}),
    ],
)
def test_passes_by_hand(
    name: str, levels: list[float], expected: dict[tuple[int, bool], int]
) -> None:
    """FGSM takes two gradients for all levels, PGD one per step and level, a shift none."""
    shown = [Evaluation(name, "condition", level, "", full=name) for level in levels]
    inputs, targets = torch.rand(4, 1, 28, 28), torch.zeros(4, dtype=torch.long)
    task = Task((1, 28, 28), Categorical(10), "lenet")
    assert passes_of(Plugins(), shown, task, inputs, targets) == Counter(expected)


@dataclass(frozen=True)
class Chains(Method):
    """Method that works after its training: some seconds, and some more for each epoch."""

    reference: ClassVar[str] = "none, https://example.org"
    clock: ClassVar[list[float]] = [0.0]
    always: float = 0.0
    each: float = 0.0

    def build(self, task: Task) -> nn.Module:
        """Build a layer that counts its epochs."""
        net = nn.Linear(1, 2)
        net.register_buffer("epochs", torch.zeros(()))
        return net

    def observe(self, net: nn.Module, progress: float) -> None:
        """Count an epoch."""
        net.get_buffer("epochs").add_(1)

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Let time go by."""
        self.clock[0] += self.always + self.each * float(net.get_buffer("epochs"))


@pytest.mark.parametrize(
    ("method", "epochs", "expected"),
    [
        (Chains(), 160, 0.0),
        (Chains(always=3.0, each=2.0), 160, 3 + 160 * 2),
        (Chains(always=3.0, each=2.0, members=2), 160, 2 * (3 + 160 * 2)),
        (Chains(always=3.0, each=2.0), 4, 3 + 4 * 2),
        # Not worth a second look.
        (Chains(always=0.5, each=0.02), 160, 0.5 + 5 * 0.02),
    ],
)
def test_work_after_training_by_hand(
    method: Chains, epochs: int, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What grows with the epochs is extended to all of them, for each network; others stay."""
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: method.clock[0])
    task = Task((1,), Categorical(2))
    net = method.build(task)
    nets = nn.ModuleList([net] * method.members)
    examples = Resident(Examples([[0.0]], [0]), torch.device("cpu"), 1)

    found = timed_finish(Trained(method, task, nets, 0), (examples, examples), epochs)
    assert found == pytest.approx(expected)
    assert net.get_buffer("epochs") == 0


SAMPLER = """import os
from dataclasses import dataclass
from typing import ClassVar
from bench_uq.api import Method, network

@dataclass(frozen=True)
class Sampler(Method):
    reference: ClassVar[str] = "none, https://example.org"
    def build(self, task):
        return network(task)
    def finish(self, net, train, held_out):
        os.environ["CLOCK"] = str(float(os.environ["CLOCK"]) + 600)
"""


@pytest.mark.parametrize("end", ["", '        raise ArithmeticError("it diverged")\n'])
def test_a_dry_run_counts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """Where only the work after training takes time, the run takes as long as that; what fails
    after few steps need not fail after training.
    """
    (tmp_path / "sampler.py").write_text(SAMPLER + end)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOCK", "0")
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: float(os.environ["CLOCK"]))

    arguments = "run --plugin sampler.py --methods sampler,map --seeds 0 --device cpu --jobs 1"
    done = CliRunner().invoke(main, [*arguments.split(), "--dry-run"])
    assert done.exit_code == 0, done.output
    said = [line.split("  ")[-1] for line in done.stdout.splitlines()]
    assert said == ["to do, about 10 min", "to do, about 0 s", "2 runs, about 10 min with --jobs 1"]


def test_seeds_of_equal_work_are_timed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seed that has its network already is timed apart; the other two have the same time."""
    run = f"run --methods map --set epochs=1 --device cpu --jobs 1 --results {tmp_path}".split()
    assert CliRunner().invoke(main, [*run, "--seeds", "1", "--no-score"]).exit_code == 0
    (clean,) = tmp_path.glob("quick/runs/*/clean-*.npz")
    clean.unlink()

    timed = list[str]()

    def noted(job: Job) -> float:
        timed.append(job.run.name)
        return 10.0 * len(timed)

    monkeypatch.setattr(estimate, "estimate", noted)
    done = CliRunner().invoke(main, [*run, "--seeds", "0-2", "--dry-run"])
    assert [name.rpartition("-")[0] for name in timed] == ["map-digits-s0", "map-digits-s1"]
    said = [line.split("about ")[1] for line in done.stdout.splitlines()]
    assert said == ["10 s", "20 s", "10 s", "40 s with --jobs 1"]


def test_repeated_runs_take_the_whole_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --force a stored run is trained and evaluated anew."""
    run = f"run --methods map --set epochs=1 --seeds 0 --device cpu --jobs 1 --results {tmp_path}"
    assert CliRunner().invoke(main, [*run.split(), "--no-score"]).exit_code == 0
    # Each look at the clock is a second later.
    clock = itertools.count()
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: float(next(clock)))
    stored = CliRunner().invoke(main, [*run.split(), "--dry-run"]).stdout
    repeated = CliRunner().invoke(main, [*run.split(), "--dry-run", "--force"]).stdout
    assert "about 0 s" in stored
    assert "about 0 s" not in repeated
