"""bench-uq doctor finds what is wrong with a machine, and writes nothing."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import torch

from bench_uq import __version__
from bench_uq.api.errors import UsageError
from bench_uq.cli.doctor import arithmetic, bfloat16, cpu_flags, folders, release
from bench_uq.metrics import _netcal
from bench_uq.store.folders import writable

PLUGINS = Path(__file__).parents[1] / "plugins"


def doctor(
    folder: Path, *arguments: str, path: Path | None = None
) -> tuple[int, dict[str, str], list[str]]:
    """Exit code, text by name (with its mark), and all lines."""
    own = {"PYTHONPATH": str(folder / "site"), "PATH": f"{path}:{os.environ['PATH']}"}
    environment = {**os.environ, **own}
    environment.pop("BENCH_UQ_DATA", None)
    command = [sys.executable, "-m", "bench_uq", "doctor", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    rows = [(line[0], *line[4:].split(maxsplit=1)) for line in lines if line[1:4] == "   "]
    return done.returncode, {row[1]: f"{row[0]} {row[2]}".strip() for row in rows}, lines


def distribution(folder: Path, name: str, version: str, entries: str = "") -> None:
    """Write the metadata of an installed package."""
    info = folder / "site" / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(entries)


def everything(folder: Path) -> list[Path]:
    """Everything in a folder except compiled modules."""
    return [path for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts]


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"avx2", "avx512f"}, "absent"),
        ({"avx2", "avx512_bf16"}, "there"),
        ({"asimd", "bf16"}, "there"),
        (set(), "unknown"),
    ],
)
def test_bfloat16_is_that_of_the_cpu(flags: set[str], word: str) -> None:
    if not torch.cuda.is_available():
        assert bfloat16(flags).partition(":")[0] == word


def test_features_of_a_cpu_agree_with_torch() -> None:
    """Torch asks the processor itself."""
    capability = torch.backends.cpu.get_cpu_capability()
    if capability.startswith("AVX"):
        assert {"AVX2": "avx2", "AVX512": "avx512f"}[capability] in cpu_flags()


def test_arithmetic_that_differs_from_netcal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One digit of difference is a problem, and both numbers are told."""
    assert [one.problem for one in arithmetic()] == [False, False]
    exact = _netcal.expected_error

    def off(*arguments: object) -> float:
        """Return the next number."""
        return math.nextafter(exact(*arguments), 1)  # type: ignore[arg-type]

    monkeypatch.setattr(_netcal, "expected_error", off)
    ece, mce = arithmetic()
    assert (ece.problem, mce.problem) == (True, False)
    assert "where netcal has" in ece.text


