"""Collect the checks of a plugin, and run them.

A check is a function ``check_NAME`` of a module in CHECKS; its docstring is the requirement. It
raises ``Broken``, with words for the author of the plugin, or passes on an exception of the plugin.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bench_uq.api.errors import MissingData
from bench_uq.testing.contract import Broken, Note, NotReached, Target

#: Kind -> its modules of checks, each with a function ``subjects`` that prepares a target for them.
CHECKS = {
    "method": ("options", "training", "held_out", "draws"),
    "dataset": ("options", "datasets"),
    "condition": ("options", "conditions"),
    "metric": ("metrics",),
    "network": ("networks",),
}
#: How a check can end, the worst first.
STATUSES = ("FAIL", "note", "ok", "skipped")


@dataclass(frozen=True)
class Check:
    """One requirement and the function that tests it on a subject."""

    name: str
    requirement: str
    function: Callable[[Any], object]


@dataclass(frozen=True)
class Verdict:
    """How a check ended, one of STATUSES."""

    check: Check
    status: str
    reason: str = ""
    trace: str = ""


def checks_in(kind: str) -> Iterator[tuple[Check, ModuleType]]:
    """The checks of a kind, each with its module."""
    for name in CHECKS[kind]:
        module = importlib.import_module(f"bench_uq.testing.{name}")
        for function_name, function in vars(module).items():
            # A module imports functions of others, which are not its own checks.
            if function_name.startswith("check_") and function.__module__ == module.__name__:
                check_name = function_name.removeprefix("check_").replace("_", "-")
                requirement = " ".join((function.__doc__ or "").split()).rstrip(".")
                yield Check(check_name, requirement, function), module


def checks_of(target: Target) -> list[tuple[Check, Sequence[Any]]]:
    """The checks of a target's kind, each with its subjects; raises mistakes of the user."""
    return [(check, module.subjects(target)) for check, module in checks_in(target.kind)]


def run(check: Check, subjects: Sequence[Any], target: Target) -> Verdict:
    """Run a check on each subject; the worst verdict counts."""
    if not subjects:
        reason = f"it suits none of the tasks that a {target.kind} is tried on"
        return Verdict(check, "skipped", reason)

    with one_thread():
        found = [_verdict(check, subject, target) for subject in subjects]
    # The statuses stand from the worst on.
    return min(found, key=lambda verdict: STATUSES.index(verdict.status))


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch, if loaded, on one thread, and its global seed as it is."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return

    # Tiny tensors are faster on one thread.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)


def _verdict(check: Check, subject: Any, target: Target) -> Verdict:
    """Run a check on one subject; an exception on an ``optional`` subject is only a note."""
    where = f"on {subject.where}: " if getattr(subject, "where", "") else ""

    try:
        check.function(subject)
    except (NotReached, MissingData) as error:
        return Verdict(check, "skipped", str(error))
    except Note as error:
        return Verdict(check, "note", f"{where}{error}")
    except Broken as error:
        return Verdict(check, "FAIL", f"{where}{error}", traceback.format_exc())
    except (Exception, SystemExit) as error:
        status, reason = "FAIL", crashed(error, target)
        if getattr(subject, "optional", False):
            status = "note"
            reason += f": if there is no such {target.kind}, suits(task) must return False"
        return Verdict(check, status, f"{where}{reason}", traceback.format_exc())
    return Verdict(check, "ok")


def crashed(error: BaseException, target: Target) -> str:
    """An exception in words, with the line of the plugin that raised it."""
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if target.holds(frame.filename):
            place = f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"
    return f"{type(error).__name__}: {error}{place}"
