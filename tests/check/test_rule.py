"""The rule of the gate, cell by cell: by hand, against SciPy, and by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from bench_uq.api.errors import UsageError
from bench_uq.check.margins import MARGINS, Margins
from bench_uq.check.results import Side
from bench_uq.check.rule import FEWEST, check
from bench_uq.check.verdicts import Cell, Outcome
from bench_uq.score.statistics import holm

MakeSide = Callable[..., Side]
NLL = (0.100, 0.104, 0.098, 0.101, 0.103)
ECE = (0.020, 0.024, 0.019, 0.022, 0.025)
ACCURACY = (0.95, 0.96, 0.94, 0.95, 0.955)


def times(values: tuple[float, ...], *factors: float) -> list[float]:
    """Return values times one factor, or each its own."""
    return [value * factors[place % len(factors)] for place, value in enumerate(values)]


def verdicts(outcome: Outcome) -> dict[tuple[str, str, float | None], str]:
    """Return the verdicts by metric, condition and level."""
    return {(cell.metric, cell.condition, cell.level): cell.verdict for cell in outcome.cells}


def only(outcome: Outcome) -> Cell:
    """Return the one cell there is."""
    (cell,) = outcome.cells
    return cell


def test_equal_passes_whatever_the_machine(make_side: MakeSide) -> None:
    """Equal digits pass on the same machine, on another, and on an unknown one, with few seeds too."""
    for devices in (("cpu", "cpu"), ("cpu", "cuda"), ("", "")):
        sides = [
            make_side({"nll": NLL[:3], ("nll", "fgsm", 0.1): NLL[:3]}, device=device)
            for device in devices
        ]
        outcome = check(*sides, Margins())
        assert (outcome.verdict, outcome.exit_code) == ("pass", 0)
        assert {cell.rule for cell in outcome.cells} == {"equal to the last digit"}


def test_one_score_got_worse(make_side: MakeSide) -> None:
    """An NLL half as large again at every seed regressed; the ECE beside it, a little better and worse, passes."""
    now = make_side({"nll": times(NLL, 1.5, 1.52), "ece": times(ECE, 1.01, 0.99)})
    outcome = check(make_side({"nll": NLL, "ece": ECE}), now, Margins())
    assert verdicts(outcome) == {
        ("nll", "clean", None): "regressed",
        ("ece", "clean", None): "pass",
    }
    assert outcome.exit_code == 1
    cell = next(cell for cell in outcome.cells if cell.metric == "nll")
    assert cell.baseline == pytest.approx(np.mean(NLL))
    assert cell.difference == pytest.approx(np.mean(times(NLL, 1.5, 1.52)) - np.mean(NLL))
    assert cell.change == pytest.approx(1.508, abs=0.001)
    assert cell.low is not None
    assert cell.high is not None
    assert 1.4 < cell.low < 1.508 < cell.high < 1.6
    assert (cell.unit, cell.margin, cell.seeds) == ("score", pytest.approx(1.1), 5)


def test_a_lone_cell_is_students_paired_t(make_side: MakeSide) -> None:
    """With one cell per metric nothing is pooled: SciPy's one-sided paired test of the logs, Holm over both cells."""
    now = {"nll": times(NLL, 1.2, 1.0, 1.4, 1.1, 1.3), "ece": times(ECE, 1.5, 0.8, 1.6, 0.9, 1.2)}
    outcome = check(make_side({"nll": NLL, "ece": ECE}), make_side(now), Margins())
    expected = [
        stats.ttest_rel(np.log(now[name]), np.log(was), alternative="greater").pvalue
        for name, was in (("ece", ECE), ("nll", NLL))
    ]
    assert [cell.p for cell in outcome.cells] == pytest.approx(holm(expected))
    logs = np.log(now["nll"]) - np.log(NLL)
    interval = stats.t.interval(0.95, 4, logs.mean(), stats.sem(logs))
    cell = next(cell for cell in outcome.cells if cell.metric == "nll")
    assert (cell.low, cell.high) == pytest.approx(tuple(np.exp(interval)))


def test_significant_but_immaterial_passes(make_side: MakeSide) -> None:
    """5 % more NLL at every seed is certain, and within the margin: a pass, or `changed` in the same environment."""
    now = times(NLL, 1.05, 1.051)
    assert (
        only(check(make_side({"nll": NLL}), make_side({"nll": now}), Margins())).verdict == "pass"
    )
    same = [make_side({"nll": values}, device="cpu") for values in (NLL, now)]
    assert (check(*same, Margins()).verdict, check(*same, Margins()).exit_code) == ("changed", 0)
    tight = Margins({"": {"nll": 0.01}})
    assert check(*same, tight).verdict == "regressed"


