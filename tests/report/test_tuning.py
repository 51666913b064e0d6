"""The report of a tuned suite shows how it was tuned, and that of any other suite is as it was."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from bench_uq.api.errors import UsageError
from bench_uq.report import contents, write
from bench_uq.report.tables.tuning import tuning, words
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, named, read, select
from bench_uq.score.rounding import plain
from bench_uq.score.trials import COLUMNS, FILE, Trial
from bench_uq.score.verdict import verdict

Drawn = Callable[[str, Results], dict[str, Figure]]
Tried = Callable[..., tuple[Trial, ...]]
ROWS = (
    "0,digits,map,0,map,,3,0.199,0.97,True",
    "0,digits,map,1,map[prior_std=2],learning_rate=0.01,3,0.5,0.97,False",
    "0,digits,dropout,0,dropout,,3,0.448,1.5,False",
    '0,digits,dropout,1,dropout[rate=0.2],"learning_rate=0.01,weight_decay=1e-05",3,0.3,1,True',
    '0,digits,dropout,2,dropout[rate=0.9],"learning_rate=0.03,weight_decay=0.01",0,inf,100,False',
)
TEXT = "\n".join([",".join(COLUMNS), *ROWS, ""])
TEXTS = ["latex", "markdown", "html"]


@pytest.fixture(scope="module")
def both(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of results of a suite at its defaults, and tuned; the trials lie in both."""
    folder = tmp_path_factory.mktemp("results")
    make_results(folder / "quick", ("map", "dropout"), range(4), attacks=())
    make_results(folder / "quick-tuned", ("map", "dropout[rate=0.2]"), range(3), attacks=())
    for name in ("quick", "quick-tuned"):
        (folder / name / FILE).write_text(TEXT)
    return folder


@pytest.fixture(scope="module")
def tuned(both: Path) -> Results:
    return read(both / "quick-tuned").on("digits")


def scores(folder: Path, method: str, metric: str) -> pd.Series:
    """The scores of a method on clean data, by seed."""
    table = pd.read_csv(folder / "scores.csv")
    rows = table[(table["method"] == method) & (table["condition"] == "clean")]
    return rows[rows["metric"] == metric].set_index("seed")["value"]


def test_differences_are_those_of_the_scores(both: Path, tuned: Results) -> None:
    """Over the three seeds of both, of the dropout that was tuned and its default."""
    for metric in ("nll", "accuracy"):
        ours = scores(both / "quick-tuned", "dropout[rate=0.2]", metric)
        theirs = scores(both / "quick", "dropout", metric)
        shift = analyse(tuned).shifts["dropout", metric]
        assert shift.mean == pytest.approx((ours - theirs).dropna().mean())
        assert shift.seeds == 3
    assert analyse(tuned).shifts["map", "nll"].mean == 0


def test_summary_has_a_row_for_each_method(tuned: Results) -> None:
    """Chosen settings, trials and their cost, both validation scores, and the differences."""
    text = contents(tuned, ["markdown"])["summary.md"].decode()
    section = text.partition("### Tuning\n")[2]
    head, _, plain, dropout = section.strip().splitlines()[:4]
    assert head == (
        "| method | chosen | trials | training (s) | validation NLL, default "
        "| validation NLL, chosen | n | NLL ↓ difference | Accuracy ↑ difference "
        "| ECE ↓ difference |"
    )
    assert plain == "| map | the default | 2 | 1.9 | 0.199 | 0.199 | 3 | 0 | 0 | 0 |"
    chosen = r"rate=0.2, learning\_rate=0.01, weight\_decay=1e-05"
    assert dropout.startswith(
        f"| dropout | {chosen} | 3 (1 diverged) | 102.5 | 0.448 | 0.300 | 3 | "
    )

    difference = r"[+-]0\.\d+ \[-?0\.\d+, -?0\.\d+\]"
    assert len(re.findall(difference, dropout)) == 3
    assert "2–3 trials each, validation NLL over 3 tuning seeds." in section
    assert "on the test split, over n seeds of both" in section
    assert "95 % interval (for new seeds;" in section


