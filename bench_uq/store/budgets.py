"""Folders of a suite's results at other budgets: quick-x0.5 holds those at half of the epochs."""

from __future__ import annotations

import math
from pathlib import Path


def at_budget_name(name: str, budget: float) -> str:
    """Name of a suite's folder at a budget, a share of the suite's epochs."""
    if budget == 1:
        return name
    return f"{name}-x{budget:g}"


def other_budgets(suite: Path) -> dict[float, Path]:
    """The folders at other budgets beside the folder of a suite, by budget in rising order."""
    found = {}
    for path in suite.parent.glob("*-x*"):
        name, _, text = path.name.rpartition("-x")
        try:
            budget = float(text)
        except ValueError:
            continue
        if name == suite.name and 0 < budget < math.inf and budget != 1 and path.is_dir():
            found[budget] = path
    return dict(sorted(found.items()))
