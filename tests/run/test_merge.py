"""Suites that were run in parts and joined: real runs, through the command line."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench_uq.cli import main
from bench_uq.run import merge
from bench_uq.score.trials import read_trials
from bench_uq.store import NETWORK, PLAN, RECORD, TRAINING, RunFolder, run_folder
from tests.warm import Warm

SUITE = """
extends = "quick"
methods = ["dropout", "map"]
seeds = [0, 1]
[settings]
draws = 2
train_images = 200
attack_images = 100
[settings.dropout]
epochs = 1
[settings.map]
epochs = 1
[conditions]
fgsm = [0, 0.1]
"transfer[start=clean,steps=2]" = [0.1]
"""
REFERENCE = (
    "dataset,method,metric,value,source,certainty\ndigits,map,accuracy,0.9,Someone 2020,seen\n"
)
DERIVED = (
    *("scores.csv", "curves.csv.gz", "groups.csv.gz", "environment.json", "examples.npz"),
    "about.json",
    *("reference.csv", PLAN),
)
#: Columns of runs.csv that are never the same twice.
MEASURED = ("train_seconds", "predict_seconds", "peak_memory", "seconds_per_1000")
#: Which runs shard 1, 2 and 3 of 3 have; the first two train a map to attack it.
SHARDS = (["dropout-digits-s0", "map-digits-s1"], ["dropout-digits-s1"], ["map-digits-s0"])


RUN = ("run", "--suite", "tiny.toml", "--device", "cpu", "--results")


def bench(*arguments: str, code: int = 0) -> Result:
    """Run a command in this process."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the suite run as a whole in ``whole``, and in three shards."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "tiny.toml").write_text(SUITE)
    (folder / "tiny.reference.csv").write_text(REFERENCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        bench(*RUN, "whole")
        for part in (1, 2, 3):
            bench(*RUN, f"shard-{part}", f"--shard={part}/3")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of that folder to change, the one that is worked in."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def merged(*roots: str, code: int = 0, out: str = "out", score: bool = False) -> Result:
    """Merge results roots."""
    return bench("merge", *roots, "--results", out, *([] if score else ["--no-score"]), code=code)


def tree(*folders: Path) -> dict[str, bytes]:
    """Return all files that lie in folders, locks aside, links by where they lead."""
    paths = []
    for folder in folders:
        paths += [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    return {
        str(path): os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        for path in paths
        if ".lock" not in str(path)
    }


def rows(folder: Path, *without: str) -> list[dict[str, str]]:
    """Return runs.csv without some columns."""
    lines = csv.DictReader((folder / "tiny" / "runs.csv").read_text().splitlines())
    found = []
    for row in lines:
        found.append({name: value for name, value in row.items() if name not in without})
    return found


def statuses(folder: Path) -> dict[str, str]:
    """Return the status of each run by the beginning of its name."""
    return {row["run"].rsplit("-", 1)[0]: row["status"] for row in rows(folder)}


def stored(root: str, run: str) -> RunFolder:
    """Return the folder of a run by the beginning of its name."""
    (path,) = Path(root, "tiny", "runs").glob(f"{run}-*")
    return RunFolder(path)


def assert_whole(folder: Path) -> None:
    """Check that ``out`` is the suite that was run as a whole."""
    out, whole = folder / "out", folder / "whole"
    for name in DERIVED:
        assert (out / "tiny" / name).read_bytes() == (whole / "tiny" / name).read_bytes(), name
    assert rows(out, *MEASURED) == rows(whole, *MEASURED)


def test_three_shards_are_the_suite(folder: Path) -> None:
    """Three shards, one attacking another's networks, join to the whole suite bit for bit."""
    before = tree(*(folder / f"shard-{part}" for part in (1, 2, 3)))
    done = merged("shard-1", "shard-2", "shard-3", score=True)
    assert done.stdout == "tiny: 4 runs from 3 folders, 0 conflicts, 0 missing\n"
    assert done.stderr == ""
    assert_whole(folder)
    assert stored("shard-1", "map-digits-s0").record().reason == "trained for other runs, not shown"
    for path in (folder / "whole" / "tiny" / "runs").glob("*/*.[ns]*"):
        same = folder / "out" / path.relative_to(folder / "whole")
        assert path.name == "scored.json" or same.read_bytes() == path.read_bytes()
    assert tree(*(folder / f"shard-{part}" for part in (1, 2, 3))) == before


def test_merging_again_changes_nothing(folder: Path) -> None:
    """Merging again changes no byte, even if a source is the target or is named twice."""
    merged("shard-1", "shard-2", "shard-3", score=True)
    before = tree(folder / "out")
    stamps = {
        path: path.stat().st_mtime_ns
        for path in (folder / "out").rglob("*.npz")
        if path.name != "examples.npz"
    }

    done = merged("shard-1", "shard-2", "shard-3", score=True)
    assert done.stdout == "tiny: 4 runs from 3 folders, 0 conflicts, 0 missing\n"
    Path("alias").symlink_to("out")
    again = merged("alias", "shard-3", "shard-3/", score=True)
    assert again.stdout == "tiny: 4 runs from 2 folders, 0 conflicts, 0 missing\n"
    assert tree(folder / "out") == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps

    merged("shard-2", "shard-1", "shard-3", out="shard-1", score=True)
    assert rows(folder / "shard-1", *MEASURED) == rows(folder / "whole", *MEASURED)


def test_overlapping_shards(folder: Path) -> None:
    """Runs that several folders hold are kept once, those of the first with its seconds."""
    done = merged("whole", "shard-2", "shard-1", score=True)
    assert done.stdout == "tiny: 4 runs from 3 folders, 0 conflicts, 0 missing\n"
    assert_whole(folder)
    assert rows(folder / "out") == rows(folder / "whole")


@pytest.mark.parametrize(("part", "status"), [(2, "missing"), (3, "interrupted")])
def test_a_lost_shard_is_seen(folder: Path, part: int, status: str) -> None:
    """Runs of a lost shard are rows without scores: missing, or trained only to be attacked."""
    (lost,) = SHARDS[part - 1]
    done = merged(*(f"shard-{other}" for other in (1, 2, 3) if other != part), score=True)
    assert f"0 conflicts, {int(status == 'missing')} missing\n" in done.stdout
    assert statuses(folder / "out") == {
        run: status if run == lost else "ok" for run in chain(*SHARDS)
    }
    assert f"{lost}-" not in (folder / "out" / "tiny" / "scores.csv").read_text()


def test_shards_may_share_a_folder(folder: Path) -> None:
    """Shards at once in one folder, both to train the same network, make the whole suite."""
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", "bench_uq", *RUN, "out", "--jobs", "1", "--shard"]
    shards = [Warm([*command, f"{part}/3"], **piped) for part in (1, 2)]
    for process, names in zip(shards, SHARDS, strict=False):
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, out + err
        assert sorted(line.split()[0].rsplit("-", 1)[0] for line in out.splitlines()) == names
        assert "bench-uq score --suite tiny --results out" in err.splitlines()[-1]

    bench(*RUN, "out", "--shard", "3/3")
    assert not (folder / "out" / "tiny" / "scores.csv").exists()
    bench("score", "--suite", "tiny", "--results", "out")
    assert_whole(folder)


def test_a_shard_without_runs_can_be_merged(folder: Path) -> None:
    """A shard without runs stores the plan alone; --dry-run of a shard prints its runs alone."""
    done = bench(*RUN, "empty", "--shard", "9/9")
    assert done.stdout == ""
    assert done.stderr.startswith("nothing to do: 4 runs are fewer than 9 shards\n")
    assert merged("empty", score=True).stdout.endswith(" 0 conflicts, 4 missing\n")
    assert set(statuses(folder / "out").values()) == {"missing"}

    lines = bench(*RUN, "none", "--shard", "1/3", "--dry-run").stdout.splitlines()
    assert [line.split()[0].rsplit("-", 1)[0] for line in lines[:-1]] == SHARDS[0]
    assert lines[-1].startswith("2 runs, about ")
    assert not (folder / "none").exists()


def copies(run: str) -> tuple[RunFolder, RunFolder]:
    """Return a run of shard 1 in two copies of that shard."""
    for name in ("a", "b"):
        shutil.copytree("shard-1", name)
    return stored("a", run), stored("b", run)


def test_parts_of_one_run_are_united(folder: Path) -> None:
    """Two folders with a part of the conditions each make one run with all of them."""
    one, other = copies("dropout-digits-s0")
    whole = one.record()

    for copy, first in (one, "clean"), (other, "fgsm"):
        gone = {name for name in whole.files if name.endswith(".npz") and name.startswith(first)}
        copy.forget(gone)
        seconds = {
            name: whole.predict_seconds[name] for name in whole.predict_seconds.keys() - gone
        }
        copy.update(status="interrupted", reason="told to stop", predict_seconds=seconds)

    merged("a", "b")
    record = stored("out", "dropout-digits-s0").record()
    assert record == replace(whole, status="interrupted", reason="told to stop")
    assert all(stored("out", "dropout-digits-s0").holds(name) for name in record.files)


def change(folder: RunFolder, name: str) -> None:
    """Replace a stored file by another whole one."""
    folder.add_file(name, (folder.path / name).read_bytes() + b"other")


@pytest.mark.parametrize("what", ["network", "clean", "identity"])
def test_a_contradiction_is_told(folder: Path, what: str) -> None:
    """Of contradicting networks, predictions or identities the first stays; exit code 1."""
    one, other = copies("dropout-digits-s0")
    if what == "identity":
        other.update(key="0" * 64)
    else:
        change(other, next(name for name in other.record().files if name.startswith(what)))

    for first, second in (one, other), (other, one):
        roots = [copy.path.parents[2].name for copy in (first, second)]
        shutil.rmtree("out", ignore_errors=True)
        for _ in range(2):
            done = merged(*roots, code=1)
            assert done.stdout == "tiny: 4 runs from 2 folders, 1 conflict, 1 missing\n"
            told = f"conflict: tiny/{one.path.name}: the {what}"
            assert done.stderr.startswith(told)
            assert done.stderr.count("\n") == 1
            assert stored("out", "dropout-digits-s0").record() == first.record()
        kept = stored("out", "dropout-digits-s0")
        assert {path.name for path in kept.path.iterdir()} == {RECORD, *first.record().files}
        assert all(kept.holds(name) for name in first.record().files)


def test_plans_that_contradict_each_other(folder: Path) -> None:
    """The first plan stays, the other's run is kept beside as superseded, and exit is 1."""
    plan = json.loads(Path("shard-2/tiny", PLAN).read_text())
    entry = plan["runs"]["dropout|digits|1"]
    entry["run"] = entry["run"][:-8] + "0" * 8
    Path("shard-2/tiny", PLAN).write_text(json.dumps(plan))
    run = stored("shard-2", "dropout-digits-s1")
    run.update(run=entry["run"])
    run.path.rename(run.path.with_name(entry["run"]))

    done = merged("shard-1", "shard-2", "shard-3", code=1, score=True)
    assert done.stdout == "tiny: 4 runs from 3 folders, 1 conflict, 1 missing\n"
    assert (
        f"conflict: tiny/{entry['run']}: the planned run of shard-2 is not that of shard-1"
        in done.stderr
    )
    assert [row["status"] for row in rows(folder / "out") if row["run"] == entry["run"]] == [
        "superseded"
    ]


def test_a_surrogate_of_another_network(folder: Path) -> None:
    """Of two trainings the one with every condition stays, with all its predictions."""
    change(stored("shard-1", "map-digits-s0"), NETWORK)
    done = merged("shard-1", "shard-2", "shard-3", code=1)
    assert done.stdout == "tiny: 4 runs from 3 folders, 1 conflict, 0 missing\n"
    merged("shard-1", out="late")
    merged("shard-3", out="late", code=1)
    expected = stored("shard-3", "map-digits-s0").record()
    for out in ("out", "late"):
        found = stored(out, "map-digits-s0")
        assert found.record() == expected
        assert all(found.holds(name) for name in expected.files)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[:-1],
    "flipped": lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:],
    "empty": lambda content: b"",
}


