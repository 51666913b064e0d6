"""Completion of names at the cursor, and the script that a shell needs for it; both are click's."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completer(find: Callable[[click.Context], Sequence[str]], *, files: bool = False) -> Completer:
    """Complete the last name of a comma list; with ``files`` a path if no name fits."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        # Click completes a whole word, and a comma list is one word.
        before, comma, last = incomplete.rpartition(",")
        with quiet():
            names = [name for name in find(context) if name.startswith(last)]

        if files and not names:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(f"{before}{comma}{name}") for name in names]

    return complete


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide output and errors of plugins: the shell would take them for names."""
    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        yield


def plugin_names(*kinds: str, files: bool = False) -> Completer:
    """Complete names of plugins, those of ``--plugin`` before the cursor among them."""

    def find(context: click.Context) -> list[str]:
        from bench_uq.plan.plugins import Plugins

        plugins = Plugins(tuple(map(Path, context.params.get("plugins") or ())))
        found = list[str]()
        try:
            for kind in kinds:
                found += plugins.names(kind)
        except Exception:
            # A broken plugin offers no names, and an error would disturb the shell.
            return []
        return found

    return completer(find, files=files)


def find_suites(context: click.Context) -> list[str]:
    """Names of shipped suites."""
    from bench_uq.plan.suite import shipped

    del context
    return list(shipped())


suites = completer(find_suites, files=True)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes names in bash, zsh or fish.

    In bash, put this line into ~/.bashrc: eval "$(bench-uq completion bash)"
    """
    cls = get_completion_class(shell)
    assert cls is not None
    click.echo(cls(context.find_root().command, {}, "bench-uq", "_BENCH_UQ_COMPLETE").source())
