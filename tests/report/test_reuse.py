"""A report of the same results is not made again, and one of others is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench_uq import store
from bench_uq.plan.sources import hash_of_trees
from bench_uq.report import figures, reuse, write
from bench_uq.report.reuse import content_key


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the drawings that are drawn."""
    drawn, whole = list[str](), figures.draw_each

    def noted(analysis, drawings, formats, paper, known=()):  # type: ignore[no-untyped-def]
        drawn.extend(one.name for one in drawings if one.name not in known)
        return whole(analysis, drawings, formats, paper, dict(known))

    monkeypatch.setattr(figures, "draw_each", noted)
    return drawn


def test_the_same_is_not_drawn_again(
    make_results: Callable[..., Path], tmp_path: Path, counted: list[str]
) -> None:
    """Nothing at all without a change; no figure for another page; all after a damage."""
    suite = make_results(tmp_path / "quick", methods=("map", "mnf"), seeds=(0, 1))
    told, again = list[str](), list[str]()
    files = write(suite, tmp_path / "report", formats=("svg", "markdown"), notice=told.append)
    assert counted
    before = {path: path.read_bytes() for path in files}

    counted.clear()
    assert (
        write(suite, tmp_path / "report", formats=("svg", "markdown"), notice=again.append) == files
    )
    assert again == told
    assert not counted
    assert {path: path.read_bytes() for path in files} == before

    write(suite, tmp_path / "report", formats=("svg", "markdown"), title="Another")
    assert not counted

    drawing = next(path for path in files if path.suffix == ".svg")
    drawing.write_bytes(b"damaged")
    counted.clear()
    write(suite, tmp_path / "report", formats=("svg", "markdown"), title="Another")
    assert counted
    assert drawing.read_bytes() == before[drawing]


def test_an_edited_plugin_makes_the_report_anew(
    make_results: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its runs are called stale in the report and on the terminal, until the edit is undone; a
    comment changes nothing.
    """
    suite = make_results(tmp_path / "quick", methods=("own", "map"), seeds=(0,))
    plugin = tmp_path / "own.py"
    plugin.write_text("steps = 1\n")
    code = {"method own": hash_of_trees([plugin])}
    planned = store.PlannedRun("own-0", "own", "digits", 0, (), code=code)
    store.merge_plan(suite, [planned], files={"own": str(plugin)})

    def reported() -> tuple[bool, bool]:
        """Whether the summary, and the terminal, call runs stale."""
        write(suite, tmp_path / "report", formats=["markdown"])
        text = (tmp_path / "report" / "summary.md").read_text()
        return "Stale, run before a change" in text, "Stale, run before" in capsys.readouterr().err

    assert reported() == (False, False)
    plugin.write_text("steps = 1  # as before\n")
    assert reported() == (False, False)
    plugin.write_text("steps = 2\n")
    # The second time the report lies there already.
    assert reported() == reported() == (True, True)
    plugin.write_text("steps = 1\n")
    assert reported() == (False, False)


def test_code_of_other_packages_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is made anew after an edit of a metric that another package brings."""
    package, info = tmp_path / "theirs", tmp_path / "theirs-1.dist-info"
    for folder in (package, info):
        folder.mkdir()
    (package / "__init__.py").write_text("heading = 'Depth'\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    without = reuse.code_key()
    (info / "entry_points.txt").write_text("[bench_uq.metrics]\ndepth = theirs\n")
    monkeypatch.syspath_prepend(tmp_path)

    first = reuse.code_key()
    (package / "__init__.py").write_text("heading = 'Depth in m'\n")
    assert len({without, first, reuse.code_key()}) == 3


def test_content_keys_see_every_part() -> None:
    """Each change of a table, an array or a field gives another key; equal contents the same."""

    @dataclasses.dataclass(frozen=True)
    class Part:
        table: pd.DataFrame
        arrays: dict[str, np.ndarray]
        names: frozenset[str] = frozenset({"a", "b"})
        folder: Path | None = None

    def part(**changed: object) -> Part:
        plain = Part(pd.DataFrame({"x": [1.0, 2.0]}), {"y": np.arange(3)})
        return dataclasses.replace(plain, **changed)

    assert content_key(part()) == content_key(part(folder=Path("elsewhere")))
    others = [
        part(table=pd.DataFrame({"x": [1.0, 2.5]})),
        part(table=pd.DataFrame({"z": [1.0, 2.0]})),
        part(arrays={"y": np.arange(3.0)}),
        part(names=frozenset({"a"})),
    ]
    assert len({content_key(one) for one in [part(), *others]}) == 5


def test_the_list_is_read_as_it_was_written() -> None:
    """Lines of older versions have none of it."""
    made = reuse.Made("k", ("pdf", "svg"), {"a.svg": "1"}, {"d": ("a.svg",)}, ("one two",), True)
    assert reuse.read(["of x", "a.svg", "", *made.lines()]) == made
    assert reuse.read(["of x", "a.svg"]) is None
