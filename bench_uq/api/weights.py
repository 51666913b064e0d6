"""State dicts in files of the user."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bench_uq.api.errors import BadValue, one_line


def weights_in(file: Path) -> dict[str, Tensor]:
    """The state dict in a safetensors file; nothing is unpickled."""
    if file.suffix != ".safetensors":
        raise BadValue(
            f"{file}: weights are a .safetensors file, which runs no code when it is read "
            "(safetensors.torch.save_file(model.state_dict(), 'weights.safetensors'))"
        )
    if not file.is_file():
        raise BadValue(f"no file {str(file)!r}")

    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise BadValue(f"{file} is damaged: {one_line(error)}") from error
