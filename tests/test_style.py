"""The code of the product is as plain as its aims ask, and the repository as small."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

REPO = Path(__file__).resolve().parents[1]
FOLDERS = ("bench_uq", "methods", "datasets", "conditions", "metrics")


class Aim(NamedTuple):
    """At most so many of a kind, altogether or per so many of another kind."""

    at_most: float
    kind: str
    per: int = 0
    of: str = ""


AIMS = {
    "nested comprehensions": Aim(0, "nested comprehension"),
    "lines over 100 characters": Aim(0, "long line"),
    "comprehensions per 1,000 lines": Aim(25, "comprehension", 1000, "line"),
    "conditional expressions per 1,000 lines": Aim(12, "conditional expression", 1000, "line"),
    "functions of 15 lines or more without a blank line, %": Aim(
        5, "packed function", 100, "long function"
    ),
    "docstrings of functions that begin Return, Yield or Tell, %": Aim(
        15, "Return-docstring", 100, "docstring"
    ),
    "what-clauses per 1,000 words of docstrings": Aim(1, "what-clause", 1000, "docstring word"),
}

#: Whole-line comments, in % of the lines that are not blank, at least.
COMMENTS = 5.0

#: At most so many bytes of tracked files, words of the README and packages directly in bench_uq/.
TRACKED_BYTES = 20_000_000
README_WORDS = 700
PACKAGES = 12

#: The modules directly in bench_uq/.
MODULES = {"__init__.py", "__main__.py", "_version.py"}

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DOCUMENTED = (ast.Module, ast.ClassDef, *FUNCTIONS)
WHAT = re.compile(r"\bwhat (?:is|are|was|were|it|a|the|they|there|stands|has|one)\b", re.IGNORECASE)

#: Written apart, as this file is searched too.
TO_DO = re.compile(r"\bTO" + r"DO\b")


def line_kinds(text: str) -> Iterator[tuple[str, int]]:
    """Kinds of each line, with its number."""
    for number, line in enumerate(text.splitlines(), 1):
        yield "line", number
        if line.strip():
            yield "written line", number
        if line.strip().startswith("#"):
            yield "comment", number
        if len(line) > 100:
            yield "long line", number


def node_kinds(node: ast.AST) -> Iterator[str]:
    """Kinds of an expression."""
    if isinstance(node, ast.IfExp):
        yield "conditional expression"
    if isinstance(node, COMPREHENSIONS):
        yield "comprehension"
        inside = (isinstance(other, COMPREHENSIONS) for other in ast.walk(node))
        if sum(inside) > 1 or len(node.generators) > 1:
            yield "nested comprehension"


def docstring_kinds(node: ast.AST) -> Iterator[str]:
    """Kinds of a docstring and of each of its words."""
    if not isinstance(node, DOCUMENTED) or not (text := ast.get_docstring(node)):
        return

    yield from ["docstring word"] * len(text.split())
    yield from ["what-clause"] * len(WHAT.findall(text))
    if isinstance(node, FUNCTIONS):
        yield "docstring"
        if re.match(r"(Return|Yield|Tell)s?\b", text):
            yield "Return-docstring"


def function_kinds(node: ast.AST, lines: list[str]) -> Iterator[str]:
    """Kinds of a function of 15 lines or more, without regard to its docstring."""
    if not isinstance(node, FUNCTIONS):
        return
    assert node.end_lineno is not None
    if node.end_lineno - node.lineno + 1 < 15:
        return

    yield "long function"
    documented = ast.get_docstring(node) and len(node.body) > 1
    first = node.body[1 if documented else 0].lineno
    if all(line.strip() for line in lines[first - 1 : node.end_lineno]):
        yield "packed function"


@cache
def found() -> dict[str, list[str]]:
    """Find all that is counted in the product's code: the places of each kind."""
    places = defaultdict[str, list[str]](list)
    for folder in FOLDERS:
        for path in sorted((REPO / folder).rglob("*.py")):
            text, name = path.read_text(), path.relative_to(REPO)
            for kind, number in line_kinds(text):
                places[kind].append(f"{name}:{number}")

            for node in ast.walk(ast.parse(text)):
                place = f"{name}:{getattr(node, 'lineno', 1)}"
                kinds = [*node_kinds(node), *docstring_kinds(node)]
                kinds += function_kinds(node, text.splitlines())
                for kind in kinds:
                    places[kind].append(place)
    return places


