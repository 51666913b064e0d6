"""Nothing is written through a link in a folder of results or reports."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.cli import main
from bench_uq.store.folders import enclosed, writable

SMALL = ("--methods", "map", "--seeds", "0", "--device", "cpu")
SMALL += ("--set", "epochs=1", "--set", "train_images=200", "--set", "draws=2")

COMMANDS = {
    "run": ("run", *SMALL),
    "force": ("run", "--force", *SMALL),
    "score": ("score",),
    "import": ("score-predictions", "mine.csv", "--name", "mine", "--dataset", "toy-data"),
}

FOLDERS = ("runs", "runs/.locks", "runs/RUN", "runs/other-digits-s0-01234567")
FILES = (
    *("scores.csv", "plan.json", ".lock", "examples.npz"),
    *("runs/.locks/RUN.lock", "runs/RUN/network.safetensors", "runs/RUN/run.json"),
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which a small suite was run and reported."""
    folder = tmp_path_factory.mktemp("ran")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (["run", *SMALL], ["report", "--formats", "html,latex,markdown"]):
            done = CliRunner().invoke(main, command)
            assert done.exit_code == 0, done.output
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
    """Folder with a canary in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "canary").write_text("alive")
    return folder


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of everything in a folder; the content of a link is its target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = b""
        if path.is_symlink():
            content = os.readlink(path).encode()
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found


def refused(*arguments: str) -> str:
    """Line with which a command is refused."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 2, result.output
    lines = result.output.splitlines()
    assert [line[:7] for line in lines] == ["Error: "], result.output
    return lines[0]


def replaced(path: Path, target: Path) -> None:
    """Put a link in the place of a file or folder."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def check_links_out_of_results(
    command: str, place: str, target: Path, here: Path, outside: Path
) -> None:
    """Put a link in a suite's folder; the command must refuse it in one line and write nothing."""
    (here / "mine.csv").write_text("label,prob_0,prob_1\n0,0.5,0.5\n1,0.5,0.5\n")
    (run,) = (path.name for path in (here / "results" / "quick" / "runs").glob("map-*"))
    place = place.replace("RUN", run)
    replaced(here / "results" / "quick" / place, target)
    before, beyond = tree(here), tree(outside)

    line = refused(*COMMANDS[command])
    assert "is a link, which nothing is written through" in line
    assert place in line
    assert tree(here) == before
    assert tree(outside) == beyond


@pytest.mark.parametrize("place", [*FOLDERS, *FILES])
def test_links_out_of_results(place: str, here: Path, outside: Path) -> None:
    """A run is refused where any file or folder of the suite is a link."""
    target = outside if place in FOLDERS else outside / "canary"
    check_links_out_of_results("run", place, target, here, outside)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", ["scores.csv", "runs/RUN"])
def test_links_to_nothing(command: str, place: str, here: Path, outside: Path) -> None:
    """Every command that writes results refuses a dangling link and does not make its target."""
    check_links_out_of_results(command, place, outside / "new", here, outside)


@pytest.mark.parametrize(
    "place", ["index.html", "tables", "tables/main.tex", "files.txt", "figures"]
)
def test_links_out_of_a_report(place: str, here: Path, outside: Path) -> None:
    """A report is not written through a link, and deletes no old file behind one."""
    for name in ("main.tex", "digits.tex"):
        (outside / name).write_text("mine")
    target = outside if place in ("tables", "figures") else outside / "main.tex"
    replaced(here / "reports" / "quick" / place, target)
    before, beyond = tree(here), tree(outside)

    assert place in refused("report", "--formats", "html,latex,png")
    assert tree(here) == before
    assert tree(outside) == beyond


def test_a_suite_behind_a_link(here: Path, outside: Path) -> None:
    """The folder of a suite may itself be a link, to results on another disk."""
    shutil.move(here / "results" / "quick", outside / "quick")
    (here / "results" / "quick").symlink_to(outside / "quick")
    assert CliRunner().invoke(main, ["score"]).exit_code == 0


def test_links_laid_meanwhile(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link laid just before writing is replaced, and one at the partial file is not followed."""
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
    """A run's folder or lock that has become a link is refused when it is used."""
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).symlink_to(outside / "canary" if place.endswith("lock") else outside)

    def use() -> None:
        with store.run_folder(tmp_path, "a").locked():
            store.run_folder(tmp_path, "a").update(status="ok")

    before = tree(outside)
    with pytest.raises(UsageError, match="is a link"):
        use()
    assert tree(outside) == before


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
