"""The arrays that are kept, and a comparison of new ones with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.golden.runs import Arrays, Name

FILE = Path(__file__).resolve().parent / "arrays.npz"

#: Largest difference between equal arithmetic on two machines: absolute for numbers below 1, relative above.
#: Kinds of processor, simulated by ATEN_CPU_CAPABILITY and MKL_ENABLE_INSTRUCTIONS, differ by up to 1.2e-5.
TOLERANCE = 1e-4

#: Arrays that a message lists, those that moved furthest first.
LISTED = 20

#: The number of each stage and the file that holds it.
NUMBERS = {
    "training": ("TRAINING_VERSION", "bench_uq/train/__init__.py"),
    "prediction": ("PREDICTION_VERSION", "bench_uq/predict/__init__.py"),
}


@dataclass(frozen=True)
class Golden:
    """Arrays and the version of each stage that made them."""

    versions: dict[str, int]
    arrays: Arrays


def write(golden: Golden, path: Path = FILE) -> None:
    """Keep arrays end to end in one: a thousand small ones would be headers for the most part."""
    flat = {"\t".join(name): np.ravel(values) for name, values in golden.arrays.items()}
    np.savez_compressed(
        path,
        names=np.array(list(flat)),
        lengths=np.array([len(values) for values in flat.values()]),
        values=np.concatenate(list(flat.values())).astype(np.float32),
        **{stage: np.array(version) for stage, version in golden.versions.items()},
    )


def read(path: Path = FILE) -> Golden:
    """Read the arrays that are kept, each flat."""
    with np.load(path, allow_pickle=False) as file:
        names = [Name(*text.split("\t")) for text in file["names"]]
        parts = np.split(file["values"], np.cumsum(file["lengths"])[:-1])
        versions = {stage: int(file[stage]) for stage in NUMBERS}
    return Golden(versions, dict(zip(names, parts, strict=True)))


def differences(kept: Arrays, made: Arrays) -> dict[Name, str]:
    """Say of each array that is not as it was how it differs, those that moved furthest first."""
    found = dict[Name, tuple[float, str]]()
    for name in kept | made:
        if name not in made:
            found[name] = np.inf, "is missing"
        elif name not in kept:
            found[name] = np.inf, "is not in the file"
        elif kept[name].size != made[name].size:
            found[name] = np.inf, f"has {made[name].size} numbers instead of {kept[name].size}"
        else:
            old, new = kept[name].ravel().astype(float), made[name].ravel().astype(float)
            change = np.abs(new - old)
            # Negated, so that a NaN counts as moved.
            if not (change <= TOLERANCE * np.maximum(1, np.abs(old))).all():
                found[name] = change.max(), f"moved by {change.max():.2g}"

    ordered = sorted(found, key=lambda name: -found[name][0])
    return {name: found[name][1] for name in ordered}


def complaint(stage: str, kept: Golden, made: Golden) -> str:
    """Say what is wrong with a stage, empty if nothing is.

    Predictions of a run that was trained to other networks say nothing about the code that predicts.
    """
    number, file = NUMBERS[stage]
    if made.versions[stage] != kept.versions[stage]:
        return (
            f"{number} is {made.versions[stage]}, and {FILE.name} was made with "
            f"{kept.versions[stage]}: renew it with `python -m tests.golden`"
        )

    changed = differences(kept.arrays, made.arrays)
    if stage == "prediction":
        retrained = {name.run for name in changed if name.stage == "training"}
        changed = {name: text for name, text in changed.items() if name.run not in retrained}
    lines = [
        f"  {name.run}: {name.array} {text}"
        for name, text in changed.items()
        if name.stage == stage
    ]
    if not lines:
        return ""

    more = len(lines) - LISTED
    if more > 0:
        lines[LISTED:] = [f"  and {more} more"]
    return "\n".join(
        [
            f"{stage} changed but {number} is still {made.versions[stage]}: "
            f"raise it in {file} and renew with `python -m tests.golden`",
            "(where only plugins or the suites of these tests changed: `python -m tests.golden "
            "--keep-versions`, as the source of a plugin is part of the keys of its runs)",
            *lines,
        ]
    )
