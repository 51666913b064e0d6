"""Hostile files are refused in one line.

No pickle runs, no archive reaches outside its folder, and no file fills the memory.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import textwrap
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bench_uq import store
from bench_uq.api.archives import Bomb, gunzip
from bench_uq.api.errors import UsageError
from bench_uq.cli import main
from bench_uq.datasets._pickles import NotPlain, read_batch
from bench_uq.datasets.mnist_c import MnistC
from bench_uq.datasets.npz import Npz
from bench_uq.plan.prepare.archive import unpack
from bench_uq.plan.prepare.download import Failed

#: Bytes that a process may take for a hostile file; Python with its packages takes a third of it.
MEMORY = 1_500_000_000
#: Seconds after which a child is given up; a file is refused in a few.
PATIENCE = 240
#: Zeros; a bomb holds many such chunks.
CHUNK = 1 << 24
PLUGIN = Path(__file__).parents[1] / "plugins" / "fetched.py"
SMALL = ("--methods", "map", "--seeds", "0", "--device", "cpu")
SMALL += ("--set", "epochs=1", "--set", "train_images=200", "--set", "draws=2")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_UQ_DATA", raising=False)
    return tmp_path


class Trap:
    """Object whose pickle makes a folder when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        """Tell pickle to make the folder."""
        return os.mkdir, (str(self.canary),)


@pytest.fixture
def canary(here: Path) -> Iterator[Path]:
    """Path that must not exist at the end of the test."""
    path = here / "canary"
    yield path
    assert not os.path.lexists(path)


@pytest.fixture
def trap(canary: Path) -> bytes:
    """Pickle that makes the canary; that it works is tried here."""
    pickled = pickle.dumps(Trap(canary), protocol=2)
    pickle.loads(pickled)
    canary.rmdir()
    return pickled


def told(*arguments: str, code: int = 2) -> str:
    """Line with which a command is refused."""
    result = CliRunner().invoke(main, list(arguments))
    lines = result.stderr.splitlines()
    assert result.exit_code == code, result.output
    assert len(lines) == 1, result.output
    assert len(lines[0]) < 1000
    assert lines[0].startswith("Error: ")
    return lines[0]


