"""Search spaces of methods: which options and settings are tuned, and what trial k sets."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import parse
from bench_uq.plan.plugins import Plugins, Spec
from bench_uq.plan.resolve import references_of
from bench_uq.plan.suite import Suite
from bench_uq.train.settings import OF_METHODS, Settings

#: Tuned for every method, in its recipe: wide enough for Adam on small networks.
RECIPE_SPACE = {"learning_rate": {"low": 1e-3, "high": 3e-2, "scale": "log"}}
#: Tuned too for methods whose loss has no prior over the weights.
DECAY_SPACE = {"weight_decay": {"low": 1e-5, "high": 1e-1, "scale": "log"}}

#: Samplers of points: quasi-random, or by the trials before (run/adaptive.py).
SOBOL, TPE = "sobol", "tpe"
SAMPLERS = (SOBOL, TPE)

KEYS = ("low", "high", "scale", "values")
SCALES = ("linear", "log")
#: Digits of a number in a trial, so that people can read and repeat it.
DIGITS = 3


@dataclass(frozen=True)
class Dimension:
    """One option or setting of a space: a range, linear or logarithmic, or a choice of values."""

    name: str
    low: float = 0.0
    high: float = 0.0
    scale: str = "linear"
    values: tuple[Any, ...] = ()

    def at(self, share: float) -> Any:
        """The value at a share of the range, in [0, 1)."""
        if self.values:
            return self.values[int(share * len(self.values))]

        if self.scale == "log":
            value = math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        else:
            value = self.low + share * (self.high - self.low)
        return float(f"{value:.{DIGITS}g}")

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that bound it, all of a choice."""
        return self.values or (self.low, self.high)


@dataclass(frozen=True)
class Trial:
    """Options and settings of a method that a study tries; trial 0 is the default, without any."""

    number: int
    options: Mapping[str, Any]
    settings: Mapping[str, Any]


def space_of(method: Spec, suite: Suite, plugins: Plugins) -> tuple[Dimension, ...]:
    """The space of a method: the recipe, what the method declares, then what the suite says.

    Options that stand in the method's name are fixed. So are those of the posterior, such as the
    prior, of a method that is compared with a reference.
    """
    # The recipe of a method with a base is that of its base.
    tables: dict[str, Mapping[str, Any]] = {} if method.value.base else dict(RECIPE_SPACE)
    if not method.value.weight_prior and not method.value.base:
        tables |= DECAY_SPACE
    tables |= method.value.search
    asked = suite.search.get(method.plain, {})
    tables |= asked

    fixed = parse(method.name)[1]
    space = []
    for name, table in tables.items():
        if name not in fixed:
            dimension = read_dimension(method.plain, name, table)
            check_ends(method, dimension, plugins)
            if name == "epochs":
                check_epochs(method, dimension, suite.settings_of(method.plain).epochs)
            space.append(dimension)

    kept = posterior_options(method, space, suite, plugins)
    for name in kept:
        if name in asked:
            raise UsageError(
                f"search.{method.plain}.{name} changes the posterior, {method.value.posterior}, "
                "whose reference the suite compares with"
            )
    space = [one for one in space if one.name not in kept]

    if not space:
        reason = "its name fixes all options" if fixed else "it declares no search"
        if kept:
            reason = f"{', '.join(kept)} would change the posterior"
        raise UsageError(f"method {method.name!r} has nothing to tune: {reason}")
    return tuple(space)


def posterior_options(
    method: Spec, space: Sequence[Dimension], suite: Suite, plugins: Plugins
) -> list[str]:
    """Options whose values make a method of a reference's posterior one of another posterior."""
    ours = method.value.posterior
    if ours not in {one.value.posterior for one in references_of(suite, plugins)}:
        return []

    found = []
    options = {field.name for field in fields(method.value)}
    for dimension in space:
        if dimension.name in options:
            others = [
                with_options(method, {dimension.name: end}, plugins) for end in dimension.ends
            ]
            if any(other.value.posterior != ours for other in others):
                found.append(dimension.name)
    return found


