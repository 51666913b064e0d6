"""Properties of any text, table, record or number: a round trip, or one line of refusal."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import string
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import astuple
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.api.names import (
    bracketed,
    convert_options,
    level_key,
    option_text,
    parse,
    plain_name,
    spelled,
    split_list,
)
from bench_uq.api.task import Predictions
from bench_uq.plan.suite import SETTING_TYPES, read_suite, suite_from
from bench_uq.run.imported.values import read as read_outputs
from bench_uq.score import published as references
from bench_uq.score.score import CURVES, RUNS, SCORES, read_scores
from bench_uq.store import derived
from bench_uq.store.csv import FORMULA, write_csv
from bench_uq.train.settings import Settings

sys.path.insert(
    0, str(Path(__file__).resolve().parents[1])
)  # the targets are no part of the package

from fuzz.targets import Options

#: The same examples every time: a build fails for what was changed alone.
same = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
few = settings(same, max_examples=30)

#: Text that can be written as UTF-8: no halves of surrogate pairs.
texts = some.text(some.characters(codec="utf-8"), max_size=30)
names = some.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
#: Values of options: matching brackets, no comma outside of them, no space at the ends.
plain_values = some.text(
    string.ascii_letters + string.digits + "._-/ =+:", min_size=1, max_size=12
).filter(lambda text: text.strip() == text)
values = some.recursive(
    plain_values,
    lambda inner: some.builds(
        lambda name, parts: f"{name}[{','.join(parts)}]",
        names,
        some.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
keys = some.from_regex(r"[a-z_][a-z0-9_]{0,10}", fullmatch=True)
finite = some.floats(allow_nan=False, allow_infinity=False)
#: TOML's values, of any type and nested.
leaves = some.one_of(
    some.booleans(),
    some.integers(-(2**63), 2**63 - 1),
    some.floats(),
    texts,
    some.dates(),
    some.datetimes(),
    some.times(),
)
tomls = some.recursive(
    leaves,
    lambda inner: (
        some.lists(inner, max_size=3) | some.dictionaries(texts | names, inner, max_size=3)
    ),
    max_leaves=8,
)
jsons = some.recursive(
    some.none() | some.booleans() | some.integers() | finite | texts,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def told(function: Callable[..., object], *arguments: object) -> str:
    """Text of a UsageError, empty without one; any other error fails the test."""
    try:
        function(*arguments)
    except UsageError as error:
        return str(error)
    return ""


# The grammar of names


@same
@given(names, some.dictionaries(keys, values, max_size=4))
def test_names_parse_as_they_are_written(name: str, options: dict[str, str]) -> None:
    """A name with options, written out, is that name with those options."""
    text = bracketed(name, [f"{key}={value}" for key, value in options.items()])
    assert parse(text) == (name, options)
    assert parse(f" {text} ") == (name, options)
    assert plain_name(text) == name


@same
@given(
    some.builds(
        Options,
        flag=some.booleans(),
        count=some.integers(),
        share=some.floats(allow_nan=False),
        text=values,
        path=values.map(Path),
        kind=some.sampled_from(["one", "two"]),
        from_=values,
    )
)
def test_options_keep_their_values(options: Options) -> None:
    """Options of every type are the same after spelling and reading, to the last digit."""
    for changed in (False, True):
        name, written = parse(spelled("x", options, option_text, changed=changed))
        assert name == "x"
        assert Options(**convert_options("x", Options, written)) == options


@same
@given(some.lists(some.one_of(names, values), min_size=1, max_size=5))
def test_lists_split_at_commas_outside_of_brackets(parts: list[str]) -> None:
    """Parts with matching brackets, joined by commas, are split into the same parts."""
    assert split_list(",".join(parts)) == parts
    assert split_list(" , ".join(parts)) == parts


@same
@given(some.text(max_size=40) | some.text("a0[]=,. -\n\0", max_size=25))
def test_any_text_parses_or_is_told(text: str) -> None:
    """No text raises another error than a UsageError of one line."""
    for read in (parse, split_list, lambda one: convert_options("x", Options, parse(one)[1])):
        assert "\n" not in told(read, text)
    if told(parse, text):
        return
    name, options = parse(text)
    assert parse(bracketed(name, [f"{key}={value}" for key, value in options.items()])) == (
        name,
        options,
    )


@same
@given(some.sampled_from(list("abcdefg")), tomls)
def test_values_of_any_type_are_options_or_told(key: str, value: Any) -> None:
    """A value of TOML, whatever its type, becomes one of the option's type or is refused."""
    for name in ("flag", "count", "share", "text", "path", "kind", key):
        try:
            found = convert_options("x", Options, {name: value})
        except UsageError:
            continue
        assert isinstance(found[name], type(getattr(Options(), name)))


