"""name[option=value] -> object. The only place that imports a plugin."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bench_uq.api.condition import Condition
from bench_uq.api.dataset import Dataset
from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.method import Method
from bench_uq.api.names import (
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
from bench_uq.api.user_files import import_plugin, load_module
from bench_uq.plan.sources import hash_of_plugin

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
        return Spec(
            kind, plain, name, full, identity, hash_of_plugin(module, PACKAGES[kind]), value
        )

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


def load_file(file: Path) -> ModuleType:
    """Import a plugin from a file of the user."""
    module = load_module(file)
    if not any(classes(module, base) for base in BASES.values()):
        raise UsageError(f"plugin {file} holds no Method, Dataset or Condition of its own")
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
