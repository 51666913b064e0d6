"""name[option=value] -> object. The only place that imports a plugin."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from bench_uq.contracts import Condition, Dataset, Method
from bench_uq.errors import Interrupted, UsageError, one_line, unknown
from bench_uq.grammar import (
    NAME,
    content_text,
    convert_options,
    field_name,
    option_text,
    option_types,
    parse,
    parse_full,
    shown_text,
    spelled,
)

#: Kind of plugin -> its package, and what its class derives from.
PACKAGES = {
    "method": "bench_uq.methods",
    "dataset": "bench_uq.datasets",
    "condition": "bench_uq.conditions",
}
BASES: dict[str, type] = {"method": Method, "dataset": Dataset, "condition": Condition}


@dataclass(frozen=True)
class Spec:
    """A plugin with its options: the object, its names in results, and the hash of its source."""

    kind: str
    plain: str  # mean-field
    name: str  # mean-field[prior=log-uniform]: canonical, the options that are not the defaults
    full: str  # every option spelled out
    identity: str  # the same, files by their content: what a run's identity is made of
    source_hash: str
    value: Any  # the Method, Dataset or Condition


@dataclass(frozen=True)
class Plugins:
    """The plugins in the folders, behind entry points and in the files that the user named."""

    files: tuple[Path, ...] = ()
    lazy: bool = False  # import no file but that of the plugin asked for: what it does is no matter of other runs

    def names(self, kind: str) -> list[str]:
        """Return the names of all plugins of a kind, sorted; files of the user are imported to see their kind."""
        return sorted(self._locations(kind))

    def spec(self, kind: str, text: str, options: Mapping[str, Any] | None = None) -> Spec:
        """Return the plugin that ``name[option=value,...]`` describes; ``options`` go before those in brackets."""
        plain, written = parse(text)
        locations = self._locations(kind, plain if self.lazy else "")
        if plain not in locations:
            raise unknown(kind, plain, locations, "; --plugin FILE brings one of your own")
        module = locations[plain]()
        cls = only_class(kind, plain, module)
        values = convert_options(plain, cls, {**(options or {}), **written})
        try:
            value = cls(**values)
            if isinstance(value, Method):
                Method.__post_init__(value)  # where a subclass forgets to call it
        except (ValueError, TypeError) as error:
            raise UsageError(f"{kind} {plain!r}: {error}") from error
        full = spelled(plain, value, option_text)
        if convert_options(plain, cls, parse_full(full)) != {
            field: getattr(value, field) for field in map(field_name, option_types(cls))
        }:
            raise UsageError(
                f"{kind} {plain!r}: options that cannot be written down (empty, with a comma or one bracket): {full}"
            )
        name = spelled(plain, value, shown_text, changed=True)
        identity = spelled(plain, value, functools.partial(content_text, kind))
        return Spec(kind, plain, name, full, identity, source_hash(module), value)

    def _locations(self, kind: str, wanted: str = "") -> dict[str, Any]:
        package = importlib.import_module(PACKAGES[kind])
        found: dict[str, Any] = {}
        for info in pkgutil.iter_modules(package.__path__):
            if not info.name.startswith("_"):
                name = f"{PACKAGES[kind]}.{info.name}"
                found[info.name.replace("_", "-")] = functools.partial(import_plugin, name)
        for entry in importlib.metadata.entry_points(group=PACKAGES[kind]):
            add(found, kind, entry.name, functools.partial(import_plugin, entry.module))
        for file in self.files:
            if wanted and plugin_name(file) != wanted:
                continue
            module = load_file(file)
            if classes(module, BASES[kind]):
                add(found, kind, plugin_name(file), functools.partial(load_file, file))
        return found


def add(found: dict[str, Any], kind: str, name: str, location: Any) -> None:
    """Add a plugin from outside, refusing a name that is no name or is taken."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a {kind}: letters a-z, digits, '.', '_' and '-', at most 64"
        )
    if name in found:
        raise UsageError(
            f"two plugins are called {name!r}: rename the file or entry point that brings the other {kind}"
        )
    found[name] = location


def plugin_name(file: Path) -> str:
    """Return the name of the plugin in a file."""
    return file.stem.replace("_", "-")


