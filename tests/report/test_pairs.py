"""Every pair of methods on the page: differences, intervals and claims against SciPy."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bench_uq.report.page import pairs
from bench_uq.report.page.pairs import MOST, pairs_section
from bench_uq.score.analysis import analyse
from bench_uq.score.questions import answers
from bench_uq.score.results import Results
from bench_uq.score.statistics import ALPHA, Comparison, Lead, compare

ByHand = Callable[..., Results]

SCORES = {
    "map": [0.90, 0.91, 0.93, 0.92],
    "mnf": [0.95, 0.96, 0.97, 0.965],
    "sgld": [0.91, 0.90, 0.94, 0.93],
}


def compared(direction: str = "higher") -> Comparison:
    found = compare({name: dict(enumerate(own)) for name, own in SCORES.items()}, direction)
    assert found is not None
    return found


@pytest.mark.parametrize(("direction", "sign"), [("higher", 1), ("lower", -1)])
def test_leads_are_paired_differences(direction: str, sign: int) -> None:
    """Mean, interval and corrected p-value of each pair are those of a paired t test."""
    comparison = compared(direction)
    raw = []
    for one, other in itertools.combinations(SCORES, 2):
        test = stats.ttest_rel(SCORES[one], SCORES[other])
        raw.append(test.pvalue)
        lead, back = comparison.lead(one, other), comparison.lead(other, one)
        assert lead is not None
        assert back is not None

        known = test.confidence_interval()
        assert lead.ahead == pytest.approx(sign * np.subtract(SCORES[one], SCORES[other]).mean())
        assert sorted(lead.interval) == pytest.approx(sorted((sign * known.low, sign * known.high)))
        assert (back.ahead, back.p) == (-lead.ahead, lead.p)
        assert back.interval == pytest.approx((-lead.interval[1], -lead.interval[0]))

    # Holm: the smallest of three times three, the next times two, and never below one before it.
    steps = [p * factor for p, factor in zip(sorted(raw), (3, 2, 1), strict=True)]
    expected = np.minimum(np.maximum.accumulate(steps), 1)
    leads = [comparison.lead(one, other) for one, other in itertools.combinations(SCORES, 2)]
    assert sorted(lead.p for lead in leads if lead) == pytest.approx(expected)
    assert comparison.lead("map", "nobody") is None


def shown(by_hand: ByHand, scores: dict[str, list[float]]) -> str:
    """The section of these accuracies."""
    return pairs_section(
        analyse(by_hand({(name, "accuracy"): own for name, own in scores.items()}))
    )


def test_the_page_has_a_cell_for_each_pair(by_hand: ByHand) -> None:
    """Rows and columns are methods; significant leads are bold on both sides of the diagonal."""
    section = shown(by_hand, SCORES)
    rows = re.findall(r'<tr><th scope="row">(\w+)</th>(.*?)</tr>', section)
    assert [name for name, _ in rows] == list(SCORES)

    comparison = compared()
    for row, cells in rows:
        for column, cell in zip(SCORES, re.findall(r"<td>(.*?)</td>", cells), strict=True):
            lead = comparison.lead(row, column)
            assert (lead is None) == (row == column) == (cell == "")
            if lead is None:
                continue
            assert float(re.findall(r"[+-]?\d\.\d+", cell)[0]) == pytest.approx(
                lead.ahead, abs=6e-4
            )
            assert ("<strong>" in cell) == (lead.p <= ALPHA)
    assert section.count("<strong>") == 4  # mnf beats both, told from both sides


def test_a_claim_that_turns_is_not_bold(by_hand: ByHand, monkeypatch: pytest.MonkeyPatch) -> None:
    """At another budget the other is ahead."""
    scores = {(name, "accuracy"): own for name, own in SCORES.items()}
    (answer,) = answers(analyse(by_hand(scores)))
    found = answer.comparison
    assert found is not None
    turned = dict.fromkeys(found.worse, 0.5)
    changed = replace(found, tied=(*found.tied, *turned), worse={}, turned=turned)

    monkeypatch.setattr(pairs, "answers", lambda _: [replace(answer, comparison=changed)])
    section = shown(by_hand, SCORES)
    assert "+0.046" in section
    assert "<strong>" not in section


def test_two_methods_have_no_matrix(by_hand: ByHand) -> None:
    """Two methods are one pair, which the verdict tells."""
    two = {name: SCORES[name] for name in ("map", "mnf")}
    assert shown(by_hand, two) == ""


def test_of_many_methods_those_that_rank_best(by_hand: ByHand) -> None:
    """A matrix of all would not be read: the first ones by rank, and the section says so."""
    noise = np.random.default_rng(0).normal(0, 0.002, (MOST + 2, 4))
    many = {f"m{n:02}": list(0.5 + 0.01 * n + noise[n]) for n in range(MOST + 2)}
    section = shown(by_hand, many)
    assert f"The {MOST} of {MOST + 2} methods that rank best on average" in section

    heads = re.findall(r'<th scope="col">(m\d+)</th>', section)
    assert heads == sorted(many)[2:]


def test_an_interval_has_at_least_one_degree_of_freedom() -> None:
    """Below one, Student's quantile would be wider than any score can differ."""
    low, high = Lead(0.006, 0.005, 0.2, 1.0).interval
    half = 0.005 * stats.t.ppf(0.975, 1)
    assert (low, high) == pytest.approx((0.006 - half, 0.006 + half))
