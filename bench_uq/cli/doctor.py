"""What bench-uq finds on a machine: what it needs, what it can use, and what is wrong; nothing is written."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import os
import platform
import re
import shutil
import tarfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench_uq._version import __version__
from bench_uq.api.errors import UsageError, one_line
from bench_uq.store.folders import nearest, writable

MODULES = {
    "pillow": "PIL",
    "scikit-learn": "sklearn",
}  # packages that are imported under another name
ROOM = 2e9  # bytes, about what a suite of images leaves behind
TOOLS = {
    "git": "results name the commit of the source they were made with",
    "nvidia-smi": "shows whether a GPU and its driver are there",
    "pdflatex": "compiles the tables of a report",
    "pdftotext": "reads compiled tables back to check them",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at; without what is essential bench-uq cannot run."""

    name: str
    text: str
    problem: bool = False
    essential: bool = False


Findings = Iterator[Finding]


def examine(results: Path, reports: Path, data: Path) -> dict[str, list[Finding]]:
    """Look at everything, section by section; one that fails is a finding of its own."""
    sections: dict[str, Callable[[], Findings]] = {
        "packages": packages,
        "machine": machine,
        "folders": lambda: folders(results, reports, data),
        "data": lambda: datasets(data),
        "tools, none of which is needed": tools,
        "plugins from entry points": plugins,
    }
    found: dict[str, list[Finding]] = {}
    for title, look in sections.items():
        found[title] = []
        try:
            with quiet():
                found[title].extend(look())
        except Exception as error:
            found[title].append(Finding(title.split()[0], one_line(error), problem=True))
    return found


def cannot_run(found: dict[str, list[Finding]]) -> list[str]:
    """Return the names of what keeps bench-uq from running."""
    return [
        one.name for findings in found.values() for one in findings if one.problem and one.essential
    ]


def text(found: dict[str, list[Finding]]) -> str:
    """Return all findings as aligned text, problems marked at the left, and what they come to."""
    width = max(len(one.name) for findings in found.values() for one in findings)
    lines = [f"bench-uq {__version__}"]
    for title, findings in found.items():
        lines += ["", f"  {title}"]
        lines += [
            f"{'!' if one.problem else ' '}   {one.name:{width}}  {one.text}".rstrip()
            for one in findings
        ]
    broken, marked = (
        cannot_run(found),
        sum(one.problem for findings in found.values() for one in findings),
    )
    if broken:
        return "\n".join([*lines, "", f"! bench-uq cannot run here: see {', '.join(broken)}"])
    look = f"; {marked} marked ! deserve{'s' if marked == 1 else ''} a look" if marked else ""
    return "\n".join([*lines, "", f"  bench-uq can run here{look}"])


def packages() -> Findings:
    """Look at Python and at every package that bench-uq requires: its version, and whether it can be imported."""
    old = not hasattr(tarfile, "data_filter")
    yield Finding(
        "python",
        platform.python_version() + (", older than 3.11.4: no archive is unpacked" * old),
        old,
    )
    try:
        required = importlib.metadata.requires("bench-uq") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("bench-uq", "is not installed: pip install .", problem=True, essential=True)
        return
    for line in required:
        match = re.match(r"([\w.-]+)(?:\s*>=\s*([\d.]+))?", line)
        if match and "extra ==" not in line:
            yield package(match[1], match[2] or "")


def package(name: str, minimum: str) -> Finding:
    """Look at one package."""
    try:
        version = importlib.metadata.version(name)
        importlib.import_module(MODULES.get(name, name.replace("-", "_")))
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            name, f"is missing: pip install '{name}>={minimum}'", problem=True, essential=True
        )
    except Exception as error:
        return Finding(
            name, f"{version}  fails at import: {one_line(error)}", problem=True, essential=True
        )
    if minimum and release(version) < release(minimum):
        return Finding(
            name, f"{version}  older than {minimum}: pip install '{name}>={minimum}'", problem=True
        )
    return Finding(name, version)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what is imported from printing and warning."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def release(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with, to compare by; 2.6 and 2.6.0 are one."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def machine() -> Findings:
    """Look at the system, the device that runs would use and the threads."""
    import torch

    from bench_uq.store.environment import processor

    yield Finding("system", f"{platform.system()} {platform.machine()}")
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        yield Finding(
            "device",
            f"CUDA: {processor(torch.device('cuda'))}, {gigabytes(free)} of {gigabytes(total)} free",
        )
    elif shutil.which("nvidia-smi"):
        built = (
            f"it is built for {torch.version.cuda}"
            if torch.version.cuda
            else "it is built for the CPU alone"
        )
        yield Finding(
            "device", f"CPU, although nvidia-smi is here: torch finds no GPU, {built}", problem=True
        )
    else:
        yield Finding("device", f"CPU: {processor(torch.device('cpu'))}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS")
    yield Finding(
        "cores",
        f"{cores}, torch uses {torch.get_num_threads()}"
        + (f" (OMP_NUM_THREADS={limit})" * bool(limit)),
    )


def folders(results: Path, reports: Path, data: Path) -> Findings:
    """Look at whether folders can be written to, as the commands do before they write, and at the room there is."""
    for name, folder in (("results", results), ("reports", reports), ("data", data)):
        there = os.path.isdir(
            folder
        )  # False, not an error, in a folder that may not be looked into
        try:
            if name != "data" or not there:  # data that are there are only read
                writable(folder)
            yield Finding(name, f"{folder}{'' if there else ', made when needed'}")
        except UsageError as error:
            yield Finding(name, str(error), problem=name != "data", essential=name == "results")
    free = shutil.disk_usage(nearest(results)).free
    yield Finding("disk", f"{gigabytes(free)} free for results", problem=free < ROOM)


def gigabytes(count: float) -> str:
    """Return bytes for people."""
    return f"{count / 1e9:,.1f} GB"


def datasets(root: Path) -> Findings:
    """Look at every dataset, as ``bench-uq prepare`` does."""
    from bench_uq.plan.plugins import Plugins
    from bench_uq.plan.prepare.inventory import states

    for one in states(Plugins(), root):
        yield Finding(one.name, f"{one.state:7}  {one.remark}", problem=one.state == "broken")


def tools() -> Findings:
    """Look at programs that are of use."""
    for name, purpose in TOOLS.items():
        yield Finding(name, f"{'there' if shutil.which(name) else 'absent':7}  {purpose}")


def plugins() -> Findings:
    """Look at the plugins that other packages bring, whether each can be made with its default options."""
    from bench_uq.plan.plugins import PACKAGES, Plugins

    found = [
        (kind, entry)
        for kind, group in PACKAGES.items()
        for entry in importlib.metadata.entry_points(group=group)
    ]
    for kind, entry in found:
        origin = (
            f"{kind} from {entry.dist.name} {entry.dist.version}"
            if entry.dist
            else f"{kind} {entry.value}"
        )
        try:
            Plugins().spec(kind, entry.name)
        except Exception as error:
            why = " ".join(str(error).split())
            yield Finding(
                entry.name, f"{origin}: broken, {why}", problem=True, essential=not usable(kind)
            )
        else:
            yield Finding(entry.name, origin)
    if not found:
        yield Finding("none", "--plugin FILE takes a method, dataset or condition from a file")


def usable(kind: str) -> bool:
    """Return whether plugins of a kind can be named at all: one of a taken or bad name is in the way of all."""
    from bench_uq.plan.plugins import Plugins

    try:
        return bool(Plugins().names(kind))
    except Exception:
        return False
