"""What the shell offers at the cursor, asked of click and of a real bash at a terminal."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class
from click.testing import CliRunner

from bench_uq.cli import main
from bench_uq.plan.plugins import Plugins

PLUGINS = Path(__file__).parents[1] / "plugins"
CHATTER = "from bench_uq.api import Method\nprint('chatter')\n"


def offered(line: str, shell: str = "bash") -> list[str]:
    """Return what is offered at the end of a command line."""
    cls = get_completion_class(shell)
    assert cls is not None
    *arguments, incomplete = line.split(" ")
    completions = cls(main, {}, "bench-uq", "_BENCH_UQ_COMPLETE").get_completions(
        arguments, incomplete
    )
    return [item.value if item.type == "plain" else f"<{item.type}>" for item in completions]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run --methods drop", ["dropout"]),
        ("run --methods mnf,drop", ["mnf,dropout"]),
        ("run --methods mnf,mn", []),  # there already
        ("run --methods mnf --methods mn", []),
        ("run --methods mnf[flows=2],drop", ["mnf[flows=2],dropout"]),
        ("run --methods=mnf,drop", ["mnf,dropout"]),
        ("run --methods mnf[fl", ["mnf[flows="]),
        ("run --methods map,mnf[flows=4,hid", ["map,mnf[flows=4,hidden="]),
        ("run --methods mnf[flows=4,fl", []),
        ("run --methods mnf[flows=", []),
        ("run --methods dropout[where=", ["dropout[where=dense", "dropout[where=last"]),
        ("run --methods dropout[where=la", ["dropout[where=last"]),
        ("run --methods nothing[fl", []),
        ("run --methods mnf]", []),
        ("run --datasets digits,lett", ["digits,letters"]),
        ("run --seeds ", []),
        ("run --set epo", ["epochs="]),
        ("run --set epochs=1 --set epo", []),
        ("run --set evaluate_on=", ["evaluate_on=test", "evaluate_on=validation"]),
        ("run --set drop", ["dropout."]),
        ("run --set mnf.fl", ["mnf.flows="]),
        ("run --set dropout.where=la", ["dropout.where=last"]),
        ("run --set fgsm.lab", ["fgsm.label="]),
        ("run --set nothing.fl", []),
        ("run --suite qui", ["quick"]),
        ("report --suite qui", ["quick"]),
        ("run --suite ../nothing", ["<file>"]),
        ("run --plugin ", ["<file>"]),
        ("list meth", ["methods"]),
        ("list methods mnf drop", ["dropout"]),
        ("list suites qui", ["quick"]),
        ("prepare digits lett", ["letters"]),
        ("test-plugin mean", ["mean-field"]),
        ("test-plugin ./mine", ["<file>"]),
        ("completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_offers(line: str, expected: list[str]) -> None:
    """Names, options, values, settings and suites go on from what is written; what is there already is not offered."""
    assert offered(line) == expected


def test_all_plugins_are_offered() -> None:
    """At an empty list every method is offered, and behind a comma all but the one that stands there."""
    names = Plugins().names("method")
    assert offered("run --methods ") == names
    assert offered("run --methods map,") == [f"map,{name}" for name in names if name != "map"]


def test_files_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Suites in the folder, plugins of --plugin and their options are offered."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("")
    assert offered("run --suite mi") == ["mine.toml"]
    assert offered(f"run --suite {tmp_path}/mi") == [f"{tmp_path}/mine.toml"]
    assert offered(f"run --plugin {PLUGINS}/swag.py --methods map,sw") == ["map,swag"]
    assert offered(f"run --plugin {PLUGINS}/swag.py --methods swag[st") == ["swag[start="]


@pytest.mark.parametrize("content", [f"{CHATTER}1/0", f"{CHATTER}raise SystemExit(3)", "x ="])
def test_errors_are_silent(content: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A plugin that prints, raises or exits at import offers nothing and says nothing."""
    (tmp_path / "mine.py").write_text(content)
    assert offered(f"run --plugin {tmp_path}/mine.py --methods m") == []
    assert offered("run --plugin nope.py --methods m") == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "line", ["run --methods m", "run --datasets d", "run --set m", "run --suite q", "prepare m"]
)
def test_plain_names_are_quick(line: str) -> None:
    """Plain names are offered without importing torch, or any plugin."""
    program = f"""
import sys
from bench_uq.cli import main
from click.shell_completion import BashComplete
*arguments, incomplete = {line.split()!r}
assert BashComplete(main, {{}}, "bench-uq", "X").get_completions(arguments, incomplete)
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not {"torch", "pandas", "bench_uq.methods.mnf", "bench_uq.datasets.digits"} & loaded


def test_script_of_each_shell() -> None:
    """The script of a shell is click's own for bench-uq, and says how to keep it; another is an error."""
    for shell in ("bash", "zsh", "fish"):
        done = CliRunner().invoke(main, ["completion", shell])
        assert done.exit_code == 0
        assert f"_BENCH_UQ_COMPLETE={shell}_complete" in done.output
        assert f"bench-uq completion {shell}" in done.output.splitlines()[-1]
    refused = CliRunner().invoke(main, ["completion", "csh"])
    assert (refused.exit_code, len(refused.output.splitlines())) == (2, 1)


