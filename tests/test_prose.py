"""The decimals in the prose of the first pages are those of committed results.

After each block of text with decimals a comment says where they come from, in their order::

    <!-- numbers: results/mnist: nll clean of map - ensemble; accuracy pgd 0.1 of mnf; setting -->

A folder counts until the next one. ``A - B`` and ``A / B`` are of means over the seeds, and
``lowest`` or ``highest`` is over the datasets. ``A ~ B`` is the p-value of their difference, as the
report has it. ``accuracy pgd all of mnf`` is a mean over the levels but 0, ``accuracy corruptions of
mnf`` over kinds too. ``setting`` is a number that a study sets, such as an epsilon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from bench_uq import read_scores
from bench_uq.score.analysis import Analysis, analyse
from bench_uq.score.results import read
from bench_uq.store import derived

REPO = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/studies.md", "docs/mnist-stress.md")
COMMENT = re.compile(r"<!-- numbers: (.*) -->", re.DOTALL)
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?!\.?\w)")
SPEC = re.compile(
    r"(?:(lowest|highest) )?(\w+)(?: (\S+?))?(?: ([\d.]+|all))?(?: on (\S+))? of (\S+)(?: ([-/~]) (\S+))?"
)


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Blocks of prose, with the comment that follows, if it tells of numbers."""
    text = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    # Tables below a comment of their own are checked cell by cell.
    text = re.sub(r"<!-- results/.* -->\n(\|.*\n)+", "", text)
    parts = [part.strip() for part in re.split(r"\n\s*\n", text)]
    for part, after in zip(parts, [*parts[1:], ""], strict=True):
        if not part.startswith("<!--"):
            told = COMMENT.fullmatch(after)
            yield part, told[1] if told else ""


def decimals(block: str) -> list[str]:
    """Decimals of a block in their order, but those in code and in the targets of links."""
    return DECIMAL.findall(re.sub(r"`[^`]*`|\]\([^)]*\)", "", block))


def of_page() -> Iterator[object]:
    """Number and its source, of each decimal; the source is empty where none is named."""
    for name in PAGES:
        for block, comment in blocks((REPO / name).read_text()):
            numbers, folder = decimals(block), ""
            specs = [" ".join(spec.split()) for spec in comment.split(";")] if comment else []
            assert len(specs) in (0, len(numbers)), (name, numbers, specs)

            for number, spec in zip(numbers, specs or [""] * len(numbers), strict=True):
                named, _, source = spec.rpartition(": ")
                folder = named or folder
                words = " ".join(block.split()[:3])
                yield pytest.param(number, folder, source, id=f"{name} {words} {number} {source}")


@pytest.mark.parametrize(("number", "folder", "source"), list(of_page()))
def test_a_number_in_prose_is_that_of_its_source(number: str, folder: str, source: str) -> None:
    """At the digits that the page has."""
    assert source, f"no comment says where {number} comes from"
    if source == "setting":
        return
    digits = len(number.partition(".")[2])
    assert f"{value_of(folder, source):.{digits}f}" == number


def value_of(folder: str, source: str) -> float:
    """Mean over seeds, or of a difference or a ratio."""
    found = SPEC.fullmatch(source)
    assert found, source
    extreme, metric, condition, level, dataset, one, sign, other = found.groups()
    if sign == "~":
        return corrected(folder, metric, (condition, float(level) if level else None), one, other)

    rows = table_of(folder, metric)
    if condition == "corruptions":
        rows = rows[rows.condition.str.startswith("corruption")]
    elif condition:
        rows = rows[rows.condition == condition]
    if level == "all":
        rows = rows[rows.level != 0]
    elif level:
        rows = rows[rows.level == float(level)]
    assert rows.level.nunique() < 2 or level == "all" or condition == "corruptions", source
    if dataset:
        rows = rows[rows.dataset == dataset]
    assert extreme or rows.dataset.nunique() == 1, source

    means = rows.groupby(["dataset", "method", "seed"], observed=True)["value"].mean()
    means = means.groupby(["dataset", "method"]).mean().unstack()
    values = means[one]
    if sign == "-":
        values = values - means[other]
    if sign == "/":
        values = values / means[other]
    assert values.notna().all(), source
    return float(values.min() if extreme == "lowest" else values.max())


def corrected(folder: str, metric: str, place: tuple[str, float | None], *pair: str) -> float:
    """The p-value of two methods as the report has it, over seeds and, where known, examples."""
    lead = analysis_of(folder).comparisons[*place, metric].lead(*pair)
    assert lead is not None
    return lead.p


@cache
def analysis_of(folder: str) -> Analysis:
    """The analysis of a study of one dataset."""
    analysis = analyse(read(REPO / folder))
    return analysis.on(analysis.dataset)


@cache
def scores_of(folder: str) -> pd.DataFrame:
    """All scores of a study."""
    return read_scores(REPO / folder)


def table_of(folder: str, metric: str) -> pd.DataFrame:
    """Rows of a score, or of what a run took, by dataset, method and seed."""
    if metric.endswith("_seconds"):
        runs = derived.table(derived.runs_file(REPO / folder))
        return runs.assign(value=runs[metric], level=float("nan"))
    scores = scores_of(folder)
    if metric == "error":  # in percent
        errors = scores[scores.metric == "accuracy"]
        return errors.assign(value=100 * (1 - errors["value"]))
    return scores[scores.metric == metric]
