"""Suite files and flags to a Suite. Every error lists the allowed values; nothing is written."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from bench_uq.api.architecture_names import weights_of, with_weights
from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import check_name, convert, level_key, parse
from bench_uq.train.settings import OF_METHODS, Settings

#: Levels by condition; empty for out-of-distribution data.
Conditions = Mapping[str, tuple[float, ...]]

#: Keys of a suite file.
KEYS = (
    *("description", "extends", "methods", "datasets", "seeds", "network"),
    *("settings", "options", "conditions", "search", "tuned", "reference", "labels"),
)

SETTING_TYPES = get_type_hints(Settings)

#: Seeds from the first to the last, and how many are more likely a slip of the hand.
_RANGE, MOST_SEEDS = re.compile(r"(\d{1,18})-(\d{1,18})"), 10_000


@dataclass(frozen=True)
class Suite:
    """Runs and conditions to evaluate; the name of a suite is the folder of its results."""

    name: str
    description: str
    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Settings
    network: str = ""  # of all datasets; by default each dataset's task names one

    # By plain name of a method, plugin or dataset.
    method_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    conditions: Conditions = field(default_factory=dict)
    dataset_conditions: Mapping[str, Conditions] = field(default_factory=dict)
    #: What bench-uq tune tries, by plain name of a method and by option or setting.
    search: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Methods whose posterior predictive the others of the same posterior are compared with; they
    #: are run with them.
    references: tuple[str, ...] = ()
    #: How figures and tables call methods, datasets and conditions, by plain or whole name.
    labels: Mapping[str, str] = field(default_factory=dict)
    tuned: str = ""  # file of what bench-uq tune chose, by which the methods run
    #: What results call methods whose options differ between seeds, by name.
    called: Mapping[str, str] = field(default_factory=dict)
    #: As it was before its method had what a study chose; None if none did.
    untuned: Suite | None = None

    def settings_of(self, method: str) -> Settings:
        """Settings of a method, by its plain name."""
        return dataclasses.replace(self.settings, **self.method_settings.get(method, {}))

    def conditions_of(self, dataset: str) -> Conditions:
        """Conditions beside ``clean`` for a dataset, by its plain name."""
        return {**self.conditions, **self.dataset_conditions.get(dataset, {})}


def shipped() -> dict[str, Path]:
    """Suites that ship with bench-uq, by name."""
    folder = Path(str(importlib.resources.files("bench_uq.plan.suites")))
    return {path.stem: path for path in sorted(folder.glob("*.toml"), key=lambda one: one.stem)}


def read_suite(name: str, flags: Mapping[str, Any] | None = None) -> Suite:
    """Read the suite of a name or file, and apply flags to it.

    Flags are ``methods``, ``datasets``, ``seeds``, ``network`` and ``set``.
    """
    path = suite_path(name)
    table = read_table(path)

    # Flags that the user left out are empty and must not replace what the file says.
    given = {key: value for key, value in (flags or {}).items() if value}
    for key in ("methods", "datasets", "seeds"):
        if key in given:
            table[key] = list(given[key])
    if "network" in given:
        table["network"] = given["network"]
    for assignment in given.get("set", ()):
        apply_assignment(table, assignment)

    return suite_from(path.stem, table)


def plugins_named(name: str, methods: Sequence[str], datasets: Sequence[str]) -> list[str]:
    """Names of the methods, datasets and conditions of a suite, of which nothing is checked.

    ``methods`` and ``datasets`` replace those of the suite, unless they are empty.
    """
    table = read_table(suite_path(name))
    names = list[Any]()
    for own in (methods or table.get("methods"), datasets or table.get("datasets")):
        names += own if isinstance(own, (list, tuple)) else []

    conditions = table.get("conditions")
    if isinstance(conditions, Mapping):
        for one, levels in conditions.items():
            # Those of one dataset are in a table of its own.
            names += levels if isinstance(levels, Mapping) else [one]
    return [one for one in names if isinstance(one, str)]


def suite_path(name: str) -> Path:
    """File of a suite, which is shipped or a path."""
    if name in shipped():
        return shipped()[name]

    path = Path(os.path.expanduser(name))
    if path.suffix != ".toml":
        raise unknown("suite", name, shipped())
    # Unlike Path.is_file it is false, and no error, for a name that is too long.
    if not os.path.isfile(path):
        raise UsageError(f"no suite file {name!r}")
    check_name("suite", path.stem)
    return path


def read_table(path: Path) -> dict[str, Any]:
    """Table of a suite, laid over those of the suites that it extends."""
    return functools.reduce(laid_over, lineage(path).values())


def lineage(path: Path, seen: tuple[Path, ...] = ()) -> dict[Path, dict[str, Any]]:
    """Tables by file: of the suites that a suite extends, the most distant first, then its own."""
    path = path.resolve()
    if path in seen:
        raise UsageError(f"suite {path.stem!r} extends itself")

    table = toml(path)
    check_keys(path.name, table, KEYS)
    # Files are named relative to the suite, wherever the command runs.
    network = str(table.get("network", ""))
    if network.endswith(".py"):
        table["network"] = str(path.parent / os.path.expanduser(network))
    elif weights := weights_of(network):
        table["network"] = with_weights(network, path.parent / os.path.expanduser(weights))
    if "tuned" in table:
        table["tuned"] = str(path.parent / os.path.expanduser(str(table["tuned"])))
    if "extends" not in table:
        return {path: table}

    name = str(table.pop("extends"))
    # A suite of the user beside the file goes before a shipped one of the same name.
    beside = path.parent / f"{name}.toml"
    if not os.path.isfile(beside):
        beside = suite_path(name)
    return {**lineage(beside, (*seen, path)), path: table}


def toml(path: Path) -> dict[str, Any]:
    """Table of a TOML file; whole numbers of more than 64 bits, which TOML lacks, are refused."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        check_integers(table)
    except (OSError, ValueError) as error:
        # The errors of TOML and of UTF-8 are ValueErrors.
        raise UsageError(f"{path}: {error}") from error
    except RecursionError:
        raise UsageError(f"{path}: tables or lists are nested too deep") from None
    return table


