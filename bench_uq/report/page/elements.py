"""Pieces of HTML that the sections of a page share."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

#: A cell above a column, and one before a row.
COLUMN, ROW = 'th scope="col"', 'th scope="row"'


def section(name: str, title: str, body: str) -> str:
    """A section with its heading, which links of the page name."""
    return f"""<section id="{name}" aria-labelledby="{name}-title">
<h2 id="{name}-title">{title}</h2>
{body}
</section>
"""


def each(tag: str, contents: Iterable[str]) -> str:
    """An element around each piece of HTML; attributes may stand behind the tag."""
    name = tag.split()[0]
    return "".join(f"<{tag}>{content}</{name}>" for content in contents)


def table(caption: str, heads: Iterable[str], rows: str) -> str:
    """A table with a text above it, all but its rows escaped."""
    head = each(COLUMN, map(escape, heads))
    return (
        f'<div class="edge"><div class="scroll" role="region" aria-label="{escape(caption)}" '
        f'tabindex="0"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></div>"
    )
