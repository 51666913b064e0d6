"""What stands in the cells, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from bench_uq.report.latex import table_float
from bench_uq.report.markdown import summary
from bench_uq.report.tables.captions import caption, heading, notes, wrap
from bench_uq.report.tables.provenance import provenance, recipe, sizes
from bench_uq.report.tables.ranks import rank_table
from bench_uq.report.tables.table import Cell, Table
from bench_uq.report.tables.tables import (
    clean_table,
    cost_table,
    level_tables,
    ood_tables,
    overview,
)
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, named, read, select
from bench_uq.score.rounding import decimals, fixed
from bench_uq.score.summaries import Summary

Build = Callable[..., Path]
ByHand = Callable[..., Results]
GOOD, CLOSE, BAD = [0.90, 0.91, 0.92, 0.93], [0.91, 0.90, 0.92, 0.92], [0.50, 0.51, 0.53, 0.53]


def metrics(table: Table) -> list[str]:
    """Return the metrics of the columns."""
    return [column.metric for column in table.columns]


def best(table: Table) -> list[bool]:
    """Return whether the first cell of each row is bold."""
    return [row.cells[0].best for row in table.rows]


@pytest.mark.parametrize(
    ("metric", "values", "cell", "latex", "markdown", "words"),
    [
        (  # the sample deviation is sqrt(0.0026 / 2) = 0.036
            *("accuracy", [0.90, 0.92, 0.97], Cell("0.93", "0.04")),
            *(r"map & 3 & 0.93 & {\scriptsize\,$\pm$0.04} \\", "| map | 3 | 0.93 ± 0.04 |"),
            "mean ± standard deviation over 3 seeds",
        ),
        (
            *("nll", [0.5], Cell("0.500"), "map & 1 & 0.500 & ", "| map | 1 | 0.500 |"),
            "one seed, hence no spread",
        ),
        (
            *("nll", [1.0, "", 2.0], Cell(values="1 of 3")),
            *(r"map & 3 & -- & {\scriptsize\,(1 of 3)} \\", "| map | 3 | – (1 of 3) |"),
            "(k of m): infinite or undefined for k of m seeds, hence no mean.",
        ),
        (  # the seeds that are finite have a mean of 0.1365, which is that of no method
            *("nll", ["inf", "inf", 0.1365], Cell("∞", values="2 of 3")),
            *(r"map & 3 & $\infty$ & {\scriptsize\,(2 of 3)} \\", "| map | 3 | ∞ (2 of 3) |"),
            "(k of m): infinite or undefined for k of m seeds, hence no mean.",
        ),
        (
            *("nll", ["inf", "inf"], Cell("∞"), r"map & 2 & $\infty$ & ", "| map | 2 | ∞ |"),
            "mean ± standard deviation over 2 seeds",
        ),
    ],
)
def test_cells_are_mean_and_deviation(
    by_hand: ByHand,
    metric: str,
    values: list[object],
    cell: Cell,
    latex: str,
    markdown: str,
    words: str,
) -> None:
    """In table, LaTeX, Markdown and caption; what is missing is counted or a dash."""
    results = by_hand({("map", metric): values})
    table = clean_table(analyse(results))
    assert table.rows[0].cells == (cell,)
    text = table_float(table, "x")
    assert latex in text
    assert (r"\,$\pm$" in text) == bool(cell.spread)
    assert markdown in summary(analyse(results), [])
    assert words in caption(table)


def test_missing_value_is_a_dash(by_hand: ByHand) -> None:
    """What no seed has is shown as missing, not left out."""
    results = by_hand({("map", "nll"): 1.0, ("mnf", "nll"): ""})
    table = clean_table(analyse(results))
    assert [row.cells for row in table.rows] == [(Cell("1.000"),), (Cell(),)]
    assert r"mnf & 1 & \multicolumn{2}{c}{--} \\" in table_float(table, "x")
    assert "| mnf | 1 | – |" in summary(analyse(results), [])


def test_failed_methods_keep_their_rows(told: Results, by_hand: ByHand) -> None:
    """A method without a finished run has dashes and 0 seeds, even where there is no other."""
    (row,) = (row for row in clean_table(analyse(told.on("digits"))).rows if row.method == "sgld")
    assert (str(row.seeds), set(row.cells)) == ("0/3", {Cell()})

    results = by_hand(runs=[{"method": "map", "seed": 0, "status": "oom", "reason": "no memory"}])
    assert "no run finished" in caption(clean_table(analyse(results)))
    assert "seed 0: oom – no memory" in summary(analyse(results), [])


def test_columns_of_the_story(told: Results) -> None:
    """Clean scores have a table; an overview adds the AUROC of unseen data; regression its own."""
    digits, boston = (analyse(told.on(name)) for name in ("digits", "boston"))
    clean = ["accuracy", "nll", "brier", "ece", "ece_if_calibrated", "adaptive_ece"]
    assert metrics(clean_table(digits)) == clean
    assert metrics(overview(digits)) == [*clean, "auroc_entropy"]
    assert heading(overview(digits).columns[-1]) == ["AUROC ↑", "letters"]
    assert metrics(clean_table(boston)) == ["rmse", "nll", "crps", "picp", "mpiw"]
    unconverged = "† Not converged: mean-field (by its own diagnosis 1 of 3 seeds)."
    assert unconverged in caption(clean_table(digits))


def test_columns_by_hand(by_hand: ByHand) -> None:
    """A score without a card comes last and claims no direction; no ECE is without its companion."""
    table = clean_table(analyse(by_hand({("map", "zeal"): 1.0, ("map", "nll"): 1.0})))
    columns = [(column.name, column.direction) for column in table.columns]
    assert columns == [("NLL", "lower"), ("zeal", "none")]
    table = clean_table(analyse(by_hand({("map", "ece"): 0.1})))
    assert metrics(table) == ["ece", "ece_if_calibrated"]


def test_levels_are_columns(told: Results) -> None:
    """Each attack has a table a score, its levels in order."""
    tables = level_tables(analyse(told.on("digits")))
    own = ["accuracy", "nll", "ece", "ece_if_calibrated", "entropy", "auroc_entropy"]
    assert [table.columns[0].metric for table in tables] == own * 3
    assert [column.level for column in tables[0].columns] == [0.0, 0.05, 0.1, 0.2, 0.3, 0.5]
    assert [column.level for column in tables[-1].columns] == [30.0 * step for step in range(7)]
    assert level_tables(analyse(told.on("boston"))) == []
    assert caption(tables[0]).startswith("digits: accuracy ↑ under fgsm, by ε (pixels in [0, 1]); ")


def test_unseen_data_are_told_apart_by_three_scores(told: Results) -> None:
    """AUROC, AUPR and FPR95, each by three uncertainties, the positive class named."""
    (table,) = ood_tables(analyse(told.on("digits")))
    by = ("entropy", "epistemic", "confidence")
    named = product(("auroc", "aupr", "fpr95"), by)
    assert metrics(table) == [f"{kind}_{one}" for kind, one in named]
    headings = [heading(column) for column in table.columns[6:]]
    assert headings == [["FPR95 ↓", name] for name in ("entropy", "MI", "1 – max p")]
    assert "Out-of-distribution (OOD) data are the positive class." in caption(table)
    assert ood_tables(analyse(told.on("boston"))) == []


def test_costs_by_hand(by_hand: ByHand) -> None:
    """10, 12 and 17 s have mean 13 and deviation 3.6; what is counted has none; memory is in MB."""
    runs = [
        {"method": "map", "seed": seed, "train_seconds": x} for seed, x in enumerate((10, 12, 17))
    ]
    table = cost_table(analyse(by_hand(runs=runs)))
    cells = dict(zip(metrics(table), table.rows[0].cells, strict=True))
    assert cells["train_seconds"] == Cell("13.0", "3.6")
    counted = (Cell("61,706"), Cell("40"), Cell("50"))
    assert (cells["parameters"], cells["epochs"], cells["draws"]) == counted
    assert cells["peak_memory"] == Cell("512.0", "0.0")
    assert "Network: lenet; epochs: 40; draws: at most 50." in caption(table)

    names = ("parameters", "epochs", "draws", "seconds_per_1000", "peak_memory", "train_seconds")
    unknown = {"method": "theirs", "seed": 0, **dict.fromkeys(names, "")}
    assert cost_table(analyse(by_hand(runs=[unknown]))).rows[0].cells == (Cell(),)


def test_sizes_of_several_datasets(hand_made: Callable[..., Path]) -> None:
    """Each dataset has its numbers; methods that differ in them are named."""
    runs = [
        {"method": "map", "seed": 0, "trained_on": "1293", "tested_on": "360"},
        {"method": "map", "seed": 1, "dataset": "mnist", "trained_on": "54000"},
        {"method": "mnf", "seed": 0, "dataset": "mnist", "trained_on": "300"},
        {"method": "mnf", "seed": 1, "dataset": "mnist", "trained_on": "300"},
    ]
    said = "digits 1,293 and 360; mnist 54,000 (map), 300 (others) and unknown"
    results = read(hand_made(runs=runs))
    assert sizes(results) == f"Training and test examples: {said}."
    assert "; Digits of 1998 54,000 (MAP)" in sizes(named(results, {"mnist": "Digits of 1998"}))


def test_a_small_set_is_not_the_best(by_hand: ByHand) -> None:
    """Under an attack the smallest sets cover least: no size is in bold, on clean data neither."""
    scores = {}
    for place in ((), ("fgsm", 0.1)):
        scores["map", "set_size", *place] = [1.1, 1.2, 1.1, 1.2]
        scores["mnf", "set_size", *place] = [4.1, 4.2, 4.1, 4.2]
    analysis = analyse(by_hand(scores))
    under_attack = level_tables(analysis)
    assert len(under_attack) == 1
    for table in (clean_table(analysis), *under_attack):
        assert metrics(table) == ["set_size"]
        assert best(table) == [False, False]
        assert "Bold" not in caption(table)
        assert "smaller is better at equal coverage alone" in caption(table)


def test_sentences_beneath_tables_have_the_names_of_readers(by_hand: ByHand) -> None:
    """The reference, those without a comparison to it, and datasets are called by their labels."""
    runs = [
        {"method": "hmc", "seed": 0, "run": "hmc-0", "reference": "hmc-0"},
        {"method": "ensemble", "seed": 0, "reference": "hmc-0", "lacking": "another model"},
    ]
    labels = {"hmc": "Long sampling", "ensemble": "Many networks"}
    said = " ".join(provenance(named(by_hand(runs=runs), labels)))
    assert "Reference: Long sampling." in said
    assert "Not compared with the reference: Many networks (another model)." in said


def test_a_column_has_one_precision(told: Results) -> None:
    """All means and spreads of a column have the same number of decimals."""
    for dataset in ("digits", "boston"):
        analysis = analyse(told.on(dataset))
        tables = [clean_table(analysis), cost_table(analysis)]
        tables += [*ood_tables(analysis), *level_tables(analysis)]
        for table in tables:
            for place, column in enumerate(table.columns):
                found = set[int]()
                for row in table.rows:
                    for text in (row.cells[place].mean, row.cells[place].spread):
                        found |= {len(text.partition(".")[2])} if text else set()
                assert len(found) <= 1, column.name


def test_best_and_tied_are_marked(by_hand: ByHand) -> None:
    """One loses on every seed by far more than its spread; two cannot be told apart."""
    scores = {("map", "accuracy"): GOOD, ("mnf", "accuracy"): CLOSE, ("sgld", "accuracy"): BAD}
    results = by_hand(scores)
    table = clean_table(analyse(results))
    assert best(table) == [True, True, False]
    words = "Bold: best, or not significantly different from the best (paired by seed, Holm, 5 %)."
    assert words in caption(table)
    assert r"\textbf{0.915} &" in table_float(table, "x")
    assert "| map | 4 | **0.915 ± 0.013** |" in summary(analyse(results), [])

    # The same numbers, but the best had not converged: it is compared at this budget, and marked.
    loose = [{"method": "map", "seed": 3, "diagnosis": "chains did not mix"}]
    table = clean_table(analyse(by_hand(scores, runs=loose)))
    assert best(table) == [True, True, False]
    assert "† Not converged: map (by its own diagnosis 1 of 4 seeds)." in caption(table)


def test_a_claim_that_turns_at_another_budget_is_not_made(by_hand: ByHand) -> None:
    """Half the epochs: the loser is ahead there, so both are bold; and the best still improves."""
    results = by_hand({("map", "nll"): [0.10, 0.11, 0.12], ("mnf", "nll"): [0.30, 0.31, 0.33]})
    assert best(clean_table(analyse(results))) == [True, False]
    half = by_hand({("map", "nll"): [0.50, 0.51, 0.54], ("mnf", "nll"): [0.31, 0.31, 0.34]})
    analysis = analyse(replace(results, others={0.5: half}))
    assert best(clean_table(analysis)) == [True, True]
    improving = "† Not converged: map (half the epochs: NLL +0.41 ± 0.0067 (3 seeds))."
    assert improving in caption(clean_table(analysis))
    assert "mnf is behind by 0.2, but not at half the epochs: not claimed" in summary(analysis, [])


def test_a_bold_mean_behind_another_is_explained(by_hand: ByHand) -> None:
    """What varies too much to be told from the best is bold behind what does not."""
    scores = {
        ("map", "accuracy"): [0.90, 0.901, 0.902, 0.903],
        ("mnf", "accuracy"): [0.88, 0.8812, 0.8818, 0.8831],
    }
    assert "may be worse" not in caption(clean_table(analyse(by_hand(scores))))
    scores["sgld", "accuracy"] = [0.60, 0.95, 0.93, 0.92]
    table = clean_table(analyse(by_hand(scores)))
    assert best(table) == [True, False, True]
    assert "A mean in bold may be worse than one that is not" in caption(table)


@pytest.fixture(scope="module")
def three(make_results: Build, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return results of three methods and seeds on three datasets."""
    folder = tmp_path_factory.mktemp("three") / "s"
    shown = {"datasets": ("a", "b", "c"), "unseen": (), "attacks": ()}
    return read(make_results(folder, ("map", "ensemble", "mnf"), range(3), **shown))


