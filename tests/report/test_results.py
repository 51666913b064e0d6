"""Damaged, foreign and missing files are told in one line, and nothing is written."""

from __future__ import annotations

import gzip
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench_uq.api.errors import UsageError
from bench_uq.report import write
from bench_uq.score.results import Results, Seeds, read, select
from bench_uq.store import write_npz
from bench_uq.store.derived import LATER
from bench_uq.store.examples import read_examples, without_copies

DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes | None], str]] = {
    "no runs file": ("runs.csv", lambda _: None, "missing"),
    "no scores file": ("scores.csv", lambda _: None, "missing"),
    "no curves file": ("curves.csv.gz", lambda _: None, "missing"),
    "empty": ("scores.csv", lambda _: b"", "No columns"),
    "another file": ("scores.csv", lambda _: b"a,b\n1,2\n", "no column"),
    "not text": ("scores.csv", lambda content: content + b"\xff\xfe\n", "utf-8"),
    "not compressed": ("curves.csv.gz", gzip.decompress, "gzip"),
    "cut in the compressed": ("curves.csv.gz", lambda content: content[:-9], "end-of-stream"),
    "cut in a record": (
        "scores.csv",
        lambda content: content[: content.rindex(b",")] + b"\n",
        "fields",
    ),
    "cut in a field": ("runs.csv", lambda content: content[:-3], "cut short"),
    "cut in a name": (
        "scores.csv",
        lambda content: content[:-3] + b"\n",
        "not the one in runs.csv",
    ),
    "no number": (
        "scores.csv",
        lambda content: content.replace(b"clean,,nll,", b"clean,,nll,x"),
        "float",
    ),
    "no seed": ("runs.csv", lambda content: content.replace(b"digits,0,ok", b"digits,,ok"), "int"),
    "strange status": ("runs.csv", lambda content: content.replace(b",ok,", b",fine,"), "'fine'"),
    "strange flag": ("runs.csv", lambda content: content.replace(b",True,", b",yes,"), "'yes'"),
    "twice the same": (
        "scores.csv",
        lambda content: content + content.splitlines(keepends=True)[-1],
        "holds twice: digits, map, 0",
    ),
    "another run": (
        "runs.csv",
        lambda content: content.replace(b"map-digits-s0", b"map-digits-s9"),
        "not the one",
    ),
    "no runs": ("runs.csv", lambda content: content.splitlines(keepends=True)[0], "no runs"),
}


