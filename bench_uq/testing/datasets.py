"""What a dataset promises: arrays that fit its task, the same ones each time. Missing files skip what needs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from bench_uq.api.errors import MissingData, UsageError
from bench_uq.api.likelihoods import Categorical, Likelihood
from bench_uq.api.task import Examples, Task
from bench_uq.testing import Broken, Note, NotReached, Target, require

#: Packages that a dataset's file must not load before it is asked for data: every command imports it.
HEAVY = ("torch", "torchvision", "sklearn", "scipy", "matplotlib", "PIL", "pandas")

FOLDS = (0, 1)


def subjects(target: Target) -> Sequence[Target]:
    """Return the dataset; one that tells the user what it lacks, files aside, is not checked at all."""
    try:
        target.value.task(target.root)
    except UsageError as error:
        if not isinstance(error, MissingData):
            raise
    except Exception:
        return (target,)  # check_task tells
    return (target,)


def task_of(target: Target) -> Task:
    """Return the task, where it is one."""
    try:
        return task_checked(target)
    except MissingData:
        raise
    except Exception as error:
        raise NotReached("'task' fails") from error


@lru_cache(maxsize=2)  # one dataset, two folds
def loaded(target: Target, fold: int = 0) -> dict[str, Examples]:
    """Return the splits that load."""
    found = {}
    for split in target.value.splits:
        try:
            examples = target.value.load(split, target.root, fold=fold)
        except MissingData:
            raise
        except Exception:
            continue  # check_loads tells
        if not isinstance(examples, Examples) or not all(
            isinstance(array, np.ndarray) for array in arrays(examples)
        ):
            raise NotReached("'loads' fails")
        found[split] = examples
    return found


def arrays(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and targets."""
    return examples.inputs, examples.targets


def check_cheap(target: Target) -> None:
    """Importing its file loads no heavy package: import those inside of functions."""
    name = type(target.value).__module__
    own = name.startswith("bench_uq_plugin_")
    call = (
        f"plugins.load_file(plugins.Path({str(target.file)!r}))"
        if own
        else f"plugins.import_plugin({name!r})"
    )
    code = f"import sys; from bench_uq.plan import plugins; {call}; print(*sorted({set(HEAVY)} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True)
    require(
        done.returncode == 0,
        f"a fresh process cannot import it: {done.stderr.strip().splitlines()[-1:]}",
    )
    heavy = done.stdout.splitlines()[-1]
    require(
        not heavy, f"importing the file loads {heavy}: import inside of the functions that need it"
    )


def check_splits(target: Target) -> None:
    """It has a test split, and at most a training split beside it."""
    splits = target.value.splits
    require(
        splits in (("train", "test"), ("test",)),
        f"splits are {splits!r}, not ('train', 'test') or ('test',)",
    )


def check_unknown_split(target: Target) -> None:
    """It refuses a split that it does not have."""
    try:
        target.value.load("no-such-split", target.root, fold=0)
    except (KeyError, ValueError, UsageError):
        return
    except Exception as error:
        raise Broken(
            "load('no-such-split', ...): raise ValueError for what is none of 'splits'"
        ) from error
    raise Broken(
        "load('no-such-split', ...) gives examples: raise ValueError for what is none of 'splits'"
    )


def check_task(target: Target) -> None:
    """Its task names a shape, a likelihood, and scales of the inputs, or leaves those to the training split."""
    task_checked(target)


def task_checked(target: Target) -> Task:
    """Return the task, or raise what is wrong with it."""
    task = target.value.task(target.root)
    require(isinstance(task, Task), f"task returns {type(task).__name__}, not a Task")
    shape = task.input_shape
    good = (
        isinstance(shape, tuple)
        and len(shape) in (1, 3)
        and all(isinstance(n, int) and n > 0 for n in shape)
    )
    require(good, f"input_shape is {shape!r}, not (channels, height, width) or (features,)")
    require(
        isinstance(task.likelihood, Likelihood),
        f"likelihood is {task.likelihood!r}, not Categorical or Gaussian",
    )
    for name, values in (("mean", task.mean), ("std", task.std)):
        fits = len(values) in (0, shape[0]) and bool(np.isfinite(values).all())
        require(
            fits,
            f"{name} is {values!r}: one finite number a channel or feature ({shape[0]}), or none at all",
        )
    require(len(task.mean) == len(task.std), "mean and std go together: give both or neither")
    require(all(value > 0 for value in task.std), f"std is {task.std!r}, not above 0")
    return task


def check_network(target: Target) -> None:
    """The network of its task takes its inputs."""
    from bench_uq.api import networks as architectures

    task = task_of(target)
    try:
        architectures.check_network(task)
    except UsageError as error:
        raise Broken(f"{error}: name another in the task") from error


