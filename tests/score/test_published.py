"""Published values: read and checked by one function, inherited, and handed on beside the scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench_uq.api.errors import UsageError
from bench_uq.api.names import plain_name
from bench_uq.cli import main
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.suite import read_suite, shipped
from bench_uq.report.markdown import summary
from bench_uq.run.suite import check_names, read_references
from bench_uq.score.analysis import analyse
from bench_uq.score.published import hand_on, read_file
from bench_uq.score.results import read

HEADER = "dataset,method,metric,value,source,certainty"
ROW = "digits,map,nll,0.5,Somebody 2020,seen"
SUITE = 'methods = ["map"]\ndatasets = ["digits"]\nseeds = [0]\n[settings]\nepochs = 1\ntrain_images = 200\n'


def written(folder: Path, *rows: str, header: str = HEADER, name: str = "mine") -> Path:
    """Write a suite with its published values and return the suite's file."""
    (folder / f"{name}.reference.csv").write_text("\n".join([header, *rows]) + "\n")
    (folder / f"{name}.toml").write_text(SUITE)
    return folder / f"{name}.toml"


def test_cells_that_are_left_out(tmp_path: Path) -> None:
    """A file may lack what is seldom said: then data are clean, and there is no level, spread or
    note.
    """
    (one,) = read_references(written(tmp_path, ROW))
    assert (one.condition, one.level, one.spread, one.notes) == ("clean", "", "", "")
    assert (one.value, one.certainty) == ("0.5", "seen")


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        (HEADER, "digits,map,nll,much,X,seen", "line 2: value must be a finite number, not 'much'"),
        (HEADER, "digits,map,nll,inf,X,seen", "line 2: value must be a finite number, not 'inf'"),
        (HEADER, "digits,map,nll,1_0,X,seen", "line 2: value must be a finite number, not '1_0'"),
        (HEADER, "digits,map,nll,٣,X,seen", "line 2: value must be a finite number"),
        (HEADER, "digits,map,nlll,1,X,seen", "line 2: unknown metric 'nlll'; did you mean 'nll'?"),
        (HEADER, "digits,map,nll,1,X,sen", "line 2: unknown certainty 'sen'; did you mean 'seen'?"),
        (HEADER, "digits,map,nll,1,,seen", "line 2: source is empty"),
        (HEADER, "digits,mnf[flows,nll,1,X,seen", "line 2: 'mnf[flows' is not of the form"),
        (HEADER, "digits,map,nll,1,X", "line 2: 5 fields, expected 6"),
        (HEADER, f"{ROW}\n{ROW}", "line 3: nll of map on digits is given twice by 'Somebody 2020'"),
        (f"{HEADER},spread", f"{ROW},-1", "line 2: spread must be at least 0, not -1"),
        (f"{HEADER},level", f"{ROW},x", "line 2: level must be a finite number, not 'x'"),
        (f"{HEADER},sprad", f"{ROW},1", "unknown column in"),
        (f"{HEADER},value", f"{ROW},1", "column 'value' is given twice"),
        (HEADER.replace(",source", ""), ROW, "lacks the column 'source'"),
        (HEADER, 'digits,"map,nll', "cannot be read"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, header: str, row: str, words: str) -> None:
    """What is wrong is told with its line, what is allowed and the nearest name."""
    with pytest.raises(UsageError) as told:
        read_references(written(tmp_path, row, header=header))
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_other_encodings(tmp_path: Path) -> None:
    """A spreadsheet's mark in front of UTF-8 is nothing; what is no UTF-8 is told."""
    file = tmp_path / "x.reference.csv"
    file.write_bytes(f"\ufeff{HEADER}\r\n{ROW}\r\n".encode())
    assert len(read_file(file)) == 1
    file.write_bytes(f"{HEADER}\n{ROW}\n".replace("Somebody", "Zoë").encode("latin-1"))
    with pytest.raises(UsageError, match="cannot be read"):
        read_file(file)


def test_inheritance(tmp_path: Path) -> None:
    """A suite has the values of the one that it extends; its own of the same thing and source take
    their place.
    """
    written(tmp_path, ROW, ROW.replace("map", "mnf"), name="base")
    child = written(tmp_path, ROW.replace("0.5", "0.7"), ROW.replace("Somebody", "Another"))
    child.write_text('extends = "base"\n')
    found = {(one.method, one.source): one.value for one in read_references(child)}
    assert found == {
        ("map", "Somebody 2020"): "0.7",
        ("mnf", "Somebody 2020"): "0.5",
        ("map", "Another 2020"): "0.5",
    }
    (tmp_path / "mine.reference.csv").unlink()
    assert len(read_references(child)) == 2
    assert read_references(shipped()["quick"]) == []


