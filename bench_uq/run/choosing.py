"""Choose the trial of each method and dataset by its NLL on held-out training data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.plan.fingerprints import SHORT, digest
from bench_uq.plan.runs import network_identity
from bench_uq.plan.tuned import Chosen, Place, Tuned, read_tuned, trials_file, write_tuned
from bench_uq.run.tried import METRIC, Tried, tried_in
from bench_uq.run.tuning import Study, tried_trials

if TYPE_CHECKING:
    import pandas as pd


#: Fields of a study that may not differ between methods of one file.
SHARED = ("setup", "seed", "studies", "per_seed", "seeds", "metric", "assignments", "sampler")
BUDGET = ("trials", "seconds")


def stored(study: Study) -> Tuned | None:
    """What was chosen before and stays beside this study; None if nothing was.

    A file of another study is refused before anything runs.
    """
    if not study.target.is_file():
        return None

    before, now = read_tuned(study.target), description(study)
    for name in SHARED:
        ours, theirs = getattr(now, name), getattr(before, name)
        if ours != theirs:
            raise UsageError(
                f"{study.target} is of another study, whose {name} is {theirs!r}, not {ours!r}: "
                "remove it, or give other --results"
            )

    kept = [one for one in before.chosen if one.place not in places(study)]
    file = store.stored(trials_file(study.target))
    # Damaged trials are refused before anything runs, because those of the others stay.
    if kept and file.is_file():
        from bench_uq.score.trials import read_trials

        read_trials(file)
    for name in BUDGET:
        ours, theirs = getattr(now, name), getattr(before, name)
        if kept and ours != theirs:
            raise UsageError(
                f"{study.target} has {kept[0].method} on {kept[0].dataset} by {theirs:g} {name}, "
                f"not {ours:g}: name it too, or remove the file"
            )
    return dataclasses.replace(before, chosen=tuple(kept))


def places(study: Study) -> set[Place]:
    """Datasets, methods and seeds that a study tunes."""
    found = set[Place]()
    for planned in study.planned:
        for run in planned.prepared.runs:
            seed = run.seed if study.search.per_seed else None
            found.add((run.dataset, planned.method, seed))
    return found


def description(study: Study) -> Tuned:
    """How a study chooses; it has chosen nothing yet."""
    suite, search, first = study.suite, study.search, study.planned[0].prepared
    return Tuned(
        suite=suite.name,
        setup=setup(study),
        seed=search.seed,
        studies=search.studies,
        trials=search.trials,
        seconds=search.seconds,
        # Of seeds that are tuned apart more may follow.
        seeds=() if search.per_seed else first.suite.seeds,
        metric=METRIC,
        assignments=first.choices.assignments,
        sampler=search.sampler,
        per_seed=search.per_seed,
        chosen=(),
    )


def setup(study: Study) -> str:
    """Hash of what the suite and its user set for the trials of all methods."""
    suite = study.suite
    parts = [
        dataclasses.asdict(suite.settings),
        suite.method_settings,
        suite.options,
        suite.search,
        network_identity(suite.network) if suite.network else "",
    ]
    return digest(parts)[:SHORT]


def choose(study: Study) -> Tuned:
    """Score the trials of a study, and write which of each method is chosen; return that.

    Of several studies, that of the median lowest NLL is chosen, of an even number the worse of the
    two in the middle: more studies give a result that depends less on chance, and no better one.
    """
    before, tried = stored(study), list[Tried]()
    for planned in tried_trials(study):
        tried += tried_in(planned)

    best, chosen = list[Tried](), list[Chosen]()
    for own in by_place(tried).values():
        one = chosen_of(own)
        # One seed of many that fails with every trial keeps its default, and fails in the results.
        if not math.isfinite(one.nll) and one.seed is None:
            raise UsageError(
                f"no trial of {one.method} on {one.dataset} has a finite NLL over all its seeds: "
                f"the runs below {study.folder} say why"
            )
        chosen.append(one)
        best.append(next(row for row in own if (row.study, row.trial) == (one.study, one.trial)))

    cost = dict.fromkeys((one.method for one in tried), 0.0)
    for row in tried:
        cost[row.method] += row.train_seconds

    others = before.chosen if before else ()
    tuned = dataclasses.replace(description(study), chosen=(*others, *chosen), cost=cost)
    rows = table(tried, best)
    file = trials_file(study.target)
    store.write_table(file, with_others(rows, file, others).encode())
    write_tuned(study.target, tuned)
    return tuned


def by_place(tried: Iterable[Tried]) -> dict[Place, list[Tried]]:
    """The trials of each dataset and method, and of each seed if it is tuned apart."""
    found: dict[Place, list[Tried]] = {}
    for one in tried:
        found.setdefault(one.place, []).append(one)
    return found


def chosen_of(tried: Sequence[Tried]) -> Chosen:
    """The chosen trial of one place."""
    studies: dict[int, list[Tried]] = {}
    for one in tried:
        studies.setdefault(one.study, []).append(one)

    # Of equals the first, which is the default or the one that was tried earlier.
    winners = [min(own, key=lambda one: one.nll) for own in studies.values()]
    ordered = sorted(winners, key=lambda one: (one.nll, one.study))
    best = ordered[len(ordered) // 2]
    own = studies[best.study]

    return Chosen(
        method=best.method,
        dataset=best.dataset,
        name=best.name,
        study=best.study,
        trials=len(own),
        trial=best.trial,
        nll=best.nll,
        default_nll=own[0].nll,
        study_nlls=tuple(one.nll for one in winners),
        settings=best.settings,
        seed=best.seed,
    )


def table(tried: Sequence[Tried], best: Sequence[Tried]) -> pd.DataFrame:
    """The trials, a row for each study, dataset, method and trial."""
    import pandas as pd

    from bench_uq.score.trials import columns_of

    columns, lines = columns_of(one.seed for one in tried), []
    for one in tried:
        settings = ",".join(f"{name}={value}" for name, value in one.settings.items())
        row = {**vars(one), "settings": settings, "chosen": one in best}
        lines.append([row[name] for name in columns])
    return pd.DataFrame(lines, columns=columns, dtype=object)


def with_others(rows: pd.DataFrame, file: Path, others: Sequence[Chosen]) -> str:
    """The trials as CSV, after those in a file of what was chosen before."""
    import pandas as pd

    from bench_uq.score.trials import LATER
    from bench_uq.store.csv import csv_text

    path, kept = store.stored(file), {one.place for one in others}
    if not kept or not path.is_file():
        return csv_text(rows)

    stored = pd.read_csv(path, dtype=str, keep_default_na=False)
    stored = stored.assign(**{name: LATER[name] for name in LATER if name not in stored})
    seeds: list[int | None] = [None] * len(stored)
    if "seed" in rows:
        seeds = [int(seed) for seed in stored["seed"]]
    places = zip(stored["dataset"], stored["method"], seeds, strict=True)
    stored = stored[[place in kept for place in places]]
    columns = list(rows.columns)
    return csv_text(pd.concat([stored[columns], rows.astype(object)], ignore_index=True))
