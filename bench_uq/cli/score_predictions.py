"""bench-uq score-predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench_uq.api.errors import UsageError
from bench_uq.cli.options import (
    UserPath,
    data_option,
    json_option,
    plugin_option,
    results_option,
    suite_name,
    suite_option,
)

if TYPE_CHECKING:
    from bench_uq.plan.plugins import Plugins


@click.command(name="score-predictions")
@click.argument("file", type=UserPath(path_type=Path), metavar="FILE.npz|FILE.csv")
@click.option("--name", required=True, help="What to call the model.")
@click.option(
    "--dataset",
    required=True,
    help="What it was tested on: a dataset of bench-uq, or data of your own.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Of its training.",
)
@click.option(
    "--condition", default="clean", show_default=True, help="What it was shown, as in a suite."
)
@click.option("--level", metavar="NUMBER", help="Level of the attack or shift, such as 8/255.")
@click.option(
    "--unseen",
    multiple=True,
    metavar="NAME=FILE",
    help="Predictions for out-of-distribution data; may be repeated.",
)
@click.option(
    "--held-out",
    type=UserPath(path_type=Path),
    metavar="FILE",
    help="Predictions for examples held out of its training, to calibrate scores on.",
)
@click.option(
    "--new-dataset",
    is_flag=True,
    help="A name that looks like a known one misspelt is meant as it is.",
)
@click.option(
    "--binary", is_flag=True, help="Probabilities are those of class 1 of two classes, (N,)."
)
@json_option
@suite_option
@results_option
@data_option
@plugin_option
def score_predictions(file: Path, suite: str, results: Path, as_json: bool, **flags: Any) -> None:
    """Score the predictions of a model trained anywhere beside bench-uq's own runs."""
    from bench_uq.plan.plugins import Plugins
    from bench_uq.run.imported.storing import store
    from bench_uq.score.score import score

    folder = results / suite_name(suite)
    run, imports = prepared(file, folder, flags)
    try:
        plugins = Plugins(tuple(flags["plugins"]))
        tell(run, store(folder, run, imports, plugins), quiet=as_json)
        score(folder, plugins)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror or error}") from error

    if as_json:
        click.echo(scores_json(folder, run))
        return
    click.echo(table(folder, run, plugins))
    click.echo(f"scores: {folder / 'scores.csv'}")


def prepared(file: Path, folder: Path, flags: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Read and check all files; return the run and its imports. Nothing is written."""
    from bench_uq.plan.plugins import Plugins
    from bench_uq.run.imported.names import Named, Names, named_file
    from bench_uq.run.imported.storing import checked, make_entry
    from bench_uq.run.imported.values import read
    from bench_uq.store import HELD_OUT

    names = Names(Plugins(tuple(flags["plugins"])), new=flags["new_dataset"])
    asked = {name: flags[name] for name in ("name", "dataset", "seed", "data_dir")}
    entry = make_entry(folder, names, **asked)

    files = [(file, names.condition(flags["condition"], flags["level"]))]
    files += [(path, names.unseen(text)) for text, path in map(named_file, flags["unseen"])]
    if flags["held_out"] is not None:
        files.append((flags["held_out"], Named(HELD_OUT, HELD_OUT, HELD_OUT)))

    given, before = [], set[str]()
    for path, named in files:
        if named.name in before:
            raise UsageError(f"{named.name} is given twice")
        before.add(named.name)
        labelled = named.kind != "unseen"
        given.append((read(path, labelled=labelled, binary=flags["binary"]), named))
    return checked(entry, given)


def tell(run: Any, stored: Iterable[tuple[Any, Any, bool]], *, quiet: bool) -> None:
    """Print a line for each import unless ``quiet``; warnings go to stderr."""
    from bench_uq.run.imported import few, zeros

    for one, predictions, before in stored:
        draws, examples = one.outputs.draws.shape[:2]
        place, ending = one.condition, f"ok  {examples} examples, draws: {draws}"
        if one.level is not None:
            place = f"{one.condition} {one.level:g}"
        if before:
            ending = "stored"

        if not quiet:
            click.echo(f"{run.name}  {place}: {ending}")
        for warning in filter(None, (one.outputs.note, zeros(one, predictions), few(one))):
            click.echo(warning, err=True)


def scores_of(folder: Path, run: Any) -> list[Any]:
    """Scores of a run, as they were stored, without intervals."""
    from bench_uq.evaluate.scores import Score
    from bench_uq.score.score import read_scores

    scores = read_scores(folder)
    own = scores[scores["run"] == run.name]
    found = []
    for condition, level, metric, value in own[
        ["condition", "level", "metric", "value"]
    ].itertuples(index=False):
        place = None if math.isnan(level) else float(level)
        found.append(Score(condition, place, metric, float(value), math.nan, math.nan, 0))
    return found


def table(folder: Path, run: Any, plugins: Plugins) -> str:
    """The main scores of a run, a column per condition."""
    from bench_uq.evaluate import tables

    scores = scores_of(folder, run)
    grid = tables.grid(scores, plugins.metrics())
    return tables.text(grid, f"{run.method} on {run.dataset}, seed {run.seed}", [])


def scores_json(folder: Path, run: Any) -> str:
    """All scores of a run, null where one has no finite value."""
    rows = []
    for one in scores_of(folder, run):
        value = one.value if math.isfinite(one.value) else None
        rows.append(
            {
                "condition": one.condition,
                "level": one.level,
                "metric": one.metric,
                "value": value,
            }
        )
    found = {"run": run.name, "method": run.method, "dataset": run.dataset, "seed": run.seed}
    return json.dumps({**found, "scores": rows}, indent=1, allow_nan=False)
