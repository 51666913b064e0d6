"""The figures of the report on its page, small, each opening in full."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import PurePosixPath

from bench_uq.report.page.elements import section

#: Pixels of the width of an embedded figure, and its colours.
_WIDTH, _COLORS = 1000, 48
#: Bytes of all embedded figures; beyond them a figure is linked to its file.
MOST = 1_200_000

#: The image of each figure by its dataset, empty for all, and file name.
Images = Mapping[tuple[str, str], bytes]


def figures_section(images: Images) -> str:
    """The figures as buttons that open them; empty without any PNG."""
    body = thumbs(images)
    if not body:
        return ""

    hint = (
        '<p class="hint">A click shows a figure in full; figures/ beside this page has them as '
        "PDF, PNG and SVG.</p>"
    )
    return section("figures", "Figures", hint + body)


def thumbs(images: Images) -> str:
    """The PNG files among some images as buttons that open them; empty without any."""
    body, left = "", MOST
    for (_, name), image in images.items():
        path = PurePosixPath(name)
        if path.suffix != ".png":
            continue
        title = escape(path.stem)
        data = base64.b64encode(_small(image)).decode()
        if len(data) > left:
            body += f'<li><a href="figures/{escape(name)}">{title}</a></li>'
            continue
        left -= len(data)
        picture = f'<img src="data:image/png;base64,{data}" alt="{title}">'
        button = f'<button type="button" class="thumb" data-name="{title}">'
        body += f"<li>{button}{picture}{title}</button></li>"
    return f'<ul class="thumbs">{body}</ul>' if body else ""


def _small(image: bytes) -> bytes:
    """The same image with fewer pixels and colours."""
    from PIL import Image

    with Image.open(io.BytesIO(image)) as found:
        plain = found.convert("RGB")
    if plain.width > _WIDTH:
        height = round(plain.height * _WIDTH / plain.width)
        plain = plain.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    with io.BytesIO() as written:
        plain.quantize(_COLORS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
        return written.getvalue()
