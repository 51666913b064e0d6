"""The grammar of names with options, ``name[option=value,...]``: parse, convert and write."""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import keyword
import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bench_uq.api.errors import UsageError, unknown

#: Characters of a user's text that an error shows.
LONGEST = 200

#: A name of a plugin or suite.
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

#: Types that an option can have beside a Literal.
OPTION_TYPES = (bool, int, float, str, Path)


def split_list(text: str) -> list[str]:
    """Split at the commas outside of brackets; refuse an empty element."""
    parts, depth, start = [], 0, 0

    for index, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        # A bracket closes that was never opened.
        if depth < 0:
            break
        if character == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1

    parts = [part.strip(" ") for part in (*parts, text[start:])]
    if depth != 0:
        raise UsageError(f"brackets do not match in {quoted(text)}")
    if not all(parts):
        raise UsageError(f"empty element in the list {quoted(text)}")
    return parts


def check_name(kind: str, name: str) -> None:
    """Refuse a malformed name of a plugin, a suite or the like."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a {kind}: letters a-z, digits, '.', '_' and '-', at most 64"
        )


def quoted(value: Any) -> str:
    """Value as an error shows it, cut if it is very long."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def parse(text: str) -> tuple[str, dict[str, str]]:
    """Split ``name[option=value,...]`` into the name and its options."""
    match = re.fullmatch(r"([^\[\]]*)(?:\[(.*)\])?", text.strip(" "))
    if not match or not NAME.fullmatch(match[1]):
        raise UsageError(f"{quoted(text)} is not of the form name or name[option=value,...]")

    options: dict[str, str] = {}
    for part in split_list(match[2]) if match[2] is not None else []:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise UsageError(f"{quoted(part)} in {quoted(text)} is not of the form option=value")
        if key in options:
            raise UsageError(f"option {quoted(key)} is given twice in {quoted(text)}")
        options[key] = value

    return match[1], options


def plain_name(text: str) -> str:
    """Name in front of the brackets."""
    return text.partition("[")[0].strip()


def parse_full(full: str) -> dict[str, str]:
    """Options of a full spelling; empty if it cannot be parsed, as the names of others may not."""
    try:
        return parse(full)[1]
    except UsageError:
        return {}