def test_of_many_tuned_methods_the_verdict_names_those_that_gained() -> None:
    """With the difference to their defaults where its interval has one sign; others are counted."""
    analysis = analyse(read(Path(__file__).parents[2] / "results" / "methods-tuned"))
    chosen = {one.method: one for one in analysis.tuning if not one.kept}
    gained = set[str]()
    for method in chosen:
        shift = analysis.shifts[method, "nll"]
        assert shift.mean < 0 or shift.low < 0 < shift.high  # none is worse
        if shift.high < 0:
            gained.add(method)
    assert {"mean-field", "mnf"} <= gained < chosen.keys()

    (said,) = [one for one in verdict(analysis).all if one.startswith("Tuning lowers the NLL of ")]
    left = len(analysis.methods) - len(chosen)
    others = f"chose other settings for {len(chosen) - len(gained)} more, and left {left} at"
    assert others in said
    loss = -analysis.shifts["mnf", "nll"].mean
    assert f"mnf by {plain(loss, 2)}" in said
    assert "dropout" not in gained
    assert " dropout by" not in said


def test_the_verdict_says_what_tuning_chose(both: Path, tuned: Results, tmp_path: Path) -> None:
    """Sentences name a tuned method without its options, but for the one that has them."""
    said = "\n".join(verdict(analyse(tuned)).all)
    (chosen,) = [line for line in said.splitlines() if line.startswith("Tuning chose ")]
    assert chosen.startswith("Tuning chose dropout[rate=0.2], whose NLL is ")
    assert chosen.endswith(" It left map at its default.")
    assert said.count("rate=0.2") == 1
    assert "dropout " in said

    shift = analyse(tuned).shifts["dropout", "nll"]
    differs = shift.low > 0 or shift.high < 0
    assert ("not significantly different from its default's" in chosen) != differs

    # Without results of the default there is nothing to hold it against.
    alone = read(shutil.copytree(both / "quick-tuned", tmp_path / "quick-tuned"))
    assert "Tuning chose dropout[rate=0.2]." in "\n".join(verdict(analyse(alone)).all)


def test_a_title_that_two_methods_share_keeps_its_options(tuned: Results) -> None:
    """Beside a dropout that was not tuned, the tuned one is told with its rate."""
    changed = {"method": {"map": "dropout"}}
    runs = tuned.runs.astype({"method": str}).replace(changed)
    scores = tuned.scores.astype({"method": str}).replace(changed)
    mixed = analyse(replace(tuned, runs=runs, scores=scores, trials=tuned.trials[2:]))
    assert mixed.spoken("dropout[rate=0.2]") == "dropout[rate=0.2]"
    assert analyse(tuned).spoken("dropout[rate=0.2]") == "dropout"


def test_labels_stand_in_tables_and_figures(tuned: Results, drawn: Drawn) -> None:
    """Methods and the dataset are called as readers know them, not as suites spell them."""
    labels = {"map": "One network", "dropout": "Our dropout", "digits": "Small digits"}
    results = named(tuned, labels)
    shown = tuning(analyse(results))
    assert shown is not None
    assert shown.differences is not None
    assert [row.name for row in shown.differences.rows] == ["One network", "Our dropout"]
    assert (shown.dataset, shown.differences.dataset) == ("Small digits", "Small digits")
    (figure,) = drawn("tuning-sensitivity", results).values()
    titles = {axes.get_title(loc="left") for axes in figure.axes} - {""}
    assert titles == {"Our dropout"}  # nothing is known of two values of the other


def test_every_format_shows_the_same(tuned: Results) -> None:
    """A fragment, a section of the page with its curve and its file, and figures."""
    files = contents(tuned, ["latex", "html", "svg"])
    fragment = files["tables/digits-tuning.tex"].decode()
    assert r"\label{tuning-quick-tuned-digits}" in fragment
    assert "    map & 2 & 1.9 & 0.199 & 0.199 & the default" in fragment
    assert r"    dropout & 3 (1 diverged) & 102.5 & 0.448 & 0.300 & rate=0.2, " in fragment
    assert r"NLL $\downarrow$" in fragment
    assert r"\input{digits-tuning.tex}" in files["tables/main.tex"].decode()

    page = files["index.html"].decode()
    assert '<a href="#tuning">Tuning</a>' in page
    section = page.partition('<section id="tuning"')[2].partition("</section>")[0]
    assert "<td>3 (1 diverged)</td><td>102.5</td>" in section
    assert '"title":"Expected lowest validation NLL"' in page
    assert f'download="{FILE}"' in page

    names = {name for name in files if "tuning" in name and name.endswith(".svg")}
    figures = {"digits-tuning-curves", "digits-tuning-sensitivity"}
    assert names == {f"figures/{name}.svg" for name in figures}


def test_without_the_untuned_suite_there_are_no_differences(both: Path, tmp_path: Path) -> None:
    """The choice and its cost are shown all the same."""
    results = read(shutil.copytree(both / "quick-tuned", tmp_path / "quick-tuned"))
    assert results.defaults is None
    text = contents(results, ["markdown"])["summary.md"].decode()
    section = text.partition("### Tuning\n")[2]
    assert "| 102.5 | 0.448 | 0.300 |\n" in section
    assert "difference" not in section
    assert "tuning" in "".join(contents(results, ["latex"]))


def test_runs_that_differ_in_more_are_not_compared(both: Path, tmp_path: Path) -> None:
    """At half the epochs the default is another procedure: no difference is shown."""
    for name in ("quick", "quick-tuned"):
        shutil.copytree(both / name, tmp_path / name)
    runs = pd.read_csv(tmp_path / "quick" / "runs.csv", dtype=str, keep_default_na=False)
    runs.loc[runs["method"] == "dropout", "epochs"] = "20"
    runs.to_csv(tmp_path / "quick" / "runs.csv", index=False)

    table = tuning(analyse(read(tmp_path / "quick-tuned").on("digits")))
    assert table is not None
    assert table.differences is not None
    rows = {row.method: row for row in table.differences.rows}
    assert (rows["map"].seeds.finished, rows["dropout"].seeds.finished) == (3, 0)
    assert {cell.mean for cell in rows["dropout"].cells} == {""}
    assert "–: no value." in table.legend


@pytest.mark.parametrize("where", ["untuned", "no trials"])
def test_other_reports_are_unchanged(both: Path, tmp_path: Path, where: str) -> None:
    """A suite at its defaults says nothing of its trials, nor does a tuned one without the file."""
    name, kept = ("quick", True) if where == "untuned" else ("quick-tuned", False)
    for folder, there in (("with", kept), ("without", False)):
        suite = shutil.copytree(both / name, tmp_path / folder / name)
        shutil.copytree(both / "quick", tmp_path / folder / "quick", dirs_exist_ok=True)
        if not there:
            (suite / FILE).unlink()
        if where == "untuned":
            (suite / "tuned.toml").touch()
        write(suite, tmp_path / folder / "report", formats=[*TEXTS, "svg"])

    files = {}
    for folder in ("with", "without"):
        report = tmp_path / folder / "report"
        found = sorted(path for path in report.rglob("*") if path.is_file())
        files[folder] = {path.relative_to(report): path.read_bytes() for path in found}
    assert files["with"] == files["without"]
    assert not [path for path in files["with"] if "tuning" in path.name]
    assert b"### Tuning" not in files["with"][Path("summary.md")]
    assert b'"#tuning"' not in files["with"][Path("index.html")]


