"""Fuzz every target for its share of the time: ``python -m fuzz --seconds 600``, or ``python -m fuzz names``.

Needs atheris (``pip install -e '.[fuzz]'``). A finding stops its target and lies in ``.fuzz/``; inputs that reach new
lines are kept in ``fuzz/corpus/``, as few and small ones as there can be, which tests replay without atheris.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CORPUS, WORK = Path(__file__).parent / "corpus", Path(".fuzz")
#: Bytes of an input at most, and of all that is kept of a target.
LONGEST, LARGEST = 4096, 16_000


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which libFuzzer ends."""
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
    atheris.Setup(
        [sys.argv[0], *options, str(found), str(CORPUS / name)],
        lambda content: check(name, content),
    )
    atheris.Fuzz()


def lines_of(name: str, content: bytes) -> set[tuple[str, int]]:
    """Return the lines that an input reaches."""
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
    """Keep of a target's inputs the small ones that reach lines no other does, and return how many."""
    kept, reached, size = list[Path](), set[tuple[str, int]](), 0
    inputs = sorted(
        {*_files(CORPUS / name), *_files(WORK / name)},
        key=lambda path: (path.stat().st_size, path.name),
    )
    finding = [path for path in inputs if path.name.startswith("finding")]
    for path in [*finding, *(path for path in inputs if path not in finding)]:
        content = path.read_bytes()
        new = lines_of(name, content) - reached
        if path in finding or (new and size + len(content) <= LARGEST):
            kept.append(path)
            reached |= new
            size += len(content)
    contents = {path.name: path.read_bytes() for path in kept}
    for path in _files(CORPUS / name):
        path.unlink()
    for file, content in contents.items():
        (CORPUS / name / file).write_bytes(content)
    return len(contents)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the inputs in a folder."""
    yield from (path for path in sorted(folder.glob("*")) if path.is_file())


def main() -> int:
    """Fuzz the targets one after the other and return 1 where one found something."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help="targets instead of all")
    parser.add_argument("--seconds", type=int, default=600, help="of all targets together")
    parser.add_argument("--alone", action="store_true", help="fuzz one target in this process")
    parser.add_argument(
        "--minimise", action="store_true", help="keep what is new in fuzz/corpus/, and fuzz nothing"
    )
    given = parser.parse_args()
    if given.alone:
        fuzz(given.targets[0], given.seconds)
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
    print(f"findings in {', '.join(failed)}: see {WORK}/" if failed else "no findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
