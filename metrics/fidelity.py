"""Distances of a predictive distribution to that of a reference: the posterior, by long sampling.

The reference has the same network, prior, likelihood, training data and seed. Each distance has a
floor beside it, that of one chain of the reference to the mixture of its other chains: a distance
that is no larger is noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from bench_uq.api import Axis, Metric, Places, Predictions

#: Probabilities below the smallest normal number of float32 count as that in a divergence.
TINY = float(np.finfo(np.float32).tiny)

#: Arrays of one predictive distribution, by name: (N, C), (N, Q) or (N,), in float64.
Arrays = dict[str, np.ndarray]


def agreement(own: Arrays, reference: Arrays) -> float:
    """Share of examples with one top label."""
    ours, theirs = own["probs"], reference["probs"]
    equal = (ours.argmax(-1) == theirs.argmax(-1)).astype(np.float64)
    # Else NaN would be a label.
    return float(np.where(np.isnan(ours + theirs).any(-1), np.nan, equal).mean())


def total_variation(own: Arrays, reference: Arrays) -> float:
    """Mean over examples of half the L1 distance of the probabilities."""
    return float(np.abs(own["probs"] - reference["probs"]).sum(-1).mean() / 2)


def predictive_kl(own: Arrays, reference: Arrays) -> float:
    """Mean over examples of KL(reference || own) in nats."""
    ours, theirs = np.maximum(own["probs"], TINY), np.maximum(reference["probs"], TINY)
    # Below 0 by rounding alone; maximum keeps NaN.
    return float(np.maximum((theirs * np.log(theirs / ours)).sum(-1), 0).mean())


def wasserstein_2(own: Arrays, reference: Arrays) -> float:
    """Mean over examples of the distance between the quantile functions."""
    gaps = own["quantiles"] - reference["quantiles"]
    return float(np.sqrt(np.square(gaps).mean(-1)).mean())


def std_ratio(own: Arrays, reference: Arrays) -> float:
    """Geometric mean over examples of the ratio of standard deviations."""
    return float(np.exp(np.log(own["variance"] / reference["variance"]).mean() / 2))


def std_factor(own: Arrays, reference: Arrays) -> float:
    """The same ratio or its inverse, whichever is above 1."""
    ratio = std_ratio(own, reference)
    return float(np.maximum(ratio, 1 / ratio))


def _compared(
    distance: Callable[[Arrays, Arrays], float],
    names: tuple[str, ...],
    own: Predictions,
    reference: Predictions | None,
) -> float:
    """The distance between two sets of predictions."""
    assert reference is not None
    sides = []
    for one in (own, reference):
        sides.append({name: one[name].astype(np.float64) for name in names})
    return distance(*sides)


def _floor(
    distance: Callable[[Arrays, Arrays], float],
    names: tuple[str, ...],
    _own: Predictions,
    reference: Predictions | None,
) -> float:
    """Mean over the chains of the distance between a chain and the mixture of the others."""
    assert reference is not None
    chains = {name: reference[name].astype(np.float64) for name in names}
    count = chains[names[0]].shape[1]
    if count < 2:
        return float("nan")

    found = []
    for chain in range(count):
        alone = {name.removeprefix("chain_"): values[:, chain] for name, values in chains.items()}
        others = {name: np.delete(values, chain, axis=1) for name, values in chains.items()}
        found.append(distance(alone, pooled(others)))
    return float(np.mean(found))


def pooled(chains: Arrays) -> Arrays:
    """The mixture of M chains, whose arrays are (N, M, ...) with names that begin with chain_."""
    mixture = {}
    if "chain_probs" in chains:
        mixture["probs"] = chains["chain_probs"].mean(1)
    if "chain_variance" in chains:
        # The law of total variance.
        within, between = chains["chain_variance"].mean(1), chains["chain_mean"].var(1)
        mixture["variance"] = within + between
    if "chain_quantiles" in chains:
        # Quantiles stand for equal shares of a chain, so that of all of them in order each M stand
        # for one share of the mixture.
        values = chains["chain_quantiles"]
        ordered = np.sort(values.reshape(len(values), -1), axis=-1)
        mixture["quantiles"] = ordered.reshape(len(values), values.shape[2], -1).mean(-1)
    return mixture


def _pair(
    id: str,
    distance: Callable[[Arrays, Arrays], float],
    arrays: tuple[str, ...],
    *,
    title: str,
    formula: str,
    floor: Callable[[Arrays, Arrays], float] | None = None,
    floor_arrays: tuple[str, ...] = (),
    floor_card: Mapping[str, Any] = MappingProxyType({}),
    shown: Places | None = None,
    floor_shown: Places | None = None,
    **card: Any,
) -> tuple[Metric, Metric]:
    """A distance and its floor; ``floor_card`` are fields of the card of one of its own kind."""
    of_chains = tuple(f"chain_{name}" for name in floor_arrays or arrays)
    where = "where both are shown the same inputs: not under attacks on the evaluated networks"
    bounds = card.pop("bounds", (0.0, float("inf")))
    short = card.pop("short")
    axis = Axis(short.replace("\n", " ")) if shown is not None else None
    beside = {
        "title": f"floor of {id}: one chain of the reference against its others",
        "formula": f"mean over the chains of {id} between one chain and the mixture of the others",
        "bounds": bounds,
        "short": f"{short}\nfloor" if "\n" not in short else f"{short} floor",
        **floor_card,
    }
    return (
        Metric(
            id=id,
            title=title,
            compute=partial(_compared, distance, arrays),
            formula=f"{formula}; {where}",
            needs=arrays,
            needs_of_reference=arrays,
            companion=f"{id}_floor",
            bounds=bounds,
            order=9,
            short=short,
            shown=shown or Places(),
            axis=axis,
            **card,
        ),
        Metric(
            id=f"{id}_floor",
            compute=partial(_floor, floor or distance, of_chains),
            direction="none",
            reference="Izmailov et al. 2021, arXiv:2104.14421 (chain against chain)",
            needs=(),
            needs_of_reference=of_chains,
            undefined="there is no reference of several chains",
            order=9,
            shown=floor_shown or Places(),
            **beside,
        ),
    )


_IZMAILOV = "Izmailov et al. 2021, arXiv:2104.14421"

METRICS = (
    *_pair(
        "total_variation",
        total_variation,
        ("probs",),
        title="total variation to the reference's predictions",
        direction="lower",
        formula="mean_n sum_k |p_nk - r_nk| / 2, r the mean probabilities of the reference",
        reference=_IZMAILOV,
        bounds=(0.0, 1.0),
        short="TV to\nreference",
        note="TV: total variation to the predictions of the reference; its floor is that of one "
        "chain of the reference to its others.",
        question="posterior",
        shown=Places(
            clean=21, unseen=3, page=12, levels=12, stress=8, reference_figure=1, overview=6
        ),
        floor_shown=Places(clean=22, unseen=4),
        margin=0.25,
    ),
    *_pair(
        "agreement",
        agreement,
        ("probs",),
        title="agreement with the reference's top labels",
        direction="higher",
        formula="mean_n 1[argmax_k p_nk = argmax_k r_nk], r the mean probabilities of the "
        "reference",
        reference=_IZMAILOV,
        bounds=(0.0, 1.0),
        short="Agreement",
        shown=Places(clean=23),
        margin=0.25,
    ),
    *_pair(
        "predictive_kl",
        predictive_kl,
        ("probs",),
        title="KL divergence of the predictions from the reference's",
        direction="lower",
        formula="mean_n sum_k r_nk log(r_nk / p_nk) in nats, r the mean probabilities of the "
        "reference, both at least 1.2e-38",
        reference="Kullback & Leibler 1951, doi:10.1214/aoms/1177729694",
        short="KL from\nreference",
        shown=Places(clean=24),
        margin=0.25,
    ),
    *_pair(
        "wasserstein_2",
        wasserstein_2,
        ("quantiles",),
        title="2-Wasserstein distance to the reference's predictions",
        direction="lower",
        formula="mean_n (mean_t (q_nt - r_nt)^2)^(1/2), q and r the stored quantiles of the "
        "mixtures, t their levels, in units of the targets",
        reference="Villani 2009, doi:10.1007/978-3-540-71050-9 (one dimension: theorem 2.18 of "
        "Villani 2003)",
        short="W2 to\nreference",
        note="W2: 2-Wasserstein distance to the predictions of the reference; its floor is that "
        "of one chain of the reference to its others.",
        question="posterior",
        shown=Places(clean=21, unseen=3, page=12, reference_figure=2, overview=6),
        floor_shown=Places(clean=22, unseen=4),
        margin=0.25,
    ),
    *_pair(
        "std_ratio",
        std_ratio,
        ("variance",),
        title="ratio of predictive standard deviations to the reference's",
        direction="none",
        formula="exp mean_n log(s_n / r_n), s and r the standard deviations of the mixtures; best "
        "at 1",
        reference="standard deviations against those of HMC: Foong et al. 2020, arXiv:1909.00719; "
        "here the geometric mean, so that a ratio and its inverse are equally far from 1",
        floor=std_factor,
        floor_arrays=("variance", "mean"),
        # A mean of ratios above and below 1 would hide both.
        floor_card={
            "title": "floor of std_ratio: factor between the standard deviations of one chain of "
            "the reference and of its others",
            "formula": "mean over the chains of max(r, 1 / r), r the std_ratio of one chain to the "
            "mixture of the others; at least 1",
            "bounds": (1.0, float("inf")),
            "short": "SD factor\nof a chain",
        },
        short="SD over\nreference's",
        note="SD over reference's: geometric mean over examples, best at 1; beside it the factor, "
        "up or down, between one chain of the reference and its others.",
        shown=Places(clean=23),
        floor_shown=Places(clean=24),
    ),
)
