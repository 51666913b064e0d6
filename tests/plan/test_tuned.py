"""tuned.toml: what is written is read, and what is wrong is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import make_plan
from bench_uq.plan.sources import hash_of_trees
from bench_uq.plan.suite import read_suite
from bench_uq.plan.tuned import (
    Chosen,
    Tuned,
    read_tuned,
    refuse_overridden,
    trials_file,
    tuned_suites,
    used_seeds,
    write_tuned,
)
from bench_uq.run.suite import distinct

OURS = Chosen(
    *("mnf[flows=4]", "digits", "mnf"),
    *(0, 4, 3, 0.1, 0.25, (0.1,)),
    {"learning_rate": 0.002, "epochs": 9},
)
TUNED = Tuned("mine", "abc", 0, 1, 4, 0.0, (7, 8), "nll", ("batch=8",), (OURS,))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every field comes back, an infinite default too; seconds, which differ, are not written."""
    worst = replace(OURS, default_nll=float("inf"), settings={"schedule": "cosine"})
    tuned = replace(TUNED, chosen=(OURS, worst))
    write_tuned(tmp_path / "tuned.toml", replace(tuned, cost={"mnf": 3.5}))
    assert read_tuned(tmp_path / "tuned.toml") == tuned


def test_choices_for_each_seed_are_written_and_read(tmp_path: Path) -> None:
    """The seed of each choice comes back; without, a file has the bytes that it always had."""
    own = [replace(OURS, seed=seed) for seed in (0, 5)]
    tuned = replace(TUNED, seeds=(), per_seed=True, chosen=tuple(own))
    write_tuned(tmp_path / "tuned.toml", tuned)
    assert read_tuned(tmp_path / "tuned.toml") == tuned
    said = "tuned for each seed: 4 trials each, validation NLL (study "
    assert tuned.words.startswith(said)
    assert tuned.words.endswith("), batch=8")
    # Names and recipes of the results tell no other study apart.
    for other in (replace(tuned, setup="abd"), replace(tuned, seed=1)):
        assert other.words.startswith(said)
        assert other.words != tuned.words

    write_tuned(tmp_path / "tuned.toml", TUNED)
    text = (tmp_path / "tuned.toml").read_text()
    assert "per_seed" not in text
    assert text.count("seed = ") == 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("trials = 4", 'trials = "4"', "trials is '4', of another type"),
        ("seeds = [7, 8]", 'seeds = "78"', "seeds is '78', of another type"),
        ("seed = 0\n", "", "it has no seed"),
        ("trial = 3", "trail = 3", "'trail'"),
        ("epochs = 9", "epohcs = 9", "'epohcs'"),
        ("trial = 3", "trial = [", "tuned.toml"),
        ("trial = 3", "trial = 2", "its hash differs"),
        ("nll = 0.1", "nll = 0.01", "its hash differs"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    """One line says what is wrong."""
    file = tmp_path / "tuned.toml"
    write_tuned(file, TUNED)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(UsageError) as caught:
        read_tuned(file)
    assert told in str(caught.value)


def test_what_was_chosen_replaces_options_of_the_suite() -> None:
    """A default of the plugin that was chosen is not overridden by an option of the suite."""
    suite = replace(read_suite("quick"), methods=("mnf",), options={"mnf": {"flows": 4}})
    (part,) = tuned_suites(suite, TUNED, Plugins())
    assert (part.methods, part.options) == (("mnf",), {})
    assert part.settings_of("mnf").learning_rate == 0.002
    assert part.settings_of("mnf").epochs == 9


def test_each_seed_runs_by_its_own_choice() -> None:
    """A part for each, which results call by the name in the suite; other seeds were not tuned."""
    suite = replace(read_suite("quick"), methods=("mnf[flows=4]",), seeds=(0, 5))
    choices = (
        replace(OURS, seed=0),
        replace(OURS, name="mnf[flows=3]", settings={"epochs": 3}, seed=5),
    )
    tuned = replace(TUNED, seeds=(), per_seed=True, chosen=choices)
    parts = list(tuned_suites(suite, tuned, Plugins()))
    assert [(part.seeds, part.methods) for part in parts] == [
        ((0,), ("mnf",)),
        ((5,), ("mnf[flows=3]",)),
    ]
    assert [part.settings_of("mnf").epochs for part in parts] == [9, 3]
    assert [dict(part.called) for part in parts] == [
        {"mnf": "mnf[flows=4]"},
        {"mnf[flows=3]": "mnf[flows=4]"},
    ]
    assert used_seeds(suite, tuned) == []
    with pytest.raises(
        UsageError, match=r"digits, seed 6, was not tuned.*--per-seed --seeds 6 --trials 4"
    ):
        list(tuned_suites(replace(suite, seeds=(6,)), tuned, Plugins()))


def test_surrogates_and_references_stay_as_they_are() -> None:
    """Attacks on another method's networks are the same for all methods, whatever was chosen."""
    suite = replace(
        read_suite("fidelity"), methods=("hmc", "map", "mnf"), seeds=(0,), network="mlp-32"
    )
    mine = replace(OURS, method="map", name="map[prior_std=0.5]", settings={"epochs": 3})
    tuned = replace(TUNED, chosen=(mine, replace(OURS, method="mnf", name="mnf")))
    parts = list(tuned_suites(suite, tuned, Plugins()))
    assert [part.methods for part in parts] == [("hmc",), ("map[prior_std=0.5]",), ("mnf",)]
    assert parts[0].method_settings == suite.method_settings

    attacked = set()
    for part in parts:
        runs = make_plan(part, Plugins(), Contents(Path("nowhere"), Path("nowhere/known")))
        for run in runs:
            for shown in run.conditions:
                if shown.surrogate:
                    attacked.add(shown.surrogate.key)
    assert len(attacked) == 1


def test_a_run_that_two_methods_are_is_refused() -> None:
    """Else the second would lose a seed; a reference that each part plans is one run."""
    suite = replace(read_suite("quick"), methods=("map",), datasets=("digits",), seeds=(0,))
    contents = Contents(Path("nowhere"), Path("nowhere/known"))
    (run,) = make_plan(replace(suite, conditions={}, dataset_conditions={}), Plugins(), contents)
    assert distinct([run, run]) == [run]
    reference = replace(run, to_compare=True)
    assert distinct([reference, run]) == distinct([run, reference]) == [run]
    with pytest.raises(UsageError, match=r"map and other on digits are one run at seed 0"):
        distinct([run, replace(run, method="other")])


def test_what_a_study_chose_is_not_set_again() -> None:
    """It would change nothing; settings of all methods, and of others, may be set."""
    suite = read_suite("quick")
    refuse_overridden(suite, ["draws=9", "fgsm.draws=2", "temperature.bins=9"])
    with pytest.raises(UsageError, match=r"--set map.epochs=9: map has what the study chose"):
        refuse_overridden(suite, ["draws=9", "map.epochs=9"])


def test_a_search_space_changes_no_hash(tmp_path: Path) -> None:
    """What is tried decides no result: the key of a run leaves it out, and nothing beside it."""
    plain = "class Mine:\n    rate = 1\n"
    hashes = []
    for text in (plain, plain + '    search: dict = {"rate": {"low": 1, "high": 2}}\n',
                 plain + "    search = {}\n", plain + "    searched = {}\n"):  # fmt: skip
        (tmp_path / "mine.py").write_text(text)
        hashes.append(hash_of_trees([tmp_path / "mine.py"]))
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


def test_the_shipped_choice_is_the_committed_one() -> None:
    """The suite quick-tuned runs by what results/quick holds, with all trials beside it."""
    committed = Path(__file__).parents[2] / "results" / "quick"
    tuned = Path(read_suite("quick-tuned").tuned)
    assert tuned.read_bytes() == (committed / "tuned.toml").read_bytes()
    assert trials_file(tuned).read_bytes() == (committed / "trials.csv").read_bytes()

    chosen = {one.method for one in read_tuned(tuned).chosen}
    assert chosen == set(read_suite("quick-tuned").methods)
