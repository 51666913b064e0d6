"""The promises of the contract, a small function each: what ``bench-uq test-plugin`` and the tests run on any plugin.

A check is a function ``check_NAME`` of a module of CHECKS; its docstring is the promise. It raises ``Broken``, with
words for the author of the plugin, or lets an exception of the plugin through.
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
from bench_uq.plan.plugins import Plugins, Spec

#: Kind -> its modules of checks, each with a function ``subjects`` that says what they are run on.
CHECKS = {
    "method": ("options", "training", "draws"),
    "dataset": ("options", "datasets"),
    "condition": ("options", "conditions"),
    "metric": ("metrics",),
    "network": ("networks",),
}


class Broken(AssertionError):
    """A promise that does not hold."""


class Note(Exception):
    """What an author may want to know and what is no failure."""


class NotReached(Exception):
    """What a check needs did not come about; another check says why."""


def require(holds: bool, words: str) -> None:
    """Raise Broken, with these words, unless a promise holds; unlike ``assert`` under ``python -O`` too."""
    if not holds:
        raise Broken(words)


@dataclass(frozen=True)
class Target:
    """A plugin, or a network's file, that is to be checked."""

    kind: str
    name: str
    file: Path  # its source; __init__.py of a folder
    plugins: Plugins
    root: Path  # of the data
    spec: Spec | None = None  # of a network none

    @property
    def value(self) -> Any:
        """The Method, Dataset, Condition or Metric."""
        assert self.spec is not None
        return self.spec.value

    def holds(self, file: str) -> bool:
        """Return whether a file is part of the plugin's source."""
        own = self.file.resolve()
        return (
            own.parent in Path(file).resolve().parents
            if own.name == "__init__.py"
            else own == Path(file).resolve()
        )


@dataclass(frozen=True)
class Check:
    """One promise and the function that puts it to the test, on each subject alone."""

    name: str
    promise: str
    function: Callable[[Any], None]


@dataclass(frozen=True)
class Verdict:
    """How a check ended: ok, FAIL, note or skipped."""

    check: Check
    status: str
    reason: str = ""
    trace: str = ""


def target_of(spec: Spec, plugins: Plugins, root: Path) -> Target:
    """Return what is to be checked of a plugin."""
    return Target(spec.kind, spec.name, spec.file, plugins, root, spec)


def checks_in(kind: str) -> Iterator[tuple[Check, ModuleType]]:
    """Yield the checks of a kind, each with its module."""
    for name in CHECKS[kind]:
        module = importlib.import_module(f"{__name__}.{name}")
        for function_name, function in vars(module).items():
            if function_name.startswith("check_") and function.__module__ == module.__name__:
                promise = " ".join((function.__doc__ or "").split()).rstrip(".")
                yield (
                    Check(
                        function_name.removeprefix("check_").replace("_", "-"), promise, function
                    ),
                    module,
                )


def checks_of(target: Target) -> list[tuple[Check, Sequence[Any]]]:
    """Return the checks of a target's kind, each with what it is run on; a mistake of the user is told here."""
    return [(check, module.subjects(target)) for check, module in checks_in(target.kind)]


def run(check: Check, subjects: Sequence[Any], target: Target) -> Verdict:
    """Run a check on each subject; a failure goes before a note, and it is skipped only where no subject had it run."""
    with one_thread():
        found = [outcome(check, subject, target) for subject in subjects]
    order = ("FAIL", "note", "ok", "skipped")
    nothing = Verdict(
        check, "skipped", f"it suits none of the tasks that a {target.kind} is tried on"
    )
    return min(found, key=lambda verdict: order.index(verdict.status), default=nothing)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch, where it is loaded, on one thread, where tiny tensors are faster, and its global seed as it is."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)


def outcome(check: Check, subject: Any, target: Target) -> Verdict:
    """Run a check on one subject; where the subject is ``optional``, an exception of the plugin is worth a note."""
    where = f"on {subject.where}: " if getattr(subject, "where", "") else ""
    try:
        check.function(subject)
    except (NotReached, MissingData) as error:
        return Verdict(check, "skipped", str(error))
    except Note as error:
        return Verdict(check, "note", where + str(error))
    except Broken as error:
        return Verdict(check, "FAIL", where + str(error), traceback.format_exc())
    except (Exception, SystemExit) as error:
        if getattr(subject, "optional", False):
            words = f"{crashed(error, target)}: if there is no such {target.kind}, let suits(task) say so"
            return Verdict(check, "note", where + words, traceback.format_exc())
        return Verdict(check, "FAIL", where + crashed(error, target), traceback.format_exc())
    return Verdict(check, "ok")


def crashed(error: BaseException, target: Target) -> str:
    """Return an exception in words, with the line of the plugin that it came from."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if target.holds(frame.filename)
    ]
    place = (
        f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name})"
        if frames
        else ""
    )
    return f"{type(error).__name__}: {error}{place}"
