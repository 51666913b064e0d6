"""Run the suites through the command line and read from the store all that they made."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from click.testing import CliRunner
from safetensors.numpy import load_file

from bench_uq.cli import main
from tests.golden.data import write_data

HERE = Path(__file__).resolve().parent
SUITES = HERE / "suites"
PLUGINS = (
    HERE.parent / "plugins" / "my_sgld.py",
    HERE.parent / "plugins" / "my_swag.py",
    HERE.parent / "plugins" / "my_temperature.py",
    SUITES / "darkened.py",
)

#: Rows of a stored array that are kept, spread over all examples so that every block has some.
ROWS = 16

#: Rows of the arrays with many numbers per example.
FEW_ROWS = {"inputs": 1, "quantiles": 3}


class Name(NamedTuple):
    """Where an array comes from."""

    run: str  # suite, method, dataset and seed
    stage: str  # "training" or "prediction"
    array: str


Arrays = dict[Name, np.ndarray]


def make(folder: Path) -> Arrays:
    """Do every run in an empty folder and collect the arrays of all."""
    data, results = folder / "data", folder / "results"
    data.mkdir()
    write_data(data)

    common = ["--data-dir", str(data), "--results", str(results)]
    for path in PLUGINS:
        common += ["--plugin", str(path)]

    for suite in sorted(SUITES.glob("*.toml")):
        bench("run", "--suite", str(suite), "--device", "cpu", "--no-score", *common)
    for kind in ("classifier", "regression"):
        options = f"--suite imported --name my-{kind} --dataset {kind}-data --new-dataset"
        bench("score-predictions", str(data / f"{kind}.npz"), *options.split(), *common)

    return dict(stored(results))


def versions() -> dict[str, int]:
    """Version of each stage of the code as it stands."""
    from bench_uq.predict import PREDICTION_VERSION
    from bench_uq.train import TRAINING_VERSION

    return {"training": TRAINING_VERSION, "prediction": PREDICTION_VERSION}


def bench(*arguments: str) -> None:
    """Run bench-uq, which must end well."""
    done = CliRunner().invoke(main, arguments)
    command = f"bench-uq {' '.join(arguments)}"
    assert done.exit_code == 0, f"{command}\n{done.output}{done.exception!r}"

    # A condition that does not suit a dataset is left out with no more than this notice.
    assert "not shown" not in done.output, f"{command}\n{done.output}"


def stored(results: Path) -> Iterator[tuple[Name, np.ndarray]]:
    """Read the arrays of every run that the stored plans name."""
    for path in sorted(results.glob("*/plan.json")):
        plan = json.loads(path.read_text())
        for entry in plan["runs"].values():
            folder = path.parent / "runs" / entry["run"]
            run = (
                f"{path.parent.name}: {entry['method']} on {entry['dataset']}, seed {entry['seed']}"
            )

            if (folder / "network.safetensors").is_file():
                for name, values in trained(folder):
                    yield Name(run, "training", name), values
            for shown in entry["shown"]:
                level = "" if shown["level"] is None else f" at {shown['level']:g}"
                for name, values in predicted(folder / shown["file"]):
                    yield Name(run, "prediction", f"{shown['condition']}{level}, {name}"), values


def trained(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Read the training curves, and of each tensor of the networks its sum and norm."""
    with (folder / "training.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for column in ("loss", "nll", "kl"):
        yield column, np.array([float(row[column]) for row in rows])

    for name, tensor in load_file(folder / "network.safetensors").items():
        values = tensor.astype(np.float64)
        yield f"sum and norm of {name}", np.array([values.sum(), np.sqrt((values**2).sum())])


def predicted(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Read the predictions for some of the examples that a run was shown."""
    with np.load(file, allow_pickle=False) as arrays:
        for name in arrays.files:
            kept = FEW_ROWS.get(name, ROWS)
            every = -(-len(arrays[name]) // kept)
            yield name, arrays[name][::every]
