"""bench_uq from Python: the same runs, reports and checks as the commands, and the same errors."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import bench_uq

SCRIPT = """
from threading import Thread

import bench_uq

settings = {"epochs": 1, "draws": 2, "fgsm.draws": 2}
results = bench_uq.run("quick", methods=["map"], seeds=[0, 1], settings=settings, device="cpu")
files = bench_uq.report(results, formats=["markdown"])
print([str(path) for path in files])
print(bench_uq.summarise(results).seeds.max())

chosen = {"methods": ["map"], "seeds": [0], "settings": settings, "device": "cpu"}
thread = Thread(target=bench_uq.run, args=("quick",), kwargs={**chosen, "results": "threaded"})
thread.start()
thread.join()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a script without a guard of its main part has run a suite."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (folder / "out").write_text(done.stdout)
    return folder


def test_a_script_runs_and_reports(folder: Path) -> None:
    """A script, run once and not again in its child processes, gets runs, files and a summary."""
    lines = (folder / "out").read_text().splitlines()
    # Runs are trained side by side, and either may end first.
    assert sorted(line.split()[0].rsplit("-", 1)[0] for line in lines[:2]) == [
        "map-digits-s0",
        "map-digits-s1",
    ]
    assert "reports/quick/summary.md" in lines[2]
    assert lines[3] == "2"


def test_a_run_in_another_thread(folder: Path) -> None:
    """It gives the scores of a run in the main one, which alone can handle signals."""
    scores = bench_uq.read_scores(folder / "results" / "quick")
    again = bench_uq.read_scores(folder / "threaded" / "quick")
    assert again.equals(scores[scores.seed == 0].reset_index(drop=True))


def test_read_scores_and_check(folder: Path) -> None:
    """Scores are read as a frame, and a suite passes against a baseline of itself."""
    suite = folder / "results" / "quick"
    scores = bench_uq.read_scores(suite)
    assert set(scores.seed) == {0, 1}
    command = [sys.executable, "-m", "bench_uq", "baseline", "--out", "baseline.csv"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    verdicts = bench_uq.check(suite, folder / "baseline.csv")
    assert verdicts.exit_code == 0, verdicts.text


def test_the_verdict_is_that_of_the_report() -> None:
    """The sentences that the command prints, of a suite whose results are in the repository."""
    folder = Path(__file__).parents[1] / "results" / "methods"
    said = bench_uq.verdict(folder)
    first = said.sentences[0]
    assert first.startswith(
        "No clear winner: 5 seeds do not tell 20 of 31 methods from the best in any of 6 "
    )
    assert "Deep ensemble ranks best on average, and is best, or not" in first
    assert str(said).splitlines() == [*said.sentences, *said.remarks]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"suite": "quik"}, "did you mean 'quick'"),
        ({"methods": ["mpa"]}, "unknown method 'mpa'"),
        ({"settings": {"epoch": 3}}, "unknown setting 'epoch'"),
        ({"seeds": [-1]}, "seeds must be at least 0"),
        ({"seeds": [2**63]}, rf"seeds must be below 2\^63, not {2**63}"),
        ({"seeds": 3}, r"seeds are several, such as seeds=\[0, 1, 2\], not 3"),
        ({"methods": 3}, "methods are names, such as .*, not 3"),
        ({"methods": "map,mpa"}, "unknown method 'mpa'"),
        ({"settings": ["epochs=1"]}, "settings are values by name"),
        ({"device": "gpu"}, "unknown device 'gpu'; did you mean 'cpu'"),
        ({"jobs": 0}, "jobs must be at least 1, not 0"),
        ({"jobs": "2"}, "jobs must be a whole number, not '2'"),
        ({"budget": -1}, "budget must be finite and above 0, not -1"),
        ({"budget": "half"}, "budget must be a number, not 'half'"),
        ({"timeout": -1}, "timeout must be above 0, not -1"),
    ],
)
def test_mistakes_are_usage_errors(
    arguments: dict[str, object], words: str, tmp_path: Path
) -> None:
    """A mistake raises UsageError with the line of the command, and writes nothing."""
    with pytest.raises(bench_uq.UsageError, match=words):
        bench_uq.run(**{"results": tmp_path / "results", **arguments})  # type: ignore[arg-type]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["run", "report", "check", "read_scores", "summarise", "verdict"])
def test_functions_keep_their_names(name: str) -> None:
    """A room of the same name does not replace a function; dir() lists it, with types and a text."""
    import bench_uq.check.compare
    import bench_uq.report.tables
    import bench_uq.run.suite

    function = getattr(bench_uq, name)
    assert inspect.isfunction(function)
    assert name in dir(bench_uq)
    assert function.__doc__
    assert "return" in function.__annotations__
