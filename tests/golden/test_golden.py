"""Training and prediction give the numbers that were kept when their versions were last raised."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO))  # the golden arrays are no part of the package

from tests.golden import __main__ as renewal  # noqa: E402
from tests.golden import comparison, runs  # noqa: E402
from tests.golden.comparison import Golden, complaint  # noqa: E402
from tests.golden.runs import Name  # noqa: E402

VERSIONS = {"training": 1, "prediction": 1}
LOSS = Name("suite: map on data, seed 0", "training", "loss")
PROBS = Name("suite: map on data, seed 0", "prediction", "clean, probs")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """The arrays of this code on this machine."""
    return Golden(runs.versions(), runs.make(tmp_path_factory.mktemp("golden")))


@pytest.mark.parametrize("stage", comparison.NUMBERS)
def test_stage_computes_what_its_version_says(stage: str, made: Golden) -> None:
    """Results of a stage are those in the file, and the file is of the stage's version."""
    kept = comparison.read(comparison.FILE)
    if torch.__version__ < (2, 11):
        kept, made = without_dropout(kept), without_dropout(made)

    if text := complaint(stage, kept, made):
        pytest.fail(text, pytrace=False)


def without_dropout(golden: Golden) -> Golden:
    """Leave out the runs with dropout: torch 2.6 draws other masks, 2.11 those of today."""
    kept = {}
    for name, values in golden.arrays.items():
        if ": dropout" not in name.run:
            kept[name] = values
    return Golden(golden.versions, kept)


def golden(loss: float = 1.0, prob: float = 0.5, **versions: int) -> Golden:
    """Two arrays."""
    arrays = {LOSS: np.array([2.0, loss]), PROBS: np.array([[prob, 1 - prob]])}
    return Golden(VERSIONS | versions, arrays)


def test_equal_arithmetic_passes() -> None:
    """Nothing is said of differences within the tolerance, or relative to numbers above 1."""
    for other in (golden(), golden(loss=1.00005), golden(prob=0.50005)):
        assert complaint("training", golden(), other) == ""
        assert complaint("prediction", golden(), other) == ""
    assert complaint("training", golden(loss=1000), golden(loss=1000.05)) == ""


def test_changed_arithmetic_is_told() -> None:
    """The message names what moved and how far, the number to raise and the command to renew."""
    text = complaint("training", golden(), golden(loss=1.25))
    assert "training changed but TRAINING_VERSION is still 1" in text
    assert "raise it in bench_uq/train/__init__.py and renew with `python -m tests.golden`" in text
    assert "suite: map on data, seed 0: loss moved by 0.25" in text

    text = complaint("prediction", golden(), golden(prob=0.4))
    assert "prediction changed but PREDICTION_VERSION is still 1" in text
    assert "raise it in bench_uq/predict/__init__.py" in text
    assert "clean, probs moved by 0.1" in text
    assert complaint("training", golden(), golden(prob=0.4)) == ""


def test_predictions_of_other_networks_are_not_judged() -> None:
    """Where the training of a run changed its predictions are expected to."""
    assert complaint("prediction", golden(), golden(loss=1.25, prob=0.4)) == ""


def test_raised_number_needs_a_new_file() -> None:
    """A version other than the file's fails, whether or not an array moved."""
    text = complaint("training", golden(), golden(training=2))
    assert text.startswith("TRAINING_VERSION is 2, and arrays.npz was made with 1: renew it")
    assert complaint("training", golden(training=2), golden(loss=1.25, training=2))


def test_arrays_that_come_or_go_are_told() -> None:
    """A missing array, an additional one, one of another size and a NaN each fail."""
    whole = golden()
    without = Golden(VERSIONS, {LOSS: whole.arrays[LOSS]})
    assert "clean, probs is missing" in complaint("prediction", whole, without)
    assert "clean, probs is not in the file" in complaint("prediction", without, whole)

    longer = Golden(VERSIONS, whole.arrays | {LOSS: np.ones(3)})
    assert "loss has 3 numbers instead of 2" in complaint("training", whole, longer)
    assert "loss moved by inf" in complaint("training", whole, golden(loss=np.nan))


def test_file_keeps_what_is_written(tmp_path: Path) -> None:
    """Arrays and versions are read as they were written, and the repository's file is small."""
    comparison.write(golden(training=3), tmp_path / "arrays.npz")
    kept = comparison.read(tmp_path / "arrays.npz")
    assert kept.versions == {"training": 3, "prediction": 1}
    assert kept.arrays.keys() == golden().arrays.keys()
    np.testing.assert_array_equal(kept.arrays[PROBS], [0.5, 0.5])
    assert comparison.FILE.stat().st_size < 150_000


@pytest.mark.parametrize(
    ("made", "options", "renewed"),
    [
        (golden(loss=1.25), [], False),
        (golden(loss=1.25), ["--keep-versions"], True),
        (golden(loss=1.25, training=2), [], True),
        (golden(loss=1.25, prediction=2), [], False),
        (golden(), [], True),
    ],
)
def test_renewal_needs_a_raised_number(
    made: Golden,
    options: list[str],
    renewed: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file is renewed if the version of what moved was raised, or on request."""
    path = tmp_path / "arrays.npz"
    comparison.write(golden(), path)
    monkeypatch.setattr(renewal, "FILE", path)
    monkeypatch.setattr(renewal, "make", lambda folder: made.arrays)
    monkeypatch.setattr(renewal, "versions", lambda: made.versions)

    if renewed:
        renewal.main(options)
    else:
        with pytest.raises(SystemExit, match="TRAINING_VERSION is still 1"):
            renewal.main(options)

    expected = made if renewed else golden()
    kept = comparison.read(path)
    assert kept.versions == expected.versions
    np.testing.assert_array_equal(kept.arrays[LOSS], expected.arrays[LOSS])
