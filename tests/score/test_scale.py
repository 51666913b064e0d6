"""What surrounds training grows no faster than the number of runs: counted, never timed."""

from __future__ import annotations

import csv
import gc
import gzip
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_uq import store
from bench_uq.check.baseline import write_baseline
from bench_uq.check.margins import read_margins
from bench_uq.check.results import read_baseline, read_folder
from bench_uq.check.rule import judge
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import make_plan
from bench_uq.plan.suite import read_suite
from bench_uq.report import contents
from bench_uq.run.job import Job
from bench_uq.run.suite import due
from bench_uq.score import run_scores, score
from bench_uq.score.results import read
from bench_uq.store import Evaluation, PlannedRun, derived

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository, where benchmarks are
from benchmarks.stored_suites import store_runs, write_suite

page_runs = import_module("bench_uq.report.page.runs")

#: Each twice as many runs as the one before.
SEEDS = (4, 8, 16)
PER_SEED = 4  # runs: two methods on two datasets
#: From one doubling to the next at most so many times as many calls: twice, and some room for what grows by leaps.
TWICE = 2.3
POINTS = 1000
_opened: Counter[str] | None = None


def _count_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(arguments[0], str):
        _opened[Path(arguments[0]).name] += 1


sys.addaudithook(
    _count_opened
)  # Python has no way to take one off: it counts only while it is asked to


@contextmanager
def opened() -> Iterator[Counter[str]]:
    """Yield how often files are opened meanwhile, by their names."""
    global _opened
    _opened = found = Counter()
    try:
        yield found
    finally:
        _opened = None


