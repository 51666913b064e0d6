"""What there is to choose from, as text."""

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
    """Return the list of methods, datasets, metrics, conditions, networks or suites, or of those ``wanted``.

    ``notice`` is told of broken plugins.
    """
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
        parts.append(f"unseen data: any dataset ({', '.join(plugins.names('dataset'))})")
    return "\n\n".join(parts)


def names(kind: str, plugins: Plugins) -> list[str]:
    """Return the names of all there is of a kind."""
    if kind == "network":
        from bench_uq.api.networks import NETWORKS

        return list(NETWORKS)
    return list(shipped()) if kind == "suite" else plugins.names(kind)


def described(kind: str, name: str, plugins: Plugins) -> str:
    """Return the paragraph on one name."""
    if kind == "metric":
        return card(plugins.metrics()[name])
    if kind == "network":
        from bench_uq.api.networks import NETWORKS

        return f"{name}: {' '.join((NETWORKS[name].__doc__ or '').split())}"
    return (
        f"{name}: {read_suite(name).description}"
        if kind == "suite"
        else describe(plugins, kind, name)
    )


def describe(plugins: Plugins, kind: str, name: str) -> str:
    """Return a plugin's name with its default options, its first line and its source."""
    spec = plugins.spec(kind, name)
    paragraph = (type(spec.value).__doc__ or "").strip().partition("\n\n")[0]
    summary = " ".join(paragraph.split())
    fields = [field.name for field in dataclasses.fields(spec.value) if field.init]
    options = ", ".join(f"{option_name(name)}={getattr(spec.value, name)}" for name in fields)
    lines = [
        f"{name}: {summary}",
        f"    options    {options}" if options else "",
        f"    reference  {spec.value.reference}",
    ]
    return "\n".join(line for line in lines if line)
