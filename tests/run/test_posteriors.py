"""Predictions of a reference that are published with its suite: nobody has to sample to compare."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench_uq.api.errors import UsageError
from bench_uq.plan.suite import Suite
from bench_uq.run import suite as run_suite
from bench_uq.run.posteriors import coded, decoded, read_file, suffices, write_file
from bench_uq.run.suite import Choices, prepare
from tests.cli.commands import done, invoke
from tests.run.test_reference import PLUGIN, RUN, SUITE

FILE = "near.posterior.npz"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite that was run, and the predictions of its reference beside it."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "near.toml").write_text(SUITE)
    done(folder, *RUN, "--methods", "chains,map")
    write_file(folder / "results" / "near", folder / FILE)
    return folder


@pytest.fixture
def fresh(published: Path, tmp_path: Path) -> Path:
    """Another folder with the suite and the published predictions, and no results."""
    for name in ("near.toml", FILE):
        shutil.copy(published / name, tmp_path)
    return tmp_path


def scores(folder: Path, metric: str, method: str = "map") -> dict[tuple[str, str], float]:
    """Values of a metric of a method, by condition and level."""
    found = {}
    with (folder / "results/near/scores.csv").open() as file:
        for row in csv.DictReader(file):
            if (row["metric"], row["method"]) == (metric, method):
                found[row["condition"], row["level"]] = float(row["value"])
    return found


def record(folder: Path) -> dict[str, object]:
    """The record of the reference."""
    (path,) = folder.glob("results/near/runs/chains-*/run.json")
    found: dict[str, object] = json.loads(path.read_text())
    return found


def test_distances_are_those_to_the_sampled_reference(published: Path, fresh: Path) -> None:
    """Within the rounding, on clean data, shifts and unseen data; networks that attack differ from
    machine to machine, so there is no distance under transfer. The reference is not trained.
    """
    ran = invoke(fresh, *RUN, "--methods", "map")
    for metric in ("total_variation", "total_variation_floor", "predictive_kl"):
        sampled, own = scores(published, metric), scores(fresh, metric)
        sampled.pop(("transfer", "0.1"))
        assert {("clean", ""), ("rotate", "20.0"), ("letters", "")} <= own.keys() == sampled.keys()
        for place, value in sampled.items():
            assert own[place] == pytest.approx(value, rel=0.02, abs=2e-4)

    assert record(fresh)["kind"] == "published"
    assert not list(fresh.glob("results/near/runs/chains-*/network.safetensors"))
    (line,) = [line for line in ran.stderr.splitlines() if "published predictions" in line]
    assert line.endswith("(without transfer 0.1); asked for by name, it is sampled")


def test_nothing_is_to_do(fresh: Path) -> None:
    """A dry run counts the published predictions as stored, and a second run leaves them."""
    lines = invoke(fresh, *RUN, "--methods", "map", "--dry-run").stdout.splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["stored", "to"]
    assert not (fresh / "results" / "near").exists()

    for told in (1, 0):
        ran = invoke(fresh, *RUN, "--methods", "map")
        assert ran.stdout.splitlines()[0].split()[1] == "stored"
        assert ran.stderr.count("published predictions") == told


def test_asked_for_by_name_it_is_sampled(fresh: Path) -> None:
    """Also where published predictions were stored before."""
    done(fresh, *RUN, "--methods", "map")
    done(fresh, *RUN, "--methods", "map,chains")
    assert "kind" not in record(fresh)
    assert list(fresh.glob("results/near/runs/chains-*/network.safetensors"))
    assert ("transfer", "0.1") in scores(fresh, "total_variation")


@pytest.mark.parametrize("parts", [["chains", "map"], ["map", "chains"]])
def test_a_part_of_a_tuned_suite_may_ask_for_it(
    fresh: Path, parts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part plans the reference; where one names it, it is asked for by name."""

    def split(suite: Suite, *_: object) -> tuple[list[Suite], str]:
        return [dataclasses.replace(suite, methods=(name,)) for name in parts], "tuned"

    monkeypatch.setattr(run_suite, "tuned_parts", split)
    choices = Choices(str(fresh / "near.toml"), plugins=(PLUGIN,), results=fresh / "results")
    found = {run.method: run.to_compare for run in prepare(choices, print).runs}
    assert found == {"chains": False, "map": False}
    parts = ["map"]
    assert {run.method: run.to_compare for run in prepare(choices, print).runs}["chains"]


def test_of_merged_results_the_sampled_run_stays(published: Path, fresh: Path) -> None:
    """Also where the published one comes first."""
    done(fresh, *RUN, "--methods", "map")
    done(fresh, "merge", "results", str(published / "results"), "--results", "all")
    (path,) = fresh.glob("all/near/runs/chains-*/run.json")
    assert "kind" not in json.loads(path.read_text())
    assert (path.parent / "network.safetensors").is_file()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("epochs=2", "of another epochs"),
        ("chains.prior_std=0.5", ""),
        ("draws=3", "of other data or settings of prediction"),
        ("train_images=150", "of another train images"),
    ],
)
def test_another_run_is_sampled(fresh: Path, change: str, words: str) -> None:
    """One line says in what it is another; another prior is another method, of which none is
    published.
    """
    # A reference is run only for a method of its prior.
    compared = "map[prior_std=0.5]" if "prior" in change else "map"
    ran = invoke(fresh, *RUN, "--methods", compared, "--set", change)
    assert "kind" not in record(fresh)
    told = [line for line in ran.stderr.splitlines() if "the published predictions are" in line]
    assert len(told) == bool(words)
    assert all(
        line.endswith(f"the published predictions are {words}; it is sampled") for line in told
    )


