"""Fetch files over HTTP, taken up again where they were cut, and check them; nothing else uses the network."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import math
import os
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

TIMEOUT = 30.0  # seconds without a byte
WAITS = (
    0.5,
    2.0,
    5.0,
)  # seconds before a cut connection is taken up again, until as many tries brought nothing
CHUNK = 1 << 18

#: Unlike urllib's own, it opens nothing but http and https, also where a server redirects elsewhere.
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
    """A download that came to nothing, and why, in one line."""


class Cut(Exception):
    """A connection that ended before the file did."""


def fetch(download: Download, urls: Sequence[str], part: Path) -> None:
    """Fetch a file into ``part`` from the first of ``urls`` that has it right; errors of the disk pass through."""
    if part.is_symlink():  # someone else's: nothing is written through it
        part.unlink()
    if download.md5 or download.sha256:
        if part.is_file() and right(part, download):
            return
    else:
        part.unlink(missing_ok=True)  # nothing would tell a mixture of two versions
    reasons = []
    for url in urls:
        try:
            fetch_from(url, download, part)
            return
        except Failed as reason:
            reasons.append(f"{urlsplit(url).netloc}: {reason}")
    raise Failed("; ".join(dict.fromkeys(reasons)) or "no address to fetch it from")


def fetch_from(url: str, download: Download, part: Path) -> None:
    """Fetch a file from one address; what began with another one's bytes and is wrong begins anew once."""
    begun = size(part) > 0
    transfer(url, part)
    if begun and not right(part, download):
        part.unlink()
        transfer(url, part)
    if not right(part, download):
        reason = f"wrong checksum, {checksums(part, download)}"
        part.unlink()
        raise Failed(reason)


def transfer(url: str, part: Path) -> None:
    """Bring a .part to its end, taking up the connection as long as that brings something."""
    most, idle, version = size(part), 0, ""
    while True:
        try:
            with opened(url, part, version) as reply:
                version = version_of(reply)
                copy(reply, part)
                return
        except Cut as cut:
            idle = 0 if size(part) > most else idle + 1
            if idle == len(WAITS):
                raise Failed(str(cut)) from cut
            most = max(most, size(part))
            time.sleep(WAITS[idle])


def opened(url: str, part: Path, version: str) -> Any:
    """Ask for a file, or for the rest of it while it is of the same ``version``."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise Failed("neither http nor https")
    offset = size(part)
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    if offset and version:
        headers["If-Range"] = version
    try:
        return OPENER.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
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
    """Write what a server sends, behind what is there where it sends the rest of it."""
    from tqdm import tqdm

    offset = size(part) if reply.status == http.client.PARTIAL_CONTENT else 0
    begins = re.match(r"bytes (\d+)-", reply.headers.get("Content-Range", ""))
    if offset and (not begins or int(begins[1]) != offset):
        part.unlink()
        raise Cut("it sent another part of the file than was asked for")
    length = reply.headers.get("Content-Length", "")
    total = offset + int(length) if length.isdecimal() else None
    # disable=None shows the bar on a terminal alone
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
    with part.open("ab" if offset else "wb") as file, bar:
        while chunk := received(reply):
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and size(part) < total:
        raise Cut(f"the connection was cut after {size(part):,} of {total:,} bytes")


def received(reply: Any) -> bytes:
    """Return the next bytes from a server, none at their end."""
    try:
        return reply.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise Cut(reason_of(error)) from error


def version_of(reply: Any) -> str:
    """Return what names the version of a file that a server sends: a strong ETag, or the time it was changed."""
    tag = reply.headers.get("ETag", "")
    return tag if tag.startswith('"') else reply.headers.get("Last-Modified", "")


def reason_of(error: Any) -> str:
    """Return what went wrong as the system says it."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def right(file: Path, download: Download) -> bool:
    """Return whether a file holds what it should, as far as that is known: by its content, else byte by byte."""
    if download.sha256:
        return content_sha256(file, download) == download.sha256.lower()
    return not download.md5 or hashed(file, "md5") == download.md5.lower()


def checksums(file: Path, download: Download) -> str:
    """Return the checksum of a file beside the one that it should have."""
    if download.sha256:
        return (
            f"sha256 {content_sha256(file, download) or 'of a damaged .gz'}, not {download.sha256}"
        )
    return f"md5 {hashed(file, 'md5')}, not {download.md5}"


def content_sha256(file: Path, download: Download) -> str:
    """Return the hash of what a file holds, nothing for a .gz that is damaged."""
    try:
        return hashed(file, "sha256", unzip=download.path.endswith(".gz"))
    except (EOFError, zlib.error, gzip.BadGzipFile, Bomb):
        return ""


def hashed(file: Path, algorithm: str, *, unzip: bool = False) -> str:
    """Return the hash of a file, or of what it holds compressed."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    left = limit(size(file)) if unzip else math.inf
    with gzip.open(file) if unzip else file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
            left -= len(chunk)
            if left < 0:
                raise Bomb(f"unpacks to more than {limit(size(file)):,} bytes")
    return digest.hexdigest()


def size(part: Path) -> int:
    """Return how much of a file is there."""
    return part.stat().st_size if part.exists() else 0


def sync(path: Path) -> None:
    """Make a file or the names in a folder outlast a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
