"""Lists of plugins, networks and suites, as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.metric import card
from bench_uq.api.names import option_name
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.suite import Suite, read_suite, shipped
from bench_uq.train.settings import MEANINGS, Settings


def entries(
    what: str, wanted: Sequence[str], files: tuple[Path, ...] = (), *, notice: Callable[[str], None]
) -> dict[str, str]:
    """Text on each of a kind, or on the ``wanted`` names; ``notice`` is told of broken plugins."""
    kind, plugins = what.removesuffix("s"), Plugins(files)
    known = names(kind, plugins)
    for name in wanted:
        if name not in known:
            raise unknown(kind, name, known)

    found = {}
    for name in wanted or known:
        try:
            found[name] = described(kind, name, plugins, full=bool(wanted))
        except UsageError as error:
            notice(f"broken  {name}: {error}")
    return found


def joined(
    what: str, wanted: Sequence[str], files: tuple[Path, ...], found: Mapping[str, str]
) -> str:
    """All texts of a kind as one."""
    parts = list(found.values())
    if what == "settings":
        return "\n".join(parts)
    if what == "networks" and not wanted:
        parts.append(
            "torchvision:NAME, timm:NAME: an architecture of these packages, such as "
            "torchvision:resnet18[size=64,weights=FILE,frozen=true]"
        )
    if what == "conditions" and not wanted:
        datasets = ", ".join(Plugins(files).names("dataset"))
        parts.append(f"out-of-distribution data: any dataset ({datasets})")
    return "\n\n".join(parts)


def names(kind: str, plugins: Plugins) -> list[str]:
    """Names of everything of a kind."""
    if kind == "network":
        from bench_uq.api.networks import NETWORKS

        return list(NETWORKS)
    if kind == "suite":
        return list(shipped())
    if kind == "setting":
        return list(MEANINGS)
    return plugins.names(kind)


def described(kind: str, name: str, plugins: Plugins, *, full: bool = False) -> str:
    """Paragraph on one name; ``full`` says all of a suite."""
    if kind == "setting":
        return f"{name:<14} {getattr(Settings, name)!s:<9} {MEANINGS[name]}"
    if kind == "metric":
        return card(plugins.metrics()[name])
    if kind == "network":
        from bench_uq.api.networks import NETWORKS

        return f"{name}: {' '.join((NETWORKS[name].__doc__ or '').split())}"
    if kind == "suite":
        suite = read_suite(name)
        return "\n".join([f"{name}: {suite.description}", *contents(suite, full=full)])
    return describe(plugins, kind, name)


def contents(suite: Suite, *, full: bool) -> list[str]:
    """Everything that a suite holds, a line each; nothing unless ``full``."""
    if not full:
        return []
    lines = [
        f"    methods     {', '.join(suite.methods)}",
        f"    datasets    {', '.join(suite.datasets)}",
        f"    seeds       {', '.join(map(str, suite.seeds))}",
    ]
    for name in MEANINGS:
        value = getattr(suite.settings, name)
        if value != getattr(Settings, name):
            lines.append(f"    setting     {name} = {value}")
    for kind, table in (("setting", suite.method_settings), ("option", suite.options)):
        for name, values in table.items():
            lines += [f"    {kind:<11} {name}.{key} = {value}" for key, value in values.items()]

    lines += levels("", suite.conditions)
    for dataset, conditions in suite.dataset_conditions.items():
        lines += levels(f" of {dataset}", conditions)
    return lines


def levels(whose: str, conditions: Mapping[str, Sequence[float]]) -> list[str]:
    """A line for each condition with its levels."""
    lines = []
    for name, values in conditions.items():
        lines.append(f"    condition   {name}{whose}  {', '.join(map(str, values))}".rstrip())
    return lines


def describe(plugins: Plugins, kind: str, name: str) -> str:
    """Name of a plugin, its first paragraph, its default options and its reference."""
    spec = plugins.spec(kind, name)
    # The rest of a docstring is for readers of the code.
    paragraph = (type(spec.value).__doc__ or "").strip().partition("\n\n")[0]
    lines = [f"{name}: {' '.join(paragraph.split())}"]

    options = []
    for field in dataclasses.fields(spec.value):
        # Fields that a class computes for itself are no options.
        if field.init:
            options.append(f"{option_name(field.name)}={getattr(spec.value, field.name)}")
    if options:
        lines.append(f"    options    {', '.join(options)}")

    return "\n".join([*lines, f"    reference  {spec.value.reference}"])
