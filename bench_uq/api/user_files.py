"""Import of plugins, and of Python files that a user names."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from bench_uq.api.errors import Interrupted, UsageError, one_line


def import_plugin(name: str) -> ModuleType:
    """Import a plugin's module; an error of its own becomes a UsageError in one line."""
    try:
        with undisturbed():
            return importlib.import_module(name)
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:
        # A plugin may call sys.exit.
        raise UsageError(f"plugin {name} fails at import: {one_line(error)}") from error


def load_network(file: Path) -> Callable[..., Any]:
    """Function ``network(task, layers)`` of a user's file."""
    module = load_module(file)
    found = getattr(module, "network", None)

    # The file may import bench_uq.api.network, which is another function.
    if not inspect.isfunction(found) or found.__module__ != module.__name__:
        raise UsageError(f"{file} holds no function network(task, layers)")
    return found


def load_module(file: Path) -> ModuleType:
    """Import a file of the user once, under a name of its own."""
    return module_at(file, Path() if file.is_absolute() else Path.cwd())


@functools.cache
def module_at(file: Path, cwd: Path) -> ModuleType:
    """Import a file; ``cwd`` is part of the key because a relative name depends on it."""
    del cwd
    if not file.is_file():
        several = ": repeat --plugin for each" if "," in file.name else ""
        raise UsageError(f"no plugin file {str(file)!r}{several}")
    if file.suffix != ".py":
        raise UsageError(f"a plugin file ends in .py, not {file.name!r}")

    # Two files of one name in two folders are two modules.
    place = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
    name = f"bench_uq_plugin_{file.stem}_{place}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look up their module there.
    sys.modules[name] = module

    try:
        with undisturbed():
            spec.loader.exec_module(module)
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:
        # Half a module must not be found by the next import.
        sys.modules.pop(name, None)
        hint = import_hint(file, error)
        raise UsageError(f"plugin {file} fails at import: {one_line(error)}{hint}") from error

    return module


def import_hint(file: Path, error: BaseException) -> str:
    """Advice if the module that a file could not import lies beside it."""
    if not isinstance(error, ModuleNotFoundError):
        return ""
    if not (file.parent / f"{error.name}.py").is_file():
        return ""
    return "; to import files beside it set PYTHONPATH to their folder"


@contextmanager
def undisturbed() -> Iterator[None]:
    """Send what an import prints to stderr; restore the working folder and warning filters."""
    folder = Path.cwd()
    with copy_of_stderr() as stderr, redirect_stdout(stderr), warnings.catch_warnings():
        try:
            yield
        finally:
            os.chdir(folder)


def copy_of_stderr() -> AbstractContextManager[IO[str]]:
    """Copy of stderr for plugins, so that closing it is harmless."""
    try:
        return os.fdopen(os.dup(sys.stderr.fileno()), "w")
    except (OSError, ValueError, AttributeError):
        # Stderr is replaced by something without a file, as in tests.
        return nullcontext(sys.stderr)
