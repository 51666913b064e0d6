"""bench-uq doctor: check the installation, the machine and the data; nothing is written."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import itertools
import json
import os
import platform
import re
import shutil
import sys
import tarfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from bench_uq._version import __version__
from bench_uq.api.errors import UsageError, one_line
from bench_uq.cli.options import FAILED, data_option, json_option, results_option
from bench_uq.store.folders import nearest, writable

#: Packages that are imported under another name.
MODULES = {"pillow": "PIL", "scikit-learn": "sklearn"}

#: Bytes that a suite of images takes, roughly.
ROOM = 2e9

#: Features of a CPU with arithmetic in bfloat16: of x86 and of ARM.
BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}

#: Examples and bins by which the arithmetic is held against netcal.
EXAMPLES, BINS = 1000, 15

TOOLS = {
    "git": "records the commit of the source in results",
    "nvidia-smi": "shows whether a GPU and its driver are there",
    "pdflatex": "compiles the tables of a report",
    "pdftotext": "reads compiled tables back to check them",
}


@dataclass(frozen=True)
class Finding:
    """One finding; bench-uq cannot run with a problem that is essential."""

    name: str
    text: str
    problem: bool = False
    essential: bool = False


Findings = Iterator[Finding]


@click.command()
@results_option
@data_option
@json_option
def doctor(results: Path, data_dir: Path, as_json: bool) -> None:
    """Check packages, device, folders, data and plugins, and mark their problems."""
    found = examine(results, Path("reports"), data_dir)
    click.echo(as_text(found) if as_json else text(found))
    sys.exit(FAILED if cannot_run(found) else 0)


def examine(results: Path, reports: Path, data: Path) -> dict[str, list[Finding]]:
    """All findings by section; a section that fails is a finding of its own."""
    sections: dict[str, Callable[[], Findings]] = {
        "packages": packages,
        "machine": machine,
        "arithmetic": arithmetic,
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


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide output and warnings of imports."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        # Packages warn of each other at import, which is not what the user asks about.
        warnings.simplefilter("ignore")
        yield


def cannot_run(found: dict[str, list[Finding]]) -> list[str]:
    """Names of the findings that keep bench-uq from running."""
    findings = itertools.chain.from_iterable(found.values())
    return [one.name for one in findings if one.problem and one.essential]


def as_text(found: dict[str, list[Finding]]) -> str:
    """All findings by section as JSON, and whether bench-uq can run."""
    sections = {}
    for title, findings in found.items():
        sections[title] = [vars(one) for one in findings]
    return json.dumps({"can_run": not cannot_run(found), "sections": sections}, indent=1)


def text(found: dict[str, list[Finding]]) -> str:
    """All findings as aligned text, with a mark at the left of each problem, and a conclusion."""
    width = max(len(one.name) for one in itertools.chain.from_iterable(found.values()))
    lines = [f"bench-uq {__version__}"]
    marked = 0

    for title, findings in found.items():
        lines += ["", f"  {title}"]
        for one in findings:
            mark = "!" if one.problem else " "
            lines.append(f"{mark}   {one.name:{width}}  {one.text}".rstrip())
            marked += one.problem

    conclusion = "  bench-uq can run here"
    if broken := cannot_run(found):
        conclusion = f"! bench-uq cannot run here: see {', '.join(broken)}"
    elif marked:
        verb = "deserves" if marked == 1 else "deserve"
        conclusion += f"; {marked} marked ! {verb} a look"

    return "\n".join([*lines, "", conclusion])


def packages() -> Findings:
    """Python, and version and import of every package that bench-uq requires."""
    version = platform.python_version()
    # The filter came to 3.11 with 3.11.4, and archives are never unpacked without it.
    old = not hasattr(tarfile, "data_filter")
    if old:
        version += ", older than 3.11.4: no archive is unpacked"
    yield Finding("python", version, old)

    try:
        required = importlib.metadata.requires("bench-uq") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("bench-uq", "is not installed: pip install .", problem=True, essential=True)
        return

    for line in required:
        match = re.match(r"([\w.-]+)(?:\s*>=\s*([\d.]+))?", line)
        # Packages of an extra are not required.
        if match and "extra ==" not in line:
            yield package(match[1], match[2] or "")


def package(name: str, minimum: str) -> Finding:
    """Version of a package, and whether it can be imported."""
    install = f"pip install '{name}>={minimum}'"
    try:
        version = importlib.metadata.version(name)
        importlib.import_module(MODULES.get(name, name.replace("-", "_")))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, f"is missing: {install}", problem=True, essential=True)
    except Exception as error:
        failure = f"{version}  fails at import: {one_line(error)}"
        return Finding(name, failure, problem=True, essential=True)

    if minimum and release(version) < release(minimum):
        return Finding(name, f"{version}  older than {minimum}: {install}", problem=True)
    return Finding(name, version)


def release(version: str) -> tuple[int, ...]:
    """Numbers at the start of a version, for comparison; 2.6 equals 2.6.0."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def machine() -> Findings:
    """System, the device that runs would use, and threads."""
    import torch

    from bench_uq.store.environment import cores

    yield Finding("system", f"{platform.system()} {platform.machine()}")
    yield device()

    threads = f"{cores()}, torch uses {torch.get_num_threads()}"
    if limit := os.environ.get("OMP_NUM_THREADS"):
        threads += f" (OMP_NUM_THREADS={limit})"
    yield Finding("cores", threads)
    yield Finding("bfloat16", bfloat16(cpu_flags()))


