"""The grammar of names with options, ``name[option=value,...]``: read, converted to types, and written again."""

from __future__ import annotations

import dataclasses
import hashlib
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from bench_uq.api.errors import UsageError, unknown

LONGEST = 200  # signs of a text that an error shows
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def split_list(text: str) -> list[str]:
    """Split at the commas outside of brackets; an empty element is an error."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character == "[") - (character == "]")
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


def quoted(value: Any) -> str:
    """Return a value as an error shows it, a very long one cut."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def parse(text: str) -> tuple[str, dict[str, str]]:
    """Split ``name[option=value,...]`` into the name and its options."""
    match = re.fullmatch(r"([^\[\]]*)(?:\[(.*)\])?", text.strip(" "))
    if not match or not NAME.fullmatch(match[1]):
        raise UsageError(f"{quoted(text)} is not of the form name or name[option=value,...]")
    options: dict[str, str] = {}
    for part in split_list(match[2]) if match[2] is not None else []:
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise UsageError(f"{quoted(part)} in {quoted(text)} is not of the form option=value")
        if key.strip() in options:
            raise UsageError(f"option {quoted(key.strip())} is given twice in {quoted(text)}")
        options[key.strip()] = value.strip()
    return match[1], options


def plain_name(text: str) -> str:
    """Return the name in front of the brackets."""
    return text.partition("[")[0].strip()


def parse_full(full: str) -> dict[str, str]:
    """Return the options of a full spelling, none where it cannot be read back."""
    try:
        return parse(full)[1]
    except UsageError:
        return {}


def convert_options(plain: str, cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Turn option values, text or TOML's own types, into values of the fields, by the names of these."""
    types = option_types(cls)
    for key in options:
        if key not in types:
            raise unknown(f"option of {plain}", key, types)
    return {
        field_name(key): convert(f"{plain}.{key}", types[key], value)
        for key, value in options.items()
    }


def option_name(field: str) -> str:
    """Return the option that a field is: of a word that Python keeps for itself, ``from_``, the word."""
    return field[:-1] if keyword.iskeyword(field[:-1]) and field.endswith("_") else field


def field_name(option: str) -> str:
    """Return the field that an option is."""
    return f"{option}_" if keyword.iskeyword(option) else option


#: What an option can be, beside a Literal.
OPTION_TYPES = (bool, int, float, str, Path)


def option_types(cls: type, plain: str = "") -> dict[str, Any]:
    """Return the options of a plugin with their types; a type that the grammar cannot write is refused."""
    try:
        hints = get_type_hints(cls)
    except Exception as error:
        raise UsageError(
            f"{plain or cls.__name__}: a type of its options is unknown: {error}"
        ) from error
    types = {
        option_name(field.name): hints[field.name]
        for field in dataclasses.fields(cls)
        if field.init
    }
    for name, kind in types.items():
        if kind not in OPTION_TYPES and get_origin(kind) is not Literal:
            shown = getattr(kind, "__name__", kind)
            raise UsageError(
                f"option {plain or cls.__name__}.{name} is of type {shown}, not bool, int, float, str, Path or Literal"
            )
    return types


def convert(label: str, kind: Any, value: Any) -> Any:
    """Return ``value`` as the type ``kind``: bool, int, float, str, Path or one of a Literal."""
    if get_origin(kind) is Literal:
        choices: Sequence[Any] = get_args(kind)
        for choice in choices:
            if str(value) == str(choice):
                return choice
        raise unknown(f"value of {label}", str(value), map(str, choices))
    try:
        return convert_plain(kind, value)
    except (
        ValueError,
        TypeError,
        OverflowError,
    ) as error:  # the last of a whole number that no float holds
        wanted = "true or false" if kind is bool else f"of type {getattr(kind, '__name__', kind)}"
        raise UsageError(f"{label} must be {wanted}, not {quoted(value)}") from error


def convert_plain(kind: Any, value: Any) -> Any:
    """Convert to a type without choices; ValueError where the value is of another type."""
    if kind is bool:
        if str(value).lower() not in ("true", "false"):
            raise ValueError(value)
        return str(value).lower() == "true"
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        raise ValueError(value)
    result = kind(value)
    if kind is float and result != result:
        raise ValueError(value)
    return result + 0.0 if kind is float else result  # -0.0 is 0.0, and has its name


def spelled(plain: str, value: Any, text: Callable[[Any], str], *, changed: bool = False) -> str:
    """Return a plugin with its options, each written by ``text``.

    With ``changed`` those alone that are not the defaults, and those whose field's metadata say ``named``.
    """
    fields = [field for field in dataclasses.fields(value) if field.init]
    kept = [
        field
        for field in fields
        if not changed or getattr(value, field.name) != field.default or field.metadata.get("named")
    ]
    return bracketed(
        plain, [f"{option_name(field.name)}={text(getattr(value, field.name))}" for field in kept]
    )


def bracketed(plain: str, options: list[str]) -> str:
    """Join a name and its options."""
    return f"{plain}[{','.join(options)}]" if options else plain


def option_text(value: Any) -> str:
    """Return an option's value as the grammar writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown_text(value: Any) -> str:
    """Return an option's value as results name it: of a path its last part, so that no one's folders are published."""
    if not isinstance(value, Path):
        return option_text(value)
    last = value.name if value.name not in ("", "..") else value.resolve().name or "root"
    return re.sub(r"[^A-Za-z0-9._-]", "-", last)


def content_text(kind: str, value: Any) -> str:
    """Return an option's value as it counts: a file by its content, but for data, whose examples count."""
    if not isinstance(value, Path) or kind == "dataset":
        return option_text(value) if not isinstance(value, Path) else ""
    if not value.is_file():
        raise UsageError(f"no file {str(value)!r}")
    return hashlib.sha256(value.read_bytes()).hexdigest()
