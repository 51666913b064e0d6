"""Record how a run began and ended."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq.api.errors import Interrupted, one_line
from bench_uq.plan.runs import Run
from bench_uq.predict.memory import is_out_of_memory
from bench_uq.train.epoch import Diverged

#: Why a run is interrupted of which nothing was heard any more.
UNFINISHED = "the process ended before the run did"


@dataclass
class Ending:
    """How the work on a run ended, where its record does not say."""

    lacking: list[str] = field(
        default_factory=list
    )  # what could not be done, through no fault of the run
    unstored: dict[str, Any] = field(
        default_factory=dict
    )  # what the record could not take, for want of room


@contextmanager
def recorded(folder: store.RunFolder, plugins: Sequence[Path]) -> Iterator[Ending]:
    """Write down how the work ended, and where in a file of the user; nothing but an interruption leaves."""
    ending = Ending()
    try:
        yield ending
        folder.update(status="ok", reason="; ".join(ending.lacking) or None, traceback=None)
        return
    except Interrupted:
        with suppress(OSError):  # the record says so already, in other words
            folder.update(status="interrupted", reason="told to stop")
        raise
    except Diverged as error:
        facts = {"status": "diverged", "reason": str(error)}
    except (
        BaseException
    ) as error:  # also SystemExit and KeyboardInterrupt: a plugin's own, as SIGINT is ignored
        status = "oom" if is_out_of_memory(error) else "failed"
        reason = printable(one_line(error) + place(error, plugins))
        facts = {"status": status, "reason": reason, "traceback": printable(traceback.format_exc())}
        if isinstance(error, store.CannotWrite):
            told(folder, error)
    try:
        folder.update(**facts)
    except OSError as error:
        ending.unstored = facts
        if "cannot write" not in facts["reason"]:
            told(folder, error)


def told(folder: store.RunFolder, error: Exception) -> None:
    """Say on stderr why a run could not be stored: where there is no room left, no file says so."""
    store.say(f"{folder.path.name}: {' '.join(str(error).split())}")


def printable(text: str) -> str:
    """Return a text that can be written as UTF-8: file names may hold bytes that are none."""
    return text.encode("utf-8", "backslashreplace").decode()


def place(error: BaseException, plugins: Sequence[Path]) -> str:
    """Return the last line of a user's own file that an error passed, empty without one."""
    own = {str(path.absolute()) for path in plugins}
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if str(Path(frame.filename).absolute()) in own
    ]
    return (
        f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name})"
        if frames
        else ""
    )


def facts(run: Run) -> dict[str, Any]:
    """Return what the record says of a run before it starts."""
    names = ("method", "method_full", "dataset", "dataset_full", "seed", "key")
    return {
        "schema": store.SCHEMA,
        "run": run.name,
        "identity": dict(run.identity),
        "settings": dict(run.settings),
        **{name: getattr(run, name) for name in names},
    }
