"""Facts of a plan's methods and conditions, to be stored with its results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from bench_uq.api.names import plain_name
from bench_uq.plan.plugins import Plugins
from bench_uq.store import PlannedRun
from bench_uq.store.about import About, ConditionFacts, facts_of


def about(
    runs: Iterable[PlannedRun],
    plugins: Plugins,
    remarks: Mapping[str, list[str]] = MappingProxyType({}),
    labels: Mapping[str, str] = MappingProxyType({}),
) -> About:
    """Positions of methods, facts of conditions, and titles, without names that no plugin has.

    ``remarks`` are those on the data, by dataset; ``labels`` are the titles that a suite gives.
    """
    methods, priors, starts = dict[str, int](), dict[str, bool](), dict[str, str]()
    conditions: dict[str, ConditionFacts] = {}
    known = {kind: plugins.names(kind) for kind in ("method", "condition", "dataset")}
    titles = dict[str, str]()

    for run in runs:
        if run.method not in methods and plain_name(run.method) in known["method"]:
            method = plugins.spec("method", plain_name(run.method)).value
            methods[run.method] = method.order
            priors[run.method] = bool(method.weight_prior)
            starts[run.method] = method.weight_start
            titles[plain_name(run.method)] = method.title
        named = plain_name(run.dataset)
        if named not in titles and named in known["dataset"]:
            titles[named] = plugins.spec("dataset", run.dataset).value.title
        for shown in run.shown:
            own = shown.kind == "condition" and plain_name(shown.condition) in known["condition"]
            if own and shown.condition not in conditions:
                value = plugins.spec("condition", shown.full).value
                conditions[shown.condition] = facts_of(value)
                titles[plain_name(shown.condition)] = value.title
            elif shown.kind != "condition" and plain_name(shown.condition) in known["dataset"]:
                unseen = plugins.spec("dataset", shown.full).value
                titles[plain_name(shown.condition)] = unseen.title

    told = {name: title for name, title in titles.items() if title}
    return About(methods, conditions, remarks, priors, starts, told | dict(labels))