@pytest.mark.parametrize(
    ("file", "how"), [(NETWORK, "cut"), (TRAINING, "flipped"), ("clean", "empty")]
)
def test_a_damaged_file_is_left_out(folder: Path, file: str, how: str) -> None:
    """A damaged file is reported and left out; a whole copy in another folder replaces it."""
    run = stored("shard-2", "dropout-digits-s1")
    name = next(name for name in run.record().files if name.startswith(file))
    (run.path / name).write_bytes(DAMAGE[how]((run.path / name).read_bytes()))
    before = tree(folder / "shard-2")

    done = merged("shard-2", code=1)
    assert done.stderr == f"left out: {run.path / name}: damaged\n"
    record = stored("out", "dropout-digits-s1").record()
    assert name not in record.files
    assert not (stored("out", "dropout-digits-s1").path / name).exists()
    assert (record.status, str(record.reason)[:14]) == ("interrupted", "1 of its files")
    assert tree(folder / "shard-2") == before

    merged("shard-2", "whole")
    mended = stored("out", "dropout-digits-s1")
    assert mended.record() == stored("whole", "dropout-digits-s1").record()
    assert all(mended.holds(name) for name in mended.record().files)


def test_damage_where_results_are_joined(folder: Path) -> None:
    """A damaged file in the target is set aside and copied again; partial files go."""
    merged("shard-2")
    run = stored("out", "dropout-digits-s1")
    (run.path / NETWORK).write_bytes(b"")
    left = run.path / f".{NETWORK}.00000000.part"
    left.write_bytes(b"half")
    merged("shard-2")
    assert not left.exists()
    assert run.holds(NETWORK)
    assert (run.path / f"{NETWORK}.corrupt").exists()
    assert run.record() == stored("shard-2", "dropout-digits-s1").record()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "[" * 100_000, '{"files": {}, "status": "ok", "x": 1e999}']
)
def test_a_damaged_record_or_plan(folder: Path, content: str) -> None:
    """An unreadable record or plan is reported, left as it is, and its runs are missing."""
    run = stored("shard-2", "dropout-digits-s1")
    (run.path / RECORD).write_text(content)
    Path("shard-3/tiny", PLAN).write_text(content)
    done = merged("shard-1", "shard-2", "shard-3", code=1)
    assert done.stdout == "tiny: 4 runs from 3 folders, 0 conflicts, 1 missing\n"
    record, plan = sorted(done.stderr.splitlines())
    assert record.startswith(f"left out: {run.path / RECORD}: ")
    assert plan.startswith("left out: shard-3/tiny/plan.json: ")
    assert (run.path / RECORD).read_text() == content


