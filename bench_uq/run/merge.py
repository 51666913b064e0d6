"""Results roots joined in one: plans laid together, every run once; what is damaged or contradicts is left out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.run.checkpoints import NAME as CHECKPOINT
from bench_uq.score import published as references
from bench_uq.store import untrusted as foreign
from bench_uq.store.untrusted import Refused

#: Which of two records of a run counts: what was finished, then what is known not to work.
RANKS = {"ok": 0, "failed": 1, "diverged": 1, "oom": 1, "interrupted": 2}
#: What a record says by file.
BY_FILE = ("predict_seconds", "surrogates", "sources")
#: Seconds between two looks at a run that another process holds, and how many looks.
PATIENCE, LOOKS = 0.2, 25


@dataclass
class Joined:
    """What became of a suite; problems go to ``notice`` as they are met."""

    suite: str
    folders: int
    notice: Callable[[str], None]
    runs: int = 0  # planned
    missing: int = 0  # of these without a record
    conflicts: int = 0
    lost: int = 0  # runs, files and plans that were not whole anywhere

    def conflict(self, run: str, other: Path, what: str, kept: Path) -> None:
        """Tell and count a contradiction."""
        self.conflicts += 1
        self.notice(
            f"conflict: {self.suite}/{run}: the {what} of {other} is not that of {kept}, which is kept"
        )

    def damage(self, path: Path, error: Refused) -> None:
        """Tell of a file that is left out."""
        place = str(path)
        self.notice(f"left out: {place if place.isprintable() else repr(place)}: {error}")


@dataclass(frozen=True)
class Version:
    """A run as one results root has it."""

    root: Path
    path: Path
    record: dict[str, Any]
    whole: frozenset[str]  # of the files it names, those that are as they were stored

    @property
    def network(self) -> str | None:
        """Return the hash of its network."""
        entry = self.record["files"].get(store.NETWORK)
        return str(entry["sha256"]) if entry else None

    @property
    def standing(self) -> tuple[int, bool, bool]:
        """Return what versions are sorted by, the one to keep first."""
        rank = RANKS.get(self.record.get("status", ""), 2)
        return (
            rank,
            not self.record["files"].keys() <= self.whole,
            rank == 0 and bool(self.record.get("reason")),
        )


def sources(roots: Sequence[Path], out: Path) -> dict[str, list[Path]]:
    """Return which results roots hold each suite; what cannot be merged is refused before anything is written."""
    holders, distinct = dict[str, list[Path]](), dict[str, Path]()
    for root in roots:
        distinct.setdefault(os.path.realpath(root), root)
    for root in distinct.values():
        try:
            names = foreign.suites(root)
            foreign.check_schemas(root, names)
        except OSError as error:
            raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
        for name in names:
            holders.setdefault(name, []).append(root)
    foreign.check_schemas(out, [name for name in holders if foreign.is_suite(out / name)])
    return dict(sorted(holders.items()))


def join(suite: str, roots: Sequence[Path], out: Path, notice: Callable[[str], None]) -> Joined:
    """Bring a suite of several results roots into one; what that holds before counts as given first."""
    joined, folder = Joined(suite, len(roots), notice), out / suite
    others = [root for root in roots if os.path.realpath(root) != os.path.realpath(out)]
    join_plans(joined, others, out)
    join_references(joined, others, out)
    for path in (path for root in others for path in foreign.links(root / suite)):
        joined.lost += 1
        joined.damage(path, Refused("a link"))
    for run in sorted({run for root in others for run in foreign.runs(root / suite)}):
        with locked(store.run_folder(folder, run)) as mine:
            if mine:
                join_run(joined, run, others, out)
            else:
                joined.lost += 1
                notice(
                    f"left out: {folder / 'runs' / run} is another process's: merge again when that is done"
                )
    planned = store.read_plan(folder)["runs"].values()
    joined.runs = len(planned)
    joined.missing = sum(not store.run_folder(folder, entry["run"]).record() for entry in planned)
    return joined


@contextmanager
def locked(folder: store.RunFolder) -> Iterator[bool]:
    """Hold a run's lock and yield True, or yield False where another process goes on holding it."""
    for look in range(LOOKS):
        with folder.locked() as mine:
            if mine or look == LOOKS - 1:
                yield mine
                return
        time.sleep(PATIENCE)


