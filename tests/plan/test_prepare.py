"""Datasets are fetched whole or not at all, and by no other command."""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from click.testing import CliRunner

from bench_uq.cli import main
from bench_uq.plan.prepare import download

REPO = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).parents[1] / "plugins" / "fetched.py"
IMAGES = np.random.default_rng(0).integers(0, 256, (30_000, 16), np.uint8).tobytes()
MD5 = hashlib.md5(IMAGES).hexdigest()


class Server(ThreadingHTTPServer):
    """Server of files by name that can cut, ignore ranges, wait, redirect and count bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"images.bin": IMAGES}
        self.elsewhere: dict[str, str] = {}
        self.cuts: list[int] = []  # bytes after which the next connections are cut
        self.ranges = True
        self.wait_after = -1  # bytes after which a connection waits for ``go``
        self.go = threading.Event()
        self.sent: list[tuple[str, int, int]] = []  # path, status and bytes of each request

    def url(self, name: str = "images.bin") -> str:
        """Return the address of a file."""
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    """Answers one request as its server is told to."""

    server: Server

    def do_GET(self) -> None:
        """Send a file, the rest of it, or neither."""
        name = self.path.removeprefix("/")
        content = self.server.files.get(name, b"")
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        ranged = self.server.ranges and asked and self.headers.get("If-Range", tag) == tag
        start = int(asked[1]) if asked and ranged else 0
        status = 206 if ranged else 200

        if name in self.server.elsewhere:
            status, content = 302, b""
        elif name not in self.server.files:
            status = 404
        elif ranged and start >= len(content):
            status, start = 416, len(content)

        self.send_response(status)
        self.send_header("Location", self.server.elsewhere.get(name, ""))
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        body = content[start:]
        if self.server.cuts:
            body = body[: self.server.cuts.pop(0)]
        # Before the client can ask for more, which another thread answers.
        self.server.sent.append((self.path, status, len(body)))
        self.end_headers()
        self.send_body(body, status)

    def send_body(self, body: bytes, status: int) -> None:
        """Send bytes, with a pause between them where there is to be one."""
        pause = self.server.wait_after if self.server.wait_after >= 0 else len(body)
        self.wfile.write(body[:pause])
        if body[pause:]:
            self.server.go.wait(60)
            self.server.sent[-1] = (self.path, status, pause)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Return a server that has the images; no proxy stands before it, and nothing is waited for."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "WAITS", (0.0, 0.0, 0.0))
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield serving
        serving.go.set()
        serving.shutdown()
        thread.join()


def fetched(*addresses: str, **options: str) -> str:
    """Return the plugin's dataset with its file at these addresses."""
    chosen = {"addresses": "|".join(addresses), "md5": MD5, **options}
    return f"fetched[{','.join(f'{key}={value}' for key, value in chosen.items())}]"


def command(root: Path, *arguments: str) -> list[str]:
    """Return the arguments of bench-uq prepare."""
    return ["prepare", "--data-dir", str(root), "--plugin", str(PLUGIN), *arguments]


def prepare(root: Path, *arguments: str) -> tuple[int, list[str]]:
    """Return the exit code and the lines without the name that each begins with."""
    result = CliRunner().invoke(main, command(root, *arguments))
    assert "Traceback" not in result.output
    return result.exit_code, [re.sub(r"^\S+ +", "", line) for line in result.output.splitlines()]


def laid(root: Path) -> list[str]:
    """Return the files below a folder, but for locks."""
    files = [path for path in root.rglob("*") if not path.is_dir() and path.name != ".prepare.lock"]
    return sorted(str(path.relative_to(root)) for path in files)


def part(root: Path, content: bytes) -> Path:
    """Lay out the beginning of a download."""
    path = root / "fetched" / "images.bin.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


BENCH = (sys.executable, "-m", "bench_uq")
NOWHERE = ("--mirror", "http://127.0.0.1:9")  # what would be fetched by mistake is not
WHOLE = [f"images.bin  fetched, {len(IMAGES) / 1e6:.1f} MB", "30,000 examples in {root}/fetched"]


def assert_whole(root: Path, code: int, lines: list[str]) -> None:
    """Assert that the images were fetched, and nothing else is left."""
    assert (code, lines) == (0, [line.format(root=root) for line in WHOLE])
    assert (root / "fetched" / "images.bin").read_bytes() == IMAGES
    assert laid(root) == ["fetched/images.bin"]


