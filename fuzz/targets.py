"""Targets of fuzzing: each takes bytes, and ends normally or with an error its reader documents."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from bench_uq import store
from bench_uq.api import names as grammar
from bench_uq.api.errors import UsageError
from bench_uq.check.margins import read_margins
from bench_uq.datasets._arrays import read_arrays
from bench_uq.datasets._files import stamp
from bench_uq.datasets._idx import read_idx
from bench_uq.datasets._pickles import NotPlain, read_batch
from bench_uq.datasets._tables import read_table
from bench_uq.plan import suite as config
from bench_uq.plan.prepare.archive import unpack, unpacked
from bench_uq.plan.prepare.download import Failed
from bench_uq.run.checkpoints import NAME, Checkpoints
from bench_uq.run.imported.values import read as read_predictions
from bench_uq.run.posteriors import decoded, read_file
from bench_uq.score import published as references
from bench_uq.score import score
from bench_uq.store import derived
from bench_uq.store.examples import read_examples

DERIVED = ("scores.csv", "curves.csv.gz", "runs.csv")


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of every type that the grammar knows."""

    flag: bool = False
    count: int = 0
    share: float = 0.5
    text: str = "a"
    path: Path = Path("FILE")
    kind: Literal["one", "two"] = "one"
    from_: str = "map"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give an empty folder, in memory if possible, and silence stderr."""
    shared = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as name,
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield Path(name)


def text_of(content: bytes) -> str:
    """Decode bytes as a command line does."""
    return content.decode("utf-8", errors="surrogateescape")


def names(content: bytes) -> None:
    """Names with options: a name that parses is spelled, and parses the same again."""
    text = text_of(content)
    grammar.plain_name(text), grammar.parse_full(text)
    plain, options = grammar.parse(text)
    if options:
        parts = [f"{key}={value}" for key, value in options.items()]
        assert grammar.parse(grammar.bracketed(plain, parts)) == (plain, options)

    value = Options(**grammar.convert_options(plain, Options, options))
    grammar.spelled(plain, value, grammar.shown_text, changed=True)
    grammar.parse_full(grammar.spelled(plain, value, grammar.option_text))


def lists(content: bytes) -> None:
    """Comma lists: the parts, joined, split into the same parts."""
    parts = grammar.split_list(text_of(content))
    assert grammar.split_list(",".join(parts)) == parts


def assignments(content: bytes) -> None:
    """Assignments of --set, one per line, on the quick suite."""
    table = config.read_table(config.suite_path("quick"))
    for line in text_of(content).split("\n")[:10]:
        config.apply_assignment(table, line)
    config.suite_from("quick", table)


def suites(content: bytes) -> None:
    """Suite files."""
    with folder() as place:
        (place / "mine.toml").write_bytes(content)
        config.read_suite(str(place / "mine.toml"))


def margins(content: bytes) -> None:
    """Files of margins."""
    with folder() as place:
        (place / "margins.toml").write_bytes(content)
        read_margins(place / "margins.toml")


def records(content: bytes) -> None:
    """Records and plans of results: a damaged file is set aside, and reads as a missing one."""
    with folder() as place:
        run = store.RunFolder(place / "map-digits-s0-01234567")
        run.path.mkdir()
        (run.path / store.RECORD).write_bytes(content)
        for name in list(run.record().files)[:3]:
            run.holds(name)
        assert run.record().run == run.path.name
        (place / store.PLAN).write_bytes(content)
        store.read_plan(place)


def checkpoints(content: bytes) -> None:
    """Checkpoints: a damaged file is set aside, and reads as a missing one."""
    with folder() as place:
        (place / NAME).write_bytes(content)
        Checkpoints(store.RunFolder(place), 1.0).load()


def arrays(content: bytes) -> None:
    """A user's own arrays."""
    with folder() as place:
        (place / "mine.npz").write_bytes(content)
        read_arrays(place / "mine.npz")


def predictions(content: bytes) -> None:
    """Predictions by other programs: npz or CSV, labelled or not, by the first byte."""
    kind = content[:1] or b"0"
    with folder() as place:
        file = place / f"mine.{'csv' if kind[0] % 2 else 'npz'}"
        file.write_bytes(content[1:])
        read_predictions(file, labelled=kind[0] % 4 < 2)


