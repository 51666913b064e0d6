"""Groups of runs that train in one process as one batch of networks, and their records."""

from __future__ import annotations

import dataclasses
import errno
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench_uq import store
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import make_plan
from bench_uq.plan.suite import read_suite
from bench_uq.run import gpu_groups as groups
from bench_uq.run.checkpoints import GROUP, Checkpoints
from bench_uq.run.execute import execute
from bench_uq.run.job import Job, complete_in, is_trained

PLUGIN = Path(__file__).parents[1] / "plugins" / "unlucky.py"
SUITE = """
extends = "quick"
methods = [{methods}]
seeds = [0, 1, 2]
[settings]
epochs = 2
draws = 3
"""


@pytest.fixture(autouse=True)
def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let groups form on a CPU, and put back the signals that they take."""
    monkeypatch.setattr(groups, "DEVICES", ("cpu",))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def jobs(folder: Path, *methods: str, force: bool = False) -> list[Job]:
    """Return the jobs of some methods."""
    (folder / "few.toml").write_text(
        SUITE.format(methods=", ".join(f'"{name}"' for name in methods))
    )
    plugins = Plugins((PLUGIN,))
    runs = make_plan(
        read_suite(str(folder / "few.toml"), {}), plugins, Contents(folder, folder / "known.json")
    )
    suite = folder / "results" / "few"
    return [Job(run, suite, folder, (PLUGIN,), "cpu", None, force) for run in runs]


def silent(share: float) -> None:
    """Report nothing."""


def test_groups_differ_in_the_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU seeds of a method are grouped up to a limit; on a CPU every run is alone."""
    planned = jobs(tmp_path, "map", "ensemble")
    first, second = groups.grouped(planned)
    assert [job.run.method for job in first] == ["map"] * 3
    assert [job.run.method for job in second] == ["ensemble"] * 3
    monkeypatch.setattr(groups, "MOST", 10)
    assert [len(group) for group in groups.grouped(planned)] == [3, 2, 1]
    monkeypatch.setattr(groups, "DEVICES", ("cuda",))
    assert [len(group) for group in groups.grouped(planned)] == [1] * 6


def test_each_run_is_stored_as_if_alone(tmp_path: Path) -> None:
    """A trained group leaves a network, curves and a record per run; all can then be completed.

    With --force it is trained anew, and the runs do not train again when they are shown.
    """
    (group,) = groups.grouped(jobs(tmp_path, "map"))
    ended, after = groups.train_group(group, silent)
    assert ended == {}
    networks = set()
    for job in after:
        folder = store.run_folder(job.folder, job.run.name)
        assert is_trained(folder)
        assert folder.record().together == [0, 1, 2]
        networks.add(folder.record().files[store.NETWORK].sha256)
        result = execute(job, silent)
        assert result is not None
        assert result.record.status == "ok"
        assert result.record.train_seconds > 0
        assert complete_in(job.run_folder(), job)
    assert len(networks) == 3

    def stored() -> list[store.Record]:
        return [store.run_folder(job.folder, job.run.name).record() for job in group]

    before = stored()
    assert groups.train_group(group, silent)[0] == {}
    assert stored() == before  # nothing left to train

    (group,) = groups.grouped(jobs(tmp_path, "map", force=True))
    _, after = groups.train_group(group, silent)
    assert [job.force for job in after] == [False] * 3
    assert [job.force for job in group] == [True] * 3


def test_runs_that_diverge_are_recorded(tmp_path: Path) -> None:
    """All of them end as diverged, with the reason."""
    (group,) = groups.grouped(jobs(tmp_path, "unlucky[how=diverge]"))
    ended, _ = groups.train_group(group, silent)
    assert {record.record.status for record in ended.values()} == {"diverged"}
    assert set(ended) == {job.run.name for job in group}
    assert "epoch 2" in ended[group[0].run.name].record.reason


