"""A model trained elsewhere stands beside runs of bench-uq; a wrong file leaves nothing behind."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.stats import norm
from sklearn.metrics import accuracy_score

import bench_uq
from bench_uq import read_scores, store
from bench_uq.api import archives
from bench_uq.api.errors import UsageError
from bench_uq.api.likelihoods import QUANTILE_LEVELS
from bench_uq.cli import main
from bench_uq.datasets.digits import Digits
from bench_uq.plan.plugins import Plugins
from bench_uq.run.imported.files import npz_arrays

REPO = Path(__file__).resolve().parents[2]
#: Four examples of three classes, by hand.
PROBS = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5], [0.3, 0.3, 0.4]])
LABELS = np.array([0, 1, 2, 0])
MEAN, VARIANCE, TARGETS = np.array([0.0, 2.0]), np.array([1.0, 0.25]), np.array([0.5, 1.0])


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_UQ_DATA", raising=False)
    return tmp_path


def invoke(*arguments: str) -> tuple[int, str]:
    """Return the exit code of bench-uq and what it prints."""
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


def score(
    file: str, *arguments: str, name: str = "mine", dataset: str = "toy", code: int = 0
) -> str:
    """Score predictions and return what is printed."""
    named = ("--name", name, "--dataset", dataset)
    found, output = invoke("score-predictions", file, *named, *arguments)
    assert found == code, output
    return output


def test_a_file_under_several_seeds_is_one_replicate() -> None:
    """Copies neither make a mean nor decide a comparison, and every output says so."""
    wrong = np.roll(np.eye(3)[LABELS], 1, axis=1)
    for name, probs in (("right", np.eye(3)[LABELS]), ("wrong", wrong)):
        for seed in range(3):
            file = saved(probs=probs, labels=LABELS)
            said = score(file, "--seed", str(seed), "--new-dataset", name=name, dataset="three")
    assert "wrong, seeds 1, 2 (the same predictions as seed 0)" in said

    code, output = invoke("report", "--formats", "markdown,latex,html")
    assert code == 0
    summary = Path("reports/quick/summary.md").read_text()
    for text in (output, summary, Path("reports/quick/index.html").read_text()):
        assert "right, seeds 1, 2 (the same predictions as seed 0)" in text
    assert "same predictions" in Path("reports/quick/tables/three.tex").read_text()
    assert "No comparison is made" in summary
    assert "is best" not in summary

    assert invoke("baseline", "--out", "b.csv")[0] == 0
    assert set(pd.read_csv("b.csv").seed) == {0}
    frame = bench_uq.summarise(read_scores("results/quick"))
    assert set(frame.seeds) == {0, 1}  # A score of errors is undefined without any.
    assert set(frame.verdict) == {""}


def test_imports_of_other_labels_are_not_compared() -> None:
    """Another test set under one dataset's name is told, seed by seed."""
    for name, labels in (("one", LABELS), ("two", LABELS[::-1])):
        for seed in (0, 1):
            probs = np.roll(PROBS, seed, axis=0)
            file = saved(probs=probs, labels=labels)
            arguments = ("--seed", str(seed), "--results", name)
            score(file, *arguments, "--new-dataset", name=name, dataset="three")
    code, output = invoke("merge", "one", "two")
    assert code == 0
    assert "three: Not alike, so not compared: one, two (labels at seed 0:" in output
    frame = bench_uq.summarise("results/quick")
    assert set(frame.verdict) == {""}


def refused(file: str, *arguments: str, **named: str) -> str:
    """Return the one line that says why predictions are refused; nothing is written."""
    before = everything(Path())
    output = score(file, *arguments, **named, code=2)
    assert [line[:7] for line in output.splitlines()] == ["Error: "]
    assert everything(Path()) == before
    return output


