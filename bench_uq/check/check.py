"""``bench-uq check`` as a function: results against a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench_uq.check.formats import FORMATS
from bench_uq.check.margins import check_conditions, own_budget, read_margins
from bench_uq.check.results import narrowed, read_folder, read_results
from bench_uq.check.rule import judge
from bench_uq.check.verdicts import Verdicts
from bench_uq.plan.plugins import Plugins
from bench_uq.score.cards import Cards


def check(
    folder: Path,
    baseline: Path,
    margins: Path | None = None,
    *,
    suite: str = "",
    methods: Sequence[str] = (),
    datasets: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    form: str = "text",
) -> Verdicts:
    """Compare a suite's folder of results with a baseline's CSV file.

    ``margins`` is a TOML file. ``suite``, a name or a TOML file, says to which settings floors
    apply; by default it has the name of the folder. ``plugins`` are files with metrics. ``form`` is
    the format of ``text``.
    """
    (before,) = narrowed([read_results(baseline)], methods, datasets)
    allowed = read_margins(margins, Cards(Plugins(tuple(plugins)).metrics()))
    # A misspelt condition would be passed over in silence.
    check_conditions(allowed, before.scores["condition"].unique(), margins)

    # Not narrowed: what the baseline lacks only gives a remark.
    now = read_folder(folder, plugins)
    found = judge(before, now, allowed, own_budget(suite or folder.name, now))
    return replace(found, text=FORMATS[form](found, folder.name))