def bfloat16(flags: set[str]) -> str:
    """Whether trainings gain by mixed precision here; ``flags`` are the CPU's features."""
    import torch

    if torch.cuda.is_available():
        there = torch.cuda.is_bf16_supported()
    elif not flags:
        return "unknown: the features of this CPU cannot be read"
    else:
        there = bool(flags & BFLOAT16)
    if there:
        return "there: --set precision=bfloat16 trains in it"
    return "absent: precision=bfloat16 would be emulated, and slow"


def cpu_flags() -> set[str]:
    """Features of the CPU, as Linux names them; empty elsewhere."""
    from bench_uq.store.environment import of_cpu

    # On x86 and on ARM.
    return set(of_cpu("flags", "Features").split())


def device() -> Finding:
    """Device that runs would use; a GPU that torch does not find is a problem."""
    import torch

    from bench_uq.store.environment import processor

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = processor(torch.device("cuda"))
        return Finding("device", f"CUDA: {name}, {gigabytes(free)} of {gigabytes(total)} free")

    # The driver is here, so a GPU probably is too, and torch should see it.
    if shutil.which("nvidia-smi"):
        built = torch.version.cuda or "the CPU alone"
        missing = f"torch finds no GPU, it is built for {built}"
        return Finding("device", f"CPU, although nvidia-smi is here: {missing}", problem=True)

    return Finding("device", f"CPU: {processor(torch.device('cpu'))}")


def arithmetic() -> Findings:
    """Whether the binned calibration errors of this machine are those of netcal, to the digit."""
    import netcal
    import numpy as np
    from netcal.metrics.confidence import ECE, MCE

    from bench_uq.metrics import _netcal

    rng = np.random.default_rng(0)
    confidence = rng.random(EXAMPLES)
    hits = (rng.random(EXAMPLES) < confidence).astype(np.float64)
    pairs = {
        "ECE": (_netcal.expected_error(confidence, hits, BINS), ECE(BINS)),
        "MCE": (_netcal.maximum_error(confidence, hits, BINS), MCE(BINS)),
    }

    for name, (own, measure) in pairs.items():
        # It reads one-dimensional float64 arrays alone without surprises.
        theirs = float(measure.measure(confidence, hits))
        if own == theirs:
            yield Finding(name, f"that of netcal {netcal.__version__}, to the last digit")
        else:
            yield Finding(name, f"{own!r}, where netcal has {theirs!r}", problem=True)


def folders(results: Path, reports: Path, data: Path) -> Findings:
    """Whether folders can be written to, and the free space on the disk of the results."""
    for name, folder in (("results", results), ("reports", reports), ("data", data)):
        # Unlike Path.is_dir it is false in a folder that cannot be searched.
        there = os.path.isdir(folder)
        try:
            # Existing data are only read.
            if name != "data" or not there:
                writable(folder)
            yield Finding(name, f"{folder}{'' if there else ', made when needed'}")
        except UsageError as error:
            # Without a report a run is still stored; without results nothing is.
            yield Finding(name, str(error), problem=name != "data", essential=name == "results")

    free = shutil.disk_usage(nearest(results)).free
    yield Finding("disk", f"{gigabytes(free)} free for results", problem=free < ROOM)


def gigabytes(count: float) -> str:
    """Bytes for people."""
    return f"{count / 1e9:,.1f} GB"


def datasets(root: Path) -> Findings:
    """Every dataset, as ``bench-uq prepare`` lists it."""
    from bench_uq.plan.plugins import Plugins
    from bench_uq.plan.prepare.inventory import states

    # Missing data are no problem; a broken plugin is.
    for one in states(Plugins(), root):
        yield Finding(one.name, f"{one.state:7}  {one.remark}", problem=one.state == "broken")


def tools() -> Findings:
    """Useful programs."""
    for name, purpose in TOOLS.items():
        there = "there" if shutil.which(name) else "absent"
        yield Finding(name, f"{there:7}  {purpose}")


def plugins() -> Findings:
    """Plugins of other packages: where each comes from, and whether it loads."""
    from bench_uq.plan.plugins import PACKAGES, Plugins

    count = 0
    for kind, group in PACKAGES.items():
        for entry in importlib.metadata.entry_points(group=group):
            count += 1
            origin = f"{kind} {entry.value}"
            if entry.dist:
                origin = f"{kind} from {entry.dist.name} {entry.dist.version}"
            try:
                if kind == "metric":
                    # One entry point may bring several.
                    Plugins().metrics()
                else:
                    Plugins().spec(kind, entry.name)
            except Exception as error:
                broken = f"{origin}: broken, {' '.join(str(error).split())}"
                yield Finding(entry.name, broken, problem=True, essential=not usable(kind))
            else:
                yield Finding(entry.name, origin)

    if not count:
        yield Finding("none", "--plugin FILE takes a plugin from a file")


def usable(kind: str) -> bool:
    """Whether plugins of a kind can be listed; a single taken or bad name prevents it for all."""
    from bench_uq.plan.plugins import Plugins

    try:
        return bool(Plugins().names(kind))
    except Exception:
        return False