def test_ranks_across_datasets(three: Results) -> None:
    """Mean ranks lie between 1 and 3 and average to the middle; one dataset has none."""
    table = rank_table(analyse(three))
    assert table is not None
    assert metrics(table) == ["accuracy", "nll", "brier", "ece"]
    for place in range(4):
        means = [float(row.cells[place].mean) for row in table.rows]
        assert sum(means) == pytest.approx(6, abs=0.02)
        assert all(1 <= mean <= 3 for mean in means)

    text = caption(table)
    assert text.startswith(
        "Mean ranks across datasets on clean data, 1 for the best; ranked by means"
    )
    assert "Accuracy: 3 datasets, critical difference 1.91" in text
    assert rank_table(analyse(three.on("a"))) is None


def test_ranks_tell_holes(three: Results) -> None:
    """Fewer runs than finished are counted."""
    scores = three.scores
    gone = (scores["metric"] == "nll") & (scores["method"] == "map") & (scores["seed"] == 1)
    table = rank_table(analyse(replace(three, scores=scores[~gone])))
    assert table is not None
    cells = dict(zip(metrics(table), table.rows[0].cells, strict=True))
    assert (cells["nll"].values, cells["accuracy"].values) == ("n=6", "")
    assert "(n=k): k of the finished seeds have this value." in caption(table)


