"""Store evaluated predictions as a run of a suite, beside those of bench-uq and of files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench_uq.api.arguments import whole_number
from bench_uq.api.errors import BadValue
from bench_uq.api.task import Predictions
from bench_uq.evaluate.shown import Evaluated, Shown
from bench_uq.run.imported.names import Named, Names
from bench_uq.run.imported.storing import checked, make_entry, store
from bench_uq.run.imported.values import Outputs


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
    from bench_uq.score.score import score

    # Tables hold whole numbers of 64 bits.
    seed = whole_number(seed, "seed", 0, 2**63 - 1)
    for what, text in (("name", name), ("dataset", dataset)):
        if not isinstance(text, str):
            raise BadValue(f"{what} is a text, not a {type(text).__name__}")
    if not dataset:
        raise BadValue("save needs the dataset that the labels are of: save(..., dataset='digits')")
    names = Names(scores.plugins, new=new_dataset)
    entry = make_entry(folder, names, name=name, dataset=dataset, seed=seed, data_dir=data_dir)

    # All names first: predictions are large, and their checks read files.
    named = [name_of(names, shown) for shown in scores.shown]
    outputs = [averaged(scores, shown) for shown in scores.shown]
    # Labels that are not those of the dataset are refused here, as those of a file are.
    run, imports = checked(entry, list(zip(outputs, named, strict=True)))

    store(folder, run, imports, scores.plugins, device=scores.device)
    score(folder, scores.plugins)
    return folder


def name_of(names: Names, shown: Shown) -> Named:
    """Canonical name of a condition, and its dataset where it is out-of-distribution data."""
    if shown.kind == "unseen":
        return names.unseen(shown.full)
    return Named(shown.condition, shown.full, shown.kind, shown.level)


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
