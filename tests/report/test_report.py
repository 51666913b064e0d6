"""The whole report: same input, same bytes; no torch; old files replaced, others left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.report import earlier, write
from bench_uq.score.results import Results

SCRIPT = """
import sys
from pathlib import Path
from bench_uq.report import write
from bench_uq.score.results import Results
write(Path(sys.argv[1]), Path(sys.argv[2]))
print([name for name in ("torch", "netcal") if name in sys.modules])
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_all_files_are_told(report: tuple[Path, list[Path]]) -> None:
    """What was said to be written is what is there, and nothing half-written is left."""
    target, files = report
    assert sorted(files) == sorted(path for path in target.rglob("*") if path.is_file())
    kinds = {".md", ".html", ".tex", ".pdf", ".png", ".svg", ".txt"}
    assert {path.suffix for path in files} == kinds


def test_same_input_same_bytes_without_torch(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """Another process with another hash seed writes the same, and loads neither torch nor netcal."""
    suite = make_results(tmp_path / "quick", ("map", "mnf"), (0, 1), attacks=("fgsm",))
    write(suite, tmp_path / "one")
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-c", SCRIPT, str(suite), str(tmp_path / "two")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.fixture(scope="module")
def small(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return results of one method and one seed, of nothing but clean data."""
    folder = tmp_path_factory.mktemp("small") / "quick"
    return make_results(folder, ("map",), unseen=(), attacks=())


def test_old_report_is_replaced_and_the_rest_kept(small: Path, tmp_path: Path) -> None:
    """Little is enough for a report; a file of somebody else stays."""
    for name in ("summary.md", "mine.txt"):
        (tmp_path / name).write_text(name)
    files = write(small, tmp_path)
    assert (tmp_path / "summary.md").read_text().startswith("# quick")
    assert (tmp_path / "mine.txt").read_text() == "mine.txt"
    tables = {path.name for path in files if path.suffix == ".tex"}
    assert tables == {"digits.tex", "digits-overview.tex", "digits-cost.tex", "main.tex"}
    assert not list((tmp_path / "figures").glob("digits-levels*"))


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        (["latex"], {".tex", ".txt"}),
        (["markdown", "html"], {".md", ".html", ".txt"}),
        (["svg"], {".svg", ".txt"}),
        (["png", "pdf"], {".png", ".pdf", ".txt"}),
    ],
)
def test_formats_of_choice(
    small: Path, tmp_path: Path, formats: list[str], expected: set[str]
) -> None:
    """What is asked for is written, and nothing else."""
    files = write(small, tmp_path / "report", formats=formats)
    assert {path.suffix for path in files} == expected


def test_report_of_some(told: Results, story: Path, tmp_path: Path) -> None:
    """Of some methods, datasets and metrics, with a title: nothing is of the others."""
    chosen = {"methods": ["map", "ensemble"], "datasets": ["digits"], "metrics": ["nll"]}
    formats = ["latex", "markdown", "html"]
    files = write(story, tmp_path / "report", formats=formats, title="Only <these>", **chosen)
    texts = {path.name: path.read_text() for path in files}

    plain = {name for name in texts if name.endswith(".tex") and "pgd" not in name}
    own = ("digits", "digits-overview", "digits-levels-fgsm", "digits-levels-rotate", "digits-cost")
    own = (*own, "digits-equivalent")
    assert plain == {"main.tex", *(f"{name}.tex" for name in own)}
    for name, text in texts.items():
        assert "boston" not in text, name
        assert "mean-field" not in text, name

    assert "2 methods on 1 dataset; 6 of 6 runs finished." in texts["summary.md"]
    assert texts["summary.md"].startswith("# Only &lt;these&gt;\n")
    assert r"\markright{Only \textless{}these\textgreater{}}" in texts["main.tex"]
    assert "Accuracy" not in texts["digits.tex"] + texts["digits-levels-fgsm.tex"]
    assert "mean-field" in told.methods


#: Tables of one dataset of nothing but clean data.
OWN = ("a", "a-overview", "a-cost", "main")


def test_stale_files_go(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """A narrower report leaves nothing of what was shown before; files of others stay."""
    suite = make_results(tmp_path / "quick", ("map",), unseen=(), attacks=(), datasets=("a", "b"))
    target = tmp_path / "report"
    write(suite, target, formats=["markdown"])
    write(suite, target, formats=["latex"])
    assert (target / "summary.md").is_file()  # the same results in another format
    (target / "tables" / "b-mine.tex").write_text("mine")
    (tmp_path / "canary").write_text("here")
    with (target / "files.txt").open("a") as file:
        file.write("../canary\ntables/../../canary\ntables/b-mine.tex.txt\n")
    write(suite, target, formats=["latex"], datasets=["a"])
    there = {path.name for path in target.rglob("*") if path.is_file()}
    assert there == {f"{name}.tex" for name in (*OWN, "b-mine")} | {"files.txt"}
    assert (tmp_path / "canary").read_text() == "here"
    assert earlier(target) == {f"tables/{name}.tex" for name in OWN}

    # The same of results that changed, whatever the formats.
    scores = suite / "scores.csv"
    scores.write_text(scores.read_text().replace(",nll,", ",made-up,"))
    (suite / "checksums.json").unlink(missing_ok=True)
    write(suite, target, formats=["markdown"], datasets=["a"])
    assert earlier(target) == {"summary.md"}


def test_target_that_is_a_file(small: Path, tmp_path: Path) -> None:
    """A report cannot be written into a file; the error says so in one line."""
    (tmp_path / "report").write_text("a file")
    with pytest.raises(UsageError, match="cannot write the report to"):
        write(small, tmp_path / "report")
