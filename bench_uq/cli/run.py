"""bench-uq run."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench_uq.api.errors import UsageError
from bench_uq.cli.completion import plugin_names
from bench_uq.cli.options import (
    FAILED,
    data_option,
    listed,
    plugin_option,
    results_option,
    suite_option,
)
from bench_uq.store.folders import enclosed

if TYPE_CHECKING:
    from bench_uq.run.job import Job
from bench_uq.run.suite import (
    choose_device,
    default_jobs,
    do,
    how_to_join,
    make_jobs,
    remember,
    repeatable,
    suite_folder_name,
    workplace,
)


def shard_number(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    """Return which of how many shards is to be done, None without the option."""
    from bench_uq.run.shards import read_shard

    del context, parameter
    return None if value is None else read_shard(value)


@click.command()
@suite_option
@listed("methods", "Methods instead of the suite's: mnf,dropout[rate=0.2]", plugin_names("method"))
@listed("datasets", "Datasets instead of the suite's.", plugin_names("dataset"))
@listed("seeds", "Seeds instead of the suite's.")
@click.option(
    "--network",
    metavar="NAME|FILE.py",
    help="Network instead of the task's: a name or your own file.",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Runs at a time. [default: cores / threads, 1 on a GPU]",
)
@results_option
@data_option
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting, or METHOD.option=VALUE.",
)
@plugin_option
@click.option(
    "--dry-run", is_flag=True, help="Print the runs, which are stored, and an estimate of the time."
)
@click.option("--force", is_flag=True, help="Do again what is stored.")
@click.option(
    "--checkpoint-every",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How often a training stores where it stands, after an epoch.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop a run that takes longer; it has failed, and is gone on with the next time. [default: none]",
)
@click.option(
    "--cluster",
    metavar="ADDRESS|local[:N]|FILE.json",
    help="Hand the runs to the workers of dask: a scheduler's address or file, or N workers that are started here.",
)
@click.option(
    "--tls-ca", type=click.Path(path_type=Path), metavar="FILE", help="Of a scheduler at tls://..."
)
@click.option(
    "--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="and your own certificate"
)
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="and its key.")
@click.option(
    "--insecure", is_flag=True, help="Join a cluster that other machines can reach without TLS."
)
@click.option("--no-score", is_flag=True, help="Leave scoring to bench-uq score.")
@click.option(
    "--shard",
    callback=shard_number,
    metavar="K/N",
    help="Do the K-th of N parts of the runs alone, unscored, for arrays of jobs; bench-uq merge joins their results.",
)
def run(
    suite: str, results: Path, data_dir: Path, device: str, jobs: int | None, **flags: Any
) -> None:
    """Train each method on each dataset over the seeds, show it every condition, score what it predicts."""
    from bench_uq.plan.fingerprints import Contents
    from bench_uq.plan.plugins import Plugins
    from bench_uq.plan.runs import make_plan
    from bench_uq.plan.suite import read_suite, suite_path
    from bench_uq.run.shards import shard_of
    from bench_uq.run.suite import check_names, read_references
    from bench_uq.score.published import hand_on
    from bench_uq.store import check_schema

    known = Plugins(tuple(flags["plugins"]))
    changes = {
        "set": flags["assignments"],
        **{key: flags[key] for key in ("methods", "datasets", "seeds", "network")},
    }
    chosen = read_suite(suite, changes)
    references = read_references(suite_path(suite), known)
    check_names(references, known)
    folder = enclosed(results / suite_folder_name(chosen))
    contents = Contents(data_dir, results / ".contents.json")
    runs = make_plan(chosen, known, contents, notice=lambda text: click.echo(text, err=True))
    how = {
        "force": flags["force"],
        "checkpoint_every": finite("--checkpoint-every", flags["checkpoint_every"]),
    }
    check_schema(folder, [run.name for run in runs])
    mine = shard_of(runs, *flags["shard"]) if flags["shard"] else runs
    if not mine:
        click.echo(
            f"nothing to do: {len(runs)} runs are fewer than {flags['shard'][1]} shards", err=True
        )
    timeout = math.inf if flags["timeout"] is None else finite("--timeout", flags["timeout"])
    if flags["dry_run"]:
        planned = make_jobs(mine, folder, data_dir, known, choose_device(device), how)
        dry_run(planned, jobs or default_jobs(mine, choose_device(device)))
        return
    with workplace(flags, device, jobs, contents, mine, timeout) as (chosen_device, work):
        contents.remember()
        if folder.name == chosen.name:  # published values are of test splits
            hand_on(references, folder)
        remember(runs, folder, chosen.description, repeatable(suite, chosen, device, flags))
        planned = make_jobs(mine, folder, data_dir, known, chosen_device, how)
        failed = do(planned, work)
    if flags["shard"]:
        click.echo(how_to_join(flags["shard"], folder), err=True)
    elif not flags["no_score"]:
        from bench_uq.score.score import score as score_folder

        score_folder(folder, known)
        click.echo(f"scores: {folder / 'scores.csv'}")
    sys.exit(FAILED if failed else 0)


def finite(option: str, value: float) -> float:
    """Return a number that click's range lets through, but not nan or inf."""
    if not math.isfinite(value):
        raise UsageError(f"{option} must be a finite number of at least 0, not {value}")
    return value


def dry_run(planned: list[Job], at_once: int) -> None:
    """Print what a run would do and how long it would take."""
    from bench_uq.run.estimate import estimate
    from bench_uq.run.job import complete

    total = 0.0
    for job in planned:
        if complete(job) and not job.force:
            click.echo(f"{job.run.name}  stored")
            continue
        seconds = estimate(job)
        total += seconds
        click.echo(f"{job.run.name}  to do, about {duration(seconds)}")
    click.echo(f"{len(planned)} runs, about {duration(total / at_once)} with --jobs {at_once}")


def duration(seconds: float) -> str:
    """Return seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
