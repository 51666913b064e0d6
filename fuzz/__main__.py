"""Fuzz every target for its share of the time.

    python -m fuzz --seconds 600
    python -m fuzz names

It needs atheris (``pip install -e '.[fuzz]'``). A finding stops its target and lies in ``.fuzz/``.
Inputs that reach new lines are kept in ``fuzz/corpus/``, few and small; tests replay them without
atheris.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

CORPUS, WORK = Path(__file__).parent / "corpus", Path(".fuzz")
#: Most bytes of an input, and of all kept inputs of a target.
LONGEST, LARGEST = 4096, 16_000


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target in this process; libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(
        include=["bench_uq", "csv", "gzip", "json", "pickle", "tarfile", "tomllib", "zipfile"],
        enable_loader_override=False,
    ):
        from fuzz.targets import check

    found = WORK / name
    found.mkdir(parents=True, exist_ok=True)
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    limits = [
        "-timeout=30",
        "-rss_limit_mb=3000",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={WORK}/{name}-",
    ]
    options = [f"-max_total_time={seconds}", "-verbosity=0", *limits]
    arguments = [sys.argv[0], *options, str(found), str(CORPUS / name)]
    atheris.Setup(arguments, lambda content: check(name, content))
    atheris.Fuzz()


def lines_of(name: str, content: bytes) -> set[tuple[str, int]]:
    """Lines that an input reaches, by file."""
    from fuzz.targets import check

    reached = set[tuple[str, int]]()

    def trace(frame: object, event: str, argument: object) -> object:
        del argument
        if event == "line":
            reached.add((frame.f_code.co_filename, frame.f_lineno))  # type: ignore[attr-defined]
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        check(name, content)
    finally:
        sys.settrace(None)
    return reached


def minimise(name: str) -> int:
    """Keep all findings and the smallest inputs that reach new lines; return their number."""
    inputs = {*_files(CORPUS / name), *_files(WORK / name)}
    kept, reached, size = dict[str, bytes](), set[tuple[str, int]](), 0
    for path in sorted(inputs, key=_order):
        content = path.read_bytes()
        new = lines_of(name, content) - reached
        if _is_finding(path) or (new and size + len(content) <= LARGEST):
            kept[path.name] = content
            reached |= new
            size += len(content)

    for path in _files(CORPUS / name):
        path.unlink()
    for file, content in kept.items():
        (CORPUS / name / file).write_bytes(content)
    return len(kept)


def _is_finding(path: Path) -> bool:
    return path.name.startswith("finding")


def _order(path: Path) -> tuple[bool, int, str]:
    """Findings first, then small inputs before large ones."""
    return not _is_finding(path), path.stat().st_size, path.name


def _files(folder: Path) -> list[Path]:
    """Inputs in a folder."""
    return [path for path in folder.glob("*") if path.is_file()]


def main() -> int:
    """Fuzz the targets one after the other; return 1 if there is a finding."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="targets instead of all")
    parser.add_argument("--seconds", type=int, default=600, help="of all targets together")
    parser.add_argument("--alone", action="store_true", help="fuzz one target in this process")
    parser.add_argument("--minimise", action="store_true", help="keep new inputs, without fuzzing")
    given = parser.parse_args()
    if given.alone:
        fuzz(given.targets[0], given.seconds)

    # Imported here: a process that fuzzes must let atheris instrument these modules first.
    from fuzz.targets import TARGETS

    chosen = given.targets or list(TARGETS)
    failed = []
    for name in chosen:
        if not given.minimise:
            seconds = max(1, given.seconds // len(chosen))
            print(f"{name}: {seconds} s", flush=True)
            command = [sys.executable, "-m", "fuzz", name, "--alone", "--seconds", str(seconds)]
            if subprocess.run(command).returncode:
                failed.append(name)
                continue
        print(f"{name}: {minimise(name)} inputs kept", flush=True)

    if failed:
        print(f"findings in {', '.join(failed)}: see {WORK}/")
        return 1
    print("no findings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
