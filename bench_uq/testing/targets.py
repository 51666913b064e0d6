"""What the command line names -> what is to be checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import parse
from bench_uq.api.user_files import load_module, load_network
from bench_uq.plan.plugins import BASES, Plugins, kinds_in, metrics_in, plugin_name
from bench_uq.testing import Target, target_of


def targets(
    what: Sequence[str], kind: str | None, files: Iterable[Path], root: Path
) -> list[Target]:
    """Return the plugins of these names and files, of one kind alone where it is given; all are made before any check.

    ``files`` are plugins from outside, beside those that ``what`` names.
    """
    named = [Path(text) for text in what if text.endswith(".py")]
    modules = {file: load_module(file) for file in named}
    holding = [file for file in named if kinds_in(modules[file])]
    plugins = Plugins(tuple({file.resolve(): file for file in (*files, *holding)}.values()))
    found = []
    for text in dict.fromkeys(what):
        module = modules.get(Path(text)) if text.endswith(".py") else None
        some = (
            in_file(Path(text), module, plugins, root)
            if module
            else by_name(text, plugins, kind, root)
        )
        found += [target for target in some if kind in (None, target.kind)]
        if not any(target in found for target in some):
            raise UsageError(
                f"{text} holds no {kind}, it holds a {', a '.join(one.kind for one in some)}"
            )
    return found


def in_file(file: Path, module: ModuleType, plugins: Plugins, root: Path) -> list[Target]:
    """Return all that a file of the user holds."""
    specs = []
    for kind in kinds_in(module):
        names = [one.id for one in metrics_in(module)] if kind == "metric" else [plugin_name(file)]
        specs += [plugins.spec(kind, name) for name in names]
    found = [target_of(spec, plugins, root) for spec in specs]
    try:
        load_network(file)
    except UsageError:
        if not found:
            raise UsageError(
                f"{file} holds no Method, Dataset, Condition or Metric of its own, "
                "and no function network(task, layers)"
            ) from None
        return found
    return [*found, Target("network", str(file), file, plugins, root)]


def by_name(text: str, plugins: Plugins, kind: str | None, root: Path) -> list[Target]:
    """Return the plugins of a name, with its options."""
    plain, _ = parse(text)
    kinds = [one for one in BASES if kind in (None, one)]
    known = {one: plugins.names(one) for one in kinds}
    found = [plugins.spec(one, text) for one in kinds if plain in known[one]]
    if not found:
        raise unknown(kind or "plugin", plain, (name for names in known.values() for name in names))
    return [target_of(spec, plugins, root) for spec in found]