# Suites


@same
@given(
    some.dictionaries(
        some.sampled_from(
            [
                "description",
                "methods",
                "datasets",
                "seeds",
                "network",
                "settings",
                "options",
                "conditions",
                "other",
            ]
        ),
        tomls
        | some.lists(names, max_size=2)
        | some.dictionaries(
            some.sampled_from([*SETTING_TYPES, "mnf"]) | names, tomls | some.lists(finite)
        ),
    )
)
def test_any_table_is_a_suite_or_told(table: dict[str, Any]) -> None:
    """A table of any types is a suite, or a UsageError says in one line why it is none."""
    table = {"methods": ["map"], "datasets": ["digits"], "seeds": [0], "settings": {}, **table}
    if wrong := told(suite_from, "x", table):
        assert "\n" not in wrong.strip()
        return
    suite = suite_from("x", table)
    assert isinstance(suite.settings, Settings)
    assert len(set(suite.seeds)) == len(suite.seeds) > 0
    assert all(0 <= level < math.inf for level in chain(*suite.conditions.values()))


@few
@given(texts | some.text("[]=\"'{}#,.\n0xe-a_ ", max_size=60))
def test_any_text_is_a_suite_or_told(tmp_path: Path, text: str) -> None:
    """A file of any text is a suite, or a UsageError."""
    (tmp_path / "mine.toml").write_text(f"extends = 'quick'\n{text}", encoding="utf-8", newline="")
    told(read_suite, str(tmp_path / "mine.toml"))


def toml(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{toml(str(key))} = {toml(one)}" for key, one in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"

    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(sign):08x}" for sign in value) + '"'
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return repr(value)


@few
@given(
    some.fixed_dictionaries(
        {
            "epochs": some.integers(1, 10**6),
            "validation": some.floats(0, 1, exclude_min=True, exclude_max=True),
            "train_images": some.integers(0, 10**9),
            "evaluate_on": some.sampled_from(["test", "validation"]),
            "precision": some.sampled_from(["float32", "tf32", "bfloat16"]),
        }
    ),
    some.lists(some.integers(0, 2**63 - 1), min_size=1, max_size=4, unique=True),
    some.lists(some.floats(0, 1e300), max_size=4, unique_by=level_key),
    texts,
)
def test_suites_keep_what_they_say(
    tmp_path: Path, chosen: dict[str, Any], seeds: list[int], levels: list[float], description: str
) -> None:
    """Settings, seeds, levels and names of a suite's file are read as written."""
    table = {
        "description": description,
        "methods": ["map", "mnf[flows=2]"],
        "datasets": ["digits"],
        "seeds": seeds,
    }
    table |= {"settings": chosen, "conditions": {"fgsm": levels}, "options": {"mnf": {"flows": 3}}}
    (tmp_path / "mine.toml").write_text(
        "".join(f"{key} = {toml(value)}\n" for key, value in table.items())
    )

    suite = read_suite(str(tmp_path / "mine.toml"))
    assert {name: getattr(suite.settings, name) for name in chosen} == chosen
    assert (suite.seeds, suite.conditions["fgsm"]) == (tuple(seeds), tuple(levels))
    assert suite.description == description
    assert suite.options == {"mnf": {"flows": 3}}

    flags = {"set": [f"{name}={option_text(value)}" for name, value in chosen.items()]}
    quick = read_suite("quick", flags).settings
    assert {name: getattr(quick, name) for name in chosen} == chosen


# Stored records


@same
@given(some.dictionaries(texts.filter(lambda name: name != store.CHECKSUM), jsons, max_size=5))
def test_records_are_read_as_they_were_written(tmp_path: Path, value: dict[str, Any]) -> None:
    """A record of any plain data is read the same, and its bytes depend on nothing else."""
    store.write_json(tmp_path / "a.json", value)
    first = (tmp_path / "a.json").read_bytes()
    assert store.read_json(tmp_path / "a.json") == value
    store.write_json(tmp_path / "a.json", dict(reversed(list(value.items()))))
    assert (tmp_path / "a.json").read_bytes() == first


