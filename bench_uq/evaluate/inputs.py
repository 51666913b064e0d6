"""Arrays, tensors, data frames, Series and lists to draws and targets, every value checked.

The checks are those of files of predictions (run/imported/values.py). Shapes as in api/task.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from bench_uq.api.errors import BadValue, MissingData, UsageError
from bench_uq.api.likelihoods import Likelihood
from bench_uq.run.imported.files import Raw
from bench_uq.run.imported.values import (
    TOLERANCE,
    checked_targets,
    class_draws,
    fitting,
    real_draws,
    rounded,
)


@dataclass(frozen=True)
class Given:
    """Draws (S, N, P) of a caller, not yet normalised, with targets (N,) if they count."""

    likelihood: Likelihood
    draws: np.ndarray
    targets: np.ndarray | None
    note: str = ""  # what was done to the numbers

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that was given, by name."""
        found = {"draws": self.draws}
        if self.targets is not None:
            found["targets"] = self.targets
        return found


@contextmanager
def as_bad_values() -> Iterator[None]:
    """Raise the errors of files as errors of arguments, which are ValueErrors too."""
    try:
        yield
    except (BadValue, MissingData):
        raise
    except UsageError as error:
        raise BadValue(str(error)) from error


def array_of(value: Any, name: str) -> np.ndarray:
    """An array of an array, a tensor, a frame, a Series or a list of these."""
    refuse_dict_or_text(value, name)
    if isinstance(value, list | tuple):
        # Of tensors with a gradient NumPy makes no array.
        value = [tensor_values(one) for one in value]

    value = tensor_values(value)
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise BadValue(f"{name}: its rows differ in length: {error}") from error
    if found.dtype == object:
        try:
            found = found.astype(np.float64)
        except (TypeError, ValueError) as error:
            odd = next((one for one in found.flat if not isinstance(one, Real)), found.flat[0])
            if missing(odd):
                raise BadValue(f"{name} holds a missing value ({odd})") from error
            raise BadValue(f"{name} holds {type(odd).__name__}, not numbers") from error
    return found


def refuse_dict_or_text(value: Any, name: str) -> None:
    """Refuse a dict and a path, which are common in place of their content."""
    if isinstance(value, Mapping):
        raise BadValue(
            f"{name} is a dict: give one of its entries, or, if it is the state dict of a model, "
            "load it by load_state_dict and give the model"
        )
    if isinstance(value, str | Path):
        raise BadValue(
            f"{name} is the text {str(value)!r}: give the numbers (np.load, pd.read_csv) or the "
            "loaded model, or score a file by bench-uq score-predictions"
        )


def tensor_values(value: Any) -> Any:
    """Values of a tensor as an array; anything else as it is."""
    # A tensor is known by what it can do: torch is not loaded to ask.
    if not (hasattr(value, "detach") and hasattr(value, "cpu")):
        return value
    value = value.detach().cpu()
    if "bfloat16" in str(value.dtype):
        # NumPy has no such type.
        value = value.float()
    return value.numpy()


def missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN or the NA and NaT of pandas."""
    return not isinstance(value, str) and str(value) in ("None", "nan", "<NA>", "NaT")


def class_probs(
    probs: Any, name: str, *, binary: bool = False, draws: Any = None, stacked: bool = False
) -> tuple[Raw, str]:
    """Probabilities (N, C) or (S, N, C) under the name that errors have for them."""
    values = array_of(probs, name)
    if draws is not None:
        values, name = array_with_draws(values, draws, name), "draws"
    if binary:
        values = two_classes(values, name, stacked=stacked or draws is not None)

    if values.ndim == 1:
        raise BadValue(
            f"{name} has the shape {values.shape}, one number per example: give binary=True if it "
            "is the probability of class 1, or variance= (or std=) if it is a mean"
        )
    refuse_logits(values, name)
    return raw_of(name, {"probs": values}), name


def array_with_draws(probs: np.ndarray, draws: Any, name: str) -> np.ndarray:
    """The draws behind probabilities, whose mean these must be."""
    if isinstance(draws, int):
        raise BadValue(
            "draws is a number, which models take: of arrays it holds the draws, (S, N, C)"
        )
    values = array_of(draws, "draws")
    expected = probs.ndim + 1
    if values.ndim != expected or values.shape[1:] != probs.shape:
        shape = ("S", *map(str, probs.shape))
        raise BadValue(f"draws has the shape {values.shape}, not ({', '.join(shape)})")

    off = float(np.abs(values.mean(0) - probs).max(initial=0))
    if off > TOLERANCE:
        raise BadValue(
            f"{name} is not the mean of draws (off by up to {off:.3g}): give the draws alone, in "
            f"place of {name}"
        )
    return values


def two_classes(values: np.ndarray, name: str, *, stacked: bool) -> np.ndarray:
    """Probabilities of class 1, (N,) or with draws (S, N), to those of both classes."""
    if not stacked and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 + stacked:
        expected = "(S, N) for S draws" if stacked else "(N,), with draws=(S, N) beside it"
        raise BadValue(
            f"{name} has the shape {values.shape}: with binary=True it is the probability of "
            f"class 1, {expected}; leave binary out where every class has a column"
        )

    if values.dtype.kind in "iuf" and bool(((values < 0) | (values > 1)).any()):
        raise BadValue(
            f"{name} holds {values.min():g} to {values.max():g}, not probabilities of class 1 in "
            "[0, 1]: if these are logits, apply the sigmoid"
        )
    return np.stack([1 - values, values], axis=-1)


def refuse_logits(values: np.ndarray, name: str) -> None:
    """Say what to do with rows of logits or of log-probabilities in place of probabilities."""
    sound = values.ndim in (2, 3) and values.dtype.kind in "iuf" and values.size
    if not sound or not np.isfinite(values).all():
        # What is wrong there is said by the checks of all predictions.
        return

    values = values.astype(np.float64)
    shares = fitting(values)
    if shares["probs"] > 0.5:
        return
    sums = values.sum(-1)
    at = tuple(int(index) for index in np.argwhere(abs(sums - 1) > TOLERANCE)[0])
    advice = "these look like logits: apply softmax (scipy.special.softmax(logits, axis=-1))"
    if shares["log_probs"] > 0.5:
        advice = "these look like log-probabilities: apply exp"
    elif fitting(values / 100)["probs"] > 0.5:
        advice = "these look like percentages: divide by 100"
    elif fitting(values[..., 1:])["probs"] > 0.5:
        advice = "without the first column they do: leave out an index, or the labels"
    elif fitting(values[..., :-1])["probs"] > 0.5:
        advice = "without the last column they do: leave out the labels"
    elif fitting(np.swapaxes(values, -1, -2))["probs"] > 0.5:
        advice = "the columns do: transpose it, classes are the last axis"
    elif values.min() >= 0 and values.max() <= 1:
        advice = "give every class a column, or divide each row by its sum"
    raise BadValue(f"{name}: row {at[-1]} sums to {sums[at]:.6g}, not 1: {advice}")


def labels_of(labels: Any, probs: Any = None, name: str = "probs") -> np.ndarray:
    """Whole numbers of labels, also where a frame holds them as floats or in a column."""
    # Rows of pandas have names. The same names in another order are rows that were mixed up; names
    # that differ are those of another frame, such as of the inputs, and rows go by their place.
    refuse_mixed_up(labels, probs, "labels", name)
    refuse_dict_or_text(labels, "labels")

    if isinstance(labels, list | tuple):
        labels = [tensor_values(one) for one in labels]
    try:
        values = np.asarray(tensor_values(labels))
    except ValueError as error:
        raise BadValue(f"labels: its rows differ in length: {error}") from error
    if values.dtype == object:
        values = whole_objects(values)
    if values.dtype.kind in "OUS":
        first = next(one for one in values.flat if not isinstance(one, int | np.integer))
        # Not other objects themselves, which may take many lines.
        such = f", such as {str(first)!r}" if isinstance(first, str) else ""
        raise BadValue(
            f"labels are {'texts' if such else type(first).__name__}{such}: give the place of each "
            "among the columns, 0 to C - 1 (np.searchsorted(model.classes_, labels))"
        )

    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and ((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all():
        raise BadValue(f"labels are one-hot, {values.shape}: give labels.argmax(1)")
    if values.dtype.kind == "b":
        values = values.astype(np.int64)

    if values.dtype.kind == "f":
        if np.isnan(values).any():
            raise BadValue(f"labels: row {int(np.isnan(values).argmax())} is NaN")
        if (values == values.round()).all():
            values = values.astype(np.int64)
    return values


def whole_objects(values: np.ndarray) -> np.ndarray:
    """Whole numbers that stand as objects as numbers; others stay as they are."""
    for row, one in enumerate(values.flat):
        if missing(one):
            raise BadValue(f"labels: row {row} is missing ({one})")
    whole = all(isinstance(one, int | np.integer) for one in values.flat)
    return values.astype(np.int64) if whole else values


def refuse_mixed_up(values: Any, others: Any, name: str, other_name: str) -> None:
    """Refuse two objects of pandas whose indexes hold the same names in another order."""
    if not (hasattr(values, "iloc") and hasattr(others, "iloc")) or len(values) != len(others):
        return
    one, other = values.index, others.index
    if not one.equals(other) and bool(one.sort_values().equals(other.sort_values())):
        raise BadValue(
            f"{name} have the index of {other_name} in another order: "
            f"{name}.loc[{other_name}.index] brings them into one, or {name}.to_numpy() if the "
            "rows do belong together"
        )


def swapped(probs: Any, labels: Any, *, binary: bool) -> bool:
    """Whether labels stand in place of the probabilities, and these in theirs.

    So scikit-learn has it in its metrics.
    """
    try:
        first = array_of(probs, "probs")
        raw, _ = class_probs(labels, "labels", binary=binary)
        class_draws(raw)
    except UsageError:
        return False
    second = raw.arrays["probs"]
    return first.ndim == 1 and bool((second != second.round()).any())


def raw_of(name: str, arrays: Mapping[str, np.ndarray]) -> Raw:
    """Arrays as the checks of files take them; errors name a row of ``name``."""
    return Raw(Path(name), arrays, lambda draw, row: f"row {row}" + f" of draw {draw}" * (draw > 0))


def classes(
    probs: Any,
    labels: Any,
    name: str,
    *,
    binary: bool = False,
    draws: Any = None,
    stacked: bool = False,
) -> Given:
    """Check probabilities, and their labels unless ``labels`` is None.

    With ``stacked`` those of class 1 of two classes are draws, (S, N), themselves.
    """
    with as_bad_values():
        try:
            raw, name = class_probs(probs, name, binary=binary, draws=draws, stacked=stacked)
            likelihood, found = class_draws(raw)
            targets = None
            if labels is not None:
                whole = raw_of(name, {**raw.arrays, "labels": labels_of(labels, probs)})
                targets = checked_targets(whole, likelihood, found)
        except UsageError as error:
            if labels is not None and swapped(probs, labels, binary=binary):
                raise BadValue(
                    "labels and probabilities are swapped: evaluate(probs, labels), unlike "
                    "metrics of scikit-learn"
                ) from error
            raise
        return Given(likelihood, found, targets, rounded(raw))


def reals(mean: Any, spread: Mapping[str, Any], targets: Any) -> Given:
    """Check means with a variance or standard deviation, and the targets."""
    if targets is None:
        raise BadValue("targets are missing: evaluate(mean, targets, std=std)")
    refuse_mixed_up(targets, mean, "targets", "mean")
    truth = column(array_of(targets, "targets"), None)
    arrays = {"mean": column(array_of(mean, "mean"), len(np.atleast_1d(truth))), "targets": truth}

    for name, value in spread.items():
        refuse_mixed_up(value, mean, name, "mean")
        given = column(array_of(value, name), len(np.atleast_1d(truth)))
        # One number is that of all examples.
        arrays[name] = np.full(arrays["mean"].shape, given) if given.ndim == 0 else given

    raw = raw_of("predictions", arrays)
    with as_bad_values():
        likelihood, found = real_draws(raw)
        return Given(likelihood, found, checked_targets(raw, likelihood, found))


def column(values: np.ndarray, count: int | None) -> np.ndarray:
    """A column (N, 1) as (N,): of ``count`` examples, since (S, 1) are draws of one example."""
    single = values.ndim == 2 and values.shape[1] == 1
    return values[:, 0] if single and count in (None, len(values)) else values