def everything(folder: Path) -> dict[str, bytes | None]:
    """Return all files and folders below a folder."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def saved(**arrays: Any) -> str:
    """Save arrays and return the file."""
    np.savez("file.npz", **arrays)
    return "file.npz"


def text(*lines: str) -> str:
    """Save a CSV file and return it."""
    # Blank lines at the end, as editors leave them.
    Path("file.csv").write_text("\n".join(lines) + "\n\n \n")
    return "file.csv"


def values() -> pd.Series:
    """Return the scores of the one method on clean data by metric."""
    scores = read_scores("results/quick")
    return scores[scores.condition == "clean"].set_index("metric").value


def stored() -> dict[str, np.ndarray]:
    """Return the arrays stored of clean data of the one run."""
    (file,) = Path().glob("results/quick/runs/mine-*/clean-*.npz")
    return dict(store.RunFolder(file.parent).predictions(file.name).arrays)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of map on digits."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code, output = invoke("run", "--methods=map", "--seeds=0", "--set=epochs=3", "--device=cpu")
    assert code == 0, output
    return folder


@pytest.fixture
def beside(trained: Path, place: Path) -> Path:
    """Copy that run to the folder of the test and return its folder."""
    shutil.copytree(trained / "results", place / "results")
    return next(Path("results/quick/runs").glob("map-*"))


def test_own_predictions_score_the_same(beside: Path) -> None:
    """What bench-uq predicted, brought back under another name, gets the same scores."""
    plan = store.read_plan(Path("results/quick")).runs.values()
    (planned,) = (run for run in plan if run.name == beside.name)
    files = {(shown.condition, shown.level): shown.file for shown in planned.shown}
    for place, name in (
        (("clean", None), "clean.npz"),
        (("fgsm", 0.1), "fgsm.npz"),
        (("letters", None), "letters.npz"),
    ):
        arrays = store.RunFolder(beside).predictions(files[place]).arrays
        labels = {"labels": arrays["targets"]} if "targets" in arrays else {}
        np.savez(name, probs=arrays["probs"], **labels)

    score("clean.npz", "--unseen", "letters=letters.npz", dataset="digits")
    score("fgsm.npz", "--condition", "fgsm", "--level", "0.1", dataset="digits")

    scores = read_scores("results/quick")
    columns = ["condition", "level", "metric"]
    own, ours = (scores[scores.method == name].set_index(columns).value for name in ("map", "mine"))
    assert {"accuracy", "nll", "brier", "ece", "auroc_entropy"} <= set(ours.reset_index().metric)
    # Single precision may tie two examples: a step of 1 / (2 * 360 * 360) in an AUROC.
    assert ours.to_numpy() == pytest.approx(own.loc[ours.index].to_numpy(), abs=1e-5)


def test_draws_are_averaged_as_probabilities() -> None:
    """The mixture of two draws is the mean of their probabilities; their entropies are averaged."""
    draws = np.stack([PROBS, PROBS[:, ::-1]])
    mean, entropy = draws.mean(0), -(draws * np.log(draws)).sum(-1).mean(0)
    places = product((1, 0), (2, 0, 3, 1))
    rows = [[row, draw, LABELS[row], *draws[draw, row]] for draw, row in places]
    pd.DataFrame(rows, columns=["example", "draw", "label", "prob_0", "prob_1", "prob_2"]).to_csv(
        "d.csv", index=False
    )

    logits = np.log(draws) + np.array([5.0, -700.0])[:, None, None]
    forms = [saved(probs=draws, labels=LABELS), "d.csv"]
    np.savez("logits.npz", logits=logits, labels=LABELS.astype(np.uint8))
    np.savez("log.npz", log_probs=np.log(draws).astype(np.float32), labels=LABELS)

    for file in (*forms, "logits.npz", "log.npz"):
        score(file)
        arrays = stored()
        assert arrays["probs"] == pytest.approx(mean, abs=1e-6)
        assert arrays["draw_entropy"] == pytest.approx(entropy, abs=1e-6)
        assert arrays["log_density"] == pytest.approx(np.log(mean[range(4), LABELS]), abs=1e-6)
        assert (arrays["targets"] == LABELS).all()
        assert values()["nll"] == pytest.approx(-np.log(mean[range(4), LABELS]).mean(), abs=1e-6)


def test_sure_predictions_keep_their_order() -> None:
    """Doubts of 1e-12 to 1e-9 against 2e-8 are separated, as scikit-learn separates 1 - max."""
    clean, other = np.geomspace(1e-12, 1e-9, 20), np.full(20, 2e-8)
    np.savez("other.npz", probs=np.stack([1 - other, other], 1))
    labels = np.arange(20) // 19
    score(saved(probs=np.stack([1 - clean, clean], 1), labels=labels), "--unseen", "o=other.npz")
    found = read_scores("results/quick").set_index("metric").value
    assert found["auroc_confidence"] == found["auroc_entropy"] == 1.0
    # The one error has the largest doubt.
    assert found["aurc"] == pytest.approx(1 / 20 / 20)


@pytest.mark.parametrize(
    ("row", "normalised"),
    [
        ([0.333, 0.333, 0.333], [1 / 3, 1 / 3, 1 / 3]),
        ([0.1, 0.2, 0.699], [100 / 999, 200 / 999, 699 / 999]),
        ([0.1, 0.2, 0.705], [100 / 1005, 200 / 1005, 705 / 1005]),
        ([0.995, 0.0, 0.0], [1, 0, 0]),
        ([-0.004, 0.2, 0.8], [0, 0.2, 0.8]),
    ],
)
def test_rounded_probabilities_are_normalised(row: list[float], normalised: list[float]) -> None:
    """Whatever lies within half a percent is accepted, whichever the digits, and told once."""
    lines = [f"0,{','.join(map(str, row))}", "1,0.2,0.5,0.3", "2,-1e-9,0.6,0.4"]
    output = score(text("label,prob_0,prob_1,prob_2", *lines))
    assert stored()["probs"][0] == pytest.approx(normalised, abs=1e-12)
    assert stored()["probs"][2] == pytest.approx([0, 0.6, 0.4], abs=1e-9)
    assert "1 of 3 rows of probs are probabilities that sum to 1 within 0.005 only" in output


@pytest.mark.parametrize("row", [[0.1, 0.2, 0.6949], [0.1, 0.2, 0.7051], [-0.0051, 0.2, 0.8]])
def test_beyond_the_tolerance_is_refused(row: list[float]) -> None:
    """The message names the value and what is allowed."""
    output = refused(saved(probs=np.array([[0.5, 0.3, 0.2], row]), labels=np.array([0, 1])))
    assert "row 1" in output
    assert "(within 0.005)" in output


def test_an_offset_of_the_targets_changes_no_score() -> None:
    """Targets of 1.7e9 + 3 N(0, 1) have the scores of 3 N(0, 1), and their order is checked."""
    rng = np.random.default_rng(0)
    mean = 3 * rng.normal(size=400)
    targets = mean + rng.normal(size=400)
    found = []
    for offset in (0, 1.7e9):
        arrays = {"mean": mean + offset, "std": np.ones(400), "targets": targets + offset}
        score(saved(**arrays), dataset="prices" if offset else "small")
        scores = read_scores("results/quick")
        found.append(scores[scores.dataset == "prices" if offset else scores.dataset == "small"])
    small, large = (one.set_index("metric").value for one in found)
    assert large.to_numpy() == pytest.approx(small[large.index].to_numpy(), abs=1e-6)
    assert large["rmse"] == pytest.approx(np.sqrt(np.mean((mean - targets) ** 2)), abs=1e-6)

    arrays["targets"] = np.roll(arrays["targets"], 1)
    assert "examples must be in the order" in refused(
        saved(**arrays), dataset="prices", name="shuffled"
    )


def test_logits_of_any_other_kind_are_taken() -> None:
    """Log-probabilities called logits give the same scores; one row that is no probability is
    enough.
    """
    found = []
    for logits in (np.log(PROBS), PROBS + np.array([[0], [0], [0], [0.1]])):
        score(saved(logits=logits, labels=LABELS))
        found.append(stored()["probs"])
    assert found[0] == pytest.approx(PROBS)
    assert found[1] == pytest.approx(np.exp(PROBS) / np.exp(PROBS).sum(1, keepdims=True))


def test_mixture_of_gaussians() -> None:
    """Two Gaussian draws make the mixture that scipy computes: density, moments, quantiles."""
    mean = np.array([[0.0, 2.0, 1.0], [1.0, 2.5, 0.0]])
    std, targets = np.array([[1.0, 0.5, 1.0], [2.0, 0.1, 3.0]]), np.array([*TARGETS, 0.0])
    score(saved(mean=mean, std=std, targets=targets), dataset="prices")
    arrays = stored()

    density = norm.pdf(targets, mean, std).mean(0)
    assert arrays["log_density"] == pytest.approx(np.log(density), abs=1e-5)
    assert arrays["mean"] == pytest.approx(mean.mean(0))
    assert arrays["variance"] == pytest.approx((std**2).mean(0) + mean.var(0), rel=1e-5)
    below = norm.cdf(arrays["quantiles"][..., None], mean.T[:, None], std.T[:, None]).mean(-1)
    assert below == pytest.approx(np.tile(QUANTILE_LEVELS, (3, 1)), abs=1e-5)
    assert values()["nll"] == pytest.approx(-np.log(density).mean(), abs=1e-5)

    pd.DataFrame({"target": targets, "mean": mean[0], "variance": std[0] ** 2}).to_csv(
        "file.csv", index=False
    )
    score("file.csv", dataset="prices")
    assert values()["nll"] == pytest.approx(-norm.logpdf(targets, mean[0], std[0]).mean(), abs=1e-5)


def test_probability_zero_is_told() -> None:
    """A label with probability 0 has an infinite NLL: a warning, a score, and no mean over seeds."""
    output = score(saved(probs=np.array([[1.0, 0.0], [0.5, 0.5]]), labels=np.array([1, 0])))
    assert "1 of 2 labels have probability 0, the first in row 0" in output
    assert values()["nll"] == np.inf
    assert values()["accuracy"] == 0.5

    np.savez("other.npz", probs=np.array([[0.9, 0.1], [0.5, 0.5]]), labels=np.array([1, 0]))
    score("other.npz", "--seed", "1")
    code, output = invoke("report", "--formats", "markdown")
    assert code == 0, output
    assert "| ∞ (1 of 2) |" in Path("reports/quick/summary.md").read_text()

    # A page of one score does not stand beside the summary of all.
    code, output = invoke("report", "--formats", "html", "--metrics", "nll")
    assert (code, Path("reports/quick/summary.md").exists()) == (0, False)
    assert "removed from reports/quick: 1 file of an earlier report" in output


@pytest.mark.parametrize(
    ("count", "told"),
    [(1, "one example"), (2, "all labels are 0: no score says anything of others")],
)
def test_what_is_defined_is_scored_of_one_example_or_class(count: int, told: str) -> None:
    """The rest has no value, and the report says why; nothing is refused."""
    rows = PROBS[[0, 0]][:count]
    assert told in score(saved(probs=rows, labels=LABELS[[0, 0]][:count]))
    found = values()
    hand = {"accuracy": 1.0, "nll": -np.log(0.7), "brier": 0.14, "ece": 0.3, "aurc": 0.0}
    np.testing.assert_allclose(found[list(hand)], list(hand.values()), atol=1e-6)
    undefined = set(found.index[found.isna()])
    assert undefined == {"entropy_wrong", "auroc_errors_entropy"}

    options = ["--formats", "markdown,html,svg", "--metrics", "accuracy,auroc_errors_entropy"]
    code, output = invoke("report", *options)
    assert code == 0, output
    text = Path("reports/quick/summary.md").read_text()
    assert "no value if all predictions are right, or all wrong." in text


def test_calls_add_up_and_replace() -> None:
    """Each call adds to one run; the same file changes no byte, another replaces its condition."""
    score(saved(probs=PROBS, labels=LABELS))
    np.savez("shifted.npz", probs=PROBS[:3], labels=LABELS[:3])
    score("shifted.npz", "--condition", "snow", "--level", "1")
    score("shifted.npz", "--condition", "snow", "--level", "5/2")
    np.savez("other.npz", probs=PROBS[:2])
    score("file.npz", "--unseen", "others=other.npz")

    before = everything(Path("results"))
    assert "clean: stored" in score("file.npz")
    assert everything(Path("results")) == before
    (run,) = Path("results/quick/runs").glob("mine-toy-s0-*")
    assert len(list(run.glob("*.npz"))) == 4
    assert set(read_scores("results/quick").level.dropna()) == {1.0, 2.5}
    kept = {path.name for path in run.glob("*.npz")}

    score(saved(probs=PROBS[:, ::-1], labels=LABELS))
    assert values()["accuracy"] == 0.5
    now = {path.name for path in run.glob("*.npz")}
    assert (len(now - kept), len(kept - now)) == (1, 1)
    record = store.RunFolder(run).record()
    assert set(record.sources) == set(record.files) == now
    assert (record.kind, record.status, record.method) == ("imported", "ok", "mine")
    planned = store.read_plan(Path("results/quick")).runs["mine|toy|0"]
    assert planned.shown[0].condition == "clean"


def test_damaged_predictions_are_made_again() -> None:
    """What was damaged since is stored again by the same command."""
    score(saved(probs=PROBS, labels=LABELS))
    before = everything(Path("results"))
    (file,) = Path("results").rglob("clean-*.npz")
    file.write_bytes(b"PK")
    (file.parent / "scored.json").unlink()  # else the scores from before are taken over
    code, output = invoke("score")
    assert (code, "bench-uq score-predictions makes it again" in output) == (0, True)
    score("file.npz")
    assert {
        path for path, content in everything(Path("results")).items() if content != before.get(path)
    } == set()


def test_plan_keeps_what_was_there(beside: Path) -> None:
    """The suite's own runs and its description stay in the plan."""
    before = json.loads(Path("results/quick/plan.json").read_text())
    score(export(), dataset="digits")
    after = json.loads(Path("results/quick/plan.json").read_text())
    added = after["runs"].pop("mine|digits|0")
    assert (added["method"], added["dataset"], added["seed"]) == ("mine", "digits", 0)
    assert [shown["condition"] for shown in added["shown"]] == ["clean"]
    assert after.pop("checksum") != before.pop("checksum")
    assert after == before


