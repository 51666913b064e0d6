"""The gate works: a planted fault makes ``check`` fail against the committed baseline."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import warm

REPO = Path(__file__).resolve().parents[2]
BASELINE = REPO / "results" / "quick" / "baseline.csv"

# One cell of ``check --format json``.
Cell = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """A change of one place in the code, the method to run, and the cells that must be named."""

    method: str
    file: str
    old: str
    new: str
    hit: Callable[[Cell], bool]  # these get the verdict, every one
    spared: Callable[[Cell], bool] = lambda cell: False  # and of these none
    verdict: str = "regressed"


def clean(*metrics: str) -> Callable[[Cell], bool]:
    """Return what tells the clean cells of some metrics."""
    return lambda cell: cell["condition"] == "clean" and cell["metric"] in metrics


def attacked(cell: Cell) -> bool:
    """Tell a cell under attack."""
    return cell["condition"] not in ("clean", "letters") and cell["level"] > 0


FAULTS = {
    "dropout is off when predicting": Fault(
        *("dropout[rate=0.1]", "methods/dropout.py"),
        "self.rate, training=True)",
        "self.rate, training=self.training)",
        hit=lambda cell: cell["metric"] == "epistemic",
    ),
    "the KL weighs ten times as much": Fault(
        *("mean-field", "methods/_variational.py"),
        "return nll + weight * kl(net) / size",
        "return nll + 10 * weight * kl(net) / size",
        # Not the ECE: the posterior falls back to the prior, unsure and rightly so.
        hit=clean("nll", "brier", "entropy"),
    ),
    "the ECE is computed on logits": Fault(
        *("map", "metrics/calibration.py"),
        "    return netcal_adapter.expected_error(confidence(predictions), correct(predictions), BINS)",
        '    logits = np.log(np.maximum(predictions["probs"].astype(float), 1e-30))\n'
        "    logits -= logits.mean(axis=1, keepdims=True)\n"
        "    return netcal_adapter.expected_error(logits.max(axis=1), correct(predictions), BINS)",
        hit=lambda cell: cell["metric"] == "ece" and cell["level"] in (0.05, 0.1),
        spared=lambda cell: cell["metric"] != "ece",
    ),
    "the members of an ensemble share a seed": Fault(
        *("ensemble", "train/seeds.py"),
        "    text = ",
        '    stage = stage[:1] if stage[0] in ("build", "train", "shuffle") else stage\n    text = ',
        hit=lambda cell: cell["metric"] == "epistemic",
    ),
    "FGSM goes half as far": Fault(
        *("map", "conditions/fgsm.py"),
        "inputs + level * direction",
        "inputs + level / 2 * direction",
        hit=lambda cell: attacked(cell) and cell["metric"] in ("accuracy", "nll"),
        spared=lambda cell: not attacked(cell),
    ),
    # Data of other content are other data: the scores are not compared, and the build fails.
    "the labels are shifted by one": Fault(
        *("map", "datasets/digits.py"),
        "return Examples(kept.inputs.copy(), kept.targets.copy())",
        'return Examples(kept.inputs.copy(), (kept.targets + (split == "test")) % 10)',
        hit=lambda cell: True,
        verdict="unlike",
    ),
}


def planted(fault: Fault, folder: Path) -> Path:
    """Return a copy of the code with a fault in it."""
    package = folder / "code" / "bench_uq"
    shutil.copytree(REPO / "bench_uq", package, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("methods", "datasets", "conditions", "metrics"):
        shutil.copytree(REPO / part, package / part, ignore=shutil.ignore_patterns("__pycache__"))
    text = (package / fault.file).read_text()
    assert text.count(fault.old) == 1
    (package / fault.file).write_text(text.replace(fault.old, fault.new))
    return package.parent


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_fails_the_build(name: str, tmp_path: Path) -> None:
    """The fault regresses its own cells, spares all that it cannot touch, and fails."""
    fault = FAULTS[name]
    environment = {**os.environ, "PYTHONPATH": str(planted(fault, tmp_path))}

    def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the fault in the code."""
        return warm.run([*arguments, "--methods", fault.method], tmp_path, env=environment)

    made = bench("run", "--device", "cpu")
    assert made.returncode == 0, made.stderr

    checked = bench("check", "--baseline", str(BASELINE), "--format", "json")
    assert checked.returncode == 1, checked.stderr
    cells = json.loads(checked.stdout)["cells"]
    named = [cell for cell in cells if cell["verdict"] == fault.verdict]
    assert [cell for cell in cells if fault.hit(cell) and cell not in named] == []
    assert [cell for cell in named if fault.spared(cell)] == []