def test_better_is_improved_and_an_attack_has_no_better_side(make_side: MakeSide) -> None:
    """Half the NLL improved on clean and unseen data and at level 0; under attack, and of entropy, it regressed."""
    half = times(NLL, 0.5, 0.51)
    cells = [
        "nll",
        ("nll", "fgsm", 0.0),
        ("nll", "fgsm", 0.1),
        "entropy",
        ("entropy", "letters", None),
    ]
    outcome = check(
        make_side(dict.fromkeys(cells, NLL)), make_side(dict.fromkeys(cells, half)), Margins()
    )
    assert verdicts(outcome) == {
        ("nll", "clean", None): "improved",
        ("nll", "fgsm", 0.0): "improved",
        ("nll", "fgsm", 0.1): "regressed",
        ("entropy", "clean", None): "regressed",
        ("entropy", "letters", None): "regressed",
    }
    assert any("renew the baseline" in remark for remark in outcome.remarks)
    better = make_side({"nll": NLL}), make_side({"nll": half})
    assert (check(*better, Margins()).verdict, check(*better, Margins()).exit_code) == (
        "improved",
        0,
    )


def test_accuracy_goes_by_the_odds_of_an_error(make_side: MakeSide) -> None:
    """From 95 to 85 % right the odds of an error go from 1/19 to 3/17, a factor of 57/17."""
    now = [value - 0.1 for value in (0.95, 0.95, 0.95, 0.95, 0.95)]
    cell = only(check(make_side({"accuracy": [0.95] * 5}), make_side({"accuracy": now}), Margins()))
    assert (cell.verdict, cell.unit) == ("regressed", "odds of an error")
    assert cell.change == pytest.approx(57 / 17)


def test_noise_beyond_the_margin_passes_and_doubt_is_inconclusive(make_side: MakeSide) -> None:
    """Seeds that scatter widely prove nothing; nearly enough of them ask for more, and say what would be seen."""
    wild = only(
        check(
            make_side({"nll": NLL}), make_side({"nll": times(NLL, 3, 0.3, 2, 0.7, 1.5)}), Margins()
        )
    )
    assert wild.verdict == "pass"
    assert "as noise does" in wild.rule
    factors = (1.6, 0.9, 1.5, 1.2, 1.0)
    doubt = only(
        check(make_side({"nll": NLL}), make_side({"nll": times(NLL, *factors)}), Margins())
    )
    assert doubt.verdict == "inconclusive"
    assert doubt.p is not None
    assert 0.05 < doubt.p < 0.2
    assert doubt.detectable is not None
    away = math.log(doubt.detectable) / stats.sem(np.log(factors))
    assert stats.nct.sf(stats.t.ppf(0.95, 4), 4, away) == pytest.approx(0.8, abs=1e-3)


def test_few_seeds_prove_nothing(make_side: MakeSide) -> None:
    """Three seeds twice as bad are inconclusive (exit 3), within the margin they pass."""
    outcome = check(make_side({"nll": NLL[:3]}), make_side({"nll": times(NLL[:3], 2)}), Margins())
    assert (outcome.verdict, outcome.exit_code) == ("inconclusive", 3)
    assert f"3 seeds; at least {FEWEST} tell" in only(outcome).rule
    assert (
        check(
            make_side({"nll": NLL[:3]}), make_side({"nll": times(NLL[:3], 1.01)}), Margins()
        ).verdict
        == "pass"
    )


def test_fewer_seeds_than_the_baseline(make_side: MakeSide) -> None:
    """Seeds that were not run, or interrupted, are inconclusive with the line to run; a regression is not hidden."""
    many = tuple(np.linspace(0.09, 0.11, 7))
    runs = {("map", 5): {"status": "absent"}, ("map", 6): {"status": "interrupted"}}
    outcome = check(make_side({"nll": many}), make_side({"nll": many}, runs=runs), Margins())
    assert (outcome.verdict, outcome.exit_code) == ("inconclusive", 3)
    assert outcome.commands == (
        "bench-uq run --suite quick --methods map --datasets digits --seeds 5,6",
    )
    worse = check(
        make_side({"nll": many}), make_side({"nll": times(many, 2, 2.05)}, runs=runs), Margins()
    )
    assert (worse.verdict, worse.exit_code) == ("regressed", 1)


def test_a_method_that_was_not_run_is_missing(make_side: MakeSide) -> None:
    """All its cells are, also where its runs are planned and not done; others pass."""
    baseline = make_side({"nll": NLL, ("nll", None, None, "mnf"): NLL})
    planned = {("mnf", seed): {"status": "missing"} for seed in range(5)}
    for runs in ({}, planned):
        outcome = check(baseline, make_side({"nll": NLL}, runs=runs), Margins())
        assert [(cell.method, cell.verdict) for cell in outcome.cells] == [
            ("map", "pass"),
            ("mnf", "missing"),
        ]
        assert outcome.exit_code == 1
        assert outcome.commands == (
            "bench-uq run --suite quick --methods mnf --datasets digits --seeds 0,1,2,3,4",
        )


