"""Check that imported predictions are of the same examples, in the same order, as other runs'."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench_uq import store
from bench_uq.api.dataset import Dataset
from bench_uq.api.errors import MissingData, UsageError
from bench_uq.api.likelihoods import Categorical, Gaussian, Likelihood
from bench_uq.api.task import Predictions
from bench_uq.plan.examples import load
from bench_uq.run.imported import Import
from bench_uq.store import Evaluation, PlannedRun, RunFolder

ADVICE = "examples must be in the order of the dataset's test split"


@dataclass(frozen=True)
class Known:
    """A dataset of bench-uq, whose files may be absent."""

    dataset: Dataset
    root: Path

    def likelihood(self) -> Likelihood | None:
        """Likelihood of its task; None if files are missing."""
        try:
            return self.dataset.task(self.root).likelihood
        except MissingData:
            return None

    @functools.cache  # noqa: B019 - as long as a command lasts
    def targets(self, seed: int) -> np.ndarray | None:
        """Targets of its test split; None if files are missing."""
        try:
            return load(self.dataset, "test", self.root, seed).targets
        except MissingData:
            return None


@dataclass(frozen=True)
class Peer:
    """One evaluation of a stored run on the same dataset."""

    run: RunFolder
    shown: Evaluation

    @property
    def name(self) -> str:
        """Name for errors."""
        return f"{self.run.path.name} ({self.shown.condition})"

    def predictions(self) -> Predictions:
        """Stored predictions."""
        return self.run.predictions(self.shown.file)


@dataclass(frozen=True)
class Beside:
    """Stored runs of the suite, and the data if bench-uq has them, to compare an import with."""

    folder: Path
    run: PlannedRun
    known: Known | None
    unseen: Mapping[str, Known]  # by condition

    def check(self, imports: Sequence[Import]) -> None:
        """Refuse predictions of other classes, another number of examples or another order."""
        peers = list(self.peers())
        for one in imports:
            self.check_likelihood(one, imports[0], peers)
            self.check_axes(one, imports, peers)
            # Nobody else has held out the same examples.
            if one.kind == store.HELD_OUT:
                continue
            alike = [peer for peer in peers if peer.shown.condition == one.condition]
            for peer in alike:
                if peer.shown.kind != one.kind:
                    raise UsageError(
                        f"{one.condition} is another kind of condition in {peer.run.path.name}"
                    )

            others = [peer for peer in alike if peer.run.path.name != self.run.name]
            if others:
                compare(one, others[0].predictions(), others[0].name)
            else:
                self.check_split(one)

            # Attacked and shifted inputs are those of the first clean examples.
            for peer in peers:
                if {one.kind, peer.shown.kind} == {"clean", "condition"}:
                    compare(one, peer.predictions(), peer.name, first=True)

    def peers(self) -> Iterator[Peer]:
        """Stored evaluations of the same test split, those of this seed first, of this run last."""

        def order(one: PlannedRun) -> tuple[bool, bool]:
            return one.name == self.run.name, one.seed != self.run.seed

        planned = store.read_plan(self.folder).runs.values()
        for one in sorted(planned, key=order):
            if one.dataset != self.run.dataset:
                continue
            folder = store.run_folder(self.folder, one.name, keep=True)
            for evaluation in one.shown:
                if folder.holds(evaluation.file) and self.same_split(one.seed):
                    yield Peer(folder, evaluation)

    def same_split(self, seed: int) -> bool:
        """Whether a seed has the test split of this run's seed, as far as the data are known."""
        if seed == self.run.seed:
            return True
        if self.known is None:
            return False
        ours, theirs = self.known.targets(self.run.seed), self.known.targets(seed)
        return ours is not None and theirs is not None and np.array_equal(ours, theirs)

    def check_likelihood(self, one: Import, first: Import, peers: Sequence[Peer]) -> None:
        """Require the classes of the dataset, else of a stored run, else of the first file."""
        expected = self.known.likelihood() if self.known else None
        name = self.run.dataset
        if expected is None and peers:
            name, expected = peers[0].name, likelihood_of(peers[0].predictions())
        elif expected is None:
            name, expected = str(first.outputs.path), first.outputs.likelihood

        found = described(one.outputs.likelihood)
        if found != described(expected):
            raise UsageError(f"{one.outputs.path} predicts {found}, {name} {described(expected)}")

    def check_axes(self, one: Import, imports: Sequence[Import], peers: Sequence[Peer]) -> None:
        """Refuse an array whose axes of draws and of examples may have changed places.

        Labels tell them apart; without them the draws of this run's labelled predictions do.
        """
        path, (draws, examples) = one.outputs.path, one.outputs.draws.shape[:2]
        advice = "give another number of draws, or a CSV file, whose columns name them"
        if one.outputs.stacked and draws == examples > 1:
            raise UsageError(
                f"{path}: {draws} draws of {examples} examples, or the reverse? {advice}"
            )
        if not one.outputs.stacked or one.kind != "unseen":
            return

        known = [other.outputs.draws.shape[0] for other in imports if other.kind != "unseen"]
        for peer in peers:
            if peer.run.path.name == self.run.name and peer.shown.kind == "clean":
                known.append(peer.run.record().sources[peer.shown.file].draws)
        if not known:
            raise UsageError(
                f"{path}: {draws} draws of {examples} examples, or the reverse? "
                "import the labelled predictions first, or in the same command"
            )
        if draws != known[0]:
            raise UsageError(
                f"{path} has {draws} draws of {examples} examples, the labelled predictions have "
                f"{known[0]} draws: arrays are (S, N, C), S draws first"
            )

    def check_split(self, one: Import) -> None:
        """Compare with the dataset; for an attack or shift its first examples are enough."""
        known = self.unseen.get(one.condition) if one.kind == "unseen" else self.known
        targets = known.targets(self.run.seed) if known else None
        if targets is not None:
            # For its length alone: labels of OOD data are of other classes, and say nothing.
            name, arrays = one.condition, {"probs": targets}
            if one.kind != "unseen":
                name, arrays["targets"] = self.run.dataset, targets
            where = f"the test split of {name}"
            compare(one, Predictions(arrays), where, first=one.kind == "condition")


