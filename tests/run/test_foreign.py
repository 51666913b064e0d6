"""A folder with scores of runs that were made elsewhere, such as published ones in a clone."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

import bench_uq
from bench_uq.run.foreign import refuse_loss
from bench_uq.store import PlannedRun
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
LOST = (
    "Error: results/small/runs.csv: 1 of its 2 runs were made elsewhere, such as one of 'dropout'; "
    "their scores would be lost (--results DIR puts yours elsewhere)"
)
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
    """One line, exit 2, and nothing is written; a dry run may look."""
    before = state(published)
    assert "map-digits-s0" in done(published, *RUN, "--methods", "map", "--dry-run")
    failed = invoke(published, *RUN, "--methods", "map")

    assert failed.exit_code == 2
    assert failed.stderr.splitlines()[-1] == LOST
    assert state(published) == before

    done(published, *RUN, "--methods", "map", "--results", "mine")
    assert methods(published, "mine") == {"map"}
    assert state(published) == before

    joined = invoke(published, "merge", "mine", "--results", "results")
    assert (joined.exit_code, joined.stderr.splitlines()[-1]) == (2, LOST)
    assert state(published) == before


def test_an_import_is_refused_too(published: Path) -> None:
    """Scoring what is imported would drop the published scores as well."""
    before = state(published)
    scores = bench_uq.evaluate(np.full((4, 10), 0.1), np.arange(4))
    with pytest.raises(bench_uq.UsageError, match="2 of its 2 runs were made elsewhere"):
        scores.save(published / "results" / "small", name="mine", dataset="own", new_dataset=True)
    assert state(published) == before


def test_all_that_is_published_may_be_made_anew(published: Path) -> None:
    """Every row has a run in its place, with others beside."""
    refuse_loss(published / "results" / "small", planned("map", "dropout", "mean-field"))
    with pytest.raises(
        bench_uq.UsageError, match="1 of its 2 runs were made elsewhere, such as one of 'map'"
    ):
        refuse_loss(published / "results" / "small", planned("dropout", "mean-field"))


def test_runs_of_ones_own_are_kept_by_the_plan(made: Path, tmp_path: Path) -> None:
    """Whoever ran all may run one again, and may have deleted the runs, or the plan."""
    own = shutil.copytree(made / "results" / "small", tmp_path / "own")
    shutil.rmtree(own / "runs")
    refuse_loss(own, planned("map"))

    damaged = shutil.copytree(made / "results" / "small", tmp_path / "damaged")
    (damaged / "plan.json").write_text("{")
    refuse_loss(damaged, planned("map"))


def planned(*methods: str) -> list[PlannedRun]:
    """Planned runs of methods."""
    return [PlannedRun(f"{name}-digits-s0-0", name, "digits", 0, ()) for name in methods]


@pytest.mark.parametrize("content", ["", "method,dataset\nmap,digits\n", "\0", "run,\n"])
def test_a_table_that_cannot_be_read_has_nothing_to_lose(tmp_path: Path, content: str) -> None:
    """It is made anew, as any other damaged file."""
    refuse_loss(tmp_path, [])
    (tmp_path / "runs.csv").write_text(content)
    refuse_loss(tmp_path, [])
