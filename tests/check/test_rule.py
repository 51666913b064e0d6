"""The rule of the gate, cell by cell: by hand, against SciPy, and by simulation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench_uq.api.errors import UsageError
from bench_uq.check.margins import Margins, gated
from bench_uq.check.results import SuiteResults
from bench_uq.check.rule import judge
from bench_uq.check.verdicts import Cell, Verdicts
from bench_uq.score.statistics import holm

MakeResults = Callable[..., SuiteResults]
Judged = Callable[..., Verdicts]
NLL = (0.100, 0.104, 0.098, 0.101, 0.103)
ECE = (0.020, 0.024, 0.019, 0.022, 0.025)
ACCURACY = (0.95, 0.96, 0.94, 0.95, 0.955)
FGSM = ("nll", "fgsm", 0.1)
MNF = ("nll", None, None, "mnf")


@pytest.fixture
def judged(make_results: MakeResults) -> Judged:
    """A function that judges values by cell against those of a baseline."""

    def run(
        before: Mapping[Any, Iterable[float]],
        now: Mapping[Any, Iterable[float]],
        margins: Margins | None = None,
        device: str = "",
        runs: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
    ) -> Verdicts:
        baseline = make_results(before, device=device)
        return judge(baseline, make_results(now, device=device, runs=runs), margins or Margins())

    return run


def times(values: Iterable[float], *factors: float) -> list[float]:
    """Values times one factor, or each its own."""
    return [value * factors[place % len(factors)] for place, value in enumerate(values)]


def verdicts(found: Verdicts) -> dict[tuple[str, str, float | None], str]:
    """The verdicts by metric, condition and level."""
    return {(cell.metric, cell.condition, cell.level): cell.verdict for cell in found.cells}


def only(found: Verdicts) -> Cell:
    """The only cell."""
    (cell,) = found.cells
    return cell


def cell_of(found: Verdicts, metric: str) -> Cell:
    """The cell of a metric."""
    return next(cell for cell in found.cells if cell.metric == metric)


@pytest.mark.parametrize("devices", [("cpu", "cpu"), ("cpu", "cuda"), ("", "")])
def test_equal_passes_whatever_the_machine(
    make_results: MakeResults, devices: tuple[str, str]
) -> None:
    """Equal digits pass on the same machine, on another, and on an unknown one, even few seeds."""
    values = {"nll": NLL[:3], FGSM: NLL[:3]}
    baseline, now = (make_results(values, device=device) for device in devices)
    found = judge(baseline, now, Margins())
    assert (found.verdict, found.exit_code) == ("pass", 0)
    assert {cell.rule for cell in found.cells} == {"equal to the last digit"}


def test_one_score_got_worse(judged: Judged) -> None:
    """An NLL half as large again at every seed regressed; a slightly changed ECE passes."""
    worse = times(NLL, 1.5, 1.52)
    found = judged({"nll": NLL, "ece": ECE}, {"nll": worse, "ece": times(ECE, 1.01, 0.99)})
    assert verdicts(found) == {
        ("nll", "clean", None): "regressed",
        ("ece", "clean", None): "pass",
    }
    assert found.exit_code == 1

    cell = cell_of(found, "nll")
    assert cell.baseline == pytest.approx(np.mean(NLL))
    assert cell.difference == pytest.approx(np.mean(worse) - np.mean(NLL))
    assert cell.change == pytest.approx(1.508, abs=0.001)
    assert cell.low is not None
    assert cell.high is not None
    assert 1.4 < cell.low < 1.508 < cell.high < 1.6
    assert (cell.unit, cell.margin, cell.seeds) == ("score", pytest.approx(1.1), 5)


def test_a_lone_cell_is_students_paired_t(judged: Judged) -> None:
    """One cell per metric borrows nothing: SciPy's one-sided paired test of the logs, then Holm."""
    before = {"ece": ECE, "nll": NLL}
    now = {"ece": times(ECE, 1.5, 0.8, 1.6, 0.9, 1.2), "nll": times(NLL, 1.2, 1.0, 1.4, 1.1, 1.3)}
    found = judged(before, now)
    expected = []
    for name, was in before.items():
        test = stats.ttest_rel(np.log(now[name]), np.log(was), alternative="greater")
        expected.append(test.pvalue)
    assert [cell.p for cell in found.cells] == pytest.approx(holm(expected))

    logs = np.log(now["nll"]) - np.log(NLL)
    interval = stats.t.interval(0.95, 4, logs.mean(), stats.sem(logs))
    cell = cell_of(found, "nll")
    assert (cell.low, cell.high) == pytest.approx(tuple(np.exp(interval)))