@pytest.fixture(scope="module")
def sound(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("sound") / "quick", ("map",))


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_told_in_one_line(case: str, sound: Path, tmp_path: Path) -> None:
    """The error names the file, what is wrong and the command that makes it; nothing is written."""
    name, damage, said = DAMAGE[case]
    suite = shutil.copytree(sound, tmp_path / "quick")
    content = damage((suite / name).read_bytes())
    (suite / name).unlink() if content is None else (suite / name).write_bytes(content)
    with pytest.raises(UsageError) as error:
        write(suite, tmp_path / "report")
    message = str(error.value)
    assert said in message
    assert name in message
    assert "bench-uq run" in message or "bench-uq score" in message
    assert "\n" not in message
    assert not (tmp_path / "report").exists()


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that is not there is named with the command that makes it."""
    with pytest.raises(UsageError, match=r"missing folder .*nowhere .*bench-uq run"):
        write(tmp_path / "nowhere", tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_methods_and_seeds(told: Results) -> None:
    """Known methods stand first; each knows its planned, finished and unconverged seeds."""
    results = told.on("digits")
    hostile = r"a_b%$&{}\input{x}|<script>"
    known = ["map", "dropout", "ensemble", "mean-field", "mnf"]
    assert results.methods[:6] == [*known, hostile]
    seeds = {"map": (3, 0), "dropout": (2, 0), "mean-field": (3, 1), "sgld": (0, 0)}
    for name, (finished, unconverged) in seeds.items():
        assert results.seeds(name) == Seeds(3, finished, unconverged)


def test_names_are_no_missing_values(by_hand: Callable[..., Results]) -> None:
    """A method called null stays one, as does a value of more digits than usual."""
    results = by_hand({("null", "nll"): "0.12345678901234568"})
    assert results.methods == ["null"]
    assert results.scores["value"].tolist() == [0.12345678901234568]


def test_unfinished_runs_do_not_count(by_hand: Callable[..., Results]) -> None:
    """What an interrupted run left behind is in no mean."""
    runs = [{"method": "map", "seed": 1, "status": "interrupted"}]
    assert by_hand({("map", "nll"): [1.0, 9.0]}, runs=runs).scores["value"].tolist() == [1.0]


def test_superseded_runs_do_not_count(hand_made: Callable[..., Path]) -> None:
    """A run that no plan asks for any more is neither planned nor failed, however little is known."""
    folder = hand_made([{"method": "map", "seed": 0, "metric": "nll", "value": 1.0}])
    with (folder / "runs.csv").open("a") as file:
        file.write("map-digits-s0-old,map,digits,0,superseded,,True,,,,,,,,,,\n")
        file.write("old,,,,superseded,,,,,,,,,,,,\n")
    results = read(folder)
    assert results.seeds("map") == Seeds(planned=1, finished=1, unconverged=0)
    assert results.datasets == ["digits"]


def test_select_narrows_everything(told: Results) -> None:
    """All is of the methods and datasets asked for; the ECE keeps its companion."""
    chosen = select(told, methods=["map", "mnf"], datasets=["digits"], metrics=["ece", "nll"])
    assert (chosen.methods, chosen.datasets) == (["map", "mnf"], ["digits"])
    assert set(chosen.scores["metric"]) == {"ece", "ece_if_calibrated", "nll"}
    assert set(chosen.scores["method"]) == set(chosen.curves["method"]) == {"map", "mnf"}
    assert {one.method for one in chosen.examples} == {"map", "mnf"}
    assert {one.dataset for one in chosen.examples} == {"digits"}
    assert select(told).methods == told.methods
    assert chosen.siblings == tuple(sorted(told.methods))  # a method keeps its colour among fewer


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"methods": ["mpa"]}, "method in story 'mpa'; did you mean 'map'"),
        (
            {"datasets": ["digit"]},
            "dataset in story 'digit'; did you mean 'digits'? (known: boston,",
        ),
        ({"metrics": ["acuracy"]}, "metric in story 'acuracy'; did you mean 'accuracy'"),
    ],
)
def test_unknown_names_list_the_known(
    told: Results, asked: dict[str, list[str]], said: str
) -> None:
    """A typing error is answered with the nearest name and all of them."""
    with pytest.raises(UsageError) as error:
        select(told, **asked)
    assert f"unknown {said}" in str(error.value)


def test_environments_and_examples_may_be_missing_but_not_damaged(
    sound: Path, tmp_path: Path
) -> None:
    """Older results lack them; a damaged one is told in one line."""
    suite = shutil.copytree(sound, tmp_path / "quick")
    assert read(suite).environments["0123abcd"]["torch"] == "2.15.0"
    assert {(one.condition, one.level) for one in read(suite).examples} == {
        ("clean", None),
        ("letters", None),
        *(("fgsm", level) for level in (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)),
    }

    for name in ("environment.json", "examples.npz"):
        (suite / name).write_bytes(b"PK\x03\x04 nonsense")
        with pytest.raises(UsageError, match=f"{name} is damaged or foreign"):
            read(suite)
        (suite / name).unlink()
    assert (read(suite).environments, read(suite).examples) == ({}, ())


def test_columns_of_older_versions_are_enough(sound: Path, tmp_path: Path) -> None:
    """Results without the later columns are read, with nothing in them."""
    suite = shutil.copytree(sound, tmp_path / "quick")
    runs = pd.read_csv(suite / "runs.csv").drop(columns=LATER["runs.csv"].split())
    runs.to_csv(suite / "runs.csv", index=False)
    found = read(suite).runs
    assert found[["epochs", "draws", "seconds_per_1000"]].isna().all(axis=None)
    assert set(found["command"]) == set(found["network"]) == {""}


def npz(same: Any = None, **arrays: np.ndarray) -> bytes:
    """Return a file of examples."""
    buffer = io.BytesIO()
    named = {f"digits|map|0|clean||{name}": array for name, array in arrays.items()}
    if same is not None:
        named["same"] = np.array(same)
    np.savez(buffer, **named)  # type: ignore[arg-type]
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    """Return a file of one array."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def flipped(content: bytes) -> bytes:
    """Flip bits in the middle of every deflated member."""
    return content[:200] + bytes(byte ^ 0x5A for byte in content[200:-3000]) + content[-3000:]


