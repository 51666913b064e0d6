"""Runs that are not alike are neither averaged nor compared; each case is worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench_uq.api.task import Predictions
from bench_uq.plan.plugins import PACKAGES
from bench_uq.plan.sources import hash_of_installed
from bench_uq.run.suite import Choices, prepare, remember
from bench_uq.score.banners import banner, located
from bench_uq.score.likeness import at_other_budget, contrast, differences, left_out, marked
from bench_uq.score.results import Results, read_runs
from bench_uq.score.run_scores import hashes_of
from bench_uq.score.stale import VERSIONS, plugin_files, stale
from bench_uq.store.records import FOR_EACH_SEED

COMMAND = "bench-uq run --suite quick --set epochs=250"
PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "mnist" / "runs.csv"
NOTHING = pd.DataFrame(columns=["dataset"])
METHOD = """
from dataclasses import dataclass
from torch import nn
from bench_uq.api import Method, Task


@dataclass(frozen=True)
class Own(Method):
    reference = "none"

    def build(self, task: Task) -> nn.Module:
        return task.build_network()
"""


def runs(*rows: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of runs.csv: of a suite that sets nothing for single methods, with these changes."""
    usual = {
        "dataset": "digits",
        "status": "ok",
        "diagnosis": "",
        "train_seconds": 1.0,
        "command": COMMAND,
        "network": "lenet",
    }
    usual |= {"epochs": 250.0, "draws": 20.0, "batch": 128.0, "train_images": 0.0, "shared": "{}"}
    usual |= {"data": "11111111", "facts": "{}"}
    made = [{**usual, "run": f"{row['method']}-{row['seed']}", **row} for row in rows]
    return marked(pd.DataFrame(made))


def seeds(method: str, count: int = 2, **facts: Any) -> list[dict[str, Any]]:
    """Runs of a method, seeds from 0."""
    return [{"method": method, "seed": seed, **facts} for seed in range(count)]


def results(*rows: Mapping[str, Any]) -> Results:
    """Results without a score."""
    return Results("quick", runs(*rows), NOTHING, NOTHING)


def test_the_method_of_other_settings_is_not_compared() -> None:
    """It alone is left out; the warning names the settings, their values and the command."""
    found = results(*seeds("map"), *seeds("mnf"), *seeds("dropout", train_images=300.0, batch=32.0))
    assert found.apart("digits") == {"dropout"}
    warning, remedy = banner(found)
    assert "batch: 128 (map, mnf), 32 (dropout)" in warning
    assert "train_images: all (map, mnf), 300 (dropout)" in warning
    everything = "--methods map,mnf,dropout --datasets digits --seeds 0,1"
    assert remedy == f"to mend this: {COMMAND} {everything}"


def test_of_two_methods_that_differ_none_is_compared() -> None:
    """Neither of two values is the commonest."""
    found = results(*seeds("map"), *seeds("dropout", precision="bfloat16"), *seeds("mnf"))
    assert not found.apart("digits")  # the others' precision is unknown
    found = results(*seeds("map", data="22222222"), *seeds("dropout"))
    assert found.apart("digits") == {"map", "dropout"}


def test_settings_of_the_suite_for_one_method_are_part_of_it() -> None:
    """60 epochs that a suite of 250 sets for map are alike; 60 that were asked for are not."""
    own = seeds("map", epochs=60.0, shared='{"epochs": 250}')
    assert not results(*own, *seeds("dropout")).apart("digits")
    asked = seeds("map", epochs=60.0)
    assert results(*asked, *seeds("dropout")).apart("digits") == {"map", "dropout"}
    # Results of older versions do not say who set them.
    assert not results(*seeds("map", epochs=60.0, shared=""), *seeds("dropout")).apart("digits")


def test_predictions_made_elsewhere_lack_settings_and_are_held_by_their_labels() -> None:
    """Unknown facts are no difference; labels and numbers of examples of one seed are."""
    theirs = {"epochs": float("nan"), "batch": float("nan"), "draws": 1.0, "network": ""}
    theirs |= {"data": "", "shared": "", "labels": "aaaaaaaa"}
    ours = {"labels": "aaaaaaaa", "facts": json.dumps({"examples of fgsm": "100"})}
    assert not results(*seeds("map", **ours), *seeds("one", **theirs)).apart("digits")

    other = theirs | {"labels": "bbbbbbbb"}
    assert results(*seeds("map", **ours), *seeds("one", **other)).apart("digits")
    fewer = theirs | {"facts": json.dumps({"examples of fgsm": "99"})}
    assert results(*seeds("map", **ours), *seeds("one", **fewer)).apart("digits")


def test_real_targets_are_told_by_mean_and_spread() -> None:
    """Rounded in a text they are the same labels; those of another split are others."""
    random = np.random.default_rng(0)
    targets = random.normal(1e-9, 3.0, 200).astype(np.float64)
    found = [
        hashes_of(Predictions({"targets": values}))["labels"]
        for values in (targets, targets.round(5), targets[::-1], targets[:150], 2 * targets)
    ]
    assert len(set(found[:3])) == 1
    assert len(set(found)) == 3


def test_folds_have_labels_of_their_own() -> None:
    """Labels may differ from seed to seed, as long as the methods share those of each seed."""
    folds = []
    for method in ("map", "dropout"):
        folds += [{"method": method, "seed": seed, "labels": f"{seed}" * 8} for seed in range(3)]
    assert differences(runs(*folds)) == []
    assert set(runs(*folds)["left_out"]) == {""}


