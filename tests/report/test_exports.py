"""Runs are exported with their settings and scores, and nothing of them twice."""

from __future__ import annotations

import json
import math
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from bench_uq.api.errors import UsageError
from bench_uq.cli import main
from bench_uq.report.exports import exported, plain, tracking
from bench_uq.store import derived

#: Of an attack, so many that a server takes its scores in two requests.
LEVELS = [round(0.001 * number, 3) for number in range(1, 1002)]


@pytest.fixture
def suite(hand_made: Callable[..., Path], tmp_path: Path) -> Path:
    """Results of two methods: one that ended well, and one that failed."""
    attack = {"method": "map", "seed": 0, "condition": "pgd[draws=1]"}
    rows = [{**attack, "level": level, "metric": "nll", "value": 10 * level} for level in LEVELS]
    rows += [
        {"method": "map", "seed": 0, "metric": "accuracy", "value": 0.875},
        {"method": "map", "seed": 0, "metric": "nll", "value": math.inf},
        {"method": "mnf[flows=4]", "seed": 0, "metric": "accuracy", "value": 0.5},
    ]

    facts = {"epochs": 3, "learning_rate": 0.001, "train_seconds": 1.5, "parameters": 7}
    failed = {"method": "mnf[flows=4]", "seed": 0, "status": "failed", "reason": "no memory"}
    failed["epochs"] = ""
    folder = hand_made(rows, runs=[{"method": "map", "seed": 0, **facts}, failed])
    (tmp_path / "results").mkdir()
    return folder.rename(tmp_path / "results" / "hand")


def export(suite: Path, *arguments: str) -> Result:
    """Export a suite to files beside its results."""
    places = ("--results", str(suite.parent), "--out", str(suite.parents[1] / "exports"))
    return CliRunner().invoke(main, ["export", "--suite", suite.name, *places, *arguments])


