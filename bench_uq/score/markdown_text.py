"""Text escaped for Markdown."""

from __future__ import annotations

_ESCAPES = {sign: f"\\{sign}" for sign in "\\`*_{}[]#~$!"} | {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "|": "&#124;",  # some readers end a cell at a pipe even behind a backslash
    "@": "@&#8203;",  # a space of no width: nobody is notified
    "\n": " ",
    "\r": " ",
}
_TABLE = str.maketrans(_ESCAPES)


def escape(text: str) -> str:
    """Escape text so that Markdown shows it letter by letter.

    Signs that steer a terminal or reverse the direction of text become codes.
    """
    shown = (sign if sign.isprintable() or sign in "\n\r" else ascii(sign)[1:-1] for sign in text)
    return "".join(shown).translate(_TABLE)