def test_what_goes_wrong_together_is_tried_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of the method leaves the runs to be done alone, where it is recorded."""
    (group,) = groups.grouped(jobs(tmp_path, "unlucky[how=raise]"))
    ended, after = groups.train_group(group, silent)
    assert ended == {}
    assert (
        "is trained alone, not with its other seeds: KeyError: 'out of luck'"
        in capsys.readouterr().err
    )
    result = execute(after[0], silent)
    assert result is not None
    assert (result.record.status, "out of luck" in result.record.reason) == ("failed", True)


def test_a_full_disk_leaves_the_others_to_be_done_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a full disk stored networks are kept, others are trained again, and one line says why."""
    store_trained, stored = groups.store_trained, list[str]()

    def once(folder: store.RunFolder, *outcome: Any, **facts: Any) -> None:
        if stored:
            raise store.CannotWrite(
                errno.ENOSPC, "No space left on device", str(folder.path / store.NETWORK)
            )
        store_trained(folder, *outcome, **facts)
        stored.append(folder.path.name)

    monkeypatch.setattr(groups, "store_trained", once)
    (group,) = groups.grouped(jobs(tmp_path, "map", force=True))
    ended, after = groups.train_group(group, silent)
    assert ended == {}
    assert [job.force for job in after] == [False, True, True]
    assert [is_trained(store.run_folder(job.folder, job.run.name)) for job in after] == [
        True,
        False,
        False,
    ]
    assert capsys.readouterr().err.count("\n") == 1
    result = execute(after[1], silent)
    assert result is not None
    assert result.record.status == "ok"


class Cut(BaseException):
    """The machine died."""


def test_a_group_that_is_cut_off_goes_on(tmp_path: Path) -> None:
    """The same command continues it, also if more runs are asked for; its networks are the same."""
    (tmp_path / "uncut").mkdir()
    (group,) = groups.grouped(jobs(tmp_path / "uncut", "mnf"))
    groups.train_group(group[:2], silent)

    def cut(share: float) -> None:
        raise Cut

    (group,) = groups.grouped(jobs(tmp_path, "mnf"))
    group = tuple(dataclasses.replace(job, checkpoint_every=0.0) for job in group)
    # The first report comes before the first checkpoint.
    reports = iter([silent, cut])
    with pytest.raises(Cut):
        groups.train_group(group[:2], lambda share: next(reports)(share))
    first = group[0].run_folder()
    assert first.record().has(GROUP)

    shares = list[float]()
    assert groups.train_group(group, shares.append)[0] == {}
    # The second epoch of two runs, then two of the third.
    assert shares == pytest.approx([2 / 3, 5 / 6, 1])
    assert not (first.path / GROUP).exists()
    assert not first.record().has(GROUP)
    assert [job.run_folder().record().together for job in group] == [[0, 1], [0, 1], [2]]
    for job in group[:2]:
        folder = store.run_folder(tmp_path / "uncut" / "results" / "few", job.run.name)
        expected = folder.record().files[store.NETWORK]
        assert job.run_folder().record().files[store.NETWORK].sha256 == expected.sha256


@pytest.mark.parametrize("how", ["alone", "forced"])
def test_what_is_left_of_a_group(how: str, tmp_path: Path) -> None:
    """Trained alone, or with --force, its runs start anew, and its checkpoint goes."""
    (group,) = groups.grouped(jobs(tmp_path, "map", force=how == "forced"))
    folder = group[0].run_folder()
    names = tuple(job.run.name for job in group)
    Checkpoints(folder, 0.0, names).save({"device": "cpu", "epochs": 2})
    folder.update(together=[0, 1, 2])

    shares = list[float]()
    if how == "alone":
        result = execute(group[0], shares.append)
        assert result is not None
        assert result.record.together is None
    else:
        groups.train_group(group, shares.append)
        assert shares == pytest.approx([0.5, 1])
    assert is_trained(folder)
    assert not (folder.path / GROUP).exists()


def test_networks_that_do_not_fit_are_trained_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three runs of which two fit: two together, then the third, and the progress is of all."""
    (group,) = groups.grouped(jobs(tmp_path, "map"))
    monkeypatch.setattr(groups, "of_training", lambda *args: 100_000_000)
    monkeypatch.setattr(groups, "free", lambda device: 500_000_000)
    shares = list[float]()
    assert groups.train_group(group, shares.append)[0] == {}

    folders = [store.run_folder(job.folder, job.run.name) for job in group]
    assert [folder.record().together for folder in folders] == [[0, 1], [0, 1], [2]]
    # Two epochs of two runs, then of one.
    assert shares == pytest.approx([1 / 3, 2 / 3, 5 / 6, 1])
