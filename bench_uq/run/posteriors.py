"""Published predictions of references: ``<suite>.posterior.npz`` beside ``<suite>.toml``.

With them a method is compared with a posterior that nobody has to sample again. They stand in for
the run that has their key, so that network, data, prior, likelihood, recipe and seed are its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench_uq import store
from bench_uq.api.archives import open_npz
from bench_uq.api.errors import UsageError, one_line
from bench_uq.api.task import Predictions
from bench_uq.plan.suite import lineage
from bench_uq.run.job import Job, is_trained
from bench_uq.store import PUBLISHED, Record

#: How the name of the file ends, and its member that holds the records, as JSON.
ENDING, RECORDS = ".posterior.npz", "records"

#: Mixture of each chain, (N, M, C); that of all chains is their mean.
CHAINS = "chain_probs"
#: Arrays that are kept of predictions of classes: those by which inputs are told apart as they are,
#: those of one number an example in half precision.
WHOLE = ("targets", "inputs", "distance")
HALF = ("draw_entropy", "mutual_information", "log_density")

#: Largest code of a probability, and what 0 stands for: less than half of the least code.
_LAST, _LEAST = 255, 0.1
#: Largest difference between the mixture and the mean of the chains, by rounding.
_ROUNDING = 1e-4

#: Fields of a record that are of the folder in which it was made, or say what its files hold.
_OWN = ("files", "traceback", "surrogates", "kind", "sources", "together", "peak_memory", "git")


@dataclass(frozen=True)
class Posteriors:
    """Published records by run, with the arrays of each of their files by name."""

    records: Mapping[str, Record] = field(default_factory=dict)
    arrays: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]] = field(default_factory=dict)

    def laid_over(self, other: Posteriors) -> Posteriors:
        """These, and those of another file that these do not hold."""
        return Posteriors({**other.records, **self.records}, {**other.arrays, **self.arrays})

    def of(self, job: Job) -> dict[str, Mapping[str, np.ndarray]]:
        """Arrays of the planned files that are published for a run; none if it is another run."""
        record = self.records.get(job.run.name)
        # A name holds a part of the key.
        if record is None or record.key != job.run.key:
            return {}
        published, found = self.arrays[job.run.name], dict[str, Mapping[str, np.ndarray]]()
        kinds = set[str]()
        for one in job.run.conditions:
            if one.surrogate is None and one.file in published:
                found[one.file] = published[one.file]
                kinds.add(one.kind)
        # Without clean predictions they are of other settings: draws, block, or test images.
        return found if "clean" in kinds else {}

    def different(self, job: Job) -> str:
        """In what a published run of the same method, dataset and seed is another; may be empty."""
        run = job.run
        for one in self.records.values():
            if (one.method, one.dataset, one.seed) != (run.method, run.dataset, run.seed):
                continue
            for name in sorted({*one.identity, *run.identity}):
                if one.identity.get(name) != run.identity.get(name):
                    return f"of another {name.replace('_', ' ')}"
            return "of other data or settings of prediction"
        return ""


def suffices(job: Job, posteriors: Posteriors) -> bool:
    """Whether published predictions are all that is asked of a run, which is only compared with."""
    return wanted(job) and bool(posteriors.of(job))


def wanted(job: Job) -> bool:
    """Whether published predictions would spare the training of a run."""
    if not job.run.to_compare or job.force:
        return False
    # Networks that were sampled here can be shown every condition.
    if is_trained(job.run_folder(keep=True)):
        return False
    return store.elsewhere(job.folder, job.run.name, job.run.key) is None


def take(jobs: Iterable[Job], posteriors: Posteriors) -> None:
    """Store published predictions as those of the runs that others are only compared with."""
    for job in filter(wanted, jobs):
        if not posteriors.of(job):
            if words := posteriors.different(job):
                store.say(f"{job.run.name}: the published predictions are {words}; it is sampled")
            continue

        with job.run_folder().locked() as mine:
            # Another process is about to store the same.
            if mine:
                store_published(job, posteriors)


def store_published(job: Job, posteriors: Posteriors) -> None:
    """Store the published predictions of a run, under its lock; stored ones stay."""
    folder, found = job.run_folder(), posteriors.of(job)
    if folder.record().kind == PUBLISHED and all(map(folder.holds, found)):
        return

    files = dict[str, store.StoredFile]()
    for file, arrays in found.items():
        files |= folder.write_predictions(file, Predictions(decoded(arrays)))
    fields = vars(posteriors.records[job.run.name])
    facts = {name: value for name, value in fields.items() if name not in _OWN}
    folder.update(**facts, kind=PUBLISHED, files=files)

    lacking = []
    for one in job.run.conditions:
        if one.file not in files:
            lacking.append(one.condition if one.level is None else f"{one.condition} {one.level:g}")
    without = f" (without {', '.join(lacking)})" if lacking else ""
    store.say(f"{job.run.name}: published predictions{without}; asked for by name, it is sampled")


def read_posteriors(suite: Path) -> Posteriors:
    """Published predictions of a suite's file, laid over those of the suites that it extends."""
    found = Posteriors()
    for one in lineage(suite):
        path = one.with_name(one.stem + ENDING)
        if path.is_file():
            found = read_file(path).laid_over(found)
    return found


