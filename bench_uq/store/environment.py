"""Versions, device and source that a run was made with."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PACKAGES = ("bench-uq", "matplotlib", "numpy", "scikit-learn", "scipy", "torch", "torchvision")


def cores() -> int:
    """Cores that this process may use."""
    # In a container or a job of SLURM fewer cores are allowed than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment(device: torch.device) -> dict[str, str]:
    """Versions and device that numbers depend on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device.type,
        "processor": processor(device),
        **package_versions(),
    }


@functools.cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that numbers depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def processor(device: torch.device) -> str:
    """Name of the GPU, or of the CPU with the instructions that torch uses of it."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)

    # The name alone would not do: torch has other kernels for AVX2 than for AVX-512, and these
    # differ in the last digits.
    model = of_cpu("model name") or platform.processor() or "CPU"
    return f"{model} ({torch.backends.cpu.get_cpu_capability()})"


def of_cpu(*names: str) -> str:
    """The first of some facts of the CPU, as Linux names them; empty elsewhere."""
    known = Path("/proc/cpuinfo")
    for line in known.read_text().splitlines() if known.is_file() else ():
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Short name of an environment."""
    return hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()[:8]


def git_state() -> str | None:
    """Commit of a source checkout, with ``-dirty`` if it is changed; None for a package."""
    source = Path(__file__).parents[2]
    if not (source / ".git").exists():
        return None

    # Tags are excluded, since they would stand for the commit.
    asked = ("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    command = ["git", "-C", str(source), *asked]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def peak_memory(device: torch.device) -> int:
    """Most bytes that this process has held, on the GPU if it used one, else on the host."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))

    # macOS counts bytes, Linux KiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
