"""What can stand where the cursor is: names from the folders, options from their plugins. A mistake offers nothing."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from bench_uq.plan.plugins import Plugins

Find = Callable[[click.Context, click.Parameter, str], Iterator[str]]
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

KINDS = ("method", "dataset", "condition")


def completer(find: Find, *, files: bool = False) -> Completer:
    """Return what click asks: the texts found that go on from what is written, or ``files`` where there are none."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        silent = io.StringIO()  # what a plugin prints at import would be taken for completions
        try:
            with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
                found = [
                    text
                    for text in find(context, parameter, incomplete)
                    if text.startswith(incomplete)
                ]
        except (Exception, SystemExit, KeyboardInterrupt):
            found = []
        if files and not found:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(text) for text in dict.fromkeys(found)]

    return complete


def plugin_names(*kinds: str, files: bool = False) -> Completer:
    """Return the completer of a comma list of plugins with their options."""
    return completer(functools.partial(find_names, kinds), files=files)


def find_names(
    kinds: Sequence[str], context: click.Context, parameter: click.Parameter, text: str
) -> Iterator[str]:
    """Find how the last plugin of a comma list goes on; a name that stands there already is not offered again."""
    start = last_part(text)
    given = context.params.get(parameter.name or "") or ()
    used = {*map(str, given), *(part.strip() for part in text[:start].split(","))}
    for kind in kinds:
        for found in find_plugin(known_plugins(context), kind, text[start:], used):
            yield text[:start] + found


def find_plugin(plugins: Plugins, kind: str, text: str, used: Collection[str]) -> Iterator[str]:
    """Find how ``name[option=value,...`` goes on."""
    plain, bracket, inside = text.partition("[")
    known = plugins.names(kind)
    if not bracket:
        yield from (name for name in known if name not in used)
    elif plain in known:
        start = inside.rfind(",") + 1
        given = {part.partition("=")[0].strip() for part in inside[:start].split(",")}
        for found in find_assignment(types_of(plugins, kind, plain), inside[start:], given):
            yield f"{plain}[{inside[:start]}{found}"


def find_assignment(types: dict[str, Any], text: str, given: Collection[str]) -> Iterator[str]:
    """Find how ``option=value`` goes on."""
    key, equals, _ = text.partition("=")
    if equals:
        yield from (f"{key}={value}" for value in values(types.get(key)))
    else:
        yield from (f"{option}=" for option in types if option not in given)


def find_settings(context: click.Context, parameter: click.Parameter, text: str) -> Iterator[str]:
    """Find how KEY=VALUE goes on: a setting, or PLUGIN.option of which only the plugin named is imported."""
    from bench_uq.plan.suite import SETTING_TYPES

    plugins = known_plugins(context)
    given = {
        one.partition("=")[0].strip() for one in context.params.get(parameter.name or "") or ()
    }
    key, _, _ = text.partition("=")
    plain, dot, _ = key.rpartition(".")
    if not dot:
        yield from find_assignment(SETTING_TYPES, text, given)
        yield from (f"{name}." for kind in KINDS for name in plugins.names(kind))
    for kind in KINDS if dot else ():
        if plain in plugins.names(kind):
            options = {
                f"{plain}.{name}": type_ for name, type_ in types_of(plugins, kind, plain).items()
            }
            yield from find_assignment(options, text, given)


def find_suites(context: click.Context, parameter: click.Parameter, text: str) -> Iterator[str]:
    """Find the suites that are shipped, and TOML files."""
    from bench_uq.plan.suite import shipped

    del context, parameter
    folder = text[: text.rfind("/") + 1]
    yield from shipped()
    yield from sorted(f"{folder}{path.name}" for path in Path(folder or ".").glob("*.toml"))


def find_listed(context: click.Context, parameter: click.Parameter, text: str) -> Iterator[str]:
    """Find the names of what is to be listed."""
    from bench_uq.cli.listing import names

    given = context.params.get(parameter.name or "") or ()
    known = names(str(context.params["what"]).removesuffix("s"), known_plugins(context))
    yield from (name for name in known if name not in given)


listed_names = completer(find_listed)
settings = completer(find_settings)
suites = completer(find_suites, files=True)


def known_plugins(context: click.Context) -> Plugins:
    """Return the plugins there are, those of ``--plugin`` before the cursor among them."""
    from bench_uq.plan.plugins import Plugins

    return Plugins(tuple(map(Path, context.params.get("plugins") or ())))


def types_of(plugins: Plugins, kind: str, plain: str) -> dict[str, Any]:
    """Return the options of a plugin with their types."""
    from bench_uq.api.names import option_types

    return option_types(type(plugins.spec(kind, plain).value))


def values(kind: Any) -> list[str]:
    """Return the values of a type that has few."""
    if kind is bool:
        return ["true", "false"]
    return [str(choice) for choice in get_args(kind)] if get_origin(kind) is Literal else []


def last_part(text: str) -> int:
    """Return where the last element of a comma list begins; commas inside brackets do not split it."""
    depth = start = 0
    for index, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            start = index + 1
    return start + len(text[start:]) - len(text[start:].lstrip())
