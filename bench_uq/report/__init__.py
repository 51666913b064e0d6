"""Tables and figures of a suite, made from its derived files alone; loads neither torch nor netcal."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from bench_uq.errors import UsageError
from bench_uq.store import write_bytes

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
        for name, content in sorted(contents.items()):
            write_bytes(target / name, content)
    except OSError as error:
        raise UsageError(f"cannot write the report to {target}: {error.strerror or error}") from None
    return [target / name for name in sorted(contents)]