def join_plans(joined: Joined, roots: Sequence[Path], out: Path) -> None:
    """Lay the plans together: of a method, dataset and seed the first given stays, and is shown what any asks for."""
    before = store.read_plan(out / joined.suite)
    found = {key: (out, entry) for key, entry in before["runs"].items()}
    facts = {"description": before["description"]} if "description" in before else {}
    for root in roots:
        plan, refused = foreign.read_plan(root / joined.suite)
        for reason in refused:
            joined.lost += 1
            joined.damage(root / joined.suite / store.PLAN, Refused(reason))
        facts = {name: plan[name] for name in ("description",) if name in plan} | facts
        for key, entry in plan["runs"].items():
            first, kept = found.get(key, (root, entry))
            found[key] = (first, with_shown(joined, kept, entry, first, root))
    changed = {key: entry for key, (_, entry) in found.items() if before["runs"].get(key) != entry}
    if changed or facts.keys() - before.keys():
        store.merge_plan(out / joined.suite, changed, **facts)


def with_shown(
    joined: Joined, kept: Mapping[str, Any], entry: Mapping[str, Any], first: Path, root: Path
) -> dict[str, Any]:
    """Return an entry of a plan with what another asks the same run to be shown beside."""
    if kept["run"] != entry["run"]:
        joined.conflict(entry["run"], root, "planned run", first)
        return dict(kept)
    files = {(one["condition"], one["level"]): one["file"] for one in kept["shown"]}
    more = [one for one in entry["shown"] if (one["condition"], one["level"]) not in files]
    if any(
        files.get((one["condition"], one["level"]), one["file"]) != one["file"]
        for one in entry["shown"]
    ):
        joined.conflict(entry["run"], root, "choice of what is shown", first)
    return {**kept, "shown": [*kept["shown"], *more]}


def join_references(joined: Joined, roots: Sequence[Path], out: Path) -> None:
    """Hand on the published values of the first root that has any."""
    kept: tuple[Path, list[references.Reference]] | None = None
    for root in (out, *roots):
        path = root / joined.suite / references.FILE
        if not os.path.lexists(path):
            continue
        try:
            with foreign.opened(path):  # a plain file
                found = references.read_file(path)
        except (Refused, UsageError) as error:
            joined.lost += 1
            joined.damage(path, Refused(error))
            continue
        if kept is None:
            kept = root, found
            references.hand_on(found, out / joined.suite)
        elif {*found} != {*kept[1]}:
            joined.conflict(references.FILE, root, "list of published values", kept[0])


def join_run(joined: Joined, run: str, roots: Sequence[Path], out: Path) -> None:
    """Bring the versions of a run into one folder, under its lock."""
    target = store.run_folder(out / joined.suite, run)
    store.discard_partial(target.path, besides=["scored.json"])
    own = own_version(target, out)
    known = {name: own.record["files"][name] for name in own.whole} if own else {}
    versions = [own] if own else []
    for root in roots:
        path = root / joined.suite / "runs" / run
        if os.path.lexists(path / store.RECORD):
            versions += read_version(joined, root, path, known)
    if not versions:
        joined.lost += any(
            os.path.lexists(root / joined.suite / "runs" / run / store.RECORD) for root in roots
        )
        return
    versions.sort(key=lambda version: version.standing)  # of equals the first given
    agreed = agreeing(joined, run, versions)
    givers = givers_of(joined, run, agreed)
    record = united(agreed, givers)
    take(joined, target, own, givers, record)
    named = {
        name
        for version in agreed
        if version.network == agreed[0].network
        for name in version.record["files"]
    }
    if lost := named - {CHECKPOINT} - record["files"].keys():
        joined.lost += len(lost)
        if record["status"] == "ok":
            reason = f"{len(lost)} of its files were damaged and left out when results were merged"
            record |= {"status": "interrupted", "reason": reason}
    if record != target.record():
        store.write_json(target.path / store.RECORD, record)
    for name in own.record["files"].keys() - record["files"].keys() if own else ():
        (target.path / name).unlink(missing_ok=True)


