"""Where a cluster is, and whether it is safe to join: loopback, or TLS, or the user's own word for
it.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench_uq.api.errors import UsageError, one_line

#: Seconds to find the scheduler.
CONNECT = 20

#: How often a run may take its worker down with it before it is given up, on a cluster that is
#: started here.
FAILURES = 2


@dataclass(frozen=True)
class Place:
    """Where the workers are: at a scheduler, or ``count`` to be started here (0: as many as there
    is room for).
    """

    address: str = ""
    count: int | None = None


def parse_place(text: str) -> Place:
    """Return the place that ``ADDRESS``, ``local[:N]`` or a scheduler file names."""
    name, colon, count = text.partition(":")
    if name == "local":
        if colon and not (count.isascii() and count.isdigit() and int(count) > 0):
            raise UsageError(
                f"--cluster local:N takes a number of workers of at least 1, not {count!r}"
            )
        return Place(count=int(count) if colon else 0)
    if text.endswith(".json"):
        return Place(address_in(Path(text)))
    parts = urlsplit(text if "://" in text else f"tcp://{text}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("tcp", "tls") or not parts.hostname or not port:
        raise UsageError(
            "--cluster takes local, local:N, tcp://HOST:PORT, tls://HOST:PORT or a .json file, "
            f"not {text!r}"
        )
    return Place(f"{parts.scheme}://{parts.netloc}")


def address_in(file: Path) -> str:
    """Return the address of the scheduler that wrote a file."""
    try:
        return parse_place(str(json.loads(file.read_text())["address"])).address
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--cluster: {file} is no scheduler file: {one_line(error)}") from error


def check_safe(address: str, what: str, insecure: bool) -> None:
    """Refuse an address that others reach too, without TLS: whoever does could run code as the
    user.
    """
    if insecure or address.startswith("tls://") or is_loopback(address):
        return
    raise UsageError(
        f"{what} {address} can be reached from other machines without TLS, and whoever reaches it "
        "can run code as you: use tls:// with --tls-ca, --tls-cert and --tls-key, let it listen on "
        "127.0.0.1, or say --insecure"
    )


def is_loopback(address: str) -> bool:
    """Return whether all that an address stands for lies on this machine."""
    host = urlsplit(address).hostname or ""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(
        ipaddress.ip_address(str(one).partition("%")[0]).is_loopback for one in found
    )


def security(place: Place, tls: Mapping[str, Path | None]) -> Any:
    """Return dask's security from the files of --tls-ca, --tls-cert and --tls-key, None without
    them.
    """
    given = {name: path for name, path in tls.items() if path}
    if place.count is not None and given:
        raise UsageError(
            "--cluster local never leaves this machine: it takes no --tls-ca, --tls-cert or "
            "--tls-key"
        )
    encrypted = place.address.startswith("tls://")
    if given and not encrypted:
        raise UsageError(
            f"--tls-ca, --tls-cert and --tls-key are for a scheduler at tls://, not {place.address}"
        )
    if encrypted and len(given) < len(tls):
        raise UsageError("a scheduler at tls:// needs all of --tls-ca, --tls-cert and --tls-key")
    for path in given.values():
        if not path.is_file():
            raise UsageError(f"no file {str(path)!r}")
    if not given:
        return None
    from distributed import Security

    files = {"tls_ca_file": tls["ca"], "tls_client_cert": tls["cert"], "tls_client_key": tls["key"]}
    return Security(require_encryption=True, **{name: str(path) for name, path in files.items()})


@contextmanager
def connected(
    place: Place, tls: Mapping[str, Path | None], insecure: bool, room: int
) -> Iterator[Any]:
    """Yield a dask client; ``room`` is how many workers are started here where the user names no
    number.
    """
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            "--cluster needs dask.distributed: pip install 'bench-uq[cluster]'"
        ) from error
    quieten()
    safety = security(place, tls)
    if place.count is not None:
        with (
            local(place.count or room) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    check_safe(place.address, "the scheduler", insecure)
    try:
        client = distributed.Client(
            place.address, security=safety, timeout=CONNECT, set_as_default=False
        )
    except (OSError, TypeError, ValueError) as error:  # a wrong certificate is an OSError too
        raise UsageError(f"no scheduler at {place.address}: {one_line(error)}") from error
    with client:
        info = client.scheduler_info()
        check_safe(info["address"], "the scheduler", insecure)
        for address in client.nthreads():
            check_safe(address, "the worker", insecure)
        yield client


def quieten() -> None:
    """Let dask, tornado and asyncio log nothing: what concerns the user is said by bench-uq."""
    for name in list(
        logging.root.manager.loggerDict
    ):  # each by its name: some have a level of their own
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def local(count: int) -> Iterator[Any]:
    """Yield a cluster of so many workers here, on loopback alone, each with a GPU of its own where
    there are.
    """
    import dask
    from distributed import Nanny, Scheduler, SpecCluster

    cards = gpus()
    workers = {
        index: {
            "cls": Nanny,
            "options": {
                "nthreads": 1,
                "host": "127.0.0.1",
                "dashboard": False,
                "silence_logs": logging.CRITICAL,
                "memory_limit": 0,  # the runs, which need the memory, are processes of their own
                "env": {"CUDA_VISIBLE_DEVICES": cards[index % len(cards)]} if cards else {},
            },
        }
        for index in range(count)
    }
    web = {"dashboard_address": "127.0.0.1:0"}
    scheduler = {
        "cls": Scheduler,
        "options": {"host": "127.0.0.1", "port": 0, "dashboard": False, **web},
    }
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": FAILURES}),
        SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.CRITICAL) as cluster,
    ):
        yield cluster


def gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return allowed.split(",")[:count] if allowed else [str(index) for index in range(count)]