def export(change: Callable[[np.ndarray], np.ndarray] = lambda labels: labels) -> str:
    """Save flat predictions with the labels of the test split of digits and return the file."""
    labels = change(Digits().load("test", Path()).targets)
    return saved(probs=np.full((len(labels), 10), 0.1), labels=labels)


@pytest.mark.parametrize("own", [True, False])
def test_order_of_examples(own: bool, request: pytest.FixtureRequest) -> None:
    """Other labels, or fewer, are refused by row, against a run beside or the dataset itself."""
    if own:
        request.getfixturevalue("beside")
    where = r"map-digits-s0-\w+ \(clean\)" if own else "the test split of digits"
    labels = Digits().load("test", Path()).targets
    row = int((labels != labels[0]).argmax())
    order = [row, *range(1, row), 0, *range(row + 1, 360)]
    output = refused(export(lambda labels: labels[order]), dataset="digits")
    assert re.search(
        rf"row 0 has {labels[row]}, {where} {labels[0]}: examples must be in the order", output
    )
    fewer = export(lambda labels: labels[:100])
    assert re.search(rf"holds 100 examples, {where} 360: ", refused(fewer, dataset="digits"))

    attacked = ("--condition", "fgsm", "--level")
    if not own:
        score(fewer, *attacked, "0.1", dataset="digits")
        longer = refused(export(), *attacked, "0.2", dataset="digits", name="b")
        assert "holds 360 examples, mine-digits" in longer
    np.savez("letters.npz", probs=np.full((7, 10), 0.1))
    assert "letters" in refused(export(), "--unseen", "letters=letters.npz", dataset="digits")


