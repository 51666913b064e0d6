"""What an earlier report holds already: files of the same results need not be made again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_uq.plan.plugins import entries
from bench_uq.plan.sources import hash_of_installed
from bench_uq.report.paper import Paper
from bench_uq.store import check_schema, sha256

if TYPE_CHECKING:
    from bench_uq.report.figures import Drawing, Known

#: Packages by which bytes of figures and numbers of tables may differ.
_PACKAGES = ("matplotlib", "seaborn", "numpy", "pandas", "scipy", "pillow")
#: Kinds of code beside the engine's that a report is of.
_PLUGINS = ("methods", "datasets", "conditions", "metrics")


@dataclass(frozen=True)
class Made:
    """How the files of a report were made, as the list of its files says beneath their names.

    ``key`` stands for the results, the code and what was asked for; ``sums`` are hashes of files by
    name, ``drawings`` the key and the files of each drawing; ``told`` are the sentences.
    """

    key: str = ""
    formats: tuple[str, ...] = ()
    sums: Mapping[str, str] = field(default_factory=dict)
    drawings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    warned: bool = False

    def fits(self, key: str, formats: Collection[str]) -> bool:
        """Whether a report with this key in these formats would be the same."""
        return (self.key, self.formats) == (key, tuple(sorted(formats)))

    def lines(self) -> list[str]:
        """The lines that ``read`` understands."""
        said = [f"made {self.key} {','.join(self.formats)}"]
        said += ["warned"] if self.warned else []
        said += [f"told {sentence}" for sentence in self.told]
        said += [f"sum {digest} {name}" for name, digest in sorted(self.sums.items())]
        for key, names in sorted(self.drawings.items()):
            said.append(f"drawn {key} {' '.join(names)}".rstrip())
        return said


def read(lines: Iterable[str]) -> Made | None:
    """How the report with this list was made; None for lists of older versions."""
    key, formats, warned = "", tuple[str, ...](), False
    sums, drawings, told = dict[str, str](), dict[str, tuple[str, ...]](), list[str]()
    for line in lines:
        kind, _, rest = line.partition(" ")
        first, _, others = rest.partition(" ")
        if kind == "made":
            key, formats = first, tuple(others.split(","))
        elif kind == "warned":
            warned = True
        elif kind == "told":
            told.append(rest)
        elif kind == "sum":
            sums[others] = first
        elif kind == "drawn":
            drawings[first] = tuple(others.split())
    return Made(key, formats, sums, drawings, tuple(told), warned) if key else None


def sums_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """Hashes of files by name."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def whole(folder: Path, made: Made, names: Collection[str]) -> bool:
    """Whether files of a report lie there as they were written."""
    for name in names:
        path = folder / name
        if not path.is_file() or made.sums.get(name) != sha256(path):
            return False
    return True


def code_key(plugins: Iterable[Path] = ()) -> str:
    """Hash of all code that a report depends on, and of the versions of packages."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    found = list(package.rglob("*.py"))
    for end in ("css", "js"):
        found += package.rglob(f"*.{end}")
    for kind in _PLUGINS:
        module = importlib.import_module(f"bench_uq.{kind}")
        for folder in module.__path__:
            found += Path(folder).rglob("*.py")
    for path in [*sorted(found), *plugins]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    # Packages beside this one may bring metrics, and with them titles and headings.
    for kind in _PLUGINS:
        for entry in entries(f"bench_uq.{kind}", tuple(sys.path)):
            source = hash_of_installed(entry.name, entry.group)
            digest.update(f"{entry.group} {entry.name} {source}\0".encode())
    for name in _PACKAGES:
        digest.update(f"{name} {importlib.metadata.version(name)}\0".encode())
    return digest.hexdigest()


def stale_key(suite: Path, plugins: Collection[Path]) -> str:
    """Hash of the runs whose code has changed since, wherever that lies: a report says so."""
    # Formats can be listed without the seconds that pandas takes to load.
    from bench_uq.score.stale import stale

    check_schema(suite)
    changed = sorted(stale(suite, plugins).items())
    return hashlib.sha256(repr(changed).encode()).hexdigest()


def drawing_keys(
    drawings: Iterable[Drawing], code: str, formats: Collection[str], paper: Paper
) -> dict[str, str]:
    """A key for each drawing, by its name: the same for the same results, code and formats."""
    contents, keys = dict[str, str](), dict[str, str]()
    for one in drawings:
        if one.dataset not in contents:
            # No figure shows the title of a report.
            contents[one.dataset] = content_key(replace(one.analysis.results, title=""))
        asked = repr(sorted(one.analysis.asked.items()))
        parts = [one.name, contents[one.dataset], code, asked, repr(paper), *sorted(formats)]
        keys[one.name] = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return keys


def images_of(folder: Path, made: Made, key: str, dataset: str) -> Known | None:
    """The images of a drawing that lie in a report; None if one lacks or was changed."""
    names = made.drawings.get(key)
    if names is None or not whole(folder, made, names):
        return None
    return {(dataset, Path(name).name): (folder / name).read_bytes() for name in names}


def content_key(value: Any) -> str:
    """Hash of a value by all that it holds: data classes, tables, arrays and plain values."""
    digest = hashlib.sha256()
    for part in _parts(value):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterable[bytes]:
    """The bytes of a value, piece by piece."""
    import numpy as np
    import pandas as pd

    yield type(value).__name__.encode()
    if isinstance(value, pd.DataFrame):
        yield repr(list(value.columns)).encode()
        yield pd.util.hash_pandas_object(value, index=False).to_numpy().tobytes()
    elif isinstance(value, np.ndarray):
        yield repr((value.shape, value.dtype)).encode()
        yield np.ascontiguousarray(value).tobytes()
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            # The place of a folder is no part of what it holds.
            if one.name != "folder":
                yield one.name.encode()
                yield from _parts(getattr(value, one.name))
    elif isinstance(value, Mapping):
        for name in sorted(value, key=repr):
            yield repr(name).encode()
            yield from _parts(value[name])
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _parts(one)
    else:
        # A set has no order; all else here is a plain value.
        yield repr(sorted(value) if isinstance(value, frozenset | set) else value).encode()
