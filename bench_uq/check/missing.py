"""Parts of a baseline that the results lack: failed or missing runs, and scores without a value."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from bench_uq.check.pairing import place_of
from bench_uq.check.results import RunKey, SuiteResults, unlike
from bench_uq.check.verdicts import VERDICTS
from bench_uq.score.likeness import concerns
from bench_uq.score.reproduce import commands
from bench_uq.score.stale import concerned

#: Statuses of runs that are still to be done; any other than ok has failed.
TO_DO = ("missing", "interrupted")
#: A verdict that no numbers can change, and its rule.
Gap = tuple[str, str]


def missing(rows: pd.DataFrame, baseline: SuiteResults, now: SuiteResults) -> dict[int, Gap]:
    """The worst gap of each cell that has any, by the cell's index; ``rows`` are paired."""
    runs, others = _missing_runs(baseline, now), unlike(baseline, now)
    rows = rows.assign(cell=place_of(rows), was=rows["first"].notna(), now=rows["second"].notna())
    columns = rows[["cell", "condition", "dataset", "method", "seed", "there", "was", "now"]]

    found: dict[int, Gap] = {}
    for cell, condition, *key, there, was, is_now in columns.itertuples(index=False, name=None):
        place = tuple(key)
        gap = runs.get(place) or _old_code(now.stale.get(place, ()), condition)
        gap = gap or _unlike(others.get(place, {}), place, condition)
        gap = gap or _missing_value(place[2], there, was, is_now)
        if gap:
            found[cell] = min(found.get(cell, gap), gap, key=lambda one: VERDICTS.index(one[0]))
    return found


def _old_code(changed: Collection[str], condition: str) -> Gap | None:
    """The gap of scores of other code than the present one."""
    parts = concerned(changed, condition)
    if not parts:
        return None
    return "stale", f"run before a change of the {', '.join(parts)}"


def _unlike(differing: Mapping[str, tuple[str, str]], key: RunKey, condition: str) -> Gap | None:
    """The gap of a score of a run that was made in another way than that of the baseline."""
    told = []
    for fact, (before, after) in differing.items():
        if concerns(fact, condition):
            told.append(f"{fact} {before} in the baseline, {after} now")
    if not told:
        return None
    return "unlike", f"not alike at seed {key[2]}: {', '.join(told)}"


def _missing_runs(baseline: SuiteResults, now: SuiteResults) -> dict[RunKey, Gap]:
    """Runs of the baseline that failed or were not made."""
    # Runs of other seeds do not stand in for those of the baseline.
    done = set()
    for key in baseline.runs.keys() & now.runs.keys():
        if now.runs[key].status not in TO_DO:
            done.add(key[:2])

    found: dict[RunKey, Gap] = {}
    for key in baseline.runs:
        run, seed = now.runs.get(key), key[2]
        if run and run.status not in ("ok", *TO_DO):
            reason = f": {run.reason}" if run.reason else ""
            found[key] = "regressed", f"seed {seed} {run.status}{reason}"
        elif key[:2] not in done:
            found[key] = "missing", "no run of this method on this dataset"
        elif run is None or run.status in TO_DO:
            rule = f"fewer seeds than in the baseline: seed {seed} was not run"
            found[key] = "inconclusive", rule
    return found


def _missing_value(seed: int, there: bool, was: bool, is_now: bool) -> Gap | None:
    """The gap in one score of a finished run."""
    # The order matters: a score that is not there has no finite value either.
    if not there:
        return "missing", f"score missing at seed {seed}"
    if not is_now:
        return "regressed", f"no finite value at seed {seed}"
    if not was:
        return "inconclusive", f"no finite value in the baseline at seed {seed}: renew the baseline"
    return None


def to_run(baseline: SuiteResults, now: SuiteResults) -> list[str]:
    """Commands that make the runs of a baseline that are still to be done, or to be done again."""
    # Prefer the command of the runs that are there, which the missing ones join.
    made = {}
    for key, run in sorted(now.runs.items(), reverse=True):
        if run.command:
            made[key[:2]] = run.command

    left, others = [], unlike(baseline, now)
    for key, run in sorted(baseline.runs.items()):
        present = now.runs.get(key)
        if key in others:
            left.append((run.command, key[1], key[0], key[2]))
        elif present is None or present.status in TO_DO or key in now.stale:
            left.append((made.get(key[:2], run.command), key[1], key[0], key[2]))
    return commands(left)
