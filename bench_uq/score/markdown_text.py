"""Text escaped for Markdown."""

from __future__ import annotations

# A pipe would end a cell of a table even behind a backslash in some readers, hence an entity; the space of no width
# keeps an @ from calling somebody.
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "|": "&#124;",
    "@": "@&#8203;",
    "\n": " ",
    "\r": " ",
}
_TABLE = str.maketrans(_ESCAPES)


def escape(text: str) -> str:
    """Return text as Markdown shows it letter by letter; signs that steer a terminal or turn text round are codes."""
    shown = (sign if sign.isprintable() or sign in "\n\r" else ascii(sign)[1:-1] for sign in text)
    return "".join(shown).translate(_TABLE)
