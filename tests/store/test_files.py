"""Whole files or none, checked by hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from bench_uq import store
from bench_uq.api.task import Predictions
from bench_uq.store.files import SEALED


@pytest.fixture
def folder(tmp_path: Path) -> store.RunFolder:
    """Return a run's folder with one stored file."""
    folder = store.RunFolder(tmp_path / "quick" / "runs" / "map-digits-s0-00000000")
    folder.save_predictions("clean.npz", Predictions({"probs": np.eye(3, dtype=np.float32)}))
    return folder


def test_round_trip(folder: store.RunFolder) -> None:
    """Predictions come back bit for bit."""
    assert folder.holds("clean.npz")
    assert np.array_equal(folder.predictions("clean.npz")["probs"], np.eye(3, dtype=np.float32))


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip", "replace"])
def test_damage_is_set_aside(
    folder: store.RunFolder, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is not as it was stored is set aside, told of, and counts as missing."""
    path = folder.path / "clean.npz"
    content = path.read_bytes()
    flipped = bytes([content[50] ^ 1])
    path.write_bytes(
        {
            "truncate": content[:-9],
            "empty": b"",
            "flip": content[:50] + flipped + content[51:],
            "replace": b"PK" * 50,
        }[damage]
    )

    assert not folder.holds("clean.npz")
    assert path.exists()  # a reader without the lock leaves it where it is
    assert not folder.holds("clean.npz", repair=True)
    assert not path.exists()
    assert path.with_name("clean.npz.corrupt").exists()
    assert "clean.npz" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": 3}', "null"])
def test_damaged_record(folder: store.RunFolder, content: str) -> None:
    """A record that cannot be read counts as none, and nothing it named is trusted."""
    (folder.path / store.RECORD).write_text(content)
    assert folder.record() == store.Record(folder.path.name)
    assert not folder.holds("clean.npz")


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails half-way leaves the old file and no new one."""
    store.write_bytes(tmp_path / "a", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.write_bytes(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_json_refuses_nan(tmp_path: Path) -> None:
    """NaN is no JSON."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write_json(tmp_path / "a.json", {"value": float("nan")})


def test_pickled_arrays_are_not_loaded(folder: store.RunFolder) -> None:
    """An npz that would have to be unpickled is refused."""
    np.savez(folder.path / "clean.npz", probs=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        folder.predictions("clean.npz")


def test_lock(folder: store.RunFolder) -> None:
    """A run is one process's at a time."""
    with folder.locked() as mine, store.RunFolder(folder.path).locked() as theirs:
        assert mine
        assert not theirs
    with folder.locked() as mine:
        assert mine


def test_forgotten_files(folder: store.RunFolder) -> None:
    """Predictions of a network that was trained again no longer count as stored."""
    folder.forget(["clean.npz"])
    assert not folder.holds("clean.npz")


def test_latest_plan_wins(tmp_path: Path) -> None:
    """Of two plans for one method, dataset and seed the later stands; others stay."""
    one, newer = (store.PlannedRun(name, "map", "digits", 0, ()) for name in "ac")
    other = store.PlannedRun("b", "mnf", "digits", 0, ())
    store.merge_plan(tmp_path, [one, other])
    store.merge_plan(tmp_path, [newer])
    runs = json.loads((tmp_path / store.PLAN).read_text())["runs"]
    assert {key: entry["run"] for key, entry in runs.items()} == {
        "map|digits|0": "c",
        "mnf|digits|0": "b",
    }


def test_a_forged_checksum_over_nested_brackets(tmp_path: Path) -> None:
    """A record with a right checksum that is nested too deep is damaged, not an error."""
    store.write_json(tmp_path / "run.json", {"files": {}})
    head, _, _ = (tmp_path / "run.json").read_bytes().partition(b'"files"')
    seal = SEALED.match((tmp_path / "run.json").read_bytes())
    assert seal is not None
    rest = b'"files": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    digest = hashlib.sha256(
        (tmp_path / "run.json").read_bytes()[seal.end() : len(head)] + rest
    ).hexdigest()
    content = head.replace(seal[2], digest.encode()) + rest
    with pytest.raises(ValueError, match="nested too deep"):
        store.parsed(content)


@pytest.mark.parametrize(
    "content",
    [
        rb'{"name": "\ud800"}',
        b'{"name": "\xed\xa0\x80"}',
        '{"name": "a"}'.encode("utf-16"),
        b"[" * 100_000,
        b"[1e999]",
    ],
    ids=["half a pair as a code", "half a pair as bytes", "UTF-16", "nested", "infinite"],
)
def test_json_that_cannot_be_written_again_is_refused(content: bytes) -> None:
    """Text that UTF-8 cannot hold, and deep nesting, are damage at once."""
    with pytest.raises(ValueError, match=r"."):
        store.loaded(content)
    assert store.loaded(rb'{"name": "\ud83d\ude00"}') == {"name": "\U0001f600"}