def npy_header(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    """Beginning of an npy file."""
    stream = io.BytesIO()
    described = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def objects(trap: bytes) -> bytes:
    """Content of an npy file of objects whose pickle is a trap."""
    return npy_header((2,), "|O") + trap


def npz(**members: bytes) -> bytes:
    """Content of an npz file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    """Content of an npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


# Pickles


@pytest.mark.parametrize(
    ("dataset", "file"),
    [
        ("npz[path=mine.npz]", "mine.npz"),
        ("mnist", "MNIST/raw/train-images-idx3-ubyte"),
        ("mnist", "MNIST/raw/train-images-idx3-ubyte.gz"),
        ("cifar10", "cifar-10-batches-py/data_batch_1"),
        ("cifar10[source=jpeg]", "cifar10-jpeg/train/airplane/a.jpg"),
        ("svhn", "SVHN/train_32x32.mat"),
        ("folder[path=mine]", "mine/train/a/a.png"),
        ("uci[name=boston]", "uci/boston.txt"),
        ("uci[name=boston]", "uci/boston.txt.gz"),
    ],
)
def test_pickles_as_data(dataset: str, file: str, here: Path, trap: bytes) -> None:
    """A pickle under the name of any data file is refused, plain or compressed."""
    names = {Path(file).name}
    if "MNIST" in file:
        names |= {"train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}

    for content in (trap, gzip.compress(trap)):
        for name in names:
            path = here / "data" / Path(file).with_name(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        told("run", "--datasets", dataset, *SMALL)


@pytest.mark.parametrize("kind", ["objects", "header", "pickle inside"])
def test_pickles_inside_an_npz(kind: str, here: Path, trap: bytes) -> None:
    """An array of objects is refused as such, and so is a member that is a pickle itself."""
    header = b"\x93NUMPY\x01\x00" + trap
    bad = {"objects": objects(trap), "header": header, "pickle inside": trap}[kind]
    labels = npy(np.arange(4) % 2)

    data = {"x_train": bad, "y_train": labels, "x_test": bad, "y_test": labels}
    (here / "data.npz").write_bytes(npz(**data))
    line = told("run", "--datasets", "npz[path=data.npz]", *SMALL)
    assert "data.npz" in line
    assert ("object" in line) == (kind == "objects")

    (here / "mine.npz").write_bytes(npz(probs=bad, labels=labels))
    line = told("score-predictions", "mine.npz", "--name", "mine", "--dataset", "toy")
    assert "mine.npz" in line
    assert ("object" in line) == (kind == "objects")


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_pickles_as_predictions(suffix: str, here: Path, trap: bytes) -> None:
    """A pickle under the name of predictions is refused."""
    name = f"mine.{suffix}"
    (here / name).write_bytes(trap)
    assert name in told("score-predictions", name, "--name", "mine", "--dataset", "toy")


@pytest.mark.parametrize("name", ["images", "labels"])
def test_pickles_as_corrupted_images(name: str, here: Path, trap: bytes) -> None:
    """An npy file of objects is refused by the readers of corrupted test images."""
    folder = here / "mnist_c" / "fog"
    folder.mkdir(parents=True)
    (folder / "test_images.npy").write_bytes(npy(np.zeros((4, 28, 28, 1), np.uint8)))
    (folder / "test_labels.npy").write_bytes(npy(np.arange(4)))
    (folder / f"test_{name}.npy").write_bytes(objects(trap))
    with pytest.raises(UsageError, match="not an npy file"):
        MnistC().load("test", here)


@pytest.mark.parametrize("protocol", range(5))
def test_batches_of_cifar(protocol: int) -> None:
    """The reader of CIFAR's pickles reads arrays of bytes and plain data, of any protocol."""
    batch = {"data": np.arange(6144, dtype=np.uint8).reshape(2, 3072), "labels": [3, 4]}
    found = read_batch(pickle.dumps(batch, protocol=protocol))

    assert np.array_equal(found["data"], batch["data"])
    assert found["labels"] == [3, 4]


#: Pickles that call os.mkdir, numpy.load or eval in every way that a pickle can.
CALLS = [
    b"cos\nmkdir\n(S'canary'\ntR.",
    b"(S'canary'\nios\nmkdir\n.",
    b"(cos\nmkdir\nS'canary'\no.",
    b"\x80\x02cos\nmkdir\n(X\x06\x00\x00\x00canary\x81.",
    b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c\x06canary\x85R.",
    b'cbuiltins\neval\n(S\'__import__("os").mkdir("canary")\'\ntR.',
    b"Pcanary\n.",
    b"\x80\x02\x82\x01.",
    b"\x80\x02cnumpy\nload\nX\x06\x00\x00\x00canary\x85R.",
    pickle.dumps({"data": Trap(Path("canary")), "labels": [0]}, protocol=2),
    pickle.dumps({"data": np.array([Trap(Path("canary"))])}, protocol=2),
    pickle.dumps({"data": np.arange(3.0)}, protocol=2),
]


@pytest.mark.parametrize("attack", CALLS, ids=range(len(CALLS)))
def test_batches_of_cifar_call_nothing(attack: bytes, canary: Path) -> None:
    """A pickle of CIFAR's that names anything but arrays of bytes is refused; nothing is called."""
    with pytest.raises(NotPlain):
        read_batch(attack)


@pytest.mark.parametrize(
    "attack", [b"\x80\x02Nr\xff\xff\xff\x7f.", b"\x96" + bytes(4) + b"\1\0\0\0."]
)
def test_batches_of_cifar_reserve_no_memory(attack: bytes) -> None:
    """Ten bytes that number an object high, or announce a long array, take little memory."""
    assert "NotPlain" in child(
        f"from bench_uq.datasets._pickles import *\ntry: print(read_batch({attack!r}))\n"
        "except NotPlain as error: print(repr(error))"
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which a small suite was run."""
    folder = tmp_path_factory.mktemp("ran")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(main, ["run", *SMALL])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def suite(ran: Path, here: Path) -> Path:
    """Copy of its results to change."""
    shutil.copytree(ran / "results", here / "results")
    return here / "results" / "quick"


def run_of(suite: Path) -> store.RunFolder:
    """Folder of the only run."""
    (path,) = (suite / "runs").glob("map-*")
    return store.RunFolder(path)


@pytest.mark.parametrize("name", [store.NETWORK, "checkpoint.safetensors"])
def test_pickles_as_networks(
    name: str, suite: Path, here: Path, trap: bytes, bench: Callable[..., Any]
) -> None:
    """A pickle as network or checkpoint, with its hash in the record, is named and never read."""
    run = run_of(suite)
    run.add_file(name, trap)
    gone = {file for file in run.record().files if file.endswith(".npz")}
    run.forget(gone | ({store.NETWORK} - {name}))

    done = bench(here, "run", *SMALL)
    output = [line for line in (done.stdout + done.stderr).splitlines() if "scores: " not in line]
    assert "Traceback" not in done.stderr
    assert len(output) <= 2
    assert name in "".join(output) or "afetensor" in "".join(output), output


def test_pickles_as_stored_predictions(suite: Path, trap: bytes) -> None:
    """A pickle or objects as stored predictions, with their hash in the record, are one line."""
    run = run_of(suite)
    name = next(file for file in run.record().files if file.startswith("clean"))
    for content in (trap, npz(probs=objects(trap))):
        run.add_file(name, content)
        result = CliRunner().invoke(main, ["score"])
        assert "Traceback" not in result.output
        assert len(result.stderr.splitlines()) == 1, result.output


def test_pickles_as_examples(suite: Path, trap: bytes) -> None:
    """A pickle or objects as the stored examples are refused by a report."""
    for content in (trap, npz(**{"digits|map|0|clean||inputs": objects(trap)})):
        (suite / "examples.npz").write_bytes(content)
        assert "examples.npz" in told("report", "--formats", "png")


# Archives


def tarred(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    """Content of a tar archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Member of a tar archive."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


REACHING: dict[str, Callable[[Path], list[tuple[tarfile.TarInfo, bytes]]]] = {
    "above": lambda out: [(member("../canary"), b"evil")],
    "far above": lambda out: [(member("a/../../../canary"), b"evil")],
    "absolute": lambda out: [(member(str(out / "canary")), b"evil")],
    "through a link": lambda out: [
        (member("link", tarfile.SYMTYPE, str(out)), b""),
        (member("link/canary"), b"evil"),
    ],
    "through a relative link": lambda out: [
        (member("link", tarfile.SYMTYPE, "../.."), b""),
        (member("link/canary"), b"evil"),
    ],
    "through links": lambda out: [
        (member("a", tarfile.SYMTYPE, "."), b""),
        (member("a/b", tarfile.SYMTYPE, ".."), b""),
        (member("b/canary"), b"evil"),
    ],
    "link out": lambda out: [(member("images.bin", tarfile.SYMTYPE, str(out / "secret")), b"")],
    "hard link": lambda out: [(member("images.bin", tarfile.LNKTYPE, str(out / "secret")), b"")],
    "relative hard link": lambda out: [(member("images.bin", tarfile.LNKTYPE, "../secret"), b"")],
    "device": lambda out: [(member("images.bin", tarfile.CHRTYPE), b"")],
    "pipe": lambda out: [(member("images.bin", tarfile.FIFOTYPE), b"")],
}
#: What is no whole archive.
BROKEN = {"none": bytes(99), "cut": tarred((member("images.bin"), bytes(9999)))[:-20]}


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *((kind, "w:gz") for kind in (*REACHING, *BROKEN)),
        *(("above", mode) for mode in ("w", "w:bz2", "w:xz")),
    ],
)
def test_archives_that_reach_outside(kind: str, mode: str, here: Path, canary: Path) -> None:
    """A member outside the folder, a link or a device writes nothing and reads nothing."""
    out, folder = here / "out", here / "data"
    out.mkdir()
    folder.mkdir()
    (out / "secret").write_text("secret")
    content = BROKEN.get(kind) or tarred(*REACHING[kind](out), mode=mode)
    (folder / "all.tar").write_bytes(content)

    with pytest.raises(Failed, match=r"^all\.tar: ") as refused:
        unpack(folder / "all.tar")
    assert "\n" not in str(refused.value)
    assert {path.name for path in folder.iterdir()} == {"all.tar"}
    assert {path.name for path in out.iterdir()} == {"secret"}
    assert (out / "secret").read_text() == "secret"
    assert (out / "secret").stat().st_nlink == 1


def test_archives_from_a_server(here: Path, canary: Path) -> None:
    """An archive that prepare fetches is refused too, in one line and with exit code 1."""
    (here / "web").mkdir()
    (here / "web" / "all.tar.gz").write_bytes(tarred(*REACHING["through a link"](here)))
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *given: handler(*given, directory=str(here / "web"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()

    address = f"http://127.0.0.1:{server.server_port}/all.tar.gz"
    dataset = f"fetched[addresses={address},path=all.tar.gz,unpack=true]"
    command = ["prepare", dataset, "--plugin", str(PLUGIN)]
    result = CliRunner(env={"no_proxy": "*"}).invoke(main, command)
    server.shutdown()
    server.server_close()

    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert len(lines) == 2
    assert "failed: all.tar.gz: 'link' is neither a file nor a folder" in lines[1]
    assert {path.name for path in (here / "data").iterdir()} <= {"all.tar.gz", ".prepare.lock"}


def test_links_where_something_is_fetched(here: Path, canary: Path) -> None:
    """Links at the place of a download, its archive or the lock are not written through."""
    for name in ("all.tar.part", ".all.tar.unpacked"):
        (here / name).symlink_to(canary)
    (here / "all.tar").write_bytes(tarred((member("images.bin"), b"images"), mode="w"))
    unpack(here / "all.tar")
    assert (here / "images.bin").read_bytes() == b"images"
    assert not (here / "images.bin").is_symlink()
    (here / "data").mkdir()
    (here / "data" / ".prepare.lock").symlink_to(canary)
    result = CliRunner().invoke(main, ["prepare", "mnist", "--mirror", "http://127.0.0.1:9"])
    assert result.exit_code == 2
    assert ".prepare.lock is a link" in result.output


# Bombs, each read by a process of its own, whose memory is measured


#: Prints the most memory that the process has held, in bytes. getrusage would count its parent's.
MEASURE = """
import atexit
from pathlib import Path as P
def measure():
    lines = P("/proc/self/status").read_text().splitlines()
    held = next(line for line in lines if line.startswith("VmHWM"))
    print("memory", int(held.split()[1]) * 1024)
atexit.register(measure)
from bench_uq.api import archives
archives.memory = lambda: 1 << 30
"""


def child(code: str, *arguments: object) -> str:
    """Run code in a process of its own, which must keep to MEMORY; return what it prints."""
    program = f"{MEASURE}import sys\nfrom pathlib import Path\n{code}"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    output, _, held = done.stdout.rpartition("memory ")
    assert int(held) < MEMORY, done.stdout
    return output + done.stderr


def refusals(code: str, *paths: Path) -> list[str]:
    """Lines with which code refuses one ``path`` after the other, in a process of its own."""
    program = f"""from bench_uq.api.errors import UsageError
from bench_uq.plan.prepare.download import Failed
for path in map(Path, sys.argv[1:]):
    try:
{textwrap.indent(code, " " * 8)}
    except (UsageError, Failed) as error:
        print("refused:", error)
"""
    lines = child(program, *paths).splitlines()
    assert [line[:8] for line in lines] == ["refused:"] * len(paths), lines
    return lines


def laid(path: Path, content: bytes) -> Path:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def zeros(count: int, header: bytes = b"", wbits: int = -15) -> tuple[bytes, int]:
    """Compressed stream of a header and many chunks of zeros, and its unpacked length."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    begin = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)
    chunk = packer.compress(bytes(CHUNK)) + packer.flush(zlib.Z_FULL_FLUSH)
    return begin + chunk * count + packer.flush(), len(header) + count * CHUNK


def gz(count: int, header: bytes = b"") -> bytes:
    """A .gz of a header and many chunks of zeros; only its checksum, at the end, is wrong."""
    stream, _ = zeros(count, header)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + stream + bytes(8)


def zipped(names: list[str], count: int, header: bytes, declared: int | None = None) -> bytes:
    """Archive whose members are all the same: a header and many chunks of zeros."""
    stream, length = zeros(count, header)
    length = length if declared is None else declared
    archive, central = b"", b""
    for name in names:
        sizes = struct.pack("<LLLHH", 0, len(stream), min(length, 2**32 - 1), len(name), 0)
        central += b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0) + sizes
        central += struct.pack("<HHHLL", 0, 0, 0, 0, len(archive)) + name.encode()
        archive += (
            b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + sizes + name.encode() + stream
        )
    end = struct.pack("<HHHHLLH", 0, 0, len(names), len(names), len(central), len(archive), 0)
    return archive + central + b"PK\x05\x06" + end


def test_small_bombs_unpack() -> None:
    """A small bomb is a valid file, so that the large ones are refused for their size."""
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(gz(1))
    assert len(gz(128)) < 3_000_000
    with zipfile.ZipFile(io.BytesIO(zipped(["a"], 128, b"x"))) as archive:
        assert archive.getinfo("a").file_size == 128 * CHUNK + 1
        assert archive.open("a").read(3) == b"x\0\0"
    with pytest.raises(Bomb, match="unpacks to more than"):
        gunzip(gz(16), share=1 << 20)


def test_constant_data_are_no_bomb(here: Path) -> None:
    """A baseline of one value unpacks to hundreds of times its size, and is read."""
    constant = np.full((400_000, 2, 60), 0.5, np.float32)
    np.savez_compressed(here / "mine.npz", x_test=constant, y_test=np.zeros(400_000, int))
    assert constant.nbytes > max(1 << 27, 100 * (here / "mine.npz").stat().st_size)
    data = Npz(path=here / "mine.npz").load("test", here)
    assert data.inputs.shape == (400_000, 1, 2, 60)


IDX = b"\x00\x00\x08\x03" + struct.pack(">LLL", 256 * CHUNK // 784, 28, 28)
MNIST = "from bench_uq.datasets.mnist import Mnist\nMnist().load('train', path)"


def test_idx_bombs(here: Path) -> None:
    """Images that unpack to 4 GB are refused, and a header that promises more than follows."""
    labels, images = (f"MNIST/raw/train-{name}-ubyte.gz" for name in ("labels-idx1", "images-idx3"))
    promising = gzip.compress(IDX[:4] + b"\xff" * 12 + bytes(100))
    for root, content in (("large", gz(256, IDX)), ("promising", promising)):
        laid(here / root / labels, gz(256, IDX))
        laid(here / root / images, content)
    large, promises = refusals(MNIST, here / "large", here / "promising")
    assert "unpacks to more than" in large
    assert "truncated" in promises


def test_table_bombs(here: Path) -> None:
    """A table that unpacks to 4 GB, and one of very many cells, are refused."""
    laid(here / "large" / "uci" / "mine.txt.gz", gz(256))
    laid(here / "many" / "uci" / "mine.txt.gz", gzip.compress(b"1 1\n" * (1 << 25), 9))
    code = "from bench_uq.datasets.uci import Uci\nUci('mine').task(path)"
    for line in refusals(code, here / "large", here / "many"):
        assert "unpacks to more than" in line


def test_trials_bombs(here: Path) -> None:
    """Trials that unpack to 4 GB are refused, as scores are."""
    laid(here / "trials.csv.gz", gz(256))
    code = "from bench_uq.score.trials import read_trials\nread_trials(path)"
    (line,) = refusals(code, here / "trials.csv.gz")
    assert "unpacks to more than" in line


NPZ = "from bench_uq.datasets.npz import Npz\nNpz(path=path).load('test', Path('.'))"
EXAMPLES = "from bench_uq.store.examples import read_examples\nread_examples(path)"
PREDICTIONS = "from bench_uq.run.imported.files import read_arrays\n"
PREDICTIONS += "read_arrays(path, path.read_bytes(), labelled=True)"


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (NPZ, ["x_test", "y_test"]),
        (EXAMPLES, ["a|b|0|clean||inputs"]),
        (PREDICTIONS, ["probs", "labels"]),
    ],
    ids=["dataset", "examples", "predictions"],
)
def test_npz_bombs(code: str, names: list[str], here: Path) -> None:
    """Arrays that unpack to gigabytes, declare or claim more than there is, are refused."""
    files = [f"{name}.npy" for name in names]
    claims = npy_header((10**6, 10**6), "<f8") + bytes(100)
    overflows = npy_header((2**62, 2**62), "<f8") + bytes(100)
    zeros = npy_header((128, CHUNK))
    contents = {
        "unpacks": zipped(files, 128, zeros),
        "declares": zipped(files, 1, npy_header((256, CHUNK)), declared=2**32 - 2),
        "claims": npz(**dict.fromkeys(names, claims)),
        "overflows": npz(**dict.fromkeys(names, overflows)),
        "lies": zipped(files, 128, zeros, declared=1000),
    }
    paths = [laid(here / f"{kind}.npz", content) for kind, content in contents.items()]

    for kind, line in zip(contents, refusals(code, *paths), strict=True):
        assert f"{kind}.npz" in line
        assert ("unpacks to" in line) == (kind in ("unpacks", "declares"))


def test_npy_bombs(here: Path) -> None:
    """A single array that claims more than its file holds is refused."""
    for name in ("test_images.npy", "test_labels.npy"):
        laid(here / "mnist_c" / "fog" / name, npy_header((10**9, 28, 28, 1)) + bytes(100))
    code = "from bench_uq.datasets.mnist_c import MnistC\nMnistC().load('test', path)"
    assert "not an npy file" in refusals(code, here)[0]
    mine = laid(here / "mine.npz", npy_header((10**6, 10**6), "<f8") + bytes(100))
    assert "mine.npz" in refusals(NPZ, mine)[0]


def png(side: int) -> bytes:
    """Black image in three colours."""
    row = side * 3 + 1
    stream, _ = zeros(-(-side * row // CHUNK), wbits=15)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">L", zlib.crc32(kind + content))
        return struct.pack(">L", len(content)) + kind + content + checksum

    header = chunk(b"IHDR", struct.pack(">LLBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", stream) + chunk(b"IEND", b"")


FOLDER = """from bench_uq.datasets.folder import Folder
Folder(path=path, size=0 if path.name == 'many' else 8).load('test', Path('.'))"""


def test_image_bombs(here: Path, canary: Path) -> None:
    """Images of more pixels than any camera takes are refused, too many together, and programs.

    Pillow would run Ghostscript on PostScript under the name of an image.
    """
    program = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    program += f"({canary}) (w) file closefile showpage\n"
    bombs = {
        "huge": (png(50_000), 1, "decompression bomb"),
        "larger": (png(12_000), 1, "decompression bomb"),
        "large": (png(9_000), 1, "it has more than 67,108,864 pixels"),
        "many": (png(8_000), 6, "images of"),
        "program": (program.encode(), 1, "not an image of a known format"),
    }

    for name, (content, count, _) in bombs.items():
        for place in range(count):
            laid(here / name / "test" / "a" / f"{place}.png", content)

    lines = refusals(FOLDER, *(here / name for name in bombs))
    for (_, _, words), line in zip(bombs.values(), lines, strict=True):
        assert words in line


def test_large_images_are_decoded_one_by_one(here: Path) -> None:
    """Several large images that are made small are never in memory together."""
    for place in range(4):
        laid(here / "test" / "a" / f"{place}.png", png(8_000))
    assert child(f"path = Path(sys.argv[1])\n{FOLDER}\nprint('read')", here) == "read\n"


UNPACK = "from bench_uq.plan.prepare.archive import unpack\nunpack(path)"


def tar_bomb(kind: str) -> bytes:
    """Content of an archive that unpacks to 32 GB."""
    info = member("images.bin")
    if kind in ("pax", "long name"):
        info = member("name", tarfile.XHDTYPE if kind == "pax" else tarfile.GNUTYPE_LONGNAME)
    info.size = 2048 * CHUNK
    header = info.tobuf(tarfile.GNU_FORMAT)
    if kind == "sparse":
        header = header[:156] + b"S" + header[157:]
        header = header[:483] + b"%011o\0" % (2048 * CHUNK) + header[495:]
        total = 256 + sum(header[:148]) + sum(header[156:512])
        header = header[:148] + b"%06o\0 " % total + header[156:]
    return header + bytes(1024) if kind == "plain" else gz(2048, header)


def test_tar_bombs(here: Path) -> None:
    """An archive that unpacks to 32 GB, in a file, a header or a name, writes nothing."""
    kinds = ("gz", "pax", "long name", "sparse", "plain")
    paths = [laid(here / kind / "all.tar", tar_bomb(kind)) for kind in kinds]
    for path, line in zip(paths, refusals(UNPACK, *paths), strict=True):
        assert "all.tar: " in line
        assert list(path.parent.iterdir()) == [path]


# Text that is nested


DEEP = "[" * 200_000
NESTED = f"methods = ['{DEEP}']\ndatasets = ['digits']\nseeds = [0]\n[settings]\n"


@pytest.mark.parametrize(
    ("suite_text", "arguments"),
    [
        (f"methods = {DEEP}", ("--suite", "mine.toml")),
        (NESTED, ("--suite", "mine.toml")),
        ("", ("--methods", f"map[{DEEP}")),
        ("", ("--methods", f"map{DEEP}{']' * len(DEEP)}")),
        ("", ("--set", f"map.members={DEEP}")),
    ],
    ids=["TOML", "name in TOML", "open", "closed", "assignment"],
)
def test_nested_text_of_a_run(suite_text: str, arguments: tuple[str, ...], here: Path) -> None:
    """Brackets nested by the hundred thousand, in TOML, names and assignments, are one line."""
    (here / "mine.toml").write_text(suite_text)
    told("run", *arguments)


def test_nested_text_of_results(suite: Path) -> None:
    """Stored JSON that is nested too deep is damaged like any other."""
    run = run_of(suite)
    (suite / "environment.json").write_text(DEEP)
    assert "environment.json" in told("report", "--formats", "markdown")

    (run.path / store.RECORD).write_text(DEEP)
    assert run.record() == store.Record(run.path.name)
    assert (run.path / f"{store.RECORD}.corrupt").exists()
    (suite / store.PLAN).write_text('{"runs":' * 100_000)
    assert store.read_plan(suite) == store.Plan()


HASH = """from bench_uq.api.dataset import Download
from bench_uq.plan.prepare.download import right
print(right(Path(sys.argv[1]), Download("a.gz", (), sha256=sys.argv[2])))"""


def test_hashes_of_bombs_end(here: Path) -> None:
    """The checksum of a .gz is not computed over terabytes."""
    (here / "a.gz").write_bytes(gz(2048))
    assert child(HASH, here / "a.gz", hashlib.sha256().hexdigest()) == "False\n"
