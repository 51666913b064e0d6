"""Files that mean harm are refused in one line: no pickle runs, no archive reaches outside, none fills the memory."""

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
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench_uq import store
from bench_uq.api.archives import Bomb, gunzip
from bench_uq.cli import main
from bench_uq.datasets._pickles import NotPlain, read_batch
from bench_uq.plan.prepare.archive import unpack
from bench_uq.plan.prepare.download import Failed

#: The most that a process may take for a hostile file, in bytes: Python with its packages takes up to a third of it.
MEMORY = 1_500_000_000
#: Seconds after which a child is given up; a file is refused in a few.
PATIENCE = 240
CHUNK = 1 << 24  # zeros, of which a bomb holds many
PLUGIN = Path(__file__).parents[1] / "plugins" / "fetched.py"
SMALL = (
    "--methods",
    "map",
    "--seeds",
    "0",
    "--set",
    "epochs=1",
    "--set",
    "train_images=200",
    "--device",
    "cpu",
)
SMALL += ("--set", "draws=2")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_UQ_DATA", raising=False)
    return tmp_path


class Trap:
    """What makes a folder where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        """Tell pickle to make the folder."""
        return os.mkdir, (str(self.canary),)


@pytest.fixture
def canary(here: Path) -> Iterator[Path]:
    """Return a path that must not be there at the end of the test."""
    path = here / "canary"
    yield path
    assert not os.path.lexists(path)


@pytest.fixture
def trap(canary: Path) -> bytes:
    """Return a pickle that makes the canary; it does where it is unpickled."""
    pickled = pickle.dumps(Trap(canary), protocol=2)
    pickle.loads(pickled)
    canary.rmdir()
    return pickled


def told(*arguments: str, code: int = 2) -> str:
    """Return the one line that a command ends with."""
    result = CliRunner().invoke(main, list(arguments))
    lines = result.stderr.splitlines()
    assert result.exit_code == code, result.output
    assert len(lines) == 1, result.output
    assert len(lines[0]) < 1000
    assert lines[0].startswith("Error: ")
    return lines[0]


def objects(trap: bytes) -> bytes:
    """Return an npy file of an array of objects whose pickle is a trap."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|O", "fortran_order": False, "shape": (2,)}
    )
    return stream.getvalue() + trap


def npz(**members: bytes) -> bytes:
    """Return an archive of npy files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    """Return an array as a file."""
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
@pytest.mark.parametrize("dressed", ["bare", "compressed"])
def test_pickles_as_data(dataset: str, file: str, dressed: str, here: Path, trap: bytes) -> None:
    """A pickle under the name of any data file is refused, plain or compressed."""
    others = (
        {"train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}
        if "MNIST" in file
        else ()
    )
    content = gzip.compress(trap) if dressed == "compressed" else trap
    for name in (Path(file).name, *others):
        path = here / "data" / Path(file).with_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    told("run", "--datasets", dataset, *SMALL)


@pytest.mark.parametrize("kind", ["objects", "header", "pickle inside"])
@pytest.mark.parametrize("reader", ["dataset", "score-predictions"])
def test_pickles_inside_an_npz(kind: str, reader: str, here: Path, trap: bytes) -> None:
    """An array of objects is refused as such, and so is a member that is a pickle itself."""
    bad = {"objects": objects(trap), "header": b"\x93NUMPY\x01\x00" + trap, "pickle inside": trap}[
        kind
    ]
    labels = npy(np.arange(4) % 2)
    if reader == "dataset":
        names = {"x_train": bad, "y_train": labels, "x_test": bad, "y_test": labels}
        (here / "mine.npz").write_bytes(npz(**names))
        line = told("run", "--datasets", "npz[path=mine.npz]", *SMALL)
    else:
        (here / "mine.npz").write_bytes(npz(probs=bad, labels=labels))
        line = told("score-predictions", "mine.npz", "--name", "mine", "--dataset", "toy")
    assert "mine.npz" in line
    assert ("object" in line) == (kind == "objects")


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_pickles_as_predictions(suffix: str, here: Path, trap: bytes) -> None:
    """A pickle under the name of predictions is refused."""
    (here / f"mine.{suffix}").write_bytes(trap)
    assert f"mine.{suffix}" in told(
        "score-predictions", f"mine.{suffix}", "--name", "mine", "--dataset", "toy"
    )


@pytest.mark.parametrize("name", ["images", "labels"])
def test_pickles_as_corrupted_images(name: str, here: Path, trap: bytes) -> None:
    """An npy file of objects is refused by the readers of corrupted test images."""
    folder = here / "data" / "mnist_c" / "fog"
    folder.mkdir(parents=True)
    good = {"images": npy(np.zeros((4, 28, 28, 1), np.uint8)), "labels": npy(np.arange(4))}
    for one, content in good.items():
        (folder / f"test_{one}.npy").write_bytes(objects(trap) if one == name else content)
    from bench_uq.api.errors import UsageError
    from bench_uq.datasets.mnist_c import MnistC

    with pytest.raises(UsageError, match="not an npy file"):
        MnistC().load("test", here / "data")


@pytest.mark.parametrize("protocol", range(5))
def test_batches_of_cifar(protocol: int) -> None:
    """The reader of CIFAR's pickles reads arrays of bytes and plain data, of any protocol."""
    batch = {"data": np.arange(6144, dtype=np.uint8).reshape(2, 3072), "labels": [3, 4]}
    found = read_batch(pickle.dumps(batch, protocol=protocol))

    assert np.array_equal(found["data"], batch["data"])
    assert found["labels"] == [3, 4]