def test_too_few_datasets_claim_nothing(make_results: Build, tmp_path: Path) -> None:
    """Two datasets cannot tell five methods apart: no mean rank is bold, and it is said why."""
    methods = ("map", "dropout", "ensemble", "mean-field", "mnf")
    shown = {"datasets": ("a", "b"), "unseen": (), "attacks": ()}
    table = rank_table(analyse(read(make_results(tmp_path / "s", methods, (0, 1), **shown))))
    assert table is not None
    for row in table.rows:
        assert not any(cell.best for cell in row.cells)
    assert "inconclusive: too few datasets" in caption(table)
    assert "Bold" not in caption(table)


def test_different_settings_are_told(by_hand: ByHand) -> None:
    """Of the seeds of one method, which are then in no mean, and of methods."""
    runs = [{"method": "map", "seed": 0}, {"method": "map", "seed": 1, "epochs": 10}]
    text = caption(clean_table(analyse(by_hand({("map", "nll"): [1.0, 1.1]}, runs=runs))))
    assert "epochs: 40;" in text
    assert "Left out of all means: map, seed 1 (epochs 10 instead of 40)." in text

    epochs = {"map": 60, "mnf": 40, "sgld": 40}
    runs = [{"method": name, "seed": 0, "epochs": number} for name, number in epochs.items()]
    text = caption(clean_table(analyse(by_hand(runs=runs))))
    assert "epochs: 60 (map), 40 (others);" in text


