"""Whether imported predictions are of the same examples, in the same order, as what stands beside them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench_uq import store
from bench_uq.api.dataset import Dataset
from bench_uq.api.errors import MissingData, UsageError
from bench_uq.api.likelihoods import Categorical, Gaussian, Likelihood
from bench_uq.api.task import Predictions
from bench_uq.plan.examples import load
from bench_uq.plan.runs import Run
from bench_uq.run.imported import Import

ADVICE = "examples must be in the order of the dataset's test split"


@dataclass(frozen=True)
class Known:
    """A dataset of bench-uq, whose files may be absent."""

    dataset: Dataset
    root: Path

    def likelihood(self) -> Likelihood | None:
        """Return the likelihood of its task, None where files are missing."""
        try:
            return self.dataset.task(self.root).likelihood
        except MissingData:
            return None

    @functools.cache  # noqa: B019 - as long as a command lasts
    def targets(self, seed: int) -> np.ndarray | None:
        """Return the targets of its test split, None where files are missing."""
        try:
            return load(self.dataset, "test", self.root, seed).targets
        except MissingData:
            return None


@dataclass(frozen=True)
class Peer:
    """One condition of a stored run on the same dataset."""

    run: store.RunFolder
    shown: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return what an error calls it."""
        return f"{self.run.path.name} ({self.shown['condition']})"

    def predictions(self) -> Predictions:
        """Return what is stored."""
        return self.run.predictions(self.shown["file"])


@dataclass(frozen=True)
class Beside:
    """What stands in a suite beside a run that is imported, and the data where bench-uq has them."""

    folder: Path
    run: Run
    known: Known | None
    unseen: Mapping[str, Known]  # by condition

    def check(self, imports: Sequence[Import]) -> None:
        """Refuse predictions of other classes, another number of examples or another order."""
        peers = list(self.peers())
        for one in imports:
            self.check_likelihood(one, imports[0], peers)
            alike = [peer for peer in peers if peer.shown["condition"] == one.condition]
            for peer in alike:
                if peer.shown["kind"] != one.kind:
                    raise UsageError(
                        f"{one.condition} is another kind of condition in {peer.run.path.name}"
                    )
            others = [peer for peer in alike if peer.run.path.name != self.run.name]
            if others:
                compare(one, others[0].predictions(), others[0].name)
            else:
                self.check_split(one)
            for peer in peers:  # changed inputs are those of the first clean examples
                if {one.kind, peer.shown["kind"]} == {"clean", "condition"}:
                    compare(one, peer.predictions(), peer.name, first=True)

    def peers(self) -> Iterator[Peer]:
        """Yield what is stored of the dataset's test split in the suite, this seed's runs first, this run last."""
        entries = [
            one
            for one in store.read_plan(self.folder)["runs"].values()
            if one["dataset"] == self.run.dataset
        ]
        for entry in sorted(
            entries, key=lambda one: (one["run"] == self.run.name, one["seed"] != self.run.seed)
        ):
            run = store.run_folder(self.folder, entry["run"])
            for shown in entry["shown"]:
                if run.holds(shown["file"]) and self.same_split(entry["seed"]):
                    yield Peer(run, shown)

    def same_split(self, seed: int) -> bool:
        """Return whether a seed has the test split of this one: surely itself, others where the data say so."""
        if seed == self.run.seed:
            return True
        ours, theirs = (
            self.known.targets(one) if self.known else None for one in (self.run.seed, seed)
        )
        return ours is not None and theirs is not None and np.array_equal(ours, theirs)

    def check_likelihood(self, one: Import, first: Import, peers: Sequence[Peer]) -> None:
        """Refuse other classes than those of the dataset, else of a stored run, else of the first file."""
        expected = self.known.likelihood() if self.known else None
        name = self.run.dataset
        if expected is None and peers:
            name, expected = peers[0].name, likelihood_of(peers[0].predictions())
        elif expected is None:
            name, expected = str(first.outputs.path), first.outputs.likelihood
        found = described(one.outputs.likelihood)
        if found != described(expected):
            raise UsageError(f"{one.outputs.path} predicts {found}, {name} {described(expected)}")

    def check_split(self, one: Import) -> None:
        """Compare with the dataset itself; an attack or shift may have been shown the first examples alone."""
        known = self.unseen.get(one.condition) if one.kind == "unseen" else self.known
        targets = known.targets(self.run.seed) if known else None
        if targets is not None:
            name = one.condition if one.kind == "unseen" else self.run.dataset
            whole = Predictions(
                {"probs": targets} | ({} if one.kind == "unseen" else {"targets": targets})
            )
            compare(one, whole, f"the test split of {name}", first=one.kind == "condition")


def compare(one: Import, stored: Predictions, where: str, *, first: bool = False) -> None:
    """Refuse another number of examples and the first target that differs.

    With ``first`` those of an attack or shift are the first of the clean ones.
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
    """Return where targets agree: labels to the letter, real ones as far as text may have rounded them."""
    if ours.dtype.kind == "i":
        return np.asarray(ours == theirs)
    return np.isclose(ours, theirs, rtol=1e-4, atol=1e-5 * float(np.std(theirs)))


def likelihood_of(predictions: Predictions) -> Likelihood:
    """Return the likelihood of stored predictions."""
    return Categorical(predictions["probs"].shape[1]) if "probs" in predictions else Gaussian()


def described(likelihood: Likelihood) -> str:
    """Return what a likelihood is of, for an error."""
    return (
        f"{likelihood.classes} classes" if isinstance(likelihood, Categorical) else "real targets"
    )