def read_dimension(method: str, name: str, table: Any) -> Dimension:
    """Read one table of a space, ``{low, high, scale}`` or ``{values}``."""
    where = f"search.{method}.{name}"
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} must be a table of {', '.join(KEYS)}, not {table!r}")
    for key in table:
        if key not in KEYS:
            raise unknown(f"key in {where}", key, KEYS)

    if "values" in table:
        values = table["values"]
        if not isinstance(values, list | tuple) or len(set(map(str, values))) < 2:
            raise UsageError(f"{where}: values must be a list of at least two, not {values!r}")
        return Dimension(name, values=tuple(values))

    low, high, scale = table.get("low"), table.get("high"), table.get("scale", "linear")
    if scale not in SCALES:
        raise unknown(f"scale in {where}", str(scale), SCALES)
    ends = []
    for bound in (low, high):
        number = isinstance(bound, int | float) and not isinstance(bound, bool)
        if bound is None or not number or not math.isfinite(bound):
            raise UsageError(f"{where}: low and high must be finite numbers, not {bound!r}")
        ends.append(float(bound))

    if not ends[0] < ends[1]:
        raise UsageError(f"{where}: low must be below high, not {ends[0]:g} and {ends[1]:g}")
    if scale == "log" and ends[0] <= 0:
        raise UsageError(f"{where}: low must be above 0 on a logarithmic scale, not {ends[0]:g}")
    return Dimension(name, ends[0], ends[1], scale)


def check_ends(method: Spec, dimension: Dimension, plugins: Plugins) -> None:
    """Refuse a space that leads to values which the option or setting does not take."""
    options = {field.name for field in fields(method.value)}
    known = sorted({*options, *OF_METHODS})
    if dimension.name not in known:
        raise unknown(f"option or setting in search.{method.plain}", dimension.name, known)

    for value in dimension.ends:
        try:
            if dimension.name in options:
                with_options(method, {dimension.name: value}, plugins)
            else:
                Settings(**{dimension.name: value})
        except (UsageError, TypeError) as error:
            raise UsageError(f"search.{method.plain}.{dimension.name}: {error}") from None


def check_epochs(method: Spec, dimension: Dimension, most: int) -> None:
    """Refuse more epochs than the suite has, which would be another budget."""
    for value in dimension.ends:
        if value > most:
            raise UsageError(
                f"search.{method.plain}.epochs: {value:g} are more than the {most} of the suite"
            )


def with_options(method: Spec, options: Mapping[str, Any], plugins: Plugins) -> Spec:
    """The method with some more options."""
    plain, written = parse(method.name)
    given = {**written, **{name: str(value) for name, value in options.items()}}
    if not given:
        return method
    text = ",".join(f"{name}={value}" for name, value in given.items())
    return plugins.spec("method", f"{plain}[{text}]")


def trials(method: Spec, space: tuple[Dimension, ...], seed: int, count: int) -> Iterator[Trial]:
    """The first ``count`` trials of a method in the study of a seed.

    Trial 0 is the default. Trial k is point k - 1 of a scrambled Sobol sequence, which depends on
    the seed, the method's name and k alone.
    """
    from scipy.stats import qmc

    scramble = seed_of(method, seed)
    sequence = qmc.Sobol(len(space), scramble=True, seed=np.random.default_rng(scramble))

    yield Trial(0, {}, {})
    for number in range(1, count):
        yield trial_at(method, space, number, sequence.random(1)[0])


def seed_of(method: Spec, study: int) -> int:
    """Seed of the points of a method in a study."""
    text = f"{study} {method.name}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def trial_at(
    method: Spec, space: tuple[Dimension, ...], number: int, shares: Iterable[float]
) -> Trial:
    """The trial at a point of the unit cube."""
    options = {field.name for field in fields(method.value)}
    chosen = {one.name: one.at(share) for one, share in zip(space, shares, strict=True)}
    own = {name: value for name, value in chosen.items() if name in options}
    rest = {name: value for name, value in chosen.items() if name not in options}
    return Trial(number, own, rest)