@pytest.mark.parametrize(
    ("mean", "sd", "expected"),
    [
        (0.93, 0.036, 2),
        (0.93, 0.0036, 3),
        (0.93, 0.0025, 4),
        (0.93, 0.0012, 4),
        (0.93, 0.000012, 4),
        (0.93, math.nan, 3),
        (0.93, 0.0, 3),
        (31.4, 2.5, 1),
        (4532.1, 31.0, 0),
        (0.00012, 0.00001, 6),
        (math.inf, math.nan, 3),
        (0.0, 0.0, 3),
    ],
)
def test_decimals(mean: float, sd: float, expected: int) -> None:
    """A column has as many decimals as its spread deserves."""
    assert decimals([Summary(mean, sd, mean, mean, 3)]) == expected


def test_numbers_and_names_keep_their_letters() -> None:
    """Zero has no sign, infinity a symbol; a broken name is still the name, no line too long."""
    assert [fixed(-0.0001, 2), fixed(-0.12, 1), fixed(math.inf, 3)] == ["0.00", "-0.1", "∞"]
    name = "vogn[damping=0.001,momentum=0.9,samples=8]"
    assert wrap(name, 24) == ["vogn[damping=0.001,", "momentum=0.9,samples=8]"]
    assert "".join(wrap("x" * 70, 24)) == "x" * 70
    assert max(map(len, wrap("x" * 70, 24))) <= 24


