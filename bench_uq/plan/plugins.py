"""name[option=value] -> object: finds, imports and makes plugins."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bench_uq.api.condition import Condition
from bench_uq.api.dataset import Dataset
from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.method import Method
from bench_uq.api.metric import Metric
from bench_uq.api.names import (
    check_name,
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
from bench_uq.api.user_files import import_plugin, load_module
from bench_uq.plan.sources import hash_of_plugin

#: Package of each kind of plugin, which is also the name of its group of entry points.
PACKAGES = {
    "method": "bench_uq.methods",
    "dataset": "bench_uq.datasets",
    "condition": "bench_uq.conditions",
    "metric": "bench_uq.metrics",
}
#: A plugin is a class derived from one of these, or, for metrics, one or several Metric objects.
BASES: dict[str, type] = {
    "method": Method,
    "dataset": Dataset,
    "condition": Condition,
    "metric": Metric,
}

#: Name of a plugin's file -> function that imports it.
Locations = dict[str, Callable[[], ModuleType]]


@dataclass(frozen=True)
class Spec:
    """A plugin with its options: the object, its names in results, and the hash of its source."""

    kind: str
    plain: str  # mean-field
    name: str  # mean-field[prior=log-uniform]: canonical, the options that are not the defaults
    full: str  # every option spelled out
    identity: str  # the same, files by their content: part of a run's identity
    source_hash: str
    value: Any  # the Method, Dataset, Condition or Metric
    file: Path  # its source; __init__.py of a folder


@dataclass(frozen=True)
class Plugins:
    """The plugins in the folders, behind entry points and in files of the user."""

    files: tuple[Path, ...] = ()
    # Import only the file of the plugin asked for, so that other files cannot disturb a run.
    lazy: bool = False

    def names(self, kind: str) -> list[str]:
        """Names of all plugins of a kind: metrics in the order of lists, others sorted."""
        if kind == "metric":
            return list(self.metrics())
        return sorted(self._locations(kind))

    def spec(self, kind: str, text: str, options: Mapping[str, Any] | None = None) -> Spec:
        """The plugin that ``name[option=value,...]`` describes.

        ``options`` are defaults for those in brackets.
        """
        if kind == "metric":
            return self._metric(text)

        plain, written = parse(text)
        locations = self._locations(kind, plain if self.lazy else "")
        if plain not in locations:
            raise unknown(kind, plain, locations, self._advice(plain))

        module = locations[plain]()
        cls = only_class(kind, plain, module)
        values = convert_options(plain, cls, {**(options or {}), **written})
        value = _made(kind, plain, cls, values)
        return Spec(
            kind,
            plain,
            name=spelled(plain, value, shown_text, changed=True),
            full=_full(kind, plain, value),
            identity=spelled(plain, value, functools.partial(content_text, kind)),
            source_hash=hash_of_plugin(module, PACKAGES[kind]),
            value=value,
            file=Path(module.__file__ or ""),
        )

    def metrics(self) -> dict[str, Metric]:
        """All metrics by id, in the order of lists."""
        found: dict[str, Metric] = {}
        for module in self.metric_modules():
            for metric in metrics_in(module):
                check_name("metric", metric.id)
                if found.setdefault(metric.id, metric) is not metric:
                    raise UsageError(f"two metrics are called {metric.id!r}: rename one of them")
        # Sorting is stable, so metrics of equal order stay as in their file.
        return dict(sorted(found.items(), key=lambda pair: pair[1].order))

    def metric_modules(self) -> list[ModuleType]:
        """Modules with metrics, imported."""
        modules = []
        for name, load in self._locations("metric").items():
            module = load()
            if not metrics_in(module):
                raise UsageError(f"metric {name!r}: its file defines no Metric")
            modules.append(module)
        return modules

    def _metric(self, id: str) -> Spec:
        """A metric, which has no options."""
        for module in self.metric_modules():
            for metric in metrics_in(module):
                if metric.id == id:
                    source = hash_of_plugin(module, PACKAGES["metric"])
                    file = Path(module.__file__ or "")
                    return Spec("metric", id, id, id, id, source, metric, file)
        raise unknown("metric", id, self.metrics(), "; --plugin FILE brings one of your own")

    def _advice(self, name: str) -> str:
        """What to do about the name of no plugin, which may be that of a file of metrics."""
        if name in self._locations("metric"):
            return f"; {name} stands for metrics, which every run has (bench-uq list metrics)"
        return "; --plugin FILE brings one of your own"

    def _locations(self, kind: str, wanted: str = "") -> Locations:
        """Files with plugins of a kind; with ``wanted`` only user files of that name."""
        package = importlib.import_module(PACKAGES[kind])
        found: Locations = {}
        for info in pkgutil.iter_modules(package.__path__):
            # Modules that begin with _ hold what several plugins share.
            if not info.name.startswith("_"):
                name = f"{PACKAGES[kind]}.{info.name}"
                found[info.name.replace("_", "-")] = functools.partial(import_plugin, name)

        for entry in entries(PACKAGES[kind], tuple(sys.path)):
            add(found, kind, entry.name, functools.partial(import_plugin, entry.module))

        for file in self.files:
            if wanted and plugin_name(file) != wanted:
                continue
            # Only the import shows of which kind the plugins in a file are.
            if kind in kinds_in(load_file(file)):
                add(found, kind, plugin_name(file), functools.partial(load_file, file))
        return found


@functools.lru_cache(maxsize=16)
def entries(group: str, path: tuple[str, ...]) -> tuple[importlib.metadata.EntryPoint, ...]:
    """Entry points of a group that installed packages declare; ``path`` is where they are."""
    # Every call reads the metadata of all packages, and a command asks a hundred times.
    del path
    return tuple(importlib.metadata.entry_points(group=group))


def add(found: Locations, kind: str, name: str, location: Callable[[], ModuleType]) -> None:
    """Add a plugin from outside; a malformed or taken name is an error."""
    check_name(kind, name)
    # A plugin that silently replaced another would be scored under its name.
    if name in found:
        raise UsageError(
            f"two plugins are called {name!r}: rename the file or entry point "
            f"that brings the other {kind}"
        )
    found[name] = location


def plugin_name(file: Path) -> str:
    """Name of the plugin in a file."""
    return file.stem.replace("_", "-")


def load_file(file: Path) -> ModuleType:
    """Import a plugin from a file of the user."""
    module = load_module(file)
    if not kinds_in(module):
        raise UsageError(f"plugin {file} holds no Method, Dataset, Condition or Metric of its own")
    return module


def kinds_in(module: ModuleType) -> list[str]:
    """Kinds of plugin that a module defines."""
    kinds = []
    for kind, base in BASES.items():
        found = metrics_in(module) if kind == "metric" else classes(module, base)
        if found:
            kinds.append(kind)
    return kinds


def classes(module: ModuleType, base: type) -> list[type]:
    """Classes derived from ``base`` that a module defines itself."""
    found = []
    for value in vars(module).values():
        # A plugin imports the classes that it derives from, which are not its own.
        own = inspect.isclass(value) and value.__module__ == module.__name__
        if own and issubclass(value, base):
            found.append(value)
    return found


def metrics_in(module: ModuleType) -> list[Metric]:
    """Metrics at the top of a module, alone or in a tuple, under names without leading _."""
    found = []
    for name, value in vars(module).items():
        if not name.startswith("_"):
            values = value if isinstance(value, tuple) else (value,)
            found += [one for one in values if isinstance(one, Metric)]
    return found


def only_class(kind: str, plain: str, module: ModuleType) -> type:
    """The one class of a kind in a plugin's module, checked against the contract."""
    found = classes(module, BASES[kind])
    if len(found) != 1:
        raise UsageError(
            f"{kind} {plain!r}: its file must define one {kind}, it defines {len(found)}"
        )

    missing = sorted(getattr(found[0], "__abstractmethods__", ()))
    if missing:
        raise UsageError(f"{kind} {plain!r} lacks {', '.join(missing)}")
    # In vars, because every subclass inherits the fields of its base.
    if "__dataclass_fields__" not in vars(found[0]):
        raise UsageError(
            f"{kind} {plain!r}: its options are no fields: put @dataclass(frozen=True) "
            "above its class"
        )
    if not isinstance(getattr(found[0], "reference", None), str):
        raise UsageError(
            f"{kind} {plain!r} lacks a class attribute 'reference', a text with a link"
        )
    option_types(found[0], plain)
    return found[0]


def _made(kind: str, plain: str, cls: type, values: Mapping[str, Any]) -> Any:
    """Object of a plugin's class; options that it refuses are a mistake of the user."""
    try:
        value = cls(**values)
        if isinstance(value, Method):
            # A subclass with a __post_init__ of its own may forget to call that of Method.
            Method.__post_init__(value)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{kind} {plain!r}: {error}") from error
    return value


def _full(kind: str, plain: str, value: Any) -> str:
    """Spelling with every option, from which the same object can be made."""
    full = spelled(plain, value, option_text)
    cls = type(value)
    options = {field: getattr(value, field) for field in map(field_name, option_types(cls))}
    # A run's process makes the plugin anew from this spelling.
    if convert_options(plain, cls, parse_full(full)) != options:
        raise UsageError(
            f"{kind} {plain!r}: options that cannot be written down "
            f"(empty, with a comma or one bracket): {full}"
        )
    return full
