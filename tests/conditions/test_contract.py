"""Every attack and shift in the folder keeps the contract, none of them named here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench_uq.plan.plugins import Plugins
from bench_uq.testing import checks_in, checks_of, run
from bench_uq.testing.targets import targets


@pytest.mark.parametrize("check", [check.name for check, _ in checks_in("condition")])
@pytest.mark.parametrize("name", Plugins().names("condition"))
def test_checks(name: str, check: str) -> None:
    """Each condition keeps each promise."""
    # Fewer steps keep the same promises in less time.
    few = "[steps=5]" if hasattr(Plugins().spec("condition", name).value, "steps") else ""
    (target,) = targets([f"{name}{few}"], "condition", (), Path())
    verdict = next(
        run(one, subjects, target) for one, subjects in checks_of(target) if one.name == check
    )
    assert (verdict.status, verdict.reason) == ("ok", "")