def test_an_attacked_cell_alone_is_students_two_sided_t(judged: Judged) -> None:
    """SciPy's two-sided paired test of the logs."""
    now = times(NLL, 1.2, 1.0, 1.4, 1.1, 1.3)
    expected = stats.ttest_rel(np.log(now), np.log(NLL)).pvalue
    assert only(judged({FGSM: NLL}, {FGSM: now})).p == pytest.approx(expected)


SAME_CPU = [("cpu", 0.1, "changed", 0), ("cpu", 0.01, "regressed", 1)]


@pytest.mark.parametrize(
    ("device", "margin", "verdict", "code"),
    [("", 0.1, "pass", 0), ("cuda", 0.1, "pass", 0), *SAME_CPU],
)
def test_significant_but_immaterial(
    judged: Judged, device: str, margin: float, verdict: str, code: int
) -> None:
    """5 % more NLL at every seed is within the margin: `changed` on the same CPU, else a pass."""
    margins = Margins({"": {"nll": margin}})
    found = judged({"nll": NLL}, {"nll": times(NLL, 1.05, 1.051)}, margins, device)
    assert (found.verdict, found.exit_code) == (verdict, code)


def test_better_is_improved_and_an_attack_has_no_better_side(judged: Judged) -> None:
    """Half the NLL improved on clean data and at level 0; under attack, or of entropy, it
    regressed.
    """
    expected = {
        ("nll", "clean", None): "improved",
        ("nll", "fgsm", 0.0): "improved",
        FGSM: "regressed",
        ("entropy", "clean", None): "regressed",
        ("entropy", "letters", None): "regressed",
    }

    half = times(NLL, 0.5, 0.51)
    found = judged(dict.fromkeys(expected, NLL), dict.fromkeys(expected, half))
    assert verdicts(found) == expected
    assert any("renew the baseline" in remark for remark in found.remarks)

    better = judged({"nll": NLL}, {"nll": half})
    assert (better.verdict, better.exit_code) == ("improved", 0)


def test_accuracy_goes_by_the_odds_of_an_error(judged: Judged) -> None:
    """From 95 to 85 % right the odds of an error go from 1/19 to 3/17, a factor of 57/17."""
    cell = only(judged({"accuracy": [0.95] * 5}, {"accuracy": [0.95 - 0.1] * 5}))
    assert (cell.verdict, cell.unit) == ("regressed", "odds of an error")
    assert cell.change == pytest.approx(57 / 17)


@pytest.mark.parametrize(
    ("examples", "change"),
    [(400, (20 / 380) / (0.5 / 399.5)), (100, (5 / 95) / (0.5 / 99.5))],
)
def test_perfection_is_clipped_by_the_number_of_examples(
    make_results: MakeResults, examples: int, change: float
) -> None:
    """All of N right are N - 0.5: the smaller N of the two results decides."""
    now = make_results({"accuracy": [0.95] * 5}, examples=examples)
    cell = only(judge(make_results({"accuracy": [1.0] * 5}), now, Margins()))
    assert cell.change == pytest.approx(change)


