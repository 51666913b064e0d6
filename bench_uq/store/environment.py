"""What a run was made with: versions, device, source."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
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


def environment(device: torch.device) -> dict[str, str]:
    """Return the versions and the device that numbers depend on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device.type,
        "processor": processor(device),
        **package_versions(),
    }


@functools.cache
def package_versions() -> dict[str, str]:
    """Return the versions of the packages that numbers depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def processor(device: torch.device) -> str:
    """Return the name of the GPU or the CPU, with what torch can use of the latter."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = (
        Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    )
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""
    )
    return f"{model or platform.processor() or 'CPU'} ({torch.backends.cpu.get_cpu_capability()})"


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Return a short name for an environment."""
    return hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()[:8]


def git_state() -> str | None:
    """Return the commit of a source checkout, with ``-dirty`` where it was changed; None for an installed package."""
    source = Path(__file__).parents[2]
    if not (source / ".git").exists():
        return None
    command = [
        "git",
        "-C",
        str(source),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def peak_memory(device: torch.device) -> int:
    """Return the most memory this process has held, in bytes: of the GPU where it used one, else of the host."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
