"""On a full disk the old file stays and one line says so; later the command continues."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

SUITE = """
methods = ["map"]
datasets = ["digits"]
seeds = [0]

[settings]
epochs = 2
draws = 2
test_images = 60

[conditions]
fgsm = [0.1]
"""
RUN = ("run", "--suite", "tiny.toml", "--device", "cpu")
TRAIN = (*RUN, "--no-score")
SCORE = ("score", "--suite", "tiny.toml")
REPORT = ("report", "--suite", "tiny.toml", "--formats")

Bench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def whole(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the suite was run with room enough."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "tiny.toml").write_text(SUITE)
    done = bench(folder, *RUN)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tmp_path


def removed(folder: Path, *patterns: str) -> None:
    """Delete files and folders of the suite's results."""
    for pattern in patterns:
        for path in list((folder / "results").glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def old(folder: Path, name: str) -> None:
    """Put an old file where a new one is to be written."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"old\n")


def limited(size: int) -> Callable[[], None]:
    """Return what lets no file of a process and its children grow beyond so many bytes."""
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))


#: By what cannot be written: what is there before, the command, and the bytes that a file may have.
CASES: dict[str, tuple[Callable[[Path], None], tuple[str, ...], int]] = {
    ".contents.json": (lambda folder: removed(folder, ".contents.json", "tiny"), RUN, 300),
    "plan.json": (lambda folder: removed(folder, "tiny"), RUN, 300),
    "run.json": (lambda folder: removed(folder, "tiny/runs"), TRAIN, 600),
    "network.safetensors": (lambda folder: removed(folder, "tiny/runs"), TRAIN, 20_000),
    "clean-": (lambda folder: removed(folder, "tiny/runs/*/*.npz"), TRAIN, 3_500),
    "scored.json": (lambda folder: removed(folder, "tiny/runs/*/scored.json"), SCORE, 4_000),
    "curves.csv.gz": (lambda folder: old(folder, "results/tiny/curves.csv.gz"), SCORE, 3_000),
    "scores.csv": (lambda folder: old(folder, "results/tiny/scores.csv"), SCORE, 3_600),
    "index.html": (
        lambda folder: old(folder, "reports/tiny/index.html"),
        (*REPORT, "html"),
        20_000,
    ),
    "summary.md": (
        lambda folder: old(folder, "reports/tiny/summary.md"),
        (*REPORT, "markdown"),
        2_000,
    ),
    ".tex": (lambda folder: None, (*REPORT, "latex"), 2_000),
    ".pdf": (lambda folder: None, (*REPORT, "pdf"), 4_000),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_may_not_grow(name: str, bench: Bench, folder: Path, whole: Path) -> None:
    """One line names file and cause, the old file stays, and the command works with space."""
    prepare, command, size = CASES[name]
    prepare(folder)
    before = contents(folder, "")
    done = bench(folder, *command, preexec_fn=limited(size))

    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert name in done.stderr
    assert os.strerror(errno.EFBIG) in done.stderr
    (named,) = re.findall(r"(\S*): " + os.strerror(errno.EFBIG), done.stderr)
    assert contents(folder, "").get(folder / named) == before.get(folder / named)
    assert not list(folder.rglob("*.part"))

    again = bench(folder, *(RUN if command is TRAIN else command))
    assert (again.returncode, again.stderr) == (0, "")
    assert contents(folder, name)
    assert_scored(folder, whole)


def contents(folder: Path, name: str) -> dict[Path, bytes]:
    """Return the files with a part of their name, by path."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and name in path.name
    }


def assert_scored(folder: Path, whole: Path) -> None:
    """Check that the suite has the scores that it has where there was room."""
    for name in ("scores.csv", "curves.csv.gz", "groups.csv.gz", "examples.npz"):
        assert (folder / "results/tiny" / name).read_bytes() == (
            whole / "results/tiny" / name
        ).read_bytes(), name


def test_no_room_for_a_checkpoint(bench: Bench, folder: Path, whole: Path) -> None:
    """A training whose checkpoint does not fit ends well and says that it had none."""
    removed(folder, "tiny/runs")
    done = bench(folder, *RUN, "--checkpoint-every", "0", preexec_fn=limited(70_000))
    assert done.returncode == 0, done.stdout
    (line,) = done.stderr.splitlines()
    assert "trained without a checkpoint: cannot write" in line
    assert os.strerror(errno.EFBIG) in line
    assert_scored(folder, whole)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder that is a disk of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk is mounted by root alone")
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path, kept: int) -> None:
    """Fill a disk but for so many bytes."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    free = os.statvfs(disk)
    with filler.open("wb") as file:
        file.write(bytes(max(0, free.f_bavail * free.f_frsize - kept)))


#: Bytes that are left on the disk, attempt by attempt.
KEPT = {"runs": (0, 4096, 49_152), "scores": (0, 16_384), "report": (0, 16_384, 131_072)}


@pytest.mark.parametrize("what", KEPT)
def test_a_full_disk(what: str, bench: Bench, small_disk: Path, whole: Path) -> None:
    """With more and more space the same command gets further, and at last to its end."""
    command = {"runs": TRAIN, "scores": SCORE, "report": (*REPORT, "html,pdf,latex,markdown")}[what]
    shutil.copy(whole / "tiny.toml", small_disk)
    if what != "runs":
        shutil.copytree(whole / "results", small_disk / "results")
    if what == "scores":
        # A new file takes room, one in an old one's place none.
        removed(small_disk, "tiny/runs/*/scored.json", "tiny/runs.csv", "tiny/environment.json")
        for name in ("scores.csv", "curves.csv.gz", "groups.csv.gz"):
            old(small_disk, f"results/tiny/{name}")
    if what == "report":
        old(small_disk, "reports/tiny/index.html")

    named = set()
    for kept in KEPT[what]:
        fill(small_disk, kept)
        done = bench(small_disk, *command)
        assert done.returncode in (1, 2), done.stdout + done.stderr
        (line,) = done.stderr.splitlines()
        assert os.strerror(errno.ENOSPC) in line
        named |= set(re.findall(r"([^/ ]+): " + os.strerror(errno.ENOSPC), line))
        assert not list(small_disk.rglob("*.part"))
        for name in ("scores.csv", "curves.csv.gz") if what == "scores" else ():
            stored, original = (folder / "results/tiny" / name for folder in (small_disk, whole))
            assert stored.read_bytes() in (b"old\n", original.read_bytes())
        if what == "report":
            page = (small_disk / "reports/tiny/index.html").read_bytes()
            assert page == b"old\n" or page.endswith(b"</html>\n")

    assert len(named) > 1
    (small_disk / "filler").unlink()
    done = bench(small_disk, *(RUN if command is TRAIN else command))
    assert (done.returncode, done.stderr) == (0, "")
    assert_scored(small_disk, whole)
