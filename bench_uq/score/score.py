"""Stored predictions -> scores.csv, curves.csv, runs.csv, environment.json, examples.npz, checksums.json; no torch."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.api.metric import Metric
from bench_uq.api.task import Predictions
from bench_uq.plan.fingerprints import digest
from bench_uq.plan.plugins import PACKAGES, Plugins
from bench_uq.plan.sources import hash_of_plugin, hash_of_trees
from bench_uq.store import Evaluation, PlannedRun
from bench_uq.store.csv import BLOCK, cell, csv_text, sort_key, write_changed, write_csv
from bench_uq.store.environment import fingerprint

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCORES", "cell", "read_scores", "score", "sort_key", "without_folders", "write_csv"]

SCORES = ("dataset", "method", "seed", "condition", "level", "metric", "value", "run")
CURVES = ("dataset", "method", "seed", "condition", "level", "curve", "x", "y", "run")
RUNS = (
    *("run", "method", "dataset", "seed", "status", "reason", "converged", "parameters"),
    *("train_seconds", "predict_seconds", "peak_memory", "environment"),
    *("network", "epochs", "draws", "seconds_per_1000", "command"),
)
#: What was computed of a run, kept beside it until one of its files or the metrics change.
KEPT = "scored.json"
#: Epochs of a training curve; thousands of epochs look no other, and derived files are published.
TRAINING_POINTS = 200
#: Inputs of each condition in examples.npz; of a single feature more are stored.
EXAMPLES = 8


def score(folder: Path, plugins: Plugins | None = None) -> None:
    """Rebuild the derived files of a suite's folder; what is stored unchanged is not computed again.

    ``plugins`` hold the metrics; by default those that are installed.
    """
    if not store.read_plan(folder).runs:
        raise UsageError(
            f"nothing to score in {folder}: no {store.PLAN} there (bench-uq run makes it)"
        )
    with store.suite_lock(folder):
        try:
            write_derived(folder, store.read_plan(folder).runs, plugins or Plugins())
        except OSError as error:
            if error.filename is None:  # of the file without a name that scores are gathered in
                raise store.CannotWrite(
                    error.errno, error.strerror, str(folder / "scores.csv")
                ) from error
            raise


def write_derived(folder: Path, plan: Mapping[str, PlannedRun], plugins: Plugins) -> None:
    """Write the derived files of the planned runs, of which one at a time is held in memory."""
    rows, environments, examples = (
        list[list[Any]](),
        dict[str, dict[str, Any]](),
        dict[str, np.ndarray](),
    )
    with TemporaryFile("w+", encoding="utf-8", newline="", dir=folder) as scores:

        def curves() -> Iterator[str]:
            yield csv_text([CURVES])
            for entry, run, kept in scored_runs(folder, plan, plugins):
                rows.append(run_row(entry, run.record(), kept["sizes"]))
                facts = environment_of(run.record())
                environments.update({fingerprint(facts): facts} if facts else {})
                if entry.name in shown:
                    examples.update(examples_of(run, entry))
                scores.write(kept["scores"])
                yield kept["curves"]

        shown = set(first_seeds(plan).values())
        write_changed(folder / "curves.csv", curves())
        scores.seek(0)
        write_changed(
            folder / "scores.csv", chain([csv_text([SCORES])], iter(lambda: scores.read(BLOCK), ""))
        )
    write_csv(folder / "runs.csv", RUNS, [*rows, *superseded_rows(folder, plan)])
    store.write_json(
        folder / "environment.json",
        [{"id": key, **environments[key]} for key in sorted(environments)],
    )
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(sorted(examples.items())))  # type: ignore[arg-type]
    store.write_bytes(folder / "examples.npz", buffer.getvalue())
    written = ("scores.csv", "curves.csv", "runs.csv", "environment.json", "examples.npz")
    store.write_json(
        folder / store.CHECKSUMS, {name: store.sha256(folder / name) for name in written}
    )


def scored_runs(
    folder: Path, plan: Mapping[str, PlannedRun], plugins: Plugins
) -> Iterator[tuple[PlannedRun, store.RunFolder, dict[str, Any]]]:
    """Yield each planned run, its folder and its scores in the order of the derived files, with a bar on a terminal."""
    source, metrics = source_hash(plugins), list(plugins.metrics().values())
    entries = sorted(plan.values(), key=lambda entry: sort_key(names_of(entry)))
    form = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} runs scored [{elapsed}<{remaining}]"
    quiet = not sys.stderr.isatty()
    for entry in tqdm(
        entries, disable=quiet, bar_format=form, file=sys.stderr, dynamic_ncols=True, delay=1
    ):
        run = store.run_folder(folder, entry.name, keep=True)
        yield entry, run, scored(run, entry, source, metrics)


def names_of(entry: PlannedRun) -> list[Any]:
    """Return what a row of the derived files begins with."""
    return [entry.dataset, entry.method, entry.seed]


def first_seeds(plan: Mapping[str, PlannedRun]) -> dict[tuple[str, str], str]:
    """Return the run of the lowest seed of each dataset and method."""
    entries = sorted(plan.values(), key=lambda entry: entry.seed, reverse=True)
    return {(entry.dataset, entry.method): entry.name for entry in entries}


def source_hash(plugins: Plugins) -> str:
    """Hash of the code that kept scores and curves depend on, without comments."""
    from bench_uq.score import curves
    from bench_uq.store import csv as tables

    modules = [Path(module.__file__ or "") for module in (curves, tables)]
    own = [hash_of_plugin(module, PACKAGES["metric"]) for module in plugins.metric_modules()]
    return digest([hash_of_trees([*modules, Path(__file__)]), *own])


def scored(
    run: store.RunFolder, entry: PlannedRun, source: str, metrics: Sequence[Metric]
) -> dict[str, Any]:
    """Return the rows of one run as CSV and its numbers of examples, from what was kept where nothing changed."""
    files = run.record().files
    asked = [shown for shown in entry.shown if shown.file in files]
    hashes = [[shown.condition, shown.level, files[shown.file].sha256] for shown in asked]
    trained = [
        files[name].sha256 if name in files else None for name in (store.TRAINING, store.POINTS)
    ]
    key = json.dumps([source, names_of(entry), entry.name, hashes, *trained])
    kept = store.read_json(run.path / KEPT)
    if isinstance(kept, dict) and kept.get("key") == key:  # its checksum was looked at
        return kept
    whole = [shown for shown in asked if run.holds(shown.file)]
    for shown in asked:
        if shown not in whole:
            again = "score-predictions" if run.record().kind == "imported" else "run"
            told = (
                f"damaged: {run.path / shown.file} is not scored (bench-uq {again} makes it again)"
            )
            tqdm.write(told, file=sys.stderr)
    lacking = [
        name for name in (store.TRAINING, store.POINTS) if name in files and not run.holds(name)
    ]
    for name in lacking:
        tqdm.write(
            f"damaged: {run.path / name} has no curve (bench-uq run makes it again)",
            file=sys.stderr,
        )
    kept = {"key": key, **as_csv(computed(run, whole, metrics), entry)}
    # Else a file that is made again, the same, would stay without scores.
    if whole and len(whole) == len(asked) and not lacking:
        store.write_json(run.path / KEPT, kept)
    return kept


def as_csv(found: Mapping[str, Any], entry: PlannedRun) -> dict[str, Any]:
    """Return what was computed of a run with its rows as the derived files hold them."""
    texts = {
        name: csv_text(
            [*names_of(entry), *row, entry.name] for row in sorted(found[name], key=sort_key)
        )
        for name in ("scores", "curves")
    }
    return {**found, **texts}


def computed(
    run: store.RunFolder, asked: Sequence[Evaluation], metrics: Sequence[Metric]
) -> dict[str, Any]:
    """Compute all scores and curves of a run, as rows without the columns that name it, and its numbers of examples."""
    from bench_uq.score.curves import curves

    stored = {shown.file: run.predictions(shown.file) for shown in asked}
    clean = next((stored[shown.file] for shown in asked if is_clean(shown)), None)
    scores, lines = list[list[Any]](), [*training_curves(run), *points(run)]
    for shown in asked:
        predictions, place = stored[shown.file], [shown.condition, shown.level]
        against = None if is_clean(shown) else compared(clean, predictions, shown.kind)
        for metric in metrics:
            if metric.applies(predictions, against):
                scores.append([*place, metric.id, finite(metric.compute(predictions, against))])
        for name, xs, ys in curves(predictions, against):
            lines += [[*place, name, float(x), finite(y)] for x, y in zip(xs, ys, strict=True)]
    return {
        "scores": scores,
        "curves": lines,
        "sizes": {file: len(one) for file, one in stored.items()},
    }


def finite(value: Any) -> float | None:
    """Return a number as a float, or None where it is not finite: a hole that is seen, never NaN."""
    return float(value) if np.isfinite(value) else None


def is_clean(shown: Evaluation) -> bool:
    """Return whether this is the clean condition."""
    return bool(shown.kind == "clean")


def compared(clean: Predictions | None, predictions: Predictions, kind: str) -> Predictions | None:
    """Return the clean predictions to compare with: of the same examples where a condition changed some of them."""
    return clean.first(len(predictions)) if clean is not None and kind == "condition" else clean


def training_curves(run: store.RunFolder) -> list[list[Any]]:
    """Return the training curves, the mean over members, at TRAINING_POINTS epochs where there are more."""
    if not run.holds(store.TRAINING):
        return []
    epochs = dict[int, list[dict[str, str]]]()
    for row in csv.DictReader(io.StringIO((run.path / store.TRAINING).read_text())):
        epochs.setdefault(int(row["epoch"]), []).append(row)
    chosen = np.unique(
        np.linspace(0, len(epochs) - 1, min(len(epochs), TRAINING_POINTS)).round().astype(int)
    )
    lines = []
    for name in ("loss", "nll", "kl"):
        for epoch in np.array(sorted(epochs))[chosen].tolist():
            values = [float(row[name]) for row in epochs[epoch]]
            lines.append(["train", None, f"training_{name}", float(epoch), finite(np.mean(values))])
    return lines


def points(run: store.RunFolder) -> list[list[Any]]:
    """Return the stored examples that a run was trained on, those at one place x by their mean."""
    if not run.holds(store.POINTS):
        return []
    found = dict[float, list[float]]()
    for row in csv.DictReader(io.StringIO((run.path / store.POINTS).read_text())):
        found.setdefault(float(row["input"]), []).append(float(row["target"]))
    return [
        ["train", None, "regression_target", x, finite(np.mean(ys))]
        for x, ys in sorted(found.items())
    ]


def examples_of(run: store.RunFolder, entry: PlannedRun) -> dict[str, np.ndarray]:
    """Return the first inputs per condition with what was predicted for them, of one run."""
    found: dict[str, np.ndarray] = {}
    for shown in entry.shown:
        if run.holds(shown.file):
            arrays = run.predictions(shown.file).arrays
            if "inputs" not in arrays:  # made elsewhere: there is nothing to show
                continue
            level = "" if shown.level is None else repr(shown.level)
            names = [
                entry.dataset,
                entry.method,
                str(entry.seed),
                shown.condition,
                level,
            ]
            place = "|".join(name.replace("%", "%25").replace("|", "%7C") for name in names)
            inputs = arrays["inputs"][:EXAMPLES]
            unit = inputs.min() >= 0 and inputs.max() <= 1  # features of tables may lie anywhere
            found[f"{place}|inputs"] = (
                np.round(inputs * 255).astype(np.uint8) if unit else inputs.astype(np.float32)
            )
            found |= {
                f"{place}|{key}": arrays[key][: len(inputs)]
                for key in ("probs", "mean", "targets")
                if key in arrays
            }
    return found


def run_row(entry: PlannedRun, record: store.Record, sizes: Mapping[str, int]) -> list[Any]:
    """Return the row of a planned run, whatever became of it."""
    facts = environment_of(record)
    wanted = [shown.file for shown in entry.shown]
    seconds = [record.predict_seconds.get(file) for file in wanted]
    row = {
        **{name: getattr(record, name, None) for name in RUNS},
        "run": entry.name,
        **{name: getattr(entry, name) for name in ("method", "dataset", "seed")},
        "status": record.status or "missing",
        "reason": without_folders(record.reason),
        "predict_seconds": sum(filter(None, seconds)) if any(seconds) else None,
        "environment": fingerprint(facts) if facts else None,
        "network": record.identity.get("network"),
        "epochs": record.settings.get("epochs"),
        "draws": most_draws(record, wanted),
        "seconds_per_1000": clean_seconds(record, entry.shown, sizes),
        "command": entry.command,
    }
    return [row[name] for name in RUNS]


def most_draws(record: store.Record, files: Sequence[str]) -> int | None:
    """Return how many draws a prediction was to be averaged over; some methods have fewer."""
    elsewhere = [record.sources.get(file, {}).get("draws") for file in files]
    return max(filter(None, elsewhere), default=record.settings.get("draws"))


def clean_seconds(
    record: store.Record, shown: Sequence[Evaluation], sizes: Mapping[str, int]
) -> float | None:
    """Return the seconds that 1,000 clean predictions took, all draws together."""
    for file in (one.file for one in shown if is_clean(one)):
        seconds = record.predict_seconds.get(file)
        if seconds and sizes.get(file):
            return 1000 * float(seconds) / sizes[file]
    return None


def without_folders(reason: str | None) -> str | None:
    """Return a reason with paths cut to their last part: derived files are published."""
    return re.sub(r"(?:/[^/\s'\":,;()]+)+/", "", reason) if reason else reason


def superseded_rows(folder: Path, plan: Mapping[str, PlannedRun]) -> list[list[Any]]:
    """Return a row a stored run that no plan asks for any more."""
    planned = {entry.name for entry in plan.values()}
    rows = []
    for path in sorted((folder / "runs").glob(f"*/{store.RECORD}")):
        if path.parent.name not in planned:
            record = store.RunFolder(path.parent).record()
            row = {
                **{name: getattr(record, name, None) for name in RUNS},
                "run": path.parent.name,
                "status": "superseded",
            }
            rows.append(
                [None if name in ("predict_seconds", "environment") else row[name] for name in RUNS]
            )
    return rows


def environment_of(record: store.Record) -> dict[str, Any]:
    """Return the environment that a record names, empty without one."""
    return dict(record.environment or {})


def read_scores(path: str | Path) -> pd.DataFrame:
    """Return the scores of a suite's folder, or of a scores.csv, with the columns of SCORES; level is NaN without.

    ``attrs["unconverged"]`` lists dataset and method of those with a run that had not converged, by runs.csv beside.
    """
    import pandas as pd

    path = Path(path)
    file = path / "scores.csv" if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"no {file} (bench-uq run or bench-uq score makes it)")
    try:
        frame = pd.read_csv(file, dtype="str", keep_default_na=False)
        for name in {"level", "value"} & set(
            frame.columns
        ):  # pandas' own conversion may miss the last digit
            frame[name] = pd.Series([float(text or "nan") for text in frame[name]], dtype="float64")
        frame["seed"] = frame.get("seed", pd.Series(dtype="str")).astype("int64")
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise UsageError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
    if tuple(frame.columns) != SCORES:
        raise UsageError(f"{file} has not the columns {', '.join(SCORES)}")
    frame.attrs["unconverged"] = unconverged(file.with_name("runs.csv"))
    return frame


def unconverged(file: Path) -> list[tuple[str, str]]:
    """Return dataset and method of those with a finished run that had not converged; empty without the file."""
    if not file.is_file():
        return []
    rows = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline=""))
    loose = {
        (row["dataset"], row["method"])
        for row in rows
        if (row["status"], row["converged"]) == ("ok", "False")
    }
    return sorted(loose)