def compare(one: Import, stored: Predictions, where: str, *, first: bool = False) -> None:
    """Refuse another number of examples, and a target that differs.

    With ``first`` the examples of an attack or shift are the first of the clean ones.
    """
    outputs = one.outputs
    ours, theirs = outputs.draws.shape[1], len(stored)
    if ours != theirs and not (first and (ours < theirs) == (one.kind == "condition")):
        raise UsageError(f"{outputs.path} holds {ours} examples, {where} {theirs}: {ADVICE}")
    if outputs.targets is None or "targets" not in stored:
        return

    shared = min(ours, theirs)
    differs = ~same(outputs.targets[:shared], stored["targets"][:shared])
    if differs.any():
        row = int(np.argmax(differs))
        found, expected = outputs.targets[row], stored["targets"][row]
        raise UsageError(
            f"{outputs.path}: {outputs.place(0, row)} has {found:g}, {where} {expected:g}: {ADVICE}"
        )


def same(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Whether targets agree: labels exactly, real ones up to the rounding of text."""
    if ours.dtype.kind == "i":
        return np.asarray(ours == theirs)
    # Text may be rounded to a few digits; near 0 a relative tolerance would allow nothing.
    # Far from 0 it would allow any order, so it ends at a hundredth of the spread.
    spread = float(np.std(theirs, dtype=np.float64))
    allowed = np.minimum(1e-4 * np.abs(theirs), 1e-2 * spread) + 1e-5 * spread
    return np.asarray(np.abs(ours - theirs) <= allowed)


def likelihood_of(predictions: Predictions) -> Likelihood:
    """Likelihood of stored predictions."""
    if "probs" in predictions:
        return Categorical(predictions["probs"].shape[1])
    return Gaussian()


def described(likelihood: Likelihood) -> str:
    """Likelihood in an error."""
    if isinstance(likelihood, Categorical):
        return f"{likelihood.classes} classes"
    return "real targets"