def test_order_against_imported_runs() -> None:
    """Two models on private data must agree on the labels; another seed may be another fold."""
    score(saved(probs=PROBS, labels=LABELS))
    saved(probs=PROBS, labels=LABELS[::-1].copy())
    assert "row 1 has 2, mine-toy" in refused("file.npz", name="second")
    assert "row 1 has 2, mine-toy" in refused("file.npz", "--condition", "snow", "--level", "1")
    assert "5 classes" in refused(saved(probs=np.full((4, 5), 0.2), labels=LABELS), name="second")
    assert "real targets" in refused(saved(mean=MEAN, std=VARIANCE, targets=TARGETS), name="second")
    score(saved(probs=PROBS, labels=LABELS[::-1].copy()), "--seed", "1", name="second")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"probs": PROBS}, "holds no labels"),
        ({"labels": LABELS}, "holds neither probs, logits, log_probs"),
        ({"prob": PROBS, "labels": LABELS}, "did you mean 'probs'?"),
        ({"probs": PROBS, "logits": PROBS, "labels": LABELS}, "holds probs and logits"),
        ({"probs": PROBS, "mean": MEAN, "labels": LABELS}, "one or the other"),
        ({"probs": PROBS.ravel(), "labels": LABELS}, "shape (12,)"),
        ({"probs": PROBS[:, :1], "labels": LABELS}, "1 class"),
        ({"probs": PROBS[:0], "labels": LABELS[:0]}, "probs is empty"),
        ({"probs": PROBS, "labels": LABELS[:3]}, "labels has the shape (3,)"),
        ({"probs": PROBS, "labels": LABELS[:, None]}, "labels has the shape (4, 1)"),
        (
            {"probs": np.where(PROBS == 0.5, np.nan, PROBS), "labels": LABELS},
            "row 2: probs are not finite",
        ),
        (
            {"logits": np.where(PROBS == 0.8, np.inf, PROBS), "labels": LABELS},
            "row 1: logits are not finite",
        ),
        (
            {"log_probs": PROBS, "labels": LABELS},
            "row 0: probability 2.01375 exceeds 1 (within 0.005); they look like probs",
        ),
        ({"logits": PROBS, "labels": LABELS}, "a second softmax would flatten them; call them pro"),
        (
            {"probs": np.log(PROBS), "labels": LABELS},
            "probability -2.30259 is negative (within 0.005); they look like log_probs: call them",
        ),
        ({"probs": 9 * PROBS - 3, "labels": LABELS}, "they look like logits: call them so"),
        ({"log_probs": 9 * PROBS - 3, "labels": LABELS}, "they look like logits: call them so"),
        (
            {"probs": 0.9 * PROBS, "labels": LABELS},
            "row 0: the probabilities sum to 0.9, not 1 (within 0.005); divide each row by its sum",
        ),
        (
            {"probs": PROBS - [0.2, -0.2, 0], "labels": LABELS},
            "row 1: probability -0.1 is negative",
        ),
        ({"probs": PROBS * 0.99, "labels": LABELS}, "row 0: the probabilities sum to 0.99, not 1"),
        (
            {"probs": np.stack([PROBS, 2 * PROBS]), "labels": LABELS},
            "row 0 of draw 1: probability 1.4 exceeds 1",
        ),
        ({"probs": PROBS.astype(complex), "labels": LABELS}, "real numbers, not complex128"),
        ({"probs": PROBS, "labels": LABELS.astype(float)}, "labels must be whole numbers"),
        ({"probs": PROBS, "labels": LABELS - 1}, "row 0: label -1 is not 0 to 2"),
        ({"probs": PROBS, "labels": LABELS + 1}, "row 2: label 3 is not 0 to 2"),
        ({"probs": PROBS, "labels": LABELS, "targets": LABELS}, "holds targets"),
        ({"probs": PROBS.astype(object), "labels": LABELS}, "objects cannot be read"),
        ({"mean": MEAN, "targets": TARGETS}, "nor mean with variance or std"),
        (
            {"mean": MEAN, "variance": VARIANCE, "std": VARIANCE, "targets": TARGETS},
            "holds variance and std",
        ),
        ({"mean": MEAN, "variance": VARIANCE[:1], "targets": TARGETS}, "variance (1,)"),
        (
            {"mean": MEAN, "variance": VARIANCE - 0.25, "targets": TARGETS},
            "row 1: variance 0 is not positive",
        ),
        (
            {"mean": MEAN - np.inf, "variance": VARIANCE, "targets": TARGETS},
            "row 0: mean is not finite",
        ),
        ({"mean": MEAN, "std": VARIANCE * 1e-30, "targets": TARGETS}, "beyond single precision"),
        ({"mean": MEAN, "std": VARIANCE, "targets": TARGETS * np.nan}, "row 0: target nan"),
    ],
)
def test_mistakes_in_npz(arrays: dict[str, np.ndarray], words: str) -> None:
    """A wrong file is named in one line, with its row; nothing is written."""
    assert words in refused(saved(**arrays))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "file.csv"),
        (["label,prob_0,prob_1"], "no line beneath its header"),
        (["labels,prob_0,prob_1", "0,1,0"], "did you mean 'label'?"),
        ([",label,prob_0,prob_1", "0,0,1,0"], "column 1 has no name: if pandas wrote an index"),
        (["label;prob_0;prob_1", "0;1;0"], "separate columns by commas"),
        (["label,prob_0,prob_0", "0,1,0"], "line 1 has the column 'prob_0' twice"),
        (["label,prob_0,prob_2", "0,1,0"], "line 1 has no column 'prob_1'"),
        (["label,prob_0,prob_1", "0,1,0", "1,0"], "line 3, column prob_1: '' is no number"),
        (["label,prob_0,prob_1", "0,1,0", "1,0,1,1"], "Expected 3 fields in line 3, saw 4"),
        (["label,prob_0,prob_1", "0,1,0", "1,x,1"], "line 3, column prob_0: 'x' is no number"),
        (["label,prob_0,prob_1", "0,1,0", "1,,1"], "line 3, column prob_0: '' is no number"),
        (
            ["label,prob_0,prob_1", "0,1,0", "1.5,0,1"],
            "line 3, column label: '1.5' is no whole number",
        ),
        (["label,prob_0,prob_1", "0,1,0", "1,nan,1"], "line 3: probs are not finite"),
        (
            ["label,prob_0,prob_1", "0,1,0", "1,0.5,0.6"],
            "line 3: the probabilities sum to 1.1, not 1",
        ),
        (["label,prob_0,prob_1", "0,1,0", "2,0,1"], "line 3: label 2"),
        (["label,logit_0,prob_1", "0,1,0"], "no column 'prob_0'"),
        (["example,label,prob_0,prob_1", "0,0,1,0"], "no column 'draw'"),
        (
            ["example,draw,label,prob_0,prob_1", "0,0,0,1,0", "0,0,0,1,0"],
            "line 3 has example 0, draw 0 a second",
        ),
        (
            ["example,draw,label,prob_0,prob_1", "0,0,0,1,0", "1,0,1,0,1", "0,1,0,1,0"],
            "no draw 1 of example 1",
        ),
        (
            ["example,draw,label,prob_0,prob_1", "0,0,0,1,0", "0,1,1,1,0"],
            "line 3 has other labels than line 2",
        ),
    ],
)
def test_mistakes_in_csv(lines: list[str], words: str) -> None:
    """A table that is not what it should be is told of with its line."""
    assert words in refused(text(*lines))