def test_noise_beyond_the_margin_passes_and_doubt_is_inconclusive(judged: Judged) -> None:
    """Seeds that scatter widely prove nothing; nearly enough evidence asks for more seeds."""
    wild = only(judged({"nll": NLL}, {"nll": times(NLL, 3, 0.3, 2, 0.7, 1.5)}))
    assert (wild.verdict, "not significantly" in wild.rule) == ("pass", True)

    factors = (1.6, 0.9, 1.5, 1.2, 1.0)
    doubt = only(judged({"nll": NLL}, {"nll": times(NLL, *factors)}))
    assert doubt.verdict == "inconclusive"
    assert doubt.p is not None
    assert 0.05 < doubt.p < 0.2
    assert doubt.detectable is not None
    away = math.log(doubt.detectable) / stats.sem(np.log(factors))
    assert stats.nct.sf(stats.t.ppf(0.95, 4), 4, away) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(("factor", "verdict", "code"), [(2, "inconclusive", 3), (1.01, "pass", 0)])
def test_few_seeds_prove_nothing(judged: Judged, factor: float, verdict: str, code: int) -> None:
    """Three seeds twice as bad are inconclusive, within the margin they pass."""
    found = judged({"nll": NLL[:3]}, {"nll": times(NLL[:3], factor)})
    assert (found.verdict, found.exit_code, only(found).seeds) == (verdict, code, 3)


@pytest.mark.parametrize(
    ("factors", "verdict", "code"), [((1,), "inconclusive", 3), ((2, 2.05), "regressed", 1)]
)
def test_fewer_seeds_than_the_baseline(
    judged: Judged, factors: tuple[float, ...], verdict: str, code: int
) -> None:
    """Seeds that were not run are inconclusive, with the command to run, unless others regressed."""
    many = np.linspace(0.09, 0.11, 7)
    runs = {("map", 5): {"status": "absent"}, ("map", 6): {"status": "interrupted"}}
    found = judged({"nll": many}, {"nll": times(many, *factors)}, runs=runs)
    assert (found.verdict, found.exit_code) == (verdict, code)
    options = "--suite quick --methods map --datasets digits --seeds 5,6"
    assert found.commands == (f"bench-uq run {options}",)


@pytest.mark.parametrize("planned", [True, False])
def test_a_method_that_was_not_run_is_missing(judged: Judged, planned: bool) -> None:
    """All its cells are, also if its runs are planned and not done; others pass."""
    runs = {("mnf", seed): {"status": "missing"} for seed in range(5)} if planned else {}
    found = judged({"nll": NLL, MNF: NLL}, {"nll": NLL}, runs=runs)
    assert [(cell.method, cell.verdict) for cell in found.cells] == [
        ("map", "pass"),
        ("mnf", "missing"),
    ]
    assert found.exit_code == 1
    options = "--suite quick --methods mnf --datasets digits --seeds 0,1,2,3,4"
    assert found.commands == (f"bench-uq run {options}",)


def test_other_seeds_than_the_baselines(make_results: MakeResults) -> None:
    """Runs of other seeds do not stand in for those of the baseline."""
    now = make_results({"nll": NLL}, seeds=range(5, 10))
    assert only(judge(make_results({"nll": NLL}), now, Margins())).verdict == "missing"


@pytest.mark.parametrize("status", ["failed", "diverged", "oom"])
def test_a_failed_run_regressed(judged: Judged, status: str) -> None:
    """Whatever the other seeds say, with its reason."""
    runs = {("map", 3): {"status": status, "reason": "too bad"}}
    found = judged({"nll": NLL}, {"nll": NLL}, runs=runs)
    assert (only(found).verdict, only(found).rule) == ("regressed", f"seed 3 {status}: too bad")
    assert found.exit_code == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_worst_gap_counts(judged: Judged, order: tuple[int, int]) -> None:
    """A failed seed is worse than one that was not run, whichever comes first."""
    runs = {("map", order[0]): {"status": "failed"}, ("map", order[1]): {"status": "absent"}}
    assert only(judged({"nll": NLL}, {"nll": NLL}, runs=runs)).verdict == "regressed"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("metric", sorted(gated()))
