"""name[option=value] -> object. The only place that imports a plugin, and the grammar of its options."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from bench_uq.contracts import Condition, Dataset, Method
from bench_uq.errors import UsageError, one_line, unknown

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

#: Kind of plugin -> its package, and what its class derives from.
PACKAGES = {"method": "bench_uq.methods", "dataset": "bench_uq.datasets", "condition": "bench_uq.conditions"}
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

    def names(self, kind: str) -> list[str]:
        """Return the names of all plugins of a kind, sorted; files of the user are imported to see their kind."""
        return sorted(self._locations(kind))

    def spec(self, kind: str, text: str, options: Mapping[str, Any] | None = None) -> Spec:
        """Return the plugin that ``name[option=value,...]`` describes; ``options`` go before those in brackets."""
        plain, written = parse(text)
        locations = self._locations(kind)
        if plain not in locations:
            raise unknown(kind, plain, locations)
        module = locations[plain]()
        cls = only_class(kind, plain, module)
        values = convert_options(plain, cls, {**(options or {}), **written})
        try:
            value = cls(**values)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{kind} {plain!r}: {error}") from error
        full = spelled(plain, value, option_text)
        if convert_options(plain, cls, parse_full(full)) != {key: getattr(value, key) for key in option_types(cls)}:
            raise UsageError(
                f"{kind} {plain!r}: options that cannot be written down (empty, with a comma or one bracket): {full}"
            )
        name = spelled(plain, value, shown_text, changed=True)
        identity = spelled(plain, value, functools.partial(content_text, kind))
        return Spec(kind, plain, name, full, identity, source_hash(module), value)

    def _locations(self, kind: str) -> dict[str, Any]:
        package = importlib.import_module(PACKAGES[kind])
        found: dict[str, Any] = {}
        for info in pkgutil.iter_modules(package.__path__):
            if not info.name.startswith("_"):
                name = f"{PACKAGES[kind]}.{info.name}"
                found[info.name.replace("_", "-")] = functools.partial(import_plugin, name)
        for entry in importlib.metadata.entry_points(group=PACKAGES[kind]):
            add(found, kind, entry.name, functools.partial(import_plugin, entry.module))
        for file in self.files:
            module = load_file(file)
            if classes(module, BASES[kind]):
                add(found, kind, plugin_name(file), functools.partial(load_file, file))
        return found


def add(found: dict[str, Any], kind: str, name: str, location: Any) -> None:
    """Add a plugin from outside, refusing a name that is no name or is taken."""
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a {kind}: letters a-z, digits, '.', '_' and '-', at most 64")
    if name in found:
        raise UsageError(f"two plugins are called {name!r}: rename the {kind} from outside")
    found[name] = location


def plugin_name(file: Path) -> str:
    """Return the name of the plugin in a file."""
    return file.stem.replace("_", "-")


def import_plugin(name: str) -> ModuleType:
    """Import a plugin's module, telling any error of its own in one line."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise UsageError(f"plugin {name} fails at import: {one_line(error)}") from error


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
    return module_at(file, Path.cwd())


@functools.cache
def module_at(file: Path, cwd: Path) -> ModuleType:
    """Import a file named in a working folder."""
    del cwd  # one name may be two files in two folders
    if not file.is_file():
        raise UsageError(f"no plugin file {str(file)!r}")
    if file.suffix != ".py":
        raise UsageError(f"a plugin file ends in .py, not {file.name!r}")
    name = f"bench_uq_plugin_{file.stem}_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"plugin {file} fails at import: {one_line(error)}") from error
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
        raise UsageError(f"{kind} {plain!r}: its file must define one {kind}, it defines {len(found)}")
    missing = sorted(getattr(found[0], "__abstractmethods__", ()))
    if missing:
        raise UsageError(f"{kind} {plain!r} lacks {', '.join(missing)}")
    if "__dataclass_fields__" not in vars(found[0]):
        raise UsageError(f"{kind} {plain!r}: its options are no fields: put @dataclass(frozen=True) above its class")
    if not isinstance(getattr(found[0], "reference", None), str):
        raise UsageError(f"{kind} {plain!r} lacks a class attribute 'reference', a text with a link")
    option_types(found[0], plain)
    return found[0]


def source_hash(module: ModuleType) -> str:
    """Hash a plugin's source: its file or folder, and the shared files (with a leading _) beside it."""
    file = Path(module.__file__ or "")
    own = sorted(file.parent.glob("*.py")) if file.name == "__init__.py" else [file]
    beside = file.parent.parent if file.name == "__init__.py" else file.parent
    in_tree = module.__name__.startswith(tuple(PACKAGES.values()))
    shared = [path for path in sorted(beside.glob("_*.py")) if path.name != "__init__.py"] if in_tree else []
    return hash_files([*own, *shared])