@pytest.mark.parametrize("status", ["failed", "diverged", "oom"])
def test_a_failed_run_regressed(make_side: MakeSide, status: str) -> None:
    """Whatever the other seeds say, with its reason."""
    runs = {("map", 3): {"status": status, "reason": "too bad"}}
    outcome = check(make_side({"nll": NLL}), make_side({"nll": NLL}, runs=runs), Margins())
    assert (only(outcome).verdict, only(outcome).rule) == ("regressed", f"seed 3 {status}: too bad")
    assert outcome.exit_code == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("metric", sorted(MARGINS))
def test_what_is_no_number_never_passes(make_side: MakeSide, metric: str, value: float) -> None:
    """Now: it regressed, also where the baseline has none. In the baseline alone: inconclusive, never a pass."""
    whole, holed = make_side({metric: ACCURACY}), make_side({metric: [*ACCURACY[:4], value]})
    assert check(whole, holed, Margins()).verdict == "regressed"
    assert check(holed, holed, Margins()).verdict == "regressed"
    assert check(holed, whole, Margins()).verdict == "inconclusive"


def test_a_score_that_is_gone_is_missing(make_side: MakeSide) -> None:
    """A level or metric that a finished run no longer has."""
    baseline = make_side({"nll": NLL, ("nll", "fgsm", 0.1): NLL, "ece": ECE})
    outcome = check(baseline, make_side({"nll": NLL}), Margins())
    expected = {
        ("nll", "clean", None): "pass",
        ("nll", "fgsm", 0.1): "missing",
        ("ece", "clean", None): "missing",
    }
    assert verdicts(outcome) == expected


def test_what_the_baseline_lacks_is_named_not_judged(make_side: MakeSide) -> None:
    """A new method is no cell of the check, and a remark says so."""
    outcome = check(
        make_side({"nll": NLL}), make_side({"nll": NLL, ("nll", None, None, "mnf"): NLL}), Margins()
    )
    assert only(outcome).method == "map"
    assert outcome.remarks == ("not in the baseline, hence not checked: mnf on digits",)


def test_settings_that_differ_are_named(make_side: MakeSide) -> None:
    """Fewer epochs than in the baseline stand in a remark."""
    sides = [
        make_side(
            {"nll": NLL},
            runs={("map", seed): {"settings": {"epochs": epochs}} for seed in range(5)},
        )
        for epochs in (40, 3)
    ]
    assert check(*sides, Margins()).remarks == ("epochs: 40 in the baseline, 3 now (map)",)


def test_floors(make_side: MakeSide) -> None:
    """A mean below a floor regressed even where nothing changed, at the suite's own settings alone."""
    side = make_side({"accuracy": ACCURACY, "nll": NLL})
    margins = Margins(floors={"clean": {"accuracy": 0.96, "nll": 0.2}})
    outcome = check(side, side, margins, own_budget=side.runs.keys())
    assert verdicts(outcome) == {
        ("accuracy", "clean", None): "regressed",
        ("nll", "clean", None): "pass",
    }
    assert (
        check(side, side, Margins(floors={"clean": {"nll": 0.1}}), side.runs.keys()).verdict
        == "regressed"
    )
    other = check(side, side, margins)
    assert other.verdict == "pass"
    assert other.remarks == (
        "not made with the suite's own settings, hence not held to floors: map on digits",
    )


def test_a_constant_score_that_moves_regressed(make_side: MakeSide) -> None:
    """0.5 at every seed, then 0.4 at every seed: no spread to divide by, and no doubt either."""
    cells = {"auroc_epistemic": [0.5] * 5}, {"auroc_epistemic": [0.4] * 5}
    baseline, now = (
        {("auroc_epistemic", "letters", None): one["auroc_epistemic"]} for one in cells
    )
    cell = only(check(make_side(baseline), make_side(now), Margins()))
    assert cell.verdict == "regressed"
    assert cell.p is not None
    assert 0 < cell.p < 0.01


def test_a_density_may_be_below_zero(make_side: MakeSide) -> None:
    """The NLL of real targets is compared in nats: 0.3 more at every seed regressed, 0.05 is within the margin."""
    values = [-1.2, -1.1, -1.15, -1.18, -1.12]
    for shift, verdict in ((0.3, "regressed"), (0.05, "pass")):
        now = {
            "nll": [value + shift + 0.001 * place for place, value in enumerate(values)],
            "rmse": NLL,
        }
        outcome = check(make_side({"nll": values, "rmse": NLL}), make_side(now), Margins())
        cell = next(cell for cell in outcome.cells if cell.metric == "nll")
        assert (cell.verdict, cell.unit) == (verdict, None)
        assert cell.change == pytest.approx(shift + 0.002)


