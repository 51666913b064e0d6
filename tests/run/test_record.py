"""A run's record is read strictly, seldom read, and written once per step of the run."""

from __future__ import annotations

import dataclasses
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import make_plan
from bench_uq.plan.suite import read_suite
from bench_uq.run.execute import execute
from bench_uq.run.job import Job
from bench_uq.run.suite import due
from bench_uq.store import Evaluation, Plan, PlannedRun, Record, Source, StoredFile, runs
from bench_uq.store.records import STATUSES

SUITE = """
methods = ["map"]
datasets = ["digits"]
seeds = [0]

[settings]
epochs = 1
draws = 2
train_images = 100
test_images = 20
attack_images = 20

[conditions]
fgsm = [0, 0.1, 0.2]
rotate = [15, 30]
transfer = [0.1]

[conditions.digits]
letters = []
"""
CONDITIONS = 5  # with clean; transfer attacks the run itself


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Job of the only run of a small suite."""
    (tmp_path / "small.toml").write_text(SUITE)
    suite = read_suite(str(tmp_path / "small.toml"))
    (run,) = make_plan(suite, Plugins(), Contents(tmp_path / "data", tmp_path / "contents.json"))
    return Job(run, tmp_path / "results" / "small", tmp_path / "data", (), "cpu", None)


def test_reads_and_writes_of_one_run(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parent and child read run.json once each, and a condition is one write for all its levels."""
    counts = {"read": 0, "write": 0}
    read, write = runs.read_json, runs.write_json

    def counted_read(path: Path, *rest: Any) -> Any:
        counts["read"] += path.name == "run.json"
        return read(path, *rest)

    def counted_write(path: Path, value: Any) -> None:
        counts["write"] += path.name == "run.json"
        write(path, value)

    monkeypatch.setattr(runs, "read_json", counted_read)
    monkeypatch.setattr(runs, "write_json", counted_write)
    monkeypatch.setattr(signal, "signal", lambda *handler: None)  # execute expects a child process

    (todo,) = due([job], lambda name, ended: None)
    ended = execute(todo, lambda share: None)
    assert ended is not None
    assert (ended.record.status, ended.record.reason) == ("ok", None)
    assert len(ended.record.predict_seconds) == len(job.run.shown) == 8 + 1  # held-out
    assert counts["read"] <= 2
    assert counts["write"] <= CONDITIONS + 1 + 3

    stored = list[str]()
    before = dict(counts)
    assert due([job], lambda name, ended: stored.append(name)) == []
    assert stored == [job.run.name]
    assert counts == {"read": before["read"] + 1, "write": before["write"]}


# Strict reading

RUN = "map-digits-s0-01234567"
RECORD = {"run": RUN, "status": "ok", "files": {"clean.npz": {"sha256": "0" * 64, "bytes": 3}}}
SHOWN = {"condition": "fgsm", "kind": "condition", "level": 0.1, "file": "fgsm.npz"}
PLANNED = {"run": RUN, "method": "map", "dataset": "digits", "seed": 0, "shown": [SHOWN]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"run": "mnf-digits-s0-01234567"}, "it is the record of 'mnf-digits-s0-01234567'"),
        ({"run": 3}, "run is 3"),
        ({"status": "done"}, "status 'done' is not one of ok, failed"),
        ({"status": None}, "status is None"),
        ({"seed": "0"}, "seed is '0'"),
        ({"seed": True}, "seed is True"),
        ({"seed": 1.0}, "seed is 1.0"),
        ({"converged": 1}, "converged is 1"),
        ({"train_seconds": "3"}, "train_seconds is '3'"),
        ({"train_seconds": True}, "train_seconds is True"),
        ({"settings": []}, "settings is"),
        ({"together": [0, "1"]}, "together is '1'"),
        ({"predict_seconds": {"clean.npz": None}}, "predict_seconds is None"),
        ({"surrogates": {"fgsm.npz": 3}}, "surrogates is 3"),
        ({"files": ["clean.npz"]}, "files is"),
        ({"files": {"clean.npz": "0"}}, "it is not an object"),
        ({"files": {"clean.npz": {"sha256": "0"}}}, "it has no bytes"),
        ({"files": {"clean.npz": {"sha256": "0", "bytes": "3"}}}, "bytes is '3'"),
    ],
)
def test_records_of_other_types_are_refused(change: dict[str, Any], words: str) -> None:
    """A field of another type, an unknown status or another run's record is refused by name."""
    with pytest.raises(ValueError, match=words):
        Record.from_json({**RECORD, **change}, RUN)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": "0"}, "seed is '0'"),
        ({"seed": None}, "seed is None"),
        ({"method": 3}, "method is 3"),
        ({"command": 3}, "command is 3"),
        ({"shown": SHOWN}, "shown is"),
        ({"shown": ["clean"]}, "it is not an object"),
        ({"shown": [{**SHOWN, "level": "0.1"}]}, "level is '0.1'"),
        ({"shown": [{"condition": "clean", "kind": "clean", "level": None}]}, "it has no file"),
    ],
)
def test_planned_runs_of_other_types_are_refused(change: dict[str, Any], words: str) -> None:
    """A field of another type is refused by name, in a planned run alone and in a plan."""
    planned = {**PLANNED, **change}
    with pytest.raises(ValueError, match=words):
        PlannedRun.from_json(planned)
    with pytest.raises(ValueError, match=words):
        Plan.from_json({"runs": {"map|digits|0": planned}})


