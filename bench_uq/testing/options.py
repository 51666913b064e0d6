"""Requirements of every plugin; without sound types of its options it would not be a target."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from bench_uq.api.names import field_name, option_types
from bench_uq.testing.contract import Broken, Note, Target, require


def subjects(target: Target) -> Sequence[Target]:
    """The plugin itself."""
    return (target,)


def check_docstring(target: Target) -> None:
    """The class has a docstring, one sentence for bench-uq list."""
    cls = type(target.value)
    # A dataclass without a docstring gets one that begins so.
    generated = f"{cls.__name__}("
    own = not (cls.__doc__ or generated).startswith(generated)
    require(own, f"class {cls.__name__} has no docstring")


def check_reference(target: Target) -> None:
    """The reference names a paper or an origin, with a link."""
    reference = target.value.reference
    require(reference.strip(), "'reference' is empty: name a paper or an origin")
    if "https://" not in reference:
        raise Note(f"no https:// link in {reference!r}")


def check_frozen(target: Target) -> None:
    """Options cannot be assigned to after construction."""
    for field in dataclasses.fields(target.value):
        try:
            # Set to its own value, so that a class that is not frozen stays as it was.
            setattr(target.value, field.name, getattr(target.value, field.name))
        except dataclasses.FrozenInstanceError:
            continue
        advice = "decorate the class with @dataclass(frozen=True)"
        raise Broken(f"option {field.name!r} can be assigned to: {advice}")


def check_nonsense(target: Target) -> None:
    """Options refuse nan, also when the class is used from Python."""
    for name, kind in option_types(type(target.value)).items():
        if kind is float:
            try:
                dataclasses.replace(target.value, **{field_name(name): math.nan})
            except ValueError:
                continue
            raise Note(f"{name}=nan is accepted in Python: raise ValueError in __post_init__")


def check_spelling(target: Target) -> None:
    """The full name, with all options spelled out, makes an equal plugin."""
    spec = target.spec
    assert spec is not None
    again = target.plugins.spec(target.kind, spec.full)
    # Dataclasses are equal if their options are.
    equal = again.value == spec.value
    require(equal, f"{spec.full} makes {again.full}: keep options as they are given")