def test_nothing_that_is_gated(make_side: MakeSide) -> None:
    """A baseline of scores that nobody gates is a mistake, not a pass."""
    side = make_side({"mce": NLL})
    with pytest.raises(UsageError, match="no score that is gated"):
        check(side, side, Margins())


def suite_of_noise(
    make_side: MakeSide, random: np.random.Generator, seeds: int, worse: float = 0.0
) -> tuple[Side, Side]:
    """Return two results of 4 methods and 3 metrics, whose spreads differ fourfold and whose attacks follow the clean.

    The NLL of the first method is worse by so many standard deviations of the paired difference.
    """
    cells = {}
    for method in "abcd":
        for metric in ("nll", "ece", "brier"):
            spread = 0.05 * 4 ** random.uniform()
            base = random.normal(size=(2, seeds)) * spread
            for condition, level in (
                ("clean", None),
                ("letters", None),
                ("fgsm", 0.1),
                ("fgsm", 0.2),
            ):
                drift = 0.8 * base + 0.6 * spread * random.normal(size=(2, seeds))
                if worse and (method, metric, condition) == ("a", "nll", "clean"):
                    drift[1] += worse * spread * math.sqrt(2)
                cells[metric, condition, level, method] = 0.1 * np.exp(drift)
    sides = [make_side({cell: values[place] for cell, values in cells.items()}) for place in (0, 1)]
    return sides[0], sides[1]


@pytest.mark.parametrize("seeds", [5, 10])
def test_false_alarms(make_side: MakeSide, seeds: int) -> None:
    """Of 300 suites where nothing changed, with no margins, at most 5 % and 3 standard errors raise an alarm."""
    random, suites = np.random.default_rng(seeds), 300
    none = Margins({"": dict.fromkeys(("nll", "ece", "brier"), 1e-9)})
    wrong = sum(
        check(*suite_of_noise(make_side, random, seeds), none).exit_code == 1 for _ in range(suites)
    )
    assert wrong / suites <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / suites)


@pytest.mark.parametrize(("seeds", "worse"), [(5, 5.0), (10, 2.2)])
def test_power(make_side: MakeSide, seeds: int, worse: float) -> None:
    """What is worse by this much is named in at least 60 % of 60 suites."""
    random, found = np.random.default_rng(seeds), 0
    for _ in range(60):
        outcome = check(*suite_of_noise(make_side, random, seeds, worse), Margins())
        found += any(
            (cell.method, cell.metric, cell.condition, cell.verdict)
            == ("a", "nll", "clean", "regressed")
            for cell in outcome.cells
        )
    assert found >= 36


def test_an_attacked_cell_alone_is_students_two_sided_t(make_side: MakeSide) -> None:
    """SciPy's two-sided paired test of the logs."""
    now = times(NLL, 1.2, 1.0, 1.4, 1.1, 1.3)
    cell = ("nll", "fgsm", 0.1)
    found = only(check(make_side({cell: NLL}), make_side({cell: now}), Margins()))
    assert found.p == pytest.approx(stats.ttest_rel(np.log(now), np.log(NLL)).pvalue)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_gravest_hole_counts(make_side: MakeSide, order: tuple[int, int]) -> None:
    """A failed seed is worse than one that was not run, whichever comes first."""
    runs = {("map", order[0]): {"status": "failed"}, ("map", order[1]): {"status": "absent"}}
    assert (
        only(check(make_side({"nll": NLL}), make_side({"nll": NLL}, runs=runs), Margins())).verdict
        == "regressed"
    )


def test_perfection_is_clipped_by_the_number_of_examples(make_side: MakeSide) -> None:
    """All of 400 right are 399.5: from there to 380 right the odds of an error go from 0.5/399.5 to 20/380."""
    cell = only(
        check(make_side({"accuracy": [1.0] * 5}), make_side({"accuracy": [0.95] * 5}), Margins())
    )
    assert cell.change == pytest.approx((20 / 380) / (0.5 / 399.5))
    few = make_side({"accuracy": [0.95] * 5}, examples=100)
    assert only(check(make_side({"accuracy": [1.0] * 5}), few, Margins())).change == pytest.approx(
        (5 / 95) / (0.5 / 99.5)
    )


def test_other_digits_on_a_gpu_are_no_news(make_side: MakeSide) -> None:
    """Only on a CPU does equal code give equal digits: there it is `changed`, on a GPU a pass."""
    now = times(NLL, 1.01, 1.011)
    for device, verdict in (("cpu", "changed"), ("cuda", "pass")):
        sides = [make_side({"nll": values}, device=device) for values in (NLL, now)]
        assert check(*sides, Margins()).verdict == verdict
