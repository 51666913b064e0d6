"""Join several roots of results: plans are united, and each run is kept once.

Damaged files are left out, and contradictions are reported. The other roots may be somebody else's:
no link in them is followed, and nothing in them is changed.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.run.checkpoints import GROUP
from bench_uq.run.checkpoints import NAME as CHECKPOINT
from bench_uq.run.foreign import refuse_loss
from bench_uq.run.job import hash_of_network
from bench_uq.score import published, trials
from bench_uq.store import Damaged, Plan, PlannedRun, Record, RunFolder, StoredFile, untrusted

T = TypeVar("T")

#: Which of two records of a run counts: a finished one, then one that is known not to work.
RANKS = {"ok": 0, "failed": 1, "diverged": 1, "oom": 1, "interrupted": 2}

#: Fields of a record by file.
BY_FILE = ("predict_seconds", "surrogates", "sources")

#: Seconds between two looks at a run that another process holds, and the number of looks.
PATIENCE, LOOKS = 0.2, 25


@dataclass
class Joined:
    """Counts of a joined suite; ``notice`` is told of problems as they are met."""

    suite: str
    folders: int
    notice: Callable[[str], None]
    runs: int = 0  # planned
    missing: int = 0  # planned, without a record
    conflicts: int = 0
    lost: int = 0  # runs, files and plans that were not whole anywhere

    def conflict(self, run: str, other: Path, part: str, kept: Path) -> None:
        """Report and count a contradiction."""
        self.conflicts += 1
        place = f"{self.suite}/{run}"
        self.notice(
            f"conflict: {place}: the {part} of {other} is not that of {kept}, which is kept"
        )

    def damage(self, path: Path, error: Exception) -> None:
        """Report a file that is left out."""
        place, reason = str(path), str(error)
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror.lower()
        if not place.isprintable():
            place = repr(place)
        self.notice(f"left out: {place}: {reason}")


@dataclass(frozen=True)
class Version:
    """A run as one root of results has it; ``whole`` names its files that are as stored."""

    root: Path
    path: Path
    record: Record
    whole: Set[str]

    @property
    def network(self) -> str | None:
        """Hash of its network."""
        return hash_of_network(self.record)

    @property
    def held(self) -> dict[str, StoredFile]:
        """Entries of its whole files."""
        return {name: self.record.files[name] for name in self.whole}

    @property
    def standing(self) -> tuple[int, bool, bool, bool]:
        """Key to sort versions by; the one to keep comes first."""
        rank = RANKS.get(self.record.status, 2)
        # Networks can be shown more than what was published of them.
        published = self.record.kind == store.PUBLISHED
        incomplete = not self.record.files.keys() <= self.whole
        return rank, published, incomplete, rank == 0 and bool(self.record.reason)


def sources(roots: Sequence[Path], out: Path) -> dict[str, list[Path]]:
    """Roots that hold each suite; results that cannot be merged are refused before any write."""
    distinct = dict[str, Path]()
    for root in roots:
        # A root that is given twice, or by two names, would seem to agree with itself.
        distinct.setdefault(os.path.realpath(root), root)

    holders = dict[str, list[Path]]()
    for root in distinct.values():
        try:
            for name in untrusted.suites(root):
                store.check_schema(root / name, untrusted.runs(root / name))
                holders.setdefault(name, []).append(root)
        except OSError as error:
            raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error

    # The schema of the target is checked too before anything is written.
    for name in holders:
        store.check_schema(out / name, untrusted.runs(out / name))
    return dict(sorted(holders.items()))


def join(suite: str, roots: Sequence[Path], out: Path, notice: Callable[[str], None]) -> Joined:
    """Join a suite of several roots in one; what that one holds before goes first."""
    joined, folder = Joined(suite, len(roots), notice), out / suite
    others = [root for root in roots if os.path.realpath(root) != os.path.realpath(out)]
    join_plans(joined, others, out)
    join_references(joined, others, out)
    join_trials(joined, others, out)

    runs = set[str]()
    for root in others:
        runs.update(untrusted.runs(root / suite))
        for path in untrusted.links(root / suite):
            joined.lost += 1
            joined.damage(path, Damaged("a link"))

    for run in sorted(runs):
        target = store.run_folder(folder, run)
        with locked(target) as mine:
            if mine:
                join_run(joined, target, others, out)
            else:
                joined.lost += 1
                reason = "is another process's: merge again when that is done"
                notice(f"left out: {target.path} {reason}")

    planned = store.read_plan(folder).runs.values()
    joined.runs = len(planned)
    for one in planned:
        joined.missing += not store.run_folder(folder, one.name).record().status
    return joined


@contextmanager
def locked(folder: RunFolder) -> Iterator[bool]:
    """Hold a run's lock and yield True; yield False if another process goes on holding it."""
    for look in range(LOOKS):
        with folder.locked() as mine:
            if mine or look == LOOKS - 1:
                yield mine
                return
        # Another process may hold it for a moment only.
        time.sleep(PATIENCE)


