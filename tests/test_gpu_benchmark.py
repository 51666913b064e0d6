"""The one command for a GPU runs through on a CPU."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd

REPO = Path(__file__).resolve().parents[1]
SMALL = ("--device", "cpu", "--images", "40", "--epochs", "1", "--rounds", "1", "--threads", "1")
PARTS = {
    "epoch": 4,
    "share": 2,
    "together": 3,
    "precision": 6,
    "predict": 4,
    "recorded": 8,
    "fgsm 4 images": 4,
    "pgd 4 images": 4,
}


def measured(out: Path, *options: object) -> tuple[str, pd.DataFrame]:
    """Return what the command prints and the rows that it writes."""
    command = [sys.executable, "-m", "benchmarks.gpu", *SMALL, "--out", out, *options]
    done = subprocess.run([str(part) for part in command], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, pd.read_csv(out)


def test_every_part_is_measured(tmp_path: Path) -> None:
    """Every part has its rows, but how busy a GPU is; without MNIST the images are random, which is
    said.
    """
    text, rows = measured(tmp_path / "gpu.csv", "--data-dir", tmp_path)
    counts = Counter(rows["benchmark"])
    assert counts.pop("step lenet") >= 6  # more where others are installed
    assert counts == PARTS
    assert (rows["ratio"] > 0).all()
    assert "the tests marked cuda are left out" in text
    assert "random bytes" in text
    assert "out of time" not in text


def test_what_no_longer_fits_is_said(tmp_path: Path) -> None:
    """Without time nothing is measured, and each part says so."""
    text, rows = measured(tmp_path / "gpu.csv", "--seconds", 0)
    assert rows.empty
    assert text.count("not measured: out of time") == 22