def check_loads(target: Target) -> None:
    """Each split loads as arrays, inputs and targets one for one."""
    for split in target.value.splits:
        try:
            examples = target.value.load(split, target.root, fold=0)
        except UsageError as error:
            if split == "test" or isinstance(error, MissingData):
                raise
            raise Note(f"no {split} split in these data: {error}") from error
        require(
            isinstance(examples, Examples), f"load gives {type(examples).__name__}, not Examples"
        )
        for name, array in (("inputs", examples.inputs), ("targets", examples.targets)):
            require(
                isinstance(array, np.ndarray),
                f"{name} of {split} are {type(array).__name__}, not a NumPy array",
            )
        counts = [array.shape[:1] for array in (examples.inputs, examples.targets)]
        require(
            counts[0] == counts[1] != (0,),
            f"{split} has inputs {counts[0]} and targets {counts[1]}",
        )


def check_inputs(target: Target) -> None:
    """Inputs are of the task's shape, uint8 or finite float32, and images in [0, 1]."""
    task = task_of(target)
    for split, examples in loaded(target).items():
        inputs = examples.inputs
        found = inputs.shape[1:]
        require(
            found == task.input_shape,
            f"inputs of {split} are {found}, the task says {task.input_shape}",
        )
        require(
            inputs.dtype in (np.uint8, np.float32),
            f"inputs of {split} are {inputs.dtype}, not uint8 or float32",
        )
        if inputs.dtype == np.float32:
            require(bool(np.isfinite(inputs).all()), f"some inputs of {split} are not finite")
            low, high = inputs.min(), inputs.max()
            inside = inputs.ndim == 2 or (low >= 0 and high <= 1)
            require(
                inside,
                f"images of {split} are in [{low:.4g}, {high:.4g}], not in [0, 1]: divide them",
            )


def check_targets(target: Target) -> None:
    """Targets are int64 labels 0 to C - 1 of the classes, or finite float32 values, more than one of them."""
    task = task_of(target)
    for split, examples in loaded(target).items():
        targets = examples.targets
        require(targets.ndim == 1, f"targets of {split} are {targets.shape}, not (N,)")
        try:
            task.likelihood.check(targets)
        except ValueError as error:
            raise Broken(f"{split}: {error}") from error
        require(
            split != "train" or bool((targets != targets[0]).any()),
            f"all targets of train are {targets[0]}",
        )


def check_arrays(target: Target) -> None:
    """Arrays are C-contiguous and can be written to, as torch.from_numpy needs them."""
    for split, examples in loaded(target).items():
        for name, array in (("inputs", examples.inputs), ("targets", examples.targets)):
            require(
                array.flags.c_contiguous, f"{name} of {split} are not contiguous: return a .copy()"
            )
            require(array.flags.writeable, f"{name} of {split} are read-only: copy them")


def check_repeats(target: Target) -> None:
    """Loading twice gives the same, whatever was done to what was loaded before."""
    for fold in FOLDS:
        for split, examples in loaded(target, fold).items():
            before = [array.copy() for array in arrays(examples)]
            for array in arrays(examples):
                if array.flags.writeable:
                    array[...] = 0
            again = target.value.load(split, target.root, fold=fold)
            same = all(map(np.array_equal, before, arrays(again)))
            for array, values in zip(arrays(examples), before, strict=True):
                if array.flags.writeable:
                    array[...] = values
            require(
                same,
                f"{split} (fold {fold}) differs when loaded again: seed what is random, copy what is kept",
            )


def check_folds(target: Target) -> None:
    """Every fold, the seed of a run, loads, with inputs and targets of the same kind."""
    kinds = [
        {
            split: (found.inputs.shape[1:], found.inputs.dtype, found.targets.dtype)
            for split, found in loaded(target, n).items()
        }
        for n in FOLDS
    ]
    require(kinds[0] == kinds[1], f"fold 0 gives {kinds[0]}, fold 1 {kinds[1]}")


def check_disjoint(target: Target) -> None:
    """No image of the training split is in the test split; rows of a table may well be equal."""
    if len(task_of(target).input_shape) == 3:
        for fold in FOLDS:
            rows = [
                {hash(row.tobytes()) for row in found.inputs}
                for _, found in loaded(target, fold).items()
            ]
            shared = len(set.intersection(*rows)) if len(rows) == 2 else 0
            require(
                not shared,
                f"{shared} images of the test split are in the training split too (fold {fold})",
            )


def check_classes(target: Target) -> None:
    """Every class of the test split was there to be learned."""
    labels = {split: set(found.targets.tolist()) for split, found in loaded(target).items()}
    if isinstance(task_of(target).likelihood, Categorical) and "train" in labels:
        new = sorted(labels.get("test", set()) - labels["train"])
        require(not new, f"labels {new[:5]} are in the test split alone")


def check_files(target: Target) -> None:
    """The files that it names are there where its examples are."""
    files = target.value.files(target.root)
    if files is not None and loaded(target):
        absent = [str(path) for path in files if not Path(path).exists()]
        require(
            not absent,
            f"files() names {', '.join(absent[:3])}, which is not there though the examples load",
        )
