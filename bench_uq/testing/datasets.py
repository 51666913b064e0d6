"""Requirements of a dataset: arrays that fit its task, the same each time.

Checks that need missing files are skipped.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from bench_uq.api import networks
from bench_uq.api.errors import MissingData, UsageError
from bench_uq.api.likelihoods import Categorical, Likelihood
from bench_uq.api.task import Examples, Task
from bench_uq.testing.contract import Broken, Note, NotReached, Target, require

#: Packages that a dataset's file must not load at import: every command imports it.
HEAVY = ("torch", "torchvision", "sklearn", "scipy", "matplotlib", "PIL", "pandas")

#: Folds to load; the seed of a run is its fold.
FOLDS = (0, 1)


def subjects(target: Target) -> Sequence[Target]:
    """The dataset itself; a mistake in its options, missing files aside, ends the command."""
    try:
        target.value.task(target.root)
    except Exception as error:
        # Any other error is for check_task to report.
        if isinstance(error, UsageError) and not isinstance(error, MissingData):
            raise
    return (target,)


def task_of(target: Target) -> Task:
    """The task, if it keeps its own requirement."""
    try:
        return check_task(target)
    except MissingData:
        raise
    except Exception as error:
        raise NotReached("'task' fails") from error


# One dataset, two folds.
@lru_cache(maxsize=2)
def loaded(target: Target, fold: int = 0) -> dict[str, Examples]:
    """The splits that load."""
    found = {}
    for split in target.value.splits:
        try:
            examples = target.value.load(split, target.root, fold=fold)
        except MissingData:
            raise
        except Exception:
            # check_loads reports it.
            continue

        if not isinstance(examples, Examples):
            raise NotReached("'loads' fails")
        for _, array in arrays(examples):
            if not isinstance(array, np.ndarray):
                raise NotReached("'loads' fails")
        found[split] = examples
    return found


def arrays(examples: Examples) -> Iterator[tuple[str, np.ndarray]]:
    """Inputs and targets with their names."""
    yield "inputs", examples.inputs
    yield "targets", examples.targets


def check_cheap(target: Target) -> None:
    """Importing the file loads no heavy package: import those inside functions."""
    # In a fresh process: in this one the packages are loaded already.
    name = type(target.value).__module__
    call = f"plugins.import_plugin({name!r})"
    # A file of the user is no module that could be imported by name.
    if name.startswith("bench_uq_plugin_"):
        call = f"plugins.load_file(plugins.Path({str(target.file)!r}))"
    code = (
        f"import sys; from bench_uq.plan import plugins; {call}; "
        f"print(*sorted({set(HEAVY)} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True)
    # The last line of a traceback names the error.
    last = done.stderr.strip().splitlines()[-1:]
    require(done.returncode == 0, f"a fresh process cannot import it: {last}")

    # The plugin may print lines of its own before.
    heavy = done.stdout.splitlines()[-1]
    advice = "import inside the functions that need it"
    require(not heavy, f"importing the file loads {heavy}: {advice}")


def check_splits(target: Target) -> None:
    """There is a test split, and at most a training split beside it."""
    splits, allowed = target.value.splits, (("train", "test"), ("test",))
    require(splits in allowed, f"splits are {splits!r}, not {allowed[0]!r} or {allowed[1]!r}")


def check_unknown_split(target: Target) -> None:
    """A split that the dataset does not have is refused."""
    advice = "raise ValueError for a split that is not in 'splits'"
    try:
        target.value.load("no-such-split", target.root, fold=0)
    except (KeyError, ValueError, UsageError):
        return
    except Exception as error:
        raise Broken(f"load('no-such-split', ...): {advice}") from error
    raise Broken(f"load('no-such-split', ...) gives examples: {advice}")


def check_task(target: Target) -> Task:
    """The task names a shape, a likelihood, and scales of the inputs or none at all."""
    task = target.value.task(target.root)
    require(isinstance(task, Task), f"task returns {type(task).__name__}, not a Task")

    shape = task.input_shape
    good = isinstance(shape, tuple) and len(shape) in (1, 3)
    good = good and all(isinstance(size, int) and size > 0 for size in shape)
    require(good, f"input_shape is {shape!r}, not (channels, height, width) or (features,)")
    likelihood = task.likelihood
    known = isinstance(likelihood, Likelihood)
    require(known, f"likelihood is {likelihood!r}, not Categorical or Gaussian")

    for name, values in (("mean", task.mean), ("std", task.std)):
        # An empty scale is filled in from the training examples.
        fits = len(values) in (0, shape[0]) and np.isfinite(values).all()
        advice = f"give {shape[0]} finite numbers, one per channel or feature, or none"
        require(fits, f"{name} is {values!r}: {advice}")
    require(len(task.mean) == len(task.std), "mean and std go together: give both or neither")
    require(all(value > 0 for value in task.std), f"std is {task.std!r}, not above 0")
    return task


def check_network(target: Target) -> None:
    """The network that the task names accepts its inputs."""
    task = task_of(target)
    try:
        networks.check_network(task)
    except UsageError as error:
        raise Broken(f"{error}: name another in the task") from error


def check_loads(target: Target) -> None:
    """Each split loads as arrays, one target per input."""
    for split in target.value.splits:
        try:
            examples = target.value.load(split, target.root, fold=0)
        except UsageError as error:
            # Data of the user may hold a test split alone.
            if split == "test" or isinstance(error, MissingData):
                raise
            raise Note(f"no {split} split in these data: {error}") from error

        kind = type(examples).__name__
        require(isinstance(examples, Examples), f"load gives {kind}, not Examples")
        for name, array in arrays(examples):
            kind = type(array).__name__
            require(isinstance(array, np.ndarray), f"{name} of {split} are {kind}, not an array")
        one, other = examples.inputs.shape[:1], examples.targets.shape[:1]
        require(one == other != (0,), f"{split} has inputs {one} and targets {other}")


def check_inputs(target: Target) -> None:
    """Inputs have the task's shape, are uint8 or finite float32, and images lie in [0, 1]."""
    shape = task_of(target).input_shape
    for split, examples in loaded(target).items():
        inputs, what = examples.inputs, f"inputs of {split}"
        found = inputs.shape[1:]
        require(found == shape, f"{what} are {found}, the task says {shape}")
        require(
            inputs.dtype in (np.uint8, np.float32),
            f"{what} are {inputs.dtype}, not uint8 or float32",
        )

        if inputs.dtype == np.float32:
            require(np.isfinite(inputs).all(), f"some {what} are not finite")
            low, high = inputs.min(), inputs.max()
            inside = inputs.ndim == 2 or (low >= 0 and high <= 1)
            require(inside, f"{what} are in [{low:.4g}, {high:.4g}], not in [0, 1]: divide them")


