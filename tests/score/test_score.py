"""Stored predictions become rows, and every planned run is a row."""

from __future__ import annotations

import csv
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.api.task import Predictions
from bench_uq.plan.plugins import Plugins
from bench_uq.run.beside import beside
from bench_uq.score import run_scores
from bench_uq.score.run_rows import without_folders
from bench_uq.score.score import SCORES, read_scores, score
from bench_uq.store import Evaluation, PlannedRun
from bench_uq.store.csv import csv_text, sort_key, write_csv
from bench_uq.store.examples import read_examples


def test_read_scores_is_exact_to_the_last_digit(tmp_path: Path) -> None:
    """Every number of scores.csv is read as the float that was written."""
    values = [
        float(value)
        for value in np.random.default_rng(0).random(2000) * 10.0 ** np.arange(-10, 10).repeat(100)
    ]
    rows = [
        ["digits", "map", 0, "fgsm", 0.1, f"m{place}", value, "r"]
        for place, value in enumerate(values)
    ]
    write_csv(tmp_path / "scores.csv", SCORES, rows)
    frame = read_scores(tmp_path).set_index("metric")
    assert [frame.value[f"m{place}"] for place in range(2000)] == values
    assert set(frame.level) == {0.1}


def test_reasons_name_no_folders() -> None:
    """A reason that is published has paths cut to their last part, and else stays as it is."""
    told = "FileNotFoundError: [Errno 2] No such file or directory: '/home/alice/private/weights.pt' (mine.py, line 3)"
    assert without_folders(told) == told.replace("/home/alice/private/", "")
    assert (
        without_folders("the loss is nan in 1/2 of 3 / 4 epochs")
        == "the loss is nan in 1/2 of 3 / 4 epochs"
    )
    assert without_folders(None) is None


def planned(run: str, method: str, seed: int) -> PlannedRun:
    """A run that is evaluated on clean and out-of-distribution data."""
    shown = (
        Evaluation("clean", "clean", None, "clean.npz"),
        Evaluation("letters", "unseen", None, "letters.npz"),
    )
    return PlannedRun(run, method, "digits", seed, shown)


