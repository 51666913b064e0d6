"""Runs as offline runs of Weights & Biases, which ``wandb sync`` uploads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from bench_uq.api.errors import UsageError, one_line
from bench_uq.report.exports import ExportedRun, exported, require
from bench_uq.store import write_json

#: Letters of the id of a run.
ID = 16
#: File in the folder of a run that is whole.
WHOLE = "bench-uq.json"
#: The machine, its packages, the working tree and the output are not noted.
PRIVATE = {
    "console": "off",
    "disable_git": True,
    "host": "local",
    "save_code": False,
    "silent": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}


def required() -> Any:
    """The package of W&B."""
    # Errors of the package would be sent to its makers; it reads this when it is loaded.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    return require("wandb", "--wandb-offline", "wandb")


def write(suite: Path, target: Path) -> tuple[int, int]:
    """Write the runs of a suite below ``target``/wandb; how many, and how many were there.

    Nothing is sent. A run that is there with the same settings and scores is not written again.
    """
    wandb, runs = required(), exported(suite)
    new = 0
    for run in runs:
        earlier = list((target / "wandb").glob(f"offline-run-*-{run.digest[:ID]}"))
        if any((folder / WHOLE).is_file() for folder in earlier):
            continue
        for folder in earlier:
            # An export was interrupted, and this run would be uploaded twice.
            shutil.rmtree(folder)

        try:
            write_one(wandb, run, target)
        except Exception as error:
            raise UsageError(f"cannot write to {target / 'wandb'}: {one_line(error)}") from error
        new += 1
    return new, len(runs) - new


def write_one(wandb: Any, run: ExportedRun, target: Path) -> None:
    """Write one run: settings as its config, scores as its summary."""
    target.mkdir(parents=True, exist_ok=True)
    known = wandb.Settings.model_fields
    quiet = {name: value for name, value in PRIVATE.items() if name in known}
    started = wandb.init(
        mode="offline",
        project=run.suite,
        name=run.name,
        id=run.digest[:ID],
        dir=os.fspath(target),
        config={**run.settings, "bench_uq": dict(run.facts)},
        settings=wandb.Settings(**quiet),
    )

    folder = Path(started.settings.sync_dir)
    started.summary.update(dict(run.scores))
    started.finish(exit_code=int(not run.finished))
    write_json(folder / WHOLE, {"run": run.name, "sha256": run.digest})
