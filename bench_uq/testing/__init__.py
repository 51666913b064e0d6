"""The requirements of the plugin contract, for ``bench-uq test-plugin`` and for your own pytest."""

from __future__ import annotations

import unittest
from pathlib import Path

from bench_uq.api.errors import unknown
from bench_uq.testing.checks import Verdict, checks_in, checks_of, run
from bench_uq.testing.contract import Broken, Target

__all__ = ["Target", "check_names", "check_plugin", "checks_in", "checks_of", "run"]


def check_names(kind: str) -> list[str]:
    """Names of the checks for a kind of plugin or for networks, for parametrised tests."""
    return [check.name for check, _ in checks_in(kind)]


def check_plugin(
    plugin: str | Path, only: str = "", *, kind: str | None = None, data: Path = Path("data")
) -> None:
    """Raise AssertionError, with one line per broken requirement, on a plugin's name or file.

    ``only`` is the name of a single check. If no check could run, raise unittest.SkipTest, which
    pytest understands: data are missing, or another requirement is broken.
    """
    from bench_uq.testing.targets import targets

    known, broken, verdicts = set[str](), list[str](), list[Verdict]()
    for target in targets([str(plugin)], kind, (), data):
        for check, subjects in checks_of(target):
            known.add(check.name)
            if only in ("", check.name):
                verdicts.append(run(check, subjects, target))
                if verdicts[-1].status == "FAIL":
                    broken.append(f"{target.name}: {check.name}: {verdicts[-1].reason}")

    # Without this a misspelt name of a check would pass.
    if not verdicts:
        raise unknown("check", only, known)
    if broken:
        raise Broken("\n".join(broken))
    if all(verdict.status == "skipped" for verdict in verdicts):
        raise unittest.SkipTest("; ".join(dict.fromkeys(verdict.reason for verdict in verdicts)))