def test_a_value_that_is_not_finite_never_passes(judged: Judged, metric: str, value: float) -> None:
    """Now: it regressed, also if the baseline has none. In the baseline alone: inconclusive."""
    whole, broken = {metric: ACCURACY}, {metric: [*ACCURACY[:4], value]}
    assert judged(whole, broken).verdict == "regressed"
    assert judged(broken, broken).verdict == "regressed"
    assert judged(broken, whole).verdict == "inconclusive"


def test_a_score_that_is_gone_is_missing(judged: Judged) -> None:
    """A level or metric that a finished run no longer has."""
    assert verdicts(judged({"nll": NLL, FGSM: NLL, "ece": ECE}, {"nll": NLL})) == {
        ("nll", "clean", None): "pass",
        FGSM: "missing",
        ("ece", "clean", None): "missing",
    }


def test_a_new_method_is_named_not_judged(judged: Judged) -> None:
    """A method that the baseline lacks is no cell of the check, and a remark says so."""
    found = judged({"nll": NLL}, {"nll": NLL, MNF: NLL})
    assert only(found).method == "map"
    (remark,) = found.remarks
    assert "mnf on digits" in remark


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ({"epochs": 40}, {"epochs": 3.0}, "epochs 40 in the baseline, 3 now"),
        ({"data": "1111"}, {"data": "2222"}, "data 1111 in the baseline, 2222 now"),
        ({"labels": "1111"}, {"labels": "2222"}, "labels 1111 in the baseline, 2222 now"),
        ({"train_images": 0}, {"train_images": 9.0}, "train_images all in the baseline, 9 now"),
    ],
)
def test_runs_that_are_not_alike_fail(
    make_results: MakeResults, was: dict[str, Any], now: dict[str, Any], told: str
) -> None:
    """Equal scores of other settings or data prove nothing, and the baseline's command is named."""
    compared = []
    for settings in (was, now):
        runs = {("map", seed): {"settings": settings} for seed in range(5)}
        compared.append(make_results({"nll": NLL}, runs=runs))
    found = judge(*compared, Margins())
    assert (only(found).verdict, found.exit_code) == ("unlike", 1)
    assert told in only(found).rule
    assert "renew the baseline" in found.remarks[-1]
    assert len(found.commands) == 1


def test_facts_of_one_condition_and_of_code(make_results: MakeResults) -> None:
    """Fewer attacked examples fail the attack alone; other code is what a check is for."""
    compared = []
    for examples, code in (("100", "aaaa"), ("50", "bbbb")):
        facts = {"examples of fgsm": examples, "code": code, "code of fgsm": code}
        runs = {("map", seed): {"settings": {"facts": json.dumps(facts)}} for seed in range(5)}
        compared.append(make_results({"nll": NLL, FGSM: NLL}, runs=runs))
    found = judge(*compared, Margins())
    assert verdicts(found) == {("nll", "clean", None): "pass", FGSM: "unlike"}


def test_stored_scores_of_old_code_are_stale(make_results: MakeResults) -> None:
    """An edited method makes all of its scores stale, an edited attack those under it."""
    results = make_results({"nll": NLL, FGSM: NLL, MNF: NLL})
    changed = {("digits", "map", seed): ("condition fgsm",) for seed in range(5)}
    changed |= {("digits", "mnf", 0): ("method mnf",)}

    found = judge(results, replace(results, stale=changed), Margins())
    assert {cell.method + " " + cell.condition: cell.verdict for cell in found.cells} == {
        "map clean": "pass",
        "map fgsm": "stale",
        "mnf clean": "stale",
    }
    assert found.exit_code == 1
    assert [line.partition(" --methods ")[2] for line in found.commands] == [
        "map --datasets digits --seeds 0,1,2,3,4",
        "mnf --datasets digits --seeds 0",
    ]


