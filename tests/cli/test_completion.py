"""Names that the shell offers at the cursor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from bench_uq.cli import main
from bench_uq.plan.plugins import Plugins

PLUGINS = Path(__file__).parents[1] / "plugins"


def offered(line: str) -> list[str]:
    """Completions at the end of a command line."""
    cls = get_completion_class("bash")
    assert cls is not None
    *arguments, incomplete = line.split(" ")
    shell = cls(main, {}, "bench-uq", "_BENCH_UQ_COMPLETE")
    found = shell.get_completions(arguments, incomplete)
    return [item.value if item.type == "plain" else f"<{item.type}>" for item in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run --methods drop", ["dropout"]),
        ("run --methods mnf,drop", ["mnf,dropout"]),
        ("run --methods mnf[flows=2],drop", ["mnf[flows=2],dropout"]),
        ("run --datasets digits,lett", ["digits,letters"]),
        ("run --seeds ", []),
        ("run --suite qui", ["quick", "quick-tuned"]),
        ("report --suite qui", ["quick", "quick-tuned"]),
        ("run --suite ../nothing", ["<file>"]),
        ("run --plugin ", ["<file>"]),
        (f"run --plugin {PLUGINS}/my_swag.py --methods map,my", ["map,my-swag"]),
        ("list meth", ["methods"]),
        ("prepare digits lett", ["letters"]),
        ("test-plugin mean", ["mean-field"]),
        ("test-plugin ./mine", ["<file>"]),
        ("completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_offers(line: str, expected: list[str]) -> None:
    """Names, suites and files that continue the written text are offered."""
    assert offered(line) == expected


def test_all_plugins_are_offered() -> None:
    """At an empty list every method is offered."""
    assert offered("run --methods ") == Plugins().names("method")


@pytest.mark.parametrize("content", ["print('chatter')\n1/0", "raise SystemExit(3)", "x ="])
def test_errors_are_silent(content: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A plugin that prints, raises or exits at import offers nothing and prints nothing."""
    (tmp_path / "mine.py").write_text(content)
    assert offered(f"run --plugin {tmp_path}/mine.py --methods m") == []
    assert offered("run --plugin nope.py --methods m") == []
    assert capfd.readouterr() == ("", "")


def test_plain_names_are_quick() -> None:
    """Names are offered without importing torch, or any plugin."""
    program = """
import sys
from bench_uq.cli import main
from click.shell_completion import BashComplete
for line in ("run --methods m", "run --suite q", "prepare d"):
    *arguments, incomplete = line.split()
    assert BashComplete(main, {}, "bench-uq", "X").get_completions(arguments, incomplete)
print(*sys.modules)
"""

    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"torch", "pandas", "bench_uq.methods.mnf", "bench_uq.datasets.digits"} & loaded


def test_the_script_works_in_bash() -> None:
    """Bash accepts the printed script, and its function completes a comma list."""
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    script = """
eval "$(bench-uq completion bash)"
function=$(complete -p bench-uq | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
COMP_WORDS=(bench-uq run --methods mnf,drop); COMP_CWORD=3
$function bench-uq
printf '%s\n' "${COMPREPLY[@]}"
"""

    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "--norc", "-c", script]
    done = subprocess.run(
        command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == ["mnf,dropout"]
