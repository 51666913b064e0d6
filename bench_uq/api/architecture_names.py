"""Names of networks of torchvision and timm; torch is not loaded to read them.

``torchvision:resnet18`` or ``timm:resnet18`` is that architecture without weights. In brackets:
``size`` resizes images to so many pixels a side, ``weights`` is a file of its state dict, and
``frozen`` trains its last layer alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench_uq.api.errors import UsageError
from bench_uq.api.names import convert_options, parse

#: Packages whose architectures have a name here.
PACKAGES = ("torchvision", "timm")


@dataclass(frozen=True)
class Architecture:
    """Options behind a name; a size of 0 leaves images as they are, no weights start at random."""

    size: int = 0
    weights: str = ""
    frozen: bool = False

    def __post_init__(self) -> None:
        if self.size < 0:
            raise UsageError(f"size must be at least 0, not {self.size}")
        if self.frozen and not self.weights:
            raise UsageError("frozen needs weights=FILE: random features are not worth freezing")


def is_architecture(name: str) -> bool:
    """Whether a network is named as one of another package."""
    return name.partition(":")[0] in PACKAGES and ":" in name


def weights_of(name: str) -> Path | None:
    """The file of weights in the name of an architecture."""
    given = read(name)[2].weights if is_architecture(name) else ""
    return Path(given) if given else None


def with_weights(name: str, file: Path) -> str:
    """The name of an architecture with its weights at another path."""
    if set(str(file)) & set(",[]"):
        raise UsageError(f"weights cannot lie at a path with a comma or brackets: {str(file)!r}")
    plain, options = parse(name.partition(":")[2])
    text = ",".join(f"{key}={value}" for key, value in {**options, "weights": str(file)}.items())
    return f"{name.partition(':')[0]}:{plain}[{text}]"


def read(name: str) -> tuple[str, str, Architecture]:
    """Package, architecture and options of a name."""
    package, _, rest = name.partition(":")
    plain, options = parse(rest)
    return package, plain, Architecture(**convert_options(name, Architecture, options))


def shown_network(name: str) -> str:
    """A network as results name it: files by their last part, because results are published."""
    if weights := weights_of(name):
        return with_weights(name, Path(weights.name))
    return Path(name).name
