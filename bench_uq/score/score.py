"""From stored predictions to the derived files of a suite, without torch."""

from __future__ import annotations

import base64
import gzip
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.plan.plugins import Plugins
from bench_uq.score import worst
from bench_uq.score.banners import tell
from bench_uq.score.likeness import FACTS
from bench_uq.score.run_rows import RUNS, run_row, superseded_rows
from bench_uq.score.run_scores import Scoring, compressed, scored
from bench_uq.store import Plan, PlannedRun, derived
from bench_uq.store.about import ABOUT, About
from bench_uq.store.csv import csv_text, write_csv
from bench_uq.store.environment import fingerprint
from bench_uq.store.examples import EXAMPLES, without_copies

__all__ = ["CURVES", "RUNS", "SCORES", "read_scores", "score", "write_csv"]

SCORES = tuple(derived.COLUMNS[derived.SCORES].split())
CURVES = tuple(derived.COLUMNS[derived.CURVES].split())
BY_GROUP = tuple(derived.COLUMNS[derived.BY_GROUP].split())
KEYS = derived.KEYS[derived.RUNS]
#: Inputs of each condition that are kept for figures.
SHOWN = 8
_PROGRESS = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} runs scored [{elapsed}<{remaining}]"


def score(folder: Path, plugins: Plugins | None = None) -> None:
    """Rebuild the derived files of a suite's folder; unchanged runs are not scored again.

    ``plugins`` hold the metrics, by default the installed ones.
    """
    if not store.read_plan(folder).runs:
        raise UsageError(
            f"nothing to score in {folder}: no {store.PLAN} there (bench-uq run makes it)"
        )
    # The plan is read again: it may have grown while the lock was waited for.
    with store.suite_lock(folder):
        write_derived(folder, store.read_plan(folder), plugins or Plugins())
    tell(folder, plugins.files if plugins else ())


def write_derived(folder: Path, plan: Plan, plugins: Plugins) -> None:
    """Write the derived files of the planned runs."""
    # Compressed, the scores and curves of 10,000 runs take 80 MB of memory. Members of gzip one
    # after the other are a gzip file, so that those of unchanged runs are copied as they are.
    scores = [compressed(csv_text(pd.DataFrame(columns=SCORES)))]
    curves = [compressed(csv_text(pd.DataFrame(columns=CURVES)))]
    groups = [compressed(csv_text(pd.DataFrame(columns=BY_GROUP)))]
    uncompared = list[tuple[str, int, str]]()
    runs, environments, examples = list[list[Any]](), dict[str, Any](), dict[str, np.ndarray]()
    shown = set(first_seeds(plan.runs).values())
    for planned, run, kept in scored_runs(folder, plan, plugins):
        scores.append(base64.b64decode(kept["scores"]))
        curves.append(base64.b64decode(kept["curves"]))
        groups.append(base64.b64decode(kept["groups"]))
        record = run.record()
        runs.append(run_row(planned, record, kept))
        # Of another model nothing is missing.
        if planned.reference and not planned.other_model and kept["lacking"]:
            uncompared.append((planned.dataset, planned.seed, kept["lacking"]))
        if record.environment:
            environments[fingerprint(record.environment)] = record.environment
        if planned.name in shown:
            examples |= examples_of(run, planned)

    # Scores are written as plain text, because they are kept under version control.
    store.write_bytes(folder / derived.CURVES, curves)
    store.write_bytes(folder / derived.BY_GROUP, groups)
    store.write_bytes(folder / derived.SCORES, map(gzip.decompress, scores))
    write_csv(folder / derived.RUNS, RUNS, [*runs, *superseded_rows(folder, plan.runs)])
    listed = [{"id": key, **facts} for key, facts in sorted(environments.items())]
    store.write_json(folder / "environment.json", listed)
    store.write_json(folder / ABOUT, asdict(about_planned(plan)))
    store.write_npz(folder / EXAMPLES, without_copies(examples))
    write_checksums(folder)
    for dataset, seed, reason in dict.fromkeys(uncompared):
        store.say(f"{dataset}, seed {seed}: not compared with a reference: {reason}")


