"""A suite with a reference: it is run with the others, whose predictions are compared with it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import done, invoke

PLUGIN = Path(__file__).parents[1] / "plugins" / "chains.py"
SUITE = """
methods = ["map", "map[prior_std=0.5]", "dropout", "mean-field[kl_weight=0.1]"]
datasets = ["digits"]
seeds = [0]
network = "mlp-32"
reference = "chains"

[settings]
epochs = 1
train_images = 200
test_images = 60
draws = 4

[conditions]
fgsm = [0, 0.1]
transfer = [0.1]
rotate = [20]

[conditions.digits]
letters = []
"""
RUN = ("run", "--suite", "near.toml", "--plugin", str(PLUGIN), "--device", "cpu")


def table(folder: Path, name: str) -> list[dict[str, str]]:
    """Rows of a derived file of the suite."""
    with (folder / "results" / "near" / name).open() as file:
        return list(csv.DictReader(file))


def scores(folder: Path, metric: str, method: str = "map") -> dict[tuple[str, str], float]:
    """Values of a metric of a method, by condition and level."""
    found = {}
    for row in table(folder, "scores.csv"):
        if (row["metric"], row["method"]) == (metric, method):
            found[row["condition"], row["level"]] = float(row["value"])
    return found


def predictions(folder: Path, method: str, condition: str) -> dict[str, np.ndarray]:
    """Stored predictions of a method under a condition."""
    (file,) = folder.glob(f"results/near/runs/{row_of(folder, method)['run']}/{condition}-*.npz")
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite that was run."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "near.toml").write_text(SUITE)
    done(folder, *RUN)
    return folder


def test_real_targets(tmp_path: Path) -> None:
    """The distance of quantiles and the ratio of standard deviations are those of the stored
    predictions, each beside its floor; there is none of classes.
    """
    text = SUITE.replace('"digits"', '"cubic"').partition("[conditions]")[0]
    (tmp_path / "near.toml").write_text(text.replace('"dropout", ', ""))
    done(tmp_path, *RUN, "--methods", "map")
    own, reference = (predictions(tmp_path, name, "clean") for name in ("map", "chains"))

    gaps = own["quantiles"].astype(float) - reference["quantiles"]
    expected = np.sqrt((gaps**2).mean(1)).mean()
    assert scores(tmp_path, "wasserstein_2")["clean", ""] == pytest.approx(expected, rel=1e-5)
    gaps = reference["chain_quantiles"][:, 0].astype(float) - reference["chain_quantiles"][:, 1]
    floor = np.sqrt((gaps**2).mean(1)).mean()
    assert scores(tmp_path, "wasserstein_2_floor")["clean", ""] == pytest.approx(floor, rel=1e-5)
    ratio = np.exp(np.log(own["variance"].astype(float) / reference["variance"]).mean() / 2)
    assert scores(tmp_path, "std_ratio")["clean", ""] == pytest.approx(ratio, rel=1e-5)
    assert scores(tmp_path, "std_ratio_floor")["clean", ""] >= 1
    assert scores(tmp_path, "total_variation") == {}


def row_of(folder: Path, method: str) -> dict[str, str]:
    """The row of a method in runs.csv."""
    (found,) = [row for row in table(folder, "runs.csv") if row["method"] == method]
    return found


def test_the_distance_is_that_of_the_stored_predictions(suite: Path) -> None:
    """Total variation and its floor on clean data are those of both files."""
    own, reference = predictions(suite, "map", "clean"), predictions(suite, "chains", "clean")
    expected = np.abs(own["probs"] - reference["probs"]).sum(1).mean() / 2
    assert scores(suite, "total_variation")["clean", ""] == pytest.approx(expected, rel=1e-5)

    chains = reference["chain_probs"]
    assert chains.shape == (60, 2, 10)
    floor = np.abs(chains[:, 0] - chains[:, 1]).sum(1).mean() / 2
    assert scores(suite, "total_variation_floor")["clean", ""] == pytest.approx(floor, rel=1e-5)


def test_only_equal_inputs_are_compared(suite: Path) -> None:
    """Shifts, unseen data, attacks on a surrogate, and an attack of size 0; no attack on the
    evaluated network.
    """
    expected = {
        ("clean", ""),
        ("rotate", "20.0"),
        ("transfer", "0.1"),
        ("fgsm", "0.0"),
        ("letters", ""),
    }
    assert set(scores(suite, "total_variation")) == expected
    assert set(scores(suite, "agreement")) == expected


def test_the_reference_is_planned_and_not_compared_with_itself(suite: Path) -> None:
    """It is run though no list of methods names it; of it there are the floors alone."""
    assert row_of(suite, "chains")["status"] == "ok"
    assert scores(suite, "total_variation", "chains") == {}
    own, of_map = (scores(suite, "total_variation_floor", name) for name in ("chains", "map"))
    assert own["clean", ""] == of_map["clean", ""]


def test_another_model_is_not_compared(suite: Path) -> None:
    """Another prior, none, and a likelihood that counts otherwise are named."""
    reasons = {
        "map[prior_std=0.5]": "other model: prior N(0, 0.5^2), not N(0, 1.0^2)",
        "dropout": "other model: no prior, not N(0, 1.0^2)",
        "mean-field[kl_weight=0.1]": "other model: prior N(0, 1.0^2), KL times 0.1, "
        "not N(0, 1.0^2)",
        "map": "",
    }
    for method, reason in reasons.items():
        assert row_of(suite, method)["lacking"] == reason
        assert bool(scores(suite, "total_variation", method)) == (not reason)


def test_several_references(tmp_path: Path) -> None:
    """Each method is compared with the reference of its own prior; one that nobody needs is not
    run.
    """
    several = 'reference = ["chains", "chains[prior_std=0.5]", "chains[prior_std=2]"]'
    text = SUITE.replace('reference = "chains"', several).partition("[conditions]")[0]
    (tmp_path / "near.toml").write_text(text)
    done(tmp_path, *RUN)

    names = {row["method"] for row in table(tmp_path, "runs.csv")}
    assert {"chains", "chains[prior_std=0.5]"} <= names
    assert "chains[prior_std=2.0]" not in names
    of = {"map": "chains", "map[prior_std=0.5]": "chains[prior_std=0.5]"}
    for method, reference in of.items():
        assert row_of(tmp_path, method)["reference"] == row_of(tmp_path, reference)["run"]
        own, other = (predictions(tmp_path, name, "clean") for name in (method, reference))
        expected = np.abs(own["probs"] - other["probs"]).sum(1).mean() / 2
        found = scores(tmp_path, "total_variation", method)["clean", ""]
        assert found == pytest.approx(expected, rel=1e-5)

    lacking = "other model: no prior, not N(0, 1.0^2) or N(0, 0.5^2)"
    assert row_of(tmp_path, "dropout")["lacking"] == lacking

    done(tmp_path, *RUN, "--methods", "dropout", "--results", "alone")
    with (tmp_path / "alone/near/runs.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["method"], row["reference"]) == ("dropout", "")
    assert row["lacking"] == f"{lacking} or N(0, 2.0^2)"


def test_the_record_holds_what_the_method_measured(suite: Path) -> None:
    """Numbers that are not finite are left out."""
    assert json.loads(row_of(suite, "chains")["measured"]) == {"rhat": [1.01]}


def changed(suite: Path, folder: Path, **facts: Any) -> str:
    """What scoring says after facts in the record of the reference were changed."""
    shutil.copytree(suite / "results", folder / "results")
    (path,) = folder.glob("results/near/runs/chains-digits-*/run.json")
    record = json.loads(path.read_text())
    record.pop("checksum")
    record["identity"] |= facts.pop("identity", {})
    path.write_text(json.dumps(record | facts))
    told = invoke(folder, "score", "--suite", "near", "--plugin", str(PLUGIN)).stderr
    assert scores(folder, "total_variation") == {}
    (line,) = [line for line in told.splitlines() if "not compared with a reference" in line]
    return line


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"diagnosis": "R-hat 1.30"}, "has not converged: R-hat 1.30"),
        ({"status": "failed", "reason": "no memory"}, "is failed: no memory"),
        ({"status": ""}, "is not stored (bench-uq run makes it)"),
        ({"identity": {"network": "mlp"}}, "is of another network: mlp, not mlp-32"),
    ],
)
def test_a_reference_that_is_none(suite: Path, tmp_path: Path, facts: Any, words: str) -> None:
    """One line says why nothing is compared."""
    assert words in changed(suite, tmp_path, **facts)


def test_chains_that_disagree_diverge(tmp_path: Path) -> None:
    """A method can say that its networks are no result: the run has diverged, with the reason."""
    (tmp_path / "near.toml").write_text(SUITE)
    ran = invoke(tmp_path, *RUN, "--methods", "map", "--set", "chains.disagree=true")
    assert ran.exit_code == 1
    row = row_of(tmp_path, "chains[disagree=true]")
    assert (row["status"], row["reason"]) == ("diverged", "the chains disagree")


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("chainz", "unknown method 'chainz'; did you mean 'chains'?"),
        ("chains[count=1]", "reference 'chains[count=1]' gives 1 estimate of the posterior"),
        ("dropout", "reference 'dropout' has no prior"),
        ("map", "reference 'map' gives 1 estimate of the posterior"),
        ("hmc[max_parameters=10]", "does not suit the task of digits"),
        (
            'chains", "chains[rhat=1.02]',
            "references 'chains' and 'chains[rhat=1.02]' are of one posterior, N(0, 1.0^2)",
        ),
        ('chains", "chains', "reference: chains is given twice"),
    ],
)
def test_references_that_cannot_be(tmp_path: Path, reference: str, words: str) -> None:
    """One line, exit 2, and nothing is written."""
    text = SUITE.replace('reference = "chains"', f'reference = ["{reference}"]')
    (tmp_path / "near.toml").write_text(text)
    ran = invoke(tmp_path, *RUN)
    assert ran.exit_code == 2
    assert words in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "results").exists()
