"""Names that readers see: titles, options in brackets, and labels of the user."""

from __future__ import annotations

import ast

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.plan.sources import text_set
from bench_uq.score.labels import in_words
from bench_uq.score.naming import Names, names_of, read_labels, shipped_titles

TITLES = {"map": "MAP", "mnf": "MNF", "temperature": "Temperature", "fgsm": "FGSM"}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("map", "MAP"),
        ("mnf[flows=4,prior=wide]", "MNF (flows=4, wide)"),
        ("mnf[max_std=inf,prior=wide]", "MNF (max_std=inf, wide)"),
        ("temperature[base=map]", "Temperature (MAP)"),
        ("fgsm (mean of 3 kinds)", "FGSM (mean of 3 kinds)"),
        ("unknown[rate=1]", "unknown[rate=1]"),
        ("[odd", "[odd"),
    ],
)
def test_a_name_is_its_title_and_what_its_options_say(name: str, shown: str) -> None:
    """A word stands alone, a number with its option; what has no title stays as it is."""
    assert Names(TITLES).of(name) == shown


def test_no_two_names_look_alike() -> None:
    """Words that two options share are spelled out, and so are names of one title."""
    both = names_of(["mnf[prior=wide]", "mnf[start=wide]", "map"], TITLES)
    assert both.of("mnf[prior=wide]") == "MNF (prior=wide)"
    assert both.of("mnf[start=wide]") == "MNF (start=wide)"
    same = names_of(["map", "ours"], TITLES | {"ours": "MAP"})
    assert [same.of("map"), same.of("ours")] == ["map", "ours"]
    given = names_of(["map", "ours"], TITLES | {"ours": "MAP"}, ["map", "ours"])
    assert given.of("ours") == "MAP"


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("ECE\nfloor", "ECE floor"),
        ("Adaptive\nECE", "adaptive ECE"),
        ("Mean entropy\nof errors", "mean entropy of errors"),
        ("FPR95", "FPR95"),
    ],
)
def test_abbreviations_keep_their_capitals(heading: str, words: str) -> None:
    """Within a sentence a heading has small letters, but for abbreviations, wherever they stand."""
    assert in_words(heading) == words


def test_labels_are_read_behind_the_options() -> None:
    """An equals sign within brackets is of an option."""
    told = read_labels(["mnf=Ours", "mnf[flows=4]=Ours, deep"])
    assert told == {"mnf": "Ours", "mnf[flows=4]": "Ours, deep"}
    for text in ("mnf", "mnf=", "mnf=two\nlines", f"mnf={'a' * 41}"):
        with pytest.raises(UsageError):
            read_labels([text])


def test_titles_are_read_without_an_import() -> None:
    """Shipped plugins have a title; an option of that name is none."""
    found = shipped_titles(
        {"method": ["map", "mean-field[prior=log-uniform]"], "dataset": ["mnist"]}
    )
    assert found == {"map": "MAP", "mean-field": "Mean field", "mnist": "MNIST"}
    kept = [ast.parse(text).body[0] for text in ("title: ClassVar[str] = 'A'", "title = 'B'")]
    assert [text_set(one, "title") for one in kept] == ["A", "B"]
    assert text_set(ast.parse("title: str = 'C'").body[0], "title") is None