def write_checksums(folder: Path) -> None:
    """Write the hashes of the derived files."""
    # They come last: if scoring is cut off before, they do not fit, and no mixture is read.
    written = (*derived.COLUMNS, "environment.json", EXAMPLES, ABOUT)
    sums = {name: store.sha256(folder / name) for name in written}
    store.write_json(folder / store.CHECKSUMS, sums)
    # Older versions wrote the curves uncompressed; compressed tables are of earlier runs.
    for name in ("curves.csv", *derived.PACKED):
        (folder / name).unlink(missing_ok=True)


def about_planned(plan: Plan) -> About:
    """Facts of the methods, conditions and datasets of a plan."""
    methods, conditions, datasets = set[str](), set[str](), set[str]()
    for planned in plan.runs.values():
        methods.add(planned.method)
        datasets.add(planned.dataset)
        conditions.update(shown.condition for shown in planned.conditions)
    known = plan.about.only(methods, conditions, datasets | conditions)
    return known.laid_over(About(conditions=worst.facts(known.conditions)))


def scored_runs(
    folder: Path, plan: Plan, plugins: Plugins
) -> Iterator[tuple[PlannedRun, store.RunFolder, dict[str, Any]]]:
    """Yield each planned run, its folder and its scores in the order of the derived files."""
    scoring = Scoring.by(plugins, plan.about)
    runs = sorted(plan.runs.values(), key=attrgetter("dataset", "method", "seed"))
    # A log file would hold a line for each step of the bar.
    quiet = not sys.stderr.isatty()
    for planned in tqdm(
        runs, disable=quiet, bar_format=_PROGRESS, file=sys.stderr, dynamic_ncols=True, delay=1
    ):
        run = store.run_folder(folder, planned.name, keep=True)
        yield planned, run, scored(run, planned, scoring)


def first_seeds(plan: Mapping[str, PlannedRun]) -> dict[tuple[str, str], str]:
    """Run of the lowest seed of each dataset and method."""
    runs = sorted(plan.values(), key=attrgetter("seed"), reverse=True)
    return {(planned.dataset, planned.method): planned.name for planned in runs}


def examples_of(run: store.RunFolder, planned: PlannedRun) -> dict[str, np.ndarray]:
    """First inputs of a run in each condition, with their predictions."""
    found: dict[str, np.ndarray] = {}
    for shown in planned.conditions:
        if not run.holds(shown.file):
            continue
        arrays = run.predictions(shown.file).arrays
        if "inputs" not in arrays:  # predictions made elsewhere may come without
            continue

        level = "" if shown.level is None else repr(shown.level)
        names = [planned.dataset, planned.method, str(planned.seed), shown.condition, level]
        place = "|".join(name.replace("%", "%25").replace("|", "%7C") for name in names)
        inputs = arrays["inputs"][:SHOWN]
        # Pixels lie in [0, 1], features of tables anywhere.
        if inputs.min() >= 0 and inputs.max() <= 1:
            found[f"{place}|inputs"] = np.round(inputs * 255).astype(np.uint8)
        else:
            found[f"{place}|inputs"] = inputs.astype(np.float32)
        for key in arrays.keys() & {"probs", "mean", "targets"}:
            found[f"{place}|{key}"] = arrays[key][: len(inputs)]
    return found


def read_scores(path: str | Path) -> pd.DataFrame:
    """Scores of a suite's folder or of a scores.csv; NaN where there is no level or value.

    ``attrs["runs"]`` lists the facts that decide which runs are alike, ``attrs["groups"]`` is the
    file of the scores by group of examples.
    """
    file = Path(path)
    if file.is_dir():
        file = derived.scores_file(file)
    if not file.is_file():
        raise UsageError(f"no {file} (bench-uq run or bench-uq score makes it)")

    frame = derived.table(file, derived.SCORES)
    # Groups of categories would list combinations that no run has.
    frame = frame.astype(dict.fromkeys(frame.select_dtypes("category"), "str"))
    frame.attrs["groups"] = str(file.with_name(derived.BY_GROUP).resolve())

    of_runs = derived.runs_file(file.parent)
    if of_runs.is_file():
        runs = derived.table(of_runs)
        frame.attrs["runs"] = runs[[*KEYS, *FACTS]].to_dict("records")
    return frame
