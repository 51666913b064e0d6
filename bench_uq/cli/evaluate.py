"""bench-uq evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bench_uq.api.errors import UsageError
from bench_uq.cli.options import (
    UserPath,
    commas,
    data_option,
    json_option,
    plugin_option,
    results_option,
    suite_name,
    suite_option,
    with_nulls,
)


@click.command()
@click.option("--model", required=True, metavar="FILE.py:FACTORY", help="Makes the model.")
@click.option(
    "--weights",
    type=UserPath(path_type=Path),
    metavar="FILE.safetensors",
    help="Its state dict; left out, the model is taken as the factory makes it.",
)
@click.option("--name", required=True, help="What to call the model.")
@click.option("--dataset", required=True, help="A dataset of bench-uq, whose test split it is for.")
@click.option(
    "--condition",
    "conditions",
    multiple=True,
    metavar="NAME=LEVEL,...",
    help="An attack or shift with its levels, or out-of-distribution data; may be repeated.",
)
@click.option("--mean", callback=commas, multiple=True, metavar="A,B,...", help="Normalisation.")
@click.option("--std", callback=commas, multiple=True, metavar="A,B,...", help="Normalisation.")
@click.option("--mc-dropout", is_flag=True, help="Leave dropout layers on.")
@click.option("--draws", type=click.IntRange(1), default=20, show_default=True)
@click.option("--attack-images", type=click.IntRange(0), default=1000, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the run."
)
@click.option("--save", is_flag=True, help="Store it as a run of the suite, and score it there.")
@json_option
@suite_option
@results_option
@data_option
@plugin_option
def evaluate(
    model: str,
    weights: Path | None,
    conditions: tuple[str, ...],
    suite: str,
    results: Path,
    save: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Evaluate a trained torch model of your own, clean, attacked, shifted and on unseen data."""
    import bench_uq
    from bench_uq.evaluate.files import model_of

    folder = results / suite_name(suite)
    if save:
        # Before the model predicts, which may take minutes.
        check_names(folder, chosen)

    levels = dict[str, tuple[float, ...]]()
    for text in conditions:
        asked, given = levels_of(text)
        levels[asked] = levels.get(asked, ()) + given
    for name in ("mean", "std"):
        chosen[name] = numbers(chosen[name], name) or None
    made = model_of(model, weights)
    if weights is None:
        # A network that was not trained has scores, too.
        click.echo(f"weights: as {model} makes them (no --weights)", err=True)
    scores = bench_uq.evaluate(made, chosen.pop("dataset"), conditions=levels, **chosen)

    if save:
        scores.save(folder, seed=chosen["seed"], data_dir=chosen["data_dir"])
    if as_json:
        click.echo(json.dumps([with_nulls(vars(one)) for one in scores.scores], indent=1))
        return
    click.echo(str(scores))
    if save:
        click.echo(f"scores: {folder / 'scores.csv'}")


def numbers(texts: tuple[str, ...], name: str) -> list[float]:
    """The numbers of an option."""
    try:
        return [float(one) for one in texts]
    except ValueError:
        raise UsageError(f"--{name} takes numbers, A,B,..., not {','.join(texts)!r}") from None


def check_names(folder: Path, chosen: dict[str, Any]) -> None:
    """Refuse names under which nothing can be stored in a suite's folder."""
    from bench_uq.plan.plugins import Plugins
    from bench_uq.run.imported.names import Names
    from bench_uq.run.imported.storing import make_entry

    names = Names(Plugins(tuple(chosen["plugins"])), new=False)
    asked = {name: chosen[name] for name in ("name", "dataset", "seed", "data_dir")}
    make_entry(folder, names, **asked)


def levels_of(text: str) -> tuple[str, tuple[float, ...]]:
    """Name and levels of ``fgsm[draws=1]=0.1,0.2``: the equals sign outside of brackets counts."""
    close = text.rfind("]") + 1
    name, _, written = text[close:].partition("=")
    try:
        return text[:close] + name, tuple(float(one) for one in written.split(",") if one)
    except ValueError:
        raise UsageError(f"--condition takes NAME=LEVEL,..., not {text!r}") from None