def convert_options(plain: str, cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Convert option values, text or TOML's types, to the types of the fields, by field name."""
    types = option_types(cls)
    values = {}

    for key, value in options.items():
        if key not in types:
            raise unknown(f"option of {plain}", key, types)
        values[field_name(key)] = convert(f"{plain}.{key}", types[key], value)

    return values


def option_name(field: str) -> str:
    """Option of a field: ``from_`` is the option ``from``, a keyword of Python."""
    if field.endswith("_") and keyword.iskeyword(field[:-1]):
        return field[:-1]
    return field


def field_name(option: str) -> str:
    """Field of an option."""
    return f"{option}_" if keyword.iskeyword(option) else option


def option_types(cls: type, plain: str = "") -> dict[str, Any]:
    """Types of a plugin's options; refuse a type that the grammar cannot write."""
    label = plain or cls.__name__
    try:
        # Annotations may be text, under "from __future__ import annotations".
        hints = get_type_hints(cls)
    except Exception as error:
        raise UsageError(f"{label}: a type of its options is unknown: {error}") from error

    types = {}
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        name, kind = option_name(field.name), hints[field.name]
        if any(one not in OPTION_TYPES and get_origin(one) is not Literal for one in each(kind)):
            shown = getattr(kind, "__name__", kind)
            allowed = "bool, int, float, str, Path, Literal or a union of these"
            raise UsageError(f"option {label}.{name} is of type {shown}, not {allowed}")
        types[name] = kind

    return types


def convert(label: str, kind: Any, value: Any) -> Any:
    """Convert a value to bool, int, float, str, Path or one of a Literal; of a union, the first."""
    if len(each(kind)) > 1:
        return convert_union(label, each(kind), value)

    if get_origin(kind) is Literal:
        # As text, because an option on the command line is text and a choice may be a number.
        for choice in get_args(kind):
            if str(value) == str(choice):
                return choice
        raise unknown(f"value of {label}", str(value), map(str, get_args(kind)))

    try:
        return convert_plain(kind, value)
    except (ValueError, TypeError, ArithmeticError) as error:
        # No float holds some whole numbers, which is an OverflowError.
        wanted = "true or false" if kind is bool else f"of type {getattr(kind, '__name__', kind)}"
        raise UsageError(f"{label} must be {wanted}, not {quoted(value)}") from error


def each(kind: Any) -> tuple[Any, ...]:
    """Types of a union, of which choices come first; the type itself if it is none."""
    if get_origin(kind) not in (Union, UnionType):
        return (kind,)
    return tuple(sorted(get_args(kind), key=lambda one: get_origin(one) is not Literal))


def convert_union(label: str, kinds: tuple[Any, ...], value: Any) -> Any:
    """Convert a value to the first type of a union that takes it."""
    for kind in kinds:
        try:
            return convert(label, kind, value)
        except UsageError:
            continue

    allowed = list[str]()
    for kind in kinds:
        choices = get_origin(kind) is Literal
        allowed += map(str, get_args(kind)) if choices else [f"of type {kind.__name__}"]
    raise UsageError(f"{label} must be {' or '.join(allowed)}, not {quoted(value)}")


def convert_plain(kind: Any, value: Any) -> Any:
    """Convert to a type without choices; raise ValueError for a value of another type."""
    if kind is bool:
        text = str(value).lower()
        if text not in ("true", "false"):
            raise ValueError(value)
        return text == "true"

    # A bool is an int to Python, and int(2.7) would cut.
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        raise ValueError(value)
    if kind is float and "/" in str(value):
        # Of pixels people write fractions, such as 8/255.
        value = Fraction(str(value))

    result = kind(value)
    if kind is Path:
        # No shell sees a ~ inside brackets or in a suite's file.
        return Path(os.path.expanduser(result))
    if kind is not float:
        return result

    # Only NaN differs from itself; it is refused, because no two runs with it would be equal.
    if result != result:
        raise ValueError(value)
    # -0.0 becomes 0.0, so that both have one name.
    return result + 0.0


def level_key(level: float) -> float:
    """Level by which results are matched: levels that print alike are one level."""
    return float(f"{level:.6g}")


def spelled(plain: str, value: Any, text: Callable[[Any], str], *, changed: bool = False) -> str:
    """Name of a plugin with its options, each written by ``text``.

    With ``changed`` only options that differ from their defaults are written, and those whose
    field has the metadata ``named``.
    """
    options = []
    for field in dataclasses.fields(value):
        own = getattr(value, field.name)
        wanted = not changed or own != field.default or field.metadata.get("named")
        if field.init and wanted:
            options.append(f"{option_name(field.name)}={text(own)}")

    return bracketed(plain, options)


def bracketed(plain: str, options: list[str]) -> str:
    """Join a name and its options."""
    return f"{plain}[{','.join(options)}]" if options else plain


def option_text(value: Any) -> str:
    """Value of an option as the grammar writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown_text(value: Any) -> str:
    """Value of an option in results: of a path the last part, so that no folders are published.

    Letters of every script are kept. A name that loses other signs than ASCII ends in its hash.
    """
    if not isinstance(value, Path):
        return option_text(value)

    last = value.name
    if last in ("", ".."):
        last = value.resolve().name or "root"
    # Systems spell an accent in one sign or in two.
    last = unicodedata.normalize("NFC", last)
    kept = "".join(letter if _readable(letter) else "-" for letter in last)
    erased = {letter for letter, left in zip(last, kept, strict=True) if letter != left}
    if all(map(str.isascii, erased)):
        return kept
    return f"{kept}-{hashlib.sha256(last.encode('utf-8', 'surrogateescape')).hexdigest()[:4]}"


def _readable(letter: str) -> bool:
    """Whether a name in results may hold a sign: a letter, mark or number, or one of . _ -."""
    return letter in "._-" or unicodedata.category(letter)[0] in "LMN"


def content_text(kind: str, value: Any) -> str:
    """Value of an option as part of an identity: a file counts by its content.

    A path of a dataset does not count, because the examples do.
    """
    if not isinstance(value, Path):
        return option_text(value)

    # The content of data is part of the key already, by the arrays that are loaded.
    if kind == "dataset":
        return ""
    if not value.is_file():
        raise UsageError(f"no file {str(value)!r}")
    return hashlib.sha256(as_written(value.read_bytes())).hexdigest()


def as_written(content: bytes) -> bytes:
    """Text as it was before git or an editor changed it; other content as it is.

    They change line ends, and add a byte order mark or blank lines at the end.
    """
    # A zero byte is git's sign of binary content too.
    if b"\0" in content:
        return content
    text = content.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")
    return text.rstrip() + b"\n" if text.endswith(b"\n") else text
