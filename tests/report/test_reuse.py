"""A report of the same results is not made again, and one of others is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench_uq.report import figures, reuse, write
from bench_uq.report.reuse import content_key


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the drawings that are drawn."""
    drawn, whole = list[str](), figures.draw_each

    def noted(analysis, drawings, formats, known=()):  # type: ignore[no-untyped-def]
        drawn.extend(one.name for one in drawings if one.name not in known)
        return whole(analysis, drawings, formats, dict(known))

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
