"""What every plugin promises, whatever its kind; that its options can be written down is seen before any check."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from bench_uq.api.names import field_name, option_types
from bench_uq.testing import Broken, Note, Target, require


def subjects(target: Target) -> Sequence[Target]:
    """Return the plugin."""
    return (target,)


def check_docstring(target: Target) -> None:
    """Its class says in a sentence what it is, for bench-uq list."""
    cls = type(target.value)
    made_up = f"{cls.__name__}("  # how dataclass begins one
    require(
        not (cls.__doc__ or made_up).startswith(made_up), f"class {cls.__name__} has no docstring"
    )


def check_reference(target: Target) -> None:
    """It names where it comes from, with a link."""
    reference = target.value.reference
    require(bool(reference.strip()), "'reference' is empty: name a paper or an origin")
    if "https://" not in reference:
        raise Note(f"no https:// link in {reference!r}")


def check_frozen(target: Target) -> None:
    """Its options cannot change once it is made."""
    for field in dataclasses.fields(target.value):
        try:
            setattr(target.value, field.name, getattr(target.value, field.name))
        except dataclasses.FrozenInstanceError:
            continue
        raise Broken(
            f"option {field.name!r} can be assigned to: decorate the class with @dataclass(frozen=True)"
        )


def check_nonsense(target: Target) -> None:
    """Its options refuse nan, from Python too."""
    for name, kind in option_types(type(target.value)).items():
        if kind is float:
            try:
                dataclasses.replace(target.value, **{field_name(name): math.nan})
            except ValueError:
                continue
            raise Note(
                f"{name}=nan is taken where the class is made in Python: raise ValueError in __post_init__"
            )


def check_spelling(target: Target) -> None:
    """Its name with all options spelled out makes the same plugin again."""
    spec = target.spec
    assert spec is not None
    again = target.plugins.spec(target.kind, spec.full)
    require(
        again.value == spec.value,
        f"{spec.full} makes {again.full}: options must be kept as they are given",
    )