def test_published_predictions_do_not_stand_for_others(fresh: Path) -> None:
    """Where they were stored before, other draws are sampled all the same."""
    done(fresh, *RUN, "--methods", "map")
    assert record(fresh)["kind"] == "published"
    done(fresh, *RUN, "--methods", "map", "--set", "draws=3")
    assert "kind" not in record(fresh)
    assert ("clean", "") in scores(fresh, "total_variation")


def test_codes_of_probabilities() -> None:
    """Codes are 1 / 255 apart in the fourth root: an error is at most 2 p^(3/4) / 255 and a little,
    before all are scaled to a sum of 1; nothing is 0.
    """
    random = np.random.default_rng(0)
    chains = random.dirichlet(np.full(10, 0.1), size=(500, 4))
    arrays = {"chain_probs": chains, "probs": chains.mean(1), "targets": np.arange(500)}
    kept = coded(arrays)
    assert kept["chain_probs"].dtype == np.uint8
    found = decoded(kept)

    errors = np.abs(found["chain_probs"] - chains)
    bound = 2 * chains**0.75 / 255
    totals = bound.sum(-1, keepdims=True)
    assert (errors <= 1.1 * bound + chains * totals + 1e-6).all()
    assert errors.max() < 0.02
    assert (found["chain_probs"] > 0).all()
    assert found["chain_probs"].sum(-1) == pytest.approx(1, abs=1e-6)
    assert (found["targets"] == arrays["targets"]).all()


def test_real_targets_are_whole() -> None:
    """Of real targets every array is kept as it is."""
    arrays = {"mean": np.arange(3.0), "chain_mean": np.ones((3, 2))}
    assert decoded(coded(arrays)) == arrays


def test_a_part_of_the_draws_is_refused() -> None:
    """The mixture must be that of the chains."""
    chains = np.array([[[0.9, 0.1], [0.7, 0.3]]])
    with pytest.raises(UsageError, match="not the mean of its chains"):
        coded({"chain_probs": chains, "probs": chains[:, 0]})


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\3\4" + bytes(40)])
def test_a_damaged_file(fresh: Path, content: bytes) -> None:
    """One line, exit 2, and nothing is written."""
    (fresh / FILE).write_bytes(content)
    ran = invoke(fresh, *RUN, "--methods", "map")
    assert ran.exit_code == 2
    (line,) = ran.stderr.strip().splitlines()
    assert f"{FILE}: no published predictions: " in line
    assert not (fresh / "results" / "near").exists()


@pytest.mark.parametrize(
    ("member", "array", "words"),
    [
        ("{run}|../out.npz|probs", np.ones(1), "not the name of a stored file"),
        ("{run}|clean-1.npz|chain_probs", np.ones((1, 2, 3)), "holds no chains"),
        ("{run}|clean-1.npz|mean", np.array([np.nan]), "are not finite"),
        ("other-digits-s0-12345678|clean-1.npz|mean", np.ones(1), "lacks the predictions"),
    ],
)
def test_members_that_are_none(fresh: Path, member: str, array: np.ndarray, words: str) -> None:
    """Names cannot lead outside, and arrays are what they should be."""
    with np.load(fresh / FILE) as archive:
        members = dict(archive)
    run = next(iter(members)).split("|")[0]
    np.savez(fresh / FILE, **members, **{member.format(run=run): array})
    with pytest.raises(UsageError, match=words):
        read_file(fresh / FILE)


def test_what_cannot_be_published(published: Path, tmp_path: Path) -> None:
    """A reference that has not converged, that came with another suite, and a suite without one."""
    with pytest.raises(UsageError, match="was sampled there"):
        write_file(tmp_path, tmp_path / FILE)

    shutil.copytree(published / "results", tmp_path / "results")
    (path,) = tmp_path.glob("results/near/runs/chains-*/run.json")
    facts = json.loads(path.read_text())
    facts.pop("checksum")
    for found, words in (
        ({"diagnosis": "R-hat 1.30"}, r"cannot be published: R-hat 1\.30"),
        ({"kind": "published"}, "was sampled there"),
    ):
        path.write_text(json.dumps(facts | found))
        with pytest.raises(UsageError, match=words):
            write_file(tmp_path / "results" / "near", tmp_path / FILE)
    assert not (tmp_path / FILE).exists()


def test_the_shipped_file_fits_its_suite(tmp_path: Path) -> None:
    """Whoever changes hmc, the network or the recipe of fidelity makes the file anew
    (docs/fidelity.md).
    """
    choices = Choices(suite="fidelity", methods=("map",), results=tmp_path)
    prepared = prepare(choices, print)
    jobs = [job for job in prepared.jobs("cpu") if job.run.to_compare]
    assert [job.run.seed for job in jobs] == [0, 1, 2]
    assert all(suffices(job, prepared.posteriors) for job in jobs)
    for job in jobs:
        assert prepared.posteriors.records[job.run.name].identity == job.run.identity


def test_a_file_keeps_what_came_with_it(fresh: Path) -> None:
    """With one seed of the file and one sampled anew, the file is not written over; another is."""
    done(fresh, *RUN, "--methods", "map", "--seeds", "0,1")
    results, before = fresh / "results" / "near", (fresh / FILE).read_bytes()
    (came,) = read_file(fresh / FILE).records
    with pytest.raises(UsageError, match=rf"would lose {came}, which was not sampled"):
        write_file(results, fresh / FILE)
    assert (fresh / FILE).read_bytes() == before

    write_file(results, fresh / "other.posterior.npz")
    (made,) = read_file(fresh / "other.posterior.npz").records
    assert made != came