def read_file(path: Path) -> Posteriors:
    """Published predictions of a file; raise UsageError in one line for any other file."""
    arrays = dict[str, dict[str, dict[str, np.ndarray]]]()
    try:
        with open_npz(path) as archive:
            table = store.parsed(archive[RECORDS].tobytes())
            records = {run: Record.from_json(one, run) for run, one in table.items()}
            for member in set(archive.files) - {RECORDS}:
                run, file, name = member.split("|")
                store.check_file(file)
                arrays.setdefault(run, {}).setdefault(file, {})[name] = archive[member]
        if arrays.keys() != records.keys():
            raise ValueError("it lacks the predictions of a run, or its record")
        for run, files in arrays.items():
            for file, found in files.items():
                check_arrays(found, f"{file} of {run}")

    # Reading a damaged array can raise any error.
    except Exception as error:
        raise UsageError(f"{path.name}: no published predictions: {one_line(error)}") from error
    return Posteriors(records, arrays)


def check_arrays(arrays: Mapping[str, np.ndarray], place: str) -> None:
    """Require finite numbers, probabilities as codes, and as many examples in each array."""
    lengths = set[int]()
    for name, one in arrays.items():
        if not isinstance(one, np.ndarray) or one.dtype.kind not in "fiu" or not one.ndim:
            raise ValueError(f"{name} in {place} are no numbers")
        if not np.isfinite(one).all():
            raise ValueError(f"{name} in {place} are not finite")
        # Of the inputs only the first are stored.
        if name != "inputs":
            lengths.add(len(one))
    if len(lengths) != 1:
        raise ValueError(f"the arrays in {place} differ in length")

    codes = arrays.get(CHAINS)
    if codes is not None and codes.dtype.kind == "u" and codes.ndim == 3 and codes.size:
        return
    if codes is not None or "mean" not in arrays:
        raise ValueError(f"{place} holds no chains")


def write_file(folder: Path, path: Path) -> dict[str, dict[str, float]]:
    """Write the predictions of the references of a suite's folder.

    Those that came with a suite that this one extends stay in its file. Return the largest error
    of a probability in each file, by run.
    """
    members, table = dict[str, np.ndarray](), dict[str, Any]()
    errors, came = dict[str, dict[str, float]](), list[str]()
    for planned in store.read_plan(folder).runs.values():
        if planned.name != planned.reference:
            continue
        run = store.run_folder(folder, planned.name, keep=True)
        record = run.record()
        if record.kind == PUBLISHED:
            came.append(planned.name)
            continue
        if record.status != "ok" or record.diagnosis:
            reason = record.diagnosis or record.reason or "not stored"
            raise UsageError(f"{planned.name} cannot be published: {reason}")

        fields = record.to_json().items()
        table[planned.name] = {name: one for name, one in fields if name not in _OWN}
        errors[planned.name] = {}
        for shown in planned.conditions:
            # Attacked networks are not repeated to the last bit elsewhere, so their inputs are not.
            if shown.file in record.surrogates or not run.holds(shown.file):
                continue
            arrays = run.predictions(shown.file).arrays
            kept = coded(arrays)
            errors[planned.name][shown.file] = largest_error(arrays, decoded(kept))
            members |= {f"{planned.name}|{shown.file}|{name}": one for name, one in kept.items()}

    if not table:
        raise UsageError(f"no reference in {folder} was sampled there")
    lost = set(came) & set(read_file(path).records) if path.exists() else set[str]()
    if lost:
        raise UsageError(f"{path.name} would lose {min(lost)}, which was not sampled in {folder}")
    text = json.dumps(table, sort_keys=True, allow_nan=False).encode()
    store.write_npz(path, {**members, RECORDS: np.frombuffer(text, np.uint8)})
    return errors


def coded(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays as they are published: probabilities of classes are rounded, all else is whole."""
    if CHAINS not in arrays:
        return dict(arrays)

    if np.abs(arrays[CHAINS].mean(1) - arrays["probs"]).max() > _ROUNDING:
        raise UsageError("the mixture is not the mean of its chains: take as many draws as samples")
    kept = {name: arrays[name] for name in WHOLE if name in arrays}
    if "targets" in kept:
        kept["targets"] = kept["targets"].astype(np.int32)
    kept |= {name: arrays[name].astype(np.float16) for name in HALF if name in arrays}
    # Codes of equal distance in the fourth root: steps of 0.01 near 1, and down to 1e-14.
    roots = np.power(arrays[CHAINS].astype(np.float64), 0.25)
    return {**kept, CHAINS: np.round(roots * _LAST).astype(np.uint8)}


def decoded(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of predictions from published ones."""
    if CHAINS not in arrays:
        return dict(arrays)

    found = dict(arrays)
    for name in HALF:
        if name in found:
            found[name] = found[name].astype(np.float32)
    if "targets" in found:
        found["targets"] = found["targets"].astype(np.int64)
    roots = np.maximum(found[CHAINS].astype(np.float64), _LEAST) / _LAST
    probs = roots**4
    probs /= probs.sum(-1, keepdims=True)
    return {**found, "probs": probs.mean(1).astype(np.float32), CHAINS: probs.astype(np.float32)}


def largest_error(arrays: Mapping[str, np.ndarray], again: Mapping[str, np.ndarray]) -> float:
    """Largest difference of a mixture's probability from the published one; 0 for real targets."""
    if "probs" not in arrays:
        return 0.0
    return float(np.abs(arrays["probs"] - again["probs"]).max())