def test_files_that_are_none() -> None:
    """What is missing, a folder, cut short, of another format or foreign is told of by name."""
    whole = Path(saved(probs=PROBS, labels=LABELS)).read_bytes()
    contents = {
        "short.npz": whole[:-30],
        "flipped.npz": whole[:200] + b"\xff\xff" + whole[202:],
        "latin.csv": b"label,prob_0\xff\n",
    }
    for name, content in contents.items():
        Path(name).write_bytes(content)
    Path("folder.npz").mkdir()
    np.save("array.npy", PROBS)
    with zipfile.ZipFile("notes.npz", "w") as notes:
        notes.writestr("probs.npy", "no array")

    for name in (*contents, "none.npz", "folder.npz", "notes.npz"):
        assert name in refused(name)
    assert "ends in .npz or .csv" in refused("array.npy")
    assert "none.npz" in refused("file.npz", "--unseen", "others=none.npz")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "../x"], "no name for a model"),
        (["--name", "a/b"], "no name for a model"),
        (["--name", "a\0"], "no name for a model"),
        (["--name", "a\n"], "no name for a model"),
        (["--name", "x" * 65], "at most 64"),
        (["--name", "mnf"], "'mnf' is a method of bench-uq"),
        (["--dataset", "digit"], "did you mean 'digits'?"),
        (["--dataset", "a/../b"], "no name for a dataset"),
        (["--dataset", "own[x=1]"], "unknown dataset 'own'"),
        (["--dataset", "digits[x=1]"], "unknown option of digits"),
        (["--seed", "-1"], "--seed"),
        (["--level", "1"], "--condition clean has no --level"),
        (["--condition", "fgsm"], "needs a --level"),
        (["--condition", "fgsm", "--level", "nan"], "--level must be of type float"),
        (["--condition", "fgsm", "--level", "-1"], "--level must be finite and at least 0"),
        (["--condition", "fgsn", "--level", "1"], "did you mean 'fgsm'?"),
        (["--condition", "letters", "--level", "1"], "has no --level"),
        (["--condition", "train", "--level", "1"], "needs a --level"),
        (["--unseen", "letters"], "NAME=FILE"),
        (["--unseen", "leters=file.npz"], "did you mean 'letters'?"),
        (["--unseen", "clean=file.npz"], "no name for out-of-distribution data"),
        (["--unseen", "fgsm=file.npz"], "no name for out-of-distribution data"),
        (["--unseen", "a=file.npz", "--unseen", "a=file.npz"], "a is given twice"),
        (["--suite", "../x"], "no name for a suite"),
        (
            ["--suite", "quick-validation"],
            "quick-validation: predictions are scored on the test split",
        ),
        (
            ["--suite", "mine-validation.toml"],
            "mine-validation: predictions are scored on the test split",
        ),
        (["--results", "file.npz"], "'file.npz' is a file"),
        (["--results", "/proc/none"], "cannot write to /proc/none"),
    ],
)
def test_mistakes_in_the_command(arguments: list[str], words: str) -> None:
    """Names, levels and folders that cannot be are told of in one line."""
    assert words in refused(saved(probs=PROBS, labels=LABELS), *arguments)


