"""TOML and flags -> Suite. Every error lists what is allowed; nothing is written here."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import NAME, convert, parse
from bench_uq.train.settings import Settings

#: Condition -> levels, empty for unseen data.
Conditions = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Suite:
    """Which runs and conditions; its name is the folder of its results."""

    name: str
    description: str
    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Settings
    network: str = ""  # of all datasets; empty: the one that each dataset's task names
    method_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by plain name
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by plain name
    conditions: Conditions = field(default_factory=dict)
    dataset_conditions: Mapping[str, Conditions] = field(default_factory=dict)  # by plain name

    def settings_of(self, method: str) -> Settings:
        """Return the settings of a method, by its plain name."""
        return dataclasses.replace(self.settings, **self.method_settings.get(method, {}))

    def conditions_of(self, dataset: str) -> Conditions:
        """Return the conditions beside ``clean`` for a dataset, by its plain name."""
        return {**self.conditions, **self.dataset_conditions.get(dataset, {})}


KEYS = (
    "description",
    "extends",
    "methods",
    "datasets",
    "seeds",
    "network",
    "settings",
    "options",
    "conditions",
)


def shipped() -> dict[str, Path]:
    """Return the suites that ship with bench-uq, by name."""
    folder = Path(str(importlib.resources.files("bench_uq.plan.suites")))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_suite(name: str, flags: Mapping[str, Any] | None = None) -> Suite:
    """Return the suite of that name or file, changed by the flags: ``methods``, ``datasets``, ``seeds``, ``network``,
    ``set``.
    """
    path = suite_path(name)
    table = read_table(path)
    flags = {key: value for key, value in (flags or {}).items() if value}
    table |= {key: list(flags[key]) for key in ("methods", "datasets", "seeds") if key in flags}
    if "network" in flags:
        table["network"] = flags["network"]
    for assignment in flags.get("set", ()):
        apply_assignment(table, assignment)
    return suite_from(path.stem, table)


def suite_path(name: str) -> Path:
    """Return the file of a suite that is shipped or a path."""
    if name in shipped():
        return shipped()[name]
    path = Path(name)
    if path.suffix == ".toml" and os.path.isfile(
        path
    ):  # unlike Path.is_file false for a name that is too long
        if not NAME.fullmatch(path.stem):
            raise UsageError(
                f"{path.stem!r} is no name for a suite: letters a-z, digits, '.', '_' and '-', at most 64"
            )
        return path
    if path.suffix == ".toml":
        raise UsageError(f"no suite file {name!r}")
    raise unknown("suite", name, shipped())


def read_table(path: Path) -> dict[str, Any]:
    """Return a suite's table, laid over the suites that it extends."""
    return functools.reduce(laid_over, lineage(path).values())


def lineage(path: Path, seen: tuple[Path, ...] = ()) -> dict[Path, dict[str, Any]]:
    """Return the files of the suites that a suite extends, the furthest first, and its own, each with its table."""
    path = path.resolve()
    if path in seen:
        raise UsageError(f"suite {path.stem!r} extends itself")
    table = toml(path)
    check_keys(path.name, table, KEYS)
    if str(table.get("network", "")).endswith(".py"):
        table["network"] = str(path.parent / table["network"])
    if "extends" not in table:
        return {path: table}
    name = str(table.pop("extends"))
    beside = path.parent / f"{name}.toml"
    base = beside if os.path.isfile(beside) else suite_path(name)
    return {**lineage(base, (*seen, path)), path: table}


