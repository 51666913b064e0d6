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
    letters = []
    for sign in text:
        if sign.isprintable() or sign in "\n\r":
            letters.append(sign)
        else:
            letters.append(ascii(sign)[1:-1])
    return "".join(letters).translate(_TABLE)