def predictions(confidence: float, *, labelled: bool = True) -> Predictions:
    """Return four predictions of class 0 among two, three of them right."""
    probs = np.tile(np.array([confidence, 1 - confidence], dtype=np.float32), (4, 1))
    arrays = {
        "probs": probs,
        "draw_entropy": np.zeros(4, np.float32),
        "inputs": np.zeros((1, 1, 8, 8), np.float32),
    }
    if labelled:
        targets = np.array([0, 0, 0, 1])
        arrays |= {"targets": targets, "log_density": np.log(probs[np.arange(4), targets])}
    return Predictions(arrays)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Return a suite with a run that is whole, one that failed after its clean data, and one that
    never began.
    """
    folder = tmp_path / "quick"
    names = ("map", "mnf", "dropout")
    store.merge_plan(folder, [planned(f"{name}-digits-s0-00000000", name, 0) for name in names])

    for name, status in (("map", "ok"), ("mnf", "failed")):
        run = store.run_folder(folder, f"{name}-digits-s0-00000000")
        run.save_predictions("clean.npz", predictions(0.9))
        if status == "ok":
            run.save_predictions("letters.npz", predictions(0.6, labelled=False))
        run.update(
            status=status,
            reason=None if status == "ok" else "KeyError: 'x', \"y\"",
            environment={"python": "3"},
        )
    return folder


def test_hand_worked_scores(suite: Path) -> None:
    """The scores of four predictions at 0.9, three of them right, are what they are by hand."""
    score(suite)
    values = read_scores(suite).set_index(["method", "condition", "metric"]).value
    assert values["map", "clean", "accuracy"] == 0.75
    assert values["map", "clean", "nll"] == pytest.approx(-(3 * np.log(0.9) + np.log(0.1)) / 4)
    assert values["map", "clean", "brier"] == pytest.approx((3 * 0.02 + 1.62) / 4, abs=1e-6)
    assert values["map", "clean", "ece"] == pytest.approx(0.15, abs=1e-6)
    assert values["map", "letters", "auroc_entropy"] == 1.0
    assert ("map", "letters", "accuracy") not in values


def wait_for(file: Path) -> None:
    """Wait until another process has written a file."""
    end = time.monotonic() + 120
    while not file.is_file():
        assert time.monotonic() < end, f"{file} is not written"
        time.sleep(0.05)


def test_runs_scored_beside_others_are_not_scored_again(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept beside is all that the derived files need, to the byte."""
    shutil.copytree(suite, tmp_path / "other")
    score(tmp_path / "other")
    whole = store.read_plan(suite).runs["map|digits|0"].name
    kept = suite / "runs" / whole / run_scores.KEPT
    with beside(suite) as scored:
        for run in store.read_plan(suite).runs.values():
            scored(run.name)
        wait_for(kept)

    once = run_scores.computed

    def no_more(run: store.RunFolder, *rest: Any) -> dict[str, Any]:
        assert run.path.name != whole, "the run is scored again"
        return once(run, *rest)

    monkeypatch.setattr(run_scores, "computed", no_more)
    score(suite)
    for name in ("scores.csv", "groups.csv.gz", "curves.csv.gz", "runs.csv"):
        assert (suite / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_what_cannot_be_scored_beside_is_left_to_the_end(
    suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run whose predictions are damaged stops nothing there, and is told when all is scored."""
    runs = store.read_plan(suite).runs
    name = runs["map|digits|0"].name
    (suite / "runs" / name / "clean.npz").write_bytes(b"lost")
    later = runs["mnf|digits|0"].name
    with beside(suite) as scored:
        scored(name)
        scored(later)
        wait_for(suite / "runs" / later / run_scores.KEPT)

    score(suite)
    assert "clean.npz is not scored" in capsys.readouterr().err


def test_every_planned_run_is_a_row(suite: Path) -> None:
    """A run that failed or never began is a row with its status and reason, quotes and commas
    intact.
    """
    score(suite)
    with (suite / "runs.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert {method: row["status"] for method, row in rows.items()} == {
        "map": "ok",
        "mnf": "failed",
        "dropout": "missing",
    }
    assert rows["mnf"]["reason"] == "KeyError: 'x', \"y\""
    assert rows["map"]["environment"] != ""


def test_what_a_run_cost_and_how_it_was_made(suite: Path) -> None:
    """Seconds are of 1,000 clean predictions; settings and command stand beside them, or nothing
    where unknown.
    """
    run = store.run_folder(suite, "map-digits-s0-00000000")
    settings = {"epochs": 40, "draws": 50}
    run.update(
        predict_seconds={"clean.npz": 0.5, "letters.npz": 3.0},
        settings=settings,
        identity={"network": "mlp"},
    )
    before = store.read_plan(suite).runs["map|digits|0"]
    store.merge_plan(suite, [replace(before, command="bench-uq run --suite quick")])

    score(suite)
    with (suite / "runs.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    names = ("network", "epochs", "draws", "seconds_per_1000", "command", "predict_seconds")
    assert [rows["map"][name] for name in names] == [
        *("mlp", "40", "50", "125.0", "bench-uq run --suite quick", "3.5"),
    ]
    assert [rows["dropout"][name] for name in names] == [""] * 6


def test_superseded_runs_are_listed_and_not_scored(suite: Path) -> None:
    """A stored run that a later plan no longer asks for is listed as superseded, and has no scores."""
    store.merge_plan(suite, [planned("map-digits-s0-11111111", "map", 0)])
    score(suite)
    with (suite / "runs.csv").open() as file:
        statuses = {row["run"]: row["status"] for row in csv.DictReader(file)}
    assert statuses["map-digits-s0-00000000"] == "superseded"
    assert statuses["map-digits-s0-11111111"] == "missing"
    assert "map" not in set(read_scores(suite).method)


def test_kept_scores_follow_the_files(suite: Path) -> None:
    """What was scored before is taken over while its file is unchanged, and scored again when it is
    not.
    """
    score(suite)
    run = store.run_folder(suite, "map-digits-s0-00000000")
    run.save_predictions("clean.npz", predictions(0.7))
    score(suite)
    values = read_scores(suite).set_index(["method", "condition", "metric"]).value
    assert values["map", "clean", "ece"] == pytest.approx(0.05, abs=1e-6)
    assert values["mnf", "clean", "ece"] == pytest.approx(0.15, abs=1e-6)


def test_damaged_predictions_have_no_scores(
    suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Predictions that are not as they were stored give no score, not a wrong one, until they are
    made again.
    """
    (suite / "runs" / "map-digits-s0-00000000" / "clean.npz").write_bytes(b"PK")
    score(suite)
    scores = read_scores(suite)
    assert scores[(scores.method == "map") & (scores.condition == "clean")].empty
    assert "is not scored" in capsys.readouterr().err
    store.run_folder(suite, "map-digits-s0-00000000").save_predictions(
        "clean.npz", predictions(0.9)
    )
    score(suite)
    assert not read_scores(suite).query("method == 'map' and condition == 'clean'").empty


def test_nothing_to_score(tmp_path: Path) -> None:
    """A folder without a plan is told of, with the command that makes one."""
    with pytest.raises(UsageError, match="bench-uq run"):
        score(tmp_path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [-0.25, 1.75, 300.0])
def test_examples_keep_inputs_that_are_no_pixels(suite: Path, far: float, dtype: type) -> None:
    """Inputs in [0, 1] are shown as bytes, rounded; where any lies outside, as float32 as they are."""
    run, shown = store.run_folder(suite, "map-digits-s0-00000000"), predictions(0.9)
    pixels = np.array([[0.0, 0.5 / 255, 0.6 / 255, 1.0]], dtype)
    features = np.array([[0.1, far, 0.6, 1.0]], dtype)
    run.save_predictions("clean.npz", Predictions({**shown.arrays, "inputs": pixels}))
    run.save_predictions(
        "letters.npz", Predictions({**predictions(0.6, labelled=False).arrays, "inputs": features})
    )

    score(suite)
    examples = {(one.method, one.condition): one for one in read_examples(suite / "examples.npz")}
    clean, unseen = (examples["map", name].inputs for name in ("clean", "letters"))
    probs = examples["map", "clean"].probs
    assert probs is not None
    assert probs.tolist() == shown.arrays["probs"][:1].tolist()
    assert (clean.dtype, clean.tolist()) == (np.uint8, [[0, 0, 1, 255]])
    assert (unseen.dtype, unseen.tolist()) == (np.float32, features.astype(np.float32).tolist())


def test_cells_and_order() -> None:
    """Floats keep their digits, missing values are empty, and numbers sort as numbers."""
    cells = pd.DataFrame([[0.1 + 0.2, None, 3, True, 1e-300, "a\rb"]], dtype=object)
    assert csv_text(cells, header=False) == '0.30000000000000004,,3,True,1e-300,"a\rb"\n'
    assert sorted([["b", 10.0], ["b", 9.0], ["b", None], ["a", 1.0]], key=sort_key) == [
        ["a", 1.0],
        ["b", None],
        ["b", 9.0],
        ["b", 10.0],
    ]


def test_foreign_scores(tmp_path: Path) -> None:
    """A CSV with other columns, or none, is refused by name."""
    (tmp_path / "scores.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"scores\.csv"):
        read_scores(tmp_path)
    with pytest.raises(UsageError, match="bench-uq"):
        read_scores(tmp_path / "nowhere")


def test_metrics_of_the_user(suite: Path) -> None:
    """A metric from a file is scored for runs that were scored before, and gone without the file."""
    score(suite)
    before = (suite / "scores.csv").read_bytes()
    file = Path(__file__).parents[1] / "plugins" / "overconfidence.py"
    score(suite, Plugins((file,)))
    found = read_scores(suite)
    values = found[found["metric"] == "overconfidence"]["value"]
    assert list(values) == [pytest.approx(0.15)] * 2
    score(suite)
    assert (suite / "scores.csv").read_bytes() == before