def test_commas_survive_fish(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer to fish is a line of type and value, which its script splits at the first comma alone."""
    monkeypatch.setenv("COMP_WORDS", "bench-uq run --methods mnf,drop")
    monkeypatch.setenv("COMP_CWORD", "mnf,drop")
    asked = CliRunner().invoke(
        main, prog_name="bench-uq", env={"_BENCH_UQ_COMPLETE": "fish_complete"}
    )
    assert asked.output.splitlines() == ["plain,mnf,dropout"]
    script = CliRunner().invoke(main, ["completion", "fish"]).output
    assert "string split --max 1 -- , $reply" in script


@pytest.fixture(scope="module")
def shell_environment() -> Mapping[str, str]:
    """Return an environment in which bash finds the bench-uq that is tested."""
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    folder = Path(sys.executable).parent
    assert (folder / "bench-uq").is_file()
    return {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "TERM": "dumb",
        "INPUTRC": os.devnull,
    }


@pytest.mark.parametrize(
    ("words", "replies"),
    [
        (("run", "--methods", "mnf,drop"), ["mnf,dropout"]),
        (("run", "--methods", "mnf[fl"), ["mnf[flows="]),
        (("run", "--methods", "mnf[flows", "=", "4,hid"), ["4,hidden="]),  # as bash splits at =
        (
            ("run", "--methods", "mnf[flows=4,hid"),
            ["mnf[flows=4,hidden="],
        ),  # as it does without = in COMP_WORDBREAKS
        (("run", "--methods", "mnf[flows=4],drop"), ["mnf[flows=4],dropout"]),
        (("run", "--methods", "=", "mnf,drop"), ["mnf,dropout"]),
        (("run", "--methods", "dropout[where", "="), ["dense", "last"]),
        (("run", "--set", "epochs", "=", "1", "--set", "dr"), ["draws=", "dropout."]),
        (("run", "--set", "evaluate_on", "=", "te"), ["test"]),
        (("run", "--methods", "zzz"), []),
        (("list", ""), ["methods", "datasets", "metrics", "conditions", "networks", "suites"]),
    ],
)
def test_function_of_bash(
    words: tuple[str, ...], replies: list[str], shell_environment: Mapping[str, str], tmp_path: Path
) -> None:
    """The function that the script defines replies with what replaces the last piece of a word, files or not."""
    (tmp_path / "mnff,dropout").touch()  # what a shell takes for a match of mnf[flows=4],dropout
    script = """
eval "$(bench-uq completion bash)"
function=$(complete -p bench-uq | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
COMP_WORDS=(bench-uq "$@"); COMP_CWORD=$#
$function bench-uq
(( ${#COMPREPLY[@]} )) && printf '%s\\n' "${COMPREPLY[@]}"
exit 0
"""
    command = ["bash", "--norc", "-c", script, "bash", *words]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=shell_environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == replies
    assert done.stderr == ""


TYPED = {
    "run --methods mnf,drop": ["--methods", "mnf,dropout", "X"],
    "run --methods mnf[fl": ["--methods", "mnf[flows=X"],
    "run --methods mnf[flows=4,hid": ["--methods", "mnf[flows=4,hidden=X"],
    "run --methods=mnf[flows=4,hid": ["--methods=mnf[flows=4,hidden=X"],
    "run --methods 'mnf[flows=4],drop": ["--methods", "mnf[flows=4],dropout", "X"],
    "run --methods dropout[where=la": ["--methods", "dropout[where=lastX"],
    "run --set evaluate_on=te": ["--set", "evaluate_on=test", "X"],
    "run --set dropout.wh": ["--set", "dropout.where=X"],
    "run --suite qui": ["--suite", "quick", "X"],
    "run --plugin mi": ["--plugin", "mine.py", "X"],
}


#: Ends a prompt: never typed as one word, so that it is no echo, and above the line that readline draws again.
READY = b"READY"


def test_at_the_terminal(shell_environment: Mapping[str, str], tmp_path: Path) -> None:
    """With Tab in an interactive bash the word grows in place; a space follows what is whole and nothing else."""
    (tmp_path / "mine.py").touch()
    shown = r"printf '\002%s' "  # put before the line that Tab has completed: its words, each behind a byte never typed
    lines = [f"bench-uq {line}\tX\x01{shown}\n" for line in TYPED]
    text = terminal(
        [r"set +o history; PS1='\nREA''DY\n'" "\n", 'eval "$(bench-uq completion bash)"\n', *lines],
        shell_environment,
        tmp_path,
    )
    words = [line.split("\002")[1:] for line in text.splitlines() if "\002" in line]
    assert [line[2:] for line in words] == list(TYPED.values())


def terminal(lines: list[str], environment: Mapping[str, str], folder: Path) -> str:
    """Return all that an interactive bash shows while the lines are typed, each after the prompt that READY ends."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-i"],
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as shell:
        os.close(theirs)
        text = b""
        try:
            for prompts, line in enumerate(lines, 1):
                os.write(ours, line.encode())
                while text.count(READY) < prompts:
                    assert select.select([ours], [], [], 60)[0], (
                        f"no prompt after {line!r}: {text.decode()}"
                    )
                    text += os.read(ours, 65536)
        finally:
            shell.kill()
            os.close(ours)
    return text.decode()
