"""Scores that their owner compressed are the same scores."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pandas as pd
import pytest

from bench_uq import read_scores
from bench_uq.api.errors import UsageError
from bench_uq.report import write
from bench_uq.report.exports import exported
from bench_uq.score.results import read

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Committed results as they were scored, and then compressed."""
    suite = shutil.copytree(REPO / "results" / "mnf-paper-cpu", tmp_path / "mnf-paper-cpu")
    plain = plain_scores(suite)
    plain.with_name("scores.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return suite


def plain_scores(suite: Path) -> Path:
    """The scores as scoring writes them."""
    plain, compressed = suite / "scores.csv", suite / "scores.csv.gz"
    if compressed.exists():
        plain.write_bytes(gzip.decompress(compressed.read_bytes()))
        compressed.unlink()
    return plain


def test_compressed_scores_are_the_same(packed: Path, tmp_path: Path) -> None:
    """Everything reads them; the report is that of the plain ones."""
    scores, results, runs = read_scores(packed), read(packed), exported(packed)
    assert len(scores) > 1000
    pd.testing.assert_frame_equal(read_scores(packed / "scores.csv.gz"), scores)
    write(packed, tmp_path / "packed", formats=["markdown"])

    plain_scores(packed)
    pd.testing.assert_frame_equal(read_scores(packed), scores)
    pd.testing.assert_frame_equal(read(packed).scores, results.scores)
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


def test_changed_scores_are_refused(packed: Path) -> None:
    """Their checksum is that of the plain ones."""
    file = packed / "scores.csv.gz"
    content = gzip.decompress(file.read_bytes())
    file.write_bytes(gzip.compress(content.replace(b"0.99", b"0.98", 1)))
    with pytest.raises(UsageError, match=r"scores\.csv\.gz is damaged .* checksum"):
        read(packed)
