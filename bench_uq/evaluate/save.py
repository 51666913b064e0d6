"""Store evaluated predictions as a run of a suite, beside those of bench-uq and of files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench_uq.api.errors import BadValue, UsageError
from bench_uq.api.task import Predictions
from bench_uq.evaluate.shown import Evaluated, Shown
from bench_uq.run.imported import Import, add, make_run, refuse_taken
from bench_uq.run.imported.alignment import Beside, Known
from bench_uq.run.imported.names import Named, Names
from bench_uq.run.imported.values import Outputs
from bench_uq.store import read_plan
from bench_uq.store.folders import enclosed


@dataclass(frozen=True)
class Averaged(Outputs):
    """Predictions that were averaged before, in place of those of a file."""

    predictions: Predictions = field(kw_only=True)

    def mixture(self) -> Predictions:
        """The predictions as they are."""
        return self.predictions


def save(
    scores: Evaluated,
    folder: Path,
    *,
    name: str,
    dataset: str,
    seed: int,
    data_dir: Path,
    new_dataset: bool,
) -> Path:
    """Store and score the predictions; everything is checked before anything is written."""
    import torch

    from bench_uq.plan.about import about
    from bench_uq.score.score import score
    from bench_uq.store.environment import environment, git_state

    if not dataset:
        raise BadValue("save needs the dataset that the labels are of: save(..., dataset='digits')")
    # Results on held-out examples are chosen by, and never compared on the test.
    if folder.name.endswith("-validation"):
        raise UsageError(f"{folder.name}: predictions are stored for the test split alone")
    enclosed(folder)

    names = Names(scores.plugins, new=new_dataset)
    method, data = names.method(name), names.dataset(dataset)
    # A model under the name of a method would be averaged with its seeds.
    refuse_taken(method, read_plan(folder).runs)
    imports, known = list[Import](), dict[str, Known]()
    for shown in scores.shown:
        named = name_of(names, shown)
        if named.value is not None:
            known[named.name] = Known(named.value, data_dir)
        outputs = averaged(scores, shown)
        imports.append(Import(outputs, named.name, named.full, shown.kind, shown.level))

    run = make_run(method, (data.name, data.full), seed, [one.evaluation() for one in imports])
    own = Known(data.value, data_dir) if data.value else None
    unseen = {one.condition: known[one.condition] for one in imports if one.condition in known}
    # Labels that are not those of the dataset are refused here, as those of a file are.
    Beside(folder, run, own, unseen).check(imports)

    made = {"environment": environment(torch.device("cpu")), "git": git_state()}
    add(folder, run, imports, made, about([run], scores.plugins))
    score(folder, scores.plugins)
    return folder


def name_of(names: Names, shown: Shown) -> Named:
    """Canonical name of a condition, and its dataset where it is out-of-distribution data."""
    if shown.kind == "unseen":
        return names.unseen(shown.full)
    if shown.kind == "condition":
        return Named(shown.condition, shown.full, "condition", shown.level)
    return Named(shown.condition, shown.full, "clean")


def averaged(scores: Evaluated, shown: Shown) -> Averaged:
    """Predictions of a condition as an import takes them; its draws are a shape alone."""
    predictions, likelihood = shown.predictions, scores.likelihood
    # Only the shape counts: the draws were averaged.
    draws = np.broadcast_to(0.0, (shown.draws, len(predictions), likelihood.parameters))
    targets = predictions.arrays.get("targets")
    return Averaged(
        Path(f"{scores.name} ({shown.title})"),
        scores.source,
        likelihood,
        draws,
        targets,
        lambda draw, row: f"row {row}",
        predictions=predictions,
    )
