"""What there is to choose from, as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from bench_uq.config import read_suite, shipped
from bench_uq.errors import UsageError
from bench_uq.plugins import Plugins


def listing(what: str, files: tuple[Path, ...] = (), *, notice: Callable[[str], None]) -> str:
    """Return the list of methods, datasets, metrics, conditions or suites; ``notice`` is told of broken plugins."""
    if what == "metrics":
        from bench_uq.metrics import METRICS, card

        return "\n\n".join(card(metric) for metric in METRICS)
    if what == "suites":
        suites = [read_suite(name) for name in shipped()]
        return "\n".join(f"{suite.name:12} {suite.description}" for suite in suites)
    plugins = Plugins(files)
    kind = what.removesuffix("s")
    parts = []
    for name in plugins.names(kind):
        try:
            parts.append(describe(plugins, kind, name))
        except UsageError as error:
            notice(f"broken  {name}: {error}")
    if what == "conditions":
        parts.append(f"unseen data: any dataset ({', '.join(plugins.names('dataset'))})")
    return "\n\n".join(parts)


def describe(plugins: Plugins, kind: str, name: str) -> str:
    """Return a plugin's name with its default options, its first line and its source."""
    spec = plugins.spec(kind, name)
    summary = (type(spec.value).__doc__ or "").strip().splitlines()[0]
    options = ", ".join(
        f"{field.name}={getattr(spec.value, field.name)}" for field in dataclasses.fields(spec.value) if field.init
    )
    lines = [
        f"{name}: {summary}",
        f"    options    {options}" if options else "",
        f"    reference  {spec.value.reference}",
    ]
    return "\n".join(line for line in lines if line)
