"""Runs as runs of an MLflow server: parameters, metrics and tags."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench_uq.api.errors import UsageError, one_line
from bench_uq.report.exports import ExportedRun, exported, require

#: Name of the tag by which a run is found again.
DIGEST = "bench_uq.sha256"
#: Entries of one kind that a server takes in one request, and letters of a value.
AT_ONCE = {"metrics": 1000, "params": 100, "tags": 100}
LONGEST = 500
#: What is set for the client unless the user has set it: no word to its makers, none on stdout, and
#: a server that is not there is told of within seconds.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


def required() -> Any:
    """The client of MLflow."""
    # It is read when the package is loaded.
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    return require("mlflow", "--mlflow", "mlflow")


def checked(uri: str) -> str:
    """Require an address without a password, which others could read in the list of processes."""
    if "@" in urlsplit(uri).netloc:
        raise UsageError(
            "--mlflow takes an address without user and password: set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD"
        )
    return uri


def send(suite: Path, uri: str) -> tuple[int, int]:
    """Send the runs of a suite to an experiment of its name; how many, and how many were there.

    A run that is there with the same settings and scores is not sent again.
    """
    mlflow, runs = required(), exported(suite)
    try:
        client = mlflow.MlflowClient(tracking_uri=checked(uri))
        experiment = experiment_of(client, suite.resolve().name)
        there = known(client, experiment)

        new = 0
        for run in runs:
            earlier = there.get(run.digest)
            if earlier is not None and earlier.info.status != "RUNNING":
                continue
            send_one(client, experiment, run, earlier)
            new += 1
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"cannot export to {uri}: {one_line(error)}") from error
    return new, len(runs) - new


def experiment_of(client: Any, name: str) -> str:
    """Id of the experiment of a name, which is made if it is not there."""
    found = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if found is None else found.experiment_id)


def known(client: Any, experiment: str) -> dict[str, Any]:
    """The runs of an experiment that bench-uq has sent, by their digest."""
    found, token = {}, None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        for run in page:
            if digest := run.data.tags.get(DIGEST):
                found[digest] = run
        token = page.token
        if not token:
            return found


def send_one(client: Any, experiment: str, run: ExportedRun, earlier: Any) -> None:
    """Send one run; one that an interrupted export left half done is completed."""
    entities = require("mlflow.entities", "--mlflow", "mlflow")
    now = int(1000 * time.time())
    if earlier is None:
        tags = {DIGEST: run.digest}
        earlier = client.create_run(experiment, run_name=run.name, start_time=now, tags=tags)

    noted = [(f"bench_uq.{name}", value) for name, value in shortened(run.facts)]
    entries = {
        "params": itertools.starmap(entities.Param, shortened(run.settings)),
        "tags": itertools.starmap(entities.RunTag, noted),
        "metrics": [entities.Metric(name, value, now, 0) for name, value in run.scores.items()],
    }
    for kind, each in entries.items():
        for part in batches(each, AT_ONCE[kind]):
            client.log_batch(earlier.info.run_id, **{kind: part})

    # Last, because by its status a whole run is known.
    client.set_terminated(earlier.info.run_id, "FINISHED" if run.finished else "FAILED")


def shortened(values: Mapping[str, str | float]) -> Iterator[tuple[str, str]]:
    """Values as text, cut where a server would refuse them."""
    for name, value in values.items():
        text = str(value)
        yield name, text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def batches(entries: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    """Entries in lists of at most a size."""
    left = iter(entries)
    while part := list(itertools.islice(left, size)):
        yield part