def hash_files(files: Iterable[Path]) -> str:
    """Hash the names and contents of files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def split_list(text: str) -> list[str]:
    """Split at the commas outside of brackets; an empty element is an error."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if depth < 0:
            break
        if character == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts = [part.strip(" ") for part in (*parts, text[start:])]
    if depth != 0:
        raise UsageError(f"brackets do not match in {text!r}")
    if not all(parts):
        raise UsageError(f"empty element in the list {text!r}")
    return parts


def parse(text: str) -> tuple[str, dict[str, str]]:
    """Split ``name[option=value,...]`` into the name and its options."""
    match = re.fullmatch(r"([^\[\]]*)(?:\[(.*)\])?", text.strip(" "))
    if not match or not NAME.fullmatch(match[1]):
        raise UsageError(f"{text!r} is not of the form name or name[option=value,...]")
    options: dict[str, str] = {}
    for part in split_list(match[2]) if match[2] is not None else []:
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise UsageError(f"{part!r} in {text!r} is not of the form option=value")
        if key.strip() in options:
            raise UsageError(f"option {key.strip()!r} is given twice in {text!r}")
        options[key.strip()] = value.strip()
    return match[1], options


def plain_name(text: str) -> str:
    """Return the name in front of the brackets."""
    return text.partition("[")[0].strip()


def parse_full(full: str) -> dict[str, str]:
    """Return the options of a full spelling, none where it cannot be read back."""
    try:
        return parse(full)[1]
    except UsageError:
        return {}


def convert_options(plain: str, cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Turn option values, text or TOML's own types, into the types of the fields."""
    types = option_types(cls)
    for key in options:
        if key not in types:
            raise unknown(f"option of {plain}", key, types)
    return {key: convert(f"{plain}.{key}", types[key], value) for key, value in options.items()}


#: What an option can be, beside a Literal.
OPTION_TYPES = (bool, int, float, str, Path)


def option_types(cls: type, plain: str = "") -> dict[str, Any]:
    """Return the options of a plugin with their types; a type that the grammar cannot write is refused."""
    try:
        hints = get_type_hints(cls)
    except Exception as error:
        raise UsageError(f"{plain or cls.__name__}: a type of its options is unknown: {error}") from error
    types = {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}
    for name, kind in types.items():
        if kind not in OPTION_TYPES and get_origin(kind) is not Literal:
            shown = getattr(kind, "__name__", kind)
            raise UsageError(
                f"option {plain or cls.__name__}.{name} is of type {shown}, not bool, int, float, str, Path or Literal"
            )
    return types


def convert(label: str, kind: Any, value: Any) -> Any:
    """Return ``value`` as the type ``kind``: bool, int, float, str, Path or one of a Literal."""
    if get_origin(kind) is Literal:
        choices: Sequence[Any] = get_args(kind)
        for choice in choices:
            if str(value) == str(choice):
                return choice
        raise unknown(f"value of {label}", str(value), map(str, choices))
    try:
        return convert_plain(kind, value)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{label} must be of type {getattr(kind, '__name__', kind)}, not {value!r}") from error


def convert_plain(kind: Any, value: Any) -> Any:
    """Convert to a type without choices; ValueError where the value is of another type."""
    if kind is bool:
        if str(value).lower() not in ("true", "false"):
            raise ValueError(value)
        return str(value).lower() == "true"
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        raise ValueError(value)
    result = kind(value)
    if kind is float and result != result:
        raise ValueError(value)
    return result


def spelled(plain: str, value: Any, text: Callable[[Any], str], *, changed: bool = False) -> str:
    """Return a plugin with its options, or those that were changed from their defaults, each written by ``text``."""
    fields = [field for field in dataclasses.fields(value) if field.init]
    kept = [field for field in fields if not changed or getattr(value, field.name) != field.default]
    return bracketed(plain, [f"{field.name}={text(getattr(value, field.name))}" for field in kept])


def bracketed(plain: str, options: list[str]) -> str:
    """Join a name and its options."""
    return f"{plain}[{','.join(options)}]" if options else plain


def option_text(value: Any) -> str:
    """Return an option's value as the grammar writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown_text(value: Any) -> str:
    """Return an option's value as results name it: of a path its last part, so that no one's folders are published."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", value.name) if isinstance(value, Path) else option_text(value)


def content_text(kind: str, value: Any) -> str:
    """Return an option's value as it counts: a file by its content, but for data, whose examples count."""
    if not isinstance(value, Path) or kind == "dataset":
        return option_text(value) if not isinstance(value, Path) else ""
    if not value.is_file():
        raise UsageError(f"no file {str(value)!r}")
    return hashlib.sha256(value.read_bytes()).hexdigest()