def test_statuses(folder: Path) -> None:
    """Finished wins over failed, failed over interrupted, in any order."""
    one, other = copies("dropout-digits-s0")
    one.update(status="failed", reason="no")
    for roots in ("a", "shard-1"), ("shard-1", "a"):
        shutil.rmtree("out", ignore_errors=True)
        merged(*roots)
        assert stored("out", "dropout-digits-s0").record().status == "ok"

    other.update(status="interrupted", reason="told to stop")
    for roots in ("a", "b"), ("b", "a"):
        shutil.rmtree("out", ignore_errors=True)
        merged(*roots)
        assert stored("out", "dropout-digits-s0").record().reason == "no"

    (one.path / RECORD).unlink()
    one.update(status="oom", reason="killed")
    shutil.rmtree("out")
    merged("a", score=True)
    (row,) = (row for row in rows(folder / "out") if row["run"] == one.path.name)
    assert (row["status"], row["reason"]) == ("oom", "killed")


def test_a_checkpoint_comes_with_a_run_that_is_unfinished(folder: Path) -> None:
    """It is taken where no folder has the trained network, and goes when one has."""
    one, other = copies("dropout-digits-s0")
    record = one.record()
    one.forget(record.files)
    one.add_file(merge.GROUP, b"state of several runs")
    one.add_file(merge.CHECKPOINT, b"state", status="interrupted", reason="told to stop")
    merged("a")
    assert stored("out", "dropout-digits-s0").holds(merge.CHECKPOINT)
    # That of a group is of use only beside the group's other runs.
    assert not (stored("out", "dropout-digits-s0").path / merge.GROUP).exists()
    merged("shard-1")
    assert stored("out", "dropout-digits-s0").record() == record
    assert not (stored("out", "dropout-digits-s0").path / merge.CHECKPOINT).exists()
    other.add_file(merge.CHECKPOINT, b"left by a process that was killed")
    merged("b", out="late")
    assert not (stored("late", "dropout-digits-s0").path / merge.CHECKPOINT).exists()


