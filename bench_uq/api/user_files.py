"""Import of Python files that a user names."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
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
