"""The published predictions of HMC for CIFAR-10, scored as anyone's: docs/score-your-predictions.md."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from tests.cli.commands import done, invoke

NAMED = ("--name", "hmc-resnet20", "--dataset", "cifar10", "--suite", "others")


@pytest.fixture(scope="module")
def file(data_root: Path, absent: Callable[[str], NoReturn]) -> Path:
    """The file of predictions, in the order of the test split."""
    path = data_root / "hmc" / "cifar10-resnet20frn.npz"
    return path if path.is_file() else absent(f"no {path}")


def test_published_predictions_of_hmc(file: Path, tmp_path: Path) -> None:
    """Accuracy, NLL and ECE are those of Izmailov et al. 2021's ResNet-20-FRN; the same predictions
    in another order are refused beside them.
    """
    done(tmp_path, "score-predictions", str(file), *NAMED)
    found = {}
    with (tmp_path / "results/others/scores.csv").open() as rows:
        for row in csv.DictReader(rows):
            found[row["metric"]] = row["value"]
    assert float(found["accuracy"]) == pytest.approx(0.9144, abs=5e-5)
    assert float(found["nll"]) == pytest.approx(0.2773, abs=5e-5)
    assert float(found["ece"]) == pytest.approx(0.0522, abs=5e-5)

    with np.load(file) as arrays:
        probs, labels = arrays["probs"], arrays["labels"]
    shifted = tmp_path / "shifted.npz"
    np.savez(shifted, probs=np.roll(probs, 1, axis=0), labels=np.roll(labels, 1))
    named = ("--name", "shifted", *NAMED[2:])
    told = invoke(tmp_path, "score-predictions", str(shifted), *named)
    assert told.exit_code == 2
    assert "order" in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1
