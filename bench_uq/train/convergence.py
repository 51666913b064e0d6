"""Whether a training still improved at its end."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bench_uq.train.epoch import Epoch

#: Nats per example over the last fifth of the training; a smaller fall changes no prediction
#: to speak of.
MATERIAL_FALL = 0.05


def converged(history: Sequence[Epoch]) -> bool:
    """Whether no member's loss or KL / N still falls at its end.

    It falls if it loses more than 1 % per epoch, or more than MATERIAL_FALL nats over the last
    fifth of the training. On a small dataset an epoch is a few steps, in which even a KL far from
    its end loses less than 1 %.
    """
    series = defaultdict[tuple[int, str], list[float]](list)
    for row in history:
        series[row.member, "loss"].append(row.loss)
        # The KL is judged by itself: a falling NLL can hide a rising KL in the loss.
        series[row.member, "kl"].append(row.kl)

    for values in series.values():
        if fall(values) > 0.01 or nats_lost(values) > MATERIAL_FALL:
            return False
    return True


def fall(values: Sequence[float]) -> float:
    """Share per epoch by which a series falls at its end: the slope of its logarithm.

    Fewer than three epochs say nothing, which counts as falling. A series that is not positive
    does not fall.
    """
    last = ending(values)
    if len(last) < 3:
        return math.inf
    if (last <= 0).any():
        return 0.0
    # The logarithm makes the slope a share, whatever the size of the loss.
    return -slope(np.log(last))


def nats_lost(values: Sequence[float]) -> float:
    """Nats by which a series falls over its last fifth, by its slope there."""
    last = ending(values)
    if len(last) < 3:
        return math.inf
    return -slope(last) * (len(last) - 1)


def ending(values: Sequence[float]) -> np.ndarray:
    """Last fifth of a series, at least three values."""
    return np.array(values[-max(3, math.ceil(len(values) / 5)) :])


def slope(values: np.ndarray) -> float:
    """Least-squares slope of a series over its index."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])