def test_batches_of_cifar_call_nothing(trap: bytes) -> None:
    """A pickle of CIFAR's that names anything but arrays of bytes is refused, and nothing is called."""
    for attack in (
        trap,
        pickle.dumps({"data": Trap(Path("canary")), "labels": [0]}, protocol=2),
        b"cos\nmkdir\n(S'canary'\ntR.",
        b"(S'canary'\nios\nmkdir\n.",
        b"(cos\nmkdir\nS'canary'\no.",
        b"\x80\x02cos\nmkdir\n(X\x06\x00\x00\x00canary\x81.",
        b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93\x8c\x06canary\x85R.",
        b'cbuiltins\neval\n(S\'__import__("os").mkdir("canary")\'\ntR.',
        b"Pcanary\n.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02cnumpy\nload\nX\x06\x00\x00\x00canary\x85R.",
        pickle.dumps({"data": np.array([Trap(Path("canary"))])}, protocol=2),
        pickle.dumps({"data": np.arange(3.0)}, protocol=2),
    ):
        with pytest.raises(NotPlain):
            read_batch(attack)


@pytest.mark.parametrize(
    "attack", [b"\x80\x02Nr\xff\xff\xff\x7f.", b"\x96" + bytes(4) + b"\1\0\0\0."]
)
def test_batches_of_cifar_reserve_no_memory(attack: bytes) -> None:
    """Ten bytes that number an object high, or announce a long array, take no more memory than they are."""
    assert "NotPlain" in child(
        f"from bench_uq.datasets._pickles import *\ntry: print(read_batch({attack!r}))\n"
        "except NotPlain as error: print(repr(error))"
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which a small suite was run."""
    folder = tmp_path_factory.mktemp("ran")
    bench(folder, "run", *SMALL)
    return folder


def bench(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run bench-uq in a folder, in a process of its own."""
    command = [sys.executable, "-m", "bench_uq", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def suite(ran: Path, here: Path) -> Path:
    """Return a copy of its results to change."""
    shutil.copytree(ran / "results", here / "results")
    return here / "results" / "quick"


def dress(run: store.RunFolder, name: str, content: bytes) -> None:
    """Put a file in a run's folder, with its hash in the record as whoever hands on results could."""
    run.add_file(name, content)


def run_of(suite: Path) -> store.RunFolder:
    """Return the folder of the one run."""
    (path,) = (suite / "runs").glob("map-*")
    return store.RunFolder(path)


@pytest.mark.parametrize("name", [store.NETWORK, "checkpoint.safetensors"])
def test_pickles_as_networks(name: str, suite: Path, here: Path, trap: bytes) -> None:
    """A pickle as a run's network or checkpoint, its hash in the record, is never run: one line says what it is."""
    run = run_of(suite)
    dress(run, name, trap)
    gone = [file for file in run.record().files if file.endswith(".npz")]
    run.forget([*gone, *([store.NETWORK] if name != store.NETWORK else [])])
    result = subprocess.run(
        [sys.executable, "-m", "bench_uq", "run", *SMALL],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "Traceback" not in result.stderr
    lines = [
        line for line in (result.stdout + result.stderr).splitlines() if "scores: " not in line
    ]
    assert len(lines) <= 2
    assert name in "".join(lines) or "afetensor" in "".join(lines), lines


def test_pickles_as_stored_predictions(suite: Path, trap: bytes) -> None:
    """A pickle or objects as stored predictions, their hash in the record, are told when they are scored."""
    run = run_of(suite)
    name = next(file for file in run.record().files if file.startswith("clean"))
    for content in (trap, npz(probs=objects(trap))):
        dress(run, name, content)
        result = CliRunner().invoke(main, ["score"])
        assert "Traceback" not in result.output
        assert len(result.stderr.splitlines()) == 1, result.output


def test_pickles_as_examples(suite: Path, trap: bytes) -> None:
    """A pickle or objects as the stored examples are told when a report is made of them."""
    for content in (trap, npz(**{"digits|map|0|clean||inputs": objects(trap)})):
        (suite / "examples.npz").write_bytes(content)
        assert "examples.npz is damaged or foreign" in told("report", "--formats", "png")


# Archives


def tarred(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    """Return an archive of members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Return a member of an archive."""
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


@pytest.mark.parametrize("kind", REACHING)
@pytest.mark.parametrize("mode", ["w:gz", "w", "w:bz2", "w:xz"])
def test_archives_that_reach_outside(kind: str, mode: str, here: Path, canary: Path) -> None:
    """A member outside the folder, a link or a device lays out nothing and reads nothing."""
    out = here / "out"
    out.mkdir()
    (out / "secret").write_text("secret")
    folder = here / "data"
    folder.mkdir()
    (folder / "all.tar").write_bytes(tarred(*REACHING[kind](out), mode=mode))
    with pytest.raises(Failed, match=r"^all\.tar: ") as refused:
        unpack(folder / "all.tar")
    assert "\n" not in str(refused.value)
    assert {path.name for path in folder.iterdir()} == {"all.tar"}
    assert {path.name for path in out.iterdir()} == {"secret"}
    assert (out / "secret").read_text() == "secret"
    assert (out / "secret").stat().st_nlink == 1


def test_archives_from_a_server(here: Path, canary: Path) -> None:
    """What prepare fetches and unpacks is refused the same, in one line and with exit 1."""
    (here / "web").mkdir()
    (here / "web" / "all.tar.gz").write_bytes(tarred(*REACHING["through a link"](here)))
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *given: handler(*given, directory=str(here / "web"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/all.tar.gz"
    dataset = f"fetched[addresses={address},path=all.tar.gz,unpack=true]"
    result = CliRunner(env={"no_proxy": "*"}).invoke(
        main, ["prepare", dataset, "--plugin", str(PLUGIN)]
    )
    server.shutdown()
    server.server_close()
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert len(lines) == 2
    assert "failed: all.tar.gz: 'link' is neither a file nor a folder" in lines[1]
    assert {path.name for path in (here / "data").iterdir()} <= {"all.tar.gz", ".prepare.lock"}


def test_links_where_something_is_fetched(here: Path, canary: Path) -> None:
    """Links laid where a download, its archive or the lock will be are not written through."""
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


#: The most memory that a process has held by now, in bytes: unlike getrusage's, of itself and not of who started it.
MEASURE = """
import atexit
from pathlib import Path as P
def measure():
    held = next(line for line in P("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print("memory", int(held.split()[1]) * 1024)
atexit.register(measure)
"""


def child(code: str, *arguments: object) -> str:
    """Run code on arguments in a process of its own, which must keep to MEMORY, and return what it prints."""
    command = [
        sys.executable,
        "-c",
        f"{MEASURE}import sys\nfrom pathlib import Path\n{code}",
        *map(str, arguments),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    output, _, held = done.stdout.rpartition("memory ")
    assert int(held) < MEMORY, done.stdout
    return output + done.stderr


def refused_by_child(code: str, *arguments: object) -> str:
    """Return the one line for which what code does is refused."""
    indented = "\n".join(f"    {line}" for line in code.splitlines())
    program = f"""from bench_uq.api.errors import UsageError
from bench_uq.plan.prepare.download import Failed
try:
{indented}
except (UsageError, Failed) as error:
    print("refused:", error)
"""
    output = child(program, *arguments)
    assert output.startswith("refused:"), output
    assert len(output.splitlines()) == 1
    return output


def zeros(count: int, header: bytes = b"", wbits: int = -15) -> tuple[bytes, int]:
    """Return a compressed stream of a header and so many chunks of zeros, and the length of what it holds."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    begin = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)
    chunk = packer.compress(bytes(CHUNK)) + packer.flush(zlib.Z_FULL_FLUSH)
    return begin + chunk * count + packer.flush(), len(header) + count * CHUNK


def gz(count: int, header: bytes = b"") -> bytes:
    """Return a .gz that unpacks to a header and so many chunks of zeros; its checksum is wrong, at its very end."""
    stream, _ = zeros(count, header)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + stream + bytes(8)


def zipped(names: list[str], count: int, header: bytes, declared: int | None = None) -> bytes:
    """Return an archive whose members, all the same bytes, unpack to a header and so many chunks of zeros."""
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


def npy_header(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    """Return the beginning of an npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": kind, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def test_the_bombs_are_some() -> None:
    """What the tests make unpacks as it should: a small one is read whole."""
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(gz(1))
    assert len(gz(128)) < 3_000_000
    with (
        zipfile.ZipFile(io.BytesIO(zipped(["a"], 128, b"x"))) as archive,
        archive.open("a") as file,
    ):
        assert archive.getinfo("a").file_size == 128 * CHUNK + 1
        assert file.read(3) == b"x\0\0"
    with pytest.raises(Bomb, match="unpacks to more than"):
        gunzip(gz(16))


IDX = b"\x00\x00\x08\x03" + struct.pack(">LLL", 256 * CHUNK // 784, 28, 28)
READ_MNIST = "from bench_uq.datasets.mnist import Mnist\nMnist().load('train', Path(sys.argv[1]))"


def test_idx_bombs(here: Path) -> None:
    """Images that unpack to 4 GB are refused before they do, and a header that promises more than there is too."""
    raw = here / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        (raw / name).write_bytes(gz(256, IDX))
    assert "unpacks to more than" in refused_by_child(READ_MNIST, here)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(IDX[:4] + b"\xff" * 12 + bytes(100))
    )
    assert "truncated" in refused_by_child(READ_MNIST, here)


def test_table_bombs(here: Path) -> None:
    """A table that unpacks to 4 GB, and one that is all cells, are refused before they fill the memory."""
    (here / "uci").mkdir()
    code = "from bench_uq.datasets.uci import Uci\nUci('mine').task(Path(sys.argv[1]))"
    (here / "uci" / "mine.txt.gz").write_bytes(gz(256))
    assert "unpacks to more than" in refused_by_child(code, here)
    (here / "uci" / "mine.txt.gz").write_bytes(gzip.compress(b"1 1\n" * (1 << 25), 9))
    assert "unpacks to more than" in refused_by_child(code, here)


NPZ = "from bench_uq.datasets.npz import Npz\nNpz(path=Path(sys.argv[1])).load('test', Path('.'))"
EXAMPLES = "from bench_uq.store.derived import examples\nexamples(Path(sys.argv[1]))"
PREDICTIONS = "from bench_uq.run.imported.files import read_arrays\n"
PREDICTIONS += "read_arrays(Path(sys.argv[1]), Path(sys.argv[1]).read_bytes(), labelled=True)"


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (NPZ, ["x_test", "y_test"]),
        (EXAMPLES, ["a|b|0|clean||inputs"]),
        (PREDICTIONS, ["probs", "labels"]),
    ],
    ids=["dataset", "examples", "predictions"],
)
@pytest.mark.parametrize("kind", ["unpacks", "declares", "claims", "overflows", "lies"])
def test_npz_bombs(code: str, names: list[str], kind: str, here: Path) -> None:
    """Arrays that unpack to gigabytes, members that declare or headers that claim more than there is, are refused."""
    files = [f"{name}.npy" for name in names]
    content = {
        "unpacks": lambda: zipped(files, 128, npy_header((128, CHUNK))),
        "declares": lambda: zipped(files, 1, npy_header((256, CHUNK)), declared=2**32 - 2),
        "claims": lambda: npz(
            **dict.fromkeys(names, npy_header((10**6, 10**6), "<f8") + bytes(100))
        ),
        "overflows": lambda: npz(
            **dict.fromkeys(names, npy_header((2**62, 2**62), "<f8") + bytes(100))
        ),
        "lies": lambda: zipped(files, 128, npy_header((128, CHUNK)), declared=1000),
    }[kind]()
    (here / "mine.npz").write_bytes(content)
    line = refused_by_child(code, here / "mine.npz")
    assert "mine.npz" in line
    assert ("unpacks to" in line) == (kind in ("unpacks", "declares"))


def test_npy_bombs(here: Path) -> None:
    """A single array that claims more than its file holds is refused."""
    folder = here / "mnist_c" / "fog"
    folder.mkdir(parents=True)
    for name in ("test_images.npy", "test_labels.npy"):
        (folder / name).write_bytes(npy_header((10**9, 28, 28, 1)) + bytes(100))
    code = "from bench_uq.datasets.mnist_c import MnistC\nMnistC().load('test', Path(sys.argv[1]))"
    assert "not an npy file" in refused_by_child(code, here)
    (here / "mine.npz").write_bytes(npy_header((10**6, 10**6), "<f8") + bytes(100))
    assert "mine.npz" in refused_by_child(NPZ, here / "mine.npz")


def png(side: int, colour: int) -> bytes:
    """Return a black image of so many pixels a side, grey (colour 0) or red, green and blue (2)."""
    row = side * (3 if colour else 1) + 1
    stream, _ = zeros(-(-side * row // CHUNK), wbits=15)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">L", len(content))
            + kind
            + content
            + struct.pack(">L", zlib.crc32(kind + content))
        )

    header = struct.pack(">LLBBBBB", side, side, 8, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")
    )


FOLDER = """from bench_uq.datasets.folder import Folder
Folder(path=Path(sys.argv[1]), size=int(sys.argv[2])).load('test', Path('.'))
print("read")"""


@pytest.mark.parametrize(
    ("side", "count", "size", "words"),
    [
        (50_000, 1, 8, "decompression bomb"),
        (12_000, 1, 8, "decompression bomb"),
        (9_000, 1, 8, "it has more than 67,108,864 pixels"),
        (8_000, 6, 0, "images of"),
    ],
)
def test_image_bombs(side: int, count: int, size: int, words: str, here: Path) -> None:
    """Images of more pixels than any camera takes, and many of which each is small enough, are refused."""
    (here / "test" / "a").mkdir(parents=True)
    for place in range(count):
        (here / "test" / "a" / f"{place}.png").write_bytes(png(side, 2))
    assert words in refused_by_child(FOLDER, here, size)


def test_large_images_are_decoded_one_by_one(here: Path) -> None:
    """Several large images that are made small do not stand in memory together."""
    (here / "test" / "a").mkdir(parents=True)
    for place in range(4):
        (here / "test" / "a" / f"{place}.png").write_bytes(png(8_000, 2))
    assert child(FOLDER, here, 8) == "read\n"


def test_images_that_are_programs(here: Path, canary: Path) -> None:
    """PostScript under the name of an image is no image: Pillow would have another program run it."""
    (here / "test" / "a").mkdir(parents=True)
    text = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n({canary}) (w) file closefile showpage\n"
    (here / "test" / "a" / "a.png").write_text(text)
    assert "not an image of a known format" in refused_by_child(FOLDER, here, 0)


UNPACK = "from bench_uq.plan.prepare.archive import unpack\nunpack(Path(sys.argv[1]))"


@pytest.mark.parametrize("kind", ["gz", "pax", "long name", "sparse", "plain"])
def test_tar_bombs(kind: str, here: Path) -> None:
    """An archive that unpacks to 32 GB, in a file, a header or a name, lays out nothing."""
    info = member("images.bin")
    info.size = 2048 * CHUNK
    if kind in ("gz", "plain", "sparse"):
        header = info.tobuf(tarfile.GNU_FORMAT)
    else:
        named = member("name", tarfile.XHDTYPE if kind == "pax" else tarfile.GNUTYPE_LONGNAME)
        named.size = 2048 * CHUNK
        header = named.tobuf(tarfile.GNU_FORMAT)
    if kind == "sparse":
        header = header[:156] + b"S" + header[157:]
        header = header[:483] + b"%011o\0" % (2048 * CHUNK) + header[495:]
        total = 256 + sum(header[:148]) + sum(header[156:512])
        header = header[:148] + b"%06o\0 " % total + header[156:]
    content = header + bytes(1024) if kind == "plain" else gz(2048, header)
    (here / "all.tar").write_bytes(content)
    assert "all.tar: " in refused_by_child(UNPACK, here / "all.tar")
    assert {path.name for path in here.iterdir()} == {"all.tar"}


# Text that is nested


def test_nested_text(here: Path, suite: Path) -> None:
    """Brackets nested by the hundred thousand, in JSON, TOML, names and assignments, are told in one line."""
    deep = "[" * 200_000
    (here / "mine.toml").write_text(f"methods = {deep}")
    assert "mine.toml" in told("run", "--suite", "mine.toml")
    (here / "mine.toml").write_text(
        f"methods = ['{deep}']\ndatasets = ['digits']\nseeds = [0]\n[settings]\n"
    )
    assert "not of the form" in told("run", "--suite", "mine.toml")
    assert "brackets do not match" in told("run", "--methods", f"map[{deep}")
    told("run", "--methods", f"map{deep}{']' * len(deep)}")
    told("run", "--set", f"map.members={deep}")
    (suite / "environment.json").write_text(deep)
    assert "environment.json" in told("report", "--formats", "markdown")
    run_of(suite).path.joinpath(store.RECORD).write_text(deep)
    assert run_of(suite).record() == {}
    assert run_of(suite).path.joinpath(f"{store.RECORD}.corrupt").exists()
    (suite / store.PLAN).write_text('{"runs":' * 100_000)
    assert store.read_plan(suite) == store.Plan()


def test_hashes_of_bombs_end(here: Path) -> None:
    """The checksum of what a .gz holds is not computed of terabytes."""
    (here / "a.gz").write_bytes(gz(2048))
    code = "from bench_uq.api.dataset import Download\nfrom bench_uq.plan.prepare.download import right\n"
    code += f"print(right(Path(sys.argv[1]), Download('a.gz', (), sha256={hashlib.sha256().hexdigest()!r})))"
    assert child(code, here / "a.gz") == "False\n"
