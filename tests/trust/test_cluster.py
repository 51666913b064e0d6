"""A cluster gives the numbers of one machine, and losing a worker loses nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from click.testing import CliRunner

from bench_uq.cli import main
from bench_uq.run.cluster import connection
from tests import warm
from tests.warm import Warm

REPO = Path(__file__).resolve().parents[2]
CPU = ("--device", "cpu", "--set", "test_images=128", "--set")
SIZE = (*CPU, "epochs=1", "--set", "train_images=300")
ONE = ("run", "--methods", "map", "--seeds", "0", *SIZE)
SMALL = ("run", "--methods", "map,dropout", "--seeds", "0", *SIZE)

#: Runs that take some seconds, so that something can happen to them, and go on from a checkpoint.
LONG = ("run", "--methods", "mean-field", "--seeds", "0,1", *CPU, "epochs=25")
LONG = (*LONG, "--set", "train_images=600", "--checkpoint-every", "0")


#: Two runs attack the network of each other, one stands on them, and one on a run that only it needs.
TRANSFER = """extends = "quick"
methods = ["map", "dropout", "temperature", "temperature[base=ensemble]"]
seeds = [0]
[options.ensemble]
members = 2
[conditions]
"transfer[from=map]" = [0.1]
"transfer[from=dropout]" = [0.1]
"""

POISON = """import multiprocessing, os, signal
from dataclasses import dataclass
from typing import ClassVar
from bench_uq.api import Layers, Method, network

@dataclass(frozen=True)
class Poison(Method):
    reference: ClassVar[str] = "none, https://example.org"
    def build(self, task):
        return network(task, Layers())
    def loss(self, *arguments):
        os.kill(multiprocessing.parent_process().pid, signal.SIGKILL)
        signal.pause()
"""


DEATH = "os.kill(multiprocessing.parent_process().pid, signal.SIGKILL)"
SLEEPY = POISON.replace("Poison", "Sleepy").replace(DEATH, "pass")


PLACE = ("--scheduler-file", "s.json", "--no-dashboard")


def command(*arguments: str | Path) -> list[str]:
    """Return a command of bench-uq."""
    return [sys.executable, "-m", "bench_uq", *map(str, arguments)]


def bench(
    folder: Path, *arguments: str | Path, code: int = 0, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; it must end with the code and without a traceback."""
    done = warm.run(arguments, folder, timeout=300, **options)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


@contextmanager
def suite_on(folder: Path, cluster: str) -> Iterator[subprocess.Popen[str]]:
    """Yield the long suite at work on a cluster, each worker with a checkpoint."""
    arguments = command(*LONG, "--cluster", cluster)
    suite = Warm(arguments, cwd=folder, stderr=subprocess.PIPE, text=True)
    until(lambda: bool(checkpoints(folder)), "a checkpoint")
    assert children(folder)
    yield suite


@contextmanager
def processes(
    folder: Path, *commands: Sequence[str | Path], **options: object
) -> Iterator[list[psutil.Process]]:
    """Yield processes that are killed with all that they started."""
    log = (folder / "processes.log").open("a")
    started = [
        subprocess.Popen(
            [*map(str, one)], cwd=folder, stdout=log, stderr=log, start_new_session=True, **options
        )  # type: ignore[call-overload]
        for one in commands
    ]

    try:
        yield [psutil.Process(one.pid) for one in started]
    finally:
        for one in started:
            kill(one.pid)
            one.wait()
        log.close()


