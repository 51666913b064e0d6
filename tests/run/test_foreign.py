"""A folder with scores of runs that were made elsewhere, such as published ones in a clone."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from bench_uq.run.foreign import refuse_loss
from tests.cli.commands import done, invoke

SUITE = """
methods = ["map", "dropout"]
datasets = ["digits"]
seeds = [0]
network = "mlp-32"

[settings]
epochs = 1
train_images = 100
test_images = 40
draws = 2
"""
RUN = ("run", "--suite", "small.toml", "--device", "cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of both methods."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "small.toml").write_text(SUITE)
    done(folder, *RUN)
    return folder


@pytest.fixture
def published(made: Path, tmp_path: Path) -> Path:
    """The same as they are published: without plan and runs."""
    folder = tmp_path / "clone"
    shutil.copytree(made, folder)
    shutil.rmtree(folder / "results" / "small" / "runs")
    (folder / "results" / "small" / "plan.json").unlink()
    return folder


def methods(folder: Path, results: str = "results") -> set[str]:
    """Methods with scores."""
    with (folder / results / "small" / "scores.csv").open() as file:
        return {row["method"] for row in csv.DictReader(file)}


def state(folder: Path) -> dict[Path, bytes]:
    """Content of every file of the results."""
    files = (path for path in folder.glob("results/**/*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_a_run_of_less_than_is_published_is_refused(published: Path) -> None:
    """One line, exit 2, and nothing is written."""
    before = state(published)
    failed = invoke(published, *RUN, "--methods", "map")

    assert failed.exit_code == 2
    (line,) = failed.stderr.splitlines()
    assert "runs.csv has 1 runs that were not made here, the first of 'dropout'" in line
    assert "--results DIR" in line
    assert state(published) == before

    done(published, *RUN, "--methods", "map", "--results", "mine")
    assert methods(published, "mine") == {"map"}
    assert state(published) == before


def test_all_that_is_published_may_be_made_anew(published: Path) -> None:
    """Every row has a run in its place, with others beside."""
    told = done(published, *RUN, "--methods", "map,dropout,mean-field", "--dry-run")
    assert "mean-field-digits-s0" in told


def test_runs_of_ones_own_are_kept_by_the_plan(made: Path, tmp_path: Path) -> None:
    """Whoever ran all may run one again, and may have deleted the runs."""
    shutil.copytree(made, tmp_path / "own")
    shutil.rmtree(tmp_path / "own" / "results" / "small" / "runs")
    assert "map-digits-s0" in done(tmp_path / "own", *RUN, "--methods", "map", "--dry-run")


@pytest.mark.parametrize("content", ["", "method,dataset\nmap,digits\n", "\0", "run,\n"])
def test_a_table_that_cannot_be_read_has_nothing_to_lose(tmp_path: Path, content: str) -> None:
    """It is made anew, as any other damaged file."""
    refuse_loss(tmp_path, [])
    (tmp_path / "runs.csv").write_text(content)
    refuse_loss(tmp_path, [])
