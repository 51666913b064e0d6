"""Tables and figures of a suite, made from its derived files alone; loads neither torch nor netcal."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from bench_uq.errors import UsageError

__all__ = ["write"]


def write(suite: Path, target: Path) -> list[Path]:
    """Write the report of the results in ``suite`` to ``target`` and return its files; an error leaves none behind."""
    from bench_uq.report import figures, latex, markdown
    from bench_uq.report.frames import read

    results = read(suite)
    drawn = figures.draw(results)
    names = [(dataset, PurePosixPath("figures", name)) for dataset, name in drawn]
    contents = {
        "summary.md": markdown.summary(results, names).encode(),
        **{f"tables/{name}": text.encode() for name, text in latex.fragments(results).items()},
        **{f"figures/{name}": image for (_, name), image in drawn.items()},
    }
    try:
        return [_replace(target / name, content) for name, content in sorted(contents.items())]
    except OSError as error:
        raise UsageError(f"cannot write the report to {target}: {error.strerror or error}") from None


def _replace(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all: beside its place, then onto it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path
