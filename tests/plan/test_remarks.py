"""Remarks on data: told before the training, once, and in the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench_uq.api import Examples
from bench_uq.plan.examples import leaking
from bench_uq.plan.plugins import Plugins
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