def import_plugin(name: str) -> ModuleType:
    """Import a plugin's module, telling any error of its own in one line."""
    try:
        with undisturbed():
            return importlib.import_module(name)
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:
        raise UsageError(f"plugin {name} fails at import: {one_line(error)}") from error


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep what an import prints off stdout, and leave the working folder and the filters of warnings as they were."""
    folder = Path.cwd()
    with beside() as stderr, redirect_stdout(stderr), warnings.catch_warnings():
        try:
            yield
        finally:
            os.chdir(folder)


def beside() -> AbstractContextManager[IO[str]]:
    """Return stderr in a copy that a plugin may close, or what stands in for it where it is no file."""
    try:
        return os.fdopen(os.dup(sys.stderr.fileno()), "w")
    except (OSError, ValueError, AttributeError):
        return nullcontext(sys.stderr)


def load_file(file: Path) -> ModuleType:
    """Import a plugin from a file of the user."""
    module = load_module(file)
    if not any(classes(module, base) for base in BASES.values()):
        raise UsageError(f"plugin {file} holds no Method, Dataset or Condition of its own")
    return module


def load_network(file: Path) -> Callable[..., Any]:
    """Return the function ``network`` (task, layers) of a user's file."""
    module = load_module(file)
    found = getattr(module, "network", None)
    if not inspect.isfunction(found) or found.__module__ != module.__name__:
        raise UsageError(f"{file} holds no function network(task, layers)")
    return found


def load_module(file: Path) -> ModuleType:
    """Import a file of the user under a name of its own, once."""
    return module_at(file, Path() if file.is_absolute() else Path.cwd())


@functools.cache
def module_at(file: Path, cwd: Path) -> ModuleType:
    """Import a file named in a working folder."""
    del cwd  # one name may be two files in two folders
    if not file.is_file():
        several = ": repeat --plugin for each" if "," in file.name else ""
        raise UsageError(f"no plugin file {str(file)!r}{several}")
    if file.suffix != ".py":
        raise UsageError(f"a plugin file ends in .py, not {file.name!r}")
    name = f"bench_uq_plugin_{file.stem}_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        with undisturbed():
            spec.loader.exec_module(module)
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        near = (
            isinstance(error, ModuleNotFoundError) and (file.parent / f"{error.name}.py").is_file()
        )
        hint = "; to import files beside it set PYTHONPATH to their folder" if near else ""
        raise UsageError(f"plugin {file} fails at import: {one_line(error)}{hint}") from error
    return module


def classes(module: ModuleType, base: type) -> list[type]:
    """Return the concrete classes derived from ``base`` that a module defines itself."""
    return [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls) and issubclass(cls, base) and cls.__module__ == module.__name__
    ]


def only_class(kind: str, plain: str, module: ModuleType) -> type:
    """Return the one class of a kind in a plugin's module."""
    found = classes(module, BASES[kind])
    if len(found) != 1:
        raise UsageError(
            f"{kind} {plain!r}: its file must define one {kind}, it defines {len(found)}"
        )
    missing = sorted(getattr(found[0], "__abstractmethods__", ()))
    if missing:
        raise UsageError(f"{kind} {plain!r} lacks {', '.join(missing)}")
    if "__dataclass_fields__" not in vars(found[0]):
        raise UsageError(
            f"{kind} {plain!r}: its options are no fields: put @dataclass(frozen=True) above its class"
        )
    if not isinstance(getattr(found[0], "reference", None), str):
        raise UsageError(
            f"{kind} {plain!r} lacks a class attribute 'reference', a text with a link"
        )
    option_types(found[0], plain)
    return found[0]


def source_hash(module: ModuleType) -> str:
    """Hash a plugin's source: its file or folder, and the shared files (with a leading _) beside it.

    Of a plugin from a package of others, the whole package counts: it may import any of it.
    """
    file = Path(module.__file__ or "")
    top = Path(getattr(sys.modules.get(module.__name__.partition(".")[0]), "__file__", None) or "")
    if top.name == "__init__.py" and not module.__name__.startswith("bench_uq."):
        return hash_files(sorted(top.parent.rglob("*.py")))
    own = sorted(file.parent.glob("*.py")) if file.name == "__init__.py" else [file]
    beside = file.parent.parent if file.name == "__init__.py" else file.parent
    in_tree = module.__name__.startswith(tuple(PACKAGES.values()))
    shared = (
        [path for path in sorted(beside.glob("_*.py")) if path.name != "__init__.py"]
        if in_tree
        else []
    )
    return hash_files([*own, *shared])


def hash_files(files: Iterable[Path]) -> str:
    """Hash the names and contents of files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
