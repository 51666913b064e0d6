"""Commands within the process of the tests."""

from __future__ import annotations

import contextlib
from pathlib import Path

from click.testing import CliRunner, Result

from bench_uq.cli import main


def invoke(folder: Path, *arguments: str) -> Result:
    """Run bench-uq within this process in a folder."""
    with contextlib.chdir(folder):
        return CliRunner().invoke(main, list(arguments))


def done(folder: Path, *arguments: str) -> str:
    """What a command prints that ends well."""
    result = invoke(folder, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout
