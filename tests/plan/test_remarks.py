"""Remarks on data: told before the training, once, and in the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench_uq.api import Examples
from bench_uq.plan.examples import leaking
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import make_plan
from bench_uq.plan.suite import read_suite
from bench_uq.report.markdown import summary
from bench_uq.report.page import page
from bench_uq.run.suite import Choices, prepare, remember
from bench_uq.score.analysis import analyse
from bench_uq.score.results import read
from bench_uq.score.score import score

RNG = np.random.default_rng(0)


def told(here: Path, table: np.ndarray) -> tuple[list[str], str, str]:
    """What planning a suite on a table tells, the summary, and the page."""
    np.savetxt(here / "uci" / "mine.txt", table)
    notices = list[str]()
    choices = Choices(datasets=("uci[name=mine]",), results=here / "results", data_dir=here)
    prepared = prepare(choices, notices.append)

    # Planned, and not trained: what is missing has its data too.
    remember(prepared)
    score(prepared.folder, Plugins())
    analysis = analyse(read(prepared.folder))
    return notices, summary(analysis, []).replace("\\", ""), page(analysis)


def test_remarks_reach_the_user_and_the_reports(tmp_path: Path) -> None:
    """A copy of the target is told at every plan, on the page and in the summary, until it goes."""
    target = RNG.normal(size=60)
    table = np.column_stack([RNG.normal(size=60), 3 * target + 5, target])
    (tmp_path / "uci").mkdir()

    line = "uci[name=mine]: feature 1 is nearly the target, correlation 1.0000"
    for _ in range(2):
        notices, markdown, html = told(tmp_path, table)
        assert notices.count(line) == 1
        assert f"\n⚠ {line}.\n" in markdown
        assert f'<p class="warning">⚠ {line}.</p>' in html

    notices, markdown, html = told(tmp_path, table[:, [0, 2]])
    assert "nearly" not in "".join([*notices, markdown, html])


IMAGES = RNG.integers(0, 256, (40, 8, 8), np.uint8)
LABELS = np.arange(40) % 4


def remarks(here: Path, unseen: np.ndarray, **changed: np.ndarray) -> list[str]:
    """Remarks on arrays and on unseen data of ten images, without the names of the files."""
    arrays = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[::-1], "y_test": LABELS}
    np.savez(here / "mine.npz", **{**arrays, **changed})
    np.savez(here / "other.npz", x_test=unseen, y_test=np.zeros(len(unseen), int))
    (here / "mine.toml").write_text(
        """
methods = ["map"]
datasets = ["npz[path=mine.npz]"]
seeds = [0]
[settings]
epochs = 1
[conditions]
"npz[path=other.npz]" = []
"""
    )

    notices, contents = list[str](), Contents(here, here / "known")
    make_plan(read_suite(str(here / "mine.toml"), {}), Plugins(), contents, notices.append)
    return [line.replace("npz[path=", "").replace(".npz]", "") for line in notices]


def test_inputs_that_say_nothing(tmp_path: Path) -> None:
    """Equal inputs, images of one colour, classes without examples and one class alone are told."""
    assert remarks(tmp_path, IMAGES) == []
    assert remarks(tmp_path, 255 * np.ones((10, 8, 8), np.uint8)) == [
        "other: all inputs of the test split are equal"
    ]
    blank, gap = IMAGES.copy(), np.where(LABELS == 1, 0, LABELS)
    blank[:7] = np.arange(7, dtype=np.uint8)[:, None, None]
    assert remarks(tmp_path, IMAGES, x_train=blank, y_train=gap, y_test=gap * 0) == [
        "mine: 7 of 40 images of the train split are of one colour",
        "mine: no training example of class 1",
        "mine: all test examples are of one class",
    ]


def test_scales_of_inputs(tmp_path: Path) -> None:
    """A sliver of the range of pixels is told, and so are data in another scale than the
    training's.
    """
    dark = IMAGES // 16
    alone = "their scale alone may tell them apart"

    assert remarks(tmp_path, dark, x_train=dark, x_test=dark) == [
        "mine: its pixels lie in 0 to 0.0588 of [0, 1]: "
        "epsilon and other levels are in units of [0, 1], not of this range"
    ]
    train = "those of the training data of mine in 0 to 1"
    assert remarks(tmp_path, dark) == [
        f"other: the test inputs lie in 0 to 0.0588, {train}: {alone}"
    ]
    assert remarks(tmp_path, IMAGES, x_test=dark) == [
        f"mine: the test inputs lie in 0 to 0.0588, {train}: {alone}"
    ]

    # Features have units of their own.
    rows = RNG.normal(size=(40, 5))
    assert remarks(tmp_path, 3 * rows, x_train=rows, x_test=rows) == []
    (told,) = remarks(tmp_path, 300 * rows, x_train=rows, x_test=rows)
    assert told.startswith("other: the test inputs lie in ")
    assert told.endswith(alone)


def test_nearly_the_target() -> None:
    """A feature is told where its correlation with the target, of either sign, is above 0.999."""
    target = RNG.normal(size=500)
    noise = RNG.normal(size=500)
    features = [-target, target + 0.02 * noise, target + 0.1 * noise, noise, np.full(500, 3.0)]
    examples = Examples(np.column_stack(features).astype(np.float32), target.astype(np.float32))

    expected = [abs(np.corrcoef(feature, target)[0, 1]) > 0.999 for feature in features[:4]]
    assert expected == [True, True, False, False]
    assert [line.split()[1] for line in leaking(examples)] == ["0", "1"]
    assert leaking(Examples(np.zeros((4, 1, 2, 2), np.uint8), np.arange(4))) == []


def test_other_forms_of_a_leak() -> None:
    """Rows counted by steps of 1.5, forwards or backwards, and a bent copy of the target."""
    rows = np.arange(60, dtype=np.float32)
    target = RNG.normal(size=60).astype(np.float32)
    features = [1.5 * rows, 90 - 0.1 * rows, np.exp(target), -(target**3), np.zeros(60), target**2]
    found = leaking(Examples(np.column_stack(features).astype(np.float32), target))
    assert [line.split(",")[0] for line in found] == [
        "feature 0 counts the examples",
        "feature 1 counts the examples",
        "feature 2 has nearly the order of the target",
        "feature 3 has nearly the order of the target",
    ]


def test_small_numbers_are_no_count() -> None:
    """Features of a billionth differ by less than a default tolerance, and count nothing."""
    target = RNG.normal(size=60).astype(np.float32)
    small = (1e-9 * RNG.normal(size=(60, 2))).astype(np.float32)
    assert leaking(Examples(small, target)) == []