def kill(pid: int) -> None:
    """Kill a process and its descendants at once."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def scheduler(*options: str | Path) -> list[str | Path]:
    """Return the command of a scheduler that writes down where it is."""
    listening = () if "--host" in options else ("--host", "127.0.0.1")
    return [*dask("scheduler"), "--port", "0", *PLACE, *listening, *options]


def worker(*options: str | Path) -> list[str | Path]:
    """Return the command of a worker with room for one run."""
    listening = () if "--host" in options else ("--host", "127.0.0.1")
    return [*dask("worker"), "--nthreads", "1", *PLACE, *listening, *options]


def dask(part: str) -> tuple[str, ...]:
    """Return how a part of a cluster is started: with the Python of the tests."""
    return sys.executable, "-m", f"distributed.cli.dask_{part}"


def until(condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.05)


def records(folder: Path) -> list[dict]:
    """Return the records of all runs of the quick suite."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/runs/*/run.json"))]


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of runs in training, some of whose epochs are done."""
    return list(folder.glob("results/*/runs/*/checkpoint.safetensors"))


def children(folder: Path) -> list[psutil.Process]:
    """Return all processes that are at work on a run for a worker that was started in a folder."""
    # Such a process leads a session, and the one that it is forked from does not.
    forked, place = "from multiprocessing.forkserver", str(folder.resolve())
    processes = psutil.process_iter(["cmdline", "cwd"])
    return [
        one
        for one in processes
        if forked in " ".join(one.info["cmdline"] or [])
        and one.info["cwd"] == place
        and leads_session(one.pid)
    ]


def leads_session(pid: int) -> bool:
    """Return whether a process leads a session; False if it is gone."""
    with suppress(ProcessLookupError):
        return os.getsid(pid) == pid
    return False


def same(one: Path, other: Path) -> None:
    """Assert that two results are of the same scores, bit for bit."""
    for name in ("scores.csv", "curves.csv.gz", "groups.csv.gz"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def one_training_of_each_base(folder: Path) -> None:
    """Assert that methods with a base started from the networks that are stored of it."""
    networks, started = set[str](), set[str]()
    for record in records(folder):
        if "base" in record:
            started.add(record["base"])
        else:
            networks.add(record["files"]["network.safetensors"]["sha256"])

    assert len(networks) == 3
    assert len(started & networks) == 2


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return results of the suites as one machine makes them."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "transfer.toml").write_text(TRANSFER)
    bench(folder, *SMALL, "--results", "small")
    bench(folder, *LONG, "--results", "long")
    bench(folder, "run", "--suite", "transfer.toml", *SIZE, "--results", "transfer")
    places = {"small": "small/quick", "long": "long/quick", "transfer": "transfer/transfer"}
    return {name: folder / place for name, place in places.items()}


def test_a_local_cluster_makes_the_same_numbers(tmp_path: Path, alone: dict[str, Path]) -> None:
    """Two workers give the scores of one machine, of runs that need each other; once."""
    (tmp_path / "transfer.toml").write_text(TRANSFER)
    arguments = ("run", "--suite", "transfer.toml", *SIZE, "--cluster", "local:2")
    done = bench(tmp_path, *arguments)
    assert done.stderr == ""
    scores = "results/transfer/scores.csv"
    assert [line.split()[1] for line in done.stdout.splitlines()] == [*["ok"] * 4, scores]
    same(tmp_path / "results/transfer", alone["transfer"])
    one_training_of_each_base(tmp_path / "results")
    assert not list((tmp_path / "results/transfer").glob(".cluster-*"))
    assert bench(tmp_path, *arguments).stdout.count("stored") == 4


def test_a_worker_and_its_nanny_are_killed(tmp_path: Path, alone: dict[str, Path]) -> None:
    """A run whose worker and nanny die is continued by another worker from its checkpoint."""
    workers = worker("--name", "one"), worker("--name", "two")
    with (
        processes(tmp_path, scheduler(), *workers) as (_, one, two),
        suite_on(tmp_path, "s.json") as suite,
    ):
        until(lambda: len(checkpoints(tmp_path)) > 1, "two runs with checkpoints")
        kill(one.pid)
        assert two.is_running()
        _, said = suite.communicate(timeout=300)
        assert suite.returncode == 0, said
    same(tmp_path / "results/quick", alone["long"])
    assert [record["status"] for record in records(tmp_path / "results")] == ["ok"] * 2


def test_a_run_that_kills_its_workers(tmp_path: Path, alone: dict[str, Path]) -> None:
    """It has failed after its retries, and all others are as they would be without it."""
    (tmp_path / "poison.py").write_text(POISON)
    arguments = ("run", "--methods", "map,poison,dropout", "--seeds", "0", *SIZE)
    on_two = ("--plugin", "poison.py", "--cluster", "local:2")
    assert bench(tmp_path, *arguments, *on_two, code=1).stderr == ""
    died = ("failed", "every worker that was at it died: it was given up")
    for record in records(tmp_path / "results"):
        expected = died if record["method"] == "poison" else ("ok", None)
        assert (record["status"], record["reason"]) == expected
    scores = [folder / "scores.csv" for folder in (tmp_path / "results/quick", alone["small"])]
    assert scores[0].read_text() == scores[1].read_text()
    assert "poison,digits,0,failed" in (tmp_path / "results/quick/runs.csv").read_text()


def test_the_scheduler_is_lost(tmp_path: Path, alone: dict[str, Path]) -> None:
    """One clear line, no process left, and the same suite goes on without a cluster."""
    with (
        processes(tmp_path, scheduler(), worker("--death-timeout", "5")) as (lost, _),
        suite_on(tmp_path, "s.json") as suite,
    ):
        lost.kill()
        _, said = suite.communicate(timeout=120)
        assert suite.returncode == 1
        assert "Traceback" not in said
        assert said.count("was lost; finished runs are kept, the same command goes on") == 1
    until(lambda: not children(tmp_path), "no process at work", 60)
    bench(tmp_path, *LONG)
    same(tmp_path / "results/quick", alone["long"])


@pytest.mark.parametrize("cluster", ["local:2", "s.json"])
def test_an_interrupted_client(cluster: str, tmp_path: Path, alone: dict[str, Path]) -> None:
    """Ctrl-C ends with 130 and leaves no process; the same command continues."""
    others = () if cluster == "local:2" else (scheduler(), worker(), worker())
    with processes(tmp_path, *others), suite_on(tmp_path, cluster) as suite:
        suite.send_signal(signal.SIGINT)
        _, said = suite.communicate(timeout=120)
        assert suite.returncode == 130, said
        assert said.strip() == "interrupted; finished runs are kept, the same command goes on"
        until(lambda: not children(tmp_path), "no process at work", 30)
        assert "interrupted" in {record["status"] for record in records(tmp_path / "results")}
        bench(tmp_path, *LONG, "--cluster", cluster)
    same(tmp_path / "results/quick", alone["long"])


def test_workers_that_do_not_see_the_results(tmp_path: Path, alone: dict[str, Path]) -> None:
    """Without a shared folder files travel both ways, so that nothing is trained twice."""
    results = tmp_path / "results"
    results.mkdir()
    mount = 'mount -t tmpfs none "$0" && exec "$@"'
    hidden = ["unshare", "--mount", "sh", "-c", mount, str(results)]
    if subprocess.run([*hidden, "true"], capture_output=True).returncode:
        pytest.skip("needs to be root: hides a folder from workers by a mount of their own")
    (tmp_path / "transfer.toml").write_text(TRANSFER)
    arguments = ("run", "--suite", "transfer.toml", *SIZE, "--cluster", "s.json")

    def curves() -> bytes:
        """Return the curves of the training of map."""
        return (next(results.glob("transfer/runs/map-*")) / "training.csv").read_bytes()

    with processes(tmp_path, scheduler(), [*hidden, *worker()], [*hidden, *worker()]):
        bench(tmp_path, *arguments, "--methods", "dropout")  # what it attacks comes back too
        assert [record["status"] for record in records(results)] == ["ok", "interrupted"]
        before = curves()
        bench(tmp_path, *arguments)
    same(results / "transfer", alone["transfer"])
    assert curves() == before
    one_training_of_each_base(results)


def test_a_run_that_takes_too_long(tmp_path: Path, slow_imports: Path) -> None:
    """Its process on the worker is stopped, it has failed, and the worker goes on with others.

    Imports, which take longer here, are no part of the limit of the first run.
    """
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    arguments = ("run", "--methods", "map,sleepy", "--seeds", "0", *SIZE, "--timeout", "20")
    on_one = ("--plugin", "sleepy.py", "--cluster", "local:1")
    slow = {**os.environ, "PYTHONPATH": str(slow_imports)}
    done = bench(tmp_path, *arguments, *on_one, code=1, env=slow)
    assert "failed: took longer than the 20 s of --timeout" in done.stdout
    assert [record["status"] for record in records(tmp_path / "results")] == ["ok", "failed"]


def test_another_bench_uq_on_a_worker(tmp_path: Path, other_code: Path) -> None:
    """A worker with other source is refused before anything is written."""
    with (other_code / "bench_uq" / "train" / "loop.py").open("a") as file:
        file.write("CHANGED = True\n")
    changed = {**os.environ, "PYTHONPATH": str(other_code)}
    with processes(tmp_path, scheduler()), processes(tmp_path, worker(), env=changed):
        until((tmp_path / "s.json").is_file, "a scheduler")
        done = bench(tmp_path, *SMALL, "--cluster", "s.json", code=2)
    assert "has another bench-uq: its source is" in done.stderr
    assert not (tmp_path / "results").exists()


def test_other_data_on_a_worker(tmp_path: Path) -> None:
    """A run is not made of other data than it was planned for."""
    for folder, shift in (("ours", 0), ("theirs", 1)):
        (tmp_path / folder).mkdir()
        rows = "".join(f"{x},{(x * 7 + shift) % 11}\n" for x in range(120))
        (tmp_path / folder / "table.csv").write_text("x,y\n" + rows)

    (tmp_path / "table.py").write_text(TABLE)
    suite = 'methods = ["map"]\ndatasets = ["table"]\nseeds = [0]\n'
    (tmp_path / "table.toml").write_text(suite)
    theirs = {**os.environ, "BENCH_UQ_DATA": str(tmp_path / "theirs")}
    arguments = ("run", "--suite", "table.toml", "--plugin", "table.py", "--data-dir", "ours")

    with processes(tmp_path, scheduler()), processes(tmp_path, worker(), env=theirs):
        until((tmp_path / "s.json").is_file, "a scheduler")
        done = bench(tmp_path, *arguments, *SIZE, "--cluster", "s.json", code=1)
    assert "is not what the run is planned for" in done.stdout


TABLE = """from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import numpy as np
from bench_uq.api import Categorical, Dataset, Examples, Task