def calls(work: Callable[[], object]) -> int:
    """Return how many functions of Python some work calls."""
    count, before = 0, sys.getprofile()

    def called(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@contextmanager
def collected_often() -> Iterator[None]:
    """Let cycles be freed at once meanwhile: when else they are is chance, and the peak with it."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(100, 1, 1)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def plan(folder: Path, seeds: int) -> list[PlannedRun]:
    """Return the runs of a suite of two methods on two datasets."""
    asked = {
        "methods": ["map", "dropout"],
        "datasets": ["npz[path=first.npz]", "npz[path=second.npz]"],
    }
    chosen = read_suite(str(write_suite(folder, 40)), {**asked, "seeds": list(range(seeds))})
    return make_plan(
        chosen, Plugins(), Contents(folder / "data", folder / "results" / ".contents.json")
    )


@cache
def jobs(folder: Path, seeds: int) -> list[Job]:
    """Return the jobs of the runs of a suite, planned once."""
    return [
        Job(run, folder / "results" / "many", folder / "data", (), "cpu", None)
        for run in plan(folder, seeds)
    ]


def simulated(run: store.RunFolder, asked: Sequence[Evaluation], *rest: object) -> dict[str, Any]:
    """Return scores and curves of a run that take no time to compute."""
    random = np.random.default_rng(run.record().seed)
    scores = []
    for shown in asked:
        for name in ("accuracy", "nll", "ece", "entropy", "examples"):
            value = 100.0 if name == "examples" else float(random.random())
            scores.append([shown.condition, shown.level, name, value])

    curves = []
    for place in range(POINTS):
        curves.append(["clean", None, "entropy_ecdf", place / POINTS, round(random.random(), 6)])
    sizes = {shown.file: 100 for shown in asked}
    parts = {"scores": scores, "curves": curves, "groups": []}
    return {**parts, "sizes": sizes, "hashes": {}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Return folders of suites by their number of seeds, stored and scored."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_scores, "computed", simulated)
        for seeds in SEEDS:
            found[seeds] = tmp_path_factory.mktemp(f"seeds-{seeds}-")
            suite = found[seeds] / "results" / "many"
            store_runs(plan(found[seeds], seeds), suite)
            score.score(suite)
            write_baseline(read_folder(suite), found[seeds] / "baseline.csv")
    return found


def suite_of(folder: Path) -> Path:
    """Return the folder of the results."""
    return folder / "results" / "many"


def seen_complete(folder: Path, seeds: int) -> list[Job]:
    """Look at runs that are all stored."""
    return due(jobs(folder, seeds), lambda name, result: None)


def forced(folder: Path, seeds: int) -> list[Job]:
    """Hand over runs that are all to be done again, and do none."""
    forced = [replace(job, force=True) for job in jobs(folder, seeds)]
    return due(forced, lambda name, result: None)


STAGES: dict[str, Callable[[Path, int], object]] = {
    "plan": plan,
    "scan, all stored": seen_complete,
    "scan, none stored": forced,
    "score again": lambda folder, seeds: score.score(suite_of(folder)),
    "read": lambda folder, seeds: read(suite_of(folder)),
    "report": lambda folder, seeds: contents(read(suite_of(folder)), ("html", "markdown", "latex")),
    "baseline": lambda folder, seeds: write_baseline(
        read_folder(suite_of(folder)), folder / "again.csv"
    ),
    "check": lambda folder, seeds: judge(
        read_baseline(folder / "baseline.csv"), read_folder(suite_of(folder)), read_margins(None)
    ),
}


@pytest.mark.parametrize("stage", STAGES)
def test_twice_the_runs_take_at_most_twice_the_calls(stage: str, folders: dict[int, Path]) -> None:
    """From 32 to 64 runs the calls of functions grow by no more than twice what they grow by from
    16 to 32.
    """
    work = STAGES[stage]
    for seeds in SEEDS:
        jobs(folders[seeds], seeds)
    work(folders[SEEDS[0]], SEEDS[0])  # what is imported and remembered once
    few, some, many = (calls(lambda seeds=seeds: work(folders[seeds], seeds)) for seeds in SEEDS)  # type: ignore[misc]
    assert many - some <= TWICE * max(some - few, 0.05 * few)


def test_scoring_opens_each_file_of_a_run_at_most_twice(folders: dict[int, Path]) -> None:
    """Records and what is kept are read once a run, predictions once for their checksum and once
    for their numbers.
    """
    runs, first = 8 * PER_SEED, 2 * PER_SEED  # of the first seeds, examples are taken over, too
    for kept in suite_of(folders[8]).glob(f"runs/*/{run_scores.KEPT}"):
        kept.unlink()
    with opened() as found:
        score.score(suite_of(folders[8]))
    assert found[store.RECORD] == runs
    assert predictions(found) <= 2 * 6 * runs + 5 * first  # held-out ones are no examples
    with opened() as found:
        score.score(suite_of(folders[8]))
    assert (found[store.RECORD], found[run_scores.KEPT]) == (runs, runs)
    assert predictions(found) <= 5 * first


def predictions(found: Counter[str]) -> int:
    """Return how often predictions were opened."""
    return sum(
        count for name, count in found.items() if name.endswith(".npz") and name != "examples.npz"
    )


def test_scoring_holds_one_run_at_a_time(
    folders: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run more takes less memory than a fifth of its rows, which are held compressed."""
    monkeypatch.setattr(run_scores, "computed", simulated)
    peaks = []
    for seeds in (8, 16):
        for kept in suite_of(folders[seeds]).glob(f"runs/*/{run_scores.KEPT}"):
            kept.unlink()
        tracemalloc.start()
        with collected_often():
            score.score(suite_of(folders[seeds]))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    curves = gzip.decompress((suite_of(folders[16]) / derived.CURVES).read_bytes())
    size = len(curves) / (16 * PER_SEED)
    assert size > 50_000
    assert peaks[1] - peaks[0] < 0.2 * size * 8 * PER_SEED


def test_curves_are_read_into_a_few_bytes_a_row(tmp_path: Path) -> None:
    """A row takes less memory than the 90 bytes it has in its file, also while it is read."""
    peaks, rows = [], (20_000, 40_000)
    for count in rows:
        path = tmp_path / derived.CURVES
        with gzip.open(path, "wt", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(score.CURVES)
            for place in range(count):
                names = ["digits", "map", place // POINTS, "clean", "", "entropy_ecdf"]
                x = place % POINTS / POINTS
                writer.writerow(
                    [*names, repr(x), repr(x / 3), f"map-digits-s{place // POINTS}-01234567"]
                )

        tracemalloc.start()
        assert len(derived.table(path)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert (peaks[1] - peaks[0]) / (rows[1] - rows[0]) < 80


def test_the_page_holds_a_limited_number_of_runs(
    folders: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a limit the page says how many runs there are more, and where; those in trouble stand
    first.
    """
    results = read(suite_of(folders[16]))
    results.runs.loc[results.runs.index[-1], ["status", "reason"]] = ["failed", "lost"]
    assert page_runs.runs_section(results).count("<tr class=") == 16 * PER_SEED
    assert "more, all in" not in page_runs.runs_section(results)
    monkeypatch.setattr(page_runs, "MOST_RUNS", 10)
    text = page_runs.runs_section(results)
    assert text.count("<tr class=") == 10
    assert "and 54 more, all in runs.csv" in text
    assert text.index('<tr class="failed">') < text.index('<tr class="finished">')
