"""Our scores beside the published values of a suite."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from bench_uq.api.names import level_key
from bench_uq.score.analysis import Analysis
from bench_uq.score.likeness import changed
from bench_uq.score.published import TEST_ERROR, Reference
from bench_uq.score.summaries import Place, Summary


def ours(one: Reference, summaries: Mapping[Place, Summary]) -> Summary | None:
    """Our score in the published unit."""
    metric, level = one.metric, None
    if metric == TEST_ERROR:
        metric = "accuracy"
    if one.level:
        level = level_key(float(one.level))

    found = summaries.get((one.method, one.condition, level, metric))
    if found is None or one.metric != TEST_ERROR:
        return found
    # An error falls where accuracy rises, so that both ends change places.
    low, high = 100 * (1 - found.high), 100 * (1 - found.low)
    return replace(found, mean=100 * (1 - found.mean), sd=100 * found.sd, low=low, high=high)


def changed_settings(analysis: Analysis, methods: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The methods whose runs have other settings than the suite's, which published values need."""
    found: dict[str, dict[str, None]] = {}
    runs = analysis.results.runs
    for run in runs[runs["status"] == "ok"].to_dict("records"):
        names = changed(run["method"], run["command"])
        if names and run["method"] in methods:
            found.setdefault(run["method"], {}).update(dict.fromkeys(names))
    return {method: tuple(sorted(names)) for method, names in sorted(found.items())}


@dataclass(frozen=True)
class Gap:
    """A method whose test error is above a published one, both in %."""

    method: str
    ours: Summary
    published: Reference

    @property
    def points(self) -> float:
        """Percentage points by which ours is above."""
        return self.ours.mean - float(self.published.value)


def above_published(analysis: Analysis) -> list[Gap]:
    """The methods with a higher test error on clean data than was published, the furthest first.

    Methods that were not run as the suite has them are left out.
    """
    known = [one for one in analysis.results.references if one.method in analysis.methods]
    known = [one for one in known if (one.metric, one.condition) == (TEST_ERROR, "clean")]
    other = changed_settings(analysis, {one.method for one in known})
    apart = analysis.results.apart(analysis.dataset) | other.keys()

    gaps = []
    for one in known:
        own = ours(one, analysis.summaries)
        if own is None or own.lacking or one.method in apart:
            continue
        gap = Gap(one.method, own, one)
        if gap.points > 0:
            gaps.append(gap)
    return sorted(gaps, key=lambda gap: -gap.points)
