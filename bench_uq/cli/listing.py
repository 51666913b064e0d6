"""Lists of plugins, networks and suites, as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.metric import card
from bench_uq.api.names import option_name
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.suite import read_suite, shipped


def listing(
    what: str, wanted: Sequence[str], files: tuple[Path, ...] = (), *, notice: Callable[[str], None]
) -> str:
    """Text on all of a kind, or on the ``wanted`` names; ``notice`` is told of broken plugins."""
    kind, plugins = what.removesuffix("s"), Plugins(files)
    known = names(kind, plugins)
    for name in wanted:
        if name not in known:
            raise unknown(kind, name, known)

    parts = []
    for name in wanted or known:
        try:
            parts.append(described(kind, name, plugins))
        except UsageError as error:
            notice(f"broken  {name}: {error}")

    if what == "conditions" and not wanted:
        parts.append(
            f"out-of-distribution data: any dataset ({', '.join(plugins.names('dataset'))})"
        )
    return "\n\n".join(parts)


def names(kind: str, plugins: Plugins) -> list[str]:
    """Names of everything of a kind."""
    if kind == "network":
        from bench_uq.api.networks import NETWORKS

        return list(NETWORKS)
    if kind == "suite":
        return list(shipped())
    return plugins.names(kind)


def described(kind: str, name: str, plugins: Plugins) -> str:
    """Paragraph on one name."""
    if kind == "metric":
        return card(plugins.metrics()[name])
    if kind == "network":
        from bench_uq.api.networks import NETWORKS

        return f"{name}: {' '.join((NETWORKS[name].__doc__ or '').split())}"
    if kind == "suite":
        return f"{name}: {read_suite(name).description}"
    return describe(plugins, kind, name)


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