def test_a_machine_that_is_well(
    tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions, device, folders, data and tools are listed, and nothing is written.

    A notebook's backend of matplotlib, which this environment lacks, is no obstacle.
    """
    monkeypatch.setenv("MPLBACKEND", "backend_of_a_notebook")
    code, rows, lines = doctor(tmp_path, "--data-dir", str(data_root))
    assert code == 0
    assert lines[0] == f"bench-uq {__version__}"
    assert rows["torch"].startswith(torch.__version__.split("+")[0])
    kind = "CUDA" if torch.cuda.is_available() else "CPU"
    assert rows["device"].removeprefix("! ").startswith(kind)
    assert rows["results"] == "results, made when needed"
    assert rows["mnist"] == f"ready    in {data_root}/MNIST/raw"
    assert rows["git"].startswith(("there", "absent"))
    assert lines[-1].startswith("  bench-uq can run here")
    assert everything(tmp_path) == []


def test_a_machine_with_flaws(tmp_path: Path) -> None:
    """An old package and broken plugins are marked, with one line each; bench-uq can still run."""
    distribution(tmp_path, "tqdm", "4.1")
    entries = "[bench_uq.methods]\nour-swag = bench_swag\ngone = not_there\n"
    entries += "[bench_uq.datasets]\nbad = bench_bad\n"
    distribution(tmp_path, "bench-swag", "0.3", entries)
    (tmp_path / "site" / "bench_swag.py").write_text((PLUGINS / "my_swag.py").read_text())
    (tmp_path / "site" / "bench_bad.py").write_text("raise OSError('two\\nlines')\n")

    before = everything(tmp_path)
    code, rows, lines = doctor(tmp_path)
    assert code == 0
    assert rows["tqdm"] == "! 4.1  older than 4.66: pip install 'tqdm>=4.66'"
    assert rows["our-swag"] == "method from bench-swag 0.3"
    assert rows["gone"].startswith("! method from bench-swag 0.3: broken")
    assert "not_there" in rows["gone"]
    assert rows["bad"].endswith("bench_bad fails at import: OSError: two")
    assert rows["mnist"].startswith("missing")
    assert lines[-1].startswith("  bench-uq can run here; ")
    assert everything(tmp_path) == before


def test_a_machine_that_cannot_run(tmp_path: Path) -> None:
    """The last line names a package that fails and a folder that cannot be written; exit 1."""
    (tmp_path / "site").mkdir()
    broken = "print('chatter')\nraise ImportError('libtorch.so is damaged')\n"
    (tmp_path / "site" / "torch.py").write_text(broken)
    (tmp_path / "file").write_text("")

    before = everything(tmp_path)
    code, rows, lines = doctor(tmp_path, "--results", "file/results")
    assert code == 1
    assert rows["torch"].endswith("fails at import: ImportError: libtorch.so is damaged")
    assert rows["machine"].startswith("! ImportError")
    assert rows["results"].startswith("! cannot write to file/results: ")
    assert f"{tmp_path}/file" in rows["results"]
    assert rows["digits"].startswith("ready")
    assert lines[-1].startswith("! bench-uq cannot run here: see torch, ")
    assert lines[-1].endswith("results")
    assert not [line for line in lines if "chatter" in line or "Traceback" in line]
    assert everything(tmp_path) == before


def test_a_plugin_that_is_in_the_way(tmp_path: Path) -> None:
    """The last line names a plugin whose name is taken; a GPU out of reach is marked."""
    distribution(tmp_path, "bench-map", "1.0", "[bench_uq.methods]\nmap = bench_map\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "nvidia-smi").chmod(0o755)
    code, rows, lines = doctor(tmp_path, path=tmp_path / "bin")
    assert (code, lines[-1]) == (1, "! bench-uq cannot run here: see map")
    assert "two plugins are called 'map'" in rows["map"]
    assert rows["nvidia-smi"].startswith("there")
    assert torch.cuda.is_available() or rows["device"].startswith("! CPU, although nvidia-smi")


@pytest.mark.parametrize(
    ("link", "words"),
    [(True, "is a link to nothing"), (False, "is not a folder that can be written to")],
)
@pytest.mark.parametrize("below", ["", "/sub/sub"])
def test_folders_are_judged_as_by_the_commands(
    tmp_path: Path, link: bool, words: str, below: str
) -> None:
    """doctor refuses a folder behind a bad link or a file with the words of a command."""
    wrong = tmp_path / "results"
    wrong.symlink_to("gone") if link else wrong.write_text("")
    folder = Path(f"{wrong}{below}")
    with pytest.raises(UsageError) as refused:
        writable(folder)
    assert str(refused.value) == f"cannot write to {folder}: {wrong} {words}"
    results, _, _, disk = folders(folder, tmp_path, tmp_path)
    assert (results.text, results.problem, results.essential) == (str(refused.value), True, True)
    assert disk.name == "disk"
    _, reports, data, _ = folders(tmp_path, folder, folder)
    assert (reports.text, reports.problem, reports.essential) == (str(refused.value), True, False)
    assert (data.text, data.problem) == (str(refused.value), False)


@pytest.mark.parametrize("mode", [0o555, 0o666, 0o000])
def test_folders_that_may_not_be_written_to(tmp_path: Path, mode: int) -> None:
    """A folder that is read-only or cannot be searched is named, for folders inside it too."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    shut = tmp_path / "shut"
    (shut / "results").mkdir(parents=True)
    shut.chmod(mode)
    refused = f"{shut} is not a folder that can be written to"
    inside = "shut/new/results" if mode == 0o555 else "shut/results"

    child = os.fork()
    if child == 0:  # root may write anywhere
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            for name in ("shut", "shut/new", inside):
                folder = tmp_path / name
                expected = f"cannot write to {folder}: {refused}"
                results, reports, data, _ = folders(folder, folder, folder)
                assert (results.text, results.problem, results.essential) == (expected, True, True)
                assert (reports.text, reports.problem) == (expected, True)
                told = str(folder) if name == "shut" else expected
                assert (data.text, data.problem) == (told, False)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    shut.chmod(0o755)
    assert status == 0


@pytest.mark.parametrize(
    ("older", "newer"),
    [("2.5.1", "2.6"), ("4.9", "4.66"), ("2.6.0rc1+cpu", "2.10"), ("0.4.2", "0.4.3")],
)
def test_versions_are_compared_by_their_numbers(older: str, newer: str) -> None:
    """Versions are ordered number by number; trailing zeros and suffixes do not count."""
    assert release(older) < release(newer)
    assert release(newer) == release(f"{newer}.0+cu126")