@pytest.mark.parametrize("name", list(PLANNED))
def test_planned_runs_that_lack_a_field_are_refused(name: str) -> None:
    """Only the fields that plan.json always holds are required."""
    planned = {key: value for key, value in PLANNED.items() if key != name}
    with pytest.raises(ValueError, match="it has no "):
        PlannedRun.from_json(planned)


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "..", ".hidden", "", "a\0"])
def test_names_that_leave_the_folder_are_refused(name: str) -> None:
    """Names of runs and files are plain: no separator, and no dot in front."""
    entry = RECORD["files"]["clean.npz"]  # type: ignore[index]
    with pytest.raises(ValueError, match="is not the name of a stored file"):
        Record.from_json({**RECORD, "files": {name: entry}}, RUN)
    with pytest.raises(ValueError, match="is not the name of a run"):
        PlannedRun.from_json({**PLANNED, "run": name})
    with pytest.raises(ValueError, match="is not the name of a stored file"):
        PlannedRun.from_json({**PLANNED, "shown": [{**SHOWN, "file": name}]})


@pytest.mark.parametrize("value", [None, 3, "text", [], [RECORD]])
def test_other_values_than_objects_are_refused(value: Any) -> None:
    """A record, a planned run and a plan are JSON objects."""
    with pytest.raises(ValueError, match="it is not an object"):
        Record.from_json(value, RUN)
    with pytest.raises(ValueError, match="it is not an object"):
        PlannedRun.from_json(value)
    with pytest.raises(ValueError, match="it is not an object"):
        Plan.from_json(value)


def test_names_that_are_no_names_are_refused() -> None:
    """Scores are kept under the names of methods, datasets and conditions."""
    for change in (
        {"method": "a\nb"},
        {"dataset": "<b>"},
        {"shown": [{**SHOWN, "condition": "["}]},
    ):
        with pytest.raises(ValueError, match="is not a name with options"):
            PlannedRun.from_json({**PLANNED, **change})
    with pytest.raises(ValueError, match=r"'map\|digits\|1' is another run"):
        Plan.from_json({"runs": {"map|digits|1": PLANNED}})


@pytest.mark.parametrize("value", [{}, {"runs": []}, {"runs": None}])
def test_plans_without_runs_are_refused(value: Any) -> None:
    """The runs of a plan are an object, by method, dataset and seed."""
    with pytest.raises(ValueError, match="it has no runs"):
        Plan.from_json(value)


def test_unknown_fields_are_ignored() -> None:
    """A later version may add fields under the same schema."""
    assert Record.from_json({**RECORD, "new": [1]}, RUN) == Record.from_json(RECORD, RUN)
    assert PlannedRun.from_json({**PLANNED, "new": 1}) == PlannedRun.from_json(PLANNED)


# Round trips

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
stored = names.map(lambda name: f"{name}.npz")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
plain = st.dictionaries(texts, st.none() | st.booleans() | st.integers() | numbers | texts)

evaluations = st.builds(
    Evaluation, condition=names, kind=texts, level=st.none() | numbers, file=stored, full=texts
)
planned_runs = st.builds(
    PlannedRun,
    name=names,
    method=names,
    dataset=names,
    seed=st.integers(0),
    shown=st.lists(evaluations, max_size=3).map(tuple),
    settings=plain,
    identity=plain,
    command=st.none() | texts,
)
attacking = st.builds(dataclasses.replace, evaluations, surrogate=st.none() | planned_runs)
records = st.builds(
    Record,
    run=names,
    status=st.sampled_from(["", *STATUSES]),
    reason=st.none() | texts,
    seed=st.none() | st.integers(0),
    identity=plain,
    settings=plain,
    files=st.dictionaries(stored, st.builds(StoredFile, texts, st.integers(0)), max_size=3),
    environment=st.none() | plain,
    together=st.none() | st.lists(st.integers(0), max_size=3),
    train_seconds=st.none() | numbers,
    converged=st.none() | st.booleans(),
    predict_seconds=st.dictionaries(names, numbers, max_size=3),
    surrogates=st.dictionaries(names, st.none() | texts, max_size=3),
    sources=st.dictionaries(names, st.from_type(Source), max_size=3),
)


def through_json(value: Any) -> Any:
    """Plain data as a file holds it."""
    return json.loads(json.dumps(value, allow_nan=False))


@settings(max_examples=50, deadline=None)
@given(records)
def test_records_survive_json(record: Record) -> None:
    """A record that was written and read is the same record."""
    assert Record.from_json(through_json(record.to_json()), record.run) == record


@settings(max_examples=50, deadline=None)
@given(planned_runs, st.lists(attacking, max_size=3).map(tuple))
def test_planned_runs_survive_json(planned: PlannedRun, shown: tuple[Evaluation, ...]) -> None:
    """A planned run is the same for another process, and so are the runs that it attacks."""
    run = dataclasses.replace(planned, shown=shown)
    assert PlannedRun.from_json(through_json(run.to_json())) == run


@settings(max_examples=50, deadline=None)
@given(st.lists(planned_runs, max_size=3), st.none() | texts)
def test_plans_survive_json(runs: list[PlannedRun], description: str | None) -> None:
    """A plan that was read says what the file says, though a run has fewer fields there."""
    written = Plan({run.place: run for run in runs}, description).to_json()
    again = Plan.from_json(through_json(written))
    assert again.to_json() == written
    assert Plan.from_json(through_json(again.to_json())) == again
