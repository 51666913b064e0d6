"""Renew the arrays that are kept: ``python -m tests.golden``, from the root of the repository."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.golden.comparison import FILE, NUMBERS, Golden, complaint, differences, read, write
from tests.golden.runs import make, versions


def main(arguments: list[str] | None = None) -> None:
    """Renew the file and print what moved; refuse where a number should have been raised."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument(
        "--keep-versions",
        action="store_true",
        help="Renew without a raised number: only plugins, torch or the suites here changed.",
    )
    options = parser.parse_args(arguments)

    with tempfile.TemporaryDirectory() as folder:
        made = Golden(versions(), make(Path(folder)))

    if FILE.is_file():
        kept = read(FILE)
        for name, text in differences(kept.arrays, made.arrays).items():
            print(f"{name.run}: {name.array} {text}")
        for stage in NUMBERS:
            raised = made.versions[stage] > kept.versions[stage]
            if not raised and not options.keep_versions and (text := complaint(stage, kept, made)):
                sys.exit(text)

    write(made, FILE)
    print(f"{FILE.name}: {len(made.arrays)} arrays, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