def test_other_trials_and_defaults_are_another_report(both: Path, tmp_path: Path) -> None:
    """Files of an earlier report go if the trials or the untuned suite have changed."""
    for name in ("quick", "quick-tuned"):
        shutil.copytree(both / name, tmp_path / name)
    suite, said = tmp_path / "quick-tuned", []
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: (suite / FILE).write_text(TEXT.replace("0.448", "0.449")),
        lambda: (tmp_path / "quick" / "scores.csv").write_bytes(
            (suite / "scores.csv").read_bytes().splitlines(keepends=True)[0]
        ),
        lambda: shutil.rmtree(tmp_path / "quick"),
    ]
    for change in changes:
        change()
        write(suite, tmp_path / "report", formats=["markdown"])
        said.append((tmp_path / "report" / "files.txt").read_text().splitlines()[0])
    assert len(set(said)) == len(said)


def test_a_damaged_file_leaves_an_earlier_report(both: Path, tmp_path: Path) -> None:
    """The error is one line, and nothing is written."""
    suite = shutil.copytree(both / "quick-tuned", tmp_path / "quick-tuned")
    (suite / FILE).write_text(TEXT.replace("0.448", "nan"))
    with pytest.raises(UsageError, match=r"quick-tuned/trials\.csv is damaged or foreign: line 4"):
        write(suite, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_narrowed_report_has_the_trials_of_its_methods(both: Path, tuned: Results) -> None:
    """Methods are named as in the tuned results; metrics narrow the differences."""
    results = read(both / "quick-tuned")
    narrow = select(results, methods=["dropout[rate=0.2]"], metrics=["brier"])
    assert {one.method for one in narrow.trials} == {"dropout"}
    assert narrow.defaults is not None
    assert set(narrow.defaults.runs["method"]) == {"dropout"}
    table = tuning(analyse(narrow.on("digits")))
    assert table is not None
    assert table.differences is not None
    assert [column.metric for column in table.differences.columns] == ["brier"]

    assert select(results).trials == results.trials
    assert select(results, datasets=["digits"]).trials == results.trials
    elsewhere = replace(results, trials=tuple(replace(one, dataset="x") for one in tuned.trials))
    assert elsewhere.on("digits").trials == ()


def test_words_of_studies(tuned: Results, tried: Tried) -> None:
    """Several studies are counted."""
    several = analyse(replace(tuned, trials=tried(tuned.methods, studies=2, count=8)))
    assert words(several.tuning) == (
        "8 trials each in each of 2 studies, validation NLL over 3 tuning seeds"
    )


def test_curves_stand_where_they_should(tuned: Results, drawn: Drawn) -> None:
    """Of 0.2 and 0.5 the lower of two is 0.5 in one case of four; what may fail has no line."""
    (figure,) = drawn("tuning-curves", tuned).values()
    first, second = figure.axes[0].lines
    assert list(first.get_ydata()) == pytest.approx([0.3495, 0.75 * 0.199 + 0.25 * 0.5])
    # Of three trials one diverged: after three, all are lost in one study of 27.
    assert list(second.get_xdata()) == [3]
    assert figure.axes[0].get_xlim()[0] < 1


def test_trials_stand_at_their_values(tuned: Results, drawn: Drawn) -> None:
    """A row per method; one that diverged is a cross at the edge, the chosen one has a ring."""
    (figure,) = drawn("tuning-sensitivity", tuned).values()
    names = [axes.get_xlabel() for axes in figure.axes]
    assert names == ["learning_rate", "weight_decay", "rate"]
    assert [axes.get_title("left") for axes in figure.axes] == ["dropout", "", ""]

    rate = figure.axes[2]
    marks = {line.get_marker(): line for line in rate.lines}
    assert (marks["x"].get_xdata()[0], marks["x"].get_ydata()[0]) == (0.9, 1)
    assert (marks["o"].get_xdata()[0], marks["o"].get_ydata()[0]) == (0.2, 0.3)
    # The default's rate is not known, its score is.
    assert rate.lines[0].get_ydata()[0] == 0.448
    assert figure.axes[1].get_xscale() == "log"
    assert rate.get_xscale() == "linear"