def test_metrics_that_are_asked_for_are_shown(told: Results) -> None:
    """Also those that no table shows else; where a dataset lacks one it says so."""
    chosen = select(told, metrics=["epistemic", "aleatoric"])
    digits, boston = (analyse(chosen.on(name)) for name in ("digits", "boston"))
    assert metrics(clean_table(digits)) == ["aleatoric", "epistemic"]
    assert metrics(clean_table(boston)) == ["epistemic", "aleatoric"]
    assert set().union(*(row.cells for row in clean_table(boston).rows)) == {Cell()}
    by_level = [table.columns[0].metric for table in level_tables(digits)]
    assert by_level == ["epistemic", "aleatoric"] * 3


def test_methods_trained_elsewhere_are_in_no_table_of_what_they_were_not_shown(
    by_hand: ByHand,
) -> None:
    """One that was never attacked has no row of dashes there; one of ours that failed has."""
    scores = {("map", "accuracy"): 0.9, ("theirs", "accuracy"): 0.9}
    scores["map", "accuracy", "fgsm", 0.1] = 0.5
    runs = [
        {"method": "theirs", "seed": 0, "converged": "", "train_seconds": ""},
        {"method": "mnf", "seed": 0, "status": "oom", "converged": ""},
    ]
    (table,) = level_tables(analyse(by_hand(scores, runs=runs)))
    assert [row.method for row in table.rows] == ["map", "mnf"]


def test_examples_are_counted_in_captions(by_hand: ByHand) -> None:
    """Attacks may be limited to the first images: both tables say of how many scores are."""
    scores = {("map", "accuracy"): 0.9, ("map", "examples"): 10000}
    scores |= {("map", "accuracy", "fgsm", 0.0): 0.8, ("map", "examples", "fgsm", 0.0): 1000}
    analysis = analyse(by_hand(scores))
    assert caption(clean_table(analysis)).startswith("digits: clean data (10,000 examples); ")
    (table,) = level_tables(analysis)
    assert caption(table).startswith("digits: accuracy ↑ under fgsm (1,000 examples), by ε ")