def test_a_run_of_another_process_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run at work elsewhere is left and reported, exit code 1; merging later completes it."""
    monkeypatch.setattr(merge, "LOOKS", 2)
    name = stored("shard-2", "dropout-digits-s1").path.name
    target = run_folder(Path("out", "tiny"), name)
    with target.locked() as mine:
        assert mine
        done = merged("shard-1", "shard-2", "shard-3", code=1)
        assert f"{name} is another process's" in done.stderr
        assert not target.path.exists()
    assert (
        merged("shard-1", "shard-2", "shard-3").stdout
        == "tiny: 4 runs from 3 folders, 0 conflicts, 0 missing\n"
    )


def test_published_values(folder: Path) -> None:
    """The values of the first folder stay; others that differ are told."""
    Path("shard-2/tiny/reference.csv").write_text(REFERENCE.replace("0.9", "0.8"))
    done = merged("shard-1", "shard-2", code=1)
    assert done.stderr == (
        "conflict: tiny/reference.csv: the list of published values of shard-2 is not that of shard-1, which is kept\n"
    )
    assert (
        Path("out/tiny/reference.csv").read_bytes() == Path("whole/tiny/reference.csv").read_bytes()
    )

    Path("shard-2/tiny/reference.csv").write_text("nonsense")
    assert (
        "left out: shard-2/tiny/reference.csv: unknown column"
        in merged("shard-1", "shard-2", code=1).stderr
    )


TRIALS = """study,dataset,method,trial,name,settings,seeds,nll,train_seconds,chosen
0,digits,map,0,map,,3,0.2,1.5,True
"""


@pytest.mark.parametrize("name", ["trials.csv", "trials.csv.gz"])
def test_trials(folder: Path, name: str) -> None:
    """Those of the first folder stay, so that the report has them; others that differ are told."""

    def lay(root: str, text: str) -> None:
        content = text.encode()
        Path(root, "tiny", name).write_bytes(gzip.compress(content) if ".gz" in name else content)

    lay("shard-1", TRIALS)
    lay("shard-2", TRIALS)
    merged("shard-1", "shard-2", "shard-3")
    assert (out := Path("out/tiny", name)).read_bytes() == Path("shard-1/tiny", name).read_bytes()
    assert [one.nll for one in read_trials(out)] == [0.2]

    lay("shard-2", TRIALS.replace("0.2", "0.3"))
    lay("shard-3", TRIALS[:-5])
    said = merged("shard-1", "shard-2", "shard-3", code=1).stderr
    assert f"tiny/{name}: the list of trials of shard-2 is not that of out, which is kept" in said
    assert f"left out: shard-3/tiny/{name}: " in said
    assert [one.nll for one in read_trials(out)] == [0.2]

    # Whole ones take the place of damaged ones, however these are stored.
    Path("out/tiny/trials.csv").write_text("damaged")
    merged("shard-2", code=1)
    (stored_as,) = Path("out/tiny").glob("trials.csv*")
    assert [one.nll for one in read_trials(stored_as)] == [0.3]


def test_trials_of_a_study_stay(folder: Path) -> None:
    """A folder that was tuned keeps its own, and hands none on: they chose for another suite."""
    for root in ("shard-1", "own"):
        Path(root, "tiny").mkdir(parents=True, exist_ok=True)
        Path(root, "tiny", "tuned.toml").touch()
        Path(root, "tiny", "trials.csv").write_text(f"{root}'s")
    Path("shard-2/tiny/trials.csv").write_text(TRIALS)
    merged("shard-1", "shard-2", out="own")
    assert Path("own/tiny/trials.csv").read_text() == "own's"
    merged("shard-1", "shard-3")
    assert not Path("out/tiny/trials.csv").exists()


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change the content of a JSON file."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def link(path: Path) -> None:
    """Put a link to what lies there in its place."""
    path.rename("canary")
    path.symlink_to(Path("canary").absolute())


def name_outside(run: RunFolder) -> None:
    """Name a file outside of the run's folder, with the right hash."""
    (run.path / NETWORK).rename(run.path.parent / "canary.npz")

    def named(record: dict[str, Any]) -> None:
        record["files"]["../canary.npz"] = record["files"][NETWORK]

    edit(run.path / RECORD, named)