def join_plans(joined: Joined, roots: Sequence[Path], out: Path) -> None:
    """Unite the plans: the first run of each place stays, with the evaluations of all."""
    before = store.read_plan(out / joined.suite)
    found = {place: (out, planned) for place, planned in before.runs.items()}
    description, about = before.description, before.about

    for root in roots:
        path = root / joined.suite / store.PLAN
        try:
            plan = Plan.from_json(store.load_json(path))
        except (Damaged, OSError) as error:
            joined.lost += 1
            joined.damage(path, error)
            continue

        if description is None:
            description = plan.description
        about = about.laid_over(plan.about)
        for place, planned in plan.runs.items():
            first, kept = found.get(place, (root, planned))
            found[place] = (first, with_evaluations(joined, kept, planned, first, root))

    changed = []
    for place, (_, planned) in found.items():
        if before.runs.get(place) != planned:
            changed.append(planned)
    refuse_loss(out / joined.suite, [planned for _, planned in found.values()])
    if changed or (description, about) != (before.description, before.about):
        store.merge_plan(out / joined.suite, changed, description, about)


def with_evaluations(
    joined: Joined, kept: PlannedRun, other: PlannedRun, first: Path, root: Path
) -> PlannedRun:
    """A planned run with the evaluations that another plan asks of it."""
    if kept.name != other.name:
        joined.conflict(other.name, root, "planned run", first)
        return kept

    files = {one.place: one.file for one in kept.shown}
    more, differs = [], False
    for one in other.shown:
        file = files.get(one.place)
        if file is None:
            more.append(one)
        differs |= file not in (None, one.file)

    if differs:
        joined.conflict(other.name, root, "choice of what is shown", first)
    return dataclasses.replace(kept, shown=(*kept.shown, *more))


def join_references(joined: Joined, roots: Sequence[Path], out: Path) -> None:
    """Copy the published values of the first root that has any."""
    paths = {root: root / joined.suite / published.FILE for root in (out, *roots)}
    kept: tuple[Path, list[published.Reference]] | None = None
    for root, found in whole_files(joined, paths, published.read_file):
        if kept is None:
            kept = root, found
            published.hand_on(found, out / joined.suite)
        # Order does not matter in a list of published values.
        elif {*found} != {*kept[1]}:
            joined.conflict(published.FILE, root, "list of published values", kept[0])


def join_trials(joined: Joined, roots: Sequence[Path], out: Path) -> None:
    """Copy the trials of a tuned suite, of the first root that has any."""
    # Where a suite was tuned lie the trials of its own study, which chose for another.
    if (out / joined.suite / trials.CHOSEN).exists():
        return

    def read(path: Path) -> tuple[str, bytes, tuple[trials.Trial, ...]]:
        return path.name, path.read_bytes(), trials.read_trials(path)

    paths = {root: trials.of_tuned(root / joined.suite) for root in (out, *roots)}
    kept: tuple[Path, tuple[trials.Trial, ...]] | None = None
    for root, (name, content, found) in whole_files(joined, paths, read):
        if kept is None:
            kept = root, found
            plain = out / joined.suite / trials.FILE
            store.write_table(plain, content, as_gzip=name != trials.FILE)
        elif found != kept[1]:
            joined.conflict(name, root, "list of trials", kept[0])


def whole_files(
    joined: Joined, paths: Mapping[Path, Path | None], read: Callable[[Path], T]
) -> Iterator[tuple[Path, T]]:
    """A file of the suite as each root has it; a damaged one is told and left out."""
    for root, path in paths.items():
        if path is None or not os.path.lexists(path):
            continue
        try:
            # A link or a pipe of somebody else is refused before anything reads it.
            with store.opened(path):
                found = read(path)
        except (Damaged, OSError, UsageError) as error:
            joined.lost += 1
            joined.damage(path, error)
            continue
        yield root, found


def join_run(joined: Joined, target: RunFolder, roots: Sequence[Path], out: Path) -> None:
    """Join the versions of a run in one folder, under its lock."""
    run = target.path.name
    store.discard_partial(target.path, besides=["scored.json"])
    own = own_version(target, out)
    versions, recorded = list[Version](), False
    if own.record.status or own.record.files:
        versions.append(own)

    for root in roots:
        path = root / joined.suite / "runs" / run
        # A link of somebody else's may lead anywhere.
        if not path.is_symlink() and os.path.lexists(path / store.RECORD):
            recorded = True
            versions += read_version(joined, root, path, own.held)
    if not versions:
        joined.lost += recorded
        return

    # Of equal versions the one that was given first stays first: the sort is stable.
    versions.sort(key=lambda version: version.standing)
    agreed = agreeing(joined, run, versions)
    givers = givers_of(joined, run, agreed)
    files = take(joined, target, own, givers)

    record = with_losses(joined, united(agreed, givers, files), agreed)
    fields = dataclasses.fields(Record)
    # The record is written after the files that it names.
    target.update(**{field.name: getattr(record, field.name) for field in fields})
    for name in own.record.files.keys() - files.keys():
        (target.path / name).unlink(missing_ok=True)