def test_a_method_without_draws_has_no_mutual_information(by_hand: ByHand) -> None:
    """Nothing is detected by what is 0 everywhere: a dash, not a bad score, and no comparison."""
    scores = {}
    for name, mutual in (("map", 0.0), ("mnf", 0.2), ("sgld", 0.3)):
        scores[name, "epistemic"] = [mutual] * 3
        for by in ("entropy", "epistemic"):
            values = [0.5 + mutual, 0.51 + mutual, 0.52 + mutual]
            scores[name, f"auroc_{by}", "letters"] = values

    results = by_hand(scores)
    (table,) = ood_tables(analyse(results))
    cells = {row.method: row.cells for row in table.rows}
    assert (cells["map"][0].mean, cells["map"][1]) == ("0.510", Cell())
    assert cells["mnf"][1].mean == "0.710"
    assert "no value if draws do not differ" in caption(table)
    (table,) = ood_tables(analyse(select(results, metrics=["auroc_epistemic"])))
    assert {row.method: row.cells for row in table.rows}["map"] == (Cell(),)


def test_captions_name_the_methods_with_a_prior(by_hand: ByHand) -> None:
    """If some have a prior over the weights and others none; of older results nothing is known."""
    results = by_hand({("map", "nll"): 0.1, ("ensemble", "nll"): 0.2, ("mnf", "nll"): 0.3})
    assert not any("prior" in sentence for sentence in provenance(results))
    priors = {"map": True, "ensemble": False, "mnf": True}
    known = replace(results, about=replace(results.about, priors=priors))
    assert any("prior over the weights: map, mnf" in sentence for sentence in provenance(known))


def test_captions_by_level_say_what_an_attack_bounds(by_hand: ByHand) -> None:
    """Accuracy from above, NLL from below, an entropy not at all; a shift bounds nothing."""
    scores: dict[tuple[object, ...], object] = {}
    for level in (0.1, 0.2):
        for metric in ("accuracy", "nll", "entropy"):
            scores["dropout", metric, "fgsm", level] = 0.5
            scores["dropout", metric, "rotate", 300 * level] = 0.5
        scores["dropout", "attack_draws", "fgsm", level] = 100 * level

    found = {}
    for table in level_tables(analyse(by_hand(scores))):
        place = table.columns[0]
        found[place.metric, place.condition] = " ".join(table.remarks)
    assert "Accuracy under an attack is an upper bound" in found["accuracy", "fgsm"]
    assert "NLL under an attack is a lower bound" in found["nll", "fgsm"]
    assert "Draws behind a gradient: 20 (dropout)." in found["entropy", "fgsm"]
    assert "bound" not in found["entropy", "fgsm"] + found["accuracy", "rotate"]


def test_captions_say_how_weights_start(by_hand: ByHand) -> None:
    """Only if methods differ in it; of older results nothing is known."""
    results = by_hand({("map", "nll"): 0.1, ("ensemble", "nll"): 0.2, ("mnf", "nll"): 0.3})
    assert not any("start of" in sentence for sentence in provenance(results))
    for start, expected in (("He", "torch's layers (map, ensemble), He (mnf)"), ("", "")):
        starts = {"map": "", "ensemble": "", "mnf": start}
        known = replace(results, about=replace(results.about, starts=starts))
        said = " ".join(provenance(known))
        assert (f"start of the weights: {expected}" in said) == bool(expected)
        assert ("start of" in said) == bool(expected)


@pytest.mark.parametrize(
    ("compared", "crossed", "words"),
    [
        (3, 3, "(paired by seed and test example, Holm, 5 %)"),
        (3, 1, "(paired by seed, main scores by test example too, Holm, 5 %)"),
        (3, 0, "(paired by seed, Holm, 5 %)"),
    ],
)
def test_captions_say_what_pairs_are_of(compared: int, crossed: int, words: str) -> None:
    """Of seeds alone, or of test examples too, for all columns or some."""
    table = Table("digits", (), (), compared=compared, crossed=crossed)
    assert any(words in note for note in notes(table))


def test_a_recipe_that_differs_between_seeds_is_a_range() -> None:
    """From the smallest number to the largest, one at 0 among them; one for all stands alone."""
    runs = pd.DataFrame(
        {
            "learning_rate": [0.01, 0.003, 0.02],
            "schedule": ["cosine"] * 3,
            "warmup": [0.0] * 3,
            "weight_decay": [0.0, 0.05, 0.001],
            "clip": [1.0] * 3,
        }
    )
    assert recipe(runs) == (
        "learning rate 0.003 to 0.02, cosine schedule, weight decay 0 to 0.05, gradients clipped "
        "at 1"
    )