def test_names_of_methods_that_ran(beside: Path) -> None:
    """A method that an earlier run had, whatever its options, keeps its name."""
    plan = json.loads(Path("results/quick/plan.json").read_text())["runs"]
    run = plan.pop("map|digits|0")
    plan["own[rate=0.5]|digits|0"] = {**run, "method": "own[rate=0.5]"}
    store.write_json(Path("results/quick/plan.json"), {"runs": plan})
    assert "'own' is a method that bench-uq ran itself" in refused(export(), name="own")


def test_names_of_ones_own() -> None:
    """Own data may have any name; a name like a known one must be meant."""
    file = saved(probs=PROBS, labels=LABELS)
    score(file, "--new-dataset", dataset="digit")
    score(file, "--unseen", "their.data-2=file.npz", dataset="toy")
    assert set(read_scores("results/quick").dataset) == {"digit", "toy"}


def test_axes_that_changed_places() -> None:
    """(N, S, C) for (S, N, C) is refused: by the labels, else by the draws of the labelled file."""
    draws = np.stack([PROBS, PROBS[::-1]])  # two draws of four examples
    np.savez("others.npz", probs=draws[:, :3])
    np.savez("swapped.npz", probs=draws[:, :3].transpose(1, 0, 2))
    np.savez("square.npz", probs=draws[:, :2])
    swapped = saved(probs=draws.transpose(1, 0, 2), labels=LABELS)
    assert "labels has the shape (4,)" in (found := refused(swapped))
    assert "their first axis is that of the draws, here 4" in found

    clean = saved(probs=draws, labels=LABELS)
    refusal = "swapped.npz has 3 draws of 2 examples, the labelled predictions have 2 draws"
    assert refusal in refused(clean, "--unseen", "others=swapped.npz")
    assert "or the reverse?" in refused(clean, "--unseen", "others=square.npz")
    assert "labelled predictions first" in refused("others.npz", "--condition", "letters")
    score(clean, "--unseen", "others=others.npz")
    # Against those that were stored before.
    refusal = "swapped.npz has 3 draws"
    assert refusal in refused("file.npz", "--unseen", "more=swapped.npz", name="mine")


