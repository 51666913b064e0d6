"""The arrays that are kept, and a comparison of new ones with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.golden.runs import Arrays, Name

FILE = Path(__file__).resolve().parent / "arrays.npz"

#: Largest difference that counts as the same arithmetic on another machine: absolute for numbers
#: below 1, relative above. Kinds of processor, as simulated by ATEN_CPU_CAPABILITY and
#: MKL_ENABLE_INSTRUCTIONS, differ by up to 1.2e-5 in what is trained and 2e-6 in predictions.
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


def write(golden: Golden, path: Path) -> None:
    """Keep arrays end to end in one: a thousand small ones would be headers for the most part."""
    flat = {"\t".join(name): np.ravel(values) for name, values in golden.arrays.items()}
    np.savez_compressed(
        path,
        names=np.array(list(flat)),
        lengths=np.array([len(values) for values in flat.values()]),
        values=np.concatenate(list(flat.values())).astype(np.float32),
        **{stage: np.array(version) for stage, version in golden.versions.items()},
    )


def read(path: Path) -> Golden:
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
            change = np.nan_to_num(np.abs(new - old), nan=np.inf)
            if (change > TOLERANCE * np.maximum(1, np.abs(old))).any():
                found[name] = change.max(), f"moved by {change.max():.2g}"

    ordered = sorted(found, key=lambda name: -found[name][0])
    return {name: found[name][1] for name in ordered}


def complaint(stage: str, kept: Golden, made: Golden) -> str:
    """Message for a stage whose results or version differ from the file, else empty."""
    number, file = NUMBERS[stage]
    old, new = kept.versions[stage], made.versions[stage]
    if new != old:
        return (
            f"{number} is {new}, and {FILE.name} was made with {old}: "
            "renew it with `python -m tests.golden`"
        )

    lines = changes(stage, kept.arrays, made.arrays)
    if not lines:
        return ""
    if len(lines) > LISTED:
        lines[LISTED:] = [f"  and {len(lines) - LISTED} more"]

    advice = (
        f"{stage} changed but {number} is still {new}: "
        f"raise it in {file} and renew with `python -m tests.golden`\n"
        "(where only plugins, torch or the suites of these tests changed: `python -m tests.golden "
        "--keep-versions`, as the source of a plugin is part of the keys of its runs)"
    )
    return "\n".join([advice, *lines])


def changes(stage: str, kept: Arrays, made: Arrays) -> list[str]:
    """List the changes that tell of the code of a stage, a line per array.

    Predictions of a run whose networks are other ones say nothing about the code that predicts.
    """
    found = differences(kept, made)
    retrained = {name.run for name in found if name.stage == "training"}

    lines = []
    for name, text in found.items():
        judged = name.stage == stage and (stage == "training" or name.run not in retrained)
        if judged:
            lines.append(f"  {name.run}: {name.array} {text}")
    return lines