@dataclass(frozen=True)
class Table(Dataset):
    reference: ClassVar[str] = "none, https://example.org"
    def task(self, root):
        return Task((1,), Categorical(11), mean=(0.0,), std=(1.0,))
    def files(self, root):
        return [root / "table.csv"]
    def load(self, split, root, fold=0):
        rows = np.loadtxt(root / "table.csv", delimiter=",", skiprows=1)
        return Examples((rows[:, :1] / 120).astype(np.float32), rows[:, 1].astype(np.int64))
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--cluster", "local:0"), "number of workers of at least 1, not '0'"),
        (("--cluster", "local:two"), "not 'two'"),
        (("--cluster", "nowhere"), "--cluster takes local, local:N, tcp://HOST:PORT"),
        (("--cluster", "http://127.0.0.1:8786"), "not 'http://127.0.0.1:8786'"),
        (("--cluster", "tcp://127.0.0.1:99999"), "not 'tcp://127.0.0.1:99999'"),
        (("--cluster", "tcp://[::1"), "not 'tcp://[::1'"),
        (("--cluster", "absent.json"), "absent.json is no scheduler file"),
        (("--cluster", "empty.json"), "empty.json is no scheduler file"),
        (("--cluster", "tcp://127.0.0.1:1"), "no scheduler at tcp://127.0.0.1:1"),
        (("--cluster", "tcp://192.0.2.1:8786"), "can be reached from other machines without TLS"),
        (("--cluster", "tls://192.0.2.1:8786"), "needs all of --tls-ca, --tls-cert and --tls-key"),
        (("--cluster=tls://127.0.0.1:1", "--tls-ca=a", "--tls-cert=b", "--tls-key=c"), "file 'a'"),
        (("--cluster", "tcp://127.0.0.1:1", "--tls-ca", "a"), "are for a scheduler at tls://"),
        (("--cluster", "local", "--tls-ca", "a"), "never leaves this machine"),
        (("--insecure",), "are for --cluster"),
        (("--cluster", "local", "--device", "cuda"), "CUDA"),
    ],
)
def test_mistakes(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place that is none, or not safe, is refused in one line, and nothing is written."""
    if arguments[-1] == "cuda":
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(connection, "CONNECT", 1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.json").write_text("[]")
    done = CliRunner().invoke(main, [*SMALL[:5], *arguments])
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["empty.json"]


def address_of_this_machine() -> str:
    """Return an address at which other machines would reach this one."""
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            if entry.family == socket.AF_INET and not entry.address.startswith("127."):
                return entry.address
    pytest.skip("this machine has no address but loopback")


def test_beyond_loopback(tmp_path: Path) -> None:
    """Without TLS a scheduler that others reach is refused; --insecure joins it.

    A device that its worker has not is refused.
    """
    address_of_this_machine()
    blind = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    with processes(tmp_path, scheduler("--host", "0.0.0.0"), worker(), env=blind):
        until((tmp_path / "s.json").is_file, "a scheduler")
        port = json.loads((tmp_path / "s.json").read_text())["address"].rpartition(":")[2]
        for place in ("s.json", f"127.0.0.1:{port}"):
            done = bench(tmp_path, *SMALL, "--cluster", place, code=2)
            assert "can be reached from other machines without TLS" in done.stderr
            assert not (tmp_path / "results").exists()
        joined = (*ONE, "--cluster", f"127.0.0.1:{port}", "--insecure")
        done = bench(tmp_path, *joined, "--device", "cuda", code=2)
        assert "not every worker has a CUDA device" in done.stderr
        bench(tmp_path, *joined)


def test_tls_and_the_manifest_for_kubernetes(tmp_path: Path) -> None:
    """The containers of the documented manifest do a run for the documented client alone."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl, to make certificates")
    for name in ("ours", "theirs"):
        certificates(tmp_path / name)
    page = (REPO / "docs" / "cluster.md").read_text()
    (manifest,) = re.findall(r"```yaml\n(apiVersion.*?)```", page, re.DOTALL)
    (client,) = re.findall(r"^bench-uq run .*(--cluster tls://scheduler:8786 .*)$", page, re.M)
    with socket.socket() as free:
        free.bind(("", 0))
        port = str(free.getsockname()[1])
    address = f"{address_of_this_machine()}:{port}"

    def here(word: str) -> str:
        """Return an argument with the places of this machine."""
        word = word.replace("scheduler:8786", address).replace("8786", port)
        return word.replace("/tls/", f"{tmp_path}/ours/")

    documents = [one for one in yaml.safe_load_all(manifest) if one["kind"] == "Deployment"]
    parts = {one["metadata"]["name"]: one["spec"] for one in documents}
    assert parts.keys() == {"scheduler", "workers"}
    started, data = list[list[str]](), {}
    for name, spec in parts.items():
        template = spec["template"]
        assert spec["selector"]["matchLabels"] == template["metadata"]["labels"]
        (container,) = template["spec"]["containers"]
        mounted = {one["name"] for one in container["volumeMounts"]}
        assert mounted == {one["name"] for one in template["spec"]["volumes"]}
        assert container["args"][:2] == ["dask", name.rstrip("s")]
        words = [here(word) for word in container["args"][2:]]
        started.append([*dask(name.rstrip("s")), *words, "--no-dashboard"])
        data |= {one["name"]: one["value"] for one in container.get("env", [])}
    assert data == {"BENCH_UQ_DATA": "/data"}

    with processes(tmp_path, *started, env={**os.environ, "BENCH_UQ_DATA": str(tmp_path / "data")}):
        words = [
            f"/tls/{word}" if re.search(r"\.(pem|key)", word) else word for word in client.split()
        ]
        arguments = [*ONE, *map(here, words)]
        bench(tmp_path, *arguments)
        others = [word.replace("/ours/", "/theirs/") for word in arguments]
        assert "no scheduler at tls://" in bench(tmp_path, *others, code=2).stderr
    assert [record["status"] for record in records(tmp_path / "results")] == ["ok"]


def certificates(folder: Path) -> None:
    """Make an authority, and a certificate of its with a key."""
    folder.mkdir()
    for line in (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
        "openssl req -newkey rsa:2048 -nodes -subj /CN=me -keyout me.key -out me.csr",
        "openssl x509 -req -in me.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out me.pem",
    ):
        subprocess.run(line.split(), cwd=folder, check=True, capture_output=True)
