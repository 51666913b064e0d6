"""tuned.toml: what is written is read, and what is wrong is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.sources import hash_of_trees
from bench_uq.plan.suite import read_suite
from bench_uq.plan.tuned import (
    Chosen,
    Tuned,
    read_tuned,
    trials_file,
    tuned_suites,
    write_tuned,
)

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