def check_integers(value: Any) -> None:
    """Raise ValueError if a whole number is too large for TOML."""
    # tomllib reads integers of any size, which would fail later in NumPy or torch.
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number has more than 64 bits")

    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            check_integers(part)


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` on top.

    A setting that ``over`` sets for all methods replaces what ``base`` sets for single ones.
    """
    settings, ours = base.get("settings"), over.get("settings")

    if isinstance(settings, Mapping) and isinstance(ours, Mapping):
        kept = {}
        for key, part in settings.items():
            if isinstance(part, Mapping):
                # A setting for all methods means all, also those that the base sets by themselves.
                part = {name: value for name, value in part.items() if name not in ours}
            kept[key] = part
        base = {**base, "settings": kept}

    return merge(base, over)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` on top, table by table; lists are replaced."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            value = merge(merged[key], value)
        merged[key] = value
    return merged


def check_keys(where: str, table: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Refuse unknown keys."""
    for key in table:
        if key not in allowed:
            raise unknown(f"key in {where}", key, allowed)


def apply_assignment(table: dict[str, Any], assignment: str) -> None:
    """Apply KEY=VALUE.

    A bare key is a setting of all methods, METHOD.key one of OF_METHODS for one method, and
    PLUGIN.option an option of a plugin.
    """
    key, equals, value = (part.strip() for part in assignment.partition("="))
    if not equals or not key or not value:
        raise UsageError(f"--set takes KEY=VALUE, not {assignment!r}")

    plugin, dot, option = key.rpartition(".")
    if dot and option in OF_METHODS:
        settings = tabled("settings", table.get("settings", {}))
        table["settings"] = merge(settings, {plugin: {option: value}})
        return
    if dot:
        options = tabled("options", table.get("options", {}))
        table["options"] = merge(options, {plugin: {option: value}})
        return

    if key not in SETTING_TYPES:
        raise unknown("setting", key, SETTING_TYPES)
    before = {"settings": tabled("settings", table.get("settings", {}))}
    table["settings"] = laid_over(before, {"settings": {key: value}})["settings"]


def suite_from(name: str, table: Mapping[str, Any]) -> Suite:
    """Check a table and freeze it."""
    for key in ("methods", "datasets", "seeds", "settings"):
        if key not in table:
            raise UsageError(f"suite {name!r} lacks {key!r}")

    shared, special = split_tables(table["settings"])
    method_settings = {method: typed_settings(part) for method, part in special.items()}
    for part in method_settings.values():
        # Made and dropped: only Settings knows its own rules.
        Settings(**part)

    options = {}
    for plugin, part in tabled("options", table.get("options", {})).items():
        options[plugin] = dict(tabled(f"options.{plugin}", part))

    spaces = {}
    for method, part in tabled("search", table.get("search", {})).items():
        spaces[method] = dict(tabled(f"search.{method}", part))

    labels = tabled("labels", table.get("labels", {}))
    for labelled, text in labels.items():
        check_label(labelled, text)

    conditions, by_dataset = split_tables(table.get("conditions", {}))

    return Suite(
        name=name,
        description=str(table.get("description", "")),
        methods=names("methods", table["methods"]),
        datasets=names("datasets", table["datasets"]),
        seeds=seeds(table["seeds"]),
        settings=Settings(**typed_settings(shared)),
        network=str(table.get("network", "")),
        method_settings=method_settings,
        options=options,
        conditions=with_levels(conditions),
        dataset_conditions={dataset: with_levels(part) for dataset, part in by_dataset.items()},
        search=spaces,
        references=references(table.get("reference", "")),
        labels=dict(labels),
        tuned=str(table.get("tuned", "")),
    )


def references(value: Any) -> tuple[str, ...]:
    """Require the name of a method, or a list of them; an empty text is none."""
    if value == "":
        return ()
    if isinstance(value, str):
        return names("reference", [value])
    if not isinstance(value, list):
        raise UsageError(
            f"reference must be the name of a method, or a list of them, not {value!r}"
        )
    return names("reference", value)


def check_label(name: str, text: Any) -> None:
    """Require a label that fits in a row: a short text that can be printed."""
    if not isinstance(text, str) or not text.strip() or not text.isprintable() or len(text) > 40:
        raise UsageError(
            f"label of {name!r} is {text!r}: it must be a text of 1 to 40 printable letters"
        )


def at_budget(suite: Suite, share: float) -> Suite:
    """The suite with ``share`` times the epochs of each method, at least one."""

    def scaled(epochs: int) -> int:
        return max(1, round(epochs * share))

    settings = dataclasses.replace(suite.settings, epochs=scaled(suite.settings.epochs))
    special = {}
    for method, part in suite.method_settings.items():
        special[method] = dict(part)
        if "epochs" in part:
            special[method]["epochs"] = scaled(part["epochs"])
    untuned = None
    if suite.untuned is not None:
        untuned = at_budget(suite.untuned, share)
    return dataclasses.replace(suite, settings=settings, method_settings=special, untuned=untuned)


def split_tables(table: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a table into its plain values and its tables."""
    values, tables = {}, {}
    for key, value in tabled("settings and conditions", table).items():
        if isinstance(value, Mapping):
            tables[key] = value
        else:
            values[key] = value
    return values, tables


def tabled(where: str, value: Any) -> Mapping[str, Any]:
    """Require a TOML table."""
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be a table, not {value!r}")
    return value


def typed_settings(table: Mapping[str, Any]) -> dict[str, Any]:
    """Settings converted to their types."""
    check_keys("settings", table, list(SETTING_TYPES))
    return {key: convert(key, SETTING_TYPES[key], value) for key, value in table.items()}


def names(key: str, value: Any) -> tuple[str, ...]:
    """Require a list of names, none of them empty or repeated."""
    strings = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    if not value or not strings:
        raise UsageError(f"{key} must be a list of names, not {value!r}")

    # Parsed for its errors alone: nothing is imported before the suite is whole.
    for name in value:
        parse(name)
    return unrepeated(key, value)


def seeds(value: Any) -> tuple[int, ...]:
    """Require a list of seeds: whole numbers from 0, or ranges such as "0-9"; none is repeated."""
    if not isinstance(value, list | tuple) or not value:
        raise UsageError(f"seeds must be a list of whole numbers, not {value!r}")

    found = list[int]()
    for one in value:
        found += _seed_range(one)
    for seed in found:
        if seed < 0:
            raise UsageError(f"seeds must be at least 0, not {seed}")
        if seed >= 2**63:
            raise UsageError(f"seeds must be below 2^63, not {seed}")
    return unrepeated("seeds", found)


def _seed_range(value: Any) -> Sequence[int]:
    """One seed, or those from the first to the last of a range."""
    ends = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if ends is None:
        return [convert("seeds", int, value)]

    first, last = map(int, ends.groups())
    if not first <= last < first + MOST_SEEDS:
        raise UsageError(
            f"seeds {value} must run from the lower to the higher, at most {MOST_SEEDS:,} of them"
        )
    return range(first, last + 1)


def with_levels(conditions: Mapping[str, Any]) -> Conditions:
    """Conditions with their levels: finite numbers from 0, none of them repeated."""
    found = {}

    for condition, value in conditions.items():
        parse(condition)
        label = f"levels of {condition}"
        if not isinstance(value, list):
            raise UsageError(f"the {label} must be a list, not {value!r}")

        levels = [convert(label, float, level) for level in value]
        for level in levels:
            if not math.isfinite(level) or level < 0:
                raise UsageError(f"{label} must be finite and at least 0, not {level}")
        unrepeated(label, list(map(level_key, levels)))
        found[condition] = tuple(levels)

    return found


def unrepeated(key: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Refuse repeated values."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise UsageError(f"{key}: {value} is given twice")
    return tuple(values)
