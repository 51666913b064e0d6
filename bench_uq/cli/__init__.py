"""The command line: parse, call one function, print.

Heavy imports happen inside the commands that need them, so that --help is quick.
"""

from __future__ import annotations

import os
import select
import sys
import traceback
from typing import Any

import click

from bench_uq._version import __version__
from bench_uq.api.errors import BenchUQError, UsageError, one_line
from bench_uq.cli.baseline import baseline
from bench_uq.cli.check import check
from bench_uq.cli.compare import compare
from bench_uq.cli.completion import completion
from bench_uq.cli.doctor import doctor
from bench_uq.cli.evaluate import evaluate
from bench_uq.cli.export import export
from bench_uq.cli.list import list_
from bench_uq.cli.merge import merge
from bench_uq.cli.options import FAILED, INTERRUPTED, USAGE
from bench_uq.cli.prepare import prepare
from bench_uq.cli.report import report
from bench_uq.cli.run import run
from bench_uq.cli.score import score
from bench_uq.cli.score_predictions import score_predictions
from bench_uq.cli.test_plugin import test_plugin
from bench_uq.cli.tune import tune


class Group(click.Group):
    """A group that prints errors of the user in one line; ``--debug`` shows the traceback."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command; turn errors into one line and an exit code."""
        # Errors of click come last in this list but for those of Python: each has an exit code.
        try:
            return super().invoke(context)

        except UsageError as error:
            if context.params.get("debug"):
                traceback.print_exc()
            # One line, because names of files in a message may hold line breaks.
            click.echo(f"Error: {' '.join(str(error).split())}", err=True)
            sys.exit(USAGE)
        except BenchUQError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(FAILED)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except click.UsageError as error:
            click.echo(f"Error: {' '.join(error.format_message().split())}", err=True)
            sys.exit(USAGE)
        # Click ends the process itself, with exit codes of its own.
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as error:
            # It does so without a word where the reader of the output has gone, as ``head`` does.
            if isinstance(error, BrokenPipeError) and _unread():
                raise
            if context.params.get("debug"):
                traceback.print_exc()
            click.echo(f"Error: {one_line(error)} (bench-uq --debug shows where)", err=True)
            sys.exit(FAILED)


def _unread() -> bool:
    """Whether the output is a pipe that nobody reads any more, as far as the system tells."""
    try:
        waiting = select.poll()
        # No event is asked for: a broken pipe is told in any case.
        waiting.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):
        return False
    return bool(waiting.poll(0))


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bench-uq")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Which uncertainty method can I trust, on which data, under which stress, at what cost?"""
    # Read by Group.invoke, which sees the errors.
    del debug
    # Notebooks ask matplotlib for a backend that this environment may lack; only files are drawn.
    os.environ["MPLBACKEND"] = "agg"


for command in (
    run,
    tune,
    score,
    score_predictions,
    evaluate,
    merge,
    report,
    export,
    check,
    compare,
    baseline,
    prepare,
    test_plugin,
    doctor,
    list_,
    completion,
):
    main.add_command(command)
