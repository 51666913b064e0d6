"""Where a cluster is, and whether it is safe to join."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
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
    """Address of a scheduler, or the ``count`` of workers to start here.

    A count of 0 stands for as many workers as there is room for.
    """

    address: str = ""
    count: int | None = None

    @property
    def is_local(self) -> bool:
        """Whether the workers are started here."""
        return self.count is not None


def parse_place(text: str) -> Place:
    """Place that ``ADDRESS``, ``local[:N]`` or a scheduler file names."""
    if text == "local":
        return Place(count=0)

    name, _, count = text.partition(":")
    if name == "local":
        if not (count.isascii() and count.isdigit() and int(count) > 0):
            raise UsageError(
                f"--cluster local:N takes a number of workers of at least 1, not {count!r}"
            )
        return Place(count=int(count))
    if text.endswith(".json"):
        return Place(address_in(Path(text)))

    # Of a bare HOST:PORT urlsplit would take the host for the scheme.
    address = text
    if "://" not in text:
        address = f"tcp://{text}"

    # urlsplit refuses a bracket without its end, and a port that is no number when it is asked for.
    found = ""
    with suppress(ValueError):
        parts = urlsplit(address)
        if parts.scheme in ("tcp", "tls") and parts.hostname and parts.port:
            found = f"{parts.scheme}://{parts.netloc}"
    if not found:
        raise UsageError(
            "--cluster takes local, local:N, tcp://HOST:PORT, tls://HOST:PORT or a .json file, "
            f"not {text!r}"
        )
    return Place(found)


def address_in(file: Path) -> str:
    """Address of the scheduler that wrote a file."""
    try:
        return parse_place(str(json.loads(file.read_text())["address"])).address
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--cluster: {file} is no scheduler file: {one_line(error)}") from error


def check_safe(address: str, what: str, insecure: bool) -> None:
    """Refuse an address that others can reach without TLS, unless the user allows it."""
    # A scheduler and its workers execute any function that is sent to them, whoever sends it.
    if insecure or address.startswith("tls://") or is_loopback(address):
        return
    raise UsageError(
        f"{what} {address} can be reached from other machines without TLS, and whoever reaches it "
        "can run code as you: use tls:// with --tls-ca, --tls-cert and --tls-key, let it listen on "
        "127.0.0.1, or say --insecure"
    )


def is_loopback(address: str) -> bool:
    """Whether all that an address stands for lies on this machine."""
    host = urlsplit(address).hostname or ""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False

    # A name may stand for several addresses, and the connection may take any of them.
    for one in found:
        # An address of IPv6 may end in %INTERFACE.
        if not ipaddress.ip_address(one.partition("%")[0]).is_loopback:
            return False
    return bool(found)


def security(place: Place, tls: Mapping[str, Path | None]) -> Any:
    """Dask's security, from the files of --tls-ca, --tls-cert and --tls-key; None without them."""
    given = {name: path for name, path in tls.items() if path}
    if place.is_local and given:
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

    return Security(
        require_encryption=True,
        tls_ca_file=str(tls["ca"]),
        tls_client_cert=str(tls["cert"]),
        tls_client_key=str(tls["key"]),
    )


@contextmanager
def connected(
    place: Place, tls: Mapping[str, Path | None], insecure: bool, room: int
) -> Iterator[Any]:
    """Yield a dask client; ``room`` is the number of workers if the user names none."""
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            "--cluster needs dask.distributed: pip install 'bench-uq[cluster]'"
        ) from error

    quieten()
    safety = security(place, tls)
    if place.is_local:
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
    except (OSError, TypeError, ValueError) as error:
        # A wrong certificate is an OSError too.
        raise UsageError(f"no scheduler at {place.address}: {one_line(error)}") from error

    with client:
        # A scheduler that is reached by loopback may listen on other addresses as well.
        info = client.scheduler_info()
        check_safe(info["address"], "the scheduler", insecure)
        for address in client.nthreads():
            check_safe(address, "the worker", insecure)
        yield client


def quieten() -> None:
    """Let dask, tornado and asyncio log nothing: what concerns the user is said by bench-uq."""
    # Each by its name: some of them have a level of their own, which does not follow the parent's.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def local(count: int) -> Iterator[Any]:
    """Yield a cluster of ``count`` workers here, on loopback alone, each with a GPU if any."""
    import dask
    from distributed import Nanny, Scheduler, SpecCluster

    workers, cards = {}, gpus()
    for index in range(count):
        options: dict[str, Any] = {
            "nthreads": 1,
            "host": "127.0.0.1",
            "dashboard": False,
            "silence_logs": logging.CRITICAL,
            # Runs, which need the memory, are processes of their own, which dask does not count.
            "memory_limit": 0,
            "env": {},
        }
        if cards:
            options["env"] = {"CUDA_VISIBLE_DEVICES": cards[index % len(cards)]}
        workers[index] = {"cls": Nanny, "options": options}

    # Even without its dashboard the scheduler serves HTTP, by default at one port for all suites.
    web = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    scheduler = {"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, **web}}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": FAILURES}),
        SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.CRITICAL) as cluster,
    ):
        yield cluster


def gpus() -> list[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed:
        return allowed.split(",")[:count]
    return list(map(str, range(count)))