def toml(path: Path) -> dict[str, Any]:
    """Return the table in a TOML file; whole numbers are of 64 bits, as TOML says and Python does not."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        check_integers(table)
    except (OSError, ValueError) as error:  # errors of TOML and of UTF-8 are ValueErrors
        raise UsageError(f"{path}: {error}") from error
    except RecursionError:
        raise UsageError(f"{path}: tables or lists are nested too deep") from None
    return table


def check_integers(value: Any) -> None:
    """Raise a ValueError where a whole number is too large to be one of TOML's."""
    for part in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        check_integers(part)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number has more than 64 bits")


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` on top; what ``over`` sets for all methods no single one keeps from ``base``."""
    settings, ours = base.get("settings"), over.get("settings")
    if isinstance(settings, Mapping) and isinstance(ours, Mapping):
        parts = {
            key: {name: one for name, one in part.items() if name not in ours}
            if isinstance(part, Mapping)
            else part
            for key, part in settings.items()
        }
        base = {**base, "settings": parts}
    return merge(base, over)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid on top, table by table; lists are replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def check_keys(where: str, table: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Refuse keys that mean nothing."""
    for key in table:
        if key not in allowed:
            raise unknown(f"key in {where}", key, allowed)


def apply_assignment(table: dict[str, Any], assignment: str) -> None:
    """Apply KEY=VALUE: a bare key is a setting of all methods, METHOD.option an option of one."""
    key, equals, value = assignment.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key or not value:
        raise UsageError(f"--set takes KEY=VALUE, not {assignment!r}")
    method, dot, option = key.rpartition(".")
    if dot:
        table["options"] = merge(
            tabled("options", table.get("options", {})), {method: {option: value}}
        )
        return
    if key not in SETTING_TYPES:
        raise unknown("setting", key, SETTING_TYPES)
    over = {"settings": {key: value}}
    table["settings"] = laid_over(
        table | {"settings": tabled("settings", table.get("settings", {}))}, over
    )["settings"]


SETTING_TYPES = get_type_hints(Settings)


def suite_from(name: str, table: Mapping[str, Any]) -> Suite:
    """Check a table and freeze it."""
    for key in ("methods", "datasets", "seeds", "settings"):
        if key not in table:
            raise UsageError(f"suite {name!r} lacks {key!r}")
    shared, special = split_tables(table["settings"])
    conditions, by_dataset = split_tables(table.get("conditions", {}))
    return Suite(
        name=name,
        description=str(table.get("description", "")),
        methods=names("methods", table["methods"]),
        datasets=names("datasets", table["datasets"]),
        seeds=seeds(table["seeds"]),
        settings=Settings(**typed_settings(shared)),
        network=str(table.get("network", "")),
        method_settings=checked({key: typed_settings(part) for key, part in special.items()}),
        options={
            key: dict(tabled(f"options.{key}", part))
            for key, part in tabled("options", table.get("options", {})).items()
        },
        conditions={key: levels(key, value) for key, value in conditions.items()},
        dataset_conditions={
            dataset: {key: levels(key, value) for key, value in part.items()}
            for dataset, part in by_dataset.items()
        },
    )


def split_tables(table: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a table into its plain values and its tables."""
    table = tabled("settings and conditions", table)
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    return {key: value for key, value in table.items() if key not in tables}, tables


def tabled(where: str, value: Any) -> Mapping[str, Any]:
    """Return a table, or refuse what is none."""
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be a table, not {value!r}")
    return value


def typed_settings(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in their types."""
    check_keys("settings", table, list(SETTING_TYPES))
    return {key: convert(key, SETTING_TYPES[key], value) for key, value in table.items()}


def checked(special: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Check the settings of single methods by their own rules."""
    for part in special.values():
        Settings(**part)
    return special


def names(key: str, value: Any) -> tuple[str, ...]:
    """Return a list of names, none empty, none twice."""
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(name, str) for name in value)
    ):
        raise UsageError(f"{key} must be a list of names, not {value!r}")
    for name in value:
        parse(name)
    return unrepeated(key, value)


def unrepeated(key: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the values, refusing repeated ones."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise UsageError(f"{key}: {value} is given twice")
    return tuple(values)


def seeds(value: Any) -> tuple[int, ...]:
    """Return seeds: whole numbers from 0, none twice."""
    if not isinstance(value, list | tuple) or not value:
        raise UsageError(f"seeds must be a list of whole numbers, not {value!r}")
    found = [convert("seeds", int, seed) for seed in value]
    for seed in found:
        if not 0 <= seed < 2**63:
            raise UsageError(f"seeds must be at least 0, not {seed}")
    return unrepeated("seeds", found)


def levels(condition: str, value: Any) -> tuple[float, ...]:
    """Return the levels of a condition: finite numbers, none twice."""
    parse(condition)
    if not isinstance(value, list):
        raise UsageError(f"the levels of {condition} must be a list, not {value!r}")
    found = [convert(f"levels of {condition}", float, level) for level in value]
    for level in found:
        if not math.isfinite(level) or level < 0:
            raise UsageError(f"levels of {condition} must be finite and at least 0, not {level}")
    return unrepeated(f"levels of {condition}", found)
