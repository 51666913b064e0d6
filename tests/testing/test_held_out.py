"""What a method says of held-out examples, and what it does with them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_uq.testing import checks_of, run
from bench_uq.testing.checks import Verdict
from bench_uq.testing.targets import targets

Sound = Callable[..., str]

DECLARED = """
fits_held_out = True
"""
#: Ways to use the held-out examples when finishing.
USES = {
    "nothing": "",
    "inputs": """
        def finish(self, net, train, held_out):
            shown = torch.cat([inputs for inputs, _ in held_out])
            with torch.no_grad():
                list(net.parameters())[-1].add_(1e-3 * shown.mean())
        """,
    "targets": """
        def finish(self, net, train, held_out):
            with torch.no_grad():
                for inputs, targets in held_out:
                    nll = -net.task.likelihood.log_prob(net(inputs), targets).mean()
                    list(net.parameters())[-1].add_(1e-3 * nll)
        """,
    # Of the training examples that is no business of this check.
    "training targets": """
        def finish(self, net, train, held_out):
            targets = torch.cat([targets for _, targets in train])
            with torch.no_grad():
                list(net.parameters())[-1].add_(targets.double().mean())
        """,
    "chance": """
        def finish(self, net, train, held_out):
            with torch.no_grad():
                list(net.parameters())[-1].add_(np.random.standard_normal())
        """,
}


def verdict(name: str) -> Verdict:
    """The verdict of the check on a plugin, by its name or file."""
    (target,) = targets([name], "method", (), Path("data"))
    ((check, subjects),) = [pair for pair in checks_of(target) if pair[0].name == "held-out"]
    return run(check, subjects, target)


@pytest.mark.parametrize(
    ("use", "declared", "status", "words"),
    [
        ("nothing", False, "ok", ""),
        ("nothing", True, "note", "half of these are kept from calibrating its sets"),
        ("inputs", False, "ok", ""),
        ("inputs", True, "note", "other held-out targets change nothing"),
        ("targets", False, "FAIL", "set fits_held_out, else its sets"),
        ("targets", True, "ok", ""),
        ("training targets", False, "ok", ""),
        ("chance", False, "skipped", "twice gives two networks"),
    ],
)
def test_declared_and_done(
    use: str, declared: bool, status: str, words: str, tmp_path: Path, sound: Sound
) -> None:
    """Targets that are fitted to and not declared fail, declared and not fitted to get a note;
    inputs alone may be looked at.
    """
    body = textwrap.dedent(USES[use]) + (DECLARED if declared else "")
    file = tmp_path / "mine.py"
    file.write_text(
        f"import numpy as np\nimport torch\n{sound('method')}\n{textwrap.indent(body, '    ')}"
    )
    found = verdict(str(file))
    assert found.status == status, found.reason
    assert words in found.reason


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("temperature", "ok"),
        # It fits nothing itself: what its base fits is the base's affair.
        ("temperature[base=laplace[prior_std=held-out]]", "ok"),
        ("swag", "ok"),
        ("laplace[prior_std=held-out]", "ok"),
        ("laplace", "ok"),
        # It looks at held-out inputs, where it compares its chains.
        ("hmc[chains=2,steps=2]", "ok"),
    ],
)
def test_methods_of_the_suite(name: str, status: str) -> None:
    """They declare what they do."""
    found = verdict(name)
    assert found.status == status, found.reason
