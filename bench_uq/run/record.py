"""Record how a run began and how it ended."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq.api.errors import Interrupted, one_line
from bench_uq.store import PlannedRun, Record, RunFolder

#: Reason of a run whose process ended without a word.
UNFINISHED = "the process ended before the run did"


@dataclass(frozen=True)
class Ended:
    """Record of a run that ended; ``stored`` if it was complete before."""

    record: Record
    stored: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain data for another process."""
        return {"record": self.record.to_json(), "stored": self.stored}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Ended:
        """Read plain data of ``to_json``."""
        record = value["record"]
        return cls(Record.from_json(record, record["run"]), value["stored"])


def verdict(result: Ended) -> str:
    """How a run ended, for a line on it."""
    record = result.record
    if result.stored:
        return "stored"
    if record.status != "ok":
        return f"{record.status}: {record.reason}"

    seconds = sum(record.predict_seconds.values())
    text = f"  trained in {record.train_seconds:.1f} s, predicted in {seconds:.1f} s"
    if record.reason:
        text = f", but {record.reason}{text}"
    if record.diagnosis:
        text += f"  ({record.diagnosis})"
    return f"ok{text}"


@dataclass
class Ending:
    """Facts of a run's end that its record does not hold.

    ``lacking`` says what could not be done, through no fault of the run. ``memory`` is the peak in
    bytes. ``unstored`` holds facts for which there was no space on the disk.
    """

    lacking: list[str] = field(default_factory=list)
    memory: float | None = None
    unstored: dict[str, Any] = field(default_factory=dict)


@contextmanager
def recorded(folder: RunFolder, plugins: Sequence[Path]) -> Iterator[Ending]:
    """Record how the work on a run ended; of all errors only Interrupted is raised again."""
    # A worker of a cluster imports this module, and runs nothing that needs torch.
    from bench_uq.predict.memory import is_out_of_memory
    from bench_uq.train.epoch import Diverged

    ending = Ending()
    try:
        yield ending
        # Training and prediction may be of two processes; the larger peak counts.
        memory = max(ending.memory or 0, folder.record().peak_memory or 0)
        reason = "; ".join(ending.lacking) or None
        folder.update(status="ok", reason=reason, traceback=None, peak_memory=memory)
        return
    except Interrupted:
        # The record says so already, in other words.
        with suppress(OSError):
            folder.update(status="interrupted", reason="told to stop")
        raise
    except Diverged as error:
        facts = {"status": "diverged", "reason": str(error)}
    except BaseException as error:
        # Also SystemExit and KeyboardInterrupt: these are a plugin's, because SIGINT is ignored.
        status = "oom" if is_out_of_memory(error) else "failed"
        reason = printable(one_line(error) + place(error, plugins))
        facts = {"status": status, "reason": reason, "traceback": printable(traceback.format_exc())}
        if isinstance(error, store.CannotWrite):
            told(folder, error)

    try:
        folder.update(**facts)
    except OSError as error:
        ending.unstored = facts
        # Said already if the disk was full before.
        if "cannot write" not in facts["reason"]:
            told(folder, error)


def facts(run: PlannedRun) -> dict[str, Any]:
    """Fields of a record that are known before the run starts."""
    names = ("method", "method_full", "dataset", "dataset_full", "seed", "key")
    known = {name: getattr(run, name) for name in names}
    return {**known, "identity": dict(run.identity), "settings": dict(run.settings)}


def begun(run: PlannedRun) -> dict[str, Any]:
    """Fields of a record while its run is at work."""
    return {**facts(run), "status": "interrupted", "reason": UNFINISHED}


def told(folder: RunFolder, error: Exception) -> None:
    """Say on stderr why a run could not be stored, because on a full disk no file can say so."""
    store.say(f"{folder.path.name}: {' '.join(str(error).split())}")


def printable(text: str) -> str:
    """Text that can be written as UTF-8; names of files may hold other bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


def place(error: BaseException, plugins: Sequence[Path]) -> str:
    """Last line of a user's own file that an error passed through; empty without one."""
    own = {str(path.absolute()) for path in plugins}

    # The last line of the user's file is the one to mend; below it are lines of torch.
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if str(path.absolute()) in own:
            return f" ({path.name}, line {frame.lineno}, in {frame.name})"
    return ""
