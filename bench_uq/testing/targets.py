"""The plugins and networks that a user names, as targets of checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from bench_uq.api import architectures
from bench_uq.api.architecture_names import is_architecture, read
from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import parse
from bench_uq.api.user_files import load_module, load_network
from bench_uq.plan.plugins import BASES, Plugins, kinds_in, metrics_in, plugin_name
from bench_uq.testing.contract import Target


def targets(
    what: Sequence[str], kind: str | None, files: Iterable[Path], root: Path
) -> list[Target]:
    """The plugins with these names or in these files, if given of one kind; made before any check.

    ``files`` are plugins from outside besides those that ``what`` names.
    """
    modules = {text: load_module(Path(text)) for text in what if text.endswith(".py")}
    holding = [Path(text) for text, module in modules.items() if kinds_in(module)]
    # One file by two paths would bring two plugins of one name.
    plugins = Plugins(tuple({file.resolve(): file for file in (*files, *holding)}.values()))

    found = []
    for text in dict.fromkeys(what):
        if text in modules:
            some = in_file(Path(text), modules[text], plugins, root)
        elif is_architecture(text):
            read(text)  # a mistake in its options is no broken requirement
            some = [Target("network", text, Path(architectures.__file__), plugins, root)]
        else:
            some = by_name(text, plugins, kind, root)

        chosen = [target for target in some if kind in (None, target.kind)]
        if not chosen:
            kinds = ", a ".join(target.kind for target in some)
            raise UsageError(f"{text} holds no {kind}, it holds a {kinds}")
        found += chosen
    return found


def in_file(file: Path, module: ModuleType, plugins: Plugins, root: Path) -> list[Target]:
    """Everything that a file of the user holds."""
    found = []
    for kind in kinds_in(module):
        names = [plugin_name(file)]
        if kind == "metric":
            names = [metric.id for metric in metrics_in(module)]
        for spec in (plugins.spec(kind, name) for name in names):
            found.append(Target(kind, spec.name, spec.file, plugins, root, spec))

    try:
        # A file may hold a network beside its plugins.
        load_network(file)
    except UsageError:
        if found:
            return found
        kinds = "no Method, Dataset, Condition or Metric of its own"
        raise UsageError(f"{file} holds {kinds}, and no function network(task, layers)") from None
    return [*found, Target("network", str(file), file, plugins, root)]


def by_name(text: str, plugins: Plugins, kind: str | None, root: Path) -> list[Target]:
    """The plugins with a name, with its options."""
    plain, _ = parse(text)
    found, known = [], set[str]()
    for one in BASES:
        if kind in (None, one):
            names = plugins.names(one)
            known |= set(names)
            if plain in names:
                spec = plugins.spec(one, text)
                found.append(Target(one, spec.name, spec.file, plugins, root, spec))
    if not found:
        raise unknown(kind or "plugin", plain, known)
    return found
