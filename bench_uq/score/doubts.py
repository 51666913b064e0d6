"""Doubts about a verdict, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench_uq.score.analysis import Analysis
from bench_uq.score.beside_published import Gap, above_published
from bench_uq.score.guesses import MEANINGS, worse_than_a_guess
from bench_uq.score.labels import counted
from bench_uq.score.questions import Answer, masked
from bench_uq.score.rounding import decimals, fixed, plain
from bench_uq.score.short_of_seeds import short_of_seeds, to_run
from bench_uq.score.statistics import seeds_for
from bench_uq.score.wording import NAMED, asked, compared_in, listed, mean_of, repeating

#: Seeds that nobody will run.
_MOST_SEEDS = 100


def doubts(analysis: Analysis, compared: Sequence[Answer]) -> Iterable[str]:
    """Doubts, each with its remedy, a sentence each."""
    again = repeating(analysis)
    improving = [name for name in analysis.methods if analysis.seeds(name).improving]
    if improving:
        told = list[str]()
        for name in improving:
            told.append(f"{analysis.spoken(name)} ({analysis.seeds(name).improving})")
        named = listed(told, "and", NAMED)
        yield f"Still improving with more epochs: {named}; {again} --budget 2 trains longer."
    elif compared and not analysis.results.others:
        yield (
            "Not known: whether the claims hold with half or twice the epochs "
            f"({again} --budget 0.5, or --budget 2)."
        )

    yield from _own_account(analysis)
    yield from _worse_than_a_guess(analysis)
    yield from turned_claims(analysis, compared)
    yield from _further_but_tied(analysis, compared)
    yield from _failed(analysis)
    yield from _fewer_seeds(analysis)

    apart = analysis.results.apart(analysis.dataset)
    unlike = [analysis.spoken(name) for name in analysis.methods if name in apart]
    if unlike:
        named = listed(unlike, "and", NAMED)
        yield f"Not compared, because not run alike: {named} (the warnings say how to mend it)."

    flagged = masked(analysis)
    if flagged:
        named = listed(sorted(map(analysis.spoken, flagged)), "and", NAMED)
        yield (
            f"Accuracy under attack says nothing of {named}, whose gradients look masked: left out "
            "there (the table of masking says why)."
        )
    yield from _unchecked_attacks(analysis)
    yield from _above_published(analysis)
    yield from _more_seeds(analysis, open_answers(compared))


def _own_account(analysis: Analysis) -> Iterable[str]:
    """The methods that say of themselves that their runs did not converge."""
    own = []
    for name in analysis.methods:
        seeds = analysis.seeds(name)
        if seeds.marked and not seeds.improving:
            own.append(analysis.spoken(name))
    if own:
        yield f"Not converged by their own account (†): {listed(own, 'and', NAMED)}."


def _worse_than_a_guess(analysis: Analysis) -> Iterable[str]:
    """The methods with runs that predict worse than a guess that sees no input."""
    for metric, meaning in MEANINGS.items():
        told = []
        for name, (worse, seeds) in worse_than_a_guess(analysis, metric).items():
            told.append(f"{analysis.spoken(name)} in {worse} of {counted(seeds, 'seed')}")
        if told:
            named = listed(told, "and", NAMED)
            title = analysis.cards[metric].heading
            yield f"A guess that sees no input has a lower {title} than {named}: {meaning}."


def _further_but_tied(analysis: Analysis, compared: Sequence[Answer]) -> Iterable[str]:
    """The methods that are not called worse, though no nearer to the best than some that are."""
    parts = []
    for one in compared:
        found = compared_in(one)
        if not found.worse:
            continue

        near = min(found.worse, key=lambda name: found.behind[name])
        further = []
        for name in found.equal:
            # Of two that are written alike nobody asks.
            alike = name in found.behind and mean_of(one, name) == mean_of(one, near)
            if found.behind.get(name, 0.0) > found.behind[near] and not alike:
                further.append(f"{analysis.spoken(name)} ({mean_of(one, name)})")
        if further:
            beside = f"{mean_of(one, near)} of {analysis.spoken(near)}"
            named = listed(further, "and", NAMED)
            parts.append(f"{asked(analysis, one)} of {named}, beside {beside}")
    if parts:
        yield (
            "Further from the best than a method that is significantly worse, and not called so "
            f"because they vary more from seed to seed: {'; '.join(parts)}."
        )


def _unchecked_attacks(analysis: Analysis) -> Iterable[str]:
    """Attacks of which hardly anything was checked."""
    judged = [one for one in analysis.masking if one.status != "not judged"]
    if analysis.masking and not judged:
        yield (
            "Not checked: whether the attacks find what they could; no check for masked gradients "
            "was possible (their section says what each needs)."
        )


def _above_published(analysis: Analysis) -> Iterable[str]:
    """The methods whose test error is above a published one; of several values the closest."""
    closest = dict[str, Gap]()
    for gap in above_published(analysis):
        closest[gap.method] = gap

    gaps = sorted(closest.values(), key=lambda gap: -gap.points)
    parts = []
    for gap in gaps:
        digits = decimals([gap.ours])
        told = f"{fixed(gap.ours.mean, digits)} instead of {gap.published.value}"
        parts.append(f"{analysis.spoken(gap.method)} ({told})")
    if parts:
        yield (
            f"Above the published test error, in %: {listed(parts, 'and', NAMED)}; the section of "
            "published values says how the protocols differ."
        )


def turned_claims(analysis: Analysis, compared: Sequence[Answer]) -> Iterable[str]:
    """The claims that are not made, because they turn at another budget."""
    parts = []
    for one in compared:
        names = [analysis.spoken(name) for name in compared_in(one).turned]
        if names:
            parts.append(f"{asked(analysis, one)} of {listed(names, 'and', NAMED)}")
    if parts:
        yield (
            f"Not claimed, because it turns at another budget: {'; '.join(parts)}; "
            f"{repeating(analysis)} --budget 2 trains longer."
        )


def _failed(analysis: Analysis) -> Iterable[str]:
    """The runs that did not finish, by what became of them."""
    runs = analysis.results.runs
    failed = runs[runs["status"] != "ok"]
    if failed.empty:
        return

    reasons = [f"{count} {status}" for status, count in failed["status"].value_counts().items()]
    named = [analysis.spoken(name) for name in analysis.methods if name in set(failed["method"])]
    yield (
        f"Not finished: {len(failed)} of {counted(len(runs), 'run')} ({', '.join(reasons)}), "
        f"of {listed(named, 'and', NAMED)} (the table of runs says why; "
        f"{repeating(analysis)} repeats them)."
    )


def _fewer_seeds(analysis: Analysis) -> Iterable[str]:
    """The methods of fewer seeds than others have, and the commands to run."""
    short = short_of_seeds(analysis)
    if not short:
        return

    named = listed([f"{analysis.spoken(one.method)} ({one})" for one in short], "and", NAMED)
    told = f"Fewer seeds than others have, which hides differences: {named}"
    lines = to_run(analysis, short)
    if lines:
        told += f"; {' and '.join(lines)} {'adds' if len(lines) == 1 else 'add'} them"
    yield f"{told}."


def _more_seeds(analysis: Analysis, undecided: Sequence[Answer]) -> Iterable[str]:
    """About how many seeds would decide an undecided score, by the largest difference in it."""
    found = list[tuple[int, str]]()
    for one in undecided:
        own = compared_in(one)
        gap, last = max((own.behind.get(name, 0.0), name) for name in own.tied)
        seeds = seeds_for(own, gap, _MOST_SEEDS) if gap > 0 else None
        if seeds is not None:
            told = (
                f"With about {seeds} seeds {asked(analysis, one)} would be decided, if "
                f"{analysis.spoken(last)} is behind {analysis.spoken(own.best)} by the "
                f"{plain(gap, 2)} measured ({repeating(analysis)} --seeds "
                f"0-{seeds - 1})."
            )
            found.append((seeds, told))

    if found:
        yield min(found)[1]
    elif undecided and all(compared_in(one).crossed for one in undecided):
        yield f"Not even {_MOST_SEEDS} seeds would decide these: it takes more test examples."


def open_answers(compared: Sequence[Answer]) -> list[Answer]:
    """The answers in which nobody is found to be worse, at this budget or at another."""
    return [one for one in compared if not (compared_in(one).worse or compared_in(one).turned)]