@same
@given(some.binary(max_size=60) | jsons.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_record_or_none(tmp_path: Path, content: bytes) -> None:
    """Any content in the place of a record is read as a record or set aside."""
    with redirect_stderr(io.StringIO()):
        for name in (store.RECORD, store.PLAN):
            (tmp_path / name).write_bytes(content)
        for read in (store.RunFolder(tmp_path).record, partial(store.read_plan, tmp_path)):
            wrong = told(read)
            assert not wrong or "schema" in wrong
            assert wrong or told(read) == ""


@few
@given(some.binary(min_size=1, max_size=400), some.integers(0, 10**6), some.integers(0, 7))
def test_no_bit_is_flipped_unseen(tmp_path: Path, content: bytes, place: int, bit: int) -> None:
    """A stored file with one bit flipped is no longer held."""
    run = store.RunFolder(tmp_path / "run")
    run.add_file("a.npz", content)
    assert run.holds("a.npz")
    flipped = bytearray(content)
    flipped[place % len(content)] ^= 1 << bit
    (tmp_path / "run" / "a.npz").write_bytes(flipped)
    assert not run.holds("a.npz")


# Tables


def written(text: str) -> str:
    """Text as a table holds it: formulas begin with a ', and Windows line ends become plain."""
    text = text.replace("\r\n", "\n")
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text.startswith(FORMULA) else text
    return text


ids = some.integers(0, 2**63 - 1)
cells = texts.filter(bool)


def place(value: str | float | None) -> str | float | None:
    """A text or a level as it is read."""
    if isinstance(value, str):
        return written(value)
    return level_key(value) if isinstance(value, float) else value


@same
@given(
    some.lists(
        some.tuples(
            cells,
            cells,
            ids,
            cells,
            some.none() | finite,
            cells,
            some.none() | some.floats(allow_nan=False),
        ),
        max_size=6,
        unique_by=lambda row: tuple(map(place, row[:6])),
    )
)
def test_scores_are_read_to_the_last_digit(tmp_path: Path, rows: list[tuple[Any, ...]]) -> None:
    """scores.csv holds every number in full, and every text except formulas.

    Levels that print alike are one level.
    """
    write_csv(tmp_path / "scores.csv", SCORES, [[*row, "run"] for row in rows])

    expected = set()
    for dataset, method, seed, condition, level, metric, value in rows:
        texts = map(written, (dataset, method, condition, metric))
        numbers = (level if level is None else level_key(level), value)
        expected.add((*texts, seed, *(math.nan if one is None else one for one in numbers)))

    for frame in (derived.table(tmp_path / "scores.csv"), read_scores(tmp_path)):
        columns = ["dataset", "method", "condition", "metric", "seed", "level", "value"]
        found = {
            tuple(row) for row in frame[columns].astype(object).itertuples(index=False, name=None)
        }
        assert {tuple(map(repr, row)) for row in found} == {
            tuple(map(repr, row)) for row in expected
        }


@few
@given(
    some.lists(some.tuples(finite, some.none() | finite), max_size=8, unique_by=lambda row: row[0]),
    cells,
)
def test_curves_are_read_to_the_last_digit(
    tmp_path: Path, points: list[tuple[float, float | None]], name: str
) -> None:
    """A table of curves is read with all digits that it holds."""
    write_csv(
        tmp_path / "curves.csv",
        CURVES,
        [["d", "m", 0, "clean", None, name, x, y, "run"] for x, y in points],
    )
    frame = derived.table(tmp_path / "curves.csv", derived.CURVES)
    assert set(frame["curve"]) <= {written(name)}
    found = sorted(zip(frame["x"].tolist(), frame["y"].tolist(), strict=True))
    assert list(map(repr, found)) == [
        repr((x, math.nan if y is None else y))
        for x, y in sorted(points, key=lambda point: point[0])
    ]


@few
@given(
    texts,
    texts,
    some.none() | some.floats(0, 1e12),
    some.sampled_from(["ok", "failed", "diverged", "oom"]),
)
def test_runs_are_read_as_they_were_written(
    tmp_path: Path, reason: str, command: str, seconds: float | None, status: str
) -> None:
    """runs.csv holds any reason and command, and seconds in full."""
    row = {
        "run": "r",
        "method": "m",
        "dataset": "d",
        "seed": 3,
        "status": status,
        "reason": reason,
        "converged": True,
    }
    row |= {"train_seconds": seconds, "command": command}

    write_csv(tmp_path / "runs.csv", RUNS, [[row.get(name) for name in RUNS]])
    (found,) = derived.table(tmp_path / "runs.csv").to_dict("records")
    assert (found["reason"], found["command"]) == (written(reason), written(command))
    assert repr(found["train_seconds"]) == repr(math.nan if seconds is None else seconds)


@same
@given(
    some.sampled_from(["scores.csv", "curves.csv", "runs.csv"]),
    some.binary(max_size=60),
    some.booleans(),
)
def test_any_bytes_are_a_table_or_told(
    tmp_path: Path, name: str, content: bytes, headed: bool
) -> None:
    """Whatever stands in a derived file, it is a table or a UsageError that names the file."""
    header = (
        ",".join({"scores.csv": SCORES, "curves.csv": CURVES, "runs.csv": RUNS}[name]).encode()
        + b"\n"
    )
    (tmp_path / name).write_bytes(header + content if headed else content)
    wrong = told(derived.table, tmp_path / name, name.replace("curves.csv", derived.CURVES))
    assert not wrong or name in wrong


printed = some.sampled_from(["0.5", "-1", "1e-3", "12", "0.98"])


@few
@given(
    some.lists(
        some.builds(
            references.Reference,
            dataset=names,
            method=some.builds(lambda name, value: f"{name}[a={value}]", names, values) | names,
            condition=names,
            level=some.sampled_from(["", "0.1", "2"]),
            metric=some.sampled_from(["nll", "accuracy", "test_error"]),
            value=printed,
            spread=some.sampled_from(["", "0.1"]),
            source=texts.map(str.strip).filter(bool),
            certainty=some.sampled_from(references.CERTAINTIES),
            notes=texts.map(str.strip),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda one: one.key,
    )
)
def test_published_values_are_handed_on_as_they_are(
    tmp_path: Path, found: list[references.Reference]
) -> None:
    """Published values are read as they were written, except formulas."""
    references.hand_on(found, tmp_path)
    expected = {tuple(map(written, astuple(one))) for one in found}
    assume(len(expected) == len(found))
    assert {astuple(one) for one in references.read_file(tmp_path / references.FILE)} == expected


@few
@given(some.text(some.characters(), max_size=80) | some.text('",\n\r=a0', max_size=40))
def test_any_text_is_published_values_or_told(tmp_path: Path, text: str) -> None:
    """Whatever stands in a file of published values, it is read or a UsageError names the file."""
    (tmp_path / "reference.csv").write_bytes(
        f"{','.join(references.COLUMNS)}\n{text}".encode(errors="surrogatepass")
    )
    wrong = told(references.read_file, tmp_path / "reference.csv")
    assert not wrong or "reference.csv" in wrong


# Predictions


@few
@given(some.integers(1, 6), some.integers(2, 4), some.integers(0, 2**32 - 1))
def test_predictions_are_read_as_they_were_stored(
    tmp_path: Path, count: int, classes: int, seed: int
) -> None:
    """Stored and imported predictions are the same bit for bit."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(classes), count)
    arrays = {"probs": probs.astype(np.float32), "targets": rng.integers(0, classes, count)}
    run = store.RunFolder(tmp_path / "run")
    run.save_predictions("clean.npz", Predictions(arrays))
    stored = run.predictions("clean.npz").arrays
    assert {name: (one.dtype, one.tobytes()) for name, one in stored.items()} == {
        name: (one.dtype, one.tobytes()) for name, one in arrays.items()
    }

    np.savez(tmp_path / "mine.npz", probs=probs, labels=arrays["targets"])
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", *(f"prob_{place}" for place in range(classes))])
        writer.writerows(
            [label, *map(repr, row.tolist())]
            for label, row in zip(arrays["targets"], probs, strict=True)
        )

    one, other = (read_outputs(tmp_path / f"mine.{kind}", labelled=True) for kind in ("npz", "csv"))
    assert one.draws.tobytes() == other.draws.tobytes() == np.log(probs)[None].tobytes()
    assert one.targets is not None
    assert other.targets is not None
    assert np.array_equal(one.targets, arrays["targets"])
    assert np.array_equal(other.targets, arrays["targets"])


@few
@given(some.binary(max_size=80), some.sampled_from(["npz", "csv"]))
def test_any_bytes_are_predictions_or_told(tmp_path: Path, content: bytes, suffix: str) -> None:
    """Whatever a file of predictions holds, it is read or a UsageError names the file."""
    (tmp_path / f"mine.{suffix}").write_bytes(content)
    with pytest.raises(UsageError, match=f"mine.{suffix}"):
        read_outputs(tmp_path / f"mine.{suffix}", labelled=True)
