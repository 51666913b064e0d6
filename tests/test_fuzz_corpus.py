"""Inputs that fuzzing found end as documented; atheris is not needed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))  # the targets are no part of the package

from fuzz.targets import TARGETS, check  # noqa: E402

CORPUS = REPO / "fuzz" / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_corpus(name: str) -> None:
    """Every kept input of a target ends with a value or the error that its reader documents."""
    inputs = sorted((CORPUS / name).iterdir())
    assert inputs
    for path in inputs:
        try:
            check(name, path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path} ends with {type(error).__name__}: {error}") from error


def test_corpus_is_small() -> None:
    """What is kept can be replayed in seconds, and belongs to a target."""
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 300_000
