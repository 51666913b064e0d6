"""Fetch files over HTTP, resume cut transfers, check the files; nothing else uses the network."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import math
import re
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench_uq._version import __version__
from bench_uq.api.archives import Bomb, limit
from bench_uq.api.dataset import Download

#: Seconds without a byte after which a connection counts as cut.
TIMEOUT = 30.0

#: Seconds before each attempt to resume a cut connection. The attempts are counted anew whenever
#: one brings bytes.
WAITS = (0.5, 2.0, 5.0)

#: Bytes read at a time.
CHUNK = 1 << 18

#: Unlike urllib's own opener it opens http and https alone, also after a redirect.
OPENER = urllib.request.OpenerDirector()
for handler in (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
):
    OPENER.add_handler(handler())
OPENER.addheaders = [("User-Agent", f"bench-uq/{__version__}")]


class Failed(Exception):
    """A download failed; the message says why in one line."""


class Cut(Exception):
    """The connection ended before the file did."""


def fetch(download: Download, urls: Sequence[str], part: Path) -> None:
    """Fetch a file into ``part`` from the first of ``urls`` that sends the right one.

    Errors of the disk pass through.
    """
    # Nothing is written through a link that somebody else put there.
    if part.is_symlink():
        part.unlink()

    if download.md5 or download.sha256:
        if part.is_file() and right(part, download):
            return
    else:
        # Without a checksum a mixture of two versions would go unnoticed.
        part.unlink(missing_ok=True)

    reasons = []
    for url in urls:
        try:
            fetch_from(url, download, part)
            return
        except Failed as reason:
            reasons.append(f"{urlsplit(url).netloc}: {reason}")

    # Each reason once: several addresses may be of one server.
    raise Failed("; ".join(dict.fromkeys(reasons)) or "no address to fetch it from")


def fetch_from(url: str, download: Download, part: Path) -> None:
    """Fetch a file from one address.

    If it continued the bytes of another address and is wrong, it starts anew once.
    """
    begun = size(part) > 0
    transfer(url, part)
    # Two addresses may serve different versions of a file.
    if begun and not right(part, download):
        part.unlink()
        transfer(url, part)
    if not right(part, download):
        reason = f"wrong checksum, {checksums(part, download)}"
        part.unlink()
        raise Failed(reason)


def transfer(url: str, part: Path) -> None:
    """Complete a .part, resuming a cut connection as long as that brings bytes."""
    most, idle, version = size(part), 0, ""

    while True:
        try:
            with opened(url, part, version) as reply:
                version = version_of(reply)
                copy(reply, part)
                return
        except Cut as cut:
            idle += 1
            if size(part) > most:
                idle, most = 0, size(part)

            if idle == len(WAITS):
                raise Failed(str(cut)) from cut
            time.sleep(WAITS[idle])


def opened(url: str, part: Path, version: str) -> Any:
    """Request a file, or the rest of it if its ``version`` is still the same."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise Failed("neither http nor https")

    offset, headers = size(part), {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    # Of a file that has changed meanwhile the server then sends the whole, not the rest.
    if offset and version:
        headers["If-Range"] = version

    try:
        return OPENER.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        # The error holds the connection open.
        error.close()
        # The bytes here are more than the file has: they are of something else.
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            part.unlink()
            raise Cut("it refuses to send the rest of the file") from error
        raise Failed(f"{error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise Failed(reason_of(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise Cut(reason_of(error)) from error
    except ValueError as error:
        raise Failed(f"no address, {error}") from error


def copy(reply: Any, part: Path) -> None:
    """Write the bytes that a server sends; append them if it sends the rest of a file."""
    from tqdm import tqdm

    offset, mode = 0, "wb"
    # A server may ignore the range that it is asked for, and send the whole file.
    if reply.status == http.client.PARTIAL_CONTENT and size(part):
        offset, mode = size(part), "ab"

    begins = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
    # Bytes at another place would spoil the file, which may have no checksum.
    if offset and (not begins or int(begins[1]) != offset):
        part.unlink()
        raise Cut("it sent another part of the file than was asked for")

    length = reply.headers.get("Content-Length", "")
    total = offset + int(length) if length.isdecimal() else None

    # With disable=None the bar is shown on a terminal only.
    bar = tqdm(
        desc=part.stem,
        initial=offset,
        total=total,
        unit="B",
        unit_scale=True,
        disable=None,
        leave=False,
    )

    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open(mode) as file, bar:
        while chunk := received(reply):
            file.write(chunk)
            bar.update(len(chunk))

    # read1 ends without an error where the server closes the connection early.
    if total is not None and size(part) < total:
        raise Cut(f"the connection was cut after {size(part):,} of {total:,} bytes")


def received(reply: Any) -> bytes:
    """Next bytes from a server, empty at the end."""
    try:
        return reply.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise Cut(reason_of(error)) from error


def version_of(reply: Any) -> str:
    """Version of a file that a server sends: a strong ETag, or the time of its last change."""
    tag = reply.headers.get("ETag", "")
    # A weak one, W/"...", may stay the same although bytes changed.
    if tag.startswith('"'):
        return tag
    return reply.headers.get("Last-Modified", "")


def reason_of(error: Any) -> str:
    """Reason of an error in the words of the system."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def right(file: Path, download: Download) -> bool:
    """Whether a file has the expected checksum; true if none is known."""
    if download.sha256:
        return content_sha256(file, download) == download.sha256.lower()
    return not download.md5 or hashed(file, "md5") == download.md5.lower()


def checksums(file: Path, download: Download) -> str:
    """Checksum of a file beside the expected one."""
    if download.sha256:
        found = content_sha256(file, download) or "of a damaged .gz"
        return f"sha256 {found}, not {download.sha256}"
    return f"md5 {hashed(file, 'md5')}, not {download.md5}"


def content_sha256(file: Path, download: Download) -> str:
    """Hash of the content of a file; empty for a damaged .gz."""
    try:
        return hashed(file, "sha256", unzip=download.path.endswith(".gz"))
    except (EOFError, zlib.error, gzip.BadGzipFile, Bomb):
        return ""


def hashed(file: Path, algorithm: str, *, unzip: bool = False) -> str:
    """Hash of a file, or of its unpacked content."""
    # Not for security: systems in FIPS mode refuse MD5 otherwise.
    digest = hashlib.new(algorithm, usedforsecurity=False)
    left: float = math.inf
    opener: Any = Path.open
    if unzip:
        left, opener = limit(size(file)), gzip.open

    with opener(file, "rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            left -= len(chunk)
            if left < 0:
                raise Bomb(f"unpacks to more than {limit(size(file)):,} bytes")
    return digest.hexdigest()


def size(part: Path) -> int:
    """Bytes of a file; 0 if it does not exist."""
    if not part.exists():
        return 0
    return part.stat().st_size
