"""Results folders with thousands of simulated runs: whole records, small files, right checksums."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench_uq import store
from bench_uq.store import Evaluation, PlannedRun

EXAMPLES, CLASSES, FEATURES, EPOCHS = 100, 10, 16, 20
DATASETS = ("first", "second", "third", "fourth")
METHODS = (
    "map",
    "dropout",
    "dropout[rate=0.1]",
    "dropout[rate=0.3]",
    "ensemble",
    "ensemble[members=3]",
    "mean-field",
    "mean-field[prior=log-uniform]",
    "mnf",
    "mnf[flows=4]",
)
LEVELS = (0.1, 0.2, 0.3)
ENVIRONMENT = {
    "device": "cpu",
    "processor": "simulated",
    "python": "3.11",
    "system": "Linux x86_64",
    "torch": "2.15",
}
SUITE = """description = "Runs that were never made"
methods = {methods}
datasets = {datasets}
seeds = {seeds}
[settings]
epochs = {epochs}
[conditions]
fgsm = {levels}
"npz[path=unseen.npz]" = []
"""


def write_suite(
    folder: Path,
    runs: int,
    methods: Sequence[str] = METHODS,
    datasets: Sequence[str] = DATASETS,
    levels: Sequence[float] = LEVELS,
) -> Path:
    """Write a suite of this many runs of methods on small datasets; return its file."""
    for place, name in enumerate((*datasets, "unseen")):
        splits = {"train": 2 * EXAMPLES, "test": EXAMPLES}
        if name == "unseen":
            splits = {"test": 10 * EXAMPLES}

        random = np.random.default_rng(place)
        arrays: dict[str, np.ndarray] = {}
        for split, count in splits.items():
            arrays[f"x_{split}"] = random.random((count, FEATURES), np.float32)
            arrays[f"y_{split}"] = np.arange(count) % CLASSES
        store.write_bytes(folder / "data" / f"{name}.npz", packed(arrays))

    text = SUITE.format(
        methods=json.dumps(list(methods)),
        datasets=json.dumps([f"npz[path={name}.npz]" for name in datasets]),
        seeds=list(range(runs // (len(methods) * len(datasets)))),
        epochs=EPOCHS,
        levels=list(levels),
    )
    suite = folder / "many.toml"
    suite.write_text(text, encoding="utf-8")
    return suite


def store_runs(runs: Sequence[PlannedRun], folder: Path, command: str = "bench-uq run") -> None:
    """Store the plan, and files and record of every run that has no record yet."""
    planned = [dataclasses.replace(run, command=command) for run in runs]
    store.merge_plan(folder, planned, description="Runs that were never made")

    for run in runs:
        place = store.run_folder(folder, run.name).path
        if not (place / store.RECORD).is_file():
            place.mkdir(parents=True, exist_ok=True)
            store_run(run, place)


def store_run(run: PlannedRun, place: Path) -> None:
    """Store one run without syncing: nothing of worth could be lost."""
    random = np.random.default_rng(zlib.crc32(run.name.encode()))
    contents = {store.NETWORK: random.bytes(2000), store.TRAINING: training(random)}
    for shown in run.shown:
        contents[shown.file] = predictions(run, shown, random)

    files = {}
    for name, content in contents.items():
        (place / name).write_bytes(content)
        files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}

    record = {
        "schema": 1,
        "run": run.name,
        "method": run.method,
        "method_full": run.method_full,
        "key": run.key,
        "dataset": run.dataset,
        "dataset_full": run.dataset_full,
        "seed": run.seed,
        "identity": dict(run.identity),
        "settings": dict(run.settings),
        "status": "ok",
        "reason": None,
        "diagnosis": "",
        "parameters": 500,
        "train_seconds": 3.0 + random.random(),
        "peak_memory": 500_000_000,
        "environment": ENVIRONMENT,
        "predict_seconds": {shown.file: random.random() for shown in run.shown},
        "files": files,
    }
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    (place / store.RECORD).write_text(text, encoding="utf-8")


def training(random: np.random.Generator) -> bytes:
    """The stored curves of a training."""
    nll = 2 * np.exp(-np.arange(EPOCHS) / 4) + 0.1 * random.random(EPOCHS)
    lines = ["member,epoch,loss,nll,kl,seconds"]
    for epoch, value in enumerate(nll.tolist(), start=1):
        lines.append(f"0,{epoch},{value + 0.1!r},{value!r},0.1,0.05")
    return "\n".join([*lines, ""]).encode()


def predictions(run: PlannedRun, shown: Evaluation, random: np.random.Generator) -> bytes:
    """Predictions of a run: methods differ, seeds vary, and accuracy falls with the level."""
    if shown.kind == store.MEMBERS:
        # As of members that draw, of which nothing else is stored.
        return packed({"draws": np.full(2, 2)})

    skill = 2 + 2 * (zlib.crc32(run.method.encode()) % 97) / 97
    targets = np.arange(EXAMPLES) % CLASSES
    logits = random.normal(0, 1, (EXAMPLES, CLASSES))
    if shown.kind != "unseen":
        logits[np.arange(EXAMPLES), targets] += skill * (1 - 2 * (shown.level or 0))

    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    entropy = -(probs * np.log(probs)).sum(1)
    arrays: dict[str, np.ndarray] = {
        "probs": probs.astype(np.float32),
        "draw_entropy": (0.9 * entropy).astype(np.float32),
        "inputs": random.random((8, FEATURES), np.float32),
    }
    if shown.kind != "unseen":
        density = np.log(probs[np.arange(EXAMPLES), targets]).astype(np.float32)
        arrays |= {"targets": targets, "log_density": density}
    if shown.kind == "condition":
        arrays["distance"] = np.full(EXAMPLES, shown.level, np.float32)
    return packed(arrays)


def packed(arrays: Mapping[str, Any]) -> bytes:
    """The bytes of an npz file with these arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