def idx(content: bytes) -> None:
    """Files of MNIST's format, images or labels, plain or compressed, by the first byte."""
    kind = content[:1] or b"0"
    with folder() as place:
        file = place / ("images.gz" if kind[0] % 2 else "images")
        file.write_bytes(content[1:])
        read_idx(file, dimensions=3 if kind[0] % 4 < 2 else 1)


def batches(content: bytes) -> None:
    """Pickles of CIFAR's batches."""
    read_batch(content)


def tables(content: bytes) -> None:
    """Tables of numbers, plain or compressed, by the first byte."""
    kind = content[:1] or b"0"
    with folder() as place:
        file = place / ("mine.txt.gz" if kind[0] % 2 else "mine.txt")
        file.write_bytes(content[1:])
        read_table(*stamp(file))


def derived_tables(content: bytes) -> None:
    """Derived tables, chosen by the first byte, read for a report and for a notebook."""
    kind = content[:1] or b"0"
    name = DERIVED[kind[0] % len(DERIVED)]
    with folder() as place:
        (place / name).write_bytes(content[1:])
        if name == "scores.csv":
            with contextlib.suppress(UsageError):
                score.read_scores(place)
        derived.table(place / name)


def environments(content: bytes) -> None:
    """Lists of environments."""
    with folder() as place:
        (place / "environment.json").write_bytes(content)
        derived.environments(place / "environment.json")


def examples(content: bytes) -> None:
    """Stored examples for figures."""
    with folder() as place:
        (place / "examples.npz").write_bytes(content)
        read_examples(place / "examples.npz")


def published(content: bytes) -> None:
    """Published values: they are written after reading, and as many are read again."""
    with folder() as place:
        (place / "reference.csv").write_bytes(content)
        found = references.read_file(place / "reference.csv")
        references.hand_on(found, place)
        if found:
            assert len(references.read_file(place / "reference.csv")) == len(found)


def posteriors(content: bytes) -> None:
    """Published predictions of references, which are unpacked as they are stored."""
    with folder() as place:
        (place / "mine.posterior.npz").write_bytes(content)
        for files in read_file(place / "mine.posterior.npz").arrays.values():
            for arrays in files.values():
                decoded(arrays)


def archives(content: bytes) -> None:
    """Archives: nothing is unpacked beside the folder, and nothing but files and folders in it."""
    with folder() as place:
        data = place / "data"
        data.mkdir()
        (data / "all.tar").write_bytes(content)
        try:
            unpacked(data / "all.tar")
            unpack(data / "all.tar")
        finally:
            assert [path.name for path in place.iterdir()] == ["data"]
            assert not [path for path in data.rglob("*") if path.is_symlink()]


#: Each target with the errors that it may raise.
TARGETS: dict[str, tuple[Callable[[bytes], None], tuple[type[Exception], ...]]] = {
    "names": (names, (UsageError,)),
    "lists": (lists, (UsageError,)),
    "assignments": (assignments, (UsageError,)),
    "suites": (suites, (UsageError,)),
    "margins": (margins, (UsageError,)),
    "records": (records, (UsageError,)),  # of a newer version
    "checkpoints": (checkpoints, ()),
    "arrays": (arrays, (UsageError,)),
    "predictions": (predictions, (UsageError,)),
    "idx": (idx, (UsageError,)),
    "batches": (batches, (NotPlain,)),
    "tables": (tables, (UsageError,)),
    "derived": (derived_tables, (UsageError,)),
    "environments": (environments, (UsageError,)),
    "examples": (examples, (UsageError,)),
    "published": (published, (UsageError,)),
    "posteriors": (posteriors, (UsageError,)),
    "archives": (archives, (Failed, OSError)),  # the latter of names that the system does not take
}


def check(name: str, content: bytes) -> None:
    """Run a target on an input; every other error is a finding."""
    target, allowed = TARGETS[name]
    with contextlib.suppress(*allowed):
        target(content)
