"""Links out of a folder of results, and folders of other people, are never written through: one line, and exit 2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.cli import main
from bench_uq.store.folders import enclosed, writable

SMALL = (
    "--methods",
    "map",
    "--seeds",
    "0",
    "--set",
    "epochs=1",
    "--set",
    "train_images=200",
    "--device",
    "cpu",
)
SMALL += ("--set", "draws=2")
#: Of nobody else on the machine: a user without rights, and one who is not that user.
NOBODY, OTHER = 64_001, 64_002
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which a small suite was run and reported."""
    folder = tmp_path_factory.mktemp("ran")
    for arguments in (("run", *SMALL), ("report", "--formats", "html,latex,markdown")):
        command = [sys.executable, "-m", "bench_uq", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def here(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of it."""
    shutil.copytree(ran, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("BENCH_UQ_DATA", raising=False)
    return tmp_path / "work"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder with a canary in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "canary").write_text("alive")
    return folder


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return all that lies in a folder, links by where they lead."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = (
            os.readlink(path).encode()
            if path.is_symlink()
            else path.read_bytes()
            if path.is_file()
            else b""
        )
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found


def refused(*arguments: str) -> str:
    """Return the one line of a command that is refused."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 2, result.output
    lines = result.output.splitlines()
    assert [line[:7] for line in lines] == ["Error: "], result.output
    return lines[0]


PREDICTIONS = ("score-predictions", "mine.csv", "--name", "mine", "--dataset", "toy-data")
COMMANDS = {
    "run": ("run", *SMALL),
    "force": ("run", "--force", *SMALL),
    "score": ("score",),
    "import": PREDICTIONS,
}


def replaced(path: Path, target: Path) -> None:
    """Put a link in the place of a file or folder."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "place",
    [
        "scores.csv",
        "plan.json",
        ".lock",
        "runs",
        "runs/.locks",
        "runs/.locks/RUN.lock",
        "runs/RUN",
        "runs/RUN/network.safetensors",
        "runs/RUN/run.json",
        "runs/other-digits-s0-01234567",
        "examples.npz",
    ],
)
@pytest.mark.parametrize("kind", ["there", "nowhere"])
def test_links_out_of_results(
    command: str, place: str, kind: str, here: Path, outside: Path
) -> None:
    """Whatever is a link in a suite's folder, to what there is or not, nothing is written and nothing behind it."""
    (here / "mine.csv").write_text("label,prob_0,prob_1\n0,0.5,0.5\n1,0.5,0.5\n")
    (run,) = (path.name for path in (here / "results" / "quick" / "runs").glob("map-*"))
    folder = place.endswith(("runs", ".locks", "RUN", "01234567"))
    target = outside / "new" if kind == "nowhere" else outside if folder else outside / "canary"
    replaced(here / "results" / "quick" / place.replace("RUN", run), target)
    before, beyond = tree(here), tree(outside)
    line = refused(*COMMANDS[command])
    assert "is a link, which nothing is written through" in line
    assert place.replace("RUN", run) in line
    assert tree(here) == before
    assert tree(outside) == beyond


@pytest.mark.parametrize(
    "place", ["index.html", "tables", "tables/main.tex", "files.txt", "figures"]
)
def test_links_out_of_a_report(place: str, here: Path, outside: Path) -> None:
    """A report is not written through a link, and no file behind one is deleted as an old one of its own."""
    for name in ("main.tex", "digits.tex"):
        (outside / name).write_text("mine")
    target = outside if place in ("tables", "figures") else outside / "main.tex"
    replaced(here / "reports" / "quick" / place, target)
    before, beyond = tree(here), tree(outside)
    line = refused("report", "--formats", "html,latex,png")
    assert place in line
    assert tree(here) == before
    assert tree(outside) == beyond


def test_links_of_ones_own_to_a_suite(here: Path, outside: Path) -> None:
    """A user who keeps results on another disk, behind a link of their own, goes on as ever."""
    shutil.move(here / "results" / "quick", outside / "quick")
    (here / "results" / "quick").symlink_to(outside / "quick")
    assert CliRunner().invoke(main, ["score"]).exit_code == 0


def test_links_laid_meanwhile(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that comes after the look, in place of a file, is replaced; one in place of its part is not followed."""
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / ".scores.csv.00000000.part").symlink_to(outside / "canary")
    with suppress(OSError):
        store.write_bytes(tmp_path / "scores.csv", b"new")
    assert (outside / "canary").read_text() == "alive"
    monkeypatch.undo()
    (tmp_path / "scores.csv").unlink(missing_ok=True)
    (tmp_path / "scores.csv").symlink_to(outside / "canary")
    store.write_bytes(tmp_path / "scores.csv", b"new")
    assert (outside / "canary").read_text() == "alive"
    assert (tmp_path / "scores.csv").read_bytes() == b"new"
    assert not (tmp_path / "scores.csv").is_symlink()
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("place", ["runs", "runs/a", "runs/.locks", "runs/.locks/a.lock"])
def test_links_of_runs_laid_meanwhile(place: str, tmp_path: Path, outside: Path) -> None:
    """A run's folder or lock that has become a link is told where it is used."""
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).symlink_to(outside / "canary" if place.endswith("lock") else outside)

    def use() -> None:
        with store.run_folder(tmp_path, "a").locked():
            store.run_folder(tmp_path, "a").update(status="ok")

    with pytest.raises(UsageError, match="is a link"):
        use()
    assert tree(outside).keys() == {"canary"}
    assert (outside / "canary").read_text() == "alive"


def opened(folder: Path) -> None:
    """Let everyone pass through the folders above one, which pytest makes for root alone."""
    for path in (folder, *folder.parents):
        if path.owner() == "root" and path.stat().st_mode & 0o777 == 0o700:
            path.chmod(0o711)


def given(folder: Path, user: int, mode: int = 0o755) -> None:
    """Give a folder with all in it to a user."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)
    folder.chmod(mode)


def as_user(user: int, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code as a user without any rights of root, who need not be able to read this package: it is loaded before."""
    program = f"{LOADED}\nos.setgroups([]); os.setgid({user}); os.setuid({user})\n{code}"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd="/")


LOADED = """import os, sys
from pathlib import Path
from bench_uq import config, folders, references, score
from bench_uq.cli import main
"""
SCORE = "main(['score', '--results', sys.argv[1]])"


@as_root
@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o755, "is not a folder that can be written to"),
        (0o777, "belongs to someone else, and anyone may write to it"),
    ],
)
def test_results_of_someone_else(mode: int, words: str, here: Path, outside: Path) -> None:
    """A user is refused in one line where a folder of results is someone else's, writable for all or for none."""
    opened(here)
    given(here / "results", OTHER)
    (here / "results" / "quick").chmod(mode)
    before = tree(here)
    done = as_user(NOBODY, SCORE, here / "results")
    assert done.returncode == 2, done.stderr
    assert [line[:7] for line in done.stderr.splitlines()] == ["Error: "], done.stderr
    assert words in done.stderr
    assert tree(here) == before