def test_seeds_of_other_settings_are_in_no_mean() -> None:
    """The rarer epochs are left out; of two seeds that differ, the one unlike the other methods."""
    own = [*seeds("map", 3), {"method": "map", "seed": 3, "epochs": 100.0}]
    assert left_out(runs(*own)) == {"map-3": "epochs 100 instead of 250"}
    one = [{"method": "mnf", "seed": 0, "epochs": 100.0}, {"method": "mnf", "seed": 1}]
    assert left_out(runs(*one, *seeds("map"))) == {"mnf-0": "epochs 100 instead of 250"}
    assert results(*own).seeds("map").finished == 3


def test_seeds_that_were_tuned_apart_are_averaged() -> None:
    """Each may have its own rate and epochs, but no other draws, and not without those words."""
    words = {"facts": json.dumps({"tuning": f"{FOR_EACH_SEED}: 4 trials each"})}
    shared = json.dumps({"learning_rate": 0.01, "epochs": 250})
    own = seeds("map", 3, shared=shared, **words)
    for run, rate in zip(own, (0.1, 0.2, 0.3), strict=True):
        run |= {"learning_rate": rate, "epochs": 100 * rate}
    assert left_out(runs(*own)) == {}
    assert left_out(runs(*own[:2], {**own[2], "draws": 5.0})) == {"map-2": "draws 5 instead of 20"}

    # Epochs of the suite are no choice.
    other = {**own[2], "shared": json.dumps({"learning_rate": 0.01, "epochs": 9})}
    assert left_out(runs(*own[:2], other)) == {"map-2": "epochs 9 instead of 250"}
    # Two runs of one seed are compared in all.
    assert contrast(own[2], {**own[2], "epochs": 7.0}) == {"epochs": ("30", "7")}
    assert at_other_budget(own[2], {**own[2], "epochs": 60.0}, 2)

    for run in own:
        run["facts"] = json.dumps({"tuning": "tuned: 4 trials each"})
    assert len(left_out(runs(*own))) == 2


def test_equal_predictions_are_one_replicate() -> None:
    """Eight seeds of one file count once, and other methods' equal predictions are no copies."""
    copies = seeds("one", 8, predictions="cccccccc")
    found = results(*copies, *seeds("map", 1, predictions="cccccccc"))
    assert set(left_out(found.runs)) == {f"one-{seed}" for seed in range(1, 8)}
    assert found.seeds("one").finished == found.seeds("one").planned == 1
    (warning,) = banner(found)
    assert "one, seeds 1–7 (the same predictions as seed 0)" in warning


def test_an_edited_plugin_makes_its_runs_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code counts and comments do not; the plan remembers where the file lies."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine" / "own.py"
    file.parent.mkdir()
    file.write_text(METHOD)
    choices = Choices(methods=("own", "map"), seeds=("0",), plugins=(file,))
    prepared = prepare(choices, lambda _: None)
    remember(prepared)
    assert stale(prepared.folder) == {}

    file.write_text("# Another word.\n" + METHOD)
    assert stale(prepared.folder) == {}
    file.write_text(METHOD + "\n    order = 3\n")
    assert stale(prepared.folder) == {("digits", "own", 0): ("method own",)}
    command = "to mend this: bench-uq run --plugin own.py --methods own"
    assert located(command, plugin_files(prepared.folder)) == command.replace(
        "own.py", "mine/own.py"
    )
    monkeypatch.setitem(VERSIONS, "training version", "later")
    assert set(stale(prepared.folder)) == {("digits", "own", 0), ("digits", "map", 0)}


def test_published_results_are_stale_too(tmp_path: Path) -> None:
    """Without a plan the code is that of runs.csv, if that has recorded it."""
    folder, file = tmp_path, tmp_path / "runs.csv"
    runs = pd.read_csv(PUBLISHED)
    now = {name: str(version) for name, version in VERSIONS.items()}
    code = hash_of_installed("fgsm", PACKAGES["condition"])[:8]

    runs.assign(status="ok", facts=json.dumps(now | {"code of fgsm": code})).to_csv(
        file, index=False
    )
    assert stale(folder) == {}
    runs.assign(status="ok", facts=json.dumps(now | {"code of fgsm": "0000"})).to_csv(
        file, index=False
    )
    assert set(stale(folder).values()) == {("condition fgsm",)}

    # Of earlier versions nothing is known, which a warning says; imported predictions have no code.
    runs.assign(status="ok", facts=None, command="bench-uq run").to_csv(file, index=False)
    assert stale(folder) == {}
    unknown = read_runs(folder)
    (warning,) = banner(Results("mnist", unknown, NOTHING, NOTHING))
    assert "which did not record its code" in warning
    assert warning.endswith("are not known: dropout, ensemble, map, mean-field, mnf.")
    assert not banner(Results("mnist", unknown.assign(command=""), NOTHING, NOTHING))


def test_the_plan_knows_the_content_of_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changes behind its name gives other data, for every seed the same."""
    import numpy as np

    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    arrays = {
        f"x_{split}": random.random((40, 8, 8, 1)).astype("f4") for split in ("train", "test")
    }
    labels = np.arange(40) % 2
    found = []
    for shift in (0, 0.5):
        arrays["x_test"] = arrays["x_test"] * (1 - shift)
        np.savez("own.npz", **arrays, y_train=labels, y_test=labels)
        choices = Choices(
            datasets=("npz[path=own.npz]",), methods=("map",), seeds=("0", "1"), suite="quick"
        )
        made = prepare(choices, lambda _: None).runs
        assert made[0].data[""] == made[1].data[""]
        assert (made[0].trained_on, made[0].held_out) == (36, 4)
        found.append(made[0].data[""])
    assert found[0] != found[1]
