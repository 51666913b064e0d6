"""A model of the user's own: a factory in a file, and weights in another."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from bench_uq.api.errors import BadValue, UsageError, one_line
from bench_uq.api.user_files import load_module
from bench_uq.api.weights import weights_in

#: Endings of files of whole models, which torch unpickles: torch.export, TorchScript, torch.save.
PICKLED = (".pt2", ".pt", ".pth", ".ts", ".ptl", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib")


def model_of(text: str, weights: Path | None) -> nn.Module:
    """The model that ``FILE.py:factory`` makes, with every weight of a safetensors file if given.

    Weights are saved by ``safetensors.torch.save_file(model.state_dict(), "weights.safetensors")``,
    and nothing is unpickled here. A factory is code of the user, and may load what it likes.
    """
    if Path(text).suffix in PICKLED:
        raise BadValue(
            f"{text}: a whole model is pickled, and such a file can run code when it is read. Give "
            "--model FILE.py:factory, where the factory builds the model, and --weights "
            "FILE.safetensors; or a factory that loads your own file itself"
        )
    file, _, name = text.rpartition(":")
    if not file or not name.isidentifier():
        raise BadValue(f"--model takes FILE.py:factory, not {text!r}")
    module = load_module(Path(file).expanduser())
    factory = getattr(module, name, None)
    if not callable(factory):
        known = [one for one, value in vars(module).items() if callable(value) and one[0] != "_"]
        raise BadValue(f"{file} holds no function {name!r} (it holds {', '.join(known) or 'none'})")

    try:
        model = factory()
    except Exception as error:
        # Code of the user may raise anything.
        raise UsageError(f"{text} fails: {one_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise BadValue(f"{text} makes a {type(model).__name__}, not an nn.Module")
    if weights is not None:
        load(model, weights)
    return model


def load(model: nn.Module, weights: Path) -> None:
    """Load weights; every parameter and buffer must be there, and no other."""
    found = weights_in(weights)
    try:
        model.load_state_dict(found, strict=True)
    except RuntimeError as error:
        # Of another network, in many lines.
        told = " ".join(str(error).split())[:300]
        raise BadValue(f"{weights} does not fit the model: {told}") from error
