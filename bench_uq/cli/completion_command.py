"""bench-uq completion: click's scripts, and what they lack for names with commas, brackets and equals signs."""

from __future__ import annotations

import os

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

PROGRAM, VARIABLE = "bench-uq", "_BENCH_UQ_COMPLETE"

#: The line that loads the script at every start of the shell, and the file it belongs in.
START = {
    "bash": ('eval "$(bench-uq completion bash)"', "~/.bashrc"),
    "zsh": ('eval "$(bench-uq completion zsh)"', "~/.zshrc, below compinit"),
    "fish": ("bench-uq completion fish | source", "~/.config/fish/config.fish"),
}

# Around click's function: a name with brackets is no pattern of files, and what is not yet whole gets no space.
BASH = r"""
%(complete_func)s_open() {
    local - unfinished='\[[^] ]*$'
    set -f
    %(complete_func)s "$@" 2> /dev/null
    if [[ ${COMPREPLY[0]-} == *[=.] || ${COMP_LINE:0:COMP_POINT} =~ $unfinished ]]; then
        compopt -o nospace 2> /dev/null
    fi
    return 0
}
complete -o nosort -F %(complete_func)s_open %(prog_name)s
"""

FISH = r"""
function %(complete_func)s
    for reply in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -ct) \
            %(prog_name)s 2> /dev/null)
        set -l parts (string split --max 1 -- , $reply)
        switch $parts[1]
            case file dir
                __fish_complete_path (commandline -ct)
            case plain
                echo $parts[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


@add_completion_class
class Bash(BashComplete):
    """Bash splits words at ``=`` and ``:`` and replaces the last piece alone."""

    before = ""  # of the word to complete, what bash leaves standing

    def source(self) -> str:
        """Return click's script and the function around its own."""
        return super().source() + BASH % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor and the one at it, whole again."""
        cursor = int(os.environ["COMP_CWORD"])
        pieces = os.environ["COMP_WORDS"].split("\n")[1 : cursor + 1]
        pieces += [""] * (cursor - len(pieces))
        words = joined(pieces)
        kept = words[-1] if breaks(pieces[-1]) else words[-1][: len(words[-1]) - len(pieces[-1])]
        self.before = unquoted(kept.partition("=")[2] if kept.startswith("-") else kept)
        *arguments, incomplete = map(unquoted, words)
        return arguments, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return a completion without what stands before the last piece."""
        return f"{item.type},{item.value.removeprefix(self.before)}"


@add_completion_class
class Fish(FishComplete):
    """Click's script for fish cuts an answer at its first comma, or in 8.4.0 nowhere: this one splits off the type."""

    source_template = FISH

    def format_completion(self, item: CompletionItem) -> str:
        """Return a completion in one line."""
        return f"{item.type},{item.value}"


def joined(pieces: list[str]) -> list[str]:
    """Join the pieces of words that bash has split; an empty piece begins a word of its own."""
    words: list[str] = []
    for index, piece in enumerate(pieces):
        if index and (breaks(piece) or (piece and breaks(pieces[index - 1]))):
            words[-1] += piece
        else:
            words.append(piece)
    return words


def breaks(piece: str) -> bool:
    """Return whether a piece is what bash splits at."""
    return bool(piece) and not piece.strip("=:")


def unquoted(word: str) -> str:
    """Return a word without its quotes, closed or not."""
    return "".join(split_arg_string(word)[:1])


@click.command()
@click.argument("shell", type=click.Choice(list(START)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes names, options and suites.

    \b
    bash  in ~/.bashrc:                   eval "$(bench-uq completion bash)"
    zsh   in ~/.zshrc, below compinit:    eval "$(bench-uq completion zsh)"
    fish  in ~/.config/fish/config.fish:  bench-uq completion fish | source
    """
    cls = get_completion_class(shell)
    assert cls is not None
    line, file = START[shell]
    click.echo(cls(context.find_root().command, {}, PROGRAM, VARIABLE).source())
    click.echo(f"# To have it at every start, put this line in {file}:  {line}")