def mnist_files() -> dict[str, bytes]:
    """Return a small MNIST as compressed idx files."""
    files = {}
    for stem, count in (("train", 40), ("t10k", 20)):
        images, labels = (
            bytes(range(256)) * (count * 784 // 256 + 1),
            bytes(i % 10 for i in range(count)),
        )
        heads = struct.pack(">4I", 0x803, count, 28, 28), struct.pack(">2I", 0x801, count)
        files[f"{stem}-images-idx3-ubyte.gz"] = gzip.compress(heads[0] + images[: count * 784])
        files[f"{stem}-labels-idx1-ubyte.gz"] = gzip.compress(heads[1] + labels)
    return files


def test_a_built_in_dataset_from_a_mirror(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MNIST comes from a mirror, checked and loaded; asked for again, nothing is fetched."""
    from torchvision.datasets import MNIST

    server.files = mnist_files()
    known = [(name, hashlib.md5(content).hexdigest()) for name, content in server.files.items()]
    monkeypatch.setattr(MNIST, "resources", known)
    code, lines = prepare(tmp_path, "mnist", "--mirror", server.url(""))
    assert code == 0
    assert [line.split("  ")[0] for line in lines[:-1]] == list(server.files)
    assert lines[-1] == f"40 + 20 examples in {tmp_path}/MNIST/raw"
    assert [(path, status) for path, status, _ in server.sent] == [
        (f"/{name}", 200) for name in server.files
    ]
    assert prepare(tmp_path, "mnist", "--mirror", server.url("")) == (
        0,
        ["there already", lines[-1]],
    )
    assert len(server.sent) == 4
    assert laid(tmp_path) == sorted(f"MNIST/raw/{name}" for name in server.files)


def test_decompressed_files_are_not_fetched_again(
    data_root: Path, absent: Callable[[str], NoReturn]
) -> None:
    """The real MNIST, lying there decompressed, is there already."""
    if not (data_root / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        absent(f"no decompressed MNIST in {data_root}")
    there = ["there already", f"60,000 + 10,000 examples in {data_root}/MNIST/raw"]
    assert prepare(data_root, "mnist", *NOWHERE) == (0, there)


def test_a_name_for_several(data_root: Path, absent: Callable[[str], NoReturn]) -> None:
    """All tables of UCI have one name in the list, which says how to name each."""
    if not (data_root / "uci" / "bostonHousing.txt").is_file():
        absent(f"no tables of UCI in {data_root}")
    code, lines = prepare(data_root, "uci", "uci[name=boston]", *NOWHERE)
    assert (code, lines[0], lines[2]) == (0, "there already", "there already")
    assert "uci[name=" in lines[1]
    assert lines[3] == f"455 + 51 examples in {data_root}/uci"
    assert prepare(data_root, "--dry-run", "uci") == (0, [f"there already, in {data_root}/uci"])


def test_a_cut_connection_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    """Two cuts cost two more requests and not a byte more."""
    server.cuts = [1000, 200_000]
    assert_whole(tmp_path, *prepare(tmp_path, fetched(server.url())))
    assert [status for _, status, _ in server.sent] == [200, 206, 206]
    assert sum(count for *_, count in server.sent) == len(IMAGES)


def test_the_next_command_fetches_the_rest(server: Server, tmp_path: Path) -> None:
    """A cut transfer is one line; the next command transfers only the rest."""
    server.cuts = [1000, 0, 0, 0]
    code, lines = prepare(tmp_path, fetched(server.url()))
    reason = f"the connection was cut after 1,000 of {len(IMAGES):,} bytes"
    assert (code, lines) == (1, [f"failed: images.bin: 127.0.0.1:{server.server_port}: {reason}"])
    assert laid(tmp_path) == ["fetched/images.bin.part"]
    server.sent.clear()
    assert_whole(tmp_path, *prepare(tmp_path, fetched(server.url())))
    assert server.sent == [("/images.bin", 206, len(IMAGES) - 1000)]


def test_a_server_without_ranges(server: Server, tmp_path: Path) -> None:
    """A server that sends all where the rest was asked for is taken at its word."""
    server.ranges, server.cuts = False, [300_000]
    assert_whole(tmp_path, *prepare(tmp_path, fetched(server.url())))
    assert [status for _, status, _ in server.sent] == [200, 200]


def test_a_file_that_changes_on_the_way(server: Server, tmp_path: Path) -> None:
    """The rest of another version of the file is not put behind the first one's beginning."""
    server.files["images.bin"], server.cuts = bytes(len(IMAGES)), [1000]
    answer = server.finish_request

    def change_after(*arguments: object) -> None:
        answer(*arguments)  # type: ignore[arg-type]
        server.files["images.bin"] = IMAGES

    server.finish_request = change_after  # type: ignore[method-assign,assignment]
    assert_whole(tmp_path, *prepare(tmp_path, fetched(server.url())))
    assert server.sent == [("/images.bin", 200, 1000), ("/images.bin", 200, len(IMAGES))]


@pytest.mark.parametrize(
    ("begun", "sent"),
    [
        (IMAGES, []),
        (bytes(1000), [(206, len(IMAGES) - 1000), (200, len(IMAGES))]),
        (IMAGES + b"more", [(416, 0), (200, len(IMAGES))]),
    ],
)
def test_beginnings(
    begun: bytes, sent: list[tuple[int, int]], server: Server, tmp_path: Path
) -> None:
    """A partial file that is whole is kept; a wrong or too long one is fetched anew."""
    part(tmp_path, begun)
    assert_whole(tmp_path, *prepare(tmp_path, fetched(server.url())))
    assert [request[1:] for request in server.sent] == sent


def test_a_file_without_checksum_is_never_a_mixture(server: Server, tmp_path: Path) -> None:
    """Where nothing would tell two versions apart, an earlier beginning is thrown away."""
    part(tmp_path, bytes(1000))
    assert_whole(tmp_path, *prepare(tmp_path, fetched(server.url(), md5="none")))


def test_wrong_bytes(server: Server, tmp_path: Path) -> None:
    """A file with a wrong checksum is never put in place; the next address is tried."""
    server.files["wrong.bin"] = wrong = IMAGES[::-1]
    code, lines = prepare(tmp_path, fetched(server.url("wrong.bin"), server.url("none.bin")))
    assert (code, len(lines)) == (1, 1)
    assert f"wrong checksum, md5 {hashlib.md5(wrong).hexdigest()}, not {MD5}" in lines[0]
    assert "404 Not Found" in lines[0]
    assert laid(tmp_path) == []
    addresses = [server.url(name) for name in ("wrong.bin", "none.bin", "images.bin")]
    assert_whole(tmp_path, *prepare(tmp_path, fetched(*addresses)))


def test_checksums_of_content(server: Server, tmp_path: Path) -> None:
    """The sha256 of a .gz is that of its content; a damaged .gz is wrong."""
    options = {"path": "fetched/images.bin.gz", "md5": "none"}
    sha256 = hashlib.sha256(IMAGES).hexdigest()
    dataset = fetched(server.url("images.bin.gz"), sha256=sha256, **options)
    server.files["images.bin.gz"] = gzip.compress(IMAGES, 1)[:-9]
    code, lines = prepare(tmp_path, dataset)
    assert (code, "sha256 of a damaged .gz, not" in lines[0]) == (1, True)
    assert laid(tmp_path) == []

    server.files["images.bin.gz"] = gzip.compress(IMAGES, 1)
    assert prepare(tmp_path, dataset)[1][0].startswith("images.bin.gz  fetched")
    unpacked = tmp_path / "fetched" / "images.bin"
    unpacked.write_bytes(IMAGES)
    assert prepare(tmp_path, dataset)[1][0] == "there already"
    unpacked.write_bytes(IMAGES[:16])
    line = prepare(tmp_path, dataset)[1][0]
    assert line == "images.bin  damaged, set aside as images.bin.corrupt"
    assert laid(tmp_path) == ["fetched/images.bin.corrupt", "fetched/images.bin.gz"]
    assert len(server.sent) == 2


def test_a_file_of_the_system_is_copied(server: Server, tmp_path: Path) -> None:
    """Where a package has installed the right content, nothing is fetched; a wrong one is left."""
    installed = tmp_path / "system" / "images.bin.gz"
    installed.parent.mkdir()
    installed.write_bytes(gzip.compress(IMAGES, 9))
    sha256 = hashlib.sha256(IMAGES).hexdigest()
    options = {"path": "fetched/images.bin.gz", "md5": "none", "installed": str(installed)}
    dataset = fetched(server.url("images.bin.gz"), sha256=sha256, **options)
    data = tmp_path / "data"

    copied = f"would copy {installed} into {data}/fetched"
    assert prepare(data, "--dry-run", dataset) == (0, [copied])
    lines = prepare(data, dataset)[1]
    assert lines[0].startswith(f"images.bin.gz  copied from {installed.parent}, ")
    assert (data / "fetched" / "images.bin.gz").read_bytes() == installed.read_bytes()
    assert server.sent == []

    installed.write_bytes(gzip.compress(IMAGES[:-1], 9))
    server.files["images.bin.gz"] = gzip.compress(IMAGES, 1)
    assert prepare(tmp_path / "other", dataset)[1][0].startswith("images.bin.gz  fetched")


def test_fashion_mnist_of_the_system(tmp_path: Path, absent: Callable[[str], NoReturn]) -> None:
    """Debian's package holds the originals: the md5 of the unpacked images, and the numbers."""
    if not Path("/usr/share/datasets/fashion-mnist").is_dir():
        absent("Debian's dataset-fashion-mnist is not installed")
    code, lines = prepare(tmp_path, "fashion-mnist", *NOWHERE)
    assert (code, lines[-1].split(" examples")[0]) == (0, "60,000 + 10,000")

    raw = tmp_path / "FashionMNIST" / "raw"
    images = gzip.decompress((raw / "train-images-idx3-ubyte.gz").read_bytes())
    assert hashlib.md5(images).hexdigest() == "f4a8712d7a061bf5bd6d2ca38dc4d50a"
    images = gzip.decompress((raw / "t10k-images-idx3-ubyte.gz").read_bytes())
    assert hashlib.md5(images).hexdigest() == "8181f5470baa50b63fa0f6fddb340f0a"


def test_a_damaged_file_is_set_aside(server: Server, tmp_path: Path) -> None:
    """A wrong file stays until the right one is there, and is kept beside it."""
    part(tmp_path, b"").unlink()
    (tmp_path / "fetched" / "images.bin").write_bytes(b"damaged")
    dead = server.url("none.bin")
    assert prepare(tmp_path, fetched(dead))[0] == 1
    assert laid(tmp_path) == ["fetched/images.bin"]
    code, lines = prepare(tmp_path, fetched(server.url()))
    assert (code, lines[0]) == (0, "images.bin  damaged, set aside as images.bin.corrupt")
    assert laid(tmp_path) == ["fetched/images.bin", "fetched/images.bin.corrupt"]


def test_killed_downloads_go_on(server: Server, tmp_path: Path) -> None:
    """After kill -9 in the middle of a download the same command fetches the rest alone."""
    server.wait_after = 300_000
    dataset, begun = fetched(server.url()), tmp_path / "fetched" / "images.bin.part"
    with subprocess.Popen([*BENCH, *command(tmp_path, dataset)], stdout=subprocess.PIPE) as process:
        wait_until(lambda: begun.is_file() and begun.stat().st_size > 200_000)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    there = begun.stat().st_size
    server.wait_after = -1
    server.sent.clear()
    assert_whole(tmp_path, *prepare(tmp_path, dataset))
    assert server.sent == [("/images.bin", 206, len(IMAGES) - there)]


def test_two_at_once(server: Server, tmp_path: Path) -> None:
    """Two commands on one folder fetch a file once, and both end well."""
    server.wait_after = 300_000
    arguments = [*BENCH, *command(tmp_path, fetched(server.url()))]
    both = [subprocess.Popen(arguments, stdout=subprocess.PIPE) for _ in range(2)]
    wait_until((tmp_path / "fetched" / "images.bin.part").is_file)
    server.wait_after = -1
    server.go.set()
    assert [process.communicate(timeout=60) and process.returncode for process in both] == [0, 0]
    assert sum(count for *_, count in server.sent) == len(IMAGES)
    assert laid(tmp_path) == ["fetched/images.bin"]


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def tarred(**files: bytes) -> bytes:
    """Return a compressed archive of files, a __ in their names for a slash."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "/"))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def test_archives(server: Server, tmp_path: Path) -> None:
    """An archive is unpacked beside itself; after a kill it is unpacked again, not fetched."""
    server.files["all.tar.gz"] = tarred(**{"images.bin": IMAGES, "more__notes": b"notes"})
    md5 = hashlib.md5(server.files["all.tar.gz"]).hexdigest()
    dataset = fetched(server.url("all.tar.gz"), path="fetched/all.tar.gz", md5=md5, unpack="true")
    unpacked = ["all.tar.gz  unpacked", f"30,000 examples in {tmp_path}/fetched"]
    code, lines = prepare(tmp_path, dataset)
    assert (code, lines[1:]) == (0, unpacked)
    whole = ["fetched/all.tar.gz", "fetched/images.bin", "fetched/more/notes"]
    assert laid(tmp_path) == whole

    folder = tmp_path / "fetched"
    (folder / "more" / "notes").unlink()
    (folder / "images.bin").write_bytes(b"half of it")
    (folder / ".all.tar.gz.unpacked" / "more").mkdir(parents=True)
    (folder / ".all.tar.gz.unpacked" / "more" / "not").write_bytes(b"half a note")
    assert prepare(tmp_path, dataset) == (0, unpacked)
    assert laid(tmp_path) == whole
    (folder / "all.tar.gz").unlink()
    there = ["there already, in files that were not fetched here", unpacked[1]]
    assert prepare(tmp_path, dataset) == (0, there)
    assert len(server.sent) == 1


@pytest.mark.parametrize("path", ["../images.bin", "/elsewhere/x", "fetched/../../x", "."])
def test_paths_stay_inside(path: str, server: Server, tmp_path: Path) -> None:
    """A download outside of the root of the data is refused, and not asked for."""
    refused = f"a download must lie below the root of the data, {path!r} does not"
    assert prepare(tmp_path / "data", fetched(server.url(), path=path)) == (2, [refused])
    assert (server.sent, laid(tmp_path)) == ([], [])


def test_only_the_web_is_opened(server: Server, tmp_path: Path) -> None:
    """Neither an address nor a redirection opens a file of this machine."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    server.elsewhere["images.bin"] = secret.as_uri()
    for address in (secret.as_uri(), server.url()):
        code, lines = prepare(tmp_path / "data", fetched(address, md5="none"))
        assert (code, len(lines)) == (1, 1)
    assert laid(tmp_path) == ["secret"]


def test_no_network(tmp_path: Path) -> None:
    """Without a server each dataset is one line with host and reason; exit code 1."""
    with Server() as closed:
        address = closed.url()
    code, lines = prepare(
        tmp_path, fetched(address), "digits", "fetched[addresses=http://nowhere.invalid/x]"
    )
    assert code == 1
    assert lines[0] == f"failed: images.bin: {address.split('/')[2]}: Connection refused"
    assert lines[1] == "1,437 + 360 examples from installed packages"
    assert lines[2].startswith("failed: images.bin: nowhere.invalid: ")
    assert laid(tmp_path) == []


def test_what_cannot_be_fetched(server: Server, tmp_path: Path) -> None:
    """Files that the user must bring are named, exit 2, which is worse than a failed download."""
    code, lines = prepare(
        tmp_path, "fetched", fetched(server.url("none.bin"), path="fetched/x"), "digits"
    )
    assert (code, len(lines)) == (2, 3)
    assert f"missing {tmp_path}/fetched/images.bin" in lines[0]
    assert "--data-dir" in lines[0]
    assert "404" in lines[1]


def test_a_full_disk(server: Server, tmp_path: Path) -> None:
    """A disk without room, or a file where a folder belongs, is told in one line."""
    path = part(tmp_path, b"")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(IMAGES) // 2, before[1]))
    try:
        code, lines = prepare(tmp_path, fetched(server.url()))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (code, lines) == (1, [f"failed: {tmp_path}: File too large"])

    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("")
    code, lines = prepare(tmp_path, fetched(server.url()))
    assert (code, len(lines)) == (1, 1)
    assert str(path.parent) in lines[0]


def test_without_a_name(server: Server, tmp_path: Path) -> None:
    """Without a name a table lists the state of every dataset; nothing is fetched."""
    result = CliRunner().invoke(main, command(tmp_path))
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in result.output.splitlines()}
    assert result.exit_code == 0
    assert rows["digits"] == ["ready", "from installed packages"]
    fetches = f"bench-uq prepare mnist fetches it into {tmp_path}/MNIST/raw"
    assert rows["mnist"] == ["missing", fetches]
    assert rows["fetched"] == ["missing", f"put images.bin into {tmp_path}/fetched"]
    assert laid(tmp_path) == []
    part(tmp_path, IMAGES).rename(tmp_path / "fetched" / "images.bin")
    assert f"in {tmp_path}/fetched" in CliRunner().invoke(main, command(tmp_path)).output
    assert server.sent == []


def test_dry_run(server: Server, tmp_path: Path) -> None:
    """--dry-run says what would be fetched from where, asks for nothing and writes nothing."""
    code, lines = prepare(tmp_path / "data", "--dry-run", fetched(server.url()), "digits")
    assert code == 0
    assert lines == [
        f"would fetch {server.url('images.bin')} into {tmp_path}/data/fetched",
        "there already, from installed packages",
    ]
    code, lines = prepare(tmp_path / "data", "--dry-run", "fetched")
    assert (code, lines) == (2, [f"put images.bin into {tmp_path}/data/fetched"])
    assert (server.sent, list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mnits"], "did you mean 'mnist'?"),
        (["mnist,,digits"], "empty element"),
        (["digits", "--mirror", "ftp://127.0.0.1"], "http://"),
        (["--mirror", "http://127.0.0.1"], "NAME"),
        (["digits", "--data-dir", str(PLUGIN)], "not a folder"),
    ],
)
def test_mistakes(arguments: list[str], words: str, tmp_path: Path) -> None:
    """A mistake is told in one line before anything is fetched, exit 2."""
    result = CliRunner().invoke(main, command(tmp_path, *arguments))
    assert result.exit_code == 2
    assert words in result.output
    assert [line[:7] for line in result.output.splitlines()] == ["Error: "]
    assert list(tmp_path.iterdir()) == []