def own_version(target: store.RunFolder, out: Path) -> Version | None:
    """Return a run as it is where results are joined, damaged files set aside."""
    record = target.record()
    if not record:
        return None
    return Version(
        out,
        target.path,
        record,
        frozenset(name for name in record["files"] if target.holds(name, repair=True)),
    )


def read_version(joined: Joined, root: Path, path: Path, known: Mapping[str, Any]) -> list[Version]:
    """Return a run of another root, none where its record is refused; files ``known`` are not read again."""
    try:
        record = foreign.read_record(path)
    except Refused as error:
        joined.damage(path / store.RECORD, error)
        return []
    whole = set()
    for name, entry in record["files"].items():
        try:
            if not foreign.FILE.fullmatch(name):
                raise Refused("no name of a stored file")
            if known.get(name) != entry:
                for _ in foreign.chunks(path / name, entry):
                    pass
            whole.add(name)
        except Refused as error:
            joined.damage(path / name, error)
    return [Version(root, path, record, frozenset(whole))]


def agreeing(joined: Joined, run: str, versions: Sequence[Version]) -> list[Version]:
    """Return the versions that do not contradict the first."""
    best, agreed = versions[0], [versions[0]]
    for other in versions[1:]:
        keys = {version.record["key"] for version in (best, other) if "key" in version.record}
        if len(keys) > 1:
            joined.conflict(run, other.root, "identity", best.root)
        elif best.network and other.network and best.network != other.network:
            joined.conflict(run, other.root, "network", best.root)
        else:
            agreed.append(other)
    return agreed


def givers_of(joined: Joined, run: str, versions: Sequence[Version]) -> dict[str, Version]:
    """Return which version gives each file: the first that has it whole, made with the network that is kept."""
    givers = dict[str, Version]()
    for version in (version for version in versions if version.network == versions[0].network):
        for name in sorted(version.whole - {CHECKPOINT}):
            giver = givers.setdefault(name, version)
            differs = (
                giver.record["files"][name]["sha256"] != version.record["files"][name]["sha256"]
            )
            if differs and name != store.TRAINING:  # which holds seconds
                joined.conflict(run, version.root, name, giver.root)
    if store.NETWORK not in givers:
        for version in (version for version in versions if CHECKPOINT in version.whole):
            givers.setdefault(CHECKPOINT, version)
    return givers


def united(versions: Sequence[Version], givers: Mapping[str, Version]) -> dict[str, Any]:
    """Return the record of the first version with the files of all."""
    record = {
        **versions[0].record,
        "files": {name: giver.record["files"][name] for name, giver in givers.items()},
    }
    for field in BY_FILE:
        given = {
            name: giver.record[field][name]
            for name, giver in givers.items()
            if name in giver.record.get(field, {})
        }
        if given:
            record[field] = {**record.get(field, {}), **given}
    return record


def take(
    joined: Joined,
    target: store.RunFolder,
    own: Version | None,
    givers: Mapping[str, Version],
    record: dict[str, Any],
) -> None:
    """Copy the files of a record that its folder lacks; what has changed since it was looked at leaves the record."""
    held = {name: own.record["files"][name] for name in own.whole} if own else {}
    if own and (
        stale := {
            name
            for name, entry in own.record["files"].items()
            if record["files"].get(name) != entry
        }
    ):
        target.forget(stale)  # so that no record names a file while another takes its place
    for name, giver in givers.items():
        if held.get(name) == record["files"][name]:
            continue
        try:
            store.write_bytes(
                target.path / name, foreign.chunks(giver.path / name, giver.record["files"][name])
            )
        except Refused as error:
            joined.damage(giver.path / name, error)
            del record["files"][name]
