"""What travels to the workers of a cluster arrives as it was sent, or is refused."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench_uq import store
from bench_uq.api.architecture_names import weights_of
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import make_plan
from bench_uq.plan.suite import read_suite
from bench_uq.run.cluster import client, message, worker
from bench_uq.run.cluster.message import (
    Damaged,
    packed_file,
    packed_folder,
    packed_job,
    source,
    unpacked_file,
    unpacked_folder,
    unpacked_job,
    with_network,
)
from bench_uq.run.job import Job
from bench_uq.store import PlannedRun

SUITE = """extends = "quick"
methods = ["dropout"]
seeds = [3]
[conditions]
"transfer[from=map]" = [0.1]
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Return a job of a run that attacks another one's network, with a network of the user."""
    (tmp_path / "mine.toml").write_text(SUITE)
    (tmp_path / "wide.py").write_text(
        "from bench_uq.api.networks import lenet\n\ndef network(task, layers):\n    return lenet(task, layers)\n"
    )

    suite = read_suite(str(tmp_path / "mine.toml"), {"network": str(tmp_path / "wide.py")})
    (run,) = make_plan(suite, Plugins(), Contents(tmp_path / "data", tmp_path / "contents.json"))
    return Job(
        run,
        tmp_path / "results" / "mine",
        tmp_path / "data",
        (),
        "cpu",
        "abc",
        checkpoint_every=5.0,
    )


def test_jobs_survive_json(job: Job) -> None:
    """A job as JSON is the same job, the run that it attacks with all of its own."""
    again = Job.from_json(json.loads(json.dumps(job.to_json())))
    assert again.to_json() == job.to_json()
    attacked = [shown.surrogate for shown in again.run.shown if shown.surrogate]
    assert [run.method for run in attacked] == ["map"]
    assert again.run.shown == job.run.shown


def test_a_network_of_the_user_travels(job: Job, tmp_path: Path) -> None:
    """On another machine the run, and the one it attacks, are built from the file that was sent."""
    there = unpacked_job(
        packed_job(job), tmp_path / "there", tmp_path / "elsewhere", tmp_path / "files"
    )
    assert (there.folder, there.root) == (tmp_path / "there", tmp_path / "elsewhere")

    networks = {
        there.run.network,
        *(shown.surrogate.network for shown in there.run.shown if shown.surrogate),
    }
    assert len(networks) == 1
    path = Path(networks.pop())
    assert path.is_relative_to(tmp_path / "files")
    assert path.read_bytes() == Path(job.run.network).read_bytes()
    assert there.run.key == job.run.key


def test_weights_of_a_network_travel(job: Job, tmp_path: Path) -> None:
    """On another machine the network is that of another package with the file that was sent."""
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"weights")
    name = f"torchvision:resnet18[size=40,weights={weights}]"
    sent = packed_job(dataclasses.replace(job, run=with_network(job.run, name)))
    there = unpacked_job(sent, tmp_path / "there", tmp_path / "elsewhere", tmp_path / "files")

    path = weights_of(there.run.network)
    assert path is not None
    assert there.run.network == f"torchvision:resnet18[size=40,weights={path}]"
    assert path.is_relative_to(tmp_path / "files")
    assert path.read_bytes() == b"weights"


@pytest.mark.parametrize(
    "change",
    [
        {"content": b"print()"},
        {"sha256": "0" * 64},
        {"name": "../evil.py"},
        {"name": "/evil.py"},
        {"name": ".."},
    ],
)
def test_files_that_are_not_what_was_sent(change: dict, tmp_path: Path) -> None:
    """A file of another content, or with a path for a name, is refused, and nothing is written."""
    (tmp_path / "mine.py").write_text("print('mine')")
    with pytest.raises(Damaged):
        unpacked_file({**packed_file(tmp_path / "mine.py"), **change}, tmp_path / "files")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_results_that_are_not_what_was_sent(tmp_path: Path) -> None:
    """Results come back whole; with a wrong file or a name that is a path nothing is stored."""
    made = store.RunFolder(tmp_path / "there" / "runs" / "map-digits-s0-00000000")
    made.add_file("clean.npz", b"numbers", status="ok", key="k")
    packed, here = (
        packed_folder(made),
        store.RunFolder(tmp_path / "here" / "runs" / "map-digits-s0-00000000"),
    )

    for files in (
        {"clean.npz": b"others"},
        {"../clean.npz": b"numbers"},
        {"unnamed.npz": b"numbers"},
    ):
        with pytest.raises(Damaged):
            unpacked_folder({**packed, "files": files}, here)
        assert not here.path.exists()

    assert unpacked_folder(packed, here) == here.record() == made.record()
    assert here.holds("clean.npz")


def test_the_source_counts_but_for_line_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line more is another bench-uq; the line ends of another system are not."""
    (tmp_path / "__init__.py").write_bytes(b"ONE = 1\n")
    package = SimpleNamespace(__path__=[str(tmp_path)])
    monkeypatch.setattr(message.importlib, "import_module", lambda name: package)

    def found(content: bytes) -> str:
        (tmp_path / "loop.py").write_bytes(content)
        return message.source.__wrapped__()["source"]

    before = found(b"TWO = 2\nTHREE = 3\n")
    assert found(b"TWO = 2\r\nTHREE = 3\r\n") == before
    assert found(b"TWO = 2\nTHREE = 4\n") != before
    assert found(b"TWO = 2\nTHREE = 3\nFOUR = 4\n") != before


@pytest.mark.parametrize("changed", ["version", "source"])
def test_a_worker_that_joined_later_has_another_bench_uq(
    changed: str, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late worker with another bench-uq refuses the run before anything is written."""
    monkeypatch.setattr(
        "distributed.get_worker",
        lambda: SimpleNamespace(
            address="tcp://late", local_directory=tmp_path / "place", get_current_task=str
        ),
    )
    packed = {"sent": packed_job(job), "source": {**source(), changed: "another"}}
    with pytest.raises(worker.Unfit, match="tcp://late has another bench-uq than the client"):
        worker.do_run(packed)
    assert not (tmp_path / "place").exists()


def test_a_run_is_given_up_after_its_last_process_has_ended(job: Job) -> None:
    """What a process whose worker was killed still stores does not take the place of the reason."""
    folder, held = store.run_folder(job.folder, job.run.name), threading.Event()

    def last_words() -> None:
        with folder.locked():
            held.set()
            time.sleep(1)
            folder.update(status="interrupted", reason="told to stop")

    class Future:
        def result(self) -> None:
            raise RuntimeError("the worker died")

        def release(self) -> None:
            pass

    thread = threading.Thread(target=last_words)
    thread.start()
    held.wait()
    result = client.taken_in(job, Future())
    thread.join()
    record = folder.record()
    assert result is not None
    assert result.record == record
    assert (record.status, "the worker died" in record.reason) == ("failed", True)


def test_a_network_of_the_user_is_that_of_the_base_too(tmp_path: Path) -> None:
    """The file that was sent stands for the network of a run and of those it starts from."""
    base = PlannedRun("map-digits-s0-00000000", "map", "digits", 0, (), network="/gone/wide.py")
    above = dataclasses.replace(base, name="temperature-digits-s0-00000000", base=base)
    here = with_network(above, "here/wide.py")
    assert here.base is not None
    assert (here.network, here.base.network) == ("here/wide.py", "here/wide.py")