def test_folds(data_root: Path) -> None:
    """A dataset with options is found by its spelling; its seeds are folds."""
    name = "uci[name=concrete]"
    dataset = Plugins().spec("dataset", name).value
    place = ("--data-dir", str(data_root))
    for seed in (0, 1):
        targets = dataset.load("test", data_root, fold=seed).targets
        saved(mean=targets, std=np.ones(len(targets)), targets=targets)
        score("file.npz", "--seed", str(seed), *place, dataset=name)
    scores = read_scores("results/quick")
    assert set(scores[scores.metric == "rmse"].seed) == {0, 1}
    assert "row 0 has" in refused("file.npz", *place, dataset=name, name="other")


def test_locked_run() -> None:
    """A run that another process is writing is left alone."""
    score(saved(probs=PROBS, labels=LABELS))
    (run,) = Path("results/quick/runs").glob("mine-*")
    with store.RunFolder(run).locked() as mine:
        assert mine
        output = refused(saved(probs=PROBS[:, ::-1], labels=LABELS))
    assert "another process" in output


def test_beside_own_runs_in_the_report(beside: Path) -> None:
    """The example of the how-to runs as written; imported models stand in every table."""
    page = (REPO / "docs/score-your-predictions.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.S)
    assert code is not None
    subprocess.run([sys.executable, "-c", code[1]], check=True)
    for command in re.findall(r"^bench-uq (.*)$", page, re.M):
        # Predictions of others, which the page says where to get.
        if "cifar10" in command:
            continue
        status, output = invoke(*command.split())
        assert status == 0, output

    found = read_scores("results/quick").query("condition == 'clean' and metric == 'accuracy'")
    arrays = np.load("forest.npz")
    accuracy = accuracy_score(arrays["labels"], arrays["probs"].argmax(1))
    assert found.set_index("method").value["forest"] == accuracy > 0.95
    summary = Path("reports/quick/summary.md").read_text()
    clean, _, stressed = summary.partition("### Under stress")
    # The table by questions, then that of all clean scores.
    assert re.findall(r"^\| (\S+)", clean, re.M) == 2 * ["method", "---", "MAP", "forest"]
    alone = ["method", "---", "MAP"]  # under FGSM of many draws and of one, and the worst of both
    assert re.findall(r"^\| (\S+)", stressed, re.M) == 3 * alone
    assert "Trained elsewhere, convergence unknown: forest." in summary
    assert "digits, forest" not in summary  # not among those that did not converge
    levels = Path("reports/quick/tables/digits-levels-fgsm.tex").read_text()
    assert ("    MAP" in levels, "    forest" in levels) == (True, False)
    figures = {path.stem for path in Path("reports/quick/figures").glob("*.png")}
    assert {"digits-entropy-ecdf", "digits-levels-fgsm", "digits-training"} <= figures


def test_report_of_imported_runs_alone() -> None:
    """A suite of imported runs alone, of classes and real targets, has tables and figures."""
    score(saved(probs=PROBS, labels=LABELS))
    score(saved(mean=MEAN, std=VARIANCE, targets=TARGETS), dataset="prices")
    code, output = invoke("report")
    assert code == 0, output
    assert any(path.name == "toy-reliability.png" for path in Path("reports").rglob("*.png"))
    rows = pd.read_csv("results/quick/runs.csv")
    unknown = ["converged", "parameters", "train_seconds", "predict_seconds", "peak_memory"]
    assert rows[unknown].isna().all(axis=None)
    assert (rows.status == "ok").all()


def test_a_file_that_is_too_large_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be sound: the error says what it takes, and what this machine has room for."""
    monkeypatch.setattr(archives, "room", lambda size: 1000)
    np.savez_compressed(tmp_path / "mine.npz", probs=np.full((400, 10), 0.1, np.float32))
    content = (tmp_path / "mine.npz").read_bytes()
    with pytest.raises(UsageError, match=r"mine.npz unpacks to .* has room for 1,000$"):
        npz_arrays(tmp_path / "mine.npz", content, labelled=True)