def sealed(text: str) -> bytes:
    """Return a record with more in it than records hold, and the right checksum."""
    rest = f'\n "files": {{}},\n "status": "ok",\n "more": {text}\n}}\n'.encode()
    return b'{\n "checksum": "' + hashlib.sha256(rest).hexdigest().encode() + b'",' + rest


def pipe(run: RunFolder) -> None:
    """Put a pipe, which never ends, in place of a file."""
    (run.path / NETWORK).unlink()
    os.mkfifo(run.path / NETWORK)


#: What is done, what is told of it, and what becomes of the run.
ATTACKS: dict[str, tuple[Callable[[RunFolder], object], str, str]] = {
    "linked file": (
        lambda run: link(next(run.path.glob("clean*"))),
        ".npz: a link",
        "interrupted",
    ),
    "linked record": (lambda run: link(run.path / RECORD), f"{RECORD}: a link", "missing"),
    "linked run": (lambda run: link(run.path), ": a link", "missing"),
    "linked runs": (lambda run: link(run.path.parent), "runs: a link", "missing"),
    "file outside": (name_outside, "canary.npz' is not the name of a stored file", "missing"),
    "forged scores": (
        lambda run: run.add_file("scored.json", b'{"key": "forged"}'),
        f"{RECORD}: 'scored.json' is not the name of a stored file",
        "missing",
    ),
    "no number": (
        lambda run: (run.path / RECORD).write_bytes(sealed("1e999")),
        f"{RECORD}: damaged",
        "missing",
    ),
    "nested": (
        lambda run: (run.path / RECORD).write_bytes(sealed("[" * 100_000 + "]" * 100_000)),
        f"{RECORD}: damaged",
        "missing",
    ),
    "pipe": (pipe, f"{NETWORK}: no plain file", "interrupted"),
    "plan outside": (
        lambda run: edit(
            run.path.parents[1] / PLAN,
            lambda plan: plan["runs"]["dropout|digits|1"].update(run="../../../canary"),
        ),
        f"{PLAN}: '../../../canary' is not the name of a run",
        "ok",
    ),
    "wrong types": (
        lambda run: edit(run.path / RECORD, lambda record: record.update(environment=[])),
        f"{RECORD}: environment is [], of another type",
        "missing",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_folder_of_someone_hostile(folder: Path, name: str) -> None:
    """No link is followed and no path leaves the folders; the rest is merged and scored."""
    attack, told, status = ATTACKS[name]
    attack(stored("shard-2", "dropout-digits-s1"))
    inside = {*tree(folder)}
    done = merged("shard-2", "shard-1", "shard-3", code=1, score=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("left out: shard-2/tiny/")
    assert told in line

    out = folder / "out"
    assert all(path.startswith(f"{out}/tiny/") for path in {*tree(folder)} - inside)
    assert not any(path.is_symlink() or "canary" in path.name for path in out.rglob("*"))
    expected = dict.fromkeys(chain(*SHARDS), "ok")
    assert statuses(out) == expected | {"dropout-digits-s1": status}


def wrong_folder(kind: str, folder: Path) -> str:
    """Make a folder that cannot be merged, and return what is told of it."""
    if kind == "absent":
        return "wrong is no folder of results"
    if kind == "file":
        folder.write_text("")
        return "wrong is no folder of results"
    if kind == "other things":
        (folder / "pictures").mkdir(parents=True)
        return "wrong holds no results"
    if kind == "linked suite":
        folder.mkdir()
        (folder / "tiny").symlink_to(Path("shard-2/tiny").absolute())
        return "wrong/tiny is a link, which is not followed"
    if kind == "suite":
        shutil.copytree("shard-2/tiny", folder)
        return "wrong is the folder of one suite: name the one that holds it"

    shutil.copytree("shard-2", folder)
    if kind == "later plan":
        edit(folder / "tiny" / PLAN, lambda plan: plan.update(schema=99))
        return "wrong/tiny/plan.json is of schema 99"
    run = stored("wrong", "dropout-digits-s1")
    run.update(schema=99)
    return f"{run.path / RECORD} is of schema 99, which a later version of bench-uq has written"


WRONG = ("linked suite", "absent", "file", "other things", "suite", "later record", "later plan")


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_merged_is_refused(folder: Path, kind: str) -> None:
    """It is told in one line before anything is written, though it comes last."""
    words = wrong_folder(kind, folder / "wrong")
    before = tree(folder)
    done = merged("shard-1", "wrong", code=2)
    assert words in done.output
    assert len(done.output.splitlines()) == 1
    assert tree(folder) == before


def test_a_place_of_another_schema_is_left(folder: Path) -> None:
    """Results are not joined with those of another version."""
    stored("shard-2", "dropout-digits-s1").update(schema=99)
    before = tree(folder)
    assert "is of schema 99" in merged("shard-1", out="shard-2", code=2).output
    assert tree(folder) == before
