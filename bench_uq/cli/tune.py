"""bench-uq tune."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench_uq.api.arguments import DEVICES
from bench_uq.cli.completion import plugin_names
from bench_uq.cli.options import (
    FAILED,
    cluster_options,
    data_option,
    json_option,
    listed,
    plugin_option,
    results_option,
    shard_option,
    suite_option,
    with_nulls,
)
from bench_uq.cli.run import METHODS, choices_of, finished, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench_uq.plan.tuned import Chosen, Tuned
    from bench_uq.run.record import Ended
    from bench_uq.run.tuning import Study


@click.command()
@suite_option
@listed("methods", METHODS, plugin_names("method"))
@listed("datasets", "Datasets instead of the suite's.", plugin_names("dataset"))
@click.option(
    "--trials", type=int, help="Trials of each method, the default first. [64 with --seconds]"
)
@click.option(
    "--seconds",
    type=float,
    metavar="S",
    help="Training time of each method: no trial begins after it, so that cheap methods have more.",
)
@click.option(
    "--studies", default=1, show_default=True, help="Studies, of which the median is chosen."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the search.")
@click.option(
    "--sampler",
    default="sobol",
    show_default=True,
    metavar="sobol|tpe",
    help="Points of the trials: quasi-random, or each by the scores of those before it (Optuna, an "
    "extra; slower, and not the same on every machine).",
)
@click.option(
    "--per-seed",
    is_flag=True,
    help="Choose for each seed of the suite apart, by the held-out tenth of its own training "
    "split: for datasets whose splits differ from seed to seed, such as UCI's.",
)
@listed(
    "seeds",
    "Seeds that train the trials, none of the suite's. [default: the next three; with --per-seed "
    "the suite's]",
)
@click.option("--network", default="", metavar="NAME|FILE.py", help="As for bench-uq run.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at a time, as for bench-uq run.")
@results_option
@data_option
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="As for bench-uq run."
)
@plugin_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop a run that takes longer; its trial is not chosen. [default: none]",
)
@cluster_options
@shard_option
@click.option("--dry-run", is_flag=True, help="Print the trials and which runs are stored.")
@json_option
def tune(
    trials: int | None,
    seconds: float | None,
    studies: int,
    seed: int,
    sampler: str,
    per_seed: bool,
    dry_run: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Choose options and recipe of each method, with the same budget for each.

    Trials are trained on seeds that the suite does not have, and chosen by the mean NLL of held-out
    training examples; with --per-seed each seed of the suite has its own trials and choice. Test
    data are not read. The choice is written to tuned.toml beside the suite's results, which
    bench-uq run --tuned reads. An interrupted study continues with the same command.
    """
    from bench_uq.api.errors import UsageError
    from bench_uq.run.forkserver import start_early

    if as_json and (dry_run or flags["shard"]):
        raise UsageError("--json prints what was chosen: leave out --dry-run and --shard")
    if not dry_run and not flags["cluster"]:
        start_early(flags["suite"], flags["methods"], flags["datasets"])

    from bench_uq.run.choosing import choose, stored
    from bench_uq.run.tuning import plan_study, search_of

    search = search_of(trials, seconds, studies, seed, sampler, per_seed=per_seed)
    planned = plan_study(choices_of(flags), search, warn)
    stored(planned)
    if dry_run:
        foretell(planned)
        return

    failed = run_all(planned, functools.partial(finished, err=as_json))
    shard = planned.planned[0].prepared.choices.shard
    if shard:
        warn(
            f"shard {shard[0]}/{shard[1]} is done; after the last: the same command without "
            "--shard, where results of other machines were joined by bench-uq merge DIR... "
            "--results OUT"
        )
    elif as_json:
        click.echo(as_text(choose(planned), planned.target))
    else:
        show(choose(planned), planned.target)
    sys.exit(FAILED if failed else 0)


def run_all(study: Study, ended: Callable[[str, Ended], None]) -> int:
    """Do all runs of a study and hand on how each ended; return how many failed."""
    from bench_uq.run.processes import Stopped
    from bench_uq.run.tuning import run_study

    try:
        return run_study(study, ended)
    except Stopped as stop:
        warn("interrupted; finished runs are kept, the same command goes on")
        sys.exit(stop.code)


def foretell(study: Study) -> None:
    """Print each trial, and how many of its runs are stored."""
    from bench_uq.plan.search_space import TPE
    from bench_uq.run.job import complete_in

    for one in study.planned:
        stored = 0
        for job in one.prepared.jobs("cpu"):
            stored += complete_in(job.run_folder(keep=True), job)
        own = ", ".join(f"{name}={value}" for name, value in one.trial.settings.items())
        number = f"trial {one.trial.number}"
        if study.search.studies > 1:
            number = f"study {one.study}  {number}"
        click.echo(
            f"{one.method}  {number}  {one.name}  {own or 'recipe of the suite'}  "
            f"{stored} of {len(one.prepared.mine)} runs stored"
        )
    if study.search.sampler == TPE:
        click.echo(f"{study.search.trials - 1} more of each follow, by the scores of these")


def as_text(tuned: Tuned, target: Path) -> str:
    """The choice as JSON, with the seconds of training by method."""
    chosen = [with_nulls(vars(one)) for one in tuned.chosen]
    found = {"chosen": chosen, "train_seconds": dict(tuned.cost), "file": str(target)}
    return json.dumps(found, indent=1)


def show(tuned: Tuned, target: Path) -> None:
    """Print what was chosen, and what it gains on the held-out examples."""
    if tuned.per_seed:
        show_seeds(tuned)
    else:
        show_choices(tuned)
    for method, seconds in tuned.cost.items():
        click.echo(f"cost: {method} {seconds:.0f} s of training")
    click.echo(f"tuned: {target}")


def show_choices(tuned: Tuned) -> None:
    """Print the chosen trial of each method and dataset."""
    for one in tuned.chosen:
        parts = [f"{one.dataset}: {one.method}: trial {one.trial} of {one.trials}", one.name]
        if tuned.studies > 1:
            parts[0] += f" in study {one.study}"
        if not one.trial:
            parts[0] += ", its default"
        for name, value in one.settings.items():
            parts.append(f"{name}={value}")
        gain = f"validation NLL {one.nll:.4f} instead of {one.default_nll:.4f}"
        click.echo(f"{', '.join(parts)}; {gain}")


def show_seeds(tuned: Tuned) -> None:
    """Print how many seeds of each method and dataset have another choice than its default."""
    places: dict[tuple[str, str], list[Chosen]] = {}
    for one in tuned.chosen:
        places.setdefault((one.dataset, one.method), []).append(one)

    for (dataset, method), own in places.items():
        changed = sum(one.trial > 0 for one in own)
        nll = sum(one.nll for one in own) / len(own)
        default = sum(one.default_nll for one in own) / len(own)
        click.echo(
            f"{dataset}: {method}: other than its default for {changed} of {len(own)} seeds; mean "
            f"validation NLL {nll:.4f} instead of {default:.4f}"
        )
