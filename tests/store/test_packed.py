"""Tables that their owner compressed are the same tables."""

from __future__ import annotations

import gzip
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from bench_uq import read_scores
from bench_uq.api.errors import UsageError
from bench_uq.report import write
from bench_uq.report.exports import exported
from bench_uq.run.foreign import refuse_loss
from bench_uq.score.results import read

REPO = Path(__file__).resolve().parents[2]


TABLES = ("scores.csv", "runs.csv")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Committed results as they were scored, and then compressed."""
    suite = shutil.copytree(REPO / "results" / "mnf-paper-cpu", tmp_path / "mnf-paper-cpu")
    for plain in unpacked(suite):
        plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    return suite


def unpacked(suite: Path) -> list[Path]:
    """The tables as scoring writes them."""
    found = []
    for name in TABLES:
        plain, compressed = suite / name, suite / f"{name}.gz"
        if compressed.exists():
            plain.write_bytes(gzip.decompress(compressed.read_bytes()))
            compressed.unlink()
        found.append(plain)
    return found


def test_compressed_scores_are_the_same(packed: Path, tmp_path: Path) -> None:
    """Everything reads them; the report is that of the plain ones."""
    scores, results, runs = read_scores(packed), read(packed), exported(packed)
    assert len(scores) > 1000
    pd.testing.assert_frame_equal(read_scores(packed / "scores.csv.gz"), scores)
    write(packed, tmp_path / "packed", formats=["markdown"])

    assert scores.attrs["runs"]
    unpacked(packed)
    pd.testing.assert_frame_equal(read_scores(packed), scores)
    assert read_scores(packed).attrs["runs"] == scores.attrs["runs"]
    pd.testing.assert_frame_equal(read(packed).scores, results.scores)
    pd.testing.assert_frame_equal(read(packed).runs, results.runs)
    assert exported(packed) == runs

    write(packed, tmp_path / "plain", formats=["markdown"])
    told = [(tmp_path / name / "summary.md").read_bytes() for name in ("packed", "plain")]
    assert told[0] == told[1]


def test_plain_scores_are_read_first(packed: Path) -> None:
    """A suite that was scored again has new ones beside the compressed."""
    content = gzip.decompress((packed / "scores.csv.gz").read_bytes())
    (packed / "checksums.json").unlink()
    (packed / "scores.csv").write_bytes(b"".join(content.splitlines(keepends=True)[:10]))
    assert len(read_scores(packed)) == 9


@pytest.mark.parametrize(
    ("name", "old", "new"), [("scores.csv", b"0.99", b"0.98"), ("runs.csv", b"1000", b"1001")]
)
def test_a_changed_table_is_refused(packed: Path, name: str, old: bytes, new: bytes) -> None:
    """Its checksum is that of the plain one."""
    file = packed / f"{name}.gz"
    content = gzip.decompress(file.read_bytes())
    assert old in content
    file.write_bytes(gzip.compress(content.replace(old, new, 1)))
    with pytest.raises(UsageError, match=re.escape(f"{file} is damaged") + ".* checksum"):
        read(packed)


def test_runs_that_are_not_here_are_not_replaced(packed: Path) -> None:
    """Whose table is compressed too."""
    with pytest.raises(UsageError, match=r"runs\.csv\.gz: 30 of its 30 runs were made elsewhere"):
        refuse_loss(packed, [])