def check_targets(target: Target) -> None:
    """Targets are int64 labels from 0 to C - 1, or finite float32 values, and not all equal."""
    task = task_of(target)
    for split, examples in loaded(target).items():
        targets = examples.targets
        require(targets.ndim == 1, f"targets of {split} are {targets.shape}, not (N,)")
        try:
            task.likelihood.check(targets)
        except ValueError as error:
            raise Broken(f"{split}: {error}") from error

        # A test split of one class can still be scored.
        varies = split != "train" or (targets != targets[0]).any()
        require(varies, f"all targets of train are {targets[0]}")


def check_arrays(target: Target) -> None:
    """Arrays are C-contiguous and writable, as torch.from_numpy needs them."""
    for split, examples in loaded(target).items():
        for name, array in arrays(examples):
            what = f"{name} of {split} are"
            require(array.flags.c_contiguous, f"{what} not contiguous: return a .copy()")
            require(array.flags.writeable, f"{what} read-only: copy them")


def check_repeats(target: Target) -> None:
    """Loading twice gives the same arrays, even if those loaded before were changed."""
    for fold in FOLDS:
        for split, examples in loaded(target, fold).items():
            # What a user does to the arrays must not reach those that the dataset keeps.
            before = [array.copy() for _, array in arrays(examples)]
            _write(examples, [0, 0])
            again = target.value.load(split, target.root, fold=fold)
            same = all(map(np.array_equal, before, (again.inputs, again.targets)))
            _write(examples, before)

            advice = "seed random numbers, and return copies of stored arrays"
            require(same, f"{split} (fold {fold}) differs when loaded again: {advice}")


def _write(examples: Examples, values: Sequence[np.ndarray | int]) -> None:
    """Overwrite inputs and targets, if they are writable."""
    for (_, array), value in zip(arrays(examples), values, strict=True):
        if array.flags.writeable:
            array[...] = value


def check_folds(target: Target) -> None:
    """Every fold (seed of a run) loads, with inputs and targets of the same type."""
    kinds = []
    for fold in FOLDS:
        kind = {}
        for split, found in loaded(target, fold).items():
            kind[split] = found.inputs.shape[1:], found.inputs.dtype, found.targets.dtype
        kinds.append(kind)
    require(kinds[0] == kinds[1], f"fold 0 gives {kinds[0]}, fold 1 {kinds[1]}")


def check_disjoint(target: Target) -> None:
    """No image is in both splits; rows of a table may be equal."""
    if len(task_of(target).input_shape) != 3:
        return
    for fold in FOLDS:
        splits = []
        for examples in loaded(target, fold).values():
            # Hashes, because the images themselves would take the memory once more.
            splits.append({hash(row.tobytes()) for row in examples.inputs})

        shared = len(splits[0] & splits[1]) if len(splits) == 2 else 0
        where = f"in the training split too (fold {fold})"
        require(not shared, f"{shared} images of the test split are {where}")


def check_classes(target: Target) -> None:
    """Every class of the test split is also in the training split."""
    labels = {split: set(found.targets.tolist()) for split, found in loaded(target).items()}
    if isinstance(task_of(target).likelihood, Categorical) and "train" in labels:
        new = sorted(labels.get("test", set()) - labels["train"])
        require(not new, f"labels {new[:5]} are in the test split alone")


def check_files(target: Target) -> None:
    """If the examples load, the files that the dataset names exist."""
    files = target.value.files(target.root)
    if files is not None and loaded(target):
        absent = [str(path) for path in files if not Path(path).exists()]
        named = ", ".join(absent[:3])
        require(not absent, f"files() names {named}, which does not exist though the examples load")