def share(kind: str, per: int, of: str) -> float:
    """How many of a kind there are per so many of another."""
    return per * len(found()[kind]) / max(1, len(found()[of]))


@pytest.mark.parametrize("measure", AIMS)
def test_code_keeps_to_its_aims(measure: str) -> None:
    """Each measure of the product's code is within its aim; a failure names the worst files."""
    aim = AIMS[measure]
    places = found()[aim.kind]
    value = share(aim.kind, aim.per, aim.of) if aim.of else len(places)
    text = f"{measure}: {value:.1f}, aim at most {aim.at_most}"
    print(text)

    files = Counter(place.partition(":")[0] for place in places)
    most = "\n".join(f"  {count:4} in {file}" for file, count in files.most_common(20))
    assert value <= aim.at_most, f"{text}\n{most}"


def test_enough_lines_are_comments() -> None:
    """Comments say why; without any, readers guess."""
    value = share("comment", 100, "written line")
    print(f"whole-line comments: {value:.1f} %, aim at least {COMMENTS} %")
    assert value >= COMMENTS


def test_tests_and_studies_are_plain() -> None:
    """They hold no nested comprehension, and hardly a longer function without a pause."""
    counts, nested = Counter[str](), []
    for folder in ("tests", "studies", "benchmarks"):
        for path in sorted((REPO / folder).rglob("*.py")):
            lines = path.read_text().splitlines()

            for node in ast.walk(ast.parse("\n".join(lines))):
                counts.update(function_kinds(node, lines))
                if "nested comprehension" in node_kinds(node):
                    nested.append(f"{path.relative_to(REPO)}:{node.lineno}")
    assert nested == []
    assert counts["packed function"] <= 0.12 * counts["long function"], counts


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The files that git tracks; without git, all that are in no hidden folder."""
    if not (REPO / ".git").exists() or not shutil.which("git"):
        files = (path.relative_to(REPO) for path in REPO.rglob("*") if path.is_file())
        return [REPO / path for path in files if not str(path).startswith(".")]

    command = ["git", "-C", str(REPO), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    paths = (REPO / name for name in listed.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_nothing_is_left_to_do(tracked: list[Path]) -> None:
    """No tracked text says that something is to be done."""
    places = []
    for path in tracked:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if match := TO_DO.search(line):
                places.append(f"{path.relative_to(REPO)}:{number}: {match[0]}")
    assert places == []


def test_repository_is_small(tracked: list[Path]) -> None:
    """All tracked files together are within their limit; a failure names the largest folders."""
    sizes = Counter[str]()
    for path in tracked:
        folder = path.parent.relative_to(REPO)
        sizes["/".join(folder.parts[:2]) or "."] += path.stat().st_size
    print(f"tracked files: {sizes.total() / 1e6:.1f} MB, at most {TRACKED_BYTES / 1e6:.0f} MB")
    most = "\n".join(f"  {size / 1e6:6.1f} MB in {name}" for name, size in sizes.most_common(10))
    assert sizes.total() <= TRACKED_BYTES, most


def test_readme_is_short() -> None:
    """The README is read in three minutes."""
    assert len((REPO / "README.md").read_text().split()) <= README_WORDS


def test_package_has_few_rooms() -> None:
    """bench_uq/ holds the stages and what is beneath and above them, and no loose modules."""
    package = REPO / "bench_uq"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    print(f"packages in bench_uq: {len(rooms)}, at most {PACKAGES}")
    assert {path.name for path in package.glob("*.py")} == MODULES
    assert len(rooms) <= PACKAGES, sorted(rooms)
