"""Scores and curves of one run, computed from its stored predictions or kept from before."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from bench_uq import store
from bench_uq.api.metric import Metric
from bench_uq.api.task import Predictions
from bench_uq.plan.fingerprints import SHORT, digest
from bench_uq.plan.plugins import PACKAGES, Plugins
from bench_uq.plan.sources import hash_of_plugin, hash_of_trees
from bench_uq.score import curves, jackknife, members, reference, worst
from bench_uq.score.reference import Truth, truth_of
from bench_uq.store import POINTS, TRAINING, Evaluation, PlannedRun, csv
from bench_uq.store.about import About
from bench_uq.store.csv import csv_text, sort_key

#: Scores and curves of a run, kept beside it until one of its files or a metric changes.
KEPT = "scored.json"

#: Predictions, and the same without each group of examples.
Sides = tuple[Predictions | None, list[Predictions]]


@dataclass(frozen=True)
class Scoring:
    """Metrics to score by, and the hash of all code that scores and curves depend on."""

    metrics: tuple[Metric, ...]
    source: str
    about: About = field(default_factory=About)

    @classmethod
    def by(cls, plugins: Plugins, about: About) -> Scoring:
        """Scoring by the metrics of some plugins; comments in the code do not count."""
        own = [hash_of_plugin(module, PACKAGES["metric"]) for module in plugins.metric_modules()]
        parts = (curves, csv, jackknife, members, reference, worst)
        modules = [Path(str(one.__file__)) for one in parts]
        engine = hash_of_trees([*modules, Path(__file__)])
        return cls(tuple(plugins.metrics().values()), digest([engine, *own]), about)


def scored(run: store.RunFolder, planned: PlannedRun, scoring: Scoring) -> dict[str, Any]:
    """Scores, curves and numbers of examples of a run, kept from before where nothing changed."""
    files = run.record().files
    asked = [shown for shown in planned.conditions if shown.file in files]
    beside = dict[str, Evaluation]()
    for one in (planned.on_held_out, planned.of_members):
        if one is not None and one.file in files:
            beside[one.kind] = one
    trained = [name for name in (TRAINING, POINTS) if name in files]
    hashes: list[list[Any]] = []
    for shown in asked:
        hashes.append([shown.condition, shown.level, files[shown.file].sha256])
    for name in trained:
        hashes.append([name, files[name].sha256])
    for name, one in beside.items():
        hashes.append([name, files[one.file].sha256])
    truth = truth_of(run, planned)
    for name, sha256 in sorted(truth.hashes.items()):
        hashes.append(["reference", name, sha256])
    key = json.dumps([scoring.source, names_of(planned), hashes, truth.lacking])

    kept = store.read_json(run.path / KEPT)
    if isinstance(kept, dict) and kept.get("key") == key:
        return kept

    whole, lacking = list[Evaluation](), False
    maker = "score-predictions" if run.record().kind == "imported" else "run"
    for shown in asked:
        if run.holds(shown.file):
            whole.append(shown)
        else:
            say_damaged(run.path / shown.file, f"is not scored (bench-uq {maker}")
    for name in trained:
        if not run.holds(name):
            lacking = True
            say_damaged(run.path / name, "has no curve (bench-uq run")
    read = dict[str, Predictions]()
    for name, one in beside.items():
        if run.holds(one.file):
            read[name] = run.predictions(one.file)
        else:
            lacking = True
            say_damaged(run.path / one.file, f"is not used (bench-uq {maker}")

    found = computed(run, whole, scoring, read, truth)
    kept = {"key": key, "lacking": truth.lacking, **as_csv(found, planned)}
    # A damaged file is made again with the same hash; kept, its run would stay without scores.
    if whole and len(whole) == len(asked) and not lacking:
        store.write_json(run.path / KEPT, kept)
    return kept


def names_of(planned: PlannedRun) -> list[Any]:
    """Columns of scores and curves that are the same for all rows of a run."""
    return [planned.dataset, planned.method, planned.seed, planned.name]


def say_damaged(path: Path, effect: str) -> None:
    """Print a line about a damaged file above the progress bar."""
    tqdm.write(f"damaged: {path} {effect} makes it again)", file=sys.stderr)


def as_csv(found: Mapping[str, Any], planned: PlannedRun) -> dict[str, Any]:
    """Scores and curves of a run as compressed parts of the derived files, fit for JSON."""
    *names, run = names_of(planned)
    parts = {"sizes": found["sizes"], "hashes": found["hashes"]}
    for part in ("scores", "curves", "groups"):
        # The parts of all runs are joined as they are, so each is sorted, and in the final order.
        rows = [[*names, *row, run] for row in sorted(found[part], key=sort_key)]
        text = csv_text(pd.DataFrame(rows, dtype=object), header=False)
        parts[part] = base64.b64encode(compressed(text)).decode()
    return parts


def computed(
    run: store.RunFolder,
    asked: Sequence[Evaluation],
    scoring: Scoring,
    beside: Mapping[str, Predictions],
    truth: Truth,
) -> dict[str, Any]:
    """Scores and curves of a run, without the columns that name it, and numbers of examples.

    ``beside`` are predictions without scores of their own, by kind.
    """
    stored, clean = dict[str, Predictions](), None
    strongest = dict[str, float | None]()
    for shown in sorted(asked, key=lambda shown: shown.level or 0):
        stored[shown.file] = run.predictions(shown.file)
        strongest[shown.condition] = shown.level
        if clean is None and shown.kind == "clean":
            clean = stored[shown.file]

    sizes = dict(zip(stored, map(len, stored.values()), strict=True))
    extra = worst.over_attacks(asked, stored, scoring.about)
    stored |= {shown.file: predictions for shown, predictions in extra}
    strongest |= {shown.condition: shown.level for shown, _ in extra}

    @functools.cache
    def of_clean(count: int) -> Sides:
        """The first clean predictions, and those without each group of examples."""
        first = clean.first(count) if clean is not None else None
        return first, jackknife.parts(first) if first else []

    held_out = beside.get(store.HELD_OUT)
    # Whole in each part: the examples that are drawn are those of the test.
    calibrating: Sides = held_out, [held_out] * jackknife.GROUPS if held_out else []
    metrics = [one for one in scoring.metrics if truth.judged_by(one)]
    scores, groups = list[list[Any]](), list[list[Any]]()
    lines = curves.rows("train", None, curves.of_training(run))
    if store.MEMBERS in beside:
        lines += curves.rows("clean", None, members.curves(beside[store.MEMBERS]))
    for shown in [*asked, *(shown for shown, _ in extra)]:
        condition, level, predictions = shown.condition, shown.level, stored[shown.file]
        against: Sides = None, []
        if clean is not None and shown.kind != "clean":
            # An attack or shift may be of the first examples only.
            against = of_clean(len(predictions if shown.kind == "condition" else clean))

        sides = predictions, jackknife.parts(predictions)
        theirs = truth.beside(shown, predictions)
        posterior: Sides = theirs, jackknife.parts(theirs) if theirs else []
        others = against, calibrating, posterior
        for metric, value, pseudo in of_metrics(metrics, sides, others):
            scores.append([condition, level, metric, None if math.isnan(value) else value])
            if pseudo:
                groups.append([condition, level, metric, *pseudo])

        last = shown.level == strongest[shown.condition]
        found = curves.curves(predictions, clean=shown.kind == "clean", strongest=last)
        lines += curves.rows(condition, level, found)

    hashes = hashes_of(clean) if clean is not None else {}
    return {"scores": scores, "curves": lines, "groups": groups, "sizes": sizes, "hashes": hashes}


def of_metrics(
    metrics: Sequence[Metric], shown: Sides, others: tuple[Sides, Sides, Sides]
) -> Iterator[tuple[str, float, list[float]]]:
    """Yield each metric that applies, its score, and the pseudo-values of that by group."""
    predictions, parts = shown
    assert predictions is not None
    for metric in metrics:
        against = metric.others(*others)
        if metric.applies(predictions, against[0]):
            value = float(metric.compute(predictions, against[0]))
            yield metric.id, value, jackknife.pseudo_values(metric, value, parts, against[1])


def hashes_of(clean: Predictions) -> dict[str, str]:
    """Short hashes of the labels of clean data, and of everything that was predicted of them.

    Real targets are told by their mean and standard deviation.
    """
    predicted = hashlib.sha256()
    for name in sorted(clean.arrays.keys() - {"inputs", "targets"}):
        predicted.update(f"{name}{clean[name].shape}".encode())
        predicted.update(np.ascontiguousarray(clean[name]).data)
    found = {"predictions": predicted.hexdigest()[:SHORT]}

    if "targets" not in clean:
        return found
    if clean["targets"].dtype.kind == "i":
        labels = np.ascontiguousarray(clean["targets"], dtype=np.int64)
        found["labels"] = hashlib.sha256(labels.data).hexdigest()[:SHORT]
        return found

    # Real targets may have been rounded in a text: equal ones would have another hash.
    targets = clean["targets"].astype(np.float64)
    spread = float(targets.std())
    if spread > 0:
        center = round(float(targets.mean()) / spread, 2)
        found["labels"] = f"mean {center:.2f} sd, sd {spread:.3g}"
    return found


def spread_of(labels: str) -> float | None:
    """Standard deviation of real targets, of what ``hashes_of`` says of them; else None."""
    found = re.fullmatch(r"mean \S+ sd, sd (\S+)", labels)
    return float(found[1]) if found else None


def compressed(text: str) -> bytes:
    """Gzip member of a text, the same bytes for the same text; a file may hold many members."""
    # With a time in it, the same curves would be another file each time. Level 6 is gzip's own:
    # Python's default, 9, takes longer for few bytes.
    return gzip.compress(text.encode(), 6, mtime=0)