@as_root
def test_links_of_someone_else(here: Path, outside: Path) -> None:
    """Root follows no link of another user on the way to a folder of results, and writes through none within."""
    given(here / "results", OTHER)
    line = "is a link, which nothing is written through"
    link = here / "results" / "quick" / "runs" / "other"
    link.symlink_to(outside)
    os.chown(link, OTHER, OTHER, follow_symlinks=False)
    before = tree(outside)
    assert line in refused("score")
    link.unlink()
    shutil.move(here / "results" / "quick", outside / "quick")
    (here / "results" / "quick").symlink_to(outside / "quick")
    os.chown(here / "results" / "quick", OTHER, OTHER, follow_symlinks=False)
    assert "is a link made by someone else" in refused("score")
    shutil.rmtree(outside / "quick")
    assert tree(outside) == before


@as_root
def test_root_in_a_folder_of_a_user(here: Path) -> None:
    """Root writes to a user's folder without links, as it must in a container that was given one."""
    given(here / "results", OTHER, 0o777)
    assert CliRunner().invoke(main, ["score"]).exit_code == 0


@as_root
@pytest.mark.parametrize(
    ("owner", "mode", "fine"),
    [
        (NOBODY, 0o755, True),
        (NOBODY, 0o777, True),
        (OTHER, 0o777, False),
        (OTHER, 0o1777, True),
        (0, 0o777, True),
    ],
)
def test_folders_that_anyone_may_write_to(
    owner: int, mode: int, fine: bool, tmp_path: Path
) -> None:
    """One's own folder and those of root are fine, whatever their mode; someone else's not if all may replace files."""
    opened(tmp_path)
    (tmp_path / "folder").mkdir()
    given(tmp_path / "folder", owner, mode)
    done = as_user(
        NOBODY, "print(folders.writable(Path(sys.argv[1])))", tmp_path / "folder" / "new"
    )
    assert (done.returncode == 0) == fine, done.stderr
    assert fine or "anyone may write to it" in done.stderr


def test_folders_without_links(tmp_path: Path) -> None:
    """A folder that is not there yet, and one of plain files and folders, can be written to."""
    assert enclosed(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").touch()
    assert enclosed(tmp_path / "a") == tmp_path / "a"
    (tmp_path / "a" / "b" / "d").symlink_to("c")
    with pytest.raises(UsageError, match="d is a link"):
        enclosed(tmp_path / "a")
    assert writable(tmp_path / "a") == tmp_path / "a"