def done(suite: Path, *arguments: str) -> str:
    """What an export prints that ends well."""
    result = export(suite, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_runs_hold_settings_scores_and_costs(suite: Path) -> None:
    """Values are as written; unknown ones are left out; a failed run has its reason."""
    one, other = exported(suite)
    assert (one.suite, one.finished, other.finished) == ("hand", True, False)
    assert one.settings["method"] == "map"
    assert one.settings["epochs"] == 3
    assert isinstance(one.settings["epochs"], int)
    assert one.settings["learning_rate"] == 0.001
    assert other.facts["reason"] == "no memory"
    assert "epochs" not in other.settings

    assert sum(not name.startswith("cost/") for name in one.scores) == len(LEVELS) + 2
    assert one.scores["clean/accuracy"] == 0.875
    assert one.scores["clean/nll"] == math.inf
    assert one.scores["pgd draws 1/0.05/nll"] == 0.5
    assert one.scores["cost/train_seconds"] == 1.5
    assert one.scores["cost/parameters"] == 7
    assert one.digest != other.digest
    assert one.digest == exported(suite)[0].digest


def test_two_scores_of_one_exported_name_are_refused(hand_made: Callable[..., Path]) -> None:
    """Names that differ in a character that MLflow refuses are not joined."""
    row = {"method": "map", "seed": 0, "metric": "nll", "value": 1.0}
    names = ("npz[path=a+b]", "npz[path=a&b]")
    assert len(set(map(plain, names))) == 1
    folder = hand_made([{**row, "condition": name} for name in names])
    with pytest.raises(UsageError, match=r"two scores of .* would be called 'npz path a_b/nll'"):
        exported(folder)


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [
        (("--parquet",), "pyarrow", "parquet"),
        (("--mlflow", "http://127.0.0.1:1"), "mlflow", "mlflow"),
        (("--wandb-offline",), "wandb", "wandb"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    suite: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    package: str,
    extra: str,
) -> None:
    """One line, exit 2, and nothing is written."""
    # So an import fails, whether the package is installed or not.
    monkeypatch.setitem(sys.modules, package, None)
    result = export(suite, *arguments)
    assert result.exit_code == 2
    expected = f"Error: {arguments[0]} needs {package}: pip install 'bench-uq[{extra}]'\n"
    assert result.stderr == expected
    assert not (suite.parents[1] / "exports").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say what to export to: --parquet, --mlflow URI or --wandb-offline"),
        (("--mlflow", "http://me:secret@host"), "set MLFLOW_TRACKING_USERNAME and"),
    ],
)
def test_mistakes_are_one_line(suite: Path, arguments: tuple[str, ...], words: str) -> None:
    """A mistake says what to do, repeats no password, and leaves nothing behind."""
    result = export(suite, *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert words in result.stderr
    assert "secret" not in result.stderr
    assert not (suite.parents[1] / "exports").exists()


@pytest.mark.exports
def test_parquet_holds_the_tables(suite: Path) -> None:
    """Both files hold each value of the derived tables, and say which suite they are of."""
    import pyarrow.parquet

    lines = done(suite, "--parquet").splitlines()
    folder = suite.parents[1] / "exports" / "hand"
    assert lines == [str(folder / "runs.parquet"), str(folder / "scores.parquet")]

    scores = pd.read_parquet(folder / "scores.parquet")
    pd.testing.assert_frame_equal(scores, derived.table(suite / "scores.csv"))
    joined = scores.merge(pd.read_parquet(folder / "runs.parquet"), on="run")
    assert joined[joined["metric"] == "accuracy"]["epochs"].fillna(0).tolist() == [3, 0]
    metadata = pyarrow.parquet.read_schema(folder / "runs.parquet").metadata
    assert metadata[b"bench_uq.suite"] == b"hand"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a local MLflow server with a database of its own."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port]
    command += ["--backend-store-uri", "sqlite:///runs.db", "--workers", "1"]

    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=quiet, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers; fail if it has ended."""
    for _ in range(300):
        assert process.poll() is None, "the server has ended"
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(1)
    pytest.fail("the server does not answer")


@pytest.mark.exports
def test_an_mlflow_server_holds_each_run_once(suite: Path, server: str) -> None:
    """All settings, scores and facts are there, in batches; a second export sends what is new."""
    import mlflow

    assert done(suite, "--mlflow", server) == f"{server}: 2 runs exported\n"
    assert done(suite, "--mlflow", server) == f"{server}: 0 runs exported, 2 were there\n"
    client = mlflow.MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name("hand")
    found = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}

    ours = exported(suite)
    assert len(found) == 2
    for run in ours:
        theirs = found[run.name].data
        assert theirs.params == {name: str(value) for name, value in run.settings.items()}
        finite = {name: value for name, value in run.scores.items() if math.isfinite(value)}
        assert finite.items() <= theirs.metrics.items()
        assert theirs.metrics.keys() == run.scores.keys()
        for name, value in run.facts.items():
            assert theirs.tags[f"bench_uq.{name}"] == value[: tracking.LONGEST]
    status = {one.data.params["method"]: one.info.status for one in found.values()}
    assert status == {"map": "FINISHED", "mnf[flows=4]": "FAILED"}


@pytest.mark.exports
def test_an_interrupted_export_is_completed(suite: Path, server: str) -> None:
    """A run that the server holds in part is filled, and not made a second time."""
    import mlflow

    suite = suite.rename(suite.with_name("cut"))
    client = mlflow.MlflowClient(tracking_uri=server)
    experiment = client.create_experiment("cut")
    run = exported(suite)[0]
    client.create_run(experiment, run_name=run.name, tags={tracking.DIGEST: run.digest})

    assert done(suite, "--mlflow", server) == f"{server}: 2 runs exported\n"
    found = client.search_runs([experiment])
    assert len(found) == 2
    assert {len(one.data.metrics) for one in found} == {len(one.scores) for one in exported(suite)}


@pytest.mark.exports
def test_a_server_that_is_not_there_is_one_line(suite: Path) -> None:
    """The address is named, with exit code 2."""
    result = export(suite, "--mlflow", "http://127.0.0.1:1")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("Error: cannot export to http://127.0.0.1:1: ")


def stored(path: Path) -> Iterator[Any]:
    """Records of an offline run: seven bytes of W&B, then LevelDB's log of protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, text = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        # No header crosses the end of a block of 32 KB.
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        size, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        text += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(text)
            text = b""


@pytest.mark.exports
def test_offline_runs_hold_settings_and_scores(suite: Path) -> None:
    """Every run is a folder that names neither machine nor user; a second export adds none."""
    folder = suite.parents[1] / "exports" / "hand" / "wandb"
    assert done(suite, "--wandb-offline") == f"{folder}: 2 runs exported\n"
    assert done(suite, "--wandb-offline") == f"{folder}: 0 runs exported, 2 were there\n"
    ours = {one.digest[:16]: one for one in exported(suite)}
    files = list(folder.glob("offline-run-*/*.wandb"))
    assert len(files) == 2

    for path in files:
        config, scores, text = dict[str, Any](), dict[str, Any](), ""
        for record in stored(path):
            text += str(record)
            for update in record.run.config.update:
                config[update.key] = json.loads(update.value_json)
            for update in record.summary.update:
                scores["/".join([update.key, *update.nested_key])] = update.value_json
        run = ours[path.stem.removeprefix("run-")]
        assert run.settings.items() <= config.items()
        assert config["bench_uq"] == run.facts
        assert float(scores["clean/accuracy"]) == run.scores["clean/accuracy"]
        assert run.scores.keys() <= scores.keys()
        assert socket.gethostname() not in text
        assert str(suite.parent) not in text
    assert not list(folder.rglob("requirements.txt"))


@pytest.mark.exports
def test_an_interrupted_offline_run_is_written_anew(suite: Path) -> None:
    """A folder without the mark of a whole run is replaced."""
    done(suite, "--wandb-offline")
    folder = suite.parents[1] / "exports" / "hand" / "wandb"
    mark = next(folder.glob("offline-run-*/bench-uq.json"))
    mark.unlink()
    assert done(suite, "--wandb-offline").endswith("1 run exported, 1 were there\n")
    assert len(list(folder.glob("offline-run-*"))) == 2