GUARD = """
import os, sys
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"):
        if event == "socket.getaddrinfo" or getattr(arguments[0], "family", None) != 1:
            with open(os.environ["RECORD"], "a") as file:
                print(event, arguments, file=file)
            raise OSError(101, "Network is unreachable")
sys.addaudithook(hook)
"""


COMMANDS = """
import sys
from click.testing import CliRunner
from bench_uq.cli import main

SMALL = "--methods map --seeds 0 --set epochs=1 --set attack_images=50 --device cpu".split()
for code, command in [
    (0, ["run", *SMALL]),
    (2, ["run", *SMALL, "--datasets", "mnist", "--data-dir", "nowhere"]),
    (0, ["list", "datasets"]),
    (0, ["score"]),
    (0, ["report", "--formats", "html,markdown,latex"]),
    (1, ["prepare", "mnist", "--data-dir", "nowhere", "--mirror", "http://127.0.0.1:9"]),
]:
    done = CliRunner().invoke(main, command)
    assert done.exit_code == code, (command, done.output)
    if command[0] != "prepare":
        assert not open(sys.argv[1]).read(), command
"""


def test_no_other_command_uses_the_network(tmp_path: Path) -> None:
    """No command but prepare uses the network: run, score, report and list work without."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    record = tmp_path / "record"
    record.touch()
    places = [str(tmp_path / "guard"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "RECORD": str(record)}
    command = [sys.executable, "-c", COMMANDS, str(record)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "socket" in record.read_text()  # of prepare: the others would have been seen


NETWORK = {"urllib.request", "http.client", "socket", "ssl", "ftplib", "requests", "urllib3"}
NETWORK |= {"asyncio"}


def test_one_file_can_reach_the_network() -> None:
    """Only download.py imports what opens connections, and connection.py what joins clusters."""
    found = set()
    folders = ("bench_uq", "methods", "datasets", "conditions", "metrics")
    for path in chain.from_iterable((REPO / folder).rglob("*.py") for folder in folders):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {path.name for name in names if name in NETWORK}
    assert found == {"download.py", "connection.py"}