def own_version(target: RunFolder, out: Path) -> Version:
    """A run as it is in the folder to join in, perhaps empty; damaged files are set aside."""
    record = target.record()
    whole = {name for name in record.files if target.holds(name, repair=True)}
    return Version(out, target.path, record, whole)


def read_version(
    joined: Joined, root: Path, path: Path, known: Mapping[str, StoredFile]
) -> list[Version]:
    """A run of another root, or nothing if its record is refused.

    Files that are ``known`` from the folder to join in are not read again.
    """
    folder = RunFolder(path, keep=True)
    try:
        record = folder.load()
    except (Damaged, OSError) as error:
        joined.damage(path / store.RECORD, error)
        return []

    whole = set()
    for name, entry in record.files.items():
        try:
            if known.get(name) != entry:
                folder.check(name)
            whole.add(name)
        except (Damaged, OSError) as error:
            joined.damage(path / name, error)

    return [Version(root, path, record, whole)]


def agreeing(joined: Joined, run: str, versions: Sequence[Version]) -> list[Version]:
    """Versions that do not contradict the first."""
    best, agreed = versions[0], [versions[0]]

    for other in versions[1:]:
        # A record without a key is of a run that died before it began, and agrees with any.
        keys = {best.record.key, other.record.key} - {""}
        if len(keys) > 1:
            joined.conflict(run, other.root, "identity", best.root)
        # Trainings on a GPU are not repeated to the last bit, so two networks of one run may
        # differ.
        elif best.network and other.network and best.network != other.network:
            joined.conflict(run, other.root, "network", best.root)
        else:
            agreed.append(other)

    return agreed


def givers_of(joined: Joined, run: str, versions: Sequence[Version]) -> dict[str, Version]:
    """Version that gives each file: the first that has it whole, of the network that is kept."""
    givers = dict[str, Version]()
    for version in versions:
        if version.network != versions[0].network:
            continue
        for name in sorted(version.whole - {CHECKPOINT, GROUP}):
            giver = givers.setdefault(name, version)
            differs = giver.record.files[name].sha256 != version.record.files[name].sha256
            # Training curves hold seconds, in which two equal trainings differ.
            if differs and name != store.TRAINING:
                joined.conflict(run, version.root, name, giver.root)

    # A checkpoint is of use only as long as no training has ended.
    if store.NETWORK not in givers:
        for version in versions:
            if CHECKPOINT in version.whole:
                givers.setdefault(CHECKPOINT, version)
    return givers


def take(
    joined: Joined, target: RunFolder, own: Version, givers: Mapping[str, Version]
) -> dict[str, StoredFile]:
    """Copy the files that the folder lacks; return the entries for the record.

    A file that has changed since it was looked at is left out.
    """
    wanted = {name: giver.record.files[name] for name, giver in givers.items()}
    stale = {name for name, entry in own.record.files.items() if wanted.get(name) != entry}
    # So that no record names a file while another takes its place.
    if stale:
        target.forget(stale)

    taken, held = {}, own.held
    for name, giver in givers.items():
        if held.get(name) != wanted[name]:
            content = store.parts(giver.path / name, wanted[name])
            try:
                store.write_bytes(target.path / name, content)
            except Damaged as error:
                joined.damage(giver.path / name, error)
                continue
        taken[name] = wanted[name]
    return taken


def united(
    versions: Sequence[Version], givers: Mapping[str, Version], files: Mapping[str, StoredFile]
) -> Record:
    """Record of the first version with the files of all."""
    first, changes = versions[0].record, dict[str, Any]()
    for field in BY_FILE:
        given = dict(getattr(first, field))
        for name, giver in givers.items():
            known = getattr(giver.record, field)
            if name in known:
                given[name] = known[name]
        changes[field] = given
    return dataclasses.replace(first, files=files, **changes)


def with_losses(joined: Joined, record: Record, agreed: Sequence[Version]) -> Record:
    """Count files that no version has whole; a record that lacks some is interrupted."""
    named = set[str]()
    for version in agreed:
        if version.network == agreed[0].network:
            named |= version.record.files.keys()

    # A checkpoint that is lost costs time, and no result.
    lost = named - {CHECKPOINT, GROUP} - record.files.keys()
    joined.lost += len(lost)
    if not lost or record.status != "ok":
        return record
    reason = f"{len(lost)} of its files were damaged and left out when results were merged"
    return dataclasses.replace(record, status="interrupted", reason=reason)