IMAGES, PROBS = np.zeros((2, 1, 4, 4), np.uint8), np.full((2, 3), 1 / 3, np.float32)
STRANGE: dict[str, tuple[str, bytes | Callable[[bytes], bytes]]] = {
    "flipped bits": ("examples.npz", flipped),
    "an array alone": ("examples.npz", npy(IMAGES)),
    "no examples": ("examples.npz", npz(inputs=IMAGES[:0], probs=PROBS[:0])),
    "no pixels": ("examples.npz", npz(inputs=IMAGES[:, :, :0], probs=PROBS)),
    "no axis": ("examples.npz", npz(inputs=np.array(1), probs=PROBS)),
    "text": ("examples.npz", npz(inputs=IMAGES, probs=PROBS.astype("U9"))),
    "objects": ("examples.npz", npz(inputs=IMAGES, probs=np.array([{}, {}], object))),
    "not finite": ("examples.npz", npz(inputs=IMAGES, probs=PROBS * np.nan)),
    "targets in a plane": ("examples.npz", npz(inputs=IMAGES, targets=np.zeros((2, 2), int))),
    "other lengths": ("examples.npz", npz(inputs=IMAGES, probs=PROBS[:1])),
    "a copy of nothing": ("examples.npz", npz(inputs=IMAGES, same=[["a", "b"]])),
    "copies of no pair": ("examples.npz", npz(inputs=IMAGES, same=["a"])),
    "no list": ("environment.json", b"{}0"),
    "no object": ("environment.json", b"[1]"),
    "deep": ("environment.json", b"[" * 100_000),
    "half a pair": ("environment.json", b'[{"id": "a", "device": "\\ud800"}]'),
    "seed beyond": (
        "runs.csv",
        lambda content: content.replace(b"digits,0,ok", b"digits,9223372036854775808,ok"),
    ),
    "endless epochs": ("runs.csv", lambda content: content.replace(b"lenet,40,", b"lenet,inf,")),
    "endless level": ("scores.csv", lambda content: content.replace(b"fgsm,0.5,", b"fgsm,inf,")),
    "endless x": (
        "curves.csv.gz",
        lambda content: gzip.compress(
            gzip.decompress(content).replace(b"risk_coverage,1.0,", b"risk_coverage,inf,")
        ),
    ),
}


@pytest.mark.parametrize("case", STRANGE)
def test_strange_content_is_told_by_its_file(case: str, sound: Path, tmp_path: Path) -> None:
    """Bit rot, other schemas and numbers without end are damage; nothing is unpickled."""
    name, damage = STRANGE[case]
    suite = shutil.copytree(sound, tmp_path / "quick")
    before = (suite / name).read_bytes()
    after = damage if isinstance(damage, bytes) else damage(before)
    assert after != before
    (suite / name).write_bytes(after)
    with pytest.raises(UsageError, match=f"{name} is damaged or foreign: ") as error:
        read(suite)
    assert "\n" not in str(error.value)


def test_equal_examples_are_stored_once(tmp_path: Path) -> None:
    """Shifted inputs are the same for all methods; figures find them under each, in their order."""
    arrays = dict[str, np.ndarray]()
    # Of two methods even the predictions are equal.
    for method, seed in (("mnf", 1), ("map", 2), ("dropout", 2)):
        rng = np.random.default_rng(seed)
        for condition, level in (("rotate", 30.0), ("clean", "")):
            place = f"digits|{method}|0|{condition}|{level}"
            angle = 30 if level else 0
            arrays[f"{place}|inputs"] = np.full((8, 1, 8, 8), angle, np.uint8)
            arrays[f"{place}|probs"] = rng.dirichlet(np.ones(10), 8).astype(np.float32)
            arrays[f"{place}|targets"] = np.arange(8)
    # The same bytes in another form are no copy.
    arrays["digits|map|0|fgsm||inputs"] = np.zeros((8, 1, 8, 8), np.uint8)
    arrays["digits|mnf|0|fgsm||inputs"] = np.zeros((8, 64), np.uint8)
    arrays["digits|mnf|0|pgd||inputs"] = np.zeros((8, 1, 8, 8), np.int8)

    for folder, kept in (("whole", arrays), ("once", without_copies(arrays))):
        (tmp_path / folder).mkdir()
        write_npz(tmp_path / folder / "examples.npz", kept)
    # Four inputs, four predictions, one array of targets, and the names of the others.
    assert len(without_copies(arrays)) == 4 + 4 + 1 + 1

    whole, once = (read_examples(tmp_path / name / "examples.npz") for name in ("whole", "once"))
    assert [str(one) for one in once] == [str(one) for one in whole]
    assert len(once) == 9
    for one, other in zip(once, whole, strict=True):
        assert one.inputs.dtype == other.inputs.dtype
        for name in ("inputs", "probs", "targets"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_names_with_the_sign_that_parts_them(sound: Path, tmp_path: Path) -> None:
    """A condition whose name holds a bar or a percent sign keeps its examples."""
    suite = shutil.copytree(sound, tmp_path / "quick")
    np.savez(suite / "examples.npz", **{"digits|map|0|npz[path=a%7Cb%25]||inputs": IMAGES})  # type: ignore[arg-type]
    (one,) = read(suite).examples
    assert one.condition == "npz[path=a|b%]"
