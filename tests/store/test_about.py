"""Facts of methods and conditions, stored with results."""

from __future__ import annotations

import json
import runpy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.plan.plugins import Plugins
from bench_uq.store import derived
from bench_uq.store.about import ABOUT, About, ConditionFacts, facts_of


def stored(*names: str) -> About:
    """Facts of conditions of bench-uq, and of a method."""
    specs = [Plugins().spec("condition", name) for name in names]
    return About({"map": 0}, {spec.name: facts_of(spec.value) for spec in specs})


def test_written_and_read_back(tmp_path: Path) -> None:
    """A plan gives the facts back that it was given, beside those of plans before."""
    about = stored("fgsm", "pgd[norm=l2]", "rotate", "corruption[kind=snow]")
    store.merge_plan(tmp_path, [], about=About({"mnf": 4}, {"fgsm": ConditionFacts()}))
    store.merge_plan(tmp_path, [], about=about)
    found = store.read_plan(tmp_path).about
    assert found == About({"mnf": 4, "map": 0}, about.conditions)
    store.write_json(tmp_path / ABOUT, asdict(found))
    assert derived.about(tmp_path / ABOUT) == found
    assert derived.about(tmp_path / "nothing.json") == About()


def test_names_of_levels() -> None:
    """A condition has its own facts, a family of kinds those of a kind, an unknown name none."""
    about = stored("rotate", "corruption[kind=snow]")
    assert about.of("rotate").unit == "degrees"
    assert about.of("corruption (mean of 2 kinds)").level_name == "severity"
    assert about.of("theirs") == ConditionFacts(level_name="level")


def test_only_those_of_the_results() -> None:
    """Facts of what is no longer planned are left out."""
    about = stored("fgsm", "rotate").only({"map"}, {"clean", "rotate"})
    assert (set(about.methods), set(about.conditions)) == ({"map"}, {"rotate"})


GOOD = asdict(stored("fgsm"))


def changed(part: str, name: str, value: Any) -> dict[str, Any]:
    """Facts with a value changed in one place."""
    conditions = {"fgsm": dict(GOOD["conditions"]["fgsm"])}
    target = {"methods": dict(GOOD["methods"]), "fgsm": conditions["fgsm"]}
    target["search"] = conditions["fgsm"]["search"] = dict(conditions["fgsm"]["search"])
    target[part][name] = value
    return {"methods": target["methods"], "conditions": conditions}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"methods": [], "conditions": {}},
        {"methods": {}, "conditions": {"fgsm": 1}},
        changed("methods", "map", 1.5),
        changed("methods", "map", True),
        changed("fgsm", "unit", 3),
        changed("fgsm", "unit", "a\nb"),
        changed("fgsm", "level_name", "x" * 300),
        changed("fgsm", "search", {"draws": "1"}),
        changed("search", "draws", "10"),
    ],
)
def test_facts_of_others(value: Any, tmp_path: Path) -> None:
    """A file with malformed facts is told as damaged."""
    (tmp_path / ABOUT).write_text(json.dumps(value))
    with pytest.raises(UsageError, match=r"about\.json is damaged or foreign"):
        derived.about(tmp_path / ABOUT)


def test_synthetic_results_have_the_facts_of_plugins() -> None:
    """Results that tests make up say of conditions what runs would store."""
    synthetic = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "synthetic.py"))
    for name in ("fgsm", "pgd[norm=l2,draws=1]", "transfer", "rotate", "corruption"):
        facts = facts_of(Plugins().spec("condition", name).value)
        if facts.search:
            facts = replace(facts, search=replace(facts.search, settings=""))
        assert synthetic["_with_options"](name) == facts
