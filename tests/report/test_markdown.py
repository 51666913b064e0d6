"""The summary shows names letter by letter, and tells what went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_uq.report.markdown import summary
from bench_uq.score.analysis import analyse
from bench_uq.score.markdown_text import escape
from bench_uq.score.results import Results


@pytest.fixture(scope="module")
def text(report: tuple[Path, list[Path]]) -> str:
    return (report[0] / "summary.md").read_text()


def test_escape() -> None:
    """No letter of a name is a mark, a tag, a cell's end or a call for somebody."""
    expected = r"a\_b%\$&amp;\{\}\\input\{x\}&#124;&lt;script&gt;"
    assert escape(r"a_b%$&{}\input{x}|<script>") == expected
    assert escape("![x](y) @me\n# a") == r"\!\[x\](y) @&#8203;me \# a"


def test_names_stay_text(text: str) -> None:
    """The hostile name is nowhere but between fences as it stands, and its pipe makes no cell."""
    folded = ("<details><summary>Every comparison</summary>", "</details>")
    told = text.partition("## Reproduce")[0]
    for tag in folded:
        assert told.count(tag) == 1
        told = told.replace(tag, "")
    assert "<" not in told
    assert "a\\_b" in text
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert (
        len(tables) == 3 + 2 + 3 + 1
    )  # an overview of each dataset; means under two attacks and a shift; the equivalents
    for one in tables:
        assert len({line.count("|") for line in one.splitlines()}) == 1


def test_what_failed_is_told_with_its_reason(text: str) -> None:
    """Failed, diverged and missing runs are listed, and so are those that did not converge."""
    assert "28 of 42 runs finished" not in text
    assert "7 methods on 2 datasets; 32 of 42 runs finished." in text
    assert "- digits, mnf, seed 1: failed – RuntimeError: out of &#124; &lt;memory&gt;" in text
    assert "- digits, dropout, seed 0: missing\n" in text
    own = "- boston, mean-field, seed 2: chains did not mix\n"
    assert own in text.split("## Not converged, as the method says")[1]


def test_confidence_is_held_against_accuracy(text: str, by_hand: Callable[..., Results]) -> None:
    """Of the ensemble it is too low, of the plain network too high; seeds are counted."""
    gap = r"its confidence is on average 0\.0\d\d"
    assert re.search(
        rf"^- Deep ensemble is underconfident: {gap} below its accuracy\.$", text, re.M
    )
    assert re.search(rf"^- MAP is overconfident: {gap} above its accuracy\.$", text, re.M)
    assert "MAP is underconfident" not in text

    names = {"share": 1.0, "accuracy": 0.9, "confidence": 0.8}
    curves = {("map", 0, f"reliability_{name}"): {0.8: y} for name, y in names.items()}
    said = summary(analyse(by_hand(curves=curves, runs=[{"method": "map", "seed": 1}])), [])
    assert "on average 0.100 below its accuracy (1 of 2 seeds)." in said


def test_links_lead_to_figures(report: tuple[Path, list[Path]], text: str) -> None:
    """Every link is a file of the report, and every figure is linked."""
    links = re.findall(r"\[(?:pdf|png|svg)\]\((figures/.*?)\)", text)
    assert sorted(report[0] / link for link in links) == sorted((report[0] / "figures").iterdir())


def test_fence_is_longer_than_any_in_a_name(by_hand: Callable[..., Results]) -> None:
    """A name cannot end the block of commands, nor begin a line of its own."""
    runs = [{"method": "a```\n# b", "seed": 0, "command": "bench-uq run"}]
    said = summary(analyse(by_hand(runs=runs)), [])
    first, command, _, last = said.partition("## Reproduce\n\n")[2].splitlines()
    assert (first, last) == ("``````", "``````")
    assert r"a```\n# b" in command


def test_commands_make_the_runs_and_the_report_again(text: str) -> None:
    """The block at the end names methods, datasets and seeds."""
    block = text.partition("## Reproduce")[2]
    assert "bench-uq run --suite quick --methods 'map,dropout,ensemble,mean-field,mnf," in block
    assert "--datasets boston,digits --seeds 0,1,2" in block
    assert "\nbench-uq report --suite story\n" in block


def test_means_under_stress_say_once_what_they_share(
    text: str, by_hand: Callable[..., Results]
) -> None:
    """A table for each attack and shift, if any; what all of them say stands beneath the last."""
    section = text.partition("### Under stress")[2].partition("\n### Can the attacks")[0]
    shared = ("AUROC of errors: for separating", "80 % kept: after rejecting the 20 %")
    for words in (*(f"Digits: under {name}, mean over " for name in ("FGSM", "Rotation")), *shared):
        assert section.count(words) == 1
    assert section.rstrip().rpartition("\n")[2].startswith("Bold: ")
    assert "Under stress" not in summary(analyse(by_hand({("map", "nll"): 1})), [])