def test_same_values_same_bytes(tmp_path: Path) -> None:
    """What is handed on is sorted, and reads back as it was."""
    rows = [
        ROW,
        ROW.replace("map", "dropout[rate=0.1]"),
        ROW.replace("Somebody", '"A, ""B"" & Ü"').replace("2020", ""),
    ]
    rows[2] = 'digits,map,nll,0.50,"A, ""B"" & Ü; c",recalled'

    one = read_references(written(tmp_path, *rows))
    hand_on(one, tmp_path / "a")
    hand_on(reversed(one), tmp_path / "b")
    content = (tmp_path / "a" / "reference.csv").read_bytes()
    assert content == (tmp_path / "b" / "reference.csv").read_bytes()
    assert sorted(read_file(tmp_path / "a" / "reference.csv"), key=str) == sorted(one, key=str)

    hand_on([], tmp_path / "a")
    assert not (tmp_path / "a" / "reference.csv").exists()


def test_run_and_score_hand_values_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's file travels with run and with score; a wrong one stops a run before anything is
    written.
    """
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, ROW.replace("map", "mnf[hidden=50]"))
    command = ["--suite", str(file), "--results", "results"]
    told = CliRunner().invoke(main, ["run", *command])
    assert told.exit_code == 2
    assert "results call method 'mnf[hidden=50]' 'mnf'" in told.output
    assert not (tmp_path / "results").exists()

    written(tmp_path, ROW)
    assert CliRunner().invoke(main, ["run", *command]).exit_code == 0
    kept = tmp_path / "results" / "mine" / "reference.csv"
    assert [one.value for one in read_file(kept)] == ["0.5"]

    written(tmp_path, ROW.replace("0.5", "0.7"))
    assert (
        CliRunner().invoke(main, ["score", "--suite", "mine", "--results", "results"]).exit_code
        == 0
    )
    assert [one.value for one in read_file(kept)] == ["0.5"]
    assert CliRunner().invoke(main, ["score", *command]).exit_code == 0
    assert [one.value for one in read_file(kept)] == ["0.7"]
    assert "| Somebody 2020 | seen |" in summary(analyse(read(kept.parent)), [])


OWN = [name for name, path in shipped().items() if path.with_suffix(".reference.csv").is_file()]


@pytest.mark.parametrize("name", OWN)
def test_shipped_values_find_their_scores(name: str) -> None:
    """Names are those of results, and a suite's own values are of its methods and data."""
    plugins, suite = Plugins(), read_suite(name)
    check_names(read_references(shipped()[name]), plugins)
    methods = {plugins.spec("method", text).name for text in suite.methods}
    own = read_file(shipped()[name].with_name(f"{name}.reference.csv"))
    assert {one.method for one in own} <= methods
    assert {plain_name(one.dataset) for one in own} <= {plain_name(text) for text in suite.datasets}


@pytest.mark.parametrize(
    "name", ["mnf-paper", "mnf-paper-cpu", "mnf-paper-cifar5", "mnf-paper-cifar5-cpu"]
)
def test_every_method_of_the_mnf_paper_has_its_error(name: str) -> None:
    """Table 2 has a test error of each of the six methods, none of them seen in the paper itself."""
    plugins, suite = Plugins(), read_suite(name)
    (dataset,) = suite.datasets
    table = [
        one
        for one in read_references(shipped()[name])
        if "Louizos" in one.source and one.dataset == dataset
    ]

    values = {one.method: float(one.value) for one in table}
    methods = [plugins.spec("method", text).name for text in suite.methods]
    expected = [24, 16, 21, 22, 23, 16] if dataset == "cifar5" else [0.6, 0.5, 0.7, 0.9, 0.9, 0.7]
    if name == "mnf-paper-cifar5-cpu":
        expected.pop(4)  # it leaves out the log-uniform prior
    assert [values[method] for method in methods] == expected
    assert {one.certainty for one in table} == {"corroborated"}
    assert {one.metric for one in table} == {"test_error"}
