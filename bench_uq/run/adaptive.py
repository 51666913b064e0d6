"""Trials that follow those before them: Optuna's tree-structured Parzen estimator.

Unlike the points of a Sobol sequence, trial k depends on what trials 0 to k - 1 gave. So a study
does one trial of a method at a time, and machines whose sums round otherwise may try other points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench_uq.api.errors import UsageError
from bench_uq.plan.plugins import Spec
from bench_uq.plan.search_space import Dimension, Trial, seed_of, trial_at

#: Trials at random before the estimator has something to estimate; Optuna's own are 10.
AT_RANDOM = 4


def adaptive_trials(
    method: Spec,
    space: tuple[Dimension, ...],
    seed: int,
    count: int,
    nll: Callable[[Trial], float],
) -> Iterator[Trial]:
    """The trials of a method, the default first; ``nll`` tells what one gave, when it is over.

    The default is not told: its values need not lie in the space. A trial that diverged is told as
    infinite.
    """
    optuna = loaded()
    sampler = optuna.samplers.TPESampler(
        seed=seed_of(method, seed) % 2**32, n_startup_trials=AT_RANDOM
    )
    study = optuna.create_study(sampler=sampler, direction="minimize")
    # Points of the unit cube, so that ranges and choices are as for Sobol points.
    shares = {one.name: optuna.distributions.FloatDistribution(0, 1 - 1e-9) for one in space}

    yield Trial(0, {}, {})
    for number in range(1, count):
        asked = study.ask(shares)
        # Rounded as those of Sobol points are, so that people can repeat them.
        trial = trial_at(method, space, number, [asked.params[one.name] for one in space])
        yield trial
        study.tell(asked, nll(trial))


def loaded():  # type: ignore[no-untyped-def]
    """Optuna, which is an extra."""
    try:
        import optuna
    except ImportError:
        raise UsageError("--sampler tpe needs Optuna: pip install 'bench-uq[optuna]'") from None
    # It reports each trial, as bench-uq does.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
