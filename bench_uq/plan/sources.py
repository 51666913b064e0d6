"""Hashes of Python source by its syntax tree: comments, docstrings and layout do not count, nor do
search spaces of methods and titles.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

#: Nodes whose first statement may be a docstring.
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def hash_of_plugin(module: ModuleType, package: str) -> str:
    """Hash of a plugin's source: its own files and the modules of ``package`` that it imports.

    ``package`` is the package of shipped plugins of its kind. A plugin from another package counts
    with that whole package, because it may import any of it.
    """
    file = Path(module.__file__ or "")
    top = sys.modules.get(module.__name__.partition(".")[0])
    root = Path(getattr(top, "__file__", None) or "")

    # A plugin of another package, through an entry point.
    if root.name == "__init__.py" and not module.__name__.startswith("bench_uq."):
        return hash_of_trees(sorted(root.parent.rglob("*.py")))
    if not module.__name__.startswith(f"{package}."):
        return hash_of_trees([file])
    return _hash_of_shipped(file, package)


def hash_of_installed(name: str, package: str) -> str:
    """The same hash of a plugin that is installed, without an import of it; empty for others."""
    # An import of a plugin would load torch, for which checks and reports do not wait.
    file = _file_of_installed(name, package)
    if file is not None:
        return _hash_of_shipped(file, package)

    for entry in importlib.metadata.entry_points(group=package, name=name):
        outside = importlib.util.find_spec(entry.module.partition(".")[0])
        root = Path((outside.origin if outside else None) or "")
        if root.name == "__init__.py":
            return hash_of_trees(sorted(root.parent.rglob("*.py")))
        if root.is_file():
            return hash_of_trees([root])
    return ""


def imported_by_installed(name: str, package: str) -> tuple[str, ...]:
    """Modules that the file of a shipped plugin imports, when it is loaded or used.

    Empty if the package has no such plugin. The plugin is not imported.
    """
    file = _file_of_installed(name, package)
    if file is None:
        return ()

    return tuple(module for module, _ in _imports(file.read_bytes()))


def title_of_installed(name: str, package: str) -> str:
    """Title of a plugin in one of the packages of shipped plugins, without an import of it."""
    return _text_of_installed(name, package, "title")


def reference_of_installed(name: str, package: str) -> str:
    """Reference of such a plugin, its paper and link; empty if it is not written out there."""
    return _text_of_installed(name, package, "reference")


def _file_of_installed(name: str, package: str) -> Path | None:
    """File of a plugin in a package of shipped plugins; None if the package lacks it."""
    stem = name.replace("-", "_")
    found = importlib.util.find_spec(f"{package}.{stem}") if stem.isidentifier() else None
    return Path(found.origin) if found is not None and found.origin else None


def _text_of_installed(name: str, package: str, attribute: str) -> str:
    """The text that a class of a plugin's file sets an attribute to; empty without any."""
    file = _file_of_installed(name, package)
    if file is None:
        return ""

    for node in ast.parse(file.read_bytes()).body:
        for statement in node.body if isinstance(node, ast.ClassDef) else ():
            text = text_set(statement, attribute)
            if text is not None:
                return text
    return ""


def _hash_of_shipped(file: Path, package: str) -> str:
    """Hash of a plugin in one of the packages of shipped plugins."""
    folder = Path(importlib.import_module(package).__file__ or "").parent
    return hash_of_trees(sorted(_with_imports(file, package, folder)))


def hash_of_trees(files: Iterable[Path]) -> str:
    """Hash of the names and syntax trees of files; one that is not Python counts by its bytes."""
    digest = hashlib.sha256()
    for file in files:
        canonical = _canonical(file.read_bytes())
        digest.update(file.name.encode() + b"\0" + canonical + b"\0")

    return digest.hexdigest()


# One command hashes the same few files for every run; the key is the content, never a file's time.
@functools.lru_cache(maxsize=1024)
def _canonical(content: bytes) -> bytes:
    """Syntax tree of Python source as bytes; other content as it is."""
    # repr is the same in every process, unlike hash.
    try:
        return repr(_plain(ast.parse(content))).encode()
    except (SyntaxError, ValueError, RecursionError):
        return content


def _plain(node: object) -> object:
    """Nested tuples of a syntax tree, the same for every version of Python.

    Empty fields are left out: newer versions add fields that are empty in older code.
    """
    if isinstance(node, list):
        return [_plain(part) for part in node]
    if not isinstance(node, ast.AST):
        return node

    fields = [(name, _plain(value)) for name, value in _fields(node)]
    return (type(node).__name__, *fields)


def _fields(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Fields of a node that count: neither docstrings nor contexts nor empty ones."""
    for name, value in ast.iter_fields(node):
        # A docstring is the first statement of a body.
        if name == "body" and isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            value = value[1:]
        if name == "body" and isinstance(node, ast.ClassDef):
            value = [statement for statement in value if not _is_beside(statement)]
        # Contexts (load, store) follow from the place of a node.
        if value not in (None, []) and name not in ("ctx", "type_comment"):
            yield name, value


def _is_beside(statement: ast.stmt) -> bool:
    """Whether a statement of a class sets ``search`` or a title, which change no result."""
    targets = list[ast.expr]()
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    names = {one.id for one in targets if isinstance(one, ast.Name)}
    return "search" in names or text_set(statement, "title") is not None


def text_set(statement: ast.stmt, attribute: str) -> str | None:
    """The text that a statement of a class sets an attribute to; None for other statements."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and "ClassVar" in ast.dump(statement.annotation):
        targets = [statement.target]
    else:
        # A field with that name would be an option, on which results depend.
        return None

    named = any(isinstance(one, ast.Name) and one.id == attribute for one in targets)
    if named and isinstance(statement.value, ast.Constant):
        return str(statement.value.value)
    return None


def _with_imports(file: Path, package: str, folder: Path) -> set[Path]:
    """A module's files and those of all modules of its package that it imports, directly or not."""
    found: set[Path] = set()
    waiting = _files_of(file)
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        # By the source: sys.modules also holds what other plugins have imported.
        for name in _imported(one.read_bytes()):
            if name.startswith(f"{package}."):
                waiting += _located(folder, name.removeprefix(f"{package}.").split("."))

    return found


@functools.lru_cache(maxsize=1024)
def _imported(content: bytes) -> tuple[str, ...]:
    """Full names of modules, or of names in them, that the source of a module imports."""
    names: list[str] = []
    for module, parts in _imports(content):
        names += [module, *(f"{module}.{part}" for part in parts)]
    return tuple(names)


def _imports(content: bytes) -> Iterator[tuple[str, list[str]]]:
    """Modules that the source of a module imports, and the names that it takes from each."""
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, []


def _located(folder: Path, parts: list[str]) -> list[Path]:
    """Files of the module at a dotted path below a folder; none where the last part is a name."""
    path = folder.joinpath(*parts)
    if path.is_dir():
        return _files_of(path / "__init__.py")
    file = path.with_suffix(".py")
    if not file.is_file():
        return []
    return _files_of(file)


def _files_of(file: Path) -> list[Path]:
    """A module's file; of a package all files in its folder."""
    if file.name != "__init__.py":
        return [file]
    return sorted(file.parent.glob("*.py"))
