"""Count the lines, statements and tokens of the product or the tests in a revision of git."""

from __future__ import annotations

import ast
import io
import subprocess
import tokenize
from collections import Counter

import click

PRODUCT = ("bench_uq", "methods", "datasets", "conditions", "metrics")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
COLUMNS = ("files", "lines", "blank", "comment", "docstring", "code", "statements", "tokens")

#: Tokens that stand for no text: ends of lines, indentation, comments.
SILENT = {
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.COMMENT,
    tokenize.ENDMARKER,
}


def git(*arguments: str) -> str:
    """Output of a command of git."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


def docstring_lines(tree: ast.AST) -> set[int]:
    """Numbers of the lines of all docstrings."""
    numbers = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            first = node.body[0]
            numbers.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return numbers


def counted(text: str) -> Counter[str]:
    """Counts of one module; a line is blank, a comment, of a docstring or code."""
    tree = ast.parse(text)
    documented = docstring_lines(tree)
    counts = Counter(files=1)

    for number, line in enumerate(text.splitlines(), 1):
        counts["lines"] += 1
        if number in documented:
            counts["docstring"] += 1
        elif not line.strip():
            counts["blank"] += 1
        elif line.strip().startswith("#"):
            counts["comment"] += 1
        else:
            counts["code"] += 1

    counts["statements"] = sum(isinstance(node, ast.stmt) for node in ast.walk(tree))
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    counts["tokens"] = sum(token.type not in SILENT for token in tokens)
    return counts


@click.command()
@click.argument("revisions", nargs=-1, required=True)
@click.option("--tests", is_flag=True, help="Count tests/ instead of the product.")
def main(revisions: tuple[str, ...], tests: bool) -> None:
    """Print a row of counts for each revision of git."""
    folders = ("tests",) if tests else PRODUCT
    click.echo("| revision | " + " | ".join(COLUMNS) + " |")
    click.echo("|---" * (len(COLUMNS) + 1) + "|")

    for revision in revisions:
        total = Counter[str]()
        for path in git("ls-tree", "-r", "--name-only", revision, *folders).splitlines():
            if path.endswith(".py"):
                total += counted(git("show", f"{revision}:{path}"))
        row = [f"{total[name]:,}" for name in COLUMNS]
        click.echo(f"| {revision} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
