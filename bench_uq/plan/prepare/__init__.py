"""Prepare datasets: fetch, check, unpack and load their files."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import filelock

from bench_uq.api.dataset import Download
from bench_uq.api.errors import MissingData, UsageError, one_line
from bench_uq.plan.plugins import Spec
from bench_uq.plan.prepare.archive import unpack
from bench_uq.plan.prepare.download import Failed, fetch, right
from bench_uq.plan.prepare.inventory import (
    held,
    partial,
    readings,
    reason,
    right_as,
    state,
    target,
    where,
)
from bench_uq.store.files import sync
from bench_uq.store.folders import unlinked

#: Called with a line about a dataset.
Say = Callable[[str], None]


def prepare(spec: Spec, root: Path, mirror: str, say: Say) -> int:
    """Fetch the missing files of a dataset and load every split.

    Return an exit code: 0, 1 failed, 2 for the user to mend.
    """

    def work() -> None:
        pending = lacking(spec, root)

        # The user may have put files there in another form, which is as good.
        if pending and loads(spec, root):
            say("there already, in files that were not fetched here")
        elif pending:
            with alone(root):
                for one in spec.value.downloads():
                    obtain(one, root, mirror, say)
        elif spec.value.downloads():
            say("there already")

        say(several(spec, root) or loaded(spec, root))

    return told(work, spec, root, say)


def foresee(spec: Spec, root: Path, mirror: str, say: Say) -> int:
    """Say what ``prepare`` would fetch; return 2 if files are missing that it cannot fetch."""

    def work() -> None:
        found = state(spec.name, spec.value, root)
        pending = lacking(spec, root) if found.state != "ready" else []

        for one in pending:
            how = f"copy {one.installed}"
            if not is_installed(one):
                how = f"fetch {next(iter(addresses(one, mirror)), 'what has no address')}"
            say(f"would {how} into {target(one, root).parent}")

        if found.state == "ready":
            say(f"there already, {found.remark}")
        elif not pending:
            raise UsageError(found.remark)

    return told(work, spec, root, say)


def told(work: Callable[[], None], spec: Spec, root: Path, say: Say) -> int:
    """Do the work on a dataset; an error becomes a line and an exit code."""
    # Nothing is raised, so that the next dataset has its turn.
    try:
        work()
        return 0

    except UsageError as error:
        say(reason(error, spec.plain))
        return 2

    except OSError as error:
        say(f"failed: {error.filename or root}: {error.strerror or error}")
    except Failed as error:
        say(f"failed: {error}")
    except Exception as error:
        say(f"failed: {one_line(error)}")
    return 1


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Prevent other processes from fetching into the same folder at the same time."""
    root.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(unlinked(root / ".prepare.lock"))

    try:
        # Tried without waiting first, to tell the user why nothing happens.
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"waiting for another bench-uq prepare to finish with {root}", file=sys.stderr)
        lock.acquire()

    try:
        yield
    finally:
        lock.release()


def lacking(spec: Spec, root: Path) -> list[Download]:
    """Downloads of a dataset that are missing or wrong."""
    return [one for one in spec.value.downloads() if not held(one, root)]


def loads(spec: Spec, root: Path) -> bool:
    """Whether a dataset loads although none of its downloads is there, right or wrong."""
    for one in spec.value.downloads():
        if any(path.exists() for path in readings(one, root)):
            return False

    try:
        return bool(loaded(spec, root))
    except UsageError:
        return False


def several(spec: Spec, root: Path) -> str:
    """Error of a dataset that stands for several, such as ``uci`` without a name; else empty.

    All its downloads are there, but none of the files of its default options.
    """
    files = spec.value.files(root)
    if not spec.value.downloads() or not files or any(path.exists() for path in files):
        return ""

    try:
        spec.value.load(spec.value.splits[-1], root)
    except MissingData:
        return ""
    except UsageError as error:
        return reason(error, spec.plain)
    return ""


def loaded(spec: Spec, root: Path) -> str:
    """Load every split, checked as a run checks it; return the numbers of examples and where."""
    from bench_uq.plan.examples import check_task, load

    counts = []
    for split in spec.value.splits:
        examples = load(spec.value, split, root, 0)
        check_task(spec.value, spec.value.task(root), examples)
        counts.append(f"{len(examples):,}")
    return f"{' + '.join(counts)} examples {where(spec.value, root)}"


def obtain(download: Download, root: Path, mirror: str, say: Say) -> None:
    """Fetch and unpack a file that is missing or wrong.

    A wrong file is set aside only when the right one is there.
    """
    path = target(download, root)
    if held(download, root):
        say(f"{path.name}  there already")
        return

    # The file may be right and only its unpacked content damaged.
    fetched = not path.is_file() or not right(path, download)
    how = "fetched"
    if fetched and is_installed(download):
        how = f"copied from {Path(download.installed).parent}"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Copied and not linked: the package may be removed.
        shutil.copyfile(download.installed, unlinked(partial(path)))
        sync(partial(path))
    elif fetched:
        try:
            fetch(download, addresses(download, mirror), partial(path))
        except Failed as error:
            raise Failed(f"{path.name}: {error}") from error
        sync(partial(path))

    # Set aside and not deleted: the file may be one of the user's own.
    for wrong in readings(download, root):
        if wrong.is_file() and not right_as(wrong, download):
            wrong.replace(wrong.with_name(f"{wrong.name}.corrupt"))
            say(f"{wrong.name}  damaged, set aside as {wrong.name}.corrupt")

    if fetched:
        # Renamed only when complete and synced, so that no dataset reads half a file.
        partial(path).replace(path)
        sync(path.parent)
        say(f"{path.name}  {how}, {megabytes(path)}")

    if download.unpack:
        unpack(path)
        say(f"{path.name}  unpacked")


def is_installed(download: Download) -> bool:
    """Whether a package of the system has installed the right file."""
    file = Path(download.installed)
    return bool(download.installed) and file.is_file() and right(file, download)


def addresses(download: Download, mirror: str) -> Sequence[str]:
    """Addresses of a download: its own, or the mirror alone."""
    if not mirror:
        return download.urls
    # A mirror is one flat folder, without the paths of the sources.
    return (f"{mirror.rstrip('/')}/{quote(PurePosixPath(download.path).name)}",)


def megabytes(path: Path) -> str:
    """Size of a file for people."""
    count = path.stat().st_size
    if count < 1e5:
        return f"{count / 1e3:,.1f} kB"
    return f"{count / 1e6:,.1f} MB"