@pytest.mark.parametrize(
    ("floors", "regressed"),
    [({"accuracy": 0.96, "nll": 0.2}, "accuracy"), ({"nll": 0.1}, "nll")],
)
def test_floors(make_results: MakeResults, floors: dict[str, float], regressed: str) -> None:
    """A mean beyond a floor regressed even if nothing changed, at the suite's settings alone."""
    results = make_results({"accuracy": ACCURACY, "nll": NLL})
    margins = Margins(floors={"clean": floors})
    found = judge(results, results, margins, own_budget=results.runs.keys())
    assert [cell.metric for cell in found.cells if cell.verdict == "regressed"] == [regressed]
    assert found.remarks == ()

    other = judge(results, results, margins)
    assert other.verdict == "pass"
    (remark,) = other.remarks
    assert "map on digits" in remark


def test_a_constant_score_that_moves_regressed(judged: Judged) -> None:
    """0.5 at every seed, then 0.4 at every seed: no variance to divide by, and no doubt either."""
    place = ("auroc_epistemic", "letters", None)
    cell = only(judged({place: [0.5] * 5}, {place: [0.4] * 5}))
    assert cell.verdict == "regressed"
    assert cell.p is not None
    assert 0 < cell.p < 0.01


@pytest.mark.parametrize(("shift", "verdict"), [(0.3, "regressed"), (0.05, "pass")])
def test_a_density_may_be_below_zero(judged: Judged, shift: float, verdict: str) -> None:
    """The NLL of real targets is compared in nats."""
    values = [-1.2, -1.1, -1.15, -1.18, -1.12]
    now = [value + shift + 0.001 * place for place, value in enumerate(values)]
    cell = cell_of(judged({"nll": values, "rmse": NLL}, {"nll": now, "rmse": NLL}), "nll")
    assert (cell.verdict, cell.unit) == (verdict, None)
    assert cell.change == pytest.approx(shift + 0.002)


def test_a_baseline_without_gated_scores(judged: Judged) -> None:
    """It is a mistake, not a pass."""
    with pytest.raises(UsageError, match="no gated score"):
        judged({"mce": NLL}, {"mce": NLL})


def suite_of_noise(
    make_results: MakeResults, random: np.random.Generator, seeds: int, worse: float = 0.0
) -> tuple[SuiteResults, SuiteResults]:
    """Two results of 4 methods and 3 metrics; standard deviations differ fourfold.

    Attacks follow the clean scores. The NLL of the first method is worse by so many standard
    deviations of the paired difference.
    """
    shown = (("clean", None), ("letters", None), ("fgsm", 0.1), ("fgsm", 0.2))
    before, now = {}, {}

    for method in "abcd":
        for metric in ("nll", "ece", "brier"):
            deviation = 0.05 * 4 ** random.uniform()
            base = random.normal(size=(2, seeds)) * deviation
            for condition, level in shown:
                drift = 0.8 * base + 0.6 * deviation * random.normal(size=(2, seeds))
                if worse and (method, metric, condition) == ("a", "nll", "clean"):
                    drift[1] += worse * deviation * math.sqrt(2)
                key = metric, condition, level, method
                before[key], now[key] = 0.1 * np.exp(drift)
    return make_results(before), make_results(now)


@pytest.mark.parametrize("seeds", [5, 10])
def test_false_alarms(make_results: MakeResults, seeds: int) -> None:
    """Of 300 unchanged suites, with no margins, at most 5 % and 3 standard errors raise an alarm."""
    random, suites, wrong = np.random.default_rng(seeds), 300, 0
    margins = Margins({"": dict.fromkeys(("nll", "ece", "brier"), 1e-9)})
    for _ in range(suites):
        wrong += judge(*suite_of_noise(make_results, random, seeds), margins).exit_code == 1
    assert wrong / suites <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / suites)


@pytest.mark.parametrize(("seeds", "worse"), [(5, 5.0), (10, 2.2)])
def test_power(make_results: MakeResults, seeds: int, worse: float) -> None:
    """A score that is worse by this much is found in at least 60 % of 60 suites."""
    random, found = np.random.default_rng(seeds), 0
    for _ in range(60):
        cells = judge(*suite_of_noise(make_results, random, seeds, worse), Margins()).cells
        place = ("a", "nll", "clean", "regressed")
        found += any((c.method, c.metric, c.condition, c.verdict) == place for c in cells)
    assert found >= 36
