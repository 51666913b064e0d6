"""The run whose predictions those of another run are compared with: the reference of its suite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench_uq import store
from bench_uq.api.metric import Metric
from bench_uq.api.task import Predictions
from bench_uq.store import Evaluation, PlannedRun, Record

#: What two runs must share for their posteriors to be one, by how it is called.
SHARED = {
    "network": "network",
    "network_source": "network source",
    "content": "training data",
    "task": "task",
    "seed": "seed",
    "train_images": "number of training examples",
    "validation": "share of held-out examples",
}
#: Largest difference of a number of two inputs that count as the same.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Truth:
    """The reference of a run; ``lacking`` says why there is none to compare with.

    ``own`` says that the run is the reference itself, which is not compared with itself.
    """

    folder: store.RunFolder | None = None
    lacking: str = ""
    own: bool = False

    @property
    def hashes(self) -> dict[str, str]:
        """Hashes of the stored files of the reference, by name."""
        if self.folder is None:
            return {}
        return {name: file.sha256 for name, file in self.folder.record().files.items()}

    def judged_by(self, metric: Metric) -> bool:
        """Whether a metric says something of the run: the reference has no distance to itself."""
        # Floors need nothing but the chains of the reference, and are scores of it too.
        return not (self.own and metric.needs and metric.needs_of_reference)

    def beside(self, shown: Evaluation, predictions: Predictions) -> Predictions | None:
        """The reference's predictions for the same inputs; None if it was not shown them."""
        # Evaluations of one condition, level and data have one name in the folders of all runs.
        if self.folder is None or not self.folder.holds(shown.file):
            return None
        found = self.folder.predictions(shown.file)
        return found if same_inputs(predictions, found) else None


def truth_of(run: store.RunFolder, planned: PlannedRun) -> Truth:
    """The reference of a planned run, if it has one that can be compared with."""
    if not planned.reference or planned.other_model:
        return Truth(lacking=planned.other_model)

    folder = run
    if planned.reference != planned.name:
        folder = store.RunFolder(run.path.parent / planned.reference, keep=True)
    reason = unfit(folder.record(), run.record())
    if reason:
        return Truth(lacking=f"the reference {planned.reference} {reason}")
    return Truth(folder, own=folder is run)


def unfit(reference: Record, record: Record) -> str:
    """Why the record of a reference is of none for a run, in words; empty if it is."""
    if not reference.status:
        return "is not stored (bench-uq run makes it)"
    if reference.status != "ok":
        return f"is {reference.status}: {reference.reason}"
    if reference.diagnosis:
        return f"has not converged: {reference.diagnosis}"

    # Of a run that was never begun nothing is known.
    if not record.identity:
        return ""
    for name, words in SHARED.items():
        theirs, ours = reference.identity.get(name), record.identity.get(name)
        if theirs != ours:
            return f"is of another {words}: {theirs}, not {ours}"
    return ""


def same_inputs(one: Predictions, other: Predictions) -> bool:
    """Whether two sets of predictions are of the same inputs, as far as these are stored.

    An attack on the evaluated networks gives each run inputs of its own.
    """
    if len(one) != len(other):
        return False
    for name in ("targets", "inputs", "distance"):
        if (name in one) != (name in other):
            return False
        if name not in one:
            continue
        ours, theirs = one[name], other[name]
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=0, atol=ROUNDING):
            return False
    return True
